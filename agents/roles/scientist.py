"""The Scientist, the Reviewer and the Engineer: from a brief to a structured design. Knows no graph and no pictures.

Each role is a function of the kit and the state that returns the state's changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import create_model, field_validator

from agents.documents import Brief, Inspiration, MaterialDesign, Review, Sources
from agents.experience import fitting, shots
from agents.kit import Kit
from agents.knowledge import principles
from agents.programs import render
from agents.state import DesignState, Json, Message
from agents.templates import prompt
from agents.vocabulary import Vocabulary, contains
from workspace.errors import ServiceError
from workspace.events import DesignReady, Token


def wish(kit: Kit, state: DesignState) -> Brief:
    """The brief with its target settled: the person's own, or else the program's."""
    brief = state["brief"]
    return _settled(brief["text"], tuple(brief["inspirations"]), brief["target"], kit.program.target)


@lru_cache(maxsize=32)
def _settled(text: str, inspirations: tuple[str, ...], target: str, usual: str) -> Brief:
    unsaid = target == Brief.model_fields["target"].default
    return Brief(text=text, inspirations=list(inspirations), target=usual if unsaid else target)


def scientist(kit: Kit, state: DesignState) -> Json:
    """Answer what the conversation waits for: a colleague's comments, or else the program's next turn."""
    names = state["inspirations"] or _inspirations(kit, state)
    said = state["messages"]
    turn = state["turn"]
    script = render(kit.program, wish(kit, state), names)
    asked: list[Message] = []
    label = "Revising the draft"
    if not said or said[-1]["role"] == "assistant":
        asked = [{"role": "user", "name": "program", "content": script.turns[turn]}]
        label = kit.program.turns[turn].label
        turn += 1
    answers = sum(message["role"] == "assistant" for message in said)
    key = f"scientist/turn-{answers + 1}"
    messages = [SystemMessage(script.system), *(_spoken(message) for message in [*said, *asked])]
    text = kit.step("scientist", key, label, lambda: _answer(kit, key, messages), kind="turn", told=lambda text: text)
    answer: Message = {"role": "assistant", "name": "scientist", "content": text}
    return {"inspirations": names, "messages": [*asked, answer], "turn": turn}


def after_turn(kit: Kit, state: DesignState, changes: Json) -> Literal["scientist", "reviewer", "engineer"]:
    """Who speaks after the Scientist: the next turn, a review while any are left, or the Engineer."""
    if changes["turn"] < len(kit.program.turns):
        return "scientist"
    sent_back = sum(review["verdict"] == "revise" for review in state["reviews"])
    return "reviewer" if kit.review and sent_back < kit.reviews else "engineer"


def _inspirations(kit: Kit, state: DesignState) -> list[str]:
    """The sources of a brief that lists none: those its text names, or else two that the Scientist proposes."""
    brief = wish(kit, state)
    named = Vocabulary.of(kit.painter.vocabulary()).named_in(brief.text)[:2]
    if named:
        return named
    key = "scientist/inspirations"
    messages: list[BaseMessage] = [
        SystemMessage(prompt("inspirations")),
        HumanMessage(prompt("inspirations_task", brief=brief.text)),
    ]

    def propose() -> list[str]:
        return kit.document("scientist", key, Sources, messages).value.names

    return kit.step("scientist", key, "Choosing inspirations", propose, kind="sources", told=" and ".join)


def _spoken(message: Message) -> BaseMessage:
    return (AIMessage if message["role"] == "assistant" else HumanMessage)(message["content"])


def _answer(kit: Kit, key: str, messages: Sequence[BaseMessage]) -> str:
    """Stream an answer; an empty one is a fault, and one cut off at the token limit ends at its last sentence."""
    seed = kit.seed_of(key)
    parts: list[str] = []
    reason = ""
    for chunk in kit.chat("scientist", seed).stream(list(messages), seed=seed):
        text = str(chunk.text)
        reason = chunk.response_metadata.get("finish_reason") or reason
        if text:
            parts.append(text)
            kit.emit(Token(role="scientist", key=key, text=text))
    answer = "".join(parts).strip()
    if not answer:
        raise ServiceError(f"the scientist's model gave an empty answer at {key}")
    return to_last_sentence(answer) if reason == "length" else answer


def to_last_sentence(text: str) -> str:
    """The text up to its last sentence end, unless that would lose more than half of it."""
    ends = [match.end() for match in re.finditer(r"[.!?][\"')\]]*(?=\s|$)", text)]
    return text[: ends[-1]] if ends and ends[-1] * 2 >= len(text) else text


def _draft(state: DesignState) -> str:
    return next(message["content"] for message in reversed(state["messages"]) if message["role"] == "assistant")


def reviewer(kit: Kit, state: DesignState) -> Json:
    """Approve the draft, or add comments to the conversation for the Scientist to answer."""
    key = f"reviewer/review-{len(state['reviews']) + 1}"
    brief = wish(kit, state)
    messages: list[BaseMessage] = [
        SystemMessage(prompt("reviewer")),
        HumanMessage(
            prompt("reviewer_task", brief=brief.text, inspirations=state["inspirations"], draft=_draft(state))
        ),
    ]

    def read() -> Json:
        return kit.document("reviewer", key, Review, messages).value.model_dump(mode="json")

    review = kit.step(
        "reviewer", key, "Reviewing the draft", read, kind="review", told=lambda r: f"{r['verdict']}: {r['comments']}"
    )
    changes: Json = {"reviews": [review]}
    if review["verdict"] == "revise":
        changes["messages"] = [_comment("reviewer", prompt("revise_task", comments=review["comments"]))]
    return changes


def _comment(name: str, text: str) -> Message:
    return {"role": "user", "name": name, "content": text}


def rethink(reason: str) -> Json:
    """Ask the Scientist for a changed design, with the reason."""
    return {"messages": [_comment("director", prompt("rethink_task", reason=reason))]}


@lru_cache(maxsize=32)
def design_schema(names: tuple[str, ...]) -> type[MaterialDesign]:
    """`MaterialDesign` that must name these inspirations; the message of a miss goes back to the model."""

    def all_named(items: list[Inspiration]) -> list[Inspiration]:
        missing = [name for name in names if not any(contains(item.name, name) for item in items)]
        if missing:
            raise ValueError(f"does not name {', '.join(missing)}")
        return items

    checks: dict[str, Any] = {"all_named": field_validator("inspirations")(all_named)}
    return create_model(
        "MaterialDesign", __base__=MaterialDesign, __doc__=MaterialDesign.__doc__, __validators__=checks
    )


def engineer(kit: Kit, state: DesignState) -> Json:
    """Write the conversation down as a `MaterialDesign` that names every inspiration."""
    draft = state["draft"] + 1
    key = f"engineer/design-{draft}"
    brief, names = wish(kit, state), state["inspirations"]
    notes = [message["content"] for message in state["messages"] if message["role"] == "assistant"]
    messages: list[BaseMessage] = [
        SystemMessage(prompt("engineer")),
        HumanMessage(prompt("engineer_task", brief=brief.text, target=brief.target, inspirations=names, notes=notes)),
    ]
    required = tuple(name for name in names[:4] if len(name) <= 80)
    hints = _known(kit, brief, required, notes)
    told = " ".join([principles(names), *notes[-1:]])
    examples = shots("design", brief.text, ", ".join(names), told)

    def write() -> Json:
        filled = kit.document("engineer", key, design_schema(required), messages, hints, examples)
        return {"design": filled.value.model_dump(mode="json"), "repairs": filled.repairs}

    made = kit.step(
        "engineer", key, "Writing the design down", write, kind="design", told=lambda made: str(made["design"]["title"])
    )
    kit.emit(DesignReady(design=made["design"], repairs=made["repairs"]))
    return {"design": made["design"], "repairs": made["repairs"], "draft": draft}


def _known(kit: Kit, brief: Brief, names: Sequence[str], notes: Sequence[str]) -> dict[str, list[str]]:
    """What a design must carry: its sources with the structures the painter knows them by, and fitting quantities."""
    words = Vocabulary.of(kit.painter.vocabulary())
    aims = fitting(" ".join([brief.text, brief.target, *notes[-1:]]), kit.rank)
    hints = {
        "inspirations.name": list(names),
        "properties.name": [aim.name for aim in aims],
        "properties.unit": [aim.unit for aim in aims],
        "properties.value": [f"{aim.low:g}..{aim.high:g}" for aim in aims],
    }
    features = [words.feature(name) for name in names]
    if features and all(features):
        hints["inspirations.feature"] = features
    return hints
