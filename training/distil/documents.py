"""What is distilled from a passage: one bounded document a kind, and the table of kinds.

A kind's prompt is ``prompts/KIND.j2``; how a small model is shown the kind stands in ``examples.yaml``
under the kind's name. Knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from models.filling.text_kinds import Name, Prompt, Question, Sentence, tidy
from training.distil.config import Kind

Option = Annotated[str, Field(min_length=1, max_length=120, json_schema_extra={"x-text": "name"}), AfterValidator(tidy)]


class Document(BaseModel):
    """What all documents share: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Title(Document):
    """What a passage is called."""

    title: Name = Field(description="A title that says what the passage is about")


class Insights(Document):
    """What a passage teaches."""

    insights: list[Sentence] = Field(
        min_length=1,
        max_length=5,
        description="What an engineer can learn from it: a principle, with its reason, that stands alone",
        json_schema_extra={"x-items": 2},
    )


class Facts(Document):
    """What a passage states."""

    facts: list[Sentence] = Field(
        min_length=1,
        max_length=8,
        description="A fact, in a sentence that stands alone and names its subject",
        json_schema_extra={"x-items": 3},
    )


class Details(Document):
    """What a passage says exactly."""

    details: list[Sentence] = Field(
        min_length=1,
        max_length=6,
        description="A detail: a figure with its unit, a name, a condition or a method, and what it belongs to",
        json_schema_extra={"x-items": 2},
    )


class Comparison(Document):
    """Two things side by side."""

    one: Name = Field(description="A thing that the passage describes")
    other: Name = Field(description="Another that it can be compared with")
    difference: Sentence = Field(description="How they differ, or in what they are alike, both named")


class Comparisons(Document):
    """What a passage compares."""

    comparisons: list[Comparison] = Field(
        min_length=1, max_length=3, description="Comparisons", json_schema_extra={"x-items": 1}
    )


class Pair(Document):
    """A question and its answer."""

    question: Question = Field(description="A question that can be understood without the passage")
    answer: Sentence = Field(description="Its answer, whole and exact")


class OpenQuestions(Document):
    """Questions that are answered in sentences."""

    pairs: list[Pair] = Field(
        min_length=1, max_length=5, description="Questions, all different", json_schema_extra={"x-items": 2}
    )


class Choice(Document):
    """A question with four options."""

    question: Question = Field(description="A question that can be understood without the passage")
    answer: Option = Field(description="The right option, a few words")
    first_wrong: Option = Field(description="A wrong option of the same sort and length")
    second_wrong: Option = Field(description="Another wrong option")
    third_wrong: Option = Field(description="One more wrong option")


class ChoiceQuestions(Document):
    """Multiple choice."""

    questions: list[Choice] = Field(
        min_length=1, max_length=4, description="Questions, all different", json_schema_extra={"x-items": 1}
    )


class Statement(Document):
    """A statement that holds, and one like it that does not."""

    right: Sentence = Field(description="A true statement that can be understood without the passage")
    wrong: Sentence = Field(description="A statement on the same thing that is plainly false")


class Statements(Document):
    """True or false."""

    statements: list[Statement] = Field(
        min_length=1, max_length=4, description="Statements, all different", json_schema_extra={"x-items": 1}
    )


class Reasoning(Document):
    """A question that takes two steps."""

    question: Question = Field(description="A why or how question that can be understood without the passage")
    premise: Sentence = Field(description="What is known that bears on it")
    link: Sentence = Field(description="What follows from that, and by which mechanism")
    conclusion: Sentence = Field(description="The answer")


class Summary(Document):
    """A passage in short."""

    summary: Prompt = Field(description="What the passage says, in two to four sentences that stand alone")


class Conversation(Document):
    """A short talk between someone who asks and someone who knows."""

    turns: list[Pair] = Field(
        min_length=2, max_length=4, description="Turns, each building on the last", json_schema_extra={"x-items": 2}
    )


class Preference(Document):
    """A question with an answer to learn and one to unlearn."""

    question: Question = Field(description="A question that can be understood without the passage")
    chosen: Sentence = Field(description="The right answer, whole and exact")
    rejected: Sentence = Field(description="An answer that sounds as sure but is wrong in its main point")


class Preferences(Document):
    """Right answers beside wrong ones."""

    pairs: list[Preference] = Field(
        min_length=1, max_length=3, description="Questions, all different", json_schema_extra={"x-items": 1}
    )


class Style(Document):
    """A question with a plain answer and one that is badly put."""

    question: Question = Field(description="A question that can be understood without the passage")
    chosen: Sentence = Field(description="The answer, plain and exact")
    rejected: Sentence = Field(description="The same answer, vague, wordy and full of praise")


KINDS: Mapping[Kind, type[Document]] = {
    "title": Title,
    "summary": Summary,
    "insights": Insights,
    "facts": Facts,
    "details": Details,
    "comparisons": Comparisons,
    "open": OpenQuestions,
    "choice": ChoiceQuestions,
    "truth": Statements,
    "reasoning": Reasoning,
    "conversation": Conversation,
    "preference": Preferences,
    "style": Style,
}
"""What each kind is; the prompts and the examples go by these names."""
