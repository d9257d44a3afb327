"""The tensors of model folders, read from their safetensors piece by piece: no file is ever held whole.

Knows files and names of tensors, heads that are tied to the embeddings too; not what is made of the tensors.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.catalogue.folders import check_safetensors, read_json
from training.merging.parents import config_of
from workspace.errors import DataError, StorageError

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
BLOCK = 1 << 20
"""Elements that are read, merged and written at a time."""
FLOATS = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}
_PLAIN = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_TORCH = {
    "BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_INDEX = "model.safetensors.index.json"
_COMPUTED = "rotary_emb.inv_freq"  # old files hold what every loader computes anew


@dataclass(frozen=True)
class Held:
    """Where a tensor lies.

    Attributes:
        file: The safetensors file.
        start: Its first byte there.
        dtype: As the file names it.
        shape: Its sides.
    """

    file: Path
    start: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """How many elements it has."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return FLOATS.get(self.dtype) or _PLAIN[self.dtype]

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers; others are counters and masks, which are never merged."""
        return self.dtype in FLOATS


Tensors = Mapping[str, Held]


def tensors_of(folder: Path) -> dict[str, Held]:
    """Every tensor of a model folder, by name, in the files' order.

    Raises:
        DataError: There are none, or of a type that holds quantised weights, or a file is damaged.
    """
    found: dict[str, Held] = {}
    placed: Mapping[str, str] | None = None
    if (folder / _INDEX).is_file():
        placed = read_json(folder / _INDEX)["weight_map"]
        files = [folder / name for name in sorted(set(placed.values()))]
    else:
        alone = folder / "model.safetensors"
        files = [alone] if alone.is_file() else sorted(folder.glob("*.safetensors"))
    for file in files:
        header = check_safetensors(file)
        with file.open("rb") as opened:
            body = 8 + int(struct.unpack("<Q", opened.read(8))[0])
        for name, entry in sorted(header.items(), key=lambda pair: pair[1]["data_offsets"][0]):
            if name.endswith(_COMPUTED) or (placed is not None and placed.get(name) != file.name):
                continue
            if entry["dtype"] not in _TORCH:
                raise DataError(
                    f"{folder.name} holds {name} as {entry['dtype']}; weights of 16, 32 or 64 bits are merged",
                    hint="name the model that it was made from",
                )
            found[name] = Held(file, body + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
    for name, file_name in (placed or {}).items():
        if name not in found and not name.endswith(_COMPUTED):
            raise DataError(f"{folder.name} names {name} in {_INDEX}, and {file_name} does not hold it")
    if not found:
        raise DataError(f"{folder} holds no weights")
    return found


def tied(folder: Path, tensors: Tensors) -> bool:
    """Whether a model's output layer is its embeddings, whatever copy of them lies in its files."""
    config = config_of(folder)
    inner = config.get("text_config")
    said = config.get("tie_word_embeddings", inner.get("tie_word_embeddings") if isinstance(inner, dict) else None)
    return HEAD not in tensors or bool(said)


def aligned(folders: Sequence[Path], names: Sequence[str]) -> tuple[list[dict[str, Held]], bool]:
    """The tensors of several models under the same names.

    Where one model has an output layer of its own and another's is tied to its embeddings, the tied one counts with
    its embeddings, and the merge has an output layer of its own.

    Args:
        folders: Of the models.
        names: What they are called, for errors.

    Returns:
        Every model's tensors, in the first one's order, and whether the merge is untied where a parent is tied.

    Raises:
        DataError: One of them lacks a tensor that another has.
    """
    held = [tensors_of(folder) for folder in folders]
    ties = [tied(folder, tensors) for folder, tensors in zip(folders, held, strict=True)]
    for tensors, is_tied in zip(held, ties, strict=True):
        if is_tied:
            tensors.pop(HEAD, None)
            if not all(ties) and EMBEDDINGS in tensors:
                tensors[HEAD] = tensors[EMBEDDINGS]
    for name, tensors in zip(names[1:], held[1:], strict=True):
        for one, other, here, there in ((names[0], name, held[0], tensors), (name, names[0], tensors, held[0])):
            if absent := [key for key in here if key not in there]:
                more = f" and {len(absent) - 1} more" if absent[1:] else ""
                raise DataError(f"{one} has {absent[0]}{more}, which {other} lacks: they cannot be merged")
    return held, any(ties) and not all(ties)


@dataclass(frozen=True)
class Piece:
    """A stretch of the same tensor of several models."""

    name: str
    held: tuple[Held, ...]
    start: int
    count: int

    @property
    def bytes(self) -> int:
        """How many are read."""
        return self.count * sum(held.width for held in self.held)


def pieces(models: Sequence[Tensors], names: Iterable[str]) -> Iterator[Piece]:
    """All tensors of those names in pieces, one tensor after another."""
    for name in names:
        held = tuple(model[name] for model in models)
        for start in range(0, held[0].numel, BLOCK):
            yield Piece(name, held, start, min(BLOCK, held[0].numel - start))


def stream(wanted: Iterable[Piece]) -> Iterator[tuple[Piece, list[Tensor]]]:
    """Read pieces, each while the one before is worked on.

    Yields:
        The piece and its models' elements, flat, of the files' own types. They hold until the next one is asked for.

    Raises:
        DataError: A file is shorter than it was.
        StorageError: The disk says no.
    """
    with ExitStack() as files, ThreadPoolExecutor(1) as ahead:
        reader = _Reader(files)
        coming = None
        for number, piece in enumerate(wanted):
            before, coming = coming, (piece, ahead.submit(reader.read, piece, number % 2))
            if before is not None:
                yield before[0], before[1].result()
        if coming is not None:
            yield coming[0], coming[1].result()


class _Reader:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[Path, Any] = {}
        self._room: dict[tuple[int, int], Tensor] = {}

    def read(self, piece: Piece, turn: int) -> list[Tensor]:
        import torch

        found = []
        for number, held in enumerate(piece.held):
            need = piece.count * held.width
            room = self._room.get((turn, number))
            if room is None or room.numel() < need:
                room = self._room[turn, number] = torch.empty(need, dtype=torch.uint8)
            self._fill(room.numpy().data[:need], replace(held, start=held.start + piece.start * held.width))
            found.append(room[:need].view(getattr(torch, _TORCH[held.dtype])))
        return found

    def _fill(self, room: memoryview, held: Held) -> None:
        try:
            if held.file not in self._open:
                self._open[held.file] = self._stack.enter_context(held.file.open("rb", buffering=0))
            done = 0
            while done < len(room):
                got = os.preadv(self._open[held.file].fileno(), [room[done:]], held.start + done)
                if not got:
                    raise DataError(f"{held.file} is shorter than it was when it was opened")
                done += got
        except OSError as fault:
            raise StorageError(f"cannot read {held.file}: {fault.strerror}") from fault


def read_whole(held: Sequence[Held]) -> list[Tensor]:
    """The same tensor of several models, whole and flat, in memory of their own."""
    with ExitStack() as stack:
        return _Reader(stack).read(Piece("", tuple(held), 0, held[0].numel), 0)
