"""What the corpus stage can be asked for: every option once, described and bounded. Imports no reader of papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Converter = Literal["pdfium", "pdftext", "marker"]
SECONDS, MEMORY_MB, PAGES = 120.0, 4096, 2000
"""What reading one file may take if nothing else is asked for; a book has 2,000 pages, more are a catalogue's or a
bomb's."""


class CorpusConfig(BaseModel):
    """What is read and what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    inputs: tuple[Path, ...] = Field(min_length=1, description="Files, folders, lists of references")
    pdf: Converter = Field("pdfium", description="Converter of PDFs; marker reads scans")
    topic: str = Field("", max_length=2000, description="What documents should be about; others are dropped")
    relevance: float = Field(
        0.2,
        ge=-1,
        le=1,
        description="Least mean likeness of a document's passages to the topic, a cosine; a single passage needs half",
    )
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2}$")], ...] = Field(
        ("en",),
        description="Two-letter code of a language that is kept",
        json_schema_extra={"option": "--language"},
    )
    fewest: int = Field(40, ge=1, description="Words that a passage has at least")
    most: int = Field(300, ge=20, description="Words that a passage has at most")
    near: float = Field(0.8, gt=0, le=1, description="Likeness from which passages are the same; 1: exact ones")
    benchmarks: tuple[Path, ...] = Field(
        (),
        description="Evaluation set whose words may not be in the corpus",
        json_schema_extra={"option": "--benchmark"},
    )
    contamination: Literal["refuse", "keep"] = Field("refuse", description="Passages with a benchmark's words")
    crossref: bool = Field(False, description="Look up missing DOIs of a list at Crossref")
    mail: str = Field("", max_length=320, description="Your address, which Crossref asks for")
    seconds: float = Field(SECONDS, gt=0, le=86_400, description="For reading one file")
    memory_mb: int = Field(MEMORY_MB, ge=256, le=1 << 20, description="For reading one file")
    most_pages: int = Field(PAGES, ge=1, description="Pages of one PDF; longer ones are skipped")
