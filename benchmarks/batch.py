"""What a batch costs beside its models, and what it survives; scripted models and an instant painter. Prints JSON.

``overhead``: many designs in one process: wall and processor milliseconds a design, and how much memory grows.
``resume``: how long a batch of finished items takes to find that nothing is to be done.
``pictures``: a server that takes a fixed time a call and a painter that sleeps over each picture, both stand-ins: the
wall time of both together beside each alone, where they are equally long and where either is twice the other.
``faults``: a server that goes wrong (429, 500, half bodies, ``length``, silence) at a random share of its calls.
``kill``: kill -9 of the process at random moments until the batch is done: nothing lost, nothing twice, the same files.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from home import ROOT, environment, fresh_home
from scripted_server import Faults, serving

PARTS = ("overhead", "resume", "pictures", "faults", "kill")
SOURCES = ("nacre", "leaf", "collagen", "dragline silk", "bone", "honeycomb", "bamboo", "spider web")
A_BATCH = 4  # kills at most; later ones would find it done
A_DESIGN = 5  # calls of a server for it, of which none waits for a picture
A_PICTURE = 0.15  # seconds that one takes a stand-in, many times what a design costs beside its models
MILLISECONDS, GROWTH_MB, RESUME_SECONDS, DONE, OVERLAP = 25.0, 50.0, 2.0, 0.99, 1.15


def briefs(path: Path, count: int) -> Path:
    """A file of so many different briefs."""
    rows = [
        {
            "id": f"brief-{number:05d}",
            "brief": f"A tough, light panel number {number} that stops cracks",
            "inspirations": [SOURCES[number % 8], SOURCES[(number // 8 + number + 1) % 8]],
            "seed": number,
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@contextmanager
def stand_ins(*, models: bool, painting: float = 0.0) -> Iterator[None]:
    """A painter that takes so many seconds a picture, and perhaps scripted chat models, in place of the real ones."""
    from models.chat.servers import Look
    from tests.fixtures_run import InstantPainter, ScriptedChat, scripted_structured

    easel = threading.Lock()

    class Sleeping(InstantPainter):
        def paint(self, specs: Any, on_step: Any = None, on_notice: Any = None, on_preview: Any = None) -> list[Any]:
            with easel:  # the real one takes one call at a time too
                time.sleep(painting * len(specs))
            return super().paint(specs, on_step, on_notice, on_preview)

    painter = Sleeping()
    painter.painted = _Nothing()  # a list of all that was painted would grow
    with (
        patch("studio.runs.preflight.needs", lambda settings: []),
        patch("pipelines.pictures.painter.Painter.load", lambda settings, home: painter),
        patch("studio.runs.assemble.ranker", lambda home: None),
    ):
        if not models:
            yield
            return
        with (
            patch("models.chat.choose.chat_model", lambda call, home, *, seed=None: ScriptedChat(seed=seed or 0)),
            patch("models.chat.structured.structured", scripted_structured),
            patch("models.chat.choose.describe", lambda call, home: {"model": "scripted"}),
            patch("models.chat.servers.look", lambda chat: Look("scripted")),
        ):
            yield


class _Nothing(list[Any]):
    def append(self, one: Any) -> None:
        """Keep nothing."""


def settings_for(home: Path, url: str, **more: Any) -> Any:
    from workspace.settings import load_settings

    told = {"home": str(home), "chat.server": url, "chat.model": "scripted", "vision.model": "none"}
    return load_settings("embedded", told | {"flow.images": 2, "flow.rounds": 1} | more)


def memory() -> float:
    """What this process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def overhead(folder: Path, home: Path, count: int, in_flight: int) -> dict[str, Any]:
    """Time and memory that designs cost beside their models."""
    from studio.batches import batch

    held: list[tuple[int, float]] = []

    def look(event: Any) -> None:
        if event.type == "batch_progress":
            held.append((event.done, memory()))

    with stand_ins(models=True):
        settings = settings_for(home, "http://127.0.0.1:1/v1")
        batch([briefs(folder / "warm.jsonl", 20)], out=folder / "warm", settings=settings, in_flight=in_flight)
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        file = briefs(folder / "many.jsonl", count)
        made: Any = batch([file], out=folder / "many", settings=settings, in_flight=in_flight, listener=look)
        gone, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    early = [size for done, size in held if done <= count / 10] or [held[0][1]]
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    milliseconds, growth = 1000 * made.seconds / count, held[-1][1] - max(early)
    return {
        "designs": made.done,
        "in_flight": in_flight,
        "milliseconds_a_design": round(milliseconds, 2),
        "processor_milliseconds_a_design": round(1000 * processor / count, 2),
        "with_reading_the_input_seconds": round(gone, 2),
        "memory_mb": round(held[-1][1], 1),
        "growth_mb": round(growth, 1),
        "passed": made.whole and milliseconds <= MILLISECONDS and growth < GROWTH_MB,
    }


