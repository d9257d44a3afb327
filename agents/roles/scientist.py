"""The Scientist: reasons through the program's turns, and revises when comments come. Knows no graph and no pictures.

Each role is a function of the kit and the state that returns the state's changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from agents.documents import Brief, Known, Sources
from agents.evidence.citations import bare
from agents.evidence.gathering import gathered, line, lines
from agents.evidence.proposing import proposed
from agents.kit import Kit, wish
from agents.knowledge import remarks
from agents.programs import render
from agents.state import DesignState, Json, Message, comment
from agents.templates import prompt
from agents.vocabulary import Vocabulary
from models.chat.answers import spoken
from models.filling.text_kinds import SENTENCE_ENDS
from workspace.errors import ServiceError
from workspace.events import Token
from workspace.letters import whole_letters

_CANDIDATES = "scientist/candidates"
_USUAL = 2  # sources of a design for which none is chosen
_ASKED = 600  # letters of the last answer by which more is looked up


def scientist(kit: Kit, state: DesignState) -> Json:
    """Answer what the conversation waits for: a colleague's comments, or else the program's next turn."""
    names = state["inspirations"] or sources(kit, state)
    kit.remark("scientist/sources", remarks(names))
    conversation = state["messages"]
    turn = state["turn"]
    held = [Known(**one) for one in state["evidence"]]
    fresh: list[Known] = []
    asked: list[Message] = []
    label = "Revising the draft"
    goes_on = not conversation or conversation[-1]["role"] == "assistant"
    if goes_on and kit.library is not None:
        fresh = _looked_up(kit, state, names, held, turn)
    told = None if kit.library is None else lines(held or fresh, names)
    script = render(kit.program, wish(kit, state), names, told)
    if goes_on:
        text = script.turns[turn]
        if held and fresh:
            text = prompt("known_task", known=[line(one) for one in fresh], asked=text)
        asked = [{"role": "user", "name": "program", "content": text}]
        label = kit.program.turns[turn].label
        turn += 1
    answers = sum(message["role"] == "assistant" for message in conversation)
    key = f"scientist/turn-{answers + 1}"
    spoken_to = [*conversation, *asked]
    if wished := kit.redirects.get(key):
        remark = prompt("redirect_task", wish=wished)
        spoken_to[-1] = {**spoken_to[-1], "content": f"{spoken_to[-1]['content']}\n\n{remark}"}
    messages = [SystemMessage(script.system), *(_spoken(message) for message in spoken_to)]
    text = kit.step("scientist", key, label, lambda: _answer(kit, key, messages), kind="turn", summary=str)
    answer: Message = {"role": "assistant", "name": "scientist", "content": text}
    found = [one.model_dump(mode="json") for one in fresh]
    return {"inspirations": names, "evidence": found, "messages": [*asked, answer], "turn": turn}


def _looked_up(kit: Kit, state: DesignState, names: Sequence[str], held: Sequence[Known], turn: int) -> list[Known]:
    """What is known for a turn and was not found before, once a run."""
    brief, library = wish(kit, state), kit.library
    assert library is not None  # the caller asked
    asked = "" if not held else f"{kit.program.turns[turn].label}. {state['messages'][-1]['content']}"
    amount = kit.amount if not held else replace(kit.amount, passages=kit.amount.later)
    if not amount.passages:
        return []
    key = f"scientist/evidence-{turn + 1}"

    def look() -> list[Json]:
        found = gathered(library, kit.rank, brief, list(names), amount, bare(asked)[:_ASKED])
        told = {one.text for one in held}
        new = [one for one in found if one.text not in told]
        return [
            one.model_copy(update={"number": len(held) + place}).model_dump(mode="json")
            for place, one in enumerate(new, 1)
        ]

    def summary(found: list[Json]) -> str:
        return f"{len(found)} passages of {len({one['document'] for one in found})} documents"

    found = kit.step("scientist", key, "Looking up what is known", look, kind="evidence", summary=summary)
    return [Known(**one) for one in found]


def after_turn(kit: Kit, state: DesignState, changes: Json) -> Literal["scientist", "reviewer", "engineer"]:
    """Who speaks after the Scientist: the next turn, a review while any are left, or the Engineer."""
    if changes["turn"] < len(kit.program.turns):
        return "scientist"
    sent_back = sum(review["verdict"] == "revise" for review in state["reviews"])
    return "reviewer" if kit.review and sent_back < kit.reviews else "engineer"


def candidates(kit: Kit, state: DesignState) -> list[Json]:
    """Materials that fit a brief by what they can do, where it names none itself; none if nothing is looked up."""
    brief = wish(kit, state)
    if kit.library is None or _named(kit, brief):
        return []
    library = kit.library

    def look() -> list[Json]:
        return [one.model_dump(mode="json") for one in proposed(library, kit.rank, brief)]

    def summary(found: list[Json]) -> str:
        return "; ".join(f"{one['name']}: {one['why']}" for one in found) or "nothing fits"

    label = "Looking for organisms that do this"
    return kit.step("scientist", _CANDIDATES, label, look, kind="sources", summary=summary)


def shown(kit: Kit) -> list[Json]:
    """The materials that a person was shown, in a run that waits for the choice among them."""
    found, _ = kit.once(_CANDIDATES, list[Json], kind="sources")
    return found


def usual(candidates: Sequence[Json]) -> list[str]:
    """The sources where nobody chooses: those that fit best."""
    return [str(one["name"]) for one in candidates[:_USUAL]]


def _named(kit: Kit, brief: Brief) -> list[str]:
    return Vocabulary.of(kit.painter.vocabulary()).named_in(brief.text)[:2]


def sources(kit: Kit, state: DesignState) -> list[str]:
    """The sources of a brief that lists none: those its text names, those that fit it, or two of the Scientist's."""
    brief = wish(kit, state)
    if named := _named(kit, brief):
        return named
    if fitting := candidates(kit, state):
        return usual(fitting)
    key = "scientist/inspirations"
    messages: list[BaseMessage] = [
        SystemMessage(prompt("inspirations")),
        HumanMessage(prompt("inspirations_task", brief=brief.text)),
    ]

    def propose() -> list[str]:
        return kit.document("scientist", key, Sources, messages).value.names

    return kit.step("scientist", key, "Choosing inspirations", propose, kind="sources", summary=" and ".join)


