"""How servers of one protocol differ: one table of what some refuse, and how it is said to those.

A request is first said in full. When a server's refusal names a part, the part is said otherwise, and the request is
sent again; what helped is remembered for that server and model as long as the process lives. Knows requests as plain
JSON, and how refusals are worded; sends nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.decoder.turns import neighbours_joined, without_system

Body = dict[str, Any]
Key = tuple[str, str]
"""A server and the model that is asked there."""

LIMITS = ("max_tokens", "max_completion_tokens")
USAGE = {"include_usage": True}
"""``stream_options`` of a request: the last part of a stream tells the tokens."""

_LOG = logging.getLogger("studio.models")
_OUT_OF_RANGE = re.compile(
    r"(?i)between|greater|less than|too (?:large|small|high|low|long|big|many)|at (?:most|least)|range|maxim|minim|"
    r"exceed|context length|[<>]=|范围|大于|小于|超过|最大|最小|上限"
)
_NOT_KNOWN = re.compile(
    r"(?i)(?:not|n't)[ _-](?:be )?(?:support|permit|allow|recogni[sz]|known|expect|accept|implement|specif|valid)|"
    r"un(?:support|known|recogni[sz]ed|expected|available)|extra|forbid|deprecat|instead|cannot (?:find|both)|only one|"
    r"invalid (?:param|arg|field|key)|additional propert|不支持|不允许|未知"
)
_UNREAD = re.compile(r"(?i)output that does not match the expected|failed to parse input at pos")  # llama.cpp's words
_ONE_OF_TWO = re.compile(r"(?i)\bboth\b|only one|not together|同时")
# What a refusal may be about is a request's own fault or manner; all other statuses are the server's own affair.
ABOUT_THE_REQUEST = frozenset({200, 400, 404, 405, 415, 422, 500, 501})


@dataclass(frozen=True)
class Dialect:
    """Something that some servers want otherwise.

    Args:
        name: What it is, for the log.
        named: What a refusal's words hold when they are about it.
        said: The request said so; the same request where it has nothing of the kind.
        bounded: Whether the part has values that are out of range, which is another fault.
        plain: Whether words that name it can be about nothing else.
    """

    name: str
    named: re.Pattern[str]
    said: Callable[[Body], Body]
    bounded: bool = False
    plain: bool = False

    def place(self, words: str) -> int | None:
        """Where a refusal's words are about this, below zero where that is plain; nothing where they are not."""
        found = self.named.search(words)
        if not found or (self.bounded and _OUT_OF_RANGE.search(words) and not _NOT_KNOWN.search(words)):
            return None
        return -1 if self.plain else found.start()


def _without_system(body: Body) -> Body:
    """What the system says stands at the head of the user's first turn."""
    return body | {"messages": neighbours_joined(without_system(body["messages"]))}


def _without_system_beside_pictures(body: Body) -> Body:
    seen = any(isinstance(message["content"], list) for message in body["messages"])
    return _without_system(body) if seen else body


