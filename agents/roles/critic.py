"""The Critic: looks at each picture of a round and answers a checklist drawn from the design. Knows no files.

An answer that is missing is never counted as a yes or a no: the model is asked again, and then it is an error.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, ClassVar, Literal, Self

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import Field, create_model, field_validator, model_validator

from agents.documents import Check, Critique, Sight, Verdict
from agents.experience import shots
from agents.kit import Kit, wish
from agents.knowledge import looks
from agents.roles.advice import Wanted, advised, described
from agents.roles.scores import rubric, shows
from agents.state import DesignState, Json
from agents.templates import prompt
from agents.vocabulary import Vocabulary
from models.filling.shots import Shots
from workspace.events import CritiqueReady

MOST_QUESTIONS = 8
RATINGS = tuple(str(number) for number in range(1, 11))
WIDE = 10
"""A picture's width in the design's length units."""

_GUESSED = 0.5  # what a pattern that was a free choice adds to a picture's rating

MICROMETRES = {"nanometre": 1e-3, "micrometre": 1.0, "millimetre": 1e3, "centimetre": 1e4}


@dataclass(frozen=True)
class Asked:
    """What a question of the checklist is about: the numbered motif or inspiration, the palette, or the target."""

    subject: Literal["motif", "palette", "inspiration", "target"]
    number: int = 0


def questions_about(design: Json, made: Json, target: str, guessed: Collection[str] = ()) -> dict[str, Asked]:
    """The yes/no questions about a picture: motifs, palette, the inspirations' features, the target.

    Whether it shows a feature as in a source of ``guessed``, of which nobody knows how it looks, is not asked.
    """
    asked = [(shows(motif), Asked("motif", number)) for number, motif in enumerate(made["motifs"])]
    asked += [(_coloured(made["palette"]), Asked("palette"))]
    for number, source in enumerate(design["inspirations"]):
        if source["name"] in guessed:
            continue
        asked += [(f"{_has(source['feature'])} {source['name']}?", Asked("inspiration", number))]
    asked += [(f"Does the picture look like a {target}?", Asked("target"))]
    found: dict[str, Asked] = {}
    for question, about in asked:
        found.setdefault(question if len(question) <= 200 else f"{question[:198].rstrip()}?", about)
    return dict(list(found.items())[:MOST_QUESTIONS])


def checklist(design: Json, made: Json, target: str, guessed: Collection[str] = ()) -> tuple[str, ...]:
    """The questions alone, in order."""
    return tuple(questions_about(design, made, target, guessed))


def critique_examples(made: Json) -> Shots:
    """Worked examples, and what a critique of a picture painted from a prompt is about."""
    return shots("critique", made["short"], " and ".join(made["motifs"]), f"Colours are {made['palette']}.")


def _coloured(palette: str) -> str:
    return f"Are the main colours {palette}?"


def _has(feature: str) -> str:
    return f"Can you see {feature} as in"


@dataclass(frozen=True)
class Known:
    """What a question of the checklist asks for, in the names that a critic chooses from for fields of what it sees.

    ``worth`` is what it adds to the rating where it is seen: half for a pattern that was a free choice.
    """

    name: str
    fields: tuple[str, ...]
    names: frozenset[str]
    worth: float = 1.0

    def in_sight(self, values: Mapping[Any, Any]) -> bool | None:
        """Say whether it is seen; None where what is seen is none of the names."""
        seen = {values.get(("sees", field)) for field in self.fields}
        return self.name in seen if seen <= self.names else None


class _Settled(Verdict):
    """A verdict whose answers and words follow from what is seen where they can, its rating not going beyond that."""

    known: ClassVar[Mapping[str, Known]] = {}
    wanted: ClassVar[Wanted | None] = None

    @classmethod
    def derived(cls, path: tuple[str | int, ...], values: Mapping[Any, Any]) -> str | None:
        """The text that follows at a path of the document from what is seen; None where a model has to write it."""
        if cls.wanted is None or path not in (("seen",), ("change",)):
            return None
        if None in [asked.in_sight(values) for asked in cls.known.values()]:
            return None  # it is seen in other words than the painter's
        sees = {field: str(values["sees", field]) for field in Sight.model_fields}
        return described(sees) if path == ("seen",) else advised(sees, cls.wanted)

    @classmethod
    def follows(cls, path: tuple[str | int, ...], values: Mapping[Any, Any]) -> tuple[str, ...] | None:
        """What may stand at a path of the document once what is seen stands in ``values``; None where all may."""
        if path == ("fit",):
            return cls._ratings(values)
        if path[0] != "checks" or path[-1] != "answer":
            return None
        asked = cls.known.get(values.get((*path[:-1], "question"), ""))
        shown = asked and asked.in_sight(values)
        return None if shown is None else ("yes",) if shown else ("no",)

    @classmethod
    def _ratings(cls, values: Mapping[Any, Any]) -> tuple[str, ...] | None:
        """The ratings up to the rubric's for the patterns and colours that are seen."""
        seen = {asked: asked.in_sight(values) for asked in cls.known.values()}
        patterns = [
            (seen[asked], asked.worth) for question, asked in cls.known.items() if question == shows(asked.name)
        ]
        colours = [seen[asked] for question, asked in cls.known.items() if question == _coloured(asked.name)]
        if not patterns or not colours or None in [*(shown for shown, _ in patterns), *colours]:
            return None
        share = sum(worth for shown, worth in patterns if shown) / len(patterns)
        return RATINGS[: round(rubric(share, all(colours)))]

    @model_validator(mode="after")
    def _follow(self) -> Self:
        values: dict[Any, Any] = {("sees", key): value for key, value in self.sees}
        for number, check in enumerate(self.checks):
            values["checks", number, "question"] = check.question
            answer = self.follows(("checks", number, "answer"), values)
            self.checks[number] = check.model_copy(update={"answer": answer[0]}) if answer else check
        ratings = self.follows(("fit",), values)
        self.fit = min(self.fit, len(ratings)) if ratings else self.fit
        self.seen = self.derived(("seen",), values) or self.seen
        self.change = self.derived(("change",), values) or self.change
        return self


