"""Other ways to say each family: a grammar of wordings for training captions. Knows words alone.

A phrase holds choices in brackets: ``[fish|carp] scales`` is two wordings, and an empty choice leaves the place out.
What `training.embedded.microstructures.wordings` holds out of training must not be among them. The phrases are in
`phrases.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import yaml

_CHOICE = re.compile(r"\[([^\]]*)\]")


def _read() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    tables = yaml.safe_load((Path(__file__).parent / "phrases.yaml").read_text(encoding="utf-8"))
    families, densities = ({key: tuple(row) for key, row in tables[part].items()} for part in ("families", "densities"))
    return families, densities


PHRASES, DENSITY_PHRASES = _read()


def expand(phrase: str, rng: np.random.Generator) -> str:
    """One wording of a phrase, its choices drawn at random."""
    return _tidy(_CHOICE.sub(lambda found: _one(found[1].split("|"), rng), phrase))


def wordings(phrase: str) -> Iterator[str]:
    """Every wording of a phrase."""
    parts = _CHOICE.split(phrase)
    for chosen in product(*(part.split("|") if place % 2 else [part] for place, part in enumerate(parts))):
        yield _tidy("".join(chosen))


def _one(choices: list[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _tidy(text: str) -> str:
    return " ".join(text.split()).replace(" ,", ",")
