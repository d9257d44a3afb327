"""A recipe by many processes: under accelerate's launcher, or on Ray. Each of them runs `training.language.run.main`.

The processes tell what they do in lines of JSON on standard output, each after a record separator (RFC 7464); all else
that they print goes to a log. Knows how processes are started; not what they train.

python -m training.launch.start RECIPE HOME      (one process; `studio train run RECIPE \
    --launch accelerate` starts them)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import yaml

from training.language import ranks, run
from training.launch.faults import ROOT, failure, fault_of
from workspace.errors import DataError, Interrupted, ServiceError, StudioError, UsageError, unknown
from workspace.extras import require

FOLDER = Path(__file__).parent
MARK = "\x1e"
_LONGEST_END = 60.0  # seconds that the processes have after Ctrl-C

Told = Callable[[dict[str, Any]], None]


def train(
    recipe: str | Path,
    home: Path,
    launch: str = "none",
    config: str | None = None,
    processes: int | None = None,
    told: Told | None = None,
) -> dict[str, Any]:
    """Run a recipe, see `training.language.run.main`, in this process or in many.

    Args:
        recipe: A shipped recipe's name, or a file.
        home: STUDIO_HOME; several machines share it.
        launch: Who starts the processes, one of `LAUNCHERS`.
        config: accelerate's configuration, one of `configs()` or a file; ``ddp`` if not given.
        processes: How many; the configuration's number if not given.
        told: Called with rows of progress.

    Raises:
        UsageError: An unknown launcher or configuration.
        ServiceError: Ray or DeepSpeed is not installed, or there is no GPU for what wants some.
        Interrupted: Ctrl-C; the processes have ended.
        StudioError: As a process said, or the end of a process that said nothing.
    """
    if launch not in LAUNCHERS:
        raise UsageError(unknown("launcher", launch, LAUNCHERS))
    if launch == "none" and (config is not None or processes is not None):
        raise UsageError("a config and a number of processes need a launcher", hint="--launch accelerate, or ray")
    opened = run.open_run(recipe, home)  # a fault of the recipe is told here, once
    try:
        return LAUNCHERS[launch](opened, str(recipe), config, processes, told)
    except KeyboardInterrupt:
        raise Interrupted("stopped", hint="the same command goes on") from None


def configs() -> list[str]:
    """The names of the configurations that come with Studio."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def config_file(name: str) -> Path:
    """A configuration's file, by its path or the name of a shipped one."""
    own, shipped = Path(name).expanduser(), FOLDER / f"{name}.yaml"
    if not own.is_file() and not shipped.is_file():
        raise UsageError(unknown("config", name, configs()))
    return (own if own.is_file() else shipped).resolve()


def _here(opened: run.Run, recipe: str, config: str | None, processes: int | None, told: Told | None) -> dict[str, Any]:
    return run.main(opened, told)


def _accelerate(
    opened: run.Run, recipe: str, config: str | None, processes: int | None, told: Told | None
) -> dict[str, Any]:
    """Start accelerate's launcher and pass on what the processes tell, and Ctrl-C to them."""
    import torch

    require("datasets", "mergekit", "trl")
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    file = config_file(config or "ddp")
    settings = _settings(file)
    if settings.distributed_type in ("DEEPSPEED", "FSDP") and not torch.cuda.is_available():
        # accelerate would train the whole model in every process and say nothing
        raise ServiceError(f"{file.stem} spreads weights over GPUs, and there is none here", hint="--config ddp")
    command += ["--config_file", str(file)]
    command += [] if processes is None else ["--num_processes", str(processes)]
    if not settings.main_process_port and settings.num_machines == 1:
        command += ["--main_process_port", "0"]  # any that is free
    command += ["--module", "training.launch.start", recipe, str(opened.home)]
    place = f"-{settings.machine_rank}" if settings.machine_rank else ""
    log = opened.home / "training" / f"{opened.recipe.name}-launch{place}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"STUDIO_HOME": str(opened.home), "PYTHONPATH": path}
    with (
        log.open("w", encoding="utf-8") as rest,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=rest,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches them through this process alone
        ) as child,
    ):
        try:
            assert child.stdout is not None
            ends = _listen(child.stdout, rest, told)
            code = child.wait()
        except BaseException:
            _stop(child)
            raise
    return _ended(ends, code, log)


