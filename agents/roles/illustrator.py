"""The Illustrator: from a design to what a painter is asked for. Knows no painter and no model.

The Illustrator's model writes the words; motifs and palette come from the painter's vocabulary where it has one, and
the short prompt is composed so that motifs, palette and the adapter's trigger always stand in it and it fits CLIP. For
a painter with a vocabulary it holds words of that alone, with how full the design is to be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import TypeAdapter, ValidationError

from agents.documents import ImagePrompt
from agents.experience import shots
from agents.kit import Hints, Kit, wish
from agents.knowledge import looks
from agents.roles.scores import latest, shows
from agents.state import DesignState, Json
from agents.templates import prompt
from agents.vocabulary import SHOWN, Vocabulary, combined, contains
from models.filling.shots import Shots
from models.filling.slots import DANGLING
from models.filling.text_kinds import Short
from workspace.events import PromptReady

SHORT_WORDS = 45
"""Words in a short prompt at most; with commas and a trigger that stays within CLIP's 77 tokens."""

SHORT_CHARACTERS = 200
LONG_WORDS = 150
LONG_CHARACTERS = 850

_SHORT: TypeAdapter[str] = TypeAdapter(Short)


def illustrator(kit: Kit, state: DesignState) -> Json:
    """Write the round's image prompt from the design, or from the last prompt and the change wanted."""
    number = state["round"]
    key = f"illustrator/prompt-{len(state['prompts']) + 1}"
    state = {**state, "change": kit.redirects.get(key) or state["change"]}
    words = Vocabulary.of(kit.painter.vocabulary(), kit.painter.looks)
    missed = missing(state) if state["change"] and state["prompts"] else []
    hints = _chosen(kit, state, words, missed)
    joined = words.together(hints.get("motifs", []), apart=bool(missed))
    if joined and (short := _short(", ".join([joined, *hints.get("palette", [])]))):
        hints["short"] = [short]  # it is composed, not written
    shapes = [shape for motif in hints.get("motifs", []) if (shape := words.shape(motif))]
    tones = _tones(kit, words, state)
    messages = _task(kit, state, hints, shapes)
    examples = _examples(kit, state, hints, shapes)

    def write() -> Json:
        written = kit.document("illustrator", key, ImagePrompt, messages, hints, examples).value
        apart = joined != combined(hints.get("motifs", []))
        again = [shape for motif in missed if not apart and (shape := words.shape(motif))]
        return composed(written, hints, shapes, kit.painter.trigger, again, tones, joined).model_dump(mode="json")

    made = kit.step(
        "illustrator", key, "Finding the picture", write, kind="prompt", summary=lambda made: str(made["short"])
    )
    kit.remark(key, _remarks(state["design"], made, words))
    kit.emit(PromptReady(prompt=made, round=number))
    return {"prompts": [made], "change": ""}


def _short(text: str) -> str:
    """A text as a short prompt; empty if it is none, so that the model writes one."""
    try:
        return _SHORT.validate_python(text)
    except ValidationError:
        return ""


def _remarks(design: Json, made: Json, words: Vocabulary) -> list[str]:
    """What a person ought to hear of a first prompt: patterns that nobody knows to fit, and sources not shown."""
    names = [source["name"] for source in design["inspirations"]]
    if not words.families or not names:
        return []
    guessed = [name for name in names[:SHOWN] if not words.meant(name, looks)]
    painted = " and ".join(made["motifs"])
    lines = [
        f'How "{name}" looks is not known: its pattern ({painted} are painted) is a free choice.' for name in guessed
    ]
    if names[SHOWN:]:
        shown, rest = " and ".join(names[:SHOWN]), ", ".join(names[SHOWN:])
        lines.append(f"The pictures show {shown}; the design alone draws on {rest}.")
    return lines


def _chosen(kit: Kit, state: DesignState, words: Vocabulary, missed: Sequence[str]) -> dict[str, list[str]]:
    """Motifs and palette from the painter's vocabulary that lie nearest to the design; nothing if it has none.

    A picture that is painted again keeps them; the motifs that the critic missed come first.
    """
    if state["change"] and state["prompts"] and words.families:
        last = state["prompts"][-1]
        return {"motifs": sorted(last["motifs"], key=lambda one: one not in missed), "palette": [last["palette"]]}
    design, brief = state["design"], wish(kit, state)
    sources = [(source["name"], source["feature"]) for source in design["inspirations"]]
    hints: dict[str, list[str]] = {}
    motifs = words.motifs(sources, kit.rank, looks)
    if motifs:
        hints["motifs"] = motifs
    palette = words.palette(f"{state['change']} {brief.text} {design['title']}".strip(), kit.rank)
    if palette:
        hints["palette"] = [palette]
    return hints


_OPEN = "open and airy: it filters, breathes, drains, absorbs sound, insulates, is light"
_DENSE = "dense and solid: it armours, seals, carries heavy loads, resists wear, blocks"
_CLEAR = 0.06  # by how much a wish lies nearer to one than to the other


def _tones(kit: Kit, words: Vocabulary, state: DesignState) -> list[str]:
    """What of the painter's words the change names, and the word for how full the design is to be."""
    named = [one for one in words.attributes if one.lower() in state["change"].lower()]
    known = {word for row in words.densities for word in row}
    fraction = solid_fraction(state["design"])
    if fraction is None:
        fraction = _asked_fraction(kit, wish(kit, state).text)
    if fraction is None or known & set(named):
        return named
    return [*named, *filter(None, [words.density(fraction)])]


def _asked_fraction(kit: Kit, text: str) -> float | None:
    """How full a wish calls for in its own words: open, dense, or nothing said."""
    if kit.rank is None:
        return None
    airy, solid = kit.rank(text, [_OPEN, _DENSE])
    return None if abs(airy - solid) < _CLEAR else 0.25 if airy > solid else 0.7


