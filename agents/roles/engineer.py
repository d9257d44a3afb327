"""The Engineer: writes the conversation down as a structured design. Knows no graph and no pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import TypeAdapter, ValidationError, create_model, field_validator

from agents.documents import Brief, DraftDesign, Inspiration, Known
from agents.evidence.citations import bare
from agents.evidence.gathering import lines, principles, said_of
from agents.evidence.verify import verified
from agents.experience import fitting, shots
from agents.kit import Kit, wish
from agents.knowledge import known, looks
from agents.state import DesignState, Json
from agents.templates import prompt
from agents.vocabulary import Vocabulary, contains, stems
from models.filling.shots import Shots
from models.filling.text_kinds import MOST_SOURCES, Sentence
from workspace.atlas.engineering import made_of
from workspace.events import DesignReady

_SENTENCE: TypeAdapter[str] = TypeAdapter(Sentence)
_QUALITY = re.compile(
    r"\w(?:ness|bility|sticity|rosity|ctivity)$|\b(?:toughness|strength|density|weight|modulus|effect|design|material|"
    r"property|properties|resistance|performance|efficiency|protection|absorption|dissipation|adhesion)$",
    re.IGNORECASE,
)
"""How the name of a property ends, or of something done, rather than of a part."""

_LAST = 2  # of the Scientist's answers, which say what the design is


@lru_cache(maxsize=256)
def design_schema(names: tuple[str, ...]) -> type[DraftDesign]:
    """`DraftDesign` that must name these inspirations; the message of a miss goes back to the model."""

    def all_named(items: list[Inspiration]) -> list[Inspiration]:
        missing = [name for name in names if not any(contains(item.name, name) for item in items)]
        if missing:
            raise ValueError(f"does not name {', '.join(missing)}")
        return items

    checks: dict[str, Any] = {"all_named": field_validator("inspirations")(all_named)}
    return create_model("MaterialDesign", __base__=DraftDesign, __doc__=DraftDesign.__doc__, __validators__=checks)


def _to_the_point(wish: frozenset[str], path: tuple[str | int, ...], value: Any) -> bool:
    """Whether a text is to the point: title and summary in words of the wish, parts that are things of a material."""
    match path:
        case ("title",):
            return not wish or bool(stems(value) & wish)
        case ("summary",):
            return len(stems(value) & wish) >= min(2, len(wish))
        case ("components", _, "material"):
            return made_of(value) is not None
        case ("components", _, "name"):
            return not _QUALITY.search(value)
    return True


def engineer(kit: Kit, state: DesignState) -> Json:
    """Write the conversation down as a `MaterialDesign` that names every inspiration."""
    draft = state["draft"] + 1
    key = f"engineer/design-{draft}"
    brief, names = wish(kit, state), state["inspirations"]
    notes = [message["content"] for message in state["messages"] if message["role"] == "assistant"]
    notes += [wished] if (wished := kit.redirects.get(key)) else []
    held = [Known(**one) for one in state["evidence"]]
    told = lines(held, []) if held else []
    task = prompt("engineer_task", brief=brief.text, target=brief.target, inspirations=names, notes=notes, known=told)
    messages: list[BaseMessage] = [SystemMessage(prompt("engineer")), HumanMessage(task)]
    required = tuple(names[:MOST_SOURCES])
    works = {name: one.text for name, one in principles(held, names).items()} if held else _of_atlas(names)
    hints = _known(kit, brief, required, notes, works if held else {})
    examples = design_examples(brief.text, names, said_of(works), notes)

    def write() -> Json:
        filled = kit.document("engineer", key, design_schema(required), messages, hints, examples)
        material = "material" in brief.target
        design = verified(filled.value, held, kit.library, kit.rank, material=material)
        return {"design": design.model_dump(mode="json"), "repairs": filled.repairs}

    def title(made: Json) -> str:
        return str(made["design"]["title"])

    made = kit.step("engineer", key, "Writing the design down", write, kind="design", summary=title)
    kit.emit(DesignReady(design=made["design"], repairs=made["repairs"]))
    return {"design": made["design"], "repairs": made["repairs"], "draft": draft}


def design_examples(wanted: str, names: Sequence[str], principles: Sequence[str], notes: Sequence[str]) -> Shots:
    """Worked examples, and what a design is about: wish, sources, how these work, and the Scientist's last answers."""
    said = [bare(note) for note in notes[-_LAST:]]
    notes_of_it = " ".join([*principles, *said])
    made = shots("design", wanted, ", ".join(names), notes_of_it, " ".join(principles) or "None.")
    return replace(made, fits=partial(_to_the_point, stems(wanted)))


def _of_atlas(names: Sequence[str]) -> dict[str, str]:
    """How each source that the atlas knows works, where nothing was looked up."""
    return {name: held.mechanisms[0] for name in names if (held := known(name))}


def _known(
    kit: Kit, brief: Brief, names: Sequence[str], notes: Sequence[str], works: Mapping[str, str]
) -> dict[str, list[str]]:
    """What a design must carry: its sources with the structures the painter knows them by and how they work.

    A model that is not tuned on designs gets fitting quantities too.
    """
    words = Vocabulary.of(kit.painter.vocabulary(), kit.painter.looks)
    aims = fitting(" ".join([brief.text, brief.target, *notes[-1:]]), kit.rank)
    hints = {
        "inspirations.name": list(names),
        "?properties.name": [aim.name for aim in aims],
        "?properties.unit": [aim.unit for aim in aims],
        "?properties.value": [f"{aim.low:g}..{aim.high:g}" for aim in aims],
    }
    features = [words.feature(name, looks) for name in names]
    if features and all(features):
        hints["inspirations.feature"] = features
    if any(works.values()):
        hints["inspirations.principle"] = [_fitting(works.get(name, "")) for name in names]
    return hints


def _fitting(text: str) -> str:
    """A sentence that may stand as a principle; empty if it may not."""
    try:
        return str(_SENTENCE.validate_python(text))
    except ValidationError:
        return ""
