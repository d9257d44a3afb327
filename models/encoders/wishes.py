"""What a small painter can be asked for, by its own names, and what a prompt is read as. Knows words; no model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import permutations

READER = "reader.safetensors"
"""Where a painter's folder keeps its reader, if it has one."""
FIELDS = ("palette", "density", "scale", "direction", "gradient")
"""What can be said of a picture beside its structures, in the order of a wish's columns."""
FIRST_SHARE = 0.6
"""Of two structures, the upper or left one's part in a wish."""


@dataclass(frozen=True)
class Structure:
    """A structure that a prompt names.

    Attributes:
        words: As the prompt has it.
        family: The painter's family that it is read as, known or not.
        known: Whether the words are taken to mean that family; else it is the nearest of what the painter knows.
        chance: Of the family among those that the painter knows, 0 to 1.
    """

    words: str
    family: str
    known: bool = True
    chance: float = 1.0


@dataclass(frozen=True)
class Reading:
    """What a prompt asks for: up to two structures, how they are joined, and what is said of the picture.

    Attributes:
        structures: The upper or left one first.
        join: A key of the painter's joins, where there are two.
        said: Values of `FIELDS`, those alone that are said.
        strange: Words for colours that the painter has not.
    """

    structures: tuple[Structure, ...] = ()
    join: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)
    strange: str = ""

    @property
    def unknown(self) -> tuple[Structure, ...]:
        """The structures whose words the painter does not know."""
        return tuple(one for one in self.structures if not one.known)

    def alone(self, place: int) -> Reading:
        """The same with one of its structures."""
        return replace(self, structures=(self.structures[place],), join=None)

    def filled(self, other: Reading) -> Reading:
        """The same with what another reading says and this one leaves open."""
        said = {**other.said, **self.said}
        if self.structures:
            return replace(self, said=said)
        return replace(other, said=said, strange=self.strange or other.strange)


@dataclass(frozen=True)
class Names:
    """A painter's names: of families, of the values of every field, of joins (templates of ``{a}`` and ``{b}``).

    No name holds a comma. A value that is named by nothing is never said. ``usual`` holds what a prompt means that
    leaves a field open; for other fields it means any. ``colours`` holds a palette's ground and solid, RGB of 0 to 255.
    """

    families: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]]
    joins: Mapping[str, str]
    usual: Mapping[str, str]
    colours: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Names:
        """Read them from `text`, the JSON of `written`."""
        return cls(**json.loads(text))

    def written(self) -> str:
        """Their JSON."""
        return json.dumps(asdict(self))

    def caption(self, reading: Reading) -> str:
        """A reading in the painter's own names."""
        called = [self.families[one.family] for one in reading.structures]
        if len(called) == 2 and reading.join:
            called = [self.joins[reading.join].format(a=called[0], b=called[1])]
        said = (self.fields[name].get(reading.said.get(name, ""), "") for name in FIELDS)
        return ", ".join(filter(None, [*called[:1], *said]))

    def row(self, reading: Reading) -> list[float]:
        """A reading as numbers, a column for each family, value and join; what is left open is spread evenly."""
        keys, shares = list(self.families), dict.fromkeys(self.families, 0.0)
        parts = (1.0,) if len(reading.structures) == 1 else (FIRST_SHARE, 1 - FIRST_SHARE)
        for one, part in zip(reading.structures, parts, strict=False):
            shares[one.family] += part
        if not reading.structures:
            shares = dict.fromkeys(keys, 1 / len(keys))
        row = [shares[key] for key in keys]
        for name in FIELDS:
            values = self.fields[name]
            meant = reading.said.get(name) or self.usual.get(name)
            row += [float(value == meant) if meant else 1 / len(values) for value in values]
        return [*row, *(float(len(reading.structures) == 2 and join == reading.join) for join in self.joins)]

    def read(self, text: str) -> Reading | None:
        """A prompt that is made of the painter's names alone, joined by commas; None for any other."""
        structures: tuple[Structure, ...] = ()
        join, said = None, dict[str, str]()
        for part in text.split(","):
            words = _plain(part)
            if (found := self._subjects.get(words)) and not structures:
                structures, join = found
            elif (value := self._values.get(words)) and value[0] not in said:
                said[value[0]] = value[1]
            else:
                return None
        return Reading(structures, join, said)

    @cached_property
    def _values(self) -> dict[str, tuple[str, str]]:
        return {
            _plain(words): (name, value)
            for name, values in self.fields.items()
            for value, words in values.items()
            if words
        }

    @cached_property
    def _subjects(self) -> dict[str, tuple[tuple[Structure, ...], str | None]]:
        found: dict[str, tuple[tuple[Structure, ...], str | None]] = {
            _plain(name): ((Structure(name, key),), None) for key, name in self.families.items()
        }
        for (first, a), (second, b) in permutations(self.families.items(), 2):
            for join, template in self.joins.items():
                pair = Structure(a, first), Structure(b, second)
                found[_plain(template.format(a=a, b=b))] = pair, join
        return found


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text.lower())