def resume(folder: Path, count: int) -> dict[str, Any]:
    """How long it takes to see that so many items are done."""
    from studio.batching.briefs import read_items
    from studio.batching.store import open_store

    file = briefs(folder / "done.jsonl", count)
    with open_store(folder / "done", 1) as store:
        store.fill(read_items([file]))
        with store.write() as connection:
            connection.execute("UPDATE items SET state = 'done', attempts = 1")
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with open_store(folder / "done") as store:
            store.fill(read_items([file]))
            counts = store.counts()
            assert counts.done == count and not store.take(1)
        took.append(time.perf_counter() - began)
    seconds = statistics.median(took)
    return {"items": count, "seconds": round(seconds, 3), "passed": seconds <= RESUME_SECONDS}


def overlapped(place: Path, home: Path, count: int, in_flight: int, calling: float, painting: float) -> float:
    """Seconds that a batch takes whose server takes so long a call, and whose painter so long a picture."""
    from studio.batches import batch

    place.mkdir()
    with serving(pause=calling) as url, stand_ins(models=False, painting=painting):
        settings = settings_for(home, url, **{"flow.images": 1})
        file = briefs(place / "painted.jsonl", count)
        made: Any = batch([file], out=place / "painted", settings=settings, in_flight=in_flight)
    if not made.whole:
        raise SystemExit(f"a batch that should be painted is not: {made.again}")
    return float(made.seconds)


def pictures(folder: Path, home: Path, count: int, in_flight: int) -> dict[str, Any]:
    """How long a batch takes in which a writer and a painter work at the same time, beside each of them alone."""
    calling = A_PICTURE * in_flight / A_DESIGN  # with which writing takes as long as painting
    overlapped(folder / "at-once", home, in_flight, in_flight, 0.0, 0.0)

    def took(writer: float, painter: float) -> float:
        place = folder / f"{writer}-{painter}"
        return overlapped(place, home, count, in_flight, writer * calling, painter * A_PICTURE)

    alone = {"writer": took(1.0, 0.0), "painter": took(0.0, 1.0)}
    found = []
    for writer, painter, larger in (
        (1.0, 1.0, max(alone.values())),
        (1.0, 0.5, alone["writer"]),
        (0.5, 1.0, alone["painter"]),
    ):
        each = {"seconds_a_call": round(writer * calling, 3), "seconds_a_picture": painter * A_PICTURE}
        both = took(writer, painter)
        found.append({**each, "seconds": both, "ratio": math.ceil(1000 * both / larger) / 1000})
    worst = max(one["ratio"] for one in found)
    stand = "a server that sleeps over a call, a painter that sleeps over a picture"
    told = {"designs": count, "in_flight": in_flight, "stand_ins": stand, "alone_seconds": alone, "together": found}
    return {**told, "worst_ratio": worst, "limit": OVERLAP, "passed": worst <= OVERLAP}


def faults(folder: Path, home: Path, count: int, share: float, in_flight: int) -> dict[str, Any]:
    """A batch on a server that often goes wrong."""
    from studio.batches import batch

    wrong = Faults(share, hang=60)
    with serving(faults=wrong) as url, stand_ins(models=False):
        settings = settings_for(home, url, **{"chat.timeout": 5, "flow.images": 1})
        made: Any = batch(
            [briefs(folder / "faulty.jsonl", count)],
            out=folder / "faulty",
            settings=settings,
            in_flight=in_flight,
            deadline=60,
        )
    calls = sum(wrong.seen.values())
    named = all(kind.retryable for kind in made.reasons)
    return {
        "items": count,
        "calls": calls,
        "wrong": {kind: number for kind, number in sorted(wrong.seen.items()) if kind != "well"},
        "done": made.done,
        "failed": made.failed,
        "all_failures_named_retryable": named,
        "seconds": made.seconds,
        "passed": made.done >= DONE * count and made.done + made.failed == count and named,
    }