def _spoken(message: Message) -> BaseMessage:
    return (AIMessage if message["role"] == "assistant" else HumanMessage)(message["content"])


def _answer(kit: Kit, key: str, messages: Sequence[BaseMessage]) -> str:
    """Stream an answer; an empty one is a fault, and one cut off at the token limit ends at its last sentence.

    A model's reasoning is no part of its answer.
    """
    seed = kit.seed_of(key)
    parts: list[str] = []
    reason = ""
    for chunk in kit.chat("scientist", seed).stream(list(messages), seed=seed):
        text = str(chunk.text)
        reason = chunk.response_metadata.get("finish_reason") or reason
        if text:
            parts.append(text)
            kit.emit(Token(role="scientist", key=key, text=text))
    answer = whole_letters(spoken("".join(parts)))
    if not answer and parts and reason == "length":
        raise ServiceError(
            f"the scientist's model spent all of sampling.max_tokens on reasoning at {key}",
            hint="raise sampling.max_tokens, or have the model reason less",
        )
    if not answer:
        raise ServiceError(f"the scientist's model gave an empty answer at {key}")
    return to_last_sentence(answer) if reason == "length" else answer


_ENDS = re.escape("".join(SENTENCE_ENDS))


def to_last_sentence(text: str) -> str:
    """The text up to its last sentence end, unless that would lose more than half of it."""
    ends = [match.end() for match in re.finditer(rf"[{_ENDS}]+[\"'”’»）)」』\]]*(?=\s|$)|[。！？｡]+[”’」』）]*", text)]
    return text[: ends[-1]] if ends and ends[-1] * 2 >= len(text) else text


def rethink(reason: str) -> Json:
    """Ask the Scientist for a changed design, with the reason."""
    return {"messages": [comment("director", prompt("rethink_task", reason=reason))]}
