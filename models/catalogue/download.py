"""One download: a URL to a file, in pieces that an interruption does not lose, proved by sha256.

Knows HTTP ranges and ``file:`` URLs; knows nothing of models, indexes or hubs.
"""

from __future__ import annotations

import os
import shutil
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from workspace.errors import DataError, ServiceError
from workspace.files import disk, sha256

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]
ATTEMPTS = 5
PAUSE = 0.5
TIMEOUT = 60.0


def quiet(what: str, done: int, total: int) -> None:
    """Take progress and show nothing."""


def download(
    url: str,
    target: Path,
    *,
    expect: str | None = None,
    size: int = 0,
    headers: Mapping[str, str] | None = None,
    progress: Progress = quiet,
) -> str:
    """Bring ``url`` to ``target``, going on from what an earlier attempt left there.

    Args:
        url: An ``http``, ``https`` or ``file`` URL.
        target: Where it goes; a partial file there is continued.
        expect: The sha256 it must have.
        size: Its length if known, for progress and to tell a whole file from a partial one.
        headers: Sent with each request to the first host.
        progress: Called with the file's name, bytes so far and bytes in all.

    Returns:
        The sha256 of the file.

    Raises:
        ServiceError: When the server refuses or the connection fails for good.
        DataError: When the bytes are not the expected ones (the file is removed).
        StorageError: When the disk says no.
    """
    resumed = target.exists()
    with disk(target):
        _bring(url, target, size, headers or {}, progress)
        digest = sha256(target)
        if expect and digest != expect and resumed:
            target.unlink()
            _bring(url, target, size, headers or {}, progress)
            digest = sha256(target)
        if expect and digest != expect:
            target.unlink()
    if expect and digest != expect:
        raise DataError(f"{target.name} arrived with sha256 {digest}, expected {expect}; it was thrown away")
    return digest


def _bring(url: str, target: Path, size: int, headers: Mapping[str, str], progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _copy(Path(unquote(parts.path)), target, progress)
    if parts.scheme not in ("http", "https"):
        raise ServiceError(f"cannot download {url}: only http, https and file are understood")
    import httpx

    with httpx.Client(verify=_trust(), follow_redirects=True, timeout=TIMEOUT) as client:
        failures = 0
        while True:
            before = _length(target)
            try:
                return _pull(client, url, target, size, headers, progress)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failures = 1 if _length(target) > before else failures + 1
                fatal = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if fatal or failures >= ATTEMPTS:
                    raise ServiceError(f"cannot download {target.name}: {_worded(error)}") from error
                time.sleep(PAUSE * failures)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    if not source.is_file():
        raise ServiceError(f"cannot copy {source}: there is no such file")
    shutil.copyfile(source, target)
    progress(target.name, _length(target), _length(target))


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _pull(
    client: httpx.Client, url: str, target: Path, size: int, headers: Mapping[str, str], progress: Progress
) -> None:
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
            return _pull(client, url, target, size, headers, progress)
        answer.raise_for_status()
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0
        total = size or have + int(answer.headers.get("Content-Length") or 0)
        with target.open("ab" if goes_on else "wb") as stream:
            for chunk in answer.iter_bytes():
                stream.write(chunk)
                have += len(chunk)
                progress(target.name, have, max(total, have))
    if size and have < size:
        raise httpx.ReadError(f"the connection closed after {have} of {size} bytes")


def _worded(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the server answered {status}" if status else (str(error) or type(error).__name__)


def _trust() -> ssl.SSLContext | bool:
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        bundle = os.environ.get(name)
        if bundle and Path(bundle).is_file():
            return ssl.create_default_context(cafile=bundle)
    return True
