"""One exchange over HTTP: bounded in time, tries and bytes, patient where the server asks for it.

A connection that is refused or closed before an answer, and the statuses of a server that is out of order or busy, are
tried again, each pause longer than the one before. Where the server says how long to wait, or that its model is being
loaded, that counts as no try. All of it ends at the deadline. Packed answers, which are not asked for, are unpacked
within the limit. No redirect is followed: the key is for the server that was named. Knows no chat.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx2

from models.chat.addresses import Address, proxy_for
from workspace.errors import UsageError

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 529, 530, *range(520, 528)})
LOADING = re.compile(r"(?i)load|start(?:ing|up)|warm|initiali[sz]|not ready|being prepared")
PAUSE = 0.5
LONGEST_PAUSE = 8.0
_WORDS = 65_536  # of a refusal, that are read
_PACKED = {"gzip", "x-gzip", "deflate"}
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?")
_SECONDS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = r"(\d{1,9}(?:\.\d{1,9})?)\s*(milli|ms|s|m|h|)[a-z]*"
_AGAIN_IN = re.compile(
    rf"(?i)(?:(?:retry|again|wait)\s+(?:in|after|for)?\s*|\"retry_?(?:delay|after)\"\s*:\s*\"?)((?:{_SPAN}\s*)+)"
)
"""Where a server says in words how long it wants to be left alone."""

clock = time.monotonic
sleep = time.sleep


class Refused(Exception):
    """An answer that is none: its status (200 where an error stands in the answer) and what the server said."""

    def __init__(self, status_code: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status_code, self.text, self.headers = status_code, text, headers or {}


class TooMuch(httpx2.TransportError):
    """An answer that is not read on: it is too large, or packed in a way that was not asked for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Patience:
    """The bounds of an exchange.

    Args:
        timeout: Seconds one answer may take, all tries included.
        retries: How often a failed request is made again.
        max_bytes: Largest answer that is read.
    """

    timeout: float
    retries: int
    max_bytes: int


@contextmanager
def exchange(
    where: Address,
    path: str,
    body: Mapping[str, Any] | None,
    patience: Patience,
    deadline: float,
    hopeless: Callable[[Refused], bool] = lambda refused: False,
) -> Iterator[Iterator[bytes]]:
    """Send a request and give the answer's bytes as they come.

    Args:
        where: The server.
        path: Beneath its address.
        body: What is sent as JSON; without one it is a GET.
        patience: The bounds.
        deadline: When all is over, by `clock`.
        hopeless: Says of a refusal that the same request would be refused again.

    Raises:
        Refused: Another status than 200, as often as it was tried.
        httpx2.TransportError: No whole answer came.
    """
    response = _answered(where, path, body, patience, deadline, hopeless)
    try:
        yield _bytes(response, patience.max_bytes, deadline)
    finally:
        response.close()


def _answered(
    where: Address,
    path: str,
    body: Mapping[str, Any] | None,
    patience: Patience,
    deadline: float,
    hopeless: Callable[[Refused], bool],
) -> httpx2.Response:
    """The first answer whose status is a success."""
    pauses = tries = 0
    while True:
        fault: Refused | httpx2.TransportError
        asked: float | None = None
        try:
            response = _sent(where, path, body, deadline)
            if response.is_success:
                return response
            fault = _refusal(response, deadline)
            again = fault.status_code in RETRIED and not hopeless(fault)
            asked = _asked_pause(fault) if again else None
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as broken:
            fault, again = broken, True
        pause = max(min(PAUSE * 2**pauses, LONGEST_PAUSE), asked or 0.0)
        tries += asked is None
        if not again or tries > patience.retries or pause > deadline - clock():
            raise fault
        pauses += 1
        sleep(pause)


