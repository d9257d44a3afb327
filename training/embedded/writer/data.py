"""The writer's examples: whole designs with evidence, written for this purpose, each checked against its sources.

A line of `designs.jsonl.xz` is a wish, its sources, the statements of atlas and sample corpus that were looked up for
it, the Scientist's three answers, which cite them by number, the design document and the picture's words. Forty are
held out: they are in no training row.

    python -m training.embedded.writer.data --pack designs.jsonl    # make the file from lines of JSON
    python -m training.embedded.writer.data --show > designs.jsonl  # read it
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from agents.documents import Known
from agents.evidence.citations import cited
from agents.units import quantity
from training.sample.papers import passages
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas
from workspace.files import publish

FILE = Path(__file__).with_name("designs.jsonl.xz")
_ONE = re.compile(r"\[(\d+)\]")
_END = re.compile(r"(?<=[.])\s+(?=[A-Z])")

Rng = np.random.Generator
Example = Mapping[str, Any]


@cache
def examples(*, held_out: bool = False) -> tuple[Example, ...]:
    """The designs for training, or those that are held out."""
    lines = lzma.decompress(FILE.read_bytes()).decode("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(row for row in rows if row["held_out"] == held_out)


@cache
def said() -> Mapping[str, Known]:
    """Every statement that an example may cite, by its id; their numbers mean nothing yet."""
    found = {}
    for material in atlas().values():
        for one in statements(material):
            found[one.id] = _known(one.id, f"atlas/{material.id}", material.name, one.text)
    for passage in passages():
        for number, text in enumerate(_END.split(passage["text"]), 1):
            name = f"corpus/{passage['id']}/{number}"
            found[name] = _known(name, f"sample/{passage['id']}", passage["title"], text)
    return found


def _known(name: str, document: str, title: str, text: str) -> Known:
    return Known(number=1, passage=name, document=document, title=title, text=text, page=1)


def evidence(example: Example, rng: Rng) -> tuple[list[Known], list[str]]:
    """The statements of an example as the team gets them, in an order of chance, and the answers that cite them so.

    Returns:
        The statements: those of the first source, of the second, then the rest, numbered from 1. The answers.
    """
    owners = dict(zip(example["materials"], example["inspirations"], strict=True))
    held = [(name, owners.get(name.split("/")[0], "")) for name in example["evidence"]]
    shuffled = [held[int(place)] for place in rng.permutation(len(held))]
    places = {name: place for place, name in enumerate([*example["inspirations"], ""])}
    shuffled.sort(key=lambda one: places[one[1]])
    known = [
        said()[name].model_copy(update={"number": number, "about": about})
        for number, (name, about) in enumerate(shuffled, 1)
    ]
    numbers = {example["evidence"].index(one.passage) + 1: one.number for one in known}

    return known, [_ONE.sub(lambda one: f"[{numbers[int(one[1])]}]", answer) for answer in example["answers"]]


def principles(example: Example) -> dict[str, str]:
    """The statements that an example's principles rest on, by its sources."""
    return {one["name"]: said()[one["cite"]].text for one in example["document"]["inspirations"]}


def document(example: Example) -> dict[str, Any]:
    """The document as the Engineer writes it: mechanisms as texts, and of the properties those that are targets."""
    written, plain = example["document"], ("name", "feature", "principle")
    return {
        **written,
        "inspirations": [{key: one[key] for key in plain} for one in written["inspirations"]],
        "mechanisms": [one["text"] for one in written["mechanisms"]],
        "properties": [made for one in written["properties"] if (made := _target(one))],
    }


def _target(one: Mapping[str, Any]) -> dict[str, Any] | None:
    """A property that the design aims at, in the documents' units; none that was taken from a source or computed."""
    if one["from"] != "assumed":
        return None
    try:
        value, unit = quantity(float(str(one["value"]).replace(",", "")), one["unit"])
    except ValueError:  # a range
        return None
    return {"name": one["name"], "value": value, "unit": unit, "basis": one["basis"]}


def pack(lines: Sequence[str], held_out: int, seed: int = 22) -> int:
    """Write `FILE` from lines of JSON, with so many of them held out; those whose wish another line repeats stay in.

    Returns:
        How many designs it holds.
    """
    rows = [json.loads(line) for line in lines if line.strip()]
    for number, row in enumerate(rows, 1):
        strange = [name for name in (*row["evidence"], *_cites(row)) if name not in said()]
        beyond = [one for answer in row["answers"] for one in cited(answer) if one > len(row["evidence"])]
        if beyond:
            raise ValueError(f"design {number}: an answer cites [{beyond[0]}] of {len(row['evidence'])}")
        if strange:
            raise ValueError(f"design {number}: no statement {strange[0]!r}")
    order = np.random.default_rng(seed).permutation(len(rows))
    chosen = {int(place) for place in order[:held_out]}
    text = "".join(
        json.dumps(row | {"held_out": row.get("held_out", place in chosen)}, ensure_ascii=False) + "\n"
        for place, row in enumerate(rows)
    )
    publish(FILE, lzma.compress(text.encode("utf-8"), preset=9))
    return len(rows)


def _cites(row: Example) -> list[str]:
    parts = [*row["document"]["inspirations"], *row["document"]["mechanisms"], *row["document"]["properties"]]
    return [one["cite"] for one in parts if one.get("cite")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pack", type=Path, help="lines of JSON to make the file from")
    parser.add_argument("--held-out", type=int, default=40)
    parser.add_argument("--show", action="store_true", help="write the file's lines to standard output")
    options = parser.parse_args()
    if options.pack:
        print(pack(options.pack.read_text(encoding="utf-8").splitlines(), options.held_out))
    if options.show:
        sys.stdout.write(lzma.decompress(FILE.read_bytes()).decode("utf-8"))
