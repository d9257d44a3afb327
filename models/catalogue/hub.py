"""Models from the hub: resolve a revision, take only the files wanted, prove each by what the hub records of it.

Uses huggingface_hub for addresses, identity and permissions; the bytes come by our own resumable download.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from models.catalogue.download import download
from models.catalogue.folders import TEXT, WEIGHTS
from models.catalogue.lock import Pin
from models.catalogue.room import from_hub
from models.catalogue.table import Model
from workspace.errors import DataError, ServiceError, one_line
from workspace.progress import Progress, Tell, waiting

if TYPE_CHECKING:
    from huggingface_hub import HfApi

OFFLINE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file as the hub lists it: its name, length if told, and its sha256 or, for small ones, git blob id."""

    name: str
    size: int | None
    sha256: str | None
    blob: str | None


def fetch_files(model: Model, models: Path, partial: Path, pin: Pin | None, tell: Tell) -> Pin:
    """Bring a model's files into ``partial/files``.

    Args:
        model: The catalogue row.
        models: The folder of fetched models.
        partial: Where unfinished downloads are kept.
        pin: What was fetched before, whose revision and sums are binding.
        tell: Called with a `Remark` on how much it is, then with `Downloaded`, whose bytes are those of all files.

    Returns:
        The commit and the sha256 of each file.
    """
    api = _api()
    with waiting(f"asking the hub for {model.hub}"):
        revision, files = _listing(api, model, pin.revision if pin else None)
    known = all(file.size is not None for file in files)
    total, before = sum(file.size or 0 for file in files) if known else 0, 0
    have = sum(_length(partial / "files" / file.name) for file in files)
    from_hub(model, total if known else None, len(files), have, models, tell)
    sums: dict[str, str] = {}
    for file in files:
        target = partial / "files" / file.name
        expect = pin.files.get(file.name) if pin else None
        sums[file.name] = _bring(
            api, model, revision, file, target, expect or file.sha256, _among(tell, file.name, before, total)
        )
        before += file.size or _length(target)
    if pin and (lost := sorted(set(pin.files) - {file.name for file in files})):
        raise DataError(f"{model.hub} at {revision[:12]} no longer holds {', '.join(lost)}, which the lock file names")
    return Pin(source="hub", origin=str(model.hub), revision=revision, files=sums)


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _among(tell: Tell, name: str, before: int, total: int) -> Tell:
    """Tell of one file of several: its bytes after those ``before`` it, of the ``total`` of all."""

    def counted(event: Progress) -> None:
        if event.type == "downloaded":
            event = event.model_copy(update={"file": name, "bytes": before + event.bytes, "of": total})
        tell(event)

    return counted


def wanted(model: Model, name: str) -> bool:
    """Say whether a repository's file belongs to the model and is of a kind that is taken at all."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or any(part.startswith(".") for part in path.parts):
        return False
    if path.suffix != WEIGHTS and path.suffix.lower() not in TEXT:
        return False
    for pattern in model.hub_files:
        parts = pattern.split("/")
        if len(parts) == len(path.parts) and all(map(fnmatchcase, path.parts, parts)):
            return True
    return False


def _api() -> HfApi:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFFLINE:
        raise ServiceError("the model hub is switched off", hint="unset HF_HUB_OFFLINE, or name a local folder")
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def _listing(api: HfApi, model: Model, revision: str | None) -> tuple[str, list[HubFile]]:
    from huggingface_hub import errors

    repository = str(model.hub)
    try:
        info = api.model_info(repository, revision=revision, files_metadata=True, timeout=30)
        if info.gated or model.gated:
            api.auth_check(repository)
    except errors.GatedRepoError as error:
        raise _gated(api, model) from error
    except errors.RevisionNotFoundError as error:
        raise ServiceError(f"the hub no longer has revision {revision} of {repository}") from error
    except errors.RepositoryNotFoundError as error:
        if model.gated:
            raise _gated(api, model) from error
        raise ServiceError(
            f"the hub has no repository {repository}, or it is private", hint="set HF_TOKEN if you have access"
        ) from error
    except (errors.OfflineModeIsEnabled, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise ServiceError(f"the model hub does not answer for {repository}: {one_line(error)}") from error
    files = [_row(sibling) for sibling in info.siblings or [] if wanted(model, sibling.rfilename)]
    if not any(file.name.endswith(WEIGHTS) for file in files):
        raise DataError(f"{repository} holds no safetensors weights; other formats are not taken")
    return str(info.sha), sorted(files, key=lambda file: (file.name.endswith(WEIGHTS), file.name))


def _row(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    return HubFile(sibling.rfilename, sibling.size, lfs.sha256 if lfs else None, sibling.blob_id)


def _gated(api: HfApi, model: Model) -> ServiceError:
    return ServiceError(
        f"{model.id} is gated: its licence ({model.licence}) has not been accepted with this account",
        hint=f"accept it at {api.endpoint}/{model.hub}, then set HF_TOKEN to a token of that account",
    )


def _bring(api: HfApi, model: Model, revision: str, file: HubFile, target: Path, expect: str | None, tell: Tell) -> str:
    from huggingface_hub import get_token, hf_hub_url

    url = hf_hub_url(str(model.hub), file.name, revision=revision, endpoint=api.endpoint)
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    found = download(url, target, expect=expect, size=file.size or 0, headers=headers, tell=tell)
    if expect is None and file.blob:
        data = target.read_bytes()
        if hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() != file.blob:
            target.unlink()
            raise DataError(f"{file.name} of {model.hub} is not what the hub lists; it was thrown away")
    return found
