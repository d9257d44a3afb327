"""What evaluations and merges leave behind, as shapes: answers one by one, a merge's record, a variant's line.

Knows shapes; not who makes, keeps or draws them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Protocol = Literal["likelihood", "written"]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(_Kept):
    """One question's answer. ``wanted`` and ``given`` are letters: A to H of a choice, T or F of a statement."""

    id: str = Field(description="The question's, the same for every model")
    passage: str = Field("", description="What the question is about; those of one passage stand or fall together")
    subset: str = Field("", description="Part of the benchmark, such as basic or numerical")
    kind: Literal["choice", "truth"] = Field(description="Multiple choice, or true or false")
    wanted: str = Field(description="The right answer's letter")
    given: str = Field(description="The answer's letter; empty where what was written could not be read as one")
    right: bool = Field(description="Whether they are the same")
    confidence: float | None = Field(None, ge=0, le=1, description="Chance that the model gives its answer")
    text: str = Field("", description="What the model wrote, where it wrote")


class Evaluation(_Kept):
    """What one model answered to one benchmark, in the benchmark's order."""

    model: str = Field(description="Its name")
    fingerprint: str = Field(description="Of its weights, tokenizer and template; of a server, its address and name")
    task: str = Field(description="The benchmark's name")
    task_fingerprint: str = Field(description="Of its questions and of how they are put")
    protocol: Protocol = Field(description="By answers' likelihood, or by what the model writes at temperature 0")
    rule: str = Field("", description="likelihood: how the likeliest is told, such as plain or pmi")
    template: bool = Field(description="Whether questions are put in the model's chat template")
    contaminated: int = Field(0, ge=0, description="Questions that stand in training rows, asked all the same")
    seconds: float = Field(ge=0, description="How long it took, of questions that were asked in this run")
    answers: tuple[Answer, ...] = Field(min_length=1, description="One a question")

    @property
    def right(self) -> tuple[bool, ...]:
        """Right or wrong, a question each."""
        return tuple(answer.right for answer in self.answers)

    @property
    def unparsed(self) -> int:
        """Answers that could not be read; they count as wrong."""
        return sum(not answer.given for answer in self.answers)

    @property
    def passages(self) -> tuple[str, ...] | None:
        """What each question is about, or none where every question is on its own."""
        told = tuple(answer.passage or f"question {answer.id}" for answer in self.answers)
        return told if len(set(told)) < len(told) else None


class SearchedScore(_Kept):
    """What a search for t told of the merge that it found: on the split it saw, and once on the one it did not."""

    task: str = Field(description="The benchmark that was searched on")
    development: float = Field(ge=0, le=1, description="Share right on the development split: the best of many trials")
    test: float = Field(ge=0, le=1, description="Share right on the test split")
    low: float = Field(description="Lower end of its 95% interval")
    high: float


class MergeRecord(_Kept):
    """How a merge was made, and how far its parents lay apart; kept beside its weights as ``merge.json``."""

    name: str
    method: str = Field(description="As the table of methods has it")
    preset: str = Field("", description="Name of the curve of t over depth, if it has one")
    parents: tuple[str, ...] = Field(min_length=2, description="Names; of two-parent methods that of t = 0 first")
    base: str = Field("", description="Common base of task-vector methods")
    curve: dict[str, tuple[float, ...]] = Field({}, description="t of every layer, by part: self_attn, mlp, rest")
    tensors: int = Field(0, ge=0, description="Merged tensors")
    linear: int = Field(0, ge=0, description="Of these, those whose cosine makes mergekit interpolate linearly")
    cosines: dict[str, float] = Field({}, description="Of every tensor: cosine between the (first two) parents")
    task_cosines: dict[str, float] = Field({}, description="The same of task vectors, where there is a base")
    yaml: str = Field("", description="mergekit's configuration")
    seconds: float = Field(0.0, ge=0)
    peak_mb: float = Field(0.0, ge=0, description="Most memory of the process while merging")
    searched: SearchedScore | None = Field(None, description="Where t was searched")


class Variant(_Kept):
    """Where a model comes from, for figures that set one kind of model against another."""

    name: str
    family: str = Field("", description="Such as SmolLM2-135M or Llama-3.1-8B")
    start: Literal["base", "instruct", ""] = Field("", description="What training began from; empty if not known")
    stages: tuple[str, ...] = Field((), description="In order: cpt, sft, dpo, orpo, and the merge's method last")
    parents: tuple[str, ...] = Field((), description="Names of the models that it was made of")
    epoch: float | None = Field(None, description="Epoch of continued pretraining, where one was kept")
    pretraining_tokens: float | None = Field(None, description="Of the base model, in trillions")
