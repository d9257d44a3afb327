"""What is known of an inspiration: the atlas's entry for a name as people say it, or that there is none."""

from __future__ import annotations

from collections.abc import Sequence

from agents.vocabulary import stems
from workspace.atlas.lookup import lookup, nearest
from workspace.atlas.table import Material


def known(name: str) -> Material | None:
    """The material of the atlas that a name means; ``None`` where it has none that is called so."""
    found = lookup(name)
    return found.material if found else None


def facts(names: Sequence[str]) -> list[str]:
    """A line for each inspiration: what its structure is, or that the atlas does not know it."""
    return [_fact(name) for name in names]


def _fact(name: str) -> str:
    named = name[:1].upper() + name[1:]
    found = known(name)
    if found is not None:
        return f"{name.capitalize()}: {found.summary}"
    return f"{named}: nothing is known of it here. Go by its name alone, and give it no facts of another material."


def principles(names: Sequence[str]) -> str:
    """How each inspiration that the atlas knows works, in a sentence each."""
    return " ".join(held.mechanisms[0] for name in names if (held := known(name)))


def looks(name: str) -> tuple[str, ...]:
    """Other words by which a painter may know a source: its common name, then the patterns that show it."""
    found = lookup(name)
    return () if found is None else (*filter(None, [found.common]), *found.material.families)


def remarks(names: Sequence[str]) -> list[str]:
    """What a person ought to hear of the names: which the atlas does not know, and which it knows by another name."""
    return [line for name in names if (line := _remark(name))]


def _remark(name: str) -> str:
    found = lookup(name)
    if found is None:
        near = nearest(name)
        meant = f'did you mean "{near.meant}"? ' if near.meant else ""
        listed = ", ".join(near.names)
        return f'"{name}" is not in the atlas; {meant}nearest: {listed}. It is described from its name alone.'
    words = stems(name)
    plain = any(words <= stems(call) for call in (found.common, *found.material.calls)) if words else False
    return "" if plain else f'"{name}" is taken for {found.material.name}, as the atlas calls it.'
