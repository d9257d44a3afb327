"""What a report holds, complete: every number of its tables, figures left out with the reason, and its limits.

Knows shapes; not how they are measured or set.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.conversations.scores import ScoreTable
from training.evaluation.conversations.tables import Table as ConversationTable
from training.evaluation.reports.figures.drawing import LeftOut
from training.evaluation.results import Protocol
from training.evaluation.statistics.correction import Corrected
from training.evaluation.statistics.intervals import Estimate
from training.evaluation.statistics.synergy import Finding, Rival


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReportOptions(_Kept):
    """What a report is told beside the results."""

    title: str = Field(
        "Variants and merges, measured", min_length=1, max_length=200, description="What the page is called"
    )
    task: str = Field("", description="The benchmark; by default the one that most models were asked")
    rule: str = Field("", description="Where it was asked in several ways: the rule, such as pmi")
    forgetting: str = Field("", description="The set of general questions that shows forgetting, if there is one")
    baseline: str = Field("", description="Model that others are compared with; by default the first untuned one")
    rivals: dict[str, dict[Rival, str]] = Field(
        {},
        description="By merge: names of rivals, where they are not those that the records tell",
        json_schema_extra={"hidden": True},
    )
    contamination_allowed: bool = Field(
        False,
        description="Whether training rows may hold questions of the benchmark",
        json_schema_extra={"hidden": True},
    )
    published: bool = Field(False, description="Whether the study's own figures stand beside these")
    seed: int = Field(0, ge=0, description="Of whatever is drawn")


class Interval(_Kept):
    """A value and its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        """The same as numbers have it."""
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)

    @classmethod
    def corrected(cls, told: Corrected) -> Interval:
        """A difference with its corrected interval."""
        return cls(value=told.alone.difference, low=told.low, high=told.high)


class Benchmark(_Kept):
    """What was asked, and how."""

    task: str
    fingerprint: str
    protocol: Protocol
    rule: str = ""
    n: int = Field(ge=1, description="Questions")
    passages: int | None = Field(None, description="What questions share; none where each is on its own")
    subsets: dict[str, int] = Field(description="Questions of each part")
    kinds: dict[str, int] = Field(description="Questions by kind: choice, truth")
    questions: tuple[str, ...] = Field(description="Their ids")
    passage_of: tuple[str, ...] = Field((), description="What each is about, where questions share passages")
    constant: float = Field(ge=0, le=1, description="Share right of always giving the commonest letter of each kind")
    template: tuple[int, int] = Field(description="Models asked in their chat template, and without")


class Power(_Kept):
    """The smallest differences that the benchmark shows four times out of five."""

    score: float = Field(description="Share right that they are worked out for: the median of the models")
    discordance: float = Field(description="Share of questions that exactly one of two models answers right")
    seen: bool = Field(description="Whether the discordance is the median seen here, or 15% for want of any")
    effect: float = Field(description="Questions that count as one, because they share passages")
    unpaired: float = Field(description="Between models on different questions")
    paired: float = Field(description="Between two models on the same questions")
    corrected: float = Field(description="The same where all models are compared with the baseline")
    comparisons: int = Field(ge=1, description="How many these are")


class Standing(_Kept):
    """A model's line of the leaderboard."""

    name: str
    kind: str = Field(description="untuned, tuned, merge, or not described")
    family: str = ""
    start: str = ""
    stages: tuple[str, ...] = ()
    epoch: float | None = None
    pretraining_tokens: float | None = None
    fingerprint: str
    answers: str = Field(description="A letter a question, in their order: 1 right, 0 wrong, ? not read")
    right: int = Field(ge=0)
    n: int = Field(ge=1)
    accuracy: Interval
    unparsed: int = Field(ge=0, description="Answers that could not be read; they count as wrong")
    group: int = Field(ge=1, description="Of those that cannot be told apart from the group's leader")
    leads: bool = Field(description="Whether it is the leader")
    group_p: float | None = Field(None, description="Corrected, beside the leader")
    gain: Interval | None = Field(None, description="Over the baseline, with the corrected interval")
    p: float | None = Field(None, description="Of that gain, corrected")
    verdict: str = Field("", description="Beside the baseline: better, worse, cannot be told apart")
    subsets: dict[str, Interval] = {}


class Board(_Kept):
    """A leaderboard: models that answered the same questions in the same way."""

    benchmark: Benchmark
    power: Power
    standings: tuple[Standing, ...] = Field(description="Best first")
    pairs: int = Field(ge=0, description="Pairs that groups were corrected for")
    test: str = Field("", description="By which models were compared")


class Expected(_Kept):
    """A merge beside its parents, in the study's terms, and by sturdier measures of how parents differ."""

    merge: str
    parents: tuple[str, str]
    scores: tuple[float, float]
    expected: Interval
    observed: Interval
    improvement: Interval
    best_parent: str
    diversity: Interval
    double_fault: Interval = Field(description="Share of questions that both parents answer wrong")
    yule_q: Interval | None = Field(None, description="1 where parents answer the same right, 0 independently")
    disagreement: Interval = Field(description="Share of questions that one parent alone answers right")
    task_cosine: float | None = None


class Bin(_Kept):
    """Answers of like confidence."""

    confidence: float
    accuracy: Interval
    count: int


class Calibration(_Kept):
    """How well a model knows what it knows."""

    name: str
    error: float = Field(description="Expected calibration error as it is usually told")
    unbiased: Interval = Field(description="The same less its bias")
    brier: Interval
    overconfidence: float = Field(description="Mean confidence less the share right")
    bins: tuple[Bin, ...]


class Forgetting(_Kept):
    """General questions beside the benchmark."""

    name: str
    general: Interval = Field(description="Share right of general questions")
    change: Interval | None = Field(None, description="Over the baseline, with the corrected interval")
    gain: Interval | None = Field(None, description="On the benchmark over the baseline")
    verdict: str = ""


class Recipe(_Kept):
    """How a merge was made, from its record."""

    name: str
    method: str
    preset: str
    parents: tuple[str, ...]
    base: str
    tensors: int
    linear: int
    curve: dict[str, tuple[float, ...]]
    cosines: dict[str, float] = Field(description="Of the parents, by tensor")
    task_cosines: dict[str, float]
    seconds: float
    peak_mb: float
    yaml: str


class Searched(_Kept):
    """A merge whose t was searched: its score on the split it was searched on, and on the test."""

    name: str
    task: str = Field(description="What was searched on; the merge is not compared with others on it")
    development: float
    test: Interval
    part: float = Field(description="Development less test")


class Judging(_Kept):
    """What judges said of conversations, and what can be measured of these without one."""

    scores: ScoreTable
    remarks: ConversationTable
    automatic: ConversationTable | None = None
    notes: tuple[str, ...] = ()


class Picture(_Kept):
    """A figure that was drawn."""

    name: str
    title: str
    caption: str
    mark: str = ""


class Report(_Kept):
    """All of it."""

    title: str
    baseline: str
    board: Board
    others: tuple[Board, ...] = Field((), description="Leaderboards of other benchmarks")
    findings: tuple[Finding, ...] = Field((), description="Each merge against its rivals, corrected together")
    plain: tuple[str, ...] = Field((), description="Merges that are rivals themselves, compared with parents alone")
    expected: tuple[Expected, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    forgetting: tuple[Forgetting, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    searched: tuple[Searched, ...] = ()
    judging: Judging | None = None
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    limits: tuple[str, ...]

    def shown(self, *names: str) -> tuple[Picture, ...]:
        """Those of the named figures that were drawn, in this order."""
        return tuple(picture for name in names for picture in self.pictures if picture.name == name)
