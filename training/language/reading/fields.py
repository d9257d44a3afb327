"""One row's fields: those that are taken, those that forbid the row, those that are left over and have to be named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workspace.errors import DataError

_MEDIA = "pictures, sound and video are not learned by a language model; remove the rows that have them"
_TOOLS = "calls of tools are not learned; remove these rows, or write the calls as text of the answer"
_THOUGHT = "write it into the content where the model is to learn it, as <think>...</think>, or remove the field"
FORBIDDEN: Mapping[str, str] = {
    **dict.fromkeys(("image", "images", "audio", "audios", "video", "videos", "pixel_values"), _MEDIA),
    **dict.fromkeys(("tools", "functions", "tool_calls", "function_call", "tool_call_id"), _TOOLS),
    **dict.fromkeys(("reasoning_content", "reasoning", "thinking"), _THOUGHT),
}
"""Fields without which a row would say something else, and what to do about them."""

EMPTY: tuple[Any, ...] = (None, "", [], {}, "[]", "{}")


class Fields:
    """The fields of a row or a message, each taken at most once. Those that are empty are not there.

    Args:
        held: The fields.
        where: Where they stand, for messages.
    """

    def __init__(self, held: Mapping[str, Any], where: str) -> None:
        self.where = where
        self.names = list(held)
        self._held = {str(name): value for name, value in held.items() if value not in EMPTY}
        self._all = {str(name): value for name, value in held.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def take(self, name: str) -> Any:
        """A field's value, empty as it may be; none where the row has no such field."""
        self._held.pop(name, None)
        return self._all.get(name)

    def look(self, name: str) -> Any:
        """A field's value, which is not taken."""
        return self._all.get(name)

    def one_of(self, names: Sequence[str], what: str) -> str | None:
        """Which one of several fields the row has; one that is empty only if no other is there.

        Raises:
            DataError: It has more than one.
        """
        there = [name for name in names if name in self._held]
        if len(there) > 1:
            hint = "keep one, and rename or remove the other"
            raise DataError(f"{self.where}: {' and '.join(there)} could both be {what}", hint=hint)
        return next(iter(there), next((name for name in names if name in self._all), None))

    def forbid(self) -> None:
        """Refuse the row if a field is left without which it would say something else.

        Raises:
            DataError: There is one; the line says what to do.
        """
        for name, what in FORBIDDEN.items():
            if name in self._held:
                raise DataError(f"{self.where}, {name}: it is {as_json(self._held[name])}", hint=what)

    def left(self) -> list[str]:
        """The names of fields that nobody took."""
        return list(self._held)


@dataclass
class Notes:
    """What of a file's rows is not trained on as it stands there, to be told in a line."""

    unused: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    unlearned: int = 0
    twice: int = 0
    against: int = 0

    def lines(self, name: str) -> list[str]:
        """What is to be said of a file of that name."""
        told = []
        if self.unused:
            names = ", ".join(f"{one} ({count:,})" for one, count in self.unused.most_common(12))
            more = f" and {len(self.unused) - 12} more" if len(self.unused) > 12 else ""
            told.append(f"{name}: fields that are not used, with how many rows have them: {names}{more}")
        if self.repeated:
            told.append(f"{name}: answers of {self.repeated:,} rows repeat the prompt, which is taken once")
        if self.unlearned:
            told.append(f"{name}: {self.unlearned:,} turns are read and not learned (weight 0, or train or loss false)")
        if self.against:
            what = "the chosen answer has a lower score than the rejected one; they are learned as they are named"
            told.append(f"{name}: in {self.against:,} rows {what}")
        if self.twice:
            told.append(f"{name}: {self.twice:,} rows say what one before them says, and are left out")
        return told


def as_json(value: Any) -> str:
    """A value as JSON writes it, in short."""
    return json.dumps(value, default=str, ensure_ascii=True)[:60]
