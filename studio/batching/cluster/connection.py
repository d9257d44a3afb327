"""A cluster for a batch: reached by its address, or one of this process that ends with it. Knows Ray.

Whatever a Ray of this process starts finds Studio where this process has it, and nothing in the working folder.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from studio.batching.cluster.driver import ClusterWorkshop
from studio.batching.cluster.pool import Pool
from studio.batching.cluster.processes import DesignWorker, Painting
from studio.runs.folder import versions
from studio.runs.request import NOT_RECORDED
from workspace.errors import ServiceError, UsageError, masked, one_line
from workspace.extras import require, surroundings
from workspace.progress import Remark, Tell, waiting
from workspace.settings import ROLES, resolved

if TYPE_CHECKING:
    from studio.batching.one import Tally
    from workspace.ledger import Ledger
    from workspace.settings import Settings

EACH = 8
"""Designs at a time in one worker, usually: they wait for models most of the time."""

_CONNECTED = 5.0
_TOKEN = secrets.token_hex(32)
_ALIKE = "Python, ray, RAY_AUTH_MODE and its token have to be the cluster's"
_SPARE = 2
"""Calls that a worker answers beside those of its designs."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of a cluster.

    Attributes:
        address: Where it is; ``None`` for one of this process.
        in_flight: Designs at a time.
        workers: Processes that make designs, if that is said.
        painters: Processes that paint, if that is said.
    """

    address: str | None
    in_flight: int
    workers: int | None = None
    painters: int | None = None


def check_cluster(address: str | None) -> None:
    """See that Ray is installed, and that somebody listens where the cluster is said to be.

    Raises:
        ServiceError: It is not, or nobody does.
        UsageError: The address is none.
    """
    require("ray", extra="cluster")
    if address is None or address == "auto":
        return
    host, port = _parsed(address)
    try:
        socket.create_connection((host, port), timeout=_CONNECTED).close()
    except OSError as fault:
        raise ServiceError(
            f"no Ray cluster answers at {address}: {fault.strerror or one_line(fault)}",
            hint="ray status tells whether one runs there",
        ) from None


def _parsed(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(
            f"--address {masked(address)!r} is no address of a Ray cluster", hint="HOST:PORT of its head, or auto"
        )
    return host.strip("[]"), int(port)


@contextmanager
def cluster_workshop(
    folder: Path, settings: Settings, ledger: Ledger, tally: Tally, deadline: float | None, wanted: Wanted, tell: Tell
) -> Iterator[ClusterWorkshop]:
    """A workshop whose designs are made on a cluster; its actors end with the block.

    Raises:
        ServiceError: No cluster answers, or it has no GPU for a painter that wants one.
        UsageError: The models' server cannot be reached from all of its machines.
    """
    import ray

    with ExitStack() as hold:
        hold.enter_context(_output_kept(ray, tell))
        workers = wanted.workers or -(-wanted.in_flight // EACH)
        if ray.is_initialized():
            _check_address(wanted.address)
        else:
            with waiting("reaching the cluster" if wanted.address else "starting Ray"):
                hold.enter_context(_connected(wanted.address, workers + (wanted.painters or 1), settings.home))
        _check_reach(settings)
        pools = _pools(settings, wanted, workers, tell)
        shop = ClusterWorkshop(folder, settings, ledger, tally, deadline, *pools)
        try:
            for pool in pools:
                pool.begin()
            yield shop
        finally:
            if not shop.leave():
                hold.pop_all()  # a thread still waits for Ray, which ends with the process


def _pools(settings: Settings, wanted: Wanted, workers: int, tell: Tell) -> tuple[Pool, Pool]:
    """Those that make designs, and those that paint."""
    import ray

    gpus = _gpus(settings, wanted.painters)
    painters = wanted.painters or max(1, gpus)
    each, version, home = -(-wanted.in_flight // workers), versions()["bio-studio"], str(settings.home)
    plain = settings.model_dump(mode="json", exclude=NOT_RECORDED)
    worker = ray.remote(num_cpus=1, max_concurrency=each + _SPARE, scheduling_strategy="SPREAD")(DesignWorker)
    share = {"num_cpus": 0, "num_gpus": min(1.0, gpus / painters)} if gpus else {"num_cpus": 1}
    painter = ray.remote(max_concurrency=2, **share)(Painting)

    def design_worker() -> tuple[Any, Any]:
        actor = worker.remote(home, each)
        return actor, actor.hello.remote(plain, version)

    def painting() -> tuple[Any, Any]:
        actor = painter.remote(home, os.environ.get("OMP_NUM_THREADS"))
        return actor, actor.hello.remote(plain["painter"], version)

    makers = Pool("design worker", design_worker, workers, each, tell)
    return makers, Pool("painter", painting, painters, tell=tell)


def _gpus(settings: Settings, wanted: int | None) -> int:
    """How many GPUs painters may have: those of the cluster, or those that it is asked to bring.

    Args:
        settings: The batch's.
        wanted: How many painters, if that is said.
    """
    import ray

    there, device = int(ray.cluster_resources().get("GPU", 0)), settings.painter.device
    if not device.startswith("cuda"):
        return 0 if device == "cpu" else there
    if not there and not wanted:
        raise ServiceError(
            f"painter.device is {device}, and the cluster has no GPU",
            hint="set painter.device to cpu, or ask for some that it brings when it is asked: --painters",
        )
    return there or wanted or 0


def _check_address(address: str | None) -> None:
    """Refuse another cluster than the one that this process is connected to already."""
    import ray

    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", here):
        raise UsageError(f"this process is connected to Ray at {here}, and the batch is to go to {address}")


def _check_reach(settings: Settings) -> None:
    """Refuse a server on this machine's loopback where designs are made on others."""
    import ray

    machines = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    roles = [role for role in ROLES if role != "critic" or settings.sees]
    servers = {server for role in roles if (server := resolved(settings, role).chat.server)}
    alone = sorted(server for server in servers if _loopback(server))
    if len(machines) > 1 and alone:
        raise UsageError(
            f"the cluster has {len(machines)} machines, and {masked(alone[0])} is reached from this one alone",
            hint="set chat.server to an address that all of them reach",
        )


