"""What a configuration says against what the weight files hold, before anything is built.

A configuration may ask for any number of layers or words; only as many as the files' headers hold are believed. Reads
no files itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workspace.errors import DataError

_LAYERS = re.compile(r"(^|_)(layers|blocks|n_layer|depth)$")
_SIDES = re.compile(r"size|dim|width|heads|experts|embd|inner|rank|state|channels|hidden|_kv$|d_model|d_ff")
_MOST_PLACES = 100_000_000
_DEPTH = 20
_MOST_EXPERTS = 10_000
_FREE_LAYERS = 1_000
_FREE = 100_000
"""Numbers up to which nothing is asked: sizes that are no side of a weight, such as a picture's or a window's."""


def check_sizes(config: Path, data: Any, headers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a configuration that describes more than the weights beside it can hold.

    Args:
        config: The configuration's file, for the error.
        data: What is in it.
        headers: Of the weight files.

    Raises:
        DataError: A number of layers, a side or a length is beyond what there is.
    """
    tensors = sum(map(len, headers))
    places = [entry["data_offsets"] for header in headers for entry in header.values()]
    numbers = sum(2 * (stop - start) for start, stop in places)  # of four bits at the least
    if numbers == 0:
        raise DataError(f"the weight files in {config.parent} hold no weights")
    for trail, value in _numbers(data):
        key = trail.rsplit(".", 1)[-1]
        most = None
        if _LAYERS.search(key):
            most = max(tensors, _FREE_LAYERS)
        elif key == "num_labels":
            most = _FREE
        elif "experts" in key:
            most = _MOST_EXPERTS
        elif "position" in key or "length" in key or "max_seq" in key:
            most = _MOST_PLACES
        elif _SIDES.search(key) or key == "vocab_size":
            most = max(numbers, _FREE)
        if most is not None and value > most:
            raise DataError(
                f"{config}: {trail} is {value:,}; its weight files hold {tensors:,} weights of at most {numbers:,} "
                f"numbers together, so at most {most:,} are taken"
            )
        if value < 0 and (_LAYERS.search(key) or key in ("vocab_size", "hidden_size", "num_attention_heads")):
            raise DataError(f"{config}: {trail} is {value}")


def _numbers(data: Any, trail: str = "") -> Iterator[tuple[str, float]]:
    if trail.count(".") > _DEPTH:
        return
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _numbers(value, f"{trail}.{key}" if trail else str(key))
    elif isinstance(data, list):
        for value in data[:1000]:
            yield from _numbers(value, f"{trail}.")
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield trail.rstrip("."), data