def _without(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _other_limit(body: Body) -> Body:
    old, new = LIMITS if LIMITS[0] in body else reversed(LIMITS)
    return {(new if name == old else name): value for name, value in body.items()}


def _json_object(body: Body) -> Body:
    wanted = body.get("response_format", {}).get("type") == "json_schema"
    return body | {"response_format": {"type": "json_object"}} if wanted else body


def _whole(body: Body) -> Body:
    return _without("stream_options")(body) | {"stream": False} if body.get("stream") else body


def _streamed(body: Body) -> Body:
    return body if body.get("stream") else body | {"stream": True, "stream_options": USAGE}


def _names(pattern: str) -> re.Pattern[str]:
    """A pattern whose words may stand between signs of any script."""
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


_FAULT = r"(?:\w+ ){0,3}(?:busy|overload|error|fail|fault|unavailable|maint|cannot|time|load|closed|ended|reset|broke)"
_SYSTEM = _names(
    rf"(?<!internal )(?<!operating )(?<!file )(?<!backend )\bsystem(?! {_FAULT})|system_?(?:role|message|prompt|instr)|"
    r"developer[ _]?(?:instruction|message|role)|\brole|alternat|only user and assistant|first message|template|"
    r"(?:start|begin) with (?:a |the )?user|odd number|角色"
)
_FORMAT = _names(
    r"response[ _-]?format|json[ _-]?(?:schema|object|mode|valid)|(?:generat|validat|produc)\w* (?:valid )?json|schema|"
    r"failed_generation|structured|guided|grammar|(?<!image )(?<!file )\bformat\b"
)
_LIMIT = _names(r"max[ _]?(?:completion|new|output)?[ _]?tokens")
_STREAM = rf"\bstream(?:ing|ed)?\b(?! {_FAULT})"
_ONLY_STREAM = _names(
    rf"(?:only|must|please|require\w*)\W+(?:\w+\W+){{0,3}}?stream|{_STREAM}\W+(?:must|is required|only)|"
    r"stream\W{0,4}true|non[ _-]?stream|stream\W{0,4}false|流式"
)

TABLE = (
    Dialect("streaming, always", _ONLY_STREAM, _streamed, plain=True),
    Dialect("no usage beside a stream", _names(r"stream[ _-]?options|include[ _-]?usage"), _without("stream_options")),
    Dialect("no seed", _names(r"\bseed\b|random_seed"), _without("seed")),
    Dialect("no top_p", _names(r"\btop_?p\b"), _without("top_p"), bounded=True),
    Dialect("no temperature", _names(r"\btemperature\b"), _without("temperature"), bounded=True),
    Dialect("the limit of tokens by its other name", _LIMIT, _other_limit, bounded=True),
    Dialect("no limit of tokens", _LIMIT, _without(*LIMITS), bounded=True),
    Dialect("a JSON object without a schema", _FORMAT, _json_object),
    Dialect("no response format; the fields stand in the prompt", _FORMAT, _without("response_format")),
    Dialect("no streaming", _names(rf"{_STREAM}|流式"), _whole),
    Dialect("no system message beside a picture", _SYSTEM, _without_system_beside_pictures),
    Dialect("no system message", _SYSTEM, _without_system),
)
"""In the order in which they are tried where a refusal's words name several at one place."""

Known = frozenset[str]
_known: dict[Key, Known] = {}


def known(key: Key) -> Known:
    """What is known of a server, by the dialects' names."""
    return _known.get(key, frozenset())


def said(body: Body, dialects: Known) -> Body:
    """A request as a server with these dialects takes it."""
    for dialect in TABLE:
        if dialect.name in dialects:
            body = dialect.said(body)
    return body


def understood(status: int, words: str, body: Body, dialects: Known) -> str | None:
    """The dialect that a refusal of a request is about, if it is one that the request does not speak yet.

    Of several parts that it names, the first counts: many refusals go on to list what is taken.

    Args:
        status: The refusal's HTTP status.
        words: What it says.
        body: The request, said in full.
        dialects: Those it was sent with.
    """
    if status not in ABOUT_THE_REQUEST or unread(words):
        return None
    spoken = said(body, dialects)
    found = [
        (0 if place >= 0 and _ONE_OF_TWO.search(words) else place, number, dialect.name)
        for number, dialect in enumerate(TABLE)
        if dialect.name not in dialects
        and (place := dialect.place(words)) is not None
        and said(body, dialects | {dialect.name}) != spoken
    ]
    return min(found)[2] if found else None


def unread(words: str) -> bool:
    """Whether a server says that it could not read what its model wrote: an answer that failed, and no refusal.

    Its words name a format, and may go on with the answer's own, which could name anything.
    """
    return _UNREAD.search(words) is not None


def remember(key: Key, dialects: Known) -> None:
    """Keep what helped with a server, and log it once: nothing is left out in silence."""
    for name in sorted(dialects - known(key)):
        _LOG.warning("%s (%s) is asked with %s, since it refuses the usual request", *key, name)
    _known[key] = known(key) | dialects


def forget() -> None:
    """Know nothing of any server."""
    _known.clear()
