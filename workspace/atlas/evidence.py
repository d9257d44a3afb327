"""What a design may look up, as it can be set: in which libraries, and how much of it the team reads."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EvidenceSettings(BaseModel):
    """What a design looks up before it claims anything: in the atlas, the sample corpus and your own papers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Look passages up and cite them")
    libraries: tuple[Path, ...] = Field(
        (), max_length=20, description="Libraries beside your own, as `studio library add --library` makes them"
    )
    shipped: bool = Field(True, description="Look into the atlas and the sample corpus too")
    passages: int = Field(6, ge=1, le=40, description="Passages at most that the Scientist gets before the first turn")
    words: int = Field(45, ge=15, le=400, description="Words of each passage at most")
    later: int = Field(0, ge=0, le=20, description="Passages at most that are looked up anew for each later turn")
