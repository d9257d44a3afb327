"""Reading what a server answers: whole or streamed, text or reasoning, tool call or refusal. Knows no schema.

What comes is read as a person would read it: reasoning is no part of an answer, nor are a template's own tokens. Half
surrogates and control characters, which no file and no terminal can take, are replaced by U+FFFD.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from models.chat.exchange import Refused

THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("<unused94>", "<unused95>"),
    ("<|begin_of_thought|>", "<|begin_of_solution|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)
"""What stands around a model's reasoning where a server leaves it in the text."""

ENDS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<|return|>", "<|user|>",
    "<|im_start|>", "<end_of_turn>", "<eos>", "</s>", "[/INST]", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>",
    "<|end_of_solution|>",
)  # fmt: skip
"""Tokens at which an answer is over, where a server leaves them in the text."""

CUT = {"length", "max_tokens", "model_length"}
FILTERED = {"content_filter", "safety", "recitation", "prohibited_content", "blocklist", "spii", "refusal"}
BROKEN = {"error", "abort", "cancelled", "insufficient_system_resource"}
_CONTROL = {**dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], "\ufffd"), 13: None}
_OPENERS = {opener.lower(): closer.lower() for opener, closer in THOUGHTS}
_MARKS = [*_OPENERS, *_OPENERS.values(), *(end.lower() for end in ENDS)]
_MARK = re.compile("|".join(map(re.escape, sorted(_MARKS, key=len, reverse=True))))
_LONGEST = max(map(len, _MARKS))


def clean(text: str) -> str:
    """A text with halves of surrogate pairs and control characters replaced; whole pairs become their character."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.translate(_CONTROL)


class Speech:
    """An answer's text without the reasoning in it, given piece by piece.

    Args:
        wait: Say nothing until it is known whether what comes is reasoning: some servers leave out the tag that opens
            it, and then the tag that closes it is the first sign.
    """

    def __init__(self, wait: bool = False) -> None:
        self.waiting, self.bare, self.over = wait, False, False
        self.thought = False
        self._held = ""
        self._closer = ""

    def heard(self, text: str, *, last: bool = False) -> str:
        """Take a piece; what of the answer may be said now."""
        self._held += text
        said, place, low = list[str](), 0, _lowered(self._held)
        while not self.over and (mark := self._next(low, place)):
            before, found, place = self._held[place : mark.start()], mark.group(), mark.end()
            if self._closer:
                self._closer = ""
            elif found in _OPENERS:
                said.append(before)
                self._closer, self.thought, self.waiting = _OPENERS[found], True, False
            elif found in _OPENERS.values():
                said, self.waiting = [], False
                self.bare = self.thought = True
            else:
                said.append(before)
                self.over = True
        self._held = self._held[place:]
        said.append(self._rest(last))
        return clean("".join(said))

    def _next(self, low: str, place: int) -> re.Match[str] | None:
        """The next mark; within reasoning only the one that ends it counts."""
        return (re.compile(re.escape(self._closer)) if self._closer else _MARK).search(low, place)

    def _rest(self, last: bool) -> str:
        """What is held and holds no mark, but for an end that may become one, and half a surrogate pair."""
        if self.over or (self._closer and last):
            self._held = ""
        if self._closer:
            self._held = self._held[-_LONGEST:]
            return ""
        if last:
            said, self._held = self._held, ""
            return said
        if self.waiting:
            return ""
        keep = next((n for n in range(min(len(self._held), _LONGEST - 1), 0, -1) if _begins_mark(self._held[-n:])), 0)
        if not keep and "\ud800" <= self._held[-1:] <= "\udbff":
            keep = 1
        end = len(self._held) - keep
        said, self._held = self._held[:end], self._held[end:]
        return said


def _lowered(text: str) -> str:
    """Latin capitals as small letters, so that every letter keeps its place."""
    return text.lower() if text.isascii() else re.sub("[A-Z]", lambda one: one[0].lower(), text)


def _begins_mark(text: str) -> bool:
    return any(mark.startswith(text.lower()) for mark in _MARKS)


def spoken(text: str) -> str:
    """A whole answer without the reasoning in it."""
    return Speech(wait=True).heard(text, last=True).strip()


@dataclass
class Piece:
    """What an answer, or a part of one, holds."""

    text: str = ""
    reasoning: str = ""
    arguments: str = ""
    tool: str = ""
    refusal: str = ""
    finish: str = ""
    reasoning_tokens: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether it was cut off at the limit of tokens."""
        return self.finish.lower() in CUT

    def add(self, other: Piece) -> None:
        """Go on with another part."""
        for name in ("text", "reasoning", "arguments", "refusal"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.tool = self.tool or other.tool
        self.finish = other.finish or self.finish
        self.reasoning_tokens = max(self.reasoning_tokens, other.reasoning_tokens)

    def fault(self, limit: int, *, thought: bool = False) -> str | None:
        """Why this whole answer, whose text is without reasoning, is none; nothing where it is one.

        Args:
            limit: ``sampling.max_tokens``.
            thought: Whether reasoning stood in its text.
        """
        finish = self.finish.lower()
        if self.refusal:
            return f"the model refused: {' '.join(self.refusal.split())[:300]}"
        if finish in FILTERED:
            return f"the answer was held back by the server's content filter ({self.finish})"
        if finish in BROKEN:
            return f"the answer broke off midway ({self.finish})"
        if self.text.strip():
            return None
        if self.is_cut and (self.reasoning or self.reasoning_tokens or thought):
            return f"all of sampling.max_tokens ({limit}) went into reasoning, and no answer was left"
        if self.is_cut:
            return f"the answer was cut off at sampling.max_tokens ({limit}) before its first word"
        if self.tool:
            return f"it answered with a call of the tool {self.tool!r} instead of text"
        if self.reasoning or thought:
            return "all of its answer stands in its reasoning"
        return None


def pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Read an answer, whole or as server-sent events, whichever comes.

    Raises:
        Refused: An error stands in it.
        ValueError: It is neither.
    """
    lines = _lines(chunks)
    first = next((line for line in lines if line.strip()), "")
    if not re.match(r"(data|event|id|retry)?:", first):
        yield from _read("\n".join([first, *lines]))
        return
    over = finished = False
    for data in _events(chain([first], lines)):
        if data.strip() == "[DONE]":
            over = True
            continue
        for piece in _read(data):
            finished = finished or bool(piece.finish)
            yield piece
    if not over and not finished:
        raise BrokenOff("the stream ended before the answer did")


class BrokenOff(Exception):
    """A stream that ended without a sign that the answer is whole."""


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = getincrementaldecoder("utf-8-sig")("replace")
    held: list[str] = []
    for chunk in chunks:
        *whole, rest = decoder.decode(chunk).split("\n")
        if whole:
            yield "".join([*held, whole[0]]).removesuffix("\r")
            yield from (line.removesuffix("\r") for line in whole[1:])
            held = []
        held.append(rest)
    yield "".join([*held, decoder.decode(b"", True)])


def _events(lines: Iterable[str]) -> Iterator[str]:
    """The data of each event; comments and all other fields are left out."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _read(text: str) -> Iterator[Piece]:
    """The pieces in one JSON object: none in one that only tells the usage or how the prompt was filtered."""
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError) as fault:
        page = text.lstrip()[:1] == "<"
        raise ValueError(
            "it is a web page" if page else f"it is not JSON: {fault}" if text else "it is empty"
        ) from fault
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    if found.get("error"):
        raise Refused(200, text)
    choices = found.get("choices")
    if not isinstance(choices, list):
        raise ValueError(f"it holds no choices{': ' if (why := reason(text)) else ''}{why}")
    for choice in choices[:1]:
        piece = _piece(choice)
        details = (found.get("usage") or {}).get("completion_tokens_details") or {}
        piece.reasoning_tokens = int(details.get("reasoning_tokens") or 0)
        yield piece


