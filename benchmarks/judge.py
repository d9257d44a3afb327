"""Classifiers that say which families a picture shows. None of them is part of Studio; each is fixed by its hash.

``frozen`` learned from drawings by two other hands (`training.embedded.judge`), from which nothing else of Studio
learns, and saw no picture of the painter. It is trained no more. The one that is called by a day is the last of those
that were trained on the painter's own drawings, again whenever these changed: it is kept to show what that does to a
figure, and it tells the leaf adapter's style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from home import ROOT

FROZEN, LAST = "frozen", "2026-11-27"
STANDING = FROZEN
"""The judge that figures are told by."""

JUDGES: Mapping[str, str] = {
    FROZEN: "1e42e598e7e52a8a0b4f43cd0d228d201106c2d0a766e9f14d9615c172ea45ea",
    LAST: "206b839bc66282b48ea7d858db32207e53aaa880332ba9898b4945de8c5c28e3",
}
"""Judges in ``benchmarks/judges`` and the SHA-256 of their files."""


def judge(name: str = STANDING) -> Any:
    """A judge by its name.

    Raises:
        DataError: Its file is not the one that it was.
    """
    from training.embedded.judge.network import load_judge

    return load_judge(ROOT / "benchmarks" / "judges" / f"{name}.safetensors", JUDGES[name])


def chances_of(images: Sequence[Any], name: str = STANDING) -> np.ndarray[Any, Any]:
    """What a judge gives to each family on each picture, (pictures, families), in the order of `names`."""
    from training.embedded.judge.network import judged

    return judged(judge(name), images)[0]


def names() -> tuple[str, ...]:
    """The families' keys in the order of a judge's chances."""
    from training.embedded.judge.network import NAMES

    return NAMES


def shows(chances: np.ndarray[Any, Any], wanted: Sequence[str]) -> bool:
    """Whether a judge puts the one family wanted first, or both of two among its first three."""
    ranked = [names()[place] for place in np.argsort(-chances)]
    return ranked[0] == wanted[0] if len(wanted) == 1 else set(wanted) <= set(ranked[:3])


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """How many of how many, and the exact 95% interval of the share (Clopper and Pearson, 1934)."""
    from scipy.stats import binomtest

    found = binomtest(sum(hits), len(hits)).proportion_ci()
    return {
        "right": sum(hits),
        "of": len(hits),
        "share": round(sum(hits) / len(hits), 3),
        "interval": [round(float(found.low), 3), round(float(found.high), 3)],
    }
