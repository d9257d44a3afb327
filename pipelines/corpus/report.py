"""What came of a corpus: how much was read and kept, what was skipped and dropped. Makes and reads no passage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class CorpusReport(BaseModel):
    """The corpus stage's ``report.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: int = Field(description="Files that were read")
    pages: int = Field(description="Pages of them")
    skipped: dict[str, str] = Field(description="Files that could not be read, and why")
    unread: dict[str, str] = Field({}, description="Files with pages that hold no text, and which pages")
    passages: int = Field(description="Passages that were kept")
    words: int = Field(description="Words of them")
    dropped: dict[str, int] = Field(description="Passages that were dropped, by gate, most first")
    config: dict[str, Any] = Field(description="The settings, as the version that made the corpus writes them")

    def losses(self) -> str:
        """Why so little is left, in words."""
        reasons = [f"{count} dropped by {gate}" for gate, count in self.dropped.items()]
        skipped = [f"{Path(name).name}: {why}" for name, why in self.skipped.items()]
        skipped += [f"{Path(name).name}: {pages}" for name, pages in self.unread.items()]
        reasons += skipped[:3] + ([f"and {len(skipped) - 3} more"] if len(skipped) > 3 else [])
        return "; ".join(reasons) or "they hold no prose"
