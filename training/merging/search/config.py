"""What can be said of a search: every option, once."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Vector = tuple[Share, ...]
"""t at the anchors of self_attn, then of mlp, and one t of all else."""


class SearchConfig(BaseModel):
    """A search for t over depth."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trials: int = Field(60, ge=1, le=10_000, description="merges that are made and scored, at most")
    anchors: int = Field(5, ge=1, le=16, description="values of t over depth that each part of a layer has")
    spread: float = Field(0.25, ge=0.01, le=1, description="deviation from t = 0.5 of the first merges")
    development: float = Field(0.5, ge=0.1, le=0.9, description="share of the benchmark that is searched on")
    questions: int | None = Field(
        None, ge=4, le=100_000, description="development questions a trial, chosen by item response theory; all if none"
    )
    seed: int = Field(42, ge=0, le=2**31 - 1, description="of the split, and of what the search draws")
