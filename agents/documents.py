"""The documents the roles exchange. Knows their fields and bounds; nothing of prompts or models.

Every text field is one of the kinds in `models.filling.text_kinds`: a ``Name``, a ``Sentence``, or a ``Prompt``, which
is what a painter reads.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.filling.text_kinds import Name, Prompt, Sentence, Short, at_least, tidy


class Document(BaseModel):
    """What all documents share: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Brief(Document):
    """What a person asks for."""

    text: str = Field(min_length=3, max_length=8000, description="The wish in the person's own words")
    inspirations: list[Annotated[str, Field(min_length=2, max_length=120)]] = Field(
        default_factory=list, max_length=6, description="Biological materials or structures to draw on"
    )
    target: str = Field(
        default="material microstructure", min_length=3, max_length=200, description="What the pictures should show"
    )

    @field_validator("text", "target")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is blank")
        return at_least(text.strip(), 3)

    @field_validator("inspirations")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        kept = {name.lower(): name for name in reversed([at_least(tidy(name), 2) for name in names])}
        return list(reversed(kept.values()))


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
    value: float = Field(ge=0, le=1_000_000, description="The target figure")
    unit: Literal["%", "MPa", "GPa", "MJ/m3", "J/m2", "kg/m3", "um", "nm", "mm", "W/mK", "degC", "1"] = Field(
        description="Its unit; 1 for a plain ratio"
    )
    basis: Sentence = Field(description="Why that figure is reasonable")


class MaterialDesign(Document):
    """A bio-inspired design as structured data."""

    title: Name = Field(description="A short title for the design")
    summary: Sentence = Field(
        description="What the design is and why it is useful", json_schema_extra={"x-sources": True}
    )
    inspirations: list[Inspiration] = Field(min_length=1, max_length=4, description="The biological sources")
    components: list[Component] = Field(
        min_length=2, max_length=6, description="The parts, all different", json_schema_extra={"x-items": 4}
    )
    architecture: Architecture = Field(description="How the parts are arranged")
    mechanisms: list[Sentence] = Field(min_length=1, max_length=5, description="How the design resists or performs")
    properties: list[Property] = Field(min_length=1, max_length=6, description="The properties aimed at")
    fabrication: list[Sentence] = Field(min_length=1, max_length=6, description="Steps to make it")
    applications: list[Name] = Field(min_length=1, max_length=5, description="Uses")
    risks: list[Sentence] = Field(min_length=1, max_length=4, description="What could fail")

    @field_validator("inspirations", "components", "properties")
    @classmethod
    def _different(cls, items: list[Any]) -> list[Any]:
        names = [item.name.lower() for item in items]
        if len(set(names)) < len(names):
            raise ValueError("lists the same name twice")
        return items

    @field_validator("mechanisms", "fabrication", "applications", "risks")
    @classmethod
    def _distinct(cls, items: list[str]) -> list[str]:
        if len({item.lower() for item in items}) < len(items):
            raise ValueError("lists the same text twice")
        return items


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
        if names[0].lower() == names[1].lower():
            raise ValueError("lists the same name twice")
        return names


class Review(Document):
    """What the Reviewer thinks of a draft."""

    verdict: Literal["approve", "revise"] = Field(description="Whether the draft may go on")
    comments: Sentence = Field(description="What is good, or what must change")
