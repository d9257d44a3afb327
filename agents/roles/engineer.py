"""The Engineer: writes the conversation down as a structured design. Knows no graph and no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import create_model, field_validator

from agents.documents import Brief, Inspiration, MaterialDesign
from agents.experience import fitting, shots
from agents.kit import Kit, wish
from agents.knowledge import looks, principles
from agents.state import DesignState, Json
from agents.templates import prompt
from agents.vocabulary import Vocabulary, contains
from models.filling.shots import Shots
from models.filling.text_kinds import MOST_SOURCES
from workspace.events import DesignReady


@lru_cache(maxsize=256)
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
    required = tuple(names[:MOST_SOURCES])
    hints = _known(kit, brief, required, notes)
    examples = design_examples(brief.text, names, notes)

    def write() -> Json:
        filled = kit.document("engineer", key, design_schema(required), messages, hints, examples)
        return {"design": filled.value.model_dump(mode="json"), "repairs": filled.repairs}

    def title(made: Json) -> str:
        return str(made["design"]["title"])

    made = kit.step("engineer", key, "Writing the design down", write, kind="design", summary=title)
    kit.emit(DesignReady(design=made["design"], repairs=made["repairs"]))
    return {"design": made["design"], "repairs": made["repairs"], "draft": draft}


def design_examples(wanted: str, names: Sequence[str], notes: Sequence[str]) -> Shots:
    """Worked examples, and what a design is about: the wish, its sources, and the last of the Scientist's answers."""
    return shots("design", wanted, ", ".join(names), " ".join([principles(names), *notes[-1:]]))


def _known(kit: Kit, brief: Brief, names: Sequence[str], notes: Sequence[str]) -> dict[str, list[str]]:
    """What a design must carry: its sources with the structures the painter knows them by, and fitting quantities."""
    words = Vocabulary.of(kit.painter.vocabulary(), kit.painter.looks)
    aims = fitting(" ".join([brief.text, brief.target, *notes[-1:]]), kit.rank)
    hints = {
        "inspirations.name": list(names),
        "properties.name": [aim.name for aim in aims],
        "properties.unit": [aim.unit for aim in aims],
        "properties.value": [f"{aim.low:g}..{aim.high:g}" for aim in aims],
    }
    features = [words.feature(name, looks) for name in names]
    if features and all(features):
        hints["inspirations.feature"] = features
    return hints