def solid_fraction(design: Json) -> float | None:
    """The share of solid that a design's properties ask for, if one of them does: its porosity or its density."""
    for one in design["properties"]:
        name, value = one["name"].lower(), one["value"]
        if value is None or not ("porosity" in name or "solid fraction" in name or "relative density" in name):
            continue
        share = value / 100 if one["unit"] == "%" else value
        if 0 < share < 1:
            return float(1 - share if "porosity" in name else share)
    return None


def missing(state: DesignState) -> list[str]:
    """The motifs that the critic did not find in the last round's best picture."""
    if not state["critiques"]:
        return []
    refused = {check["question"] for check in latest(state)["checks"] if check["answer"] == "no"}
    return [motif for motif in state["prompts"][-1]["motifs"] if shows(motif) in refused]


def _examples(kit: Kit, state: DesignState, hints: Hints, shapes: Sequence[str]) -> Shots:
    """Worked examples, and what this picture is about, for a model that learns from them."""
    patterns = list(shapes) or list(hints.get("motifs", []))
    palette = (hints.get("palette") or [""])[0]
    return picture_examples(state["design"], wish(kit, state).target, patterns, palette, state["change"])


def picture_examples(design: Json, target: str, patterns: Sequence[str], palette: str, change: str = "") -> Shots:
    """Worked examples, and what a picture is about; without patterns it is about the inspirations' features."""
    shown = patterns or [source["feature"] for source in design["inspirations"]]
    notes = f"{change} {design['architecture']['description']} {f'Colours are {palette}.' if palette else ''}"
    return shots("picture", f"{target}: {design['title']}", " and ".join(shown), notes)


def _task(kit: Kit, state: DesignState, hints: Hints, shapes: Sequence[str]) -> list[BaseMessage]:
    last = state["prompts"][-1]["short"] if state["prompts"] and state["change"] else ""
    text = prompt(
        "illustrator_task",
        design=state["design"],
        target=wish(kit, state).target,
        picture=kit.program.picture,
        motifs=hints.get("motifs", []),
        shapes=shapes,
        palette=(hints.get("palette") or [""])[0],
        last=last,
        change=state["change"],
    )
    return [SystemMessage(prompt("illustrator")), HumanMessage(text)]


def composed(
    written: ImagePrompt,
    hints: Hints,
    shapes: Sequence[str],
    trigger: str | None,
    stressed: Sequence[str] = (),
    tones: Sequence[str] = (),
    joined: str = "",
) -> ImagePrompt:
    """The written prompt with motifs, palette and trigger in place and the short one within its limits.

    For a painter with a vocabulary both open with motifs, palette and tones, the long one also with the shapes by which
    the painter knows the motifs: a small painter reads only the first words, and other words than its own mislead it.
    What is ``stressed`` stands in the short one too. ``joined`` is how the motifs stand together.
    """
    taught = bool(hints.get("motifs"))
    motifs = list(hints.get("motifs") or written.motifs)
    palette = (hints.get("palette") or [written.palette])[0]

    def opened(text: str, known: Sequence[str]) -> str:
        named = not taught and all(contains(text, motif) for motif in motifs)
        lead = [] if named else [joined or combined(motifs)]
        lead += [*([] if not taught and contains(text, palette) else [palette]), *known]
        return ", ".join([*lead, _continued(text) if lead else text] if text else lead)

    for body in ("",) if taught else (written.short, ""):
        try:
            return ImagePrompt(
                short=_triggered(cut(opened(body, [*stressed, *tones]), _room(trigger)), trigger),
                long=_triggered(cut(opened(written.long, [*tones, *shapes]), LONG_WORDS, LONG_CHARACTERS), trigger),
                motifs=motifs,
                palette=palette,
            )
        except ValidationError:
            continue
    return written


def _continued(text: str) -> str:
    """A sentence as the continuation of a list: without its capital, unless its first word is a name or acronym."""
    first = text.split(" ", 1)[0]
    return text[0].lower() + text[1:] if first.lower() in DANGLING else text


def _room(trigger: str | None) -> int:
    return SHORT_WORDS - 2 * len((trigger or "").split())


def _triggered(text: str, trigger: str | None) -> str:
    return text if not trigger or trigger in text else f"{trigger} {text}"


def cut(text: str, words: int, characters: int = SHORT_CHARACTERS) -> str:
    """The text's beginning within both limits, never ended at a word that calls for another."""
    parts = re.sub(r"\s+", " ", text).strip().split(" ")
    if len(parts) <= words and len(" ".join(parts)) <= characters:
        return " ".join(parts)
    kept: list[str] = []
    for part in parts[:words]:
        if len(" ".join([*kept, part])) > characters:
            break
        kept.append(part)
    if not kept:  # a script without blanks, or one endless word
        return _clause(parts[0][:characters])
    while len(kept) > 1 and kept[-1].strip(",.;:").lower() in DANGLING:
        kept.pop()
    return " ".join(kept).rstrip(",;: ")


def _clause(text: str) -> str:
    """A text up to the last mark between its clauses, unless that would lose more than half of it."""
    ends = [place for place, sign in enumerate(text) if sign in "、，,；;。．.！!？?،؛।"]
    return text[: ends[-1]] if ends and ends[-1] * 2 >= len(text) else text


def reworded(made: Json, text: str, trigger: str | None) -> Json:
    """A person's own wording in place of the prompt's; motifs and palette stay as notes."""
    short = _triggered(cut(text, _room(trigger)), trigger)
    long = _triggered(cut(text, LONG_WORDS, LONG_CHARACTERS), trigger)
    return {**made, "short": short, "long": long}
