"""What a model makes of a benchmark's questions, by the likelihood of every answer that a question offers.

Nothing is sampled, so the same model always answers the same. What is likeliest is told by several rules (`RULES`): the
likelihood a byte after the question (lm-eval's `acc_norm`); the same less what the answer has without the question
(pointwise mutual information), which takes out how much an answer sounds like what the model was trained on; by that
alone, the question unseen; and by letter, the options shown, as the study asks. Knows questions; not their subject.

Source of the second: Holtzman et al., "Surface form competition" (EMNLP 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.evaluation.scoring import Scorer
from training.sample.rows import asked
from workspace.progress import QuestionsAnswered, Tell, silent, waiting, weighed

Question = dict[str, Any]

RULES = ("plain", "pmi", "letters", "unasked")
"""By the likelihood a byte, by mutual information, by letter, and with the question unseen."""
LETTERS = "ABCDEFGH"
UNASKED = {"choice": "", "truth": "True or false?"}
"""What is put instead of a question."""


def offered(question: Question) -> list[str]:
    """The answers that a question offers, as they would be given."""
    return ["true", "false"] if question["kind"] == "truth" else list(question["options"])


class Told(NamedTuple):
    """Log-likelihoods of every answer that a question offers.

    Attributes:
        asked: After the question.
        unasked: With no question before it.
        letters: Of every answer's letter after question and options; none for a statement.
    """

    asked: tuple[float, ...]
    unasked: tuple[float, ...]
    letters: tuple[float, ...]


def likelihoods(
    folder: Path,
    questions: Sequence[Question],
    template: Path | None = None,
    tell: Tell = silent,
    name: str = "",
) -> list[Told]:
    """What a model makes of every answer to each question.

    Args:
        folder: The model's.
        questions: Of kind ``choice`` (with options) or ``truth``, each with its right answer.
        template: Folder of the model whose chat template is used, where the model has none.
        tell: Called with `QuestionsAnswered` after every question.
        name: What the model is called; the folder's name if not given.
    """
    with waiting(f"reading {weighed(folder)}"):
        scorer = Scorer.load(folder, template)
    places: dict[tuple[str, tuple[str, ...]], int] = {}
    parts: list[list[int]] = []
    for question in questions:
        choices = tuple(offered(question))
        texts = [(asked(question), choices), (UNASKED[question["kind"]], choices)]
        texts += [(with_letters(question), tuple(LETTERS[: len(choices)]))] if question["kind"] == "choice" else []
        parts.append([places.setdefault((scorer.chat(text), answers), len(places)) for text, answers in texts])
    waits = {place: [number for number, own in enumerate(parts) if place in own] for place in places.values()}
    left, answered = [len(set(own)) for own in parts], 0

    def done(place: int, _: object) -> None:
        nonlocal answered
        for number in waits[place]:
            left[number] -= 1
            if not left[number]:
                answered += 1
                tell(QuestionsAnswered(model=name or folder.name, answered=answered, of=len(questions)))

    rows = scorer.likelihoods(list(places), done)
    found = [[tuple(rows[place]) for place in own] for own in parts]
    return [Told(own[0], own[1], own[2] if len(own) > 2 else ()) for own in found]


def with_letters(question: Question) -> str:
    """A choice with its options, to be answered by letter."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, question["options"], strict=False)]
    return "\n".join([asked(question), *lines, "Answer with the letter alone."])


def right_by(rule: str, question: Question, told: Told) -> bool:
    """Whether the answer that a rule puts first is the right one; the first of several that are alike.

    Args:
        rule: One of `RULES`; ``letters`` is for choices alone.
        question: What was asked.
        told: What a model makes of its answers.
    """
    choices = offered(question)
    sizes = [len(choice.encode()) if question["kind"] == "choice" else 1 for choice in choices]
    scores = {
        "plain": [one / size for one, size in zip(told.asked, sizes, strict=True)],
        "pmi": [one - bare for one, bare in zip(told.asked, told.unasked, strict=True)],
        "unasked": [bare / size for bare, size in zip(told.unasked, sizes, strict=True)],
        "letters": list(told.letters),
    }[rule]
    return bool(choices[int(np.argmax(scores))] == question["answer"])
