"""Designs by a program of one's own, from briefs that a script has put together.

    python examples/custom_program.py [PROGRAM.yaml] [FOLDER]

A program is a system prompt and the turns of a conversation; canopy.yaml beside this file is one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import studio

PROGRAM = Path(__file__).parent / "canopy.yaml"
PLACES = {"Lisbon": "strong sun and sea wind", "Bergen": "rain on most days", "Quito": "hail in the afternoon"}


def main(program: Path = PROGRAM, out: Path = Path("canopies")) -> None:
    """Write the briefs as JSON lines, and make the designs."""
    print(studio.open_program(str(program)).description)
    out.mkdir(parents=True, exist_ok=True)
    briefs = out / "briefs.jsonl"
    rows = [
        {"id": place, "brief": f"A canopy for the market of {place}: {weather}", "inspirations": ["leaf", "web"]}
        for place, weather in PLACES.items()
    ]
    briefs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = studio.batch(briefs, out=out, program=str(program), images=1, rounds=1, seed=42)
    print(f"{summary.done} designs: {summary.page}")
    if summary.again:
        sys.exit(f"not all are made: {summary.again}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
