"""Questions of a benchmark: what is asked, which answers are offered, which is right, what part of it they belong to.

Knows shapes and how a question is worded; not where it comes from, nor who answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workspace.errors import DataError, UsageError, unknown

LETTERS = "ABCDEFGH"
TRUTHS = ("true", "false")
KINDS: Mapping[str, str] = {"choice": "multiple choice", "truth": "true or false"}


class Question(BaseModel):
    """One question with its right answer: a choice among two to eight options, or a statement, true or false."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=200, description="Its name, once in a benchmark")
    kind: Literal["choice", "truth"] = Field(description="Multiple choice, or true or false")
    question: str = Field(min_length=1, description="What is asked; of kind truth the statement")
    options: tuple[str, ...] = Field((), max_length=len(LETTERS), description="choice: what is offered, in order")
    answer: str = Field(min_length=1, description="The right option's text; of a statement true or false")
    passage: str = Field("", description="What it is about, where several questions share that")
    subset: str = Field("", description="Part of the benchmark, such as basic or numerical")

    @model_validator(mode="after")
    def _sound(self) -> Question:
        if self.kind == "truth" and self.options:
            raise ValueError("a statement offers no options")
        if self.kind == "choice" and len(self.options) < 2:
            raise ValueError(f"options: a choice offers at least two, not {len(self.options)}")
        plain = [" ".join(option.split()).casefold() for option in self.options]
        if not all(plain):
            raise ValueError(f"options: {LETTERS[plain.index('')]} is empty")
        if twice := next((option for place, option in enumerate(plain) if option in plain[:place]), None):
            raise ValueError(f"options: {twice!r} stands twice")
        if self.answer not in self.offered:
            raise ValueError(f"answer: {self.answer!r} is not among the options")
        return self

    @property
    def offered(self) -> tuple[str, ...]:
        """The answers in words."""
        return TRUTHS if self.kind == "truth" else self.options

    @property
    def letters(self) -> str:
        """The answers' letters: T and F of a statement, else A, B and so on."""
        return "TF" if self.kind == "truth" else LETTERS[: len(self.options)]

    @property
    def wanted(self) -> str:
        """The right answer's letter."""
        return self.letters[self.offered.index(self.answer)]

    def row(self) -> dict[str, Any]:
        """The question as `training.evaluation.asking.answering` takes it."""
        return {**self.model_dump(include={"kind", "question", "answer"}), "options": list(self.options)}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's name and questions, whose ids differ.

    Raises:
        DataError: There is no question, or two have the same id.
    """

    name: str
    questions: tuple[Question, ...]

    def __post_init__(self) -> None:
        if not self.questions:
            raise DataError(f"{self.name} holds no questions")
        seen: dict[str, int] = {}
        for number, question in enumerate(self.questions, 1):
            if question.id in seen:
                raise DataError(f"{self.name}, row {number}, id: {question.id!r} stands in row {seen[question.id]} too")
            seen[question.id] = number

    @property
    def subsets(self) -> tuple[str, ...]:
        """The names of its parts, as they come."""
        return tuple(dict.fromkeys(question.subset for question in self.questions if question.subset))

    def chosen(self, subsets: Sequence[str] = (), limit: int | None = None) -> Benchmark:
        """A part of it.

        Args:
            subsets: Names of parts, and of kinds (choice, truth); of each sort one has to hold. Empty: all.
            limit: So many questions from the beginning.

        Raises:
            UsageError: There is no such part, or no question is in all that are named.
        """
        for name in subsets:
            if name not in (*self.subsets, *KINDS):
                raise UsageError(f"{self.name}: {unknown('subset', name, [*self.subsets, *KINDS])}")
        kinds = {name for name in subsets if name in KINDS} or set(KINDS)
        parts = {name for name in subsets if name not in KINDS} or {"", *self.subsets}
        kept = tuple(one for one in self.questions if one.kind in kinds and one.subset in parts)
        if not kept:
            raise UsageError(f"{self.name}: no question is in {' and '.join(subsets)}")
        return Benchmark(self.name, kept[:limit])


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that tell what can be JSON from anything else."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
