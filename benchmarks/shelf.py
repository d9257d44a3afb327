"""How long the shelf takes to show its first page, with few pictures and with many, and to search.

Makes a home of its own with tiny pictures, one run for every four, and prints one JSON object.

    python benchmarks/shelf.py --pictures 100 --pictures 10000 --times 20
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

import studio
from studio.queue.claims import ledger_of
from workspace.ledger import ArtifactRow
from workspace.settings import load_settings

A_RUN = 4
WORDS = ("nacre", "bone", "bamboo", "silk", "leaf veins", "honeycomb", "cork", "coral")


def tiny(number: int, place: int) -> bytes:
    """The file of a run's picture: sixteen pixels a side of one colour, another for each."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, number // 256 % 256, place * 60)).save(buffer, "PNG")
    return buffer.getvalue()


def fill(home: Path, pictures: int, draw: Callable[[int, int], bytes] = tiny) -> None:
    """Make a home with finished runs, as they stand in the ledger and in their folders.

    Args:
        home: Where.
        pictures: How many, four to a run.
        draw: Gives the PNG file of a run's picture, by the run's number and the picture's place.
    """
    with ledger_of(home) as ledger:
        for number in range(pictures // A_RUN):
            run_id = f"20261101-000000-a-panel-{number:06d}"
            word = WORDS[number % len(WORDS)]
            folder = home / "runs" / run_id
            (folder / "images").mkdir(parents=True)
            design = {"title": f"Panel {number} after {word}", "summary": "It turns cracks aside. " * 20}
            (folder / "design.json").write_text(json.dumps(design))
            fits = [{"picture": place, "fit": (number + place) % 11} for place in range(A_RUN)]
            (folder / "critiques.json").write_text(json.dumps(fits))
            (folder / "prompts.json").write_text(json.dumps([{"long": f"thin lines like {word}"}]))
            (folder / "manifest.json").write_text(json.dumps({"best": number % A_RUN}))
            made = [_picture(folder, number, place, draw(number, place)) for place in range(A_RUN)]
            record = {"program": {"name": "relate-and-design"}, "settings": {"flow": {"images": A_RUN}}}
            brief = {"text": f"a tough panel inspired by {word}, number {number}"}
            ledger.create_run(run_id, brief, record, number, str(folder), "finished", artifacts=made)
        with ledger.write() as connection:  # as if they had been made an hour apart
            connection.execute("UPDATE jobs SET created = created - 3600.0 * (rowid + 1), updated = updated - 3600.0")
            connection.execute("UPDATE artifacts SET at = at - 3600.0 * (rowid / 4 + 1)")


def _picture(folder: Path, number: int, place: int, data: bytes) -> ArtifactRow:
    name = f"images/{place + 1:02d}.png"
    (folder / name).write_bytes(data)
    spec = {"prompt": "thin lines", "width": 16, "height": 16, "model": "tiny"}
    meta = {"seed": number, "index": place, "pixels_sha256": "", "spec": spec}
    return ArtifactRow(name, hashlib.sha256(data).hexdigest(), "picture", meta, time.time())


def timed(times: int, act: Callable[[], Any]) -> dict[str, float]:
    """The median and the longest of some calls, in seconds, after one that is not counted."""
    act()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return {"median_s": round(statistics.median(took), 5), "most_s": round(max(took), 5)}


def measure(home: Path, times: int) -> dict[str, Any]:
    """The times of one home: its rows made, its first page, a page far behind, searches."""
    settings = load_settings(None, {"home": str(home)})
    began = time.perf_counter()
    while studio.find_runs(settings=settings, count=1).pending:
        pass
    made = round(time.perf_counter() - began, 3)
    after = ""
    for _ in range(3):
        after = studio.find_pictures(settings=settings, after=after, count=200).next or after
    searched: dict[str, dict[str, Any]] = {
        "first_page": {},
        "later_page": {"after": after},
        "search": {"search": "coral cracks"},
        "search_nothing": {"search": "xylophone"},
        "best_first": {"sort": "best"},
        "starred": {"star": True},
    }
    told: dict[str, Any] = {"rows_made_s": made}
    for name, asked in searched.items():
        told[name] = timed(times, lambda asked=asked: studio.find_pictures(settings=settings, **asked))  # type: ignore[misc]
    told["first_page_of_runs"] = timed(times, lambda: studio.find_runs(settings=settings))
    return told


def main() -> None:
    """Measure homes of some sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, action="append", help="Pictures of a home; may be given again")
    parser.add_argument("--times", type=int, default=20, help="Calls that are timed")
    asked = parser.parse_args()
    told: dict[str, Any] = {}
    sizes = asked.pictures or [100, 10_000]
    for pictures in sizes:
        with tempfile.TemporaryDirectory(prefix="studio-shelf-") as home:
            fill(Path(home), pictures)
            told[str(pictures)] = measure(Path(home), asked.times)
    first, last = (told[str(size)]["first_page"]["median_s"] for size in (sizes[0], sizes[-1]))
    print(json.dumps(told | {"first_page_ratio": round(last / first, 2)}, indent=1))


if __name__ == "__main__":
    main()
