"""Tensors on their way from safetensors to GGUF: where each lies, how it is stored, and in which order its rows go.

A few megabytes are held at a time, whatever the size of the model. Knows no architecture and no tokenizer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from models.catalogue.folders import check_safetensors, read_json
from workspace.errors import DataError, StorageError

Precision = Literal["f32", "f16", "bf16", "q8_0"]
"""How the numbers of a model's matrices are stored; vectors are always 32-bit."""

BLOCK = 1 << 18
"""Numbers that are read, converted and written at a time."""
ALIGNMENT = 32
"""Bytes; every tensor of a GGUF file begins at a multiple of them."""
_INDEX = "model.safetensors.index.json"
_COMPUTED = "rotary_emb.inv_freq"  # old files hold what every loader computes anew
_READ = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
_LARGEST = {"F32": math.inf, "F16": 65504.0, "BF16": 3.389e38, "Q8_0": 65504.0 * 127}
_BLOCKS = {"F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "Q8_0": (32, 34)}  # numbers and bytes of a block


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


@dataclass(frozen=True)
class Laid:
    """A tensor as a GGUF file holds it.

    Attributes:
        name: Its name there.
        source: Where it comes from, or the numbers themselves.
        kind: How its numbers are stored: F32, F16, BF16 or Q8_0.
        head: Rows of an attention head whose two halves are interleaved; 0 keeps the order of the rows. llama.cpp
            turns neighbouring rows of a head against each other where transformers turns its two halves.
        scale: What the numbers are multiplied by.
    """

    name: str
    source: Held | NDArray[np.float32]
    kind: str
    head: int = 0
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sides, the longest step in memory first."""
        return tuple(self.source.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of it in the file, without what fills up to the next tensor."""
        numbers, size = _BLOCKS[self.kind]
        return math.prod(self.shape) // numbers * size


def held_in(folder: Path, alone: str = "model.safetensors") -> dict[str, Held]:
    """Every tensor of a model folder by name.

    Args:
        folder: The folder.
        alone: The file that holds them all where there is no index.

    Raises:
        DataError: There are none, one is of a type that holds quantised weights, or a file is damaged.
    """
    found: dict[str, Held] = {}
    placed: dict[str, str] | None = None
    if (folder / _INDEX).is_file():
        placed = read_json(folder / _INDEX)["weight_map"]
        files = [folder / name for name in sorted(set(placed.values()))]
    else:
        files = [folder / alone]
    for file in files:
        if not file.is_file():
            raise DataError(f"{folder} has no {file.name}")
        header = check_safetensors(file)
        with file.open("rb") as opened:
            body = 8 + int(struct.unpack("<Q", opened.read(8))[0])
        for name, entry in header.items():
            if name.endswith(_COMPUTED) or (placed is not None and placed.get(name) != file.name):
                continue
            if entry["dtype"] not in _READ:
                raise DataError(
                    f"{folder.name} holds {name} as {entry['dtype']}; weights of 16, 32 or 64 bits are written as GGUF",
                    hint="name the model that it was made from",
                )
            found[name] = Held(file, body + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
    for name, file_name in (placed or {}).items():
        if name not in found and not name.endswith(_COMPUTED):
            raise DataError(f"{folder.name} names {name} in {_INDEX}, and {file_name} does not hold it")
    if not found:
        raise DataError(f"{folder} holds no weights")
    return found


def kind_of(shape: Sequence[int], precision: Precision) -> str:
    """How a tensor is stored: vectors as F32; matrices as asked, or as F16 where Q8_0 does not divide their rows."""
    if len(shape) < 2:
        return "F32"
    kind = precision.upper()
    return kind if shape[-1] % _BLOCKS[kind][0] == 0 else "F16"


def same(one: Held, other: Held) -> bool:
    """Whether two tensors hold the same bytes."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    pairs = zip(_pieces(one, BLOCK), _pieces(other, BLOCK), strict=True)
    return all(np.array_equal(left.view(np.uint8), right.view(np.uint8)) for left, right in pairs)


def append(file: BinaryIO, tensors: Sequence[Laid]) -> None:
    """Write tensors after the header of a GGUF file, in order, each where the header says that it begins.

    Raises:
        DataError: A number is none, or too large for how it is to be stored; or a file is shorter than it was.
    """
    for tensor in tensors:
        file.write(bytes(-file.tell() % ALIGNMENT))
        start = file.tell()
        for block in _blocks(tensor):
            file.write(block.tobytes())
        if file.tell() - start != tensor.nbytes:
            raise StorageError(f"{tensor.name} took {file.tell() - start} bytes where {tensor.nbytes} were meant")
    file.write(bytes(-file.tell() % ALIGNMENT))


def _blocks(tensor: Laid) -> Iterator[NDArray[Any]]:
    source, width = tensor.source, math.prod(tensor.shape[1:])
    rows = max(1, BLOCK // max(1, width))
    if tensor.head:
        rows = max(1, rows // tensor.head) * tensor.head
    for raw in _pieces(source, rows * width) if isinstance(source, Held) else iter([source]):
        values = _wide(raw, source.dtype if isinstance(source, Held) else "F32", tensor.scale)
        if not np.isfinite(values).all():
            raise DataError(f"{_where(tensor)} holds a number that is none (infinite or NaN)")
        yield _stored(_interleaved(values.reshape(-1, width), tensor.head), tensor)


def _interleaved(rows: NDArray[np.float32], head: int) -> NDArray[np.float32]:
    if not head:
        return rows
    return rows.reshape(-1, 2, head // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _pieces(held: Held, count: int) -> Iterator[NDArray[Any]]:
    """The numbers of a tensor in its file's own type, flat, so many at a time."""
    dtype = np.dtype(_READ[held.dtype])
    total = math.prod(held.shape)
    try:
        with held.file.open("rb") as file:
            file.seek(held.start)
            for start in range(0, total, count):
                wanted = min(count, total - start)
                found = np.fromfile(file, dtype, wanted)
                if len(found) != wanted:
                    raise DataError(f"{held.file} is shorter than it was when it was opened")
                yield found
    except OSError as fault:
        raise StorageError(f"cannot read {held.file}: {fault.strerror}") from fault


def _wide(raw: NDArray[Any], dtype: str, scale: float) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        wide = (raw.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else raw.astype(np.float32)
        return wide if scale == 1.0 else wide * np.float32(scale)


def _stored(values: NDArray[np.float32], tensor: Laid) -> NDArray[Any]:
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    largest = float(np.abs(values).max(initial=0.0))
    if largest > _LARGEST[tensor.kind]:
        raise DataError(f"{_where(tensor)} holds {largest:g}, which {tensor.kind} cannot", hint="write it as f32")
    return np.asarray(quantize(values.reshape(1, -1), GGMLQuantizationType[tensor.kind]))


def _where(tensor: Laid) -> str:
    source = tensor.source
    return f"{tensor.name} of {source.file.parent.name}" if isinstance(source, Held) else tensor.name
