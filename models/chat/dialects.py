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
_LOG = logging.getLogger("studio.models")
_OUT_OF_RANGE = re.compile(
    r"(?i)between|greater|less than|too (?:large|small|high|low|long|big|many)|at (?:most|least)|range|maxim|minim|"
    r"exceed|context length|[<>]="
)
_NOT_KNOWN = re.compile(
    r"(?i)(?:not|n't)[ _-](?:be )?(?:support|permit|allow|recogni[sz]|known|expect|accept|implement|specif|valid)|"
    r"un(?:support|known|recogni[sz]ed|expected|available)|extra|forbid|deprecat|instead|cannot (?:find|both)|only one|"
    r"invalid (?:param|arg|field|key)|additional propert"
)
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
    """

    name: str
    named: re.Pattern[str]
    said: Callable[[Body], Body]
    bounded: bool = False

    def is_named(self, words: str) -> bool:
        """Whether a refusal is about this."""
        if not self.named.search(words):
            return False
        return not self.bounded or not _OUT_OF_RANGE.search(words) or bool(_NOT_KNOWN.search(words))


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
    return body | {"stream": False} if body.get("stream") else body


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_SYSTEM = _names(
    r"system|developer (?:instruction|message|role)|\brole|alternat|only user and assistant|first message|template"
)
_FORMAT = _names(
    r"response[ _-]?format|json[ _-]?(?:schema|object|mode|valid)|generate json|schema|structured|guided|grammar"
)
_LIMIT = _names(r"max_?(?:completion_|new_|output_)?tokens")

TABLE = (
    Dialect("no seed", _names(r"\bseed\b|random_seed"), _without("seed"), bounded=True),
    Dialect("no top_p", _names(r"\btop_?p\b"), _without("top_p"), bounded=True),
    Dialect("no temperature", _names(r"\btemperature\b"), _without("temperature"), bounded=True),
    Dialect("the limit of tokens by its other name", _LIMIT, _other_limit, bounded=True),
    Dialect("no limit of tokens", _LIMIT, _without(*LIMITS), bounded=True),
    Dialect("a JSON object without a schema", _FORMAT, _json_object),
    Dialect("no response format; the fields stand in the prompt", _FORMAT, _without("response_format")),
    Dialect("no streaming", _names(r"\bstream"), _whole),
    Dialect("no system message beside a picture", _SYSTEM, _without_system_beside_pictures),
    Dialect("no system message", _SYSTEM, _without_system),
)
"""In the order in which they are tried where a refusal's words fit several."""

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

    Args:
        status: The refusal's HTTP status.
        words: What it says.
        body: The request, said in full.
        dialects: Those it was sent with.
    """
    spoken = said(body, dialects)
    for dialect in TABLE if status in ABOUT_THE_REQUEST else ():
        if dialect.name not in dialects and dialect.is_named(words) and said(body, dialects | {dialect.name}) != spoken:
            return dialect.name
    return None


def remember(key: Key, dialects: Known) -> None:
    """Keep what helped with a server, and log it once: nothing is left out in silence."""
    for name in sorted(dialects - known(key)):
        _LOG.warning("%s (%s) is asked with %s, since it refuses the usual request", *key, name)
    _known[key] = known(key) | dialects


def forget() -> None:
    """Know nothing of any server."""
    _known.clear()
