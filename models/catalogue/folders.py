"""Model folders: what may lie in one, whether its weights are whole, and a fingerprint of what counts.

Reads only headers and small JSON files to inspect; nothing here loads a model, unpickles or executes anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.catalogue.sizes import check_sizes
from models.catalogue.tokenizers import check_tokenizer, slow_on_names
from workspace.errors import DataError, ServiceError, StorageError
from workspace.files import MANIFEST, sha256

CODE = frozenset({".py", ".pyc", ".so", ".sh", ".exe", ".dll"})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".msgpack", ".h5", ".npy", ".npz", ".joblib"})
WEIGHTS = ".safetensors"
TEXT = frozenset({".json", ".txt", ".model", ".v3", ".jinja", ".md", ".yaml", ".yml", ".tiktoken", ".license"})
BARE = frozenset({"LICENSE", "LICENCE", "NOTICE", "README"})
CONFIGS = ("config.json", "model_index.json", "adapter_config.json")
_EYES = "studio-eyes"
_MAX_HEADER = 32_000_000
_MOST_COUNT = 2**62
_MOST_FILES = 10_000
_MOST_PASSED = 64
_SETTLED = 2.0  # seconds
_MOST_JSON = 256_000_000
_MOST_CONFIG = 16_000_000
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


_passed: dict[tuple[Path, str | None, Any], None] = {}
"""Folders, kinds and files as they were when they were found to be in order: a design asks for its models often."""


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
    state = _state(files)
    if state is not None and (folder, kind, state) in _passed:
        return
    for file in files:
        _allowed(file, os.fsencode(file.relative_to(folder)).decode("utf-8", "replace"))
    weights = [file for file in files if file.suffix == WEIGHTS]
    if kind != "adapter":
        needed = CONFIGS if kind is None else ("model_index.json",) if kind == "painter" else ("config.json",)
        if not any((folder / name).is_file() for name in needed):
            raise DataError(f"model folder {folder} has no {' or '.join(needed)}")
    for file in files:
        if kind not in ("adapter", "vision", None) and file.name == "adapter_config.json":
            raise DataError(
                f"model folder {file.parent} holds an adapter_config.json: it is an adapter, not a whole model",
                hint="name its base as the model and this folder as chat.adapter; or take the file out",
            )
    if not weights:
        raise DataError(f"model folder {folder} holds no .safetensors weights")
    headers = {file: check_safetensors(file) for file in weights}
    for file in files:
        if file.suffix == ".json":
            _check_json(file)
    for config in (file for file in files if file.name == "config.json"):
        data = read_json(config)
        if kind == "chat" and config.parent == folder:
            _check_speaks(config, data)
        if beside := [header for file, header in headers.items() if file.parent == config.parent]:
            check_sizes(config, data, beside)
    if state is not None:
        while len(_passed) >= _MOST_PASSED:
            _passed.pop(next(iter(_passed)), None)
        _passed[folder, kind, state] = None


def _state(files: list[Path]) -> tuple[Any, ...] | None:
    """By what a change of a file can be told; nothing where one is so new that it may change and look the same."""
    try:
        stats = [file.stat() for file in files]
    except OSError:
        return None
    if max(one.st_ctime for one in stats) > time.time() - _SETTLED:
        return None
    marks = (
        (str(file), one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino)
        for file, one in zip(files, stats, strict=True)
    )
    return tuple(marks)


def _check_speaks(config: Path, data: Any) -> None:
    family = data.get("model_type")
    if not isinstance(family, str):
        raise DataError(f"{config} names no model_type, so it is no language model's")
    if family == _EYES:
        raise DataError(f"{config.parent} holds eyes for {data.get('base')}, which only the critic looks through")


def contents(folder: Path) -> list[Path]:
    """List the files of a model folder in a stable order; hidden ones, which no loader reads, are left out."""
    found: list[Path] = []

    def broken(error: OSError) -> None:
        raise StorageError(f"cannot read {error.filename or folder}: {error.strerror}") from error

    for path, folders, names in os.walk(folder, onerror=broken):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(path, name) for name in names if not name.startswith(".")]
        if len(found) > _MOST_FILES:
            raise DataError(f"{folder} holds more than {_MOST_FILES} files, which is no model folder")
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
    if not file.exists():
        raise DataError(f"model file {shown} is missing (a broken link)")
    if not file.is_file():
        raise DataError(f"model file {shown} is no plain file", hint=f"it lies in {file.parent}")


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
    pickled = head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or head[:4] == b"PK\x03\x04"
    whole = 2 <= length <= _MAX_HEADER and size >= 8 + length
    if pickled and not (whole and raw[:1] == b"{"):
        raise DataError(f"{file} is a pickle, not safetensors, whatever its name says")
    if not whole:
        raise DataError(f"{file} is damaged or cut short: no whole safetensors header in {size} bytes")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no safetensors file: its header does not parse") from error
    if not isinstance(header, dict):
        raise DataError(f"{file} is no safetensors file: its header is not a table")
    header.pop("__metadata__", None)
    _check_places(file, header, size - 8 - length)
    return header


def _check_places(file: Path, header: dict[str, Any], body: int) -> None:
    """See that the tensors fill the file's body, one after another, without gap or overlap."""
    places = []
    for name, tensor in header.items():
        try:
            count = _BITS[tensor["dtype"]]
            shape, (start, stop) = tensor["shape"], tensor["data_offsets"]
            if not all(type(one) is int and 0 <= one <= _MOST_COUNT for one in (*shape, start, stop)):
                raise ValueError(shape)
            for side in shape:
                count *= side
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file} is damaged: the header entry of {name!r} makes no sense") from error
        if (stop - start) * 8 != count:
            raise DataError(f"{file} is damaged: {name!r} does not fill its place")
        places.append((start, stop, name))
    end = 0
    for start, stop, name in sorted(places):
        if start != end:
            raise DataError(f"{file} is damaged: {name!r} does not begin where the tensor before it ends")
        end = stop
    if end != body:
        word = "cut short" if end > body else "longer than its header says"
        raise DataError(f"{file} is {word}: {body} bytes of weights, the header says {end}")


