"""The order in which a document's leaves are written. Knows the layout and what helps to write what; writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from models.filling.shots import ahead, helpers
from models.filling.slots import Slot

_WAVES = {"choice": 10, "number": 20, "pattern": 20, "question": 25, "sentence": 30, "prompt": 40}


def waves(slots: Iterable[Slot], layout: Sequence[Slot]) -> list[list[Slot]]:
    """Slots by the wave they are written in: names, choices, numbers, questions, then sentences.

    Args:
        slots: Those that are to be written.
        layout: All of the document; a slot is written after the siblings that its question or its lead names.
    """
    found: dict[int, list[Slot]] = {}
    for slot in slots:
        found.setdefault(_wave(slot, layout), []).append(slot)
    return [found[number] for number in sorted(found)]


def _wave(slot: Slot, layout: Sequence[Slot]) -> int:
    siblings = [other for other in layout if other.parent == slot.parent]
    wave = _WAVES.get(slot.kind)
    if wave is None:
        names = [other.path for other in siblings if other.kind == "name" and not isinstance(other.path[-1], int)]
        wave = names.index(slot.path) if slot.path in names and slot.parent else 0
    wanted = set(re.findall(r"{(\w+)}", f"{slot.ask} {slot.lead}"))
    before = [_wave(other, layout) for other in siblings if other.path[-1] in wanted and other is not slot]
    return max([wave, *(number + 1 for number in before)])


def steps(families: Mapping[str, list[Slot]], layout: Sequence[Slot]) -> list[list[Slot]]:
    """Slots that continue examples by the step they are written in: after the siblings that help to write them.

    Args:
        families: The slots that are to be written, by family.
        layout: All slots of the document.
    """

    def step(family: str) -> int:
        slot = families[family][0]
        names = helpers(str(slot.path[-1])) if isinstance(slot.path[-1], str) else ()
        before = [".".join([*family.split(".")[:-1], name]) for name in names]
        first = ahead(slot.path, [other.path for other in layout])
        before += [".".join(part for part in path if isinstance(part, str)) for path in first]
        return max((step(name) + 1 for name in before if name in families and name != family), default=0)

    numbers = {family: step(family) for family in families}
    return [
        [slot for family in families if numbers[family] == number for slot in families[family]]
        for number in sorted(set(numbers.values()))
    ]


def item_by_item(slots: Iterable[Slot]) -> list[list[Slot]]:
    """Slots by the number of the list item they belong to."""
    turns: dict[int, list[Slot]] = {}
    for slot in slots:
        turns.setdefault(next((part for part in reversed(slot.path) if isinstance(part, int)), 0), []).append(slot)
    return [turns[number] for number in sorted(turns)]