def child(file: Path, out: Path, home: Path, url: str, in_flight: int) -> None:
    """Work on a batch in this process, which somebody may kill."""
    from studio.batches import batch

    with stand_ins(models=False):
        batch([file], out=out, settings=settings_for(home, url), in_flight=in_flight, images=1)


def start_child(file: Path, out: Path, home: Path, url: str, in_flight: int) -> subprocess.Popen[bytes]:
    """Start a process that works on a batch."""
    words = [sys.executable, __file__, "--child", str(file), str(out), str(home), url, str(in_flight)]
    return subprocess.Popen(words, env=environment(home), cwd=ROOT)


def left_by(out: Path) -> dict[str, Any]:
    """What a batch has made, for comparing: documents and pictures of each item, and how often what was done."""
    from studio.batching.results import results
    from studio.batching.store import read_store
    from workspace.files import verify
    from workspace.ledger import Ledger

    with read_store(out) as store, Ledger(out / "ledger.db", reading=True) as ledger:
        runs = [row.item.folder for row in store.rows("done")]
        effects = {run: sorted((one.key, one.kind) for one in ledger.keys(run)) for run in runs}
    return {
        "lines": [(one.id, one.design, one.prompts, [each.sha256 for each in one.pictures]) for one in results(out)],
        "effects": effects,
        "problems": [problem for run in runs for problem in verify(out / "designs" / run)],
        "leftovers": [str(path) for path in out.rglob(".staging-*")],
    }


def kill(folder: Path, home: Path, items: int, kills: int, in_flight: int, seed: int = 1) -> dict[str, Any]:
    """Kill the process that works on a batch at random moments, begin it again each time, and compare what comes."""
    asked: list[dict[str, Any]] = []
    draw = random.Random(seed)
    file = briefs(folder / "killed.jsonl", items)
    places, killed, here = list[Path](), 0, A_BATCH
    with serving(0.002, heard=asked.append) as url:
        begun = time.perf_counter()
        if start_child(file, folder / "whole", home, url, in_flight).wait():
            raise SystemExit("the batch that nobody kills failed")
        length, calls = time.perf_counter() - begun, len(asked)
        while killed < kills:
            if here == A_BATCH:
                places.append(folder / f"killed-{len(places)}")
                here = 0
            process = start_child(file, places[-1], home, url, in_flight)
            try:
                process.wait(draw.uniform(0.2, 1.0) * length)
                here = A_BATCH  # it was done before
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed, here = killed + 1, here + 1
        for place in places:
            if start_child(file, place, home, url, in_flight).wait():
                raise SystemExit("a batch that was killed did not go on")
    want = left_by(folder / "whole")
    found = [left_by(place) for place in places]
    same = sum(one == want for one in found)
    return {
        "items": items,
        "kills": killed,
        "batches": len(found),
        "the_same_as_never_killed": same,
        "calls_of_one_batch": calls,
        "calls_of_all_beside_it": len(asked) - calls,
        "passed": same == len(found) and not want["problems"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--designs", type=int, default=1000, help="of overhead")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--items", type=int, default=10_000, help="of resume")
    parser.add_argument("--painted", type=int, default=192, help="designs of pictures")
    parser.add_argument("--faulty", type=int, default=200, help="items of faults: about five calls each")
    parser.add_argument("--share", type=float, default=0.2, help="of calls that go wrong")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        file, out, home, url, in_flight = options.child
        child(Path(file), Path(out), Path(home), url, int(in_flight))
        return
    found: dict[str, Any] = {}
    with fresh_home() as home, tempfile.TemporaryDirectory(prefix="studio-batch-") as name:
        folder = Path(name)
        for part in options.parts:
            if part == "overhead":
                found[part] = overhead(folder, home, options.designs, options.in_flight)
            elif part == "resume":
                found[part] = resume(folder, options.items)
            elif part == "pictures":
                found[part] = pictures(folder, home, options.painted, options.in_flight)
            elif part == "faults":
                found[part] = faults(folder, home, options.faulty, options.share, options.in_flight)
            else:
                found[part] = kill(folder, home, 12, options.kills, 4)
            print(json.dumps({part: found[part]}), file=sys.stderr, flush=True)
    print(json.dumps({"benchmark": "batch", **found, "passed": all(one["passed"] for one in found.values())}))


if __name__ == "__main__":
    main()
