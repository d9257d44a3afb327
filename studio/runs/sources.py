"""Where a design's claims come from, in words for people: each sentence that bears on one by number, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.runs.figures import numeral

if TYPE_CHECKING:
    from agents.documents import CheckedProperty, Evidence, MaterialDesign

_SAID = {"supports": "", "partly": "in part ", "contradicts": "contradicted by "}
UNSUPPORTED = "not supported"


@dataclass(frozen=True)
class Sources:
    """The sentences that a design's claims rest on, each once, in the order of the document.

    Attributes:
        sentences: Cited as 1, 2, 3.
    """

    sentences: tuple[Evidence, ...]

    @classmethod
    def of(cls, design: MaterialDesign) -> Sources:
        """The sentences of a design."""
        borne = [one.evidence for one in design.inspirations] + [one.evidence for one in design.mechanisms]
        borne += [one.evidence for one in design.properties]
        found: dict[tuple[str, str], Evidence] = {}
        for evidence in borne:
            if evidence is not None:
                found.setdefault((evidence.passage, evidence.quotation), evidence)
        return cls(tuple(found.values()))

    def number(self, evidence: Evidence) -> int:
        """What a sentence is cited by."""
        keys = [(one.passage, one.quotation) for one in self.sentences]
        return keys.index((evidence.passage, evidence.quotation)) + 1

    def standing(self, evidence: Evidence | None, mark: str = "[{}]") -> str:
        """How a claim is borne out: the number of its sentence, or that none was found."""
        if evidence is None:
            return UNSUPPORTED
        return _SAID[evidence.verdict] + mark.format(self.number(evidence))

    def origin(self, one: CheckedProperty, mark: str = "[{}]") -> str:
        """Where a figure comes from."""
        if one.status == "verified" and one.evidence is not None:
            return f"verified {mark.format(self.number(one.evidence))}"
        if one.claimed is not None:
            was = f"instead of {numeral(one.claimed.value)} {one.claimed.unit}"
            by = mark.format(self.number(one.evidence)) if one.evidence is not None else "by the parts' own"
            return f"overridden {by}, {was}"
        return one.status


def where(one: Evidence) -> str:
    """Where a sentence stands, on one line: document, page, DOI."""
    named = f"{one.title} ({one.document})" if one.title and one.title != one.document else one.document
    page = f", page {one.page}" if one.file else ""
    doi = f", doi {one.doi} (as it is given there; not looked up)" if one.doi else ""
    return " ".join((named + page + doi).split())


def read_design(data: Mapping[str, Any]) -> MaterialDesign | None:
    """A design as it stands in an event; ``None`` where it is none that today's Studio reads."""
    from pydantic import ValidationError

    from agents.documents import MaterialDesign

    try:
        return MaterialDesign.model_validate(data)
    except ValidationError:
        return None
