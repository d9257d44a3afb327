"""The Director: what happens after the pictures, and what a person's answers mean. Knows scores, never a picture.

Rules come first: rounds are bounded, a good picture ends the run, and whatever is tried afterwards the best picture of
all rounds is the one that is returned. What changes in another round is what the critic would change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from pydantic import TypeAdapter, ValidationError

from agents.documents import same
from agents.kit import Kit
from agents.roles.illustrator import reworded
from agents.roles.scientist import rethink, shown, usual
from agents.roles.scores import latest, score
from agents.state import DesignState, Json
from models.filling.text_kinds import MOST_SOURCES, SHORT, Name, weight
from workspace.errors import UsageError
from workspace.events import Decision, PromptReady
from workspace.letters import visible, whole_letters

_NAME: TypeAdapter[str] = TypeAdapter(Name)

Choice = Literal["repaint", "rethink", "finish"]
AfterPainting = Literal["illustrator", "painter", "scientist", "__end__"]
BeforePainting = Literal["painter", "scientist", "__end__"]

GOOD = 0.9
"""A best score from here on ends the run."""

POOR = 0.35
"""A best score that is below this after a second try, with rounds left, calls the design itself in question, once."""

QUESTIONS = {
    "before_designing": "Which of these shall the design draw on?",
    "before_painting": "Paint this prompt?",
    "after_critique": "Keep the best picture, or go on?",
}


class Answer(TypedDict, total=False):
    """A person's answer, understood: where to go and, if given, the wording of the prompt or the sources."""

    choice: Literal["design", "paint", "repaint", "rethink", "finish"]
    prompt: str
    sources: list[str]


def understood(kind: str, answer: Any, candidates: Sequence[Json] = ()) -> Answer:
    """Read a person's answer: ``{"approve": bool}``, ``{"prompt": text}`` or ``{"choice": word}``; a bare bool will do.

    Args:
        kind: What was asked.
        answer: What was said.
        candidates: The materials to choose from, where that was asked: ``{"sources": [numbers or names]}``.

    Raises:
        UsageError: If it is none of these; the message names what was given and the choices.
    """
    again: Literal["paint", "repaint"] = "paint" if kind == "before_painting" else "repaint"
    given = {"approve": answer} if isinstance(answer, bool) else answer
    if kind == "before_designing":
        return _sources(given, candidates)
    if isinstance(given, dict) and len(given) == 1:
        value = next(iter(given.values()))
        if "approve" in given and isinstance(value, bool):
            return {"choice": "finish" if value == (kind == "after_critique") else again}
        if "prompt" in given and isinstance(value, str) and weight(visible(value)) >= SHORT[0]:
            return {"choice": again, "prompt": whole_letters(value.strip())}
        if "choice" in given and value in (again, "rethink", "finish"):
            return {"choice": value}
    raise UsageError(
        f"answer {str(answer)[:80]!r} is not understood",
        hint=f'choices: {{"approve": true|false}}, {{"prompt": "at least ten characters"}}, '
        f'{{"choice": "{again}|rethink|finish"}}',
    )


def _sources(given: Any, candidates: Sequence[Json]) -> Answer:
    """Read which sources a person chose, by number or by a name of their own; those that fit best if all is well."""
    if given == {"approve": True}:
        return {"choice": "design", "sources": usual(candidates)}
    said = given.get("sources") if isinstance(given, dict) and len(given) == 1 else None
    if not isinstance(said, list | tuple) or not 0 < len(said) <= MOST_SOURCES:
        raise UsageError(
            f"answer {str(given)[:80]!r} is not understood",
            hint=f'choices: {{"approve": true}} for the best, {{"sources": [1 to {MOST_SOURCES} numbers or names]}}',
        )
    kept: dict[str, str] = {}
    for one in said:
        name = _source(str(one).strip(), candidates)
        kept.setdefault(same(name), name)
    return {"choice": "design", "sources": list(kept.values())}


def _source(said: str, candidates: Sequence[Json]) -> str:
    """A source by its number, or by a name of a person's own."""
    if said.isdecimal() and 0 < int(said) <= len(candidates):
        return str(candidates[int(said) - 1]["name"])
    try:
        if any(sign.isalpha() for sign in said):
            return _NAME.validate_python(said)
    except ValidationError:
        pass
    raise UsageError(
        f"there is no source {said[:80]!r}", hint=f"choices: 1 to {len(candidates)}, or a name of your own"
    )