@lru_cache(maxsize=32)
def critique_schema(
    questions: tuple[str, ...], known: tuple[tuple[str, Known], ...] = (), wanted: Wanted | None = None
) -> type[Verdict]:
    """`Verdict` that answers exactly these questions, matched by their words or else by their order.

    Args:
        questions: The checklist.
        known: Questions whose answers follow from what is seen, whatever a model answers, and what they ask for. The
            rating is at most the rubric's for them.
        wanted: What the picture was asked for, where sentence and change are to follow from what is seen as well.
    """

    def answered(checks: list[Check]) -> list[Check]:
        given = {check.question.strip().lower(): check.answer for check in checks}
        if all(question.lower() in given for question in questions):
            return [Check(question=question, answer=given[question.lower()]) for question in questions]
        return [Check(question=q, answer=check.answer) for q, check in zip(questions, checks, strict=True)]

    bounds = Field(min_length=len(questions), max_length=len(questions), description="The checklist, answered in order")
    validators: dict[str, Any] = {"answered": field_validator("checks")(answered)}
    made = create_model(
        "Verdict",
        __base__=_Settled,
        __doc__=Verdict.__doc__,
        __validators__=validators,
        checks=(Annotated[list[Check], bounds], ...),
    )
    made.known, made.wanted = dict(known), wanted
    return made


