"""The documents the roles exchange. Knows their fields and bounds; nothing of prompts or models.

Every text field is one of the kinds in `models.filling.text_kinds`: a ``Name``, a ``Sentence``, or a ``Prompt``, which
is what a painter reads.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agents.units import Unit, quantity, unit_of
from models.filling.text_kinds import MOST_SOURCES, Name, Prompt, Sentence, Short, at_least
from workspace.letters import folded, visible, whole_letters

_NEVER_NEGATIVE = frozenset({"kg/m3", "um", "nm", "mm", "W/mK", "J/m2", "MJ/m3"})
_SHARES = re.compile(r"porosity|fraction|density|content|elongation|thickness|size|toughness|strength", re.IGNORECASE)
_COLDEST = -273.15


class Document(BaseModel):
    """What all documents share: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Brief(Document):
    """What a person asks for."""

    text: str = Field(min_length=1, max_length=8000, description="The wish in the person's own words")
    inspirations: list[Name] = Field(
        default_factory=list, max_length=MOST_SOURCES, description="Biological materials or structures to draw on"
    )
    target: str = Field(
        default="material microstructure", min_length=1, max_length=200, description="What the pictures should show"
    )

    @field_validator("text", "target")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not visible(text):
            raise ValueError("is empty")
        return at_least(whole_letters(text.strip()), 3)

    @field_validator("inspirations")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        kept: dict[str, str] = {}
        for name in names:
            kept.setdefault(same(name), name)
        return list(kept.values())


def same(name: str) -> str:
    """What two spellings of one name have in common."""
    return folded(name) or name.casefold()


class Known(Document):
    """What was found for a wish: some sentences of a passage, letter for letter, by the number that the team cites."""

    number: int = Field(ge=1, description="What it is cited by")
    passage: str = Field(max_length=2000, description="Id of the passage")
    document: str = Field(max_length=2000, description="What the library calls the document")
    title: str = Field("", max_length=2000, description="The document's title")
    text: str = Field(max_length=20_000, description="The sentences")
    page: int = Field(ge=1, description="The page they begin on")
    doi: str = Field("", max_length=2000, description="The document's DOI")
    cite: str = Field(
        "", max_length=2000, description="The source that the sentences were taken from, where it is another's"
    )
    file: str = Field("", max_length=5000, description="Where the document's file lies; empty of what ships")
    about: str = Field("", max_length=2000, description="The biological source that they were looked up for")


class Inspiration(Document):
    """One biological source and what is taken from it."""

    name: Name = Field(description="The biological material or organism")
    feature: Name = Field(description="Its structural feature that matters here")
    principle: Sentence = Field(description="How that feature works, as a design principle")


class Component(Document):
    """One part of the designed material."""

    name: Name = Field(description="What the part is called")
    material: Name = Field(description="What it is made of")
    role: Sentence = Field(description="What it does in the design")


class Architecture(Document):
    """How the parts are arranged."""

    scale: Literal["nanometre", "micrometre", "millimetre", "centimetre", "metre", "kilometre"] = Field(
        description="The length scale at which the arrangement is seen"
    )
    description: Sentence = Field(description="How the parts are arranged in space")


