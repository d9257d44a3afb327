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
from models.chat.refusals import clean, reason

THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<reasoning_scratchpad>", "</reasoning_scratchpad>"),
    ("<inner_monologue>", "</inner_monologue>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<seed:think>", "</seed:think>"),
    ("<unused94>", "<unused95>"),
    ("<ctrl94>", "<ctrl95>"),
    ("<|channel>", "<channel|>"),
    ("<|think|>", "<|/think|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
"""What stands around a model's reasoning where a server leaves it in the text."""

ENDS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<|return|>", "<|call|>",
    "<|user|>", "<|im_start|>", "<|start|>", "<|start_header_id|>", "<end_of_turn>", "<turn|>", "<eos>", "</s>",
    "[/INST]", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>", "<|end_of_solution|>",
)  # fmt: skip
"""Tokens at which an answer is over, where a server leaves them in the text; before its first word they are nothing."""

SHELLS = (
    "<answer>", "</answer>", "<final_answer>", "</final_answer>", "<response>", "</response>", "<|message|>",
    "<|begin_of_box|>", "<|end_of_box|>", "<|start_response|>", "<|end_response|>", "<|begin_of_solution|>",
    "<|assistant|>",
)  # fmt: skip
"""What some models put around an answer: it is left out, and the answer stays."""

CUT = {
    "length", "max_tokens", "max_length", "max_output_tokens", "max_completion_tokens", "max_new_tokens", "token_limit",
    "model_length", "model_context_window_exceeded", "context_length_exceeded", "error_limit",
}  # fmt: skip
FILTERED = {
    "content_filter", "content_filtered", "guardrail_intervened", "safety", "image_safety", "recitation", "language",
    "prohibited_content", "blocklist", "spii", "refusal", "sensitive", "error_toxic", "data_inspection_failed",
}  # fmt: skip
BROKEN = {"error", "abort", "aborted", "cancelled", "network_error", "insufficient_system_resource", "timeout"}
_OPENERS = {opener.lower(): closer.lower() for opener, closer in THOUGHTS}
_UNANNOUNCED = {*_OPENERS.values(), "assistantfinal"}  # the last is what is left of a channel without its tokens
_CHANNEL = "<|channel|>"
_NAMED = r"<\|channel\|>([^<]{0,160})(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
_ROLES = {"<|start|>": rf"{_NAMED}|<\|message\|>", "<|im_start|>": "\n", "<|start_header_id|>": r"<\|end_header_id\|>"}
_ENDS, _SHELLS = {end.lower() for end in ENDS}, set(SHELLS)
_MARKS = [*_OPENERS, *_UNANNOUNCED, *_ENDS, *SHELLS, _CHANNEL]
_LITERAL = "|".join(map(re.escape, sorted({*_MARKS} - {_CHANNEL}, key=len, reverse=True)))
_MARK = re.compile(f"{_NAMED}|{_LITERAL}")
_NEXT_CHANNEL = rf"{_NAMED}|<\|(?:end|start|return|call)\|>"
_LONGEST = max(map(len, _MARKS))
_BEGINNINGS = frozenset(mark[:end] for mark in _MARKS for end in range(1, len(mark) + 1))
_JSON = json.JSONDecoder(strict=False)
_HEADER = 240  # letters in which the head of a channel is whole


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
        self._begun = False
        self._closer = ""

    def heard(self, text: str, *, last: bool = False) -> str:
        """Take a piece; what of the answer may be said now."""
        self._held += text
        said, place, low = list[str](), 0, _lowered(self._held)
        while not self.over and (mark := re.compile(self._closer or _MARK).search(low, place)):
            before, place = self._held[place : mark.start()], mark.end()
            if not self._closer:
                said.append(before)
                self._begun = self._begun or bool(before.strip())
            if self._is_bare(mark):
                said, self.waiting, self.bare, self.thought, self._closer = [], False, True, True, ""
            else:
                self._closer = self._closer_after(mark)
        self._held = self._held[place:]
        said.append(self._rest(last))
        return clean("".join(said))

    def _is_bare(self, mark: re.Match[str]) -> bool:
        """Whether a mark ends reasoning that no mark began."""
        if self._closer:
            return False
        answers = mark.group().startswith(_CHANNEL) and mark.group(1).strip().startswith("final")
        return mark.group() in _UNANNOUNCED or (answers and self._begun)

    def _closer_after(self, mark: re.Match[str]) -> str:
        """What is waited for after a mark, before the answer goes on; nothing where it goes on at once."""
        found = mark.group()
        if found.startswith(_CHANNEL):
            self.waiting = False
            if mark.group(1).strip().startswith("final"):
                return ""
            self.thought = True
            return _NEXT_CHANNEL
        if self._closer:
            return _ROLES["<|start|>"] if found == "<|start|>" else ""
        if found in _OPENERS:
            self.thought, self.waiting = True, False
            return re.escape(_OPENERS[found])
        if found in _ENDS:
            self.over = self._begun
            return "" if self.over else _ROLES.get(found, "")
        return ""

    def _rest(self, last: bool) -> str:
        """What is held and holds no mark, but for an end that may become one, and half a surrogate pair."""
        if self.over or (self._closer and last):
            self._held = ""
        if self._closer:
            self._held = self._held[-_HEADER:]
            return ""
        if last:
            said, self._held = self._held, ""
            return said
        if self.waiting:
            return ""
        tail = self._held[1 - _LONGEST :]
        keep = next((len(tail) - at for at in range(len(tail)) if tail[at:].lower() in _BEGINNINGS), 0)
        head = self._held[-_HEADER:].lower().rfind(_CHANNEL)
        if head >= 0:
            keep = len(self._held[-_HEADER:]) - head
        if not keep and "\ud800" <= self._held[-1:] <= "\udbff":
            keep = 1
        end = len(self._held) - keep
        said, self._held = self._held[:end], self._held[end:]
        self._begun = self._begun or bool(said.strip())
        return said


