"""Texts advanced equally far, each by itself: what `models.decoder.forks.Fork` is where a batch would be wrong.

Where a batch fills short rows up, a window or a state would count the filling as text. Slower, and right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.decoder.engine import Engine, Tape


class Rows:
    """Texts that are read equally far, each on a tape of its own.

    Args:
        engine: The model that reads.
        rows: How each text begins.
        prefixes: What stands before the texts; they stay as they are.
        follows: For each text the number of its prefix; by default all follow the first.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Sequence[Sequence[int]],
        prefixes: Sequence[Tape] = (),
        follows: Sequence[int] | None = None,
    ) -> None:
        kinds = list(follows or [0] * len(rows))
        self.tapes = [prefixes[kind].copy() if prefixes else Tape(engine) for kind in kinds]
        self.logits = torch.stack([tape.read(row) for tape, row in zip(self.tapes, rows, strict=True)])

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these texts; one that is named several times goes on in as many rows."""
        once: set[int] = set()
        kept = []
        for row in rows:
            kept.append(self.tapes[row].copy() if row in once else self.tapes[row])
            once.add(row)
        self.tapes, self.logits = kept, self.logits[list(rows)]

    def read(self, ids: Sequence[Sequence[int]], *, last: bool = True) -> torch.Tensor:
        """Read equally many tokens for each text.

        Returns:
            The logits after the last token (rows, words), or after every token (rows, tokens, words).
        """
        logits = torch.stack([tape.read_all(row) for tape, row in zip(self.tapes, ids, strict=True)])
        self.logits = logits[:, -1]
        return self.logits if last else logits
