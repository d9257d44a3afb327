"""An input being entered into a batch: what is new, what was there, what is said twice, what has changed meanwhile.

Knows the tables of `studio.batching.store`, which calls it; not where items come from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.batching.shapes import Fault, Item, drawn_seed
from workspace.errors import DataError, one_line
from workspace.progress import Remark, Tell

_ENTER = "INSERT INTO items (id, hash, filling, source, line, updated, item) VALUES (?, ?, ?, ?, ?, ?, ?)"
_TOLD = 12


@dataclass(frozen=True)
class Filled:
    """What an input came to.

    Attributes:
        new: Items that were not there before.
        known: Items that were there already, whatever came of them.
        changed: Known items whose content changed before they were begun; they are taken as they are now.
        repeats: Lines that say what another line says.
        faults: Lines that gave no item.
        absent: Items of an earlier input that this one does not have.
    """

    new: int = 0
    known: int = 0
    changed: int = 0
    repeats: int = 0
    faults: int = 0
    absent: int = 0


class Filling:
    """One input being entered.

    Args:
        write: Opens a transaction on the batch's database.
        seed: The batch's.
        folder: Where it lies, for messages.
        tell: Takes remarks.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Any]], seed: int, folder: Path, tell: Tell) -> None:
        self._write, self._seed, self._folder, self._tell = write, seed, folder, tell
        self._counts = dict.fromkeys(("new", "known", "changed", "repeats", "faults"), 0)
        self._first: list[str] = []
        with write() as connection:
            connection.execute("UPDATE batch SET value = value + 1 WHERE name = 'filling'")
            connection.execute("DELETE FROM notes")
            number = connection.execute("SELECT value FROM batch WHERE name = 'filling'").fetchone()[0]
        self._number = int(number)

    def enter(self, connection: Any, one: Item | Fault) -> None:
        """Enter an item or a fault within a transaction."""
        if isinstance(one, Fault):
            self._fault(connection, one)
            return
        item = seeded(one, self._seed)
        hashed = item.hash
        query = "SELECT hash, filling, attempts, source, line, item FROM items WHERE id = ?"
        found = connection.execute(query, (item.id,)).fetchone()
        if found is None:
            row = (item.id, hashed, self._number, item.source, item.line, time.time(), _plain(item))
            connection.execute(_ENTER, row)
            self._counts["new"] += 1
            return
        before, filling, attempts, source, line, held = found
        if filling == self._number:
            place = f"line {line}" if source == item.source else f"{source}, line {line}"
            self._again(connection, item, before == hashed, place)
            return
        if before != hashed:
            self._check_unbegun(item, json.loads(held), attempts)
            held = _plain(item)
        update = "UPDATE items SET hash = ?, filling = ?, source = ?, line = ?, item = ? WHERE id = ?"
        connection.execute(update, (hashed, self._number, item.source, item.line, held, item.id))
        self._counts["known" if before == hashed else "changed"] += 1

    def end(self) -> Filled:
        """The input is read to its end: what is not in it is left as it is."""
        with self._write() as connection:
            connection.execute("UPDATE batch SET value = ? WHERE name = 'whole'", (self._number,))
            query = "SELECT count(*) FROM items WHERE filling < ?"
            absent = int(connection.execute(query, (self._number,)).fetchone()[0])
        filled = Filled(**self._counts, absent=absent)
        if filled.repeats:
            rest = f" and {filled.repeats - len(self._first)} more" if filled.repeats > len(self._first) else ""
            listed = ", ".join(self._first)
            self._say(f"{filled.repeats:,} lines say what another says and are one item with it: {listed}{rest}")
        if filled.changed:
            self._say(f"{filled.changed:,} items have changed before they were begun; they are taken as they are now")
        if absent:
            self._say(f"{absent:,} items of an earlier input are not in this one; they are left as they are")
        return filled

    def _say(self, text: str) -> None:
        self._tell(Remark(text=text))

    def _again(self, connection: Any, item: Item, same: bool, place: str) -> None:
        """An id that stands in this input already: the same item once more, or another that may not have it."""
        if not same:
            reason = f"the id {item.id[:60]!r} is that of {place}, which says something else"
            self._fault(connection, Fault(source=item.source, line=item.line, id=item.id, reason=reason))
            return
        self._counts["repeats"] += 1
        if len(self._first) < _TOLD:
            self._first.append(f"line {item.line} ({place})")
        self._note(connection, "repeat", item.source, item.line, item.id, "")

    def _check_unbegun(self, item: Item, before: Mapping[str, Any], attempts: int) -> None:
        if not attempts:
            return
        old, new = Item(**before).content, item.content
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        shown = "; ".join(f"{name} was {_short(old.get(name))} and is {_short(new.get(name))}" for name in names[:2])
        raise DataError(
            f"{item.source}, line {item.line}: item {item.id[:60]!r} has changed since it was begun: {shown}",
            hint=f"give it another id, or choose another folder than {self._folder}",
        )

    def _fault(self, connection: Any, fault: Fault) -> None:
        self._counts["faults"] += 1
        self._note(connection, "fault", fault.source, fault.line, fault.id, fault.reason)

    def _note(self, connection: Any, *values: Any) -> None:
        connection.execute("INSERT INTO notes VALUES (?, ?, ?, ?, ?)", values)


def seeded(item: Item, batch_seed: int) -> Item:
    """The item with a seed: its own, or one that is drawn from the batch's and its id."""
    if item.options.seed is not None:
        return item
    options = item.options.model_copy(update={"seed": drawn_seed(batch_seed, item.id)})
    return item.model_copy(update={"options": options})


def _plain(item: Item) -> str:
    """An item as JSON, without where it stands."""
    return item.model_dump_json(exclude_defaults=True, exclude={"source", "line"})


def _short(value: Any) -> str:
    return one_line("not given" if value is None else repr(value), 40)