def _piece(choice: Any) -> Piece:
    message = choice.get("message") or choice.get("delta")
    piece = Piece(finish=str(choice.get("finish_reason") or ""))
    if not isinstance(message, dict):
        if not piece.finish and "text" not in choice and "delta" not in choice:
            raise ValueError("its choice holds no message")
        message = {"content": choice.get("text")}
    content = message.get("content")
    for part in content if isinstance(content, list) else [content]:
        _add_part(piece, part)
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(held := message.get(name), str):
            piece.reasoning += held
            break
    piece.refusal = str(message.get("refusal") or "")
    calls = [call.get("function") or {} for call in message.get("tool_calls") or []] or [message.get("function_call")]
    for call in filter(None, calls):
        piece.tool = piece.tool or str(call.get("name") or "")
        given = call.get("arguments") or ""
        piece.arguments += given if isinstance(given, str) else json.dumps(given)
    return piece


def _add_part(piece: Piece, part: Any) -> None:
    """One of the parts that a content may consist of: text, or reasoning with parts of its own."""
    if isinstance(part, str):
        piece.text += part
    elif isinstance(part, dict):
        inner = Piece()
        held = part.get("text") if "text" in part else part.get("thinking") or part.get("refusal")
        for one in held if isinstance(held, list) else [held]:
            _add_part(inner, one)
        kind = str(part.get("type", "text"))
        if "think" in kind or "reason" in kind:
            piece.reasoning += inner.text
        elif kind == "refusal":
            piece.refusal += inner.text
        else:
            piece.text += inner.text


def reason(text: str) -> str:
    """What a refusal says, out of whatever form it has; the places that it names beside it."""
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        if text.lstrip()[:1] == "<":
            title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text)
            return " ".join(title[1].split()) if title else "a web page"
        return " ".join(text.split())
    return clean("; ".join(dict.fromkeys(_said(found))))


def _said(found: Any, depth: int = 0) -> list[str]:
    if depth > 6:
        return []
    if isinstance(found, str):
        return [" ".join(found.split())] if found.strip() else []
    if isinstance(found, list):
        return [line for one in found[:8] for line in _said(one, depth + 1)]
    if not isinstance(found, dict):
        return []
    lines: list[str] = []
    place = found.get("loc") or found.get("param")
    where = ".".join(map(str, place)) if isinstance(place, list) else str(place or "")
    for name in ("error", "errors", "detail", "details", "message", "msg", "title", "error_description"):
        lines += _said(found.get(name), depth + 1)
    metadata = found.get("metadata")
    lines += _said(metadata.get("raw"), depth + 1) if isinstance(metadata, dict) else []
    if where and not any(where in line for line in lines):
        lines = [f"{where}: {line}" for line in lines] or [where]
    return lines
