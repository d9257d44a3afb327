"""A model's tensors written as safetensors shards while they come, piece by piece, in an order that is known before.

Knows names, shapes and bytes; not what is in them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SHARD = 2_000_000_000
"""Bytes of a written file, but for a tensor that is larger alone."""


@dataclass(frozen=True)
class Slot:
    """A tensor that is to be written: its name, type as safetensors names it, sides and bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


def shards(slots: Sequence[Slot]) -> list[list[Slot]]:
    """The tensors of each file."""
    found: list[list[Slot]] = [[]]
    size = 0
    for slot in slots:
        if found[-1] and size + slot.size > SHARD:
            found.append([])
            size = 0
        found[-1].append(slot)
        size += slot.size
    return found


class Writer:
    """Appends tensors to the files of a folder, in the order of their slots; writing goes on while the next is made."""

    def __init__(self, folder: Path, files: Sequence[Sequence[Slot]], ahead: ThreadPoolExecutor) -> None:
        self._folder, self._ahead = folder, ahead
        self._files = [(_name(number, len(files)), list(file)) for number, file in enumerate(files, 1)]
        self._coming: list[Future[None]] = []
        self._handle: Any = None

    def tensors(self) -> Iterator[Slot]:
        """Every slot in turn, each file opened before its first one and closed after its last."""
        for name, slots in self._files:
            with (self._folder / name).open("wb") as self._handle:
                self._handle.write(_header(slots))
                yield from slots
                self._settle(0)

    def add(self, piece: Tensor) -> None:
        """Append a flat piece; its memory must stay as it is until two more have been added."""
        import torch

        self._settle(1)
        self._coming.append(self._ahead.submit(_append, self._handle, piece.view(torch.uint8).numpy().data))

    def _settle(self, left: int) -> None:
        while len(self._coming) > left:
            self._coming.pop(0).result()

    def close(self) -> None:
        """Write the index of several files."""
        if len(self._files) > 1:
            placed = {slot.name: name for name, slots in self._files for slot in slots}
            total = sum(slot.size for _, slots in self._files for slot in slots)
            index = {"metadata": {"total_size": total}, "weight_map": placed}
            path = self._folder / "model.safetensors.index.json"
            path.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


@contextmanager
def writer(folder: Path, files: Sequence[Sequence[Slot]]) -> Iterator[Writer]:
    """Write tensors into a folder; nothing is in flight afterwards.

    Raises:
        OSError: The disk says no.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as ahead:
        made = Writer(folder, files, ahead)
        yield made
        made.close()


def _append(handle: Any, data: memoryview) -> None:
    handle.write(data)


def _name(number: int, many: int) -> str:
    return "model.safetensors" if many == 1 else f"model-{number:05d}-of-{many:05d}.safetensors"


def _header(slots: Sequence[Slot]) -> bytes:
    table: dict[str, Mapping[str, Any]] = {"__metadata__": {"format": "pt"}}
    start = 0
    for slot in slots:
        table[slot.name] = {"dtype": slot.dtype, "shape": slot.shape, "data_offsets": (start, start + slot.size)}
        start += slot.size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
