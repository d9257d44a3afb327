"""Model folders: what may lie in one, whether its weights are whole, and a fingerprint of what counts.

Reads only headers and small JSON files to inspect; nothing here loads a model, unpickles or executes anything.
"""

from __future__ import annotations

import hashlib
import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from workspace.errors import DataError, ServiceError, StorageError
from workspace.files import MANIFEST, sha256

CODE = frozenset({".py", ".pyc", ".so", ".sh", ".exe", ".dll"})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".msgpack", ".h5", ".npy", ".npz", ".joblib"})
WEIGHTS = ".safetensors"
TEXT = frozenset({".json", ".txt", ".model", ".v3", ".jinja", ".md", ".yaml", ".yml", ".tiktoken", ".license"})
BARE = frozenset({"LICENSE", "LICENCE", "NOTICE", "README"})
CONFIGS = ("config.json", "model_index.json", "adapter_config.json")
_MAX_HEADER = 100_000_000
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def inspect(folder: Path, kind: str | None = None) -> None:
    """Refuse a model folder (or one adapter file) that is unsafe, damaged or incomplete.

    Args:
        folder: The folder, or a single ``.safetensors`` file of adapter weights.
        kind: What kind of model it must be; decides which configuration it needs.

    Raises:
        DataError: One line that names the file and what is wrong with it.
        ServiceError: When there is nothing at that path.
    """
    if folder.is_file():
        _allowed(folder, folder.name)
        if folder.suffix != WEIGHTS:
            raise DataError(f"{folder} is not a .safetensors file")
        check_safetensors(folder)
        return
    if not folder.is_dir():
        raise ServiceError(f"no model folder at {folder}")
    files = contents(folder)
    if not files:
        raise DataError(f"model folder {folder} is empty")
    for file in files:
        _allowed(file, str(file.relative_to(folder)))
    weights = [file for file in files if file.suffix == WEIGHTS]
    if kind != "adapter":
        needed = CONFIGS if kind is None else ("model_index.json",) if kind == "painter" else ("config.json",)
        if not any((folder / name).is_file() for name in needed):
            raise DataError(f"model folder {folder} has no {' or '.join(needed)}")
    if not weights:
        raise DataError(f"model folder {folder} holds no .safetensors weights")
    for file in files:
        if file.suffix == WEIGHTS:
            check_safetensors(file)
        elif file.suffix == ".json":
            _check_json(file)


def contents(folder: Path) -> list[Path]:
    """List the files of a model folder in a stable order; hidden ones, which no loader reads, are left out."""
    try:
        found = [
            path
            for path in folder.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(folder).parts) and not path.is_dir()
        ]
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror}") from error
    return sorted(found)


def _allowed(file: Path, shown: str) -> None:
    suffix = file.suffix.lower()
    if suffix in CODE:
        raise DataError(f"model file {shown} holds code, which is never run", hint=f"remove it from {file.parent}")
    if suffix in PICKLES:
        why = "may run code when loaded; only .safetensors weights are taken"
        raise DataError(f"model file {shown} {why}", hint=f"it lies in {file.parent}")
    if file.suffix != WEIGHTS and suffix not in TEXT and file.name.split(".")[0].upper() not in BARE:
        why = "is neither safetensors, tokenizer nor configuration"
        raise DataError(f"model file {shown} {why}", hint=f"it lies in {file.parent}")
    if not file.is_file():
        raise DataError(f"model file {shown} is missing (a broken link)")


def check_safetensors(file: Path) -> dict[str, Any]:
    """Read a safetensors header and hold it against the file's length.

    Returns:
        The header: tensor name to ``dtype``, ``shape`` and ``data_offsets``.

    Raises:
        DataError: When it is something else under that name, or cut short, or damaged.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            raw = stream.read(length) if length <= min(size, _MAX_HEADER) else b""
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or head[:4] == b"PK\x03\x04":
        raise DataError(f"{file} is a pickle, not safetensors, whatever its name says")
    if length < 2 or length > _MAX_HEADER or size < 8 + length:
        raise DataError(f"{file} is damaged or cut short: no whole safetensors header in {size} bytes")
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise DataError(f"{file} is no safetensors file: its header does not parse") from error
    if not isinstance(header, dict):
        raise DataError(f"{file} is no safetensors file: its header is not a table")
    header.pop("__metadata__", None)
    _check_length(file, header, size - 8 - length)
    return header


def _check_length(file: Path, header: dict[str, Any], body: int) -> None:
    end = 0
    for name, tensor in header.items():
        try:
            count = _BITS[tensor["dtype"]]
            for side in tensor["shape"]:
                count *= int(side)
            start, stop = tensor["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file} is damaged: the header entry of {name!r} makes no sense") from error
        if start < 0 or (stop - start) * 8 != count:
            raise DataError(f"{file} is damaged: {name!r} does not fill its place")
        end = max(end, stop)
    if end != body:
        word = "cut short" if end > body else "longer than its header says"
        raise DataError(f"{file} is {word}: {body} bytes of weights, the header says {end}")


def _check_json(file: Path) -> None:
    try:
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON") from error
    if isinstance(data, dict) and data.get("auto_map"):
        raise DataError(
            f"{file} wants code of its own to be run (auto_map); Studio runs no model's code",
            hint="where transformers knows the architecture, take auto_map out of the file",
        )
    if file.name.endswith(".safetensors.index.json"):
        shards = set(data.get("weight_map", {}).values()) if isinstance(data, dict) else set()
        for shard in sorted(shards):
            if not (file.parent / str(shard)).is_file():
                raise DataError(f"{file.name} names {shard}, which is missing from {file.parent}")


def fingerprint(folder: Path) -> str:
    """Name a model by its content: sha256 over every file that can change an answer.

    Weights, configuration and tokenizer count; manifest, licence and read-me do not, so the same model has the same
    fingerprint wherever it lies. A large file's recorded sum is believed while the file is older than the manifest.
    """
    root = folder.resolve()
    files = [root] if root.is_file() else [file for file in contents(root) if _counts(file)]
    if not files:
        raise ServiceError(f"no model at {folder}")
    total = hashlib.sha256()
    for file in files:
        name = file.name if file == root else file.relative_to(root).as_posix()
        total.update(f"{name}\0{_digest(file, root)}\n".encode())
    return total.hexdigest()


def _counts(file: Path) -> bool:
    if file.name == MANIFEST:
        return False
    return file.suffix in {WEIGHTS, ".json", ".txt", ".model", ".v3", ".jinja", ".tiktoken"} and (
        file.name.split(".")[0].upper() not in BARE
    )


def _digest(file: Path, root: Path) -> str:
    try:
        stat = file.stat()
        manifest = root / MANIFEST
        written = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    return _remembered(file, root, stat.st_size, stat.st_mtime_ns, written)


@lru_cache(maxsize=4096)
def _remembered(file: Path, root: Path, size: int, changed: int, written: int) -> str:
    if changed <= written and file != root:
        known = recorded(root).get(file.relative_to(root).as_posix())
        if known:
            return known
    return sha256(file)


def recorded(folder: Path) -> dict[str, str]:
    """Read the sha256 of each file from a folder's manifest; empty when it has none."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    try:
        return {str(name): str(digest) for name, digest in json.loads(manifest.read_bytes())["files"].items()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise DataError(f"{manifest} is damaged") from error
