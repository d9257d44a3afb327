"""Training rows for the embedded writer, in the very shapes in which it is asked, as trees that share what is common.

One row of a design is its conversation in the model's chat template, with every answer learned; the others are its
document's and its picture's fields as a small model continues them. What is asked is worded by the programs and roles
themselves; what is known stands there by number, in an order of chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from agents.documents import Brief, Known
from agents.evidence.gathering import lines, said_of
from agents.programs import load_program, render
from agents.roles.engineer import design_examples
from agents.roles.illustrator import picture_examples
from models.filling.shots import field_text
from training.embedded.writer.branches import Piece, Tree
from training.embedded.writer.data import Example, document, evidence, examples, principles

_MARK = "\u241e"
Path_ = tuple[str | int, ...]
FIELDS: Sequence[Path_] = (
    ("title",),
    ("summary",),
    ("inspirations", 0, "feature"),
    ("inspirations", 0, "principle"),
    ("components", 0, "name"),
    ("components", 0, "material"),
    ("components", 0, "role"),
    ("architecture", "scale"),
    ("architecture", "description"),
    ("mechanisms", 0),
    ("properties", 0, "name"),
    ("properties", 0, "unit"),
    ("properties", 0, "value"),
    ("properties", 0, "basis"),
    ("fabrication", 0),
    ("applications", 0),
    ("risks", 0),
)
EMPTY = (
    "The design is a testament to the power of nature and its endless ideas.",
    "This is important because the material is used in many different ways.",
    "It is a strong and flexible structure that is strong and very flexible.",
    "The material has properties that make it suitable for various applications.",
    "Nature shows us that everything is connected in a unique and beautiful way.",
    "The structure is designed to be efficient and to work well in every case.",
    "It combines the best of both worlds in an innovative and sustainable design.",
    "The system is made of several parts that all play a crucial role in it.",
)
"""Sentences that say nothing, as a small model likes to write them: what DPO teaches not to prefer."""

PICTURE: Sequence[Path_] = (("short",), ("long",))


def turns(example: Example, known: Sequence[Known], answers: Sequence[str]) -> list[dict[str, str]]:
    """The whole conversation of a design as messages."""
    brief = Brief(text=example["brief"], target=example["target"])
    names = list(example["inspirations"])
    script = render(load_program(example["program"]), brief, names, lines(known, names))
    messages = [{"role": "system", "content": script.system}]
    for question, answer in zip(script.turns, answers, strict=True):
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return messages


def conversation(messages: Sequence[Mapping[str, str]], tokenizer: Any) -> Tree:
    """A conversation in the model's template: the answers with the mark that ends a turn are learned."""
    blank = [{**one, "content": _MARK} if one["role"] == "assistant" else dict(one) for one in messages]
    spoken = tokenizer.apply_chat_template(blank, tokenize=False).split(_MARK)
    pieces: list[Piece] = []
    answers = [one["content"] for one in messages if one["role"] == "assistant"]
    for before, answer in zip(spoken, answers, strict=False):
        asked = before.removeprefix(tokenizer.eos_token) if pieces else before
        pieces += [(_ids(tokenizer, asked), False), (_ids(tokenizer, answer + tokenizer.eos_token), True)]
    return Tree(pieces[0][0], [pieces[1:]])


def fields(example: Example, tokenizer: Any) -> Tree:
    """A design's fields, each continued from what the document is about."""
    return _tree(_about(example), document(example), FIELDS, tokenizer)


def _about(example: Example) -> str:
    said = said_of(principles(example))
    return design_examples(example["brief"], example["inspirations"], said, example["answers"]).about


def picture(example: Example, tokenizer: Any) -> Tree:
    """A design's picture in words, from its title, patterns, arrangement and colours."""
    drawn = example["picture"]
    stem = picture_examples(document(example), example["target"], drawn["motifs"], drawn["palette"]).about
    return _tree(stem, drawn, PICTURE, tokenizer)


def _tree(stem: str, written: Mapping[str, Any], paths: Sequence[Path_], tokenizer: Any) -> Tree:
    texts = [field_text(written, path) for path in paths]
    return Tree(_ids(tokenizer, stem + "\n"), [[(_ids(tokenizer, text + "\n"), True)] for text in texts if text])


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def example(seed: int, number: int, *, held_out: bool = False) -> tuple[Example, np.random.Generator]:
    """The numbered example: all of them in an order of chance, then all again in another."""
    held = examples(held_out=held_out)
    order = np.random.default_rng([seed, number // len(held)]).permutation(len(held))
    return held[int(order[number % len(held)])], np.random.default_rng([seed, number, 2])


def rows(seed: int, number: int, tokenizer: Any, *, held_out: bool = False) -> Iterator[Tree]:
    """The rows of one design: its conversation, its document, its picture.

    Args:
        seed: Of the order of the designs, and of what is known in each.
        number: Which design.
        tokenizer: The writer's, with its chat template.
        held_out: Of the designs that are in no training row.
    """
    design, rng = example(seed, number, held_out=held_out)
    known, answers = evidence(design, rng)
    yield conversation(turns(design, known, answers), tokenizer)
    yield fields(design, tokenizer)
    yield picture(design, tokenizer)


def pairs(seed: int, number: int, tokenizer: Any) -> Tree:
    """Some of a design's fields twice each: as they are, then a plausible wrong answer; chosen before rejected.

    Wrong is what belongs to another design, a feature of the wrong source, a list that repeats its first item, and
    praise that says nothing.
    """
    design, rng = example(seed, number)
    other = document(example(seed + 1, number)[0])
    stem, written = _about(design), document(design)
    branches: list[list[Piece]] = []
    for place in rng.permutation(len(FIELDS))[:8]:
        path = FIELDS[int(place)]
        right, wrong = field_text(written, path), _wrong(written, other, path, rng)
        if right and wrong and wrong != right:
            for text in (right, wrong):
                branches.append([(_ids(tokenizer, text + "\n"), True)])
    return Tree(_ids(tokenizer, stem + "\n"), branches)


def _wrong(written: Mapping[str, Any], other: Mapping[str, Any], path: Path_, rng: np.random.Generator) -> str:
    first = path[0]
    if first == "inspirations" and len(written["inspirations"]) > 1:
        ours, theirs = written["inspirations"], [*written["inspirations"][1:], written["inspirations"][0]]
        mixed = [{**one, path[-1]: wrong[path[-1]]} for one, wrong in zip(ours, theirs, strict=True)]
        return field_text({"inspirations": mixed}, path)
    if first == "components":
        parts = written["components"]
        if path[-1] == "name":
            return field_text({"components": [parts[0], *parts[:-1]]}, path)
        strange = [{**one, path[-1]: wrong[path[-1]]} for one, wrong in zip(parts, other["components"], strict=False)]
        return field_text({"components": strange}, path)
    if path[-1] == "basis":
        return field_text({"properties": [{**one, "basis": _praise(rng)} for one in written["properties"]]}, path)
    if first in ("mechanisms", "fabrication", "risks") and rng.random() < 0.5:
        said = written[first]
        return field_text(
            {first: [said[0], said[0], *said[2:]] if rng.random() < 0.5 else [_praise(rng) for _ in said]}, path
        )
    if first == "summary" and rng.random() < 0.4:
        return field_text({"summary": _praise(rng)}, path)
    return field_text(other, path)


def _praise(rng: np.random.Generator) -> str:
    return EMPTY[int(rng.integers(len(EMPTY)))]