def answered_by(
    questions: Sequence[str], words: Vocabulary, fitting: Collection[str] | None = None
) -> tuple[tuple[str, Known], ...]:
    """The questions of a checklist that ask for a pattern or palette of a painter's words, and for which.

    A feature counts as the pattern whose own words it is.

    Args:
        questions: The checklist.
        words: The painter's words.
        fitting: The patterns that are known to fit the design's sources; None where all count as such.
    """
    patterns = frozenset(row[0] for row in words.families)
    colours = frozenset(row[0] for row in words.palettes)
    openings = {_coloured(name): Known(name, ("palette",), colours) for name in colours}
    for row in words.families:
        worth = _GUESSED if fitting is not None and row[0] not in fitting else 1.0
        shown = Known(row[0], ("pattern", "second"), patterns | {"none"}, worth)
        openings |= {shows(row[0]): shown} | {f"{_has(phrase)} ": shown for phrase in row}
    found = (
        (question, [one for start, one in openings.items() if question.startswith(start)]) for question in questions
    )
    return tuple((question, ones[0]) for question, ones in found if ones)


def critic(kit: Kit, state: DesignState) -> Json:
    """Look at every picture of the round."""
    number = state["round"]
    pictures = [picture for picture in state["pictures"] if picture["round"] == number]
    names = [source["name"] for source in state["design"]["inspirations"]]
    words = Vocabulary.of(kit.painter.vocabulary(), kit.painter.looks)
    guessed = [name for name in names if words.families and not words.meant(name, looks)]
    questions = checklist(state["design"], state["prompts"][-1], wish(kit, state).target, guessed)
    critiques = []
    for place, picture in enumerate(pictures):
        key = f"critic/round-{number}/{place:02d}"
        label = f"Looking at picture {place + 1} of {len(pictures)}"
        look = partial(_look, kit, state, key, picture, questions)
        critique = kit.step("critic", key, label, look, kind="critique", summary=lambda seen: str(seen["seen"]))
        kit.emit(CritiqueReady(critique=critique, round=number))
        critiques.append(critique)
    return {"critiques": critiques}


def _look(kit: Kit, state: DesignState, key: str, picture: Json, questions: tuple[str, ...]) -> Json:
    data = kit.read_picture(picture)
    url = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    text = prompt("critic_task", title=state["design"]["title"], questions=questions)
    blocks: list[str | dict[Any, Any]] = [
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    messages: list[BaseMessage] = [SystemMessage(prompt("critic")), HumanMessage(content=blocks)]
    examples = critique_examples(state["prompts"][-1])
    words = Vocabulary.of(kit.painter.vocabulary(), kit.painter.looks)
    hints = {"checks.question": questions, "fit": RATINGS, **_choices(words)}
    fitting = {family for source in state["design"]["inspirations"] for family in words.meant(source["name"], looks)}
    schema = critique_schema(questions, answered_by(questions, words, fitting), _wanted(state["prompts"][-1], words))
    verdict = kit.document("critic", key, schema, messages, hints, examples).value
    figures = kit.measure(data, width_of(state["design"])) if kit.measure else None
    return Critique(**dict(verdict), picture=picture["index"], measures=figures).model_dump(mode="json")


def _wanted(made: Json, words: Vocabulary) -> Wanted | None:
    """What a prompt asks for in the painter's names; None where the painter has none."""
    if not words.families or not words.palettes:
        return None
    rows = zip(("open", "medium", "dense"), words.densities, strict=False)
    asked = [(name, row[0]) for name, row in rows if any(word in made["short"] for word in row)]
    density, full = asked[0] if len(asked) == 1 else ("", "")
    return Wanted(tuple(made["motifs"]), made["palette"], density, full)


def _choices(words: Vocabulary) -> dict[str, list[str]]:
    """What a critic may name where the painter knows only so many patterns and palettes."""
    names = [row[0] for row in words.families]
    choices = {
        "sees.pattern": names,
        "sees.second": [*names, "none"],
        "sees.palette": [row[0] for row in words.palettes],
    }
    return {field: known for field, known in choices.items() if len(known) > 1}


def width_of(design: Json) -> float | None:
    """How many micrometres wide a picture of a design counts as: ten of the design's own length units.

    None for designs of metres and more, which are measured in pixels alone.
    """
    unit = MICROMETRES.get(design["architecture"]["scale"])
    return None if unit is None else WIDE * unit
