"""Designs side by side: pictures, what was asked and set, what was written. Knows runs; not how they are laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.runs.figures import figures_line, numeral
from studio.runs.record import row_of
from ui.desk import voting
from ui.desk.door import Door
from ui.desk.fragments import Action, Reader
from ui.desk.render import render
from ui.desk.run.results import UNITS
from ui.desk.status import STATUS_WORDS, clock
from workspace.errors import StudioError, UsageError

if TYPE_CHECKING:
    from studio import Design

LEAST, MOST = 2, 4
LEFT_OUT = ("home", "jobs")
"""Settings that say where, not how."""


@dataclass(frozen=True)
class Column:
    """A design as it is compared: its pictures' file names with what the critic found, the best one first."""

    run_id: str
    title: str
    brief: str
    word: str
    time: str
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """A line of the comparison: what, a cell a design, whether they differ."""

    name: str
    cells: tuple[str, ...]
    differs: bool


def _row(name: str, cells: Sequence[str]) -> Row:
    return Row(name, tuple(cells), len(set(cells)) > 1)


def flat(data: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Plain data as dotted names and texts."""
    if isinstance(data, Mapping):
        for key, one in data.items():
            if name or key not in LEFT_OUT:
                yield from flat(one, f"{name}.{key}" if name else str(key))
    elif isinstance(data, list | tuple):
        yield name, ", ".join(str(one) for one in data)
    else:
        yield name, "" if data is None else str(data)


def _column(run: Design) -> Column:
    fits = {one.picture: f"fit {one.fit} of 10" for one in run.critiques}
    shown = sorted(run.images, key=lambda image: image.index != run.best)
    pictures = tuple(
        (image.path.name, f"seed {image.seed}, {fits.get(image.index, 'not looked at')}") for image in shown
    )
    title = run.run_id if run.design is None else run.design.title
    word = STATUS_WORDS.get(run.status, run.status)
    return Column(run.run_id, title, "", word, clock(run.seconds), pictures)


def _settings(door: Door, runs: Sequence[Design]) -> list[Row]:
    """What was asked and set, where it differs, and the seed."""
    told = []
    for run in runs:
        row = row_of(door.settings.home, run.run_id)
        program = (row.settings.get("program") or {}).get("name", "")
        asked = {"brief": row.brief.get("text", ""), "inspirations": row.brief.get("inspirations", [])}
        told.append(dict(flat({**asked, "program": program, "seed": row.seed, **(row.settings.get("settings") or {})})))
    names = list(dict.fromkeys(name for one in told for name in one))
    rows = [_row(name, [one.get(name, "") for one in told]) for name in names]
    return [row for row in rows if row.differs or row.name in ("brief", "inspirations", "program", "seed")]


def _figure(one: Any) -> str:
    return f"{one.name}: {numeral(one.value)} {UNITS.get(one.unit, one.unit)}".strip()


def _written(runs: Sequence[Design]) -> list[Row]:
    """What the designs say, field by field."""
    fields: dict[str, Any] = {
        "Summary": lambda it: it.summary,
        "Learned from": lambda it: "\n".join(f"{one.name}: {one.principle}" for one in it.inspirations),
        "Components": lambda it: "\n".join(f"{one.name} ({one.material}): {one.role}" for one in it.components),
        "Architecture": lambda it: f"{it.architecture.scale}: {it.architecture.description}",
        "Mechanisms": lambda it: "\n".join(one.text for one in it.mechanisms),
        "Properties": lambda it: "\n".join(_figure(one) for one in it.properties),
        "Fabrication": lambda it: "\n".join(it.fabrication),
        "Applications": lambda it: "\n".join(it.applications),
        "Risks": lambda it: "\n".join(it.risks),
    }
    rows = [
        _row(name, ["" if run.design is None else read(run.design) for run in runs]) for name, read in fields.items()
    ]
    prompts = ["" if run.prompt is None else run.prompt.short for run in runs]
    seen = [_seen(run) for run in runs]
    return [*rows, _row("Picture prompt", prompts), _row("Best picture", seen)]


def _seen(run: Design) -> str:
    found = [one for one in run.critiques if one.picture == run.best]
    return "\n".join(filter(None, [found[-1].seen, figures_line(found[-1].measures, UNITS)])) if found else ""


def chosen(query: Mapping[str, str]) -> list[str]:
    """The runs that an address names, each once.

    Raises:
        UsageError: They are too few or too many.
    """
    names = list(dict.fromkeys(name.strip() for name in query.get("runs", "").split(",") if name.strip()))
    if names and not LEAST <= len(names) <= MOST:
        raise UsageError(f"{LEAST} to {MOST} designs are compared, not {len(names)}", hint="pick them in the library")
    return names


def compare(door: Door, query: Mapping[str, str]) -> str:
    """Two to four designs side by side."""
    names = chosen(query)
    if not names:
        return render("compare_choose", runs=_to_choose(door))
    if query.get("vote"):
        return voting.ballot(door, names, query, _written)
    runs = [door.open_run(name) for name in names]
    votes = voting.tally(door, names)
    return render(
        "compare",
        columns=[_column(run) for run in runs],
        settings=_settings(door, runs),
        written=_written(runs),
        every="every" in query,
        runs=",".join(names),
        votes=votes if any(votes.values()) else {},
        painted=all(run.images for run in runs),
    )


def _to_choose(door: Door) -> list[Any]:
    try:
        return [run for run in door.runs() if run.status == "finished"]
    except StudioError:
        return []


READERS: Mapping[str, Reader] = {"compare": compare}
ACTIONS: Mapping[str, Action] = {"compare/vote": voting.vote}
