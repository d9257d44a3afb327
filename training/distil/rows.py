"""Distilled documents to training rows: each checked against its passage, none twice. Knows no model and no file.

A document gives several candidates; each is one row or one sentence of a row's text, with what has to hold of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.corpus.duplicates import Duplicates, words_of
from pipelines.corpus.leaks import Leaks
from pipelines.corpus.passages import Passage
from training.distil import checks
from training.distil.config import Kind
from training.distil.documents import (
    KINDS,
    ChoiceQuestions,
    Comparisons,
    Conversation,
    Details,
    Document,
    Facts,
    Insights,
    OpenQuestions,
    Preference,
    Preferences,
    Reasoning,
    Statements,
    Style,
    Summary,
    Title,
)

FILES = ("text", "messages", "preferences")
_PAIR = 2  # words in a run: questions are short
_SENTENCE, _QUESTION, _ANSWER = 5, 4, 3  # words at least

Row = dict[str, Any]
Fault = tuple[str, str]


@dataclass(frozen=True)
class Candidate:
    """What may become rows: their fields, the text by which they are told from others, and what is wrong."""

    rows: tuple[Row, ...]
    key: str
    fault: Fault | None

    @property
    def file(self) -> str:
        """Which file the rows belong to."""
        return next((name for name in FILES if name in self.rows[0]), FILES[-1])


@dataclass
class Distilled:
    """Rows by file, and what was dropped."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in FILES})
    dropped: list[Row] = field(default_factory=list)


class Gathering:
    """Takes passages with their documents, one after the other, and keeps rows that are right and new.

    Args:
        near: Likeness from which questions and sentences count as the same; 1 for exact ones.
        grounding: Least share of an answer's content words that stand in its passage.
        seed: Of the order of options.
        leaks: Tells a benchmark's words, which no row may hold.
    """

    def __init__(self, near: float, grounding: float, seed: int, leaks: Leaks | None = None) -> None:
        self.grounding, self.seed, self.leaks = grounding, seed, leaks
        self.made = Distilled()
        self._seen = {name: Duplicates(near, _PAIR) for name in FILES}
        self._keys: dict[str, str] = {}
        self._first: dict[tuple[str, str], str] = {}

    def add(self, passage: Passage, documents: Mapping[Kind, Document]) -> None:
        """Take a passage's documents by kind."""
        prose: dict[Kind, list[str]] = {}
        for kind in (name for name in KINDS if name in documents):
            for number, one in enumerate(candidates(kind, documents[kind], passage, self.grounding, self.seed)):
                fault = one.fault or self._leaked(one) or self._twice(f"{passage.id}/{kind}/{number}", one)
                if fault:
                    dropped = {"kind": kind, "check": fault[0], "why": fault[1], "rows": list(one.rows)}
                    self.made.dropped.append(dropped | _from(passage))
                elif one.file == "text":
                    prose.setdefault(kind, []).append(one.rows[0]["text"])
                else:
                    self.made.rows[one.file] += [{**row, "kind": kind, **_from(passage)} for row in one.rows]
        title = prose.pop("title", [])
        if prose or title:
            text = "\n\n".join([*title, *(" ".join(lines) for lines in prose.values())])
            self.made.rows["text"].append({"text": text, "kind": "prose", **_from(passage)})

    def _leaked(self, one: Candidate) -> Fault | None:
        leak = self.leaks.found(json.dumps(one.rows, ensure_ascii=False).replace("\\n", " ")) if self.leaks else None
        return ("contamination", f"it holds words of {leak[0]}: {leak[1][:120]!r}") if leak else None

    def _twice(self, name: str, one: Candidate) -> Fault | None:
        """Whether the same stands in a row already; texts that differ in a figure are not the same."""
        exact = (one.file, " ".join(words_of(one.key)))
        if exact in self._first:
            return "exact duplicate", f"as {self._first[exact]}"
        same = self._seen[one.file].seen(name, one.key)
        if same is not None and checks.figures(self._keys[same[0]]) == checks.figures(one.key):
            return "near duplicate", f"{same[1]:.0%} of {same[0]}"
        self._first[exact], self._keys[name] = name, one.key
        return None


