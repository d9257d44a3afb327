"""The atlas of biological materials: what they are made of, how they work, and what is measured on them, with sources.

A table that floors above read: designs and prompts take words and figures from it, training data is made of it. The
entries lie in `workspace/atlas_entries/*.json`; this file holds their shape and how one is found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workspace.errors import DataError, UsageError, pydantic_fault, unknown

ENTRIES = Path(__file__).parents[1] / "atlas_entries"

Group = Literal[
    "silk", "fibre", "mineral", "shell", "bone", "horn", "skin", "insect", "plant", "wood", "microbe", "marine",
    "feather", "structure",
]  # fmt: skip
Pattern = Literal[
    "leaf venation", "parallel venation", "orb web", "sheet web", "honeycomb", "voronoi foam", "wavy collagen",
    "helicoidal plywood", "nacre", "trabecular bone", "diatom pores", "nautilus spiral", "gyroid", "branching vessels",
    "reaction-diffusion skin", "wood tracheids", "fish scales", "cork cells",
]  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Level(_Part):
    """One level of a hierarchical structure and the length at which it is seen."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)
    unit: Literal["nm", "um", "mm", "cm", "m"]
    structure: str = Field(min_length=15, max_length=160)


class Property(_Part):
    """A property's usual range, as one source gives it."""

    name: str = Field(min_length=3, max_length=60)
    low: float
    high: float
    unit: str = Field(min_length=1, max_length=14, description="1 for a ratio")
    condition: str = Field("", max_length=100)
    source: str = Field(description="key of one of the material's sources")

    @model_validator(mode="after")
    def _ordered(self) -> Property:
        if self.low > self.high:
            raise ValueError(f"{self.name}: low {self.low:g} is above high {self.high:g}")
        return self


class Function(_Part):
    """Something the material does that a designer may wish for; the verbs are those of AskNature's taxonomy.

    Source: the Biomimicry Institute's taxonomy of functions, brought down to four families.
    """

    verb: Literal["get", "protect", "move", "make"]
    function: str = Field(min_length=5, max_length=40, description="the wish in a designer's words")
    how: str = Field(min_length=20, max_length=160, description="which mechanism does it")


class Source(_Part):
    """Where figures come from."""

    key: str = Field(pattern=r"^[a-z]+[0-9]{4}[a-z]?$")
    cite: str = Field(min_length=25, max_length=260)


class Material(_Part):
    """One entry of the atlas."""

    id: str = Field(pattern=r"^[a-z0-9-]{3,40}$")
    name: str = Field(max_length=60)
    aliases: tuple[str, ...] = Field(max_length=6)
    organism: str = Field(min_length=5, max_length=120)
    group: Group
    summary: str = Field(min_length=60, max_length=320)
    levels: tuple[Level, ...] = Field(min_length=2, max_length=6)
    mechanisms: tuple[str, ...] = Field(min_length=2, max_length=5)
    properties: tuple[Property, ...] = Field(min_length=2, max_length=7)
    geometry: tuple[str, ...] = Field(min_length=4, max_length=9, description="how it looks, in words of geometry")
    families: tuple[Pattern, ...] = Field(min_length=1, max_length=3, description="patterns that show it")
    lessons: tuple[str, ...] = Field(min_length=2, max_length=4)
    sources: tuple[Source, ...] = Field(min_length=1, max_length=5)
    functions: tuple[Function, ...] = Field((), max_length=4)
    checked: str = Field("", max_length=400, description="where its figures were looked up; empty: docs/atlas.md")

    @model_validator(mode="after")
    def _sourced(self) -> Material:
        keys = {source.key for source in self.sources}
        for held in self.properties:
            if held.source not in keys:
                raise ValueError(f"{held.name}: no source is called {held.source!r}")
        return self

    @property
    def calls(self) -> tuple[str, ...]:
        """Everything it is called."""
        return (self.name, *self.aliases)


@cache
def atlas() -> Mapping[str, Material]:
    """Return every material by its id.

    Raises:
        DataError: If an entry is broken; the line names file and field.
    """
    found: dict[str, Material] = {}
    for path in sorted(ENTRIES.glob("*.json")):
        for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            try:
                material = Material.model_validate(row)
            except ValidationError as fault:
                raise DataError(f"{path.name}, entry {number + 1}: {pydantic_fault(fault, Material)}") from None
            if material.id in found:
                raise DataError(f"{path.name}, entry {number + 1}: the id {material.id!r} is there twice")
            found[material.id] = material
    return found


def material(name: str) -> Material:
    """Return the material of an id, a name or an alias, in any case.

    Raises:
        UsageError: If none is called so; the line names the nearest.
    """
    wanted = _plain(name)
    called = {_plain(call): held for held in atlas().values() for call in (held.id, *held.calls)}
    if wanted not in called:
        raise UsageError(unknown("material", name, sorted({held.name for held in atlas().values()})))
    return called[wanted]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))
