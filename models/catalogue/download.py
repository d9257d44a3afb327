"""One download: a URL to a file, in pieces that an interruption does not lose, proved by sha256.

Knows HTTP ranges and ``file:`` URLs; knows nothing of models, indexes or hubs.
"""

from __future__ import annotations

import os
import shutil
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from workspace.errors import DataError, ServiceError, one_line
from workspace.files import disk, sha256
from workspace.progress import Downloaded, Tell, silent

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 5
STEPS = 1000  # from one report of progress to the next, of a file of known length
LONGEST = 4_000_000  # bytes from one to the next
PAUSE = 0.5
TIMEOUT = 60.0


def download(
    url: str,
    target: Path,
    *,
    expect: str | None = None,
    size: int = 0,
    headers: Mapping[str, str] | None = None,
    tell: Tell = silent,
) -> str:
    """Bring ``url`` to ``target``, going on from what an earlier attempt left there.

    Args:
        url: An ``http``, ``https`` or ``file`` URL.
        target: Where it goes; a partial file there is continued.
        expect: The sha256 it must have.
        size: Its length if known, for progress and to tell a whole file from a partial one.
        headers: Sent with each request to the first host.
        tell: Called with `Downloaded` after every thousandth of the file, and after every few megabytes.

    Returns:
        The sha256 of the file.

    Raises:
        ServiceError: When the server refuses or the connection fails for good.
        DataError: When the bytes are not the expected ones (the file is removed).
        StorageError: When the disk says no.
    """
    resumed = target.exists()
    with disk(target):
        _bring(url, target, size, headers or {}, tell)
        digest = sha256(target)
        if expect and digest != expect and resumed:
            target.unlink()
            _bring(url, target, size, headers or {}, tell)
            digest = sha256(target)
        if expect and digest != expect:
            target.unlink()
    if expect and digest != expect:
        raise DataError(f"{target.name} arrived with sha256 {digest}, expected {expect}; it was thrown away")
    return digest


def _bring(url: str, target: Path, size: int, headers: Mapping[str, str], tell: Tell) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _copy(Path(unquote(parts.path)), target, tell)
    if parts.scheme not in ("http", "https"):
        raise ServiceError(f"cannot download {url}: only http, https and file are understood")
    import httpx

    with httpx.Client(verify=_trust(), follow_redirects=True, timeout=TIMEOUT) as client:
        failures = 0
        while True:
            before = _length(target)
            try:
                return _pull(client, url, target, size, headers, tell)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failures = 1 if _length(target) > before else failures + 1
                fatal = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if fatal or failures >= ATTEMPTS:
                    raise ServiceError(f"cannot download {target.name}: {_worded(error)}") from error
                time.sleep(PAUSE * failures)


def _copy(source: Path, target: Path, tell: Tell) -> None:
    if not source.is_file():
        raise ServiceError(f"cannot copy {source}: there is no such file")
    shutil.copyfile(source, target)
    tell(Downloaded(file=target.name, bytes=_length(target), of=_length(target)))


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _pull(client: httpx.Client, url: str, target: Path, size: int, headers: Mapping[str, str], tell: Tell) -> None:
    import httpx

    have = _length(target)
    if size and have == size:
        return
    if size and have > size:
        target.unlink()
        have = 0
    asked = {**headers, "Accept-Encoding": "identity"}
    if have:
        asked["Range"] = f"bytes={have}-"
    with client.stream("GET", url, headers=asked) as answer:
        if answer.status_code == 416 and have:  # the partial file is not a beginning of what is there now
            target.unlink()
            return _pull(client, url, target, size, headers, tell)
        answer.raise_for_status()
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0
        length = int(answer.headers.get("Content-Length") or 0)
        total = size or (have + length if length else 0)
        step = min(total // STEPS or LONGEST, LONGEST)
        with target.open("ab" if goes_on else "wb") as stream:
            reported = have
            for chunk in answer.iter_bytes():
                stream.write(chunk)
                have += len(chunk)
                if have - reported >= step:
                    reported = have
                    tell(Downloaded(file=target.name, bytes=have, of=max(total, have) if total else 0))
        if have != reported:
            tell(Downloaded(file=target.name, bytes=have, of=max(total, have) if total else 0))
    if size and have < size:
        raise httpx.ReadError(f"the connection closed after {have} of {size} bytes")


def _worded(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the server answered {status}" if status else one_line(error)


def _trust() -> ssl.SSLContext | bool:
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        bundle = os.environ.get(name)
        if bundle and Path(bundle).is_file():
            return ssl.create_default_context(cafile=bundle)
    return True