def _lowered(text: str) -> str:
    """Latin capitals as small letters, so that every letter keeps its place."""
    return text.lower() if text.isascii() else re.sub("[A-Z]", lambda one: one[0].lower(), text)


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
    tokens_in: int = 0
    tokens_out: int = 0
    chosen: bool = False
    """Whether it is of an answer's choice, and does not tell the usage alone."""

    @property
    def is_cut(self) -> bool:
        """Whether it was cut off at the limit of tokens."""
        return self.finish.lower() in CUT

    def add(self, other: Piece) -> None:
        """Go on with another part."""
        self.text += other.text
        self.reasoning += other.reasoning
        self.arguments += other.arguments
        self.refusal += other.refusal
        self.tool = self.tool or other.tool
        self.finish = other.finish or self.finish
        self.chosen = self.chosen or other.chosen
        # some tell in every part how many so far
        self.reasoning_tokens = max(self.reasoning_tokens, other.reasoning_tokens)
        self.tokens_in, self.tokens_out = max(self.tokens_in, other.tokens_in), max(self.tokens_out, other.tokens_out)

    @property
    def is_withheld(self) -> bool:
        """Whether it is no answer whatever its text is: refused, filtered or broken off."""
        return bool(self.refusal) or self.finish.lower() in FILTERED | BROKEN

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
    """The pieces in one JSON object: none in one that only tells how the prompt was filtered.

    Raises:
        Refused: It tells a fault instead.
        ValueError: It is no JSON object.
    """
    try:
        found = _JSON.decode(text)
    except (ValueError, RecursionError) as fault:
        page = text.lstrip()[:1] == "<"
        raise ValueError(
            "it is a web page" if page else f"it is not JSON: {fault}" if text else "it is empty"
        ) from fault
    if not isinstance(found, dict):
        if reason(text) and isinstance(found, list):
            raise Refused(200, text)
        raise ValueError("it is not a JSON object")
    choices = found.get("choices")
    if found.get("error") or (not isinstance(choices, list) and reason(text)):
        raise Refused(200, text)
    usage = _usage(found)
    for choice in choices[:1] if isinstance(choices, list) else ():
        piece = _piece(choice)
        piece.add(usage)
        yield piece
    if not choices and (usage.tokens_in or usage.tokens_out):
        yield usage


def _usage(found: dict[str, Any]) -> Piece:
    """What an answer says of the tokens that it took, by either protocol's names."""
    told = found.get("usage")
    if not isinstance(told, dict):
        return Piece()
    details = told.get("completion_tokens_details")
    return Piece(
        tokens_in=_count(told, "prompt_tokens", "input_tokens"),
        tokens_out=_count(told, "completion_tokens", "output_tokens"),
        reasoning_tokens=_count(details if isinstance(details, dict) else {}, "reasoning_tokens"),
    )


def _count(told: dict[str, Any], *names: str) -> int:
    """The first of these that is a number of tokens; none is 0."""
    found = (told.get(name) for name in names)
    return next((int(one) for one in found if isinstance(one, int | float) and 0 < one < 1e12), 0)


def _piece(choice: Any) -> Piece:
    message = choice.get("message") or choice.get("delta")
    piece = Piece(finish=str(choice.get("finish_reason") or ""), chosen=True)
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
    piece.refusal += str(message.get("refusal") or "")
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