def _from(passage: Passage) -> Row:
    return {"passage": passage.id, "source": passage.source.model_dump()}


def candidates(kind: Kind, document: Document, passage: Passage, grounding: float, seed: int) -> Iterator[Candidate]:
    """What a document gives, each with what is wrong with it.

    Args:
        kind: A key of `KINDS`.
        document: Of that kind.
        passage: What it was distilled from.
        grounding: Least share of an answer's content words that stand in the passage.
        seed: Of the order of options.
    """
    yield from _MADE[kind](document, _Against(passage.text, grounding), random.Random(f"{seed}/{passage.id}/{kind}"))


@dataclass(frozen=True)
class _Against:
    """The passage that everything is checked against."""

    text: str
    grounding: float

    def sentence(self, text: str, least: int = _SENTENCE) -> Fault | None:
        """What is wrong with a sentence that should hold."""
        return _first(
            ("short", checks.thin(text, least)),
            ("leaning", checks.leaning(text)),
            ("figure", checks.strange_figures(text, self.text)),
            ("name", checks.strange_names(text, self.text)),
            ("astray", checks.astray(text, self.text, self.grounding)),
        )

    def question(self, text: str) -> Fault | None:
        """What is wrong with a question."""
        return _first(
            ("short", checks.thin(text, _QUESTION)),
            ("vague", checks.vague(text)),
            ("leaning", checks.leaning(text)),
            ("figure", checks.strange_figures(text, self.text)),
            ("name", checks.strange_names(text, self.text)),
            ("astray", checks.astray(text, self.text, self.grounding)),
        )

    def pair(self, question: str, *answers: str) -> Fault | None:
        """What is wrong with a question and its answers."""
        faults = [self.question(question), *(self.sentence(one, _ANSWER) for one in answers)]
        return next((one for one in faults if one), None) or _first(("echo", checks.echo(question, answers[-1])))

    def wrong(self, right: str, wrong: str) -> Fault | None:
        """What is wrong with a wrong answer, beside that it is wrong."""
        return _first(
            ("short", checks.thin(wrong, _ANSWER)),
            ("leaning", checks.leaning(wrong)),
            ("same", checks.same(right, wrong)),
            ("stands", checks.stands(wrong, self.text)),
            ("beside", checks.beside(wrong, right, self.text)),
        )


def _first(*found: tuple[str, str | None]) -> Fault | None:
    return next(((name, why) for name, why in found if why), None)


def _chat(*turns: str) -> Row:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)]}


