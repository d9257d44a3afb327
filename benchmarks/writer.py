"""The embedded writer on wishes it never saw, tuned and untuned. Prints JSON.

Every brief is of one of the forty designs that are in no training row and goes through the Scientist's turns, the
Engineer and the Illustrator, as in a design. What comes out is judged here by rules of this file's own:

- ``both_inspirations``: both are listed, with different features, and each is taken up elsewhere in the document;
- ``components``: three to six, no two of one name or one material;
- ``units``: every property with a number has a unit;
- ``repetition``: no four words in a row stand more than three times in the document;
- ``prompt``: the short prompt has words of two of the painter's families and at most 77 tokens (counted by MiniLM's
  tokenizer, which is at hand where CLIP's is not and cuts words smaller). The Illustrator puts it together from the
  painter's words, so this holds for any writer.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from home import fresh_home
from team import kit_for

SEED = 9
PROGRAMS = {"material microstructure": "relate-and-design", "building": "architecture", "city": "city"}


def stems(text: str) -> frozenset[str]:
    from agents.vocabulary import stems as found

    return found(text)


def text_of(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(text_of(item) for item in value.values())
    if isinstance(value, list):
        return " ".join(text_of(item) for item in value)
    return str(value)


def uses_both(design: dict[str, Any], names: list[str]) -> bool:
    from agents.vocabulary import contains

    sources = design["inspirations"]
    if not all(any(contains(one["name"], name) for one in sources) for name in names):
        return False
    if len({one["feature"].lower() for one in sources}) < len(sources):
        return False
    rest = stems(text_of({key: value for key, value in design.items() if key != "inspirations"}))
    return all(len((stems(one["name"]) | stems(one["feature"])) & rest) >= 2 for one in sources)


def components_fit(design: dict[str, Any]) -> bool:
    parts = design["components"]
    names, materials = ({part[key].lower() for part in parts} for key in ("name", "material"))
    return 3 <= len(parts) <= 6 and len(names) == len(parts) == len(materials)


def repeats_nothing(design: dict[str, Any]) -> bool:
    words = re.findall(r"\w+", text_of(design).lower())
    grams = Counter(tuple(words[place : place + 4]) for place in range(len(words) - 3))
    return max(grams.values()) <= 3


def prompt_fits(short: str, vocabulary: dict[str, list[str]], count: Any) -> bool:
    told = stems(short)
    known = [name for name, phrases in vocabulary.items() if any(stems(phrase) <= told for phrase in phrases)]
    return len(known) >= 2 and count(short) <= 77


def written(kit: Any, number: int) -> dict[str, Any]:
    """One held-out pair to a design and a prompt."""
    from agents.documents import Brief
    from agents.programs import load_program
    from agents.roles import engineer, illustrator, scientist
    from agents.state import initial_state
    from training.embedded.writer.rows import example

    asked = example(SEED, number, held_out=True)[0]
    kit = replace(kit, program=load_program(PROGRAMS[asked["target"]]), seed=SEED + number)
    brief = Brief(text=asked["brief"], inspirations=asked["inspirations"], target=asked["target"])
    state: Any = initial_state(brief)
    begun = time.perf_counter()
    while state["turn"] < len(kit.program.turns):
        changes = scientist.scientist(kit, state)
        grown = {name: state[name] + changes[name] for name in ("messages", "evidence")}
        state |= changes | grown
    talked = time.perf_counter()
    state |= engineer.engineer(kit, state)
    told = illustrator.illustrator(kit, state)["prompts"][-1]
    return {
        "number": number,
        "brief": asked["brief"],
        "inspirations": asked["inspirations"],
        "answers": [one["content"] for one in state["messages"] if one["role"] == "assistant"],
        "design": state["design"],
        "prompt": told,
        "repairs": state["repairs"],
        "turns_seconds": round(talked - begun, 1),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def rates(rows: list[dict[str, Any]], vocabulary: dict[str, list[str]], count: Any) -> dict[str, Any]:
    """The share of rows that keep each rule, and the mean time."""

    def share(keeps: Any) -> float | None:
        return round(sum(bool(keeps(row)) for row in rows) / len(rows), 3) if rows else None

    return {
        "pairs": len(rows),
        "both_inspirations": share(lambda row: uses_both(row["design"], row["inspirations"])),
        "components": share(lambda row: components_fit(row["design"])),
        "units": share(lambda row: all(one["unit"] for one in row["design"]["properties"])),
        "repetition": share(lambda row: repeats_nothing(row["design"])),
        "prompt": share(lambda row: prompt_fits(row["prompt"]["short"], vocabulary, count)),
        "seconds_mean": round(sum(row["seconds"] for row in rows) / max(1, len(rows)), 1),
    }


def run(
    home: Path, adapter: str, pairs: int, out: Path | None = None, seconds: float = math.inf
) -> list[dict[str, Any]]:
    """Write so many designs, fewer where so many seconds are over; a file of them resumes."""
    began = time.perf_counter()
    known = out.read_text(encoding="utf-8").splitlines() if out and out.is_file() else []
    rows = {row["number"]: row for row in map(json.loads, known)}
    kit = kit_for(home, SEED, {"chat.adapter": adapter})
    for number in range(pairs):
        if number not in rows:
            if time.perf_counter() - began > seconds:
                break
            rows[number] = written(kit, number)
            if out:
                out.parent.mkdir(parents=True, exist_ok=True)
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[number]) + "\n")
            print(f"{adapter}: {number + 1} of {pairs}, {rows[number]['seconds']} s", file=sys.stderr, flush=True)
    return [rows[number] for number in range(pairs) if number in rows]


def vocabulary_of(home: Path) -> tuple[dict[str, list[str]], Any]:
    """The painter's words, and how many tokens a prompt has."""
    from transformers import AutoTokenizer

    from models.catalogue.fetch import locate
    from pipelines.pictures.painter import Painter
    from workspace.settings import load_settings

    painter = Painter.load(load_settings("embedded", {"home": str(home)}).painter, home)
    tokenizer = AutoTokenizer.from_pretrained(locate("all-minilm-l6-v2", home), local_files_only=True)
    return painter.vocabulary()["vocabulary"], lambda text: len(tokenizer(text).input_ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--untuned", type=int, default=10, help="pairs for the untuned model")
    parser.add_argument("--adapter", default="studio-writer")
    parser.add_argument("--out", type=Path, help="folder for the designs; the same folder resumes")
    options = parser.parse_args()
    with fresh_home() as home:
        words, count = vocabulary_of(home)
        told: dict[str, Any] = {"benchmark": "writer"}
        for name, adapter, pairs in (
            ("tuned", options.adapter, options.pairs),
            ("untuned", "none", options.untuned),
        ):
            file = options.out / f"{name}.jsonl" if options.out else None
            told[name] = rates(run(home, adapter, pairs, file), words, count)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
