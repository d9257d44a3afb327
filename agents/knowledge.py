"""What is known of an inspiration: the atlas's entry for a name as people say it. Knows no model and no run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from agents.vocabulary import stems
from workspace.atlas import Material, atlas

_ALIAS = 0.5  # what a match by another name loses to one by the material's own


@lru_cache(maxsize=256)
def known(name: str) -> Material | None:
    """The material that a name such as "bone" means: the one whose name has all its words and fewest others.

    Where none has all, one material alone may have the first ("gecko foot" means gecko setae).
    """
    wanted = stems(name)
    best: tuple[float, Material] | None = None
    for material in atlas().values():
        for place, call in enumerate(material.calls):
            words = stems(call)
            loss = len(words - wanted) + (_ALIAS if place else 0)
            if wanted and wanted <= words and (best is None or loss < best[0]):
                best = (loss, material)
    if best is not None:
        return best[1]
    first = stems(name.split()[0]) if name.split() else frozenset()
    alone = [held for held in atlas().values() if first and any(first <= stems(call) for call in held.calls)]
    return alone[0] if len(alone) == 1 else None


def facts(names: Sequence[str]) -> list[str]:
    """A line for each inspiration that the atlas knows: the name, and what its structure is."""
    return [f"{name.capitalize()}: {held.summary}" for name in names if (held := known(name))]


def principles(names: Sequence[str]) -> str:
    """How each inspiration that the atlas knows works, in a sentence each."""
    return " ".join(held.mechanisms[0] for name in names if (held := known(name)))
