"""Structured output: different briefs through the embedded model, each to a ``MaterialDesign``. Prints JSON.

Every brief goes through the Scientist's turns (short ones, ``--tokens``) and the Engineer, as in a design. What comes
out is looked at again here, with rules of this file's own: no field empty, no string cut off or repeating itself.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from home import fresh_home
from team import kit_for

WANTS = (
    "a tough panel for helmets",
    "a light beam for a foot bridge",
    "a filter that cleans river water",
    "a facade that keeps a house cool",
    "a soft joint for a robot hand",
    "a coating that sheds ice",
    "a heart valve leaf",
    "a sole for a running shoe",
    "a crash absorber for a train",
    "a sail for a small boat",
)
SOURCES = (
    ("spider silk", "bone"),
    ("nacre", "leaf"),
    ("honeycomb", "bamboo"),
    ("collagen", "wood"),
    ("coral", "feather"),
)
HANGING = {
    "a",
    "an",
    "and",
    "as",
    "at",
    "by",
    "for",
    "from",
    "in",
    "of",
    "on",
    "or",
    "that",
    "the",
    "to",
    "which",
    "with",
}


def briefs(count: int) -> list[tuple[str, list[str]]]:
    pairs = [(want, list(source)) for source in SOURCES for want in WANTS]
    return [(f"Design {want} after {source[0]} and {source[1]}.", source) for want, source in pairs[:count]]


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}.{index}")


def faults(design: dict[str, Any]) -> list[str]:
    """What is wrong with a design's texts and lists."""
    found = [f"{key} is empty" for key, value in design.items() if value in (None, "", [], {})]
    for path, text in strings(design):
        words = re.findall(r"\w+", text.lower())
        if not text.strip():
            found.append(f"{path} is empty")
        if words and words[-1] in HANGING and not text.rstrip().endswith(("%", ")")):
            found.append(f"{path} breaks off: {text[-40:]!r}")
        grams = Counter(tuple(words[place : place + 4]) for place in range(len(words) - 3))
        if grams and max(grams.values()) >= 3:
            found.append(f"{path} repeats itself: {text[:60]!r}")
        if re.search(r"(.)\1{5,}", text):
            found.append(f"{path} repeats a character: {text[:60]!r}")
    return found


def one(kit: Any, text: str, sources: list[str]) -> dict[str, Any]:
    """One brief to a design."""
    from agents.documents import Brief
    from agents.roles import engineer, scientist
    from agents.state import initial_state

    state: Any = initial_state(Brief(text=text, inspirations=sources))
    while state["turn"] < len(kit.program.turns):
        changes = scientist.scientist(kit, state)
        state |= changes | {name: state[name] + changes[name] for name in ("messages", "evidence")}
    begun = time.perf_counter()
    made = engineer.engineer(kit, state)
    return {"design": made["design"], "repairs": made["repairs"], "seconds": time.perf_counter() - begun}


def main() -> None:
    from pydantic import ValidationError

    from agents.documents import MaterialDesign
    from tests.fixtures_run import InstantPainter
    from workspace.errors import StudioError

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=160, help="tokens of each of the Scientist's answers")
    parser.add_argument("--out", type=Path, help="file for the designs, a line of JSON each; the same file resumes")
    options = parser.parse_args()
    wanted = briefs(options.count)
    made = {row["number"]: row for row in _lines(options.out)}
    with fresh_home() as home:
        changes = {"roles.scientist.max_tokens": options.tokens}
        kit = kit_for(home, 7, changes, painter=InstantPainter(vocabulary={}))
        for number, (text, sources) in enumerate(wanted, 1):
            if number in made:
                continue
            row = {"number": number, "brief": text}
            try:
                row |= one(kit, text, sources)
                MaterialDesign.model_validate(row["design"])
            except (StudioError, ValidationError) as error:
                row["error"] = str(error)[:300]
            made[number] = row
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            print(f"{number} of {len(wanted)}: {_wrong(row) or 'well'}", file=sys.stderr, flush=True)
    rows = [made[number] for number in range(1, len(wanted) + 1)]
    wrong = [{"brief": row["brief"], "faults": _wrong(row)} for row in rows if _wrong(row)]
    repairs = [row["repairs"] for row in rows if "error" not in row]
    seconds = [row["seconds"] for row in rows if "error" not in row]
    print(
        json.dumps(
            {
                "benchmark": "structured",
                "model": "smollm2-135m-instruct",
                "briefs": len(rows),
                "valid": len(rows) - len(wrong),
                "needed_repair": sum(count > 0 for count in repairs),
                "repairs": sum(repairs),
                "engineer_seconds_mean": round(sum(seconds) / max(1, len(seconds)), 2),
                "wrong": wrong,
                "passed": not wrong,
            }
        )
    )


def _wrong(row: dict[str, Any]) -> list[str]:
    return [row["error"]] if "error" in row else faults(row["design"])


def _lines(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
