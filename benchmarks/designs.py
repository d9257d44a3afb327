"""Designs in words for a file of briefs: conversation, document, picture prompt, nothing painted. Lines of JSON.

    python benchmarks/designs.py briefs.jsonl --out designs.jsonl           # goes on where it was stopped
    python benchmarks/designs.py held-out --out designs.jsonl               # the forty that no writer was taught
    python benchmarks/designs.py briefs.jsonl --out before.jsonl --set chat.adapter=DIR

A brief is a line with ``brief``, ``inspirations`` and perhaps ``target``. The last line on standard output is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from team import kit_for

SEED = 2200
PROGRAMS = {"material microstructure": "relate-and-design", "building": "architecture", "city": "city"}


def briefs(source: str) -> list[dict[str, Any]]:
    if source != "held-out":
        return [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines() if line.strip()]
    from training.embedded.writer.data import examples

    return [{name: one[name] for name in ("brief", "inspirations", "target")} for one in examples(held_out=True)]


def written(kit: Any, number: int, asked: dict[str, Any]) -> dict[str, Any]:
    """One brief to a design and a prompt."""
    from agents.documents import Brief
    from agents.programs import load_program
    from agents.roles import engineer, illustrator, scientist
    from agents.state import initial_state

    target = asked.get("target", "material microstructure")
    kit = replace(kit, program=load_program(PROGRAMS[target]), seed=SEED + number)
    state: Any = initial_state(Brief(text=asked["brief"], inspirations=asked["inspirations"], target=target))
    begun = time.perf_counter()
    while state["turn"] < len(kit.program.turns):
        changes = scientist.scientist(kit, state)
        state |= changes | {name: state[name] + changes[name] for name in ("messages", "evidence") if name in changes}
    talked = time.perf_counter()
    state |= engineer.engineer(kit, state)
    designed = time.perf_counter()
    told = illustrator.illustrator(kit, state)["prompts"][-1]
    return {
        **asked,
        "number": number,
        "answers": [one["content"] for one in state["messages"] if one["role"] == "assistant"],
        "evidence": state.get("evidence", []),
        "design": state["design"],
        "prompt": told,
        "repairs": state["repairs"],
        "seconds": {
            "turns": round(talked - begun, 2),
            "document": round(designed - talked, 2),
            "all": round(time.perf_counter() - begun, 2),
        },
    }


def main(source: str, out: Path, home: Path, changes: dict[str, Any]) -> dict[str, Any]:
    done = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
    asked = briefs(source)
    kit = kit_for(home, SEED, changes)
    with out.open("a", encoding="utf-8") as file:
        for number in range(len(done), len(asked)):
            file.write(json.dumps(written(kit, number, asked[number]), ensure_ascii=False) + "\n")
            file.flush()
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    seconds = sorted(row["seconds"]["all"] for row in rows)
    return {"designs": len(rows), "median_seconds": seconds[len(seconds) // 2]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", help="a file of briefs, or held-out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("~/.studio").expanduser())
    parser.add_argument("--set", action="append", default=[], help="a setting, NAME=VALUE")
    chosen = parser.parse_args()
    given = dict(one.split("=", 1) for one in chosen.set)
    print(json.dumps(main(chosen.source, chosen.out, chosen.home, given)))
