"""A batch on Ray: what a second painter brings, and what kills of its processes cost. Prints JSON.

``painters``: the same painter-bound batch with one painter and with two, each of which sleeps over a picture.
``kills``: a batch of which some briefs are always refused, its workers and painters killed (SIGKILL) at random moments:
everything else is done exactly once, and what is refused is named with its reason.

Models are a scripted server's, the painter is a stand-in; workers, painters, ledger and files are the real ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from batch import briefs, left_by, settings_for
from home import ROOT, fresh_home
from ray_stand_ins import POISON, cluster, processes, stand_in, title
from scripted_server import serving

PARTS = ("painters", "kills")
RATIO = 1.7


def painters(folder: Path, home: Path, items: int, seconds: float) -> dict[str, Any]:
    """How long the same batch takes with one painter and with two, from the first picture on: then all are there."""
    from studio.batches import batch

    took: dict[int, float] = {}
    with_start: dict[int, float] = {}
    file = briefs(folder / "painted.jsonl", items)
    with serving() as url, cluster(ROOT, folder, seconds, 4):
        for count in (1, 2):
            settings = settings_for(home, url)
            more: dict[str, Any] = {"engine": "ray", "workers": count, "painters": count, "settings": settings}
            (folder / "times").unlink(missing_ok=True)
            began = time.time()
            made: Any = batch([file], out=folder / f"painted-{count}", in_flight=8, **more)
            with_start[count] = time.time() - began
            took[count] = time.time() - float((folder / "times").read_text(encoding="utf-8").split()[0])
            assert made.whole and made.pictures == 2 * items
    ratio = took[1] / took[2]
    return {
        "designs": items,
        "seconds_a_picture": seconds,
        "one": round(took[1], 2),
        "two": round(took[2], 2),
        "one_with_start": round(with_start[1], 2),
        "two_with_start": round(with_start[2], 2),
        "ratio": round(ratio, 2),
        "limit_ratio": RATIO,
        "passed": ratio >= RATIO,
    }


class Killer(threading.Thread):
    """Kills actors' processes at random moments, so many.

    Args:
        seen: Where they leave their traces.
        kills: How many.
        done: How many items there are; they are killed while the first three quarters are made.
        seed: Of the moments and the victims.
    """

    def __init__(self, seen: Path, kills: int, items: int, seed: int) -> None:
        super().__init__(daemon=True)
        draw = random.Random(seed)
        self._draw, self._seen = draw, seen
        self.left = sorted(draw.uniform(0.02, 0.75) * items for _ in range(kills))
        self.killed: Counter[str] = Counter()
        self._lock = threading.Condition()
        self._settled = 0
        self._over = False

    def hear(self, event: Any) -> None:
        """Take an event of the batch."""
        if event.type == "batch_progress":
            with self._lock:
                self._settled = event.done + event.failed
                self._lock.notify()

    def run(self) -> None:
        """Kill one whenever so many are made."""
        while self.left:
            with self._lock:
                self._lock.wait_for(lambda: self._settled >= self.left[0] or self._over)
                if self._over:
                    return
            living = processes(self._seen)
            if not living:
                time.sleep(0.05)  # the last one is not made anew yet
                continue
            pid = self._draw.choice(living)
            kind = title(pid).partition(".")[0].removeprefix("ray::").partition("\0")[0]
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[kind] += 1
                self.left.pop(0)

    def end(self) -> None:
        """Kill no more."""
        with self._lock:
            self._over = True
            self._lock.notify()
        self.join()


def kills(folder: Path, home: Path, items: int, share: float, count: int, in_flight: int) -> dict[str, Any]:
    """A batch with poisoned briefs, whose processes are killed."""
    from studio.batches import batch
    from studio.batching import drive
    from studio.batching.shapes import LEDGER
    from studio.batching.store import read_store
    from workspace.ledger import Ledger

    file, out = briefs(folder / "killed.jsonl", items), folder / "killed"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    bad = random.Random(1).sample(range(items), round(share * items))
    for number in bad:
        rows[number]["brief"] += f", {POISON}"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked: list[str] = []
    killer = Killer(folder, count, items, 1)
    with serving(heard=lambda request: asked.append(fingerprint(request))) as url, cluster(ROOT, folder, 0.0, 6):
        began = time.perf_counter()
        killer.start()
        more: dict[str, Any] = {"engine": "ray", "workers": 4, "painters": 2, "settings": settings_for(home, url)}
        with patch.object(drive, "_OFTEN", 0.1):
            made: Any = batch([file], out=out, in_flight=in_flight, images=1, listener=killer.hear, **more)
        killer.end()
        took = time.perf_counter() - began
    with read_store(out) as store, Ledger(out / LEDGER, reading=True) as ledger:
        done = [row.item.folder for row in store.rows("done")]
        failed = {row.item.id: row.outcome.reason for row in store.rows("failed")}
        effects = Counter(one.kind for run in done for one in ledger.keys(run))
        pictures = [len(ledger.artifacts(run)) for run in done]
    painted = Counter((folder / "painted").read_text(encoding="utf-8").split())
    left = left_by(out)
    well = (
        made.done == items - len(bad)
        and failed == {rows[number]["id"]: "this brief is refused" for number in bad}
        and effects["picture"] == len(done)
        and set(pictures) == {1}
        and not left["problems"]
        and not left["leftovers"]
    )
    return {
        "items": items,
        "poisoned": len(bad),
        "killed": dict(killer.killed),
        "done": made.done,
        "failed": made.failed,
        "effects": dict(effects),
        "pictures_kept": sum(pictures),
        "pictures_painted": painted.total(),
        "calls": len(asked),
        "calls_that_came_again": len(asked) - len(set(asked)),
        "seconds": round(took, 1),
        "passed": well and sum(killer.killed.values()) == count,
    }


def fingerprint(request: dict[str, Any]) -> str:
    """What tells a request from others."""
    return hashlib.sha256(json.dumps([request["messages"], request.get("seed")]).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--designs", type=int, default=60, help="of painters: two pictures each")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a picture takes")
    parser.add_argument("--items", type=int, default=1000, help="of kills")
    parser.add_argument("--poisoned", type=float, default=0.05, help="share of them")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--in-flight", type=int, default=16)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with fresh_home() as home, tempfile.TemporaryDirectory(prefix="studio-ray-batch-") as name:
        stand_in()
        for part in options.parts:
            folder = Path(name) / part
            folder.mkdir()
            if part == "painters":
                found[part] = painters(folder, home, options.designs, options.seconds)
            else:
                wanted = (options.items, options.poisoned, options.kills, options.in_flight)
                found[part] = kills(folder, home, *wanted)
            print(json.dumps({part: found[part]}), file=sys.stderr, flush=True)
    print(json.dumps({"benchmark": "ray_batch", **found, "passed": all(one["passed"] for one in found.values())}))


if __name__ == "__main__":
    main()
