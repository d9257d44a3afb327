"""What came of distilling a corpus: rows by file and kind, what was dropped and refused, and by which model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Refusal(BaseModel):
    """A document that the model could not write."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passage: str = Field(description="The passage's id")
    kind: str = Field(description="What was asked for")
    why: str = Field(description="What was wrong with the last answer")


class DistilReport(BaseModel):
    """The distil stage's ``report.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: str = Field(description="The corpus' file")
    corpus_sha256: str = Field(description="Its sha256")
    passages: int = Field(description="Passages that were distilled")
    documents: int = Field(description="Documents that they come from")
    rows: dict[str, int] = Field(description="Rows by file: text, messages, preferences")
    kinds: dict[str, int] = Field(description="Rows by kind, most first")
    dropped: dict[str, int] = Field(description="What was dropped, by check, most first")
    refused: tuple[Refusal, ...] = Field(description="What the model could not write")
    model: dict[str, Any] = Field(description="The model: name, fingerprint or server, licence, sampling")
    versions: dict[str, str] = Field(description="Version of prompt and schema, by kind")
    config: dict[str, Any] = Field(description="The settings, as the version that made the rows writes them")
    benchmarks: tuple[str, ...] = Field(description="Evaluation sets whose words no row holds")

    def losses(self) -> str:
        """Why so little is left, in words."""
        reasons = [f"{count} dropped as {check}" for check, count in self.dropped.items()]
        reasons += [f"{one.kind} not written: {one.why}" for one in self.refused[:2]]
        return "; ".join(reasons) or "the model wrote nothing"


class DistilResult(DistilReport):
    """The report of a call that distilled: where the rows lie, and what it took."""

    data: Path = Field(description="Folder of the rows")
    asked: int = Field(description="Answers that this call asked for; the others were kept from before")
    minutes: float = Field(description="How long this call took")
