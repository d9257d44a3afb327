"""What a served model takes: its weights, the keys and values of a token, how much it reads; and what is free here.

Reads configurations and file sizes; loads nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.folders import WEIGHTS, check_safetensors, contents, read_json
from workspace.errors import ServiceError
from workspace.progress import amount

MOST_CONTEXT = 8192
"""Tokens of a conversation that are held unless more are asked for."""


@dataclass(frozen=True)
class Shape:
    """What a model's folder says of its size.

    Args:
        kind: Its architecture, as its configuration names it.
        weights: Bytes of its weight files.
        parameters: Numbers in them.
        words: Tokens it knows.
        token: Bytes that a token's keys and values take in 16 bits; 0 where the configuration does not say.
        context: Tokens that it reads at most; 0 where the configuration does not say.
    """

    kind: str
    weights: int
    parameters: int
    words: int
    token: int
    context: int


def shape_of(folder: Path) -> Shape:
    """Read a model folder's size off its configuration and files.

    Raises:
        DataError: The configuration cannot be read.
    """
    config = read_json(folder / "config.json")
    text: dict[str, Any] = config.get("text_config") or config  # a vision model keeps its language model's within
    layers, heads, width = (_whole(text, key) for key in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
    head = _whole(text, "head_dim") or (width // heads if heads else 0)
    groups = _whole(text, "num_key_value_heads") or heads
    files = [file for file in contents(folder) if file.suffix == WEIGHTS]
    return Shape(
        kind=str(config.get("model_type")),
        weights=sum(file.stat().st_size for file in files),
        parameters=sum(math.prod(one["shape"]) for file in files for one in check_safetensors(file).values()),
        words=_whole(text, "vocab_size"),
        token=2 * 2 * layers * groups * head,
        context=_whole(text, "max_position_embeddings"),
    )


def _whole(config: dict[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def free_memory() -> int:
    """Bytes of main memory that a new process can have."""
    import psutil  # type: ignore[import-untyped]

    return int(psutil.virtual_memory().available)


def check_fits(name: str, fixed: int, stream: int, in_flight: int, free: int) -> None:
    """Refuse a model that does not fit beside what else is in memory.

    Args:
        name: The model's.
        fixed: Bytes that it takes however many answers are written at once.
        stream: Bytes that each of them takes besides.
        in_flight: How many are.
        free: Bytes there are.

    Raises:
        ServiceError: It says what is needed, what is free, and how many at once would fit.
    """
    need = fixed + stream * in_flight
    if need <= free:
        return
    room = (free - fixed) // stream if stream and free > fixed else 0
    words = f"{name} needs {amount(need)} of memory for {in_flight} answers at once, and {amount(max(free, 0))} is free"
    raise ServiceError(
        words, hint=f"--in-flight {room} fits, or a smaller --context" if room else "take a smaller model"
    )
