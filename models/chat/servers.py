"""What can be said of a server: its models, whether it answers, its faults in one line each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import httpx2

from models.chat import exchange
from models.chat.addresses import Address, address, proxy_for
from models.chat.exchange import Patience, Refused, TooMuch
from models.chat.refusals import reason
from workspace.errors import ServiceError, StudioError, masked, one_line
from workspace.settings import ChatSettings

LOOK = 5.0
"""Seconds in which a server that is looked at must answer."""

_LISTING = 4_000_000
_TOO_LONG = re.compile(
    r"(?i)context[ _](?:length|window|size)|max_?(?:completion_)?tokens|too many (?:input )?tokens|prompt is too long"
)
_ANSWERS = {404, 405, 501}  # of a server that is there and has no list of models


@dataclass(frozen=True)
class Look:
    """How a server stands: the names of its models, none where it lists none; or why it is of no use."""

    server: str
    models: tuple[str, ...] | None = None
    problem: str | None = None
    mend: str | None = None

    def lacks(self, model: str) -> bool:
        """Whether it lists its models, and not this one."""
        return self.models is not None and not {model, f"{model}:latest"} & set(self.models)


def look(chat: ChatSettings) -> Look:
    """Ask a server for its models, once and for a short time."""
    try:
        where = address(chat)
        try:
            found = names(where, LOOK)
        except Refused as refused:
            if refused.status_code in _ANSWERS:
                return Look(where.shown)
            raise refusal(where, refused) from refused
        except httpx2.TimeoutException as fault:
            raise late(where, LOOK) from fault
        except (httpx2.TransportError, httpx2.InvalidURL) as fault:
            raise broken(where, fault) from fault
        except (ValueError, TypeError, KeyError, AttributeError):
            return Look(where.shown)
    except StudioError as fault:
        return Look(masked(str(chat.server)), problem=fault.message, mend=fault.hint)
    return Look(where.shown, models=found)


def names(where: Address, timeout: float) -> tuple[str, ...]:
    """The names of a server's models, by its own list.

    Raises:
        Refused: It refuses to tell.
        httpx2.TransportError: It cannot be reached.
        ValueError: What it answers is no list; or TypeError, KeyError, AttributeError.
    """
    patience = Patience(timeout, 0, _LISTING)
    with exchange.exchange(where, "/models", None, patience, exchange.clock() + timeout) as chunks:
        found = json.loads(b"".join(chunks))
    return tuple(" ".join(str(entry["id"]).split()) for entry in found["data"])


def listed(where: Address, timeout: float) -> tuple[str, ...] | None:
    """The names of a server's models; none where it does not tell."""
    try:
        return names(where, min(timeout, LOOK))
    except (Refused, httpx2.TransportError, ValueError, TypeError, KeyError, AttributeError):
        return None


def late(where: Address, timeout: float) -> ServiceError:
    """The fault of a server that takes too long."""
    return ServiceError(
        f"{where.shown} did not answer within {timeout:g} s", hint="raise chat.timeout, or ask for less"
    )


def broken(where: Address, fault: Exception) -> ServiceError:
    """The fault of an exchange that brought no whole answer."""
    words = where.safe(one_line(fault))
    if isinstance(fault, TooMuch):
        return ServiceError(f"{where.shown} failed: {words}", hint=fault.hint)
    way = proxy_for(where.url)
    through = f" through the proxy {masked(way)}" if way else ""
    if isinstance(fault, httpx2.ProxyError):
        return ServiceError(
            f"{where.shown} cannot be reached{through}: {words}", hint="NO_PROXY names what goes directly"
        )
    if isinstance(fault, httpx2.ConnectError | httpx2.InvalidURL):
        return ServiceError(f"{where.shown} cannot be reached{through}: {words}", hint="is the server running?")
    return ServiceError(f"{where.shown} broke off: {words}", hint="the server's own log may say why")


def refusal(where: Address, fault: Refused) -> ServiceError:
    """The fault of a server that answers with a status that is no success, or with an error."""
    code = fault.status_code
    words = where.safe(one_line(reason(fault.text) or "it gives no reason"))
    if code == 200:
        return ServiceError(f"{where.shown} answered with an error: {words}")
    if code in (401, 403):
        if "Authorization" in where.headers:
            return ServiceError(
                f"{where.shown} refused the key (HTTP {code}): {words}", hint="set api_key_env to its variable"
            )
        return ServiceError(
            f"{where.shown} wants a key (HTTP {code}): {words}",
            hint="set api_key_env, beside the server, to the variable that holds its key",
        )
    if 300 <= code < 400:
        there = where.safe(one_line(fault.headers.get("location", "nowhere")))
        return ServiceError(
            f"{where.shown} points to {there} (HTTP {code}), which is not followed with its key",
            hint="set the server's address to the new one",
        )
    asked = fault.headers.get("retry-after", "").strip()
    if asked:
        return ServiceError(
            f"{where.shown} answered HTTP {code}: {words}; it asks to be left alone for {one_line(asked, 40)}"
            f"{' s' if asked.isdigit() else ''}",
            hint="raise chat.timeout, or try later",
        )
    hint = "lower sampling.max_tokens, or take a model with a longer context" if _TOO_LONG.search(words) else None
    return ServiceError(f"{where.shown} answered HTTP {code}: {words}", hint=hint)