def tried(kit: Kit, state: DesignState, kind: str, answer: Any) -> Answer:
    """Read a person's answer, and a prompt in it as the painter will.

    Raises:
        UsageError: It is not understood, or the painter does not take the prompt.
    """
    given = understood(kind, answer, shown(kit) if kind == "before_designing" else ())
    if "prompt" in given:
        made = reworded(state["prompts"][-1], given["prompt"], kit.painter.trigger)
        kit.painter.spec(made["short"], long_prompt=made["long"], seed=kit.seed, size=kit.size)
    return given


def question(kind: str, state: DesignState, candidates: Sequence[Json] = ()) -> Json:
    """What a person is shown when the run waits: kind, text and payload."""
    if kind == "before_designing":
        return {"kind": kind, "text": QUESTIONS[kind], "payload": {"candidates": candidates}}
    payload: Json = {"prompt": state["prompts"][-1], "round": state["round"]}
    if kind == "after_critique":
        payload |= {"best": best(state), "critiques": state["critiques"], "pictures": state["pictures"]}
    return {"kind": kind, "text": QUESTIONS[kind], "payload": payload}


def best(state: DesignState) -> int | None:
    """The best picture of all rounds; the earlier one of equals, the first if none was looked at."""
    if state["critiques"]:
        return int(max(state["critiques"], key=lambda critique: (score(critique), -critique["picture"]))["picture"])
    return int(state["pictures"][0]["index"]) if state["pictures"] else None


def ruled(kit: Kit, state: DesignState) -> tuple[Choice, str]:
    """What the rules say, and why."""
    if not kit.critic_enabled:
        return "finish", "No critic looked at the pictures."
    if not state["critiques"]:
        return "finish", "No picture was painted: a person skipped them."
    top = max(score(critique) for critique in state["critiques"])
    if top >= GOOD:
        return "finish", f"The best picture scores {top:.2f}."
    if state["round"] >= kit.rounds:
        return "finish", f"All {kit.rounds} rounds are done; the best picture scores {top:.2f}."
    if top < POOR and state["round"] > 1 and not any(one["choice"] == "rethink" for one in state["decisions"]):
        return "rethink", f"The best picture scores only {top:.2f}."
    return "repaint", f"The best picture scores {top:.2f}."


def before_painting(kit: Kit, state: DesignState, answer: Answer) -> tuple[Json, BeforePainting]:
    """Act on what a person said of the prompt."""
    if answer["choice"] == "paint":
        return (_reworded(kit, state, answer["prompt"]) if "prompt" in answer else {}), "painter"
    reason = "A person chose so before painting."
    decision = _decided(kit, state, answer["choice"], reason, "")
    if answer["choice"] == "rethink":
        return decision | rethink("The picture it leads to is not what was asked for."), "scientist"
    return decision, "__end__"


def director(kit: Kit, state: DesignState) -> tuple[Json, AfterPainting]:
    """Decide what follows the pictures; a person's answer goes before the rules."""
    answer = state["answer"]
    choice, reason = (answer["choice"], "A person chose so.") if answer else ruled(kit, state)
    lacks, change = _wanted(state) if choice != "finish" and "prompt" not in answer else ("", "")
    changes = _decided(kit, state, choice, reason, change)
    changes |= {"best": best(state), "answer": {}}
    if choice == "finish":
        return changes, "__end__"
    changes["round"] = state["round"] + 1
    if choice == "rethink":
        return changes | rethink(f"{lacks} {change}".strip()), "scientist"
    if "prompt" in answer:
        return changes | _reworded(kit, state, answer["prompt"]), "painter"
    return changes | {"change": change}, "illustrator"


def _decided(kit: Kit, state: DesignState, choice: str, reason: str, change: str) -> Json:
    kit.emit(Decision(choice=choice, reason=reason, round=state["round"], best=best(state)))
    return {"decisions": [{"choice": choice, "reason": reason, "change": change, "round": state["round"]}]}


def _reworded(kit: Kit, state: DesignState, text: str) -> Json:
    made = reworded(state["prompts"][-1], text, kit.painter.trigger)
    kit.emit(PromptReady(prompt=made, round=state["round"]))
    return {"prompts": [made]}


def _wanted(state: DesignState) -> tuple[str, str]:
    """What the round's best picture lacks, and the one change that its critic would make."""
    seen = latest(state)
    failed = [check["question"] for check in seen["checks"] if check["answer"] == "no"]
    return f"Answered with no: {' '.join(failed)}" if failed else "", str(seen["change"])
