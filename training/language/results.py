"""What came of a recipe: a result a stage, the rows beside the variants. Knows shapes, no training."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class StageResult(BaseModel):
    """What a stage made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The variant's or the rows' name")
    folder: Path = Field(description="Where it lies")
    made: bool = Field(description="False where it was made before and nothing had to be done")
    figures: dict[str, int | float | dict[str, int]] = Field(
        default_factory=dict, description="What was counted: tokens, steps, losses; passages, rows, what was dropped"
    )


class RecipeResult(BaseModel):
    """What a recipe made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field(description="The recipe's name")
    data: tuple[StageResult, ...] = Field(description="Corpora and distilled rows, in the order they were made")
    variants: tuple[StageResult, ...] = Field(description="Models, in the order they were made")
