"""Words the question for one leaf, the grammar its answer stands in, and how an answer becomes the leaf's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.filling.drafts import Draft
from models.filling.slots import Path, Slot, words

_WORD = r"[A-Za-z][a-z']{0,15}(-[A-Za-z][a-z']{1,15})?"
_FIGURE = r"[0-9]{1,3}(\.[0-9]{1,2})?( percent|%)?"
_OPENING = r"[A-Z][a-z']{0,15}(-[A-Za-z][a-z']{1,15})?"
_SENTENCE = rf"([,;:]? ({_WORD}|{_FIGURE}))*[A-Za-z%][.!?]"
ASKED = rf"(What|Why|How|Which|Where|When)( ({_WORD}|{_FIGURE})){{3,24}}\?"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_BREAK = re.compile(r"\s(?:that|which|who|because|where|when|while|so|is|are|was|has|can|called|designed|used)\b.*")
_EMPTY = ["a", "an", "the", "its", "their", "this", "it", "some", "one", "of", "to", "for", "by", "in"]
NAME_WORDS = 7


@dataclass(frozen=True)
class Question:
    """How one leaf is asked for.

    Args:
        ask: What the user says.
        lead: How the answer begins.
        grammar: Regular expression of the rest.
        tokens: Most tokens of the rest.
        kind: The slot's kind.
        kept: What of the lead belongs to the text.
        most: Longest text in characters.
    """

    ask: str
    lead: str
    grammar: str
    tokens: int
    kind: str
    kept: str = ""
    most: int = 400

    def finish(self, draft: Draft) -> str | None:
        """Turn a draft into the leaf's text; None if it is not whole."""
        text = draft.text.strip()
        if self.kind == "name":
            return tidy_name(text, ended=draft.ended)
        if self.kind == "prompt" and not draft.ended:
            ends = [match.end() for match in re.finditer(r"[a-z%][.!?](?=\s|$)", text)]
            text = text[: ends[-1]] if ends else ""
            return text or None
        if self.kind == "number":
            found = re.match(r"\d+(\.\d+)?", text)
            return found.group() if found and draft.ended else None
        if not draft.ended:
            return None
        whole = (self.kept + " " + text).strip() if self.kept else text
        return _capital(whole) if self.kind != "pattern" else whole


def question(slot: Slot, values: Mapping[Path, Any], *, last: bool = False) -> Question:
    """Word the question for a slot, siblings' values filled in; ``last`` adds a plea to be brief."""
    known = {str(path[-1]): _inner(str(value)) for path, value in values.items() if path[:-1] == slot.parent}
    index = next((part for part in reversed(slot.path) if isinstance(part, int)), 0)
    known["nth"] = _ORDINALS[index] if index < len(_ORDINALS) else "next"
    label = words(str(next(part for part in reversed(slot.path) if isinstance(part, str))))
    ask = slot.ask.format_map(_Known(known)) if slot.ask else _default_ask(slot, label, known)
    lead = slot.lead[index % len(slot.lead)] if isinstance(slot.lead, list) else slot.lead
    lead = _capital(lead.format_map(_Known(known))) if lead else _default_lead(slot, label, known)
    if last:
        ask += " Be brief."
    return _shaped(slot, ask, lead)


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "it"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _inner(text: str) -> str:
    """A text as it stands within a sentence: small first letter, no full stop."""
    text = text.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _default_ask(slot: Slot, label: str, known: Mapping[str, str]) -> str:
    about = next((value for key, value in known.items() if key != "nth"), None) if slot.item else None
    head = f"About {about!r}: " if about else ""
    subject = slot.description.rstrip(".") or f"the {label}"
    if slot.kind in ("sentence", "prompt"):
        return f"{head}{subject}. Write one sentence."
    if slot.kind == "question":
        return f"{head}{subject}. Write one question."
    return f"{head}What is the {label}? {subject}."


def _default_lead(slot: Slot, label: str, known: Mapping[str, str]) -> str:
    if slot.kind in ("sentence", "question", "prompt"):
        return ""
    if isinstance(slot.path[-1], int):
        return f"The {known['nth']} is"
    return f"The {label} is"


def _shaped(slot: Slot, ask: str, lead: str) -> Question:
    most = int(slot.bounds.get("maxLength", 400))
    space = " " if lead else ""
    if slot.kind == "name":
        return Question(ask, lead, rf"{space}{_WORD}( {_WORD})*([.,;:]|\n)?", min(16, most // 3 + 2), "name", most=most)
    if slot.kind == "number":
        return Question(ask, lead + space, f"{digits(slot)}[ .,]", 10, "number")
    if slot.kind == "pattern":
        body = str(slot.bounds["pattern"]).removeprefix("^").removesuffix("$")
        return Question(ask, lead + space, f"({body})\n", min(200, most), "pattern")
    if slot.kind == "choice":
        return Question(ask, lead, "", 0, "choice")
    if slot.kind == "question":
        return Question(ask, "", rf"{ASKED}\n", min(40, most // 4), "question", most=most)
    start = rf" {_WORD}" if lead else _OPENING
    one = start + _SENTENCE
    tokens = min(48, max(12, most // 4))
    if slot.kind == "prompt" and most > 300:
        return Question(ask, lead, f"{one}( {_OPENING}{_SENTENCE}){{1,3}}\n", 110, "prompt", lead, most)
    return Question(ask, lead, one, tokens, "sentence", lead, most)


def digits(slot: Slot) -> str:
    """The regular expression of a number within a slot's bounds in size."""
    top = slot.bounds.get("maximum", slot.bounds.get("exclusiveMaximum", 999))
    size = min(4, max(1, len(str(int(abs(top))))))
    whole = rf"(0|[1-9][0-9]{{0,{size - 1}}})" if size > 1 else "[0-9]"
    return whole if slot.bounds.get("type") == "integer" else whole + r"(\.[0-9]{1,2})?"


def tidy_name(text: str, *, ended: bool) -> str | None:
    """Cut a text down to a name: no articles in front, no clause behind; None if nothing whole is left."""
    whole = _BREAK.sub("", text.rstrip(".,;: "))
    if not ended and whole == text:
        return None
    parts = whole.split()
    while parts and parts[0].lower() in _EMPTY:
        parts = parts[1:]
    while parts and parts[-1].lower() in _EMPTY:
        parts.pop()
    if not parts or len(parts) > NAME_WORDS:
        return None
    name = " ".join(parts)
    return _capital(name)