def _sent(where: Address, path: str, body: Mapping[str, Any] | None, deadline: float) -> httpx2.Response:
    left = max(0.01, deadline - clock())
    url = where.endpoint(path)
    taken = {"Accept": "application/json, text/event-stream", "Accept-Encoding": "identity", "User-Agent": "studio"}
    headers = {**taken, **where.headers}
    sent: dict[str, Any] = {}
    if body is not None:
        headers["Content-Type"] = "application/json"
        sent = {"content": json.dumps(body).encode()}
    request = httpx2.Request(
        "GET" if body is None else "POST",
        url,
        headers=headers,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), left)},
        **sent,
    )
    return _transport(proxy_for(url)).handle_request(request)


@lru_cache(maxsize=8)
def _transport(proxy: str | None) -> httpx2.HTTPTransport:
    """One transport for all that goes the same way; building one reads the machine's certificates."""
    try:
        return httpx2.HTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0), proxy=proxy)
    except (ValueError, ImportError, httpx2.InvalidURL) as fault:
        raise UsageError(f"the proxy {proxy} that the environment names cannot be used: {fault}") from fault


def _refusal(response: httpx2.Response, deadline: float) -> Refused:
    """What a server says beside a status that is no success, as far as it can be read."""
    text = b""
    try:
        for chunk in _bytes(response, _WORDS, deadline):
            text += chunk
    except httpx2.TransportError:
        pass  # the status says enough
    finally:
        response.close()
    return Refused(response.status_code, text.decode("utf-8", "replace"), response.headers)


def _asked_pause(refused: Refused) -> float | None:
    """How many seconds a server asks to be left alone; nothing where it says nothing of it."""
    told = refused.headers.get("retry-after", "").strip()
    finer = refused.headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(finer):
        return float(finer) / 1000
    if _NUMBER.fullmatch(told):
        return float(told)
    if told:
        try:
            return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    if refused.status_code in (429, 503) and (said := _AGAIN_IN.search(refused.text)):
        return sum(float(number) * _SECONDS[unit.lower()] for number, unit in re.findall(rf"(?i){_SPAN}", said[1]))
    return 0.0 if refused.status_code == 503 and LOADING.search(refused.text) else None


def _bytes(response: httpx2.Response, most: int, deadline: float) -> Iterator[bytes]:
    """An answer's bytes, unpacked, counted and timed."""
    packing = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if packing != "identity" and packing not in _PACKED:
        raise TooMuch(
            f"the answer is compressed as {packing}, which was not asked for", "is a gateway packing answers?"
        )
    assert isinstance(response.stream, httpx2.SyncByteStream)
    plain = iter(response.stream) if packing == "identity" else _unpacked(response.stream, most)
    size = 0
    for chunk in plain:
        size += len(chunk)
        if size > most:
            raise TooMuch(f"the answer is larger than {most} bytes", "chat.max_bytes sets the largest answer")
        if clock() > deadline:
            raise httpx2.ReadTimeout("the answer took too long")
        yield chunk


def _unpacked(packed: Iterator[bytes] | Any, most: int) -> Iterator[bytes]:
    """Unpack gzip and deflate a piece at a time, so that a few bytes cannot become more than the limit."""
    reader = None
    try:
        for chunk in packed:
            reader = reader or zlib.decompressobj(_form(chunk))
            while chunk:
                if reader.eof:  # another member of the same file
                    reader = zlib.decompressobj(_form(chunk))
                yield reader.decompress(chunk, most + 1)
                chunk = reader.unconsumed_tail or reader.unused_data
    except zlib.error as fault:
        raise TooMuch(f"the compressed answer cannot be unpacked: {fault}", "is a gateway packing answers?") from fault
    if reader is None or not reader.eof:
        raise httpx2.RemoteProtocolError("the compressed answer ends before its end")


def _form(chunk: bytes) -> int:
    """The window bits of packed data by its first byte: gzip, zlib, or neither, as some servers send deflate."""
    return zlib.MAX_WBITS | 32 if not chunk or chunk[0] == 0x1F or chunk[0] & 0x0F == 8 else -zlib.MAX_WBITS
