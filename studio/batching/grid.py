"""A grid: brief templates and lists of options, every combination of which is an item. YAML, or JSON.

    brief: A tough panel that joins {{ first }} and {{ second }}
    inspirations:
      - [spider silk, nacre]         # the first of each item
      - [leaf venation, wood]        # the second
    program: [relate-and-design, rural-architecture]
    seed: [1, 2, 3]

Every key may hold one value or a list. ``inspirations`` is a list of names, each in turn, or several such lists, of
which every item takes one name each (a name may be several, parted by semicolons). Templates may use ``inspirations``,
``first`` and ``second``. The order is that of the keys below, the last of which changes fastest; an item's id is made
of its parts, so that a grid that grows keeps the items that it had. Knows combinations; a row's fields are checked by
`studio.batching.rows`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agents.documents import same
from agents.templates import TemplateFault, check, fill
from studio.batching.rows import PARTED, RowReader
from studio.batching.shapes import OPTIONS, Fault, Item, slug
from training.yaml_text import read_yaml
from workspace.errors import DataError, one_line, unknown
from workspace.progress import Remark, Tell

SUFFIXES = (".yaml", ".yml", ".grid.json")
MOST_ITEMS = 10_000_000
_MOST_BYTES = 10_000_000
_ORDER = ("brief", "inspirations", *(name for name in OPTIONS if name not in ("inspirations", "seed")), "seed")
_VARIABLES = frozenset({"inspirations", "first", "second"})
_LABEL = 60


def read_grid(path: Path, rows: RowReader, tell: Tell) -> Iterator[Item | Fault]:
    """The items of a grid, in order; a brief that cannot be written for a combination is a fault.

    Args:
        path: The file.
        rows: Makes the items, and knows the defaults.
        tell: Takes remarks.

    Raises:
        DataError: It is no grid; the key, the value and the choices are named.
    """
    axes = _axes(path)
    _check(path, axes, rows)
    places = [len(axis) for axis in axes["inspirations"]]
    others = [axes[name] for name in _ORDER[2:] if name in axes]
    names = [name for name in _ORDER[2:] if name in axes]
    skipped = number = 0
    for brief in axes["brief"]:
        for sources in itertools.product(*axes["inspirations"]):
            together = [name for one in sources for name in _parted(one)]
            if len({same(name) for name in together}) < len(together):
                skipped += math.prod(map(len, others))
                continue
            for values in itertools.product(*others):
                number += 1
                row = dict(zip(names, values, strict=True))
                yield _item(rows, number, brief, together, row)
    if skipped:
        tell(Remark(text=f"{path}: {skipped:,} combinations name an inspiration twice and are left out"))
    if not number:
        raise DataError(f"{path}: none of its {math.prod(places):,} combinations of inspirations has different names")


def _item(rows: RowReader, number: int, brief: str, together: Sequence[str], row: Mapping[str, Any]) -> Item | Fault:
    try:
        text = fill(brief, _values(together))
    except TemplateFault as fault:
        return rows.fault(number, f"the brief, line {fault.line}: {fault.message}")
    parts = [value if isinstance(value, str) else f"{name} {value}" for name, value in row.items()]
    label = slug(" ".join([*together, *parts]), _LABEL)
    return rows.item(number, {"brief": text, "inspirations": list(together), **row}, label)


def _values(together: Sequence[str]) -> dict[str, Any]:
    """What a template may use; what there is not is not defined, so that it is told."""
    return {"inspirations": list(together)} | dict(zip(("first", "second"), together, strict=False))


def _axes(path: Path) -> dict[str, list[Any]]:
    """A file's keys, each as a list; those of ``inspirations`` as a list of lists."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise DataError(f"{path} has more than {_MOST_BYTES:,} bytes; a grid is small")
        held = read_yaml(data.decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else None
        raise DataError(f"cannot read {path}: {why or one_line(fault)}") from None
    if not isinstance(held, dict) or not held:
        raise DataError(f"{path} is no grid: it holds no keys", hint=f"a grid has {', '.join(_ORDER)}")
    strange = next((str(key) for key in held if key not in _ORDER), None)
    if strange is not None:
        raise DataError(f"{path}: {unknown('key', strange[:60], _ORDER)}")
    axes = {name: _listed(path, name, held[name]) for name in _ORDER if held.get(name) is not None}
    if "brief" not in axes:
        raise DataError(f"{path}: there is no brief", hint="brief: a text, or a list of texts")
    lists = [isinstance(one, list) for one in axes.get("inspirations", [])]
    if any(lists) and not all(lists):
        raise DataError(f"{path}: inspirations holds names and lists of names; it is a list of the one or the other")
    axes["inspirations"] = axes["inspirations"] if any(lists) else [axes["inspirations"]] if lists else []
    return axes


def _listed(path: Path, name: str, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values or any(one in (None, "", []) for one in values):
        raise DataError(f"{path}: {name} holds nothing" + (" in one place" if values else ""))
    return values


def _check(path: Path, axes: Mapping[str, list[Any]], rows: RowReader) -> None:
    """Refuse a grid of which some value is wrong, that says one twice, or that is very large."""
    for name, values in axes.items():
        for axis in values if name == "inspirations" else [values]:
            _check_axis(path, name, axis, rows)
    count = math.prod(len(axis) for name in axes for axis in (axes[name] if name == "inspirations" else [axes[name]]))
    if count > MOST_ITEMS:
        raise DataError(f"{path} has {count:,} combinations; at most {MOST_ITEMS:,} are one batch")
    longest = [max(axis, key=lambda one: len(_parted(one))) for axis in axes["inspirations"]]
    _check_row(path, rows, {"brief": "any brief", "inspirations": PARTED.join(longest)})
    for at, brief in enumerate(axes["brief"], 1):
        try:
            check(brief, _VARIABLES)
            text = fill(brief, _values([name for one in longest for name in _parted(one)]))
        except TemplateFault as fault:
            where = f"brief {at}, " if len(axes["brief"]) > 1 else "brief, "
            raise DataError(f"{path}: {where}line {fault.line}: {fault.message}") from None
        _check_row(path, rows, {"brief": text})


def _check_axis(path: Path, name: str, values: Sequence[Any], rows: RowReader) -> None:
    seen: set[str] = set()
    for value in values:
        if name in ("brief", "inspirations") and not isinstance(value, str):
            raise DataError(f"{path}: {name}: it is {one_line(repr(value), 60)}, not text")
        key = value if name == "brief" else _check_row(path, rows, {"brief": "any brief", name: value}).options
        if repr(key) in seen:
            raise DataError(f"{path}: {name} holds {one_line(repr(value), 60)} twice")
        seen.add(repr(key))


def _check_row(path: Path, rows: RowReader, row: Mapping[str, Any]) -> Item:
    made = rows.item(0, dict(row))
    if isinstance(made, Fault):
        raise DataError(f"{path}: {made.reason}")
    return made


def _parted(value: str) -> list[str]:
    return [name for one in value.split(PARTED) if (name := one.strip())]
