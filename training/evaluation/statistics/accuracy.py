"""A model's accuracy and its gain over another, rounded, as the training demonstration tells them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.statistics.intervals import share
from training.evaluation.statistics.paired import gain


class Accuracy(BaseModel):
    """How well a model answers, and how much better than the one it is compared with, each with a 95% interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: float = Field(description="Share of questions answered right")
    low: float = Field(description="Lower end of its interval")
    high: float = Field(description="Upper end of its interval")
    gain: float = Field(description="Share that is answered right beyond the other model's")
    gain_low: float = Field(description="Lower end of its interval")
    gain_high: float = Field(description="Upper end of its interval")


def measured(right: Sequence[float], base: Sequence[float], passages: Sequence[Hashable] | None = None) -> Accuracy:
    """Accuracy and gain over ``base`` on the same questions, to four digits."""
    figures = [round(value, 4) for value in (*share(right, passages), *gain(right, base, passages))]
    return Accuracy.model_validate(dict(zip(Accuracy.model_fields, figures, strict=True)))
