"""What a text must not say again: every run of so many tokens that stands in given texts. Knows token ids only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Runs:
    """The runs of ``size`` tokens in some texts; a size of 0 knows none.

    Args:
        texts: Token ids of each text.
        size: Length of a run.
    """

    def __init__(self, texts: Iterable[Sequence[int]], size: int) -> None:
        self.size = size
        self._next: dict[tuple[int, ...], set[int]] = {}
        for ids in texts:
            for end in range(size, len(ids) + 1) if size else ():
                self.add(ids[:end])

    def add(self, ids: Sequence[int]) -> None:
        """Know the last run of ``ids`` too."""
        if self.size and len(ids) >= self.size:
            run = tuple(ids[-self.size :])
            self._next.setdefault(run[:-1], set()).add(run[-1])

    def after(self, ids: Sequence[int]) -> list[int]:
        """The tokens that would end a known run, in order."""
        if not self.size or len(ids) < self.size - 1:
            return []
        return sorted(self._next.get(tuple(ids[len(ids) - self.size + 1 :]), ()))
