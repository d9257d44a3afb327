"""What a model makes of a benchmark's questions, by the likelihood of every answer that a question offers.

Nothing is sampled, so the same model always answers the same. What is likeliest is told by several rules (`RULES`): the
likelihood a byte after the question (lm-eval's `acc_norm`); the same less what the answer has without the question
(pointwise mutual information), which takes out how much an answer sounds like what the model was trained on; by that
alone, the question unseen; and by letter, the options shown, as the study asks. Knows questions; not their subject.

Source of the second: Holtzman et al., "Surface form competition" (EMNLP 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.evaluation.asking.questions import LETTERS, TRUTHS
from training.evaluation.asking.scoring import Scorer
from training.sample.rows import asked
from workspace.progress import QuestionsAnswered, Tell, silent, waiting, weighed

Question = dict[str, Any]

RULES = ("plain", "pmi", "letters", "unasked")
"""By the likelihood a byte, by mutual information, by letter, and with the question unseen."""
UNASKED = {"choice": "", "truth": "True or false?"}
"""What is put instead of a question."""


def offered(question: Question) -> list[str]:
    """The answers that a question offers, as they would be given."""
    return list(TRUTHS) if question["kind"] == "truth" else list(question["options"])


Prompt = tuple[str, tuple[str, ...]]
"""A text and the answers that may follow it."""


def prompts(question: Question) -> tuple[Prompt, ...]:
    """How a question is put: with its answers in words, its answers alone, and of a choice with letters."""
    choices = tuple(offered(question))
    texts: tuple[Prompt, ...] = ((asked(question), choices), (UNASKED[question["kind"]], choices))
    return (*texts, (with_letters(question), tuple(LETTERS[: len(choices)]))) if question["kind"] == "choice" else texts


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
    answered = 0

    def done(place: int, told: Told) -> None:
        nonlocal answered
        answered += 1
        tell(QuestionsAnswered(model=name or folder.name, answered=answered, of=len(questions)))

    return told_by(scorer, questions, done)


def told_by(
    scorer: Scorer, questions: Sequence[Question], done: Callable[[int, Told], None], template: bool = True
) -> list[Told]:
    """What a model that is read already makes of every answer to each question; what is put twice is read once.

    Args:
        scorer: The model.
        questions: As for `likelihoods`.
        done: Called with a question's place and what was told, when all of it is known, not in order.
        template: Whether questions are put in the chat template; else answers follow after a space.
    """
    places: dict[Prompt, int] = {}
    parts: list[list[int]] = []
    for question in questions:
        put = [
            (scorer.chat(text), answers) if template else (text, tuple(f" {answer}" for answer in answers))
            for text, answers in prompts(question)
        ]
        parts.append([places.setdefault(one, len(places)) for one in put])
    waits: dict[int, list[int]] = {place: [] for place in places.values()}
    for number, own in enumerate(parts):
        for place in set(own):
            waits[place].append(number)
    left = [len(set(own)) for own in parts]
    rows: dict[int, tuple[float, ...]] = {}
    made: dict[int, Told] = {}

    def known(place: int, scores: list[float]) -> None:
        rows[place] = tuple(scores)
        for number in waits[place]:
            left[number] -= 1
            if not left[number]:
                own = [rows[one] for one in parts[number]]
                made[number] = Told(own[0], own[1], own[2] if len(own) > 2 else ())
                done(number, made[number])

    scorer.likelihoods(list(places), known)
    return [made[number] for number in range(len(questions))]


def with_letters(question: Question) -> str:
    """A choice with its options, to be answered by letter."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, question["options"], strict=False)]
    return "\n".join([asked(question), *lines, "Answer with the letter alone."])


def to_write(question: Question) -> str:
    """A question to be answered by writing one letter, or one word, as the study asks."""
    if question["kind"] == "choice":
        return with_letters(question)
    return f"{asked(question)}\nAnswer with one word, true or false."


def scores(rule: str, question: Question, told: Told) -> list[float]:
    """How a rule ranks a question's answers: the more the likelier, in the order in which they are offered.

    Args:
        rule: One of `RULES`; ``letters`` ranks a statement's answers, which have none, as ``plain`` does.
        question: What was asked.
        told: What a model makes of its answers.
    """
    choices = offered(question)
    sizes = [len(choice.encode()) if question["kind"] == "choice" else 1 for choice in choices]
    return {
        "plain": [one / size for one, size in zip(told.asked, sizes, strict=True)],
        "pmi": [one - bare for one, bare in zip(told.asked, told.unasked, strict=True)],
        "unasked": [bare / size for bare, size in zip(told.unasked, sizes, strict=True)],
        "letters": list(told.letters or told.asked),
    }[rule]


def right_by(rule: str, question: Question, told: Told) -> bool:
    """Whether the answer that a rule puts first is the right one; the first of several that are alike."""
    return bool(offered(question)[int(np.argmax(scores(rule, question, told)))] == question["answer"])


def chance(ranks: Sequence[float]) -> float:
    """The share of the answer ranked first: the softmax of a rule's scores at its highest."""
    most = max(ranks)
    return 1 / sum(math.exp(one - most) for one in ranks)