def _preferred(question: str, chosen: str, rejected: str) -> Row:
    return {
        "prompt": [{"role": "user", "content": question}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }


def _title(document: Title, against: _Against, _: random.Random) -> Iterator[Candidate]:
    fault = _first(("astray", checks.astray(document.title, against.text, against.grounding)))
    yield Candidate(({"text": document.title},), document.title, fault)


def _summary(document: Summary, against: _Against, _: random.Random) -> Iterator[Candidate]:
    yield Candidate(({"text": document.summary},), document.summary, against.sentence(document.summary))


def _lines(texts: Sequence[str], against: _Against) -> Iterator[Candidate]:
    for text in texts:
        yield Candidate(({"text": text},), text, against.sentence(text))


def _comparisons(document: Comparisons, against: _Against, _: random.Random) -> Iterator[Candidate]:
    for each in document.comparisons:
        fault = against.sentence(each.difference) or _first(
            ("same", "both things are the same" if checks.stems(each.one) == checks.stems(each.other) else None),
            ("astray", checks.astray(each.one, against.text, against.grounding)),
            ("astray", checks.astray(each.other, against.text, against.grounding)),
        )
        yield Candidate(({"text": each.difference},), each.difference, fault)
        if fault is None:
            question = f"How do {each.one} and {each.other} compare?"
            yield Candidate((_chat(question, each.difference),), question, None)


def _open(document: OpenQuestions, against: _Against, _: random.Random) -> Iterator[Candidate]:
    for pair in document.pairs:
        yield Candidate((_chat(pair.question, pair.answer),), pair.question, against.pair(pair.question, pair.answer))


def _choice(document: ChoiceQuestions, against: _Against, dice: random.Random) -> Iterator[Candidate]:
    for one in document.questions:
        wrong = [one.first_wrong, one.second_wrong, one.third_wrong]
        every = [one.answer, *wrong]
        dice.shuffle(every)
        options = [f"{letter}. {text}" for letter, text in zip("ABCD", every, strict=True)]
        put = "\n".join([one.question, *options, "Answer with the letter."])
        grounded = None if checks.figures(one.answer) else checks.astray(one.answer, against.text, against.grounding)
        fault = against.question(one.question) or _first(
            ("options", checks.options(one.answer, wrong)),
            ("figure", checks.strange_figures(one.answer, against.text)),
            ("astray", grounded),
            ("echo", checks.echo(one.question, one.answer)),
        )
        yield Candidate((_chat(put, options[every.index(one.answer)]),), one.question, fault)


def _truth(document: Statements, against: _Against, _: random.Random) -> Iterator[Candidate]:
    for one in document.statements:
        rows = [
            _chat(f"True or false? {statement}", answer)
            for statement, answer in ((one.right, "true"), (one.wrong, "false"))
        ]
        yield Candidate(tuple(rows), one.right, against.sentence(one.right) or against.wrong(one.right, one.wrong))


def _reasoning(document: Reasoning, against: _Against, _: random.Random) -> Iterator[Candidate]:
    parts = (document.premise, document.link, document.conclusion)
    fault = against.pair(document.question, *parts)
    yield Candidate((_chat(document.question, " ".join(parts)),), document.question, fault)


def _conversation(document: Conversation, against: _Against, _: random.Random) -> Iterator[Candidate]:
    faults = [against.pair(document.turns[0].question, document.turns[0].answer)]
    # A later question may lean on an earlier answer: only its answer is held to the passage.
    for turn in document.turns[1:]:
        faults += [against.sentence(turn.answer, _ANSWER), _first(("leaning", checks.leaning(turn.question)))]
        faults += [_first(("echo", checks.echo(turn.question, turn.answer)))]
    answers = [turn.answer.lower() for turn in document.turns]
    faults.append(("echo", "an answer is given twice") if len(set(answers)) < len(answers) else None)
    texts = [text for turn in document.turns for text in (turn.question, turn.answer)]
    yield Candidate((_chat(*texts),), document.turns[0].question, next((one for one in faults if one), None))


def _preference(document: Preferences, against: _Against, _: random.Random) -> Iterator[Candidate]:
    yield from _pairs(document.pairs, against)


def _style(document: Style, against: _Against, _: random.Random) -> Iterator[Candidate]:
    yield from _pairs([document], against)


def _pairs(pairs: Iterable[Preference | Style], against: _Against) -> Iterator[Candidate]:
    for one in pairs:
        fault = against.pair(one.question, one.chosen) or against.wrong(one.chosen, one.rejected)
        fault = fault or _first(("uneven", checks.uneven(one.chosen, one.rejected)))
        yield Candidate((_preferred(one.question, one.chosen, one.rejected),), one.question, fault)


def _insights(document: Insights, against: _Against, _: random.Random) -> Iterator[Candidate]:
    yield from _lines(document.insights, against)


def _facts(document: Facts, against: _Against, _: random.Random) -> Iterator[Candidate]:
    yield from _lines(document.facts, against)


def _details(document: Details, against: _Against, _: random.Random) -> Iterator[Candidate]:
    yield from _lines(document.details, against)


_MADE: Mapping[Kind, Callable[[Any, _Against, random.Random], Iterator[Candidate]]] = {
    "title": _title,
    "summary": _summary,
    "insights": _insights,
    "facts": _facts,
    "details": _details,
    "comparisons": _comparisons,
    "open": _open,
    "choice": _choice,
    "truth": _truth,
    "reasoning": _reasoning,
    "conversation": _conversation,
    "preference": _preference,
    "style": _style,
}
