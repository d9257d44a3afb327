"""Models of strangers, read by libraries: whatever goes wrong is one line, and weights that match in part are refused.

Knows folders and what libraries say of loading; no library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workspace.errors import DataError, StudioError, one_line

_NEVER_LEARNED = re.compile(r"(rotary_emb\.inv_freq|position_ids|masked_bias|attn\.bias|attention\.bias)$")
_WORDS = {"missing_keys": "lack", "mismatched_keys": "have in other shapes", "unexpected_keys": "add"}


def check_count(folder: Path, count: int) -> None:
    """Refuse an architecture of far more numbers than the weight files hold, built without memory for them.

    Args:
        folder: The model's folder.
        count: How many numbers the architecture has.
    """
    held = sum(2 * file.stat().st_size for file in folder.glob("*.safetensors"))
    if count > 2 * held:
        raise DataError(f"{folder / 'config.json'} describes {count:,} numbers, its weight files hold {held:,} at most")


def check_loaded(found: Mapping[str, Any], where: Path) -> None:
    """Refuse a model that its weights do not fill, or that leaves some of them over.

    Args:
        found: What ``from_pretrained(..., output_loading_info=True)`` says; what a library knows to be harmless is not
            in it.
        where: The folder, for the error.

    Raises:
        DataError: Weights are missing, left over or of another shape; some are named.
    """
    said = []
    for kind, word in (
        ("missing_keys", "lack"),
        ("mismatched_keys", "have in other shapes"),
        ("unexpected_keys", "add"),
    ):
        keys = sorted(key if isinstance(key, str) else str(key[0]) for key in found.get(kind, ()))
        if kind == "unexpected_keys":
            keys = [key for key in keys if not _NEVER_LEARNED.search(key)]
        if keys:
            said.append(f"{word} {', '.join(map(repr, keys[:3]))}{f' and {len(keys) - 3} more' if keys[3:] else ''}")
    if said:
        raise DataError(f"the weights in {where} are not those of its architecture: they {'; they '.join(said)}")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a library raises over a stranger's file into a `DataError`.

    A library that is handed a hostile folder raises what it likes, from a wrong type to too little memory.
    """
    try:
        yield
    except StudioError:
        raise
    except Exception as fault:
        raise DataError(f"cannot read {what}: {one_line(fault)}") from fault