def _check_json(file: Path) -> None:
    most = _MOST_CONFIG if file.name.endswith("config.json") else _MOST_JSON
    data = read_json(file, most)
    if isinstance(data, dict) and data.get("auto_map"):
        raise DataError(
            f"{file} wants code of its own to be run (auto_map); Studio runs no model's code",
            hint="where transformers knows the architecture, take auto_map out of the file",
        )
    if file.name == "adapter_config.json" and isinstance(data, dict):
        _check_adapter(file, data)
    if file.name == "tokenizer.json" and isinstance(data, dict):
        check_tokenizer(file, data)
    if not isinstance(data, dict) and (file.name in CONFIGS or file.name == "tokenizer.json"):
        raise DataError(f"{file} holds no JSON object")
    if file.name.endswith(".safetensors.index.json"):
        shards = data.get("weight_map") if isinstance(data, dict) else None
        if not isinstance(shards, dict):
            raise DataError(f"{file} has no weight_map, which says in which file each weight lies")
        for shard in sorted({str(name) for name in shards.values()}):
            if Path(shard).name != shard or not shard.endswith(WEIGHTS):
                raise DataError(f"{file.name} names {shard[:60]!r}, which is no {WEIGHTS} file of its folder")
            if not (file.parent / shard).is_file():
                raise DataError(f"{file.name} names {shard}, which is missing from {file.parent}")


def _check_adapter(file: Path, data: dict[str, Any]) -> None:
    """Refuse patterns of layers' names that could take for ever."""
    for field in ("target_modules", "exclude_modules", "layers_pattern", "rank_pattern", "alpha_pattern"):
        held = data.get(field)
        listed = [*held] if isinstance(held, dict) or (isinstance(held, list) and field == "layers_pattern") else [held]
        for pattern in listed:
            if isinstance(pattern, str) and slow_on_names(pattern):
                raise DataError(f"{file}: the pattern {pattern[:60]!r} of {field} could take for ever")


def read_json(file: Path, most: int = _MOST_CONFIG) -> Any:
    """Read a JSON file of at most so many bytes.

    Raises:
        DataError: It is larger, or no JSON.
    """
    try:
        if (size := file.stat().st_size) > most:
            raise DataError(f"{file} has {size} bytes; at most {most} are read")
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON") from error


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
    if file.name in (MANIFEST, "merge.json"):  # the record of a merge tells its seconds
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
