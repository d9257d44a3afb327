"""Stand-ins in Ray's processes, which patches of the process that starts them do not reach. For benchmarks and tests.

A Ray of this process whose actors begin with a function: a painter that sleeps, no models, briefs that are refused;
and a trace of the processes, so that they can be killed.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

POISON = "which nobody can make"
TOKEN = secrets.token_hex(32)
"""With which other processes of a benchmark or test may join its Ray."""

SECONDS, SEEN = "STAND_IN_SECONDS", "STAND_IN_SEEN"
"""Variables of Ray's processes: how long a picture takes, and the folder in which they leave their traces."""

ACTORS = ("ray::DesignWorker", "ray::Painting")


def stand_in() -> None:
    """In a process of Ray's: a painter that sleeps, no models, briefs that are refused, a trace of the process."""
    from agents.kit import Kit
    from tests.fixtures_run import InstantPainter
    from workspace.errors import UsageError

    easel = threading.Lock()
    seen, document = os.environ.get(SEEN), Kit.document

    def refusing(kit: Kit, role: str, key: str, schema: Any, messages: Any, *more: Any, **named: Any) -> Any:
        if POISON in str(messages[-1].content):
            raise UsageError("this brief is refused")
        return document(kit, role, key, schema, messages, *more, **named)

    class Sleeping(InstantPainter):
        def paint(self, specs: Any, on_step: Any = None, on_notice: Any = None, on_preview: Any = None) -> list[Any]:
            if seen:
                trace(Path(seen) / "painted", *(str(spec.seed) for spec in specs))
                trace(Path(seen) / "times", str(time.time()))
            with easel:  # as a painter of weights, one call at a time
                time.sleep(float(os.environ.get(SECONDS, "0")) * len(specs))
            self.painted.clear()
            return super().paint(specs, on_step, on_notice, on_preview)

    for name, value in {
        "studio.runs.preflight.needs": lambda settings: [],
        "pipelines.pictures.painter.Painter.load": lambda settings, home: Sleeping(),
        "studio.runs.assemble.ranker": lambda home: None,
        "agents.kit.Kit.document": refusing,
    }.items():
        patch(name, value).start()
    if seen:
        trace(Path(seen) / "processes", str(os.getpid()))


def trace(file: Path, *words: str) -> None:
    """Add lines to a file that several processes write."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write("".join(f"{word}\n" for word in words))


def processes(seen: Path, kinds: tuple[str, ...] = ACTORS) -> list[int]:
    """The processes of actors that live, of those that left their trace."""
    with suppress(FileNotFoundError):
        pids = [int(line) for line in (seen / "processes").read_text(encoding="utf-8").split()]
        return [pid for pid in pids if title(pid).startswith(kinds)]
    return []


def title(pid: int) -> str:
    """What a process calls itself; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


@contextmanager
def cluster(
    root: Path, seen: Path, seconds: float, cpus: int, hook: str = "benchmarks.ray_stand_ins.stand_in"
) -> Iterator[None]:
    """A Ray of this process whose processes begin with a function that puts stand-ins in place.

    Args:
        root: The project's folder.
        seen: Where the processes leave their traces.
        seconds: How long a picture takes.
        cpus: How many actors have room.
        hook: The function.
    """
    import ray

    told = {SECONDS: str(seconds), SEEN: str(seen), "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    with patch.dict(os.environ, {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": TOKEN, **told}):
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"worker_process_setup_hook": hook},
        )
    try:
        yield
    finally:
        ray.shutdown()
