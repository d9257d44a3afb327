"""A conversation as a chat template or a server wants it: without a system turn, or with turns that alternate.

Turns are dictionaries with ``role`` and ``content``; a content is text or, beside pictures, a list of typed parts.
Nothing that was said is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Turn = dict[str, Any]
GAP = "\n\n"
GO_ON = "Go on."


def without_system(turns: Sequence[Turn]) -> list[Turn]:
    """Move what system turns say to the head of the first user turn, which is made if there is none."""
    said: list[Turn] = [turn for turn in turns if turn["role"] == "system"]
    rest = [dict(turn) for turn in turns if turn["role"] != "system"]
    if not said:
        return rest
    content = said[0]["content"]
    for turn in said[1:]:
        content = joined(content, turn["content"])
    place = next((number for number, turn in enumerate(rest) if turn["role"] == "user"), None)
    if place is None:
        return [{"role": "user", "content": content}, *rest]
    rest[place]["content"] = joined(content, rest[place]["content"])
    return rest


def neighbours_joined(turns: Sequence[Turn]) -> list[Turn]:
    """Join neighbouring turns of one role."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1]["role"] == turn["role"]:
            found[-1]["content"] = joined(found[-1]["content"], turn["content"])
        else:
            found.append(dict(turn))
    return found


def alternating(turns: Sequence[Turn]) -> list[Turn]:
    """Join neighbouring turns of one role; a user's turn asks to go on where the assistant would speak first."""
    found = neighbours_joined(turns)
    head = next((number for number, turn in enumerate(found) if turn["role"] != "system"), None)
    if head is not None and found[head]["role"] == "assistant":
        found.insert(head, {"role": "user", "content": GO_ON})
    return found


def joined(first: Any, second: Any) -> Any:
    """Two contents as one: texts with an empty line between, or the parts of both in a list."""
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}{GAP}{second}" if first and second else first or second
    return [*_parts(first), *_parts(second)]


def _parts(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)
