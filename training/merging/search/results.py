"""What a search leaves behind, as shapes: trials, the winner beside its rivals on both splits, and how far they part.

Knows shapes; not how a search is run or drawn.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from training.evaluation.statistics.correction import Corrected
from training.evaluation.statistics.intervals import Estimate
from training.evaluation.statistics.synergy import Beside
from training.merging.config import MergeConfig
from training.merging.search.config import SearchConfig
from training.merging.search.trials import Trial


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Standing(_Kept):
    """A merge or a parent, measured on both splits."""

    name: str
    kind: Literal["winner", "rival", "parent"] = Field(
        description="Found by the search, a plain merge of the same parents, or one of these"
    )
    merge: MergeConfig | None = Field(None, description="How it is merged; none of a parent")
    development: Estimate = Field(description="Share right of the development questions, with its 95% interval")
    test: Estimate = Field(description="The same of the test questions")

    @field_serializer("merge")
    def _as_given(self, merge: MergeConfig | None) -> dict[str, Any] | None:
        """What a merge says and no more: it takes no option that its method has not."""
        return None if merge is None else merge.model_dump(mode="json", exclude_unset=True)


class BesideOther(_Kept):
    """The winner beside a rival or a parent on the test questions, corrected for all of them."""

    other: str = Field(description="Its name")
    verdict: Beside = Field(description="better or worse only where the corrected interval excludes zero")
    comparison: Corrected


class SearchResult(_Kept):
    """A search that is over. Its test split was scored once, after the winner was chosen."""

    name: str
    parents: tuple[str, str] = Field(description="Names, that of t = 0 first")
    task: str = Field(description="The benchmark's name")
    config: SearchConfig
    identity: dict[str, str] = Field(description="What was merged and asked, and how, by fingerprints")
    development: tuple[str, ...] = Field(description="Ids of the development questions")
    test: tuple[str, ...] = Field(description="Ids of the test questions")
    asked: tuple[str, ...] = Field(description="Ids of the development questions that every trial was asked")
    trials: tuple[Trial, ...] = Field(min_length=1, description="In their order, without single answers")
    winner: int = Field(ge=1, description="Number of the best trial")
    standings: tuple[Standing, ...] = Field(min_length=2, description="The winner first")
    beside: tuple[BesideOther, ...] = Field(min_length=1, description="The winner beside each of the others")
    optimism: Estimate = Field(description="The winner's score on development less that on test")
    optimism_beyond: Estimate = Field(
        description="The same less what the others' mean score loses: whichever split is the harder, what is left is "
        "owed to choosing by development"
    )

    @property
    def best(self) -> Standing:
        """The winner."""
        return self.standings[0]