def _settings(file: Path) -> Any:
    """A configuration, read by accelerate itself and checked against what there is."""
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    try:
        told = load_config_from_file(str(file))
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as fault:
        raise DataError(f"{file} is no configuration of accelerate: {' '.join(str(fault).split())[:200]}") from None
    if not isinstance(told, ClusterConfig):
        raise DataError(f"{file}: compute_environment must be LOCAL_MACHINE")
    if told.distributed_type == "DEEPSPEED":
        require("deepspeed", install="deepspeed")
    return told


def _listen(lines: IO[str], rest: IO[str], told: Told | None) -> dict[str, Any]:
    """Pass on rows as they come; return what the processes said at their end: ``made`` or ``failed``."""
    ends: dict[str, Any] = {}
    for line in lines:
        if not line.startswith(MARK):
            rest.write(line)
            rest.flush()
            continue
        row = json.loads(line.removeprefix(MARK))
        if "told" in row and told:
            told(row["told"])
        ends = row | ends if "told" not in row else ends  # the first to fail is why the others do
    return ends


def _stop(child: subprocess.Popen[str]) -> None:
    """End the launcher and, through it, the processes."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(_LONGEST_END)
            return
        except ProcessLookupError:
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue  # they would not end, or a second Ctrl-C


def _ended(ends: dict[str, Any], code: int, log: Path) -> dict[str, Any]:
    """What was made, or the fault that a process told."""
    if "failed" in ends:
        raise fault_of(ends["failed"], str(log))
    if code or "made" not in ends:
        fault = StudioError(f"the training processes ended with exit code {code}", hint=f"see {log}")
        fault.exit_code = code if code > 0 else 1
        raise fault
    made: dict[str, Any] = ends["made"]
    return made


def _ray(opened: run.Run, recipe: str, config: str | None, processes: int | None, told: Told | None) -> dict[str, Any]:
    """Start workers on Ray, with a configuration's FSDP in their environment."""
    require("ray", extra="cluster")
    require("datasets", "mergekit", "trl")
    from training.launch.on_ray import train as on_ray

    file = config_file(config or "ddp")
    settings = _settings(file)
    if settings.distributed_type == "DEEPSPEED":
        raise UsageError(f"{file.stem} is for accelerate's launcher", hint="on Ray: ddp, or fsdp2")
    return on_ray(recipe, opened.home, processes or settings.num_processes, environment(settings), told)


def environment(settings: Any) -> dict[str, str]:
    """What accelerate's launcher would say to each process of a configuration's FSDP."""
    if settings.distributed_type != "FSDP":
        return {}
    told = {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_MIXED_PRECISION": str(settings.mixed_precision or "no")}
    for key, value in settings.fsdp_config.items():
        name = key.upper() if key.startswith("fsdp_") else f"FSDP_{key.upper()}"
        name = name.replace("TRANSFORMER_LAYER_CLS", "TRANSFORMER_CLS")
        told[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return told


LAUNCHERS = {"none": _here, "accelerate": _accelerate, "ray": _ray}
"""Who may start the processes."""


def _say(row: dict[str, Any]) -> None:
    sys.stdout.write(f"{MARK}{json.dumps(row)}\n")
    sys.stdout.flush()


def _fail(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """Tell the fault that ends this process, then let Python print it."""
    if not issubclass(kind, KeyboardInterrupt | BrokenPipeError):
        _say(failure(kind, fault))
    sys.__excepthook__(kind, fault, trace)


def main(recipe: str, home: Path) -> None:
    """Run a recipe as one of several processes."""
    made = run.main(run.open_run(recipe, home), lambda row: _say({"told": row}))
    if os.environ.get("LOCAL_RANK", "0") == "0":  # on every machine there is one who waits for it
        _say({"made": made})
    ranks.leave()


if __name__ == "__main__":
    sys.excepthook = _fail
    main(sys.argv[1], Path(sys.argv[2]))
