"""Conversations in any common form as messages: roles by their many names, contents as text, turns not to be learned.

OpenAI's and sharegpt's messages, and transcripts that say "Human:" and "Assistant:". Knows no rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from training.language.reading.fields import Fields, Notes, as_json
from workspace.errors import DataError

ROLES = ("system", "user", "assistant")
LONGEST = 400_000  # letters of a text
Message = dict[str, Any]
"""``role``, ``content`` and, of a turn that is not learned, ``learned``: false."""

_NAMES: Mapping[str, str] = {
    **{role: role for role in ROLES},
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "model", "chatgpt", "bot"), "assistant"),
    "developer": "system",
}
_TOOLS = ("tool", "function", "function_call", "tool_call", "observation", "function_response", "ipython")
_SWITCHES = ("weight", "train", "training", "loss", "loss_mask", "loss_weight")
_WORDS = {"0": False, "0.0": False, "false": False, "no": False, "1": True, "1.0": True, "true": True, "yes": True}
_SHAPE = "a message is {role, content}, or {from, value}"
_SAID = re.compile(r"(?:^|\n\n)(Human|Assistant):")


def checked_text(value: Any, where: str) -> str:
    """A value that must be text.

    Raises:
        DataError: It is none, or empty, or too long.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: it is {as_json(value)}, not text", hint="write it as text, or remove the row")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise DataError(f"{where}: it holds half a character (a lone surrogate), which is no text", hint="mend the row")
    if not value.strip():
        raise DataError(f"{where}: it is empty", hint="fill it in, or remove the row")
    if len(value) > LONGEST:
        raise DataError(f"{where}: it has {len(value):,} letters; at most {LONGEST:,} are read", hint="split the row")
    return value


def messages(value: Any, where: str, notes: Notes, last: str | None) -> list[Message]:
    """Messages whose roles take turns: perhaps a system's first, then user and assistant.

    Args:
        value: A list of messages, or one of them.
        where: Where it stands.
        notes: What is left out is noted there.
        last: Whose the last message must be, if it matters.

    Raises:
        DataError: It is not so; the line says which message and what to do.
    """
    held = [value] if isinstance(value, dict) else value
    if not isinstance(held, list) or not held:
        raise DataError(f"{where}: it is no list of messages", hint=_SHAPE)
    made = [_message(one, f"{where}, message {number}", notes) for number, one in enumerate(held, 1)]
    return in_turns(made, where, last)


def in_turns(turns: list[Message], where: str, last: str | None = None) -> list[Message]:
    """The messages, if their roles take turns and the last is whose it must be.

    Raises:
        DataError: It is not so.
    """
    before = None
    for number, one in enumerate(turns, 1):
        role = one["role"]
        if role == before or (role == "system" and before is not None):
            hint = "join them" if role == before else "a system message comes first"
            fault = f"{role} after {before}; user and assistant take turns"
            raise DataError(f"{where}, message {number}: {fault}", hint=hint)
        before = role
    if last is not None and before != last:
        raise DataError(f"{where}: the last message is the {before}'s, not the {last}'s", hint="remove it, or the row")
    return turns


def _message(one: Any, place: str, notes: Notes) -> Message:
    if not isinstance(one, dict):
        raise DataError(f"{place}: it has no role and content", hint=_SHAPE)
    fields = Fields(one, place)
    who = next((name for name in ("role", "from") if one.get(name) is not None), None)
    what = next((name for name in ("content", "value") if name in one), None)
    fields.forbid()
    if who is None or what is None:
        raise DataError(f"{place}: it has no role and content", hint=_SHAPE)
    name = str(fields.take(who))
    role = _NAMES.get(name.lower())
    if role is None:
        hint = "calls of tools are not learned; remove these rows" if name in _TOOLS else None
        raise DataError(f"{place}: unknown role {name!r}; choices: {', '.join(ROLES)}", hint=hint)
    made: Message = {"role": role, "content": _content(fields.take(what), f"{place}, {what}")}
    if not learned(fields, place):
        if role == "assistant":
            made["learned"] = False
            notes.unlearned += 1
    elif role != "assistant" and any(one.get(name) for name in _SWITCHES):
        notes.unused["a weight, train or loss of a user's or system's message"] += 1
    notes.unused.update(f"a message's {name}" for name in fields.left())
    return made


def _content(value: Any, where: str) -> str:
    """A content's text; a list of parts must be one text."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        other = next((part for part in value if part.get("type", "text") != "text"), None)
        if other is not None:
            hint = "pictures, sound and calls of tools are not learned; remove the rows that have them"
            raise DataError(f"{where}: it has a part of type {as_json(other.get('type'))}", hint=hint)
        if len(value) > 1:
            raise DataError(f"{where}: it has {len(value)} parts", hint="write them as one text")
        value = value[0].get("text")
    return checked_text(value, where)


def switch(value: Any) -> bool | None:
    """Whether a value says on or off, as JSON or a table writes it; none if it says neither."""
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def learned(fields: Fields, where: str) -> bool:
    """Whether a message or row is to be learned, by its weight, train, loss or the like.

    Raises:
        DataError: A switch is neither on nor off.
    """
    told = set()
    for name in _SWITCHES:
        value = fields.take(name)
        if value is not None:
            on = switch(value)
            if on is None:
                hint = "0 or false: not learned; 1 or true: learned. How often rows are drawn is the recipe's weight"
                raise DataError(f"{where}, {name}: it is {as_json(value)}, neither 0 nor 1", hint=hint)
            told.add(on)
    if len(told) > 1:
        raise DataError(f"{where}: its {', '.join(_SWITCHES)} do not agree", hint="keep one")
    return told != {False}


def transcript(text: str) -> list[Message] | None:
    """The messages of a text that says "Human:" and "Assistant:" before them; none if it does not begin so.

    An assistant's turn that has yet to be said, at the end of a prompt, is none.
    """
    bare = text.strip()
    if not bare.startswith("Human:"):
        return None
    _, *parts = _SAID.split(bare)
    turns = [
        {"role": "user" if who == "Human" else "assistant", "content": said.strip()}
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    return turns[:-1] if turns[-1] == {"role": "assistant", "content": ""} else turns


def with_system(turns: Sequence[Message], system: Any, where: str) -> list[Message]:
    """A conversation with a system message before it.

    Raises:
        DataError: It has another one.
    """
    if system in (None, ""):
        return list(turns)
    said = checked_text(system, where)
    if turns and turns[0]["role"] == "system":
        if turns[0]["content"].strip() != said.strip():
            raise DataError(f"{where}: the conversation has another system message", hint="keep one of the two")
        return list(turns)
    return [{"role": "system", "content": said}, *turns]