class Property(Document):
    """One property the design aims at."""

    name: Name = Field(description="The property, such as toughness or porosity")
    value: float = Field(ge=-1_000_000, le=1_000_000, description="The target figure")
    unit: Unit = Field(description="Its unit; 1 for a plain ratio")
    basis: Sentence = Field(description="Why that figure is reasonable")

    @field_validator("unit", mode="before")
    @classmethod
    def _spelled(cls, unit: Any) -> Any:
        return unit_of(unit) if isinstance(unit, str) else unit

    @model_validator(mode="before")
    @classmethod
    def _in_our_units(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "value" not in data:
            return data
        value, unit = quantity(data["value"], data.get("unit"))
        return data | {"value": value} | ({} if unit is None else {"unit": unit})

    @model_validator(mode="after")
    def _possible(self) -> Property:
        least = 0.0 if self.unit in _NEVER_NEGATIVE or _SHARES.search(self.name) else None
        least = _COLDEST if self.unit == "degC" else least
        if least is not None and self.value < least:
            raise ValueError(f"{self.name} in {self.unit} is {least:g} or more, not {self.value:g}")
        return self


class DraftDesign(Document):
    """A bio-inspired design as structured data. A sentence that rests on a numbered passage may end with its number."""

    title: Name = Field(description="A short title for the design")
    summary: Sentence = Field(
        description="What the design is and why it is useful", json_schema_extra={"x-sources": True}
    )
    inspirations: list[Inspiration] = Field(min_length=1, max_length=MOST_SOURCES, description="The biological sources")
    components: list[Component] = Field(
        min_length=2, max_length=6, description="The parts, all different", json_schema_extra={"x-items": 4}
    )
    architecture: Architecture = Field(description="How the parts are arranged")
    mechanisms: list[Sentence] = Field(min_length=1, max_length=5, description="How the design resists or performs")
    properties: list[Property] = Field(
        min_length=1, max_length=6, description="The properties aimed at", json_schema_extra={"x-items": 2}
    )
    fabrication: list[Sentence] = Field(min_length=1, max_length=6, description="Steps to make it")
    applications: list[Name] = Field(min_length=1, max_length=5, description="Uses")
    risks: list[Sentence] = Field(min_length=1, max_length=4, description="What could fail")

    @field_validator("inspirations", "components", "properties")
    @classmethod
    def _different(cls, items: list[Any]) -> list[Any]:
        names = [same(item.name) for item in items]
        if len(set(names)) < len(names):
            raise ValueError("lists the same name twice")
        return items

    @field_validator("mechanisms", "fabrication", "applications", "risks")
    @classmethod
    def _distinct(cls, items: list[Any]) -> list[Any]:
        if len({same(getattr(item, "text", item)) for item in items}) < len(items):
            raise ValueError("lists the same text twice")
        return items


Standing = Literal["supports", "partly", "contradicts"]
"""How a passage stands to a claim; of one that says nothing no evidence is kept."""


class Evidence(Document):
    """A sentence that bears on a claim, letter for letter as it stands in its passage."""

    verdict: Standing = Field(description="Whether it supports the claim, in part, or contradicts it")
    quotation: str = Field(min_length=1, max_length=20_000, description="The sentence")
    passage: str = Field(max_length=2000, description="Id of the passage")
    document: str = Field(max_length=2000, description="What the library calls the document")
    title: str = Field("", max_length=2000, description="The document's title")
    page: int = Field(ge=1, description="The page it begins on")
    doi: str = Field("", max_length=2000, description="The document's DOI")
    cite: str = Field(
        "", max_length=2000, description="The source that the sentence was taken from, where it is another's"
    )
    file: str = Field("", max_length=5000, description="Where the document's file lay; empty of what ships")


class CitedInspiration(Inspiration):
    """A biological source with what bears its principle out."""

    evidence: Evidence | None = Field(None, description="None: not supported")


class Mechanism(Document):
    """How the design performs, with what bears it out."""

    text: Sentence = Field(description="How it performs")
    evidence: Evidence | None = Field(None, description="None: not supported")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data


class Claimed(Document):
    """A figure as it was first written."""

    value: float
    unit: Unit


class CheckedProperty(Property):
    """A property with where its figure comes from.

    ``verified``: its quotation holds it; ``overridden``: its source, or where there is no evidence its parts' own
    figures, do not allow it, and the nearest that is allowed stands here now (``claimed`` is what stood there);
    ``computed``: it follows from the components, as the basis says; ``assumed``: nothing bears it out.
    """

    status: Literal["verified", "overridden", "computed", "assumed"] = "assumed"
    evidence: Evidence | None = None
    claimed: Claimed | None = None


class MaterialDesign(DraftDesign):
    """A bio-inspired design as structured data, each claim with its evidence or without."""

    inspirations: list[CitedInspiration] = Field(  # type: ignore[assignment]
        min_length=1, max_length=MOST_SOURCES, description="The biological sources"
    )
    mechanisms: list[Mechanism] = Field(  # type: ignore[assignment]
        min_length=1, max_length=5, description="How the design resists or performs"
    )
    properties: list[CheckedProperty] = Field(  # type: ignore[assignment]
        min_length=1, max_length=6, description="The properties aimed at"
    )


class ImagePrompt(Document):
    """What the painter is told."""

    long: Prompt = Field(
        description="What one sees: lines, shapes, circles, holes and pores, and how they are arranged"
    )
    short: Short = Field(description="The same picture in a few words")
    motifs: list[Name] = Field(min_length=1, max_length=4, description="The visible patterns")
    palette: Name = Field(description="The colours")


class Check(Document):
    """One yes/no question about a picture."""

    question: str = Field(min_length=5, max_length=200)
    answer: Literal["yes", "no"]


class Sight(Document):
    """What there is to see in one picture."""

    pattern: Name = Field(description="The main pattern")
    second: Name = Field(description="Another pattern that it shows, or none")
    density: Literal["open", "medium", "dense"] = Field(description="How much of it is solid")
    palette: Name = Field(description="The main colours")
    gradient: Literal["even", "to one side", "to the centre"] = Field(description="Where it grows denser")


class Verdict(Document):
    """What the critic says of one picture."""

    sees: Sight = Field(description="What there is to see")
    seen: str = Field(min_length=3, max_length=600, description="What the picture shows")
    checks: list[Check] = Field(min_length=1, max_length=10, description="The checklist, answered")
    fit: int = Field(ge=1, le=10, description="How well the picture fits the design")
    change: str = Field(min_length=3, max_length=300, description="The one change to the prompt that would help most")


class Critique(Verdict):
    """What the critic says of one picture, beside what is measured on it."""

    picture: int = Field(default=0, ge=0, description="Index of the picture within the run")
    measures: dict[str, Any] | None = Field(
        default=None, description="Figures from the pixels; see pipelines.pictures.measure"
    )


class Sources(Document):
    """Biological sources proposed for a brief that names none."""

    names: list[Name] = Field(min_length=2, max_length=2, description="Two natural materials, a few words each")

    @field_validator("names")
    @classmethod
    def _two(cls, names: list[str]) -> list[str]:
        if same(names[0]) == same(names[1]):
            raise ValueError("lists the same name twice")
        return names


class Review(Document):
    """What the Reviewer thinks of a draft."""

    verdict: Literal["approve", "revise"] = Field(description="Whether the draft may go on")
    comments: Sentence = Field(description="What is good, or what must change")
