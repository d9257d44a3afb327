"""Tokenised rows, kept: a stage that is resumed or repeated does not tokenise again.

Each set lies in a folder named after all that made it, the tokenizer and its chat template among it, and appears whole
or not at all; what SFT's trainer makes of it (packed rows) it keeps beside it. A set may be removed at any time. Knows
what rows are made of; not how.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.language import ranks
from training.language.arguments import Arguments
from training.language.rows import Row, digest
from training.language.tokens.encoded import Lengths
from workspace.files import publish, sha256

_MADE_BY = 4  # raise it when the same rows become other tokens
_ARGUMENTS = ("max_length", "max_prompt_length", "assistant_only_loss")
_TOKENIZER = ("tokenizer*", "*token*.json", "vocab*", "merges.txt", "*.model", "*.tiktoken", "chat_template*")


def key_of(base: Path, template: str | None, rows: Sequence[Row], kind: str, args: Arguments) -> str:
    """What tells tokenised rows from any other.

    Args:
        base: Folder with the tokenizer's files.
        template: The chat template that is used.
        rows: The rows.
        kind: The stage's kind.
        args: Its arguments, of which few matter.
    """
    files = {path for pattern in _TOKENIZER for path in base.glob(pattern) if path.is_file()}
    depends = {
        "made by": _MADE_BY,
        "tokenizer": {path.name: sha256(path) for path in sorted(files)},
        "template": template,
        "rows": digest(rows),
        "kind": kind,
        "args": {name: getattr(args, name) for name in _ARGUMENTS},
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:32]


def kept(folder: Path, make: Callable[[], tuple[Any, Lengths]]) -> tuple[Any, Lengths]:
    """Rows as ``make`` makes them, read from ``folder`` where they are there, and put there where they are not.

    Of several processes the first one makes them.
    """
    from datasets import load_from_disk

    if ranks.first() and not folder.is_dir():
        _put(folder, *make())
    ranks.wait()
    if not folder.is_dir():  # a machine that does not share the first one's disk
        return make()
    sizes = json.loads((folder / "lengths.json").read_text(encoding="utf-8"))
    return load_from_disk(folder / "rows"), Lengths(**sizes)


def _put(folder: Path, rows: Any, sizes: Lengths) -> None:
    def lay(staged: Path) -> None:
        rows.save_to_disk(staged / "rows")
        (staged / "lengths.json").write_text(json.dumps(asdict(sizes)) + "\n", encoding="utf-8")

    publish(folder, lay)