def _loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


@contextmanager
def _connected(address: str | None, processes: int, home: Path) -> Iterator[None]:
    """Ray, connected, within the block."""
    import ray
    from ray.exceptions import RayError

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with TemporaryDirectory(prefix="studio-ray-") as nothing:  # else every process imports from the working folder
        quiet["runtime_env"] = {"working_dir": nothing}
        try:
            with _handlers_kept():
                if address:
                    ray.init(address=address, **quiet)
                else:
                    room = max(processes, os.cpu_count() or 1)
                    with _environment(surroundings(home) | _own()):
                        ray.init(address="local", num_cpus=room, include_dashboard=False, **quiet)
        except (OSError, RuntimeError, ValueError, RayError) as fault:
            ray.shutdown()
            where = f"the Ray cluster at {address} cannot be used" if address else "Ray could not be started"
            raise ServiceError(f"{where}: {one_line(fault)}", hint=_ALIKE if address else None) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _output_kept(ray: Any, tell: Tell) -> Iterator[None]:
    """Tell of what Ray would write to standard output, which is the command's: the first words of each, once."""
    inside, said = ray._private.worker, set[str]()
    before = inside.print_to_stdstream

    def tell_of(data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
        for line in data["lines"]:
            words = one_line(line).partition(". ")[0]
            if words and words not in said:
                said.add(words)
                tell(Remark(text=f"Ray: {words}"))

    inside.print_to_stdstream = tell_of
    try:
        yield
    finally:
        inside.print_to_stdstream = before


def _own() -> dict[str, str]:
    """Variables of a Ray of this process: nobody is told of it, and it obeys nobody else."""
    told = {"RAY_USAGE_STATS_ENABLED": "0"}
    if not any(name in os.environ for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        told["RAY_AUTH_TOKEN"] = _TOKEN  # else Ray leaves one in the home folder
    return told


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Variables for processes that are started within the block."""
    before = {name: os.environ.get(name) for name in (*more, "RAY_AUTH_MODE")}  # which Ray sets
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep this process's own handler of SIGTERM, in whose place Ray puts another."""
    before: Callable[..., Any] | int | None = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)
