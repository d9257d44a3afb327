"""Rows of the shelf, read from runs' folders: when a run has ended, and once for those that ended before.

Damage to one run never ends a list: its row says what is wrong. Knows a run's files and the ledger; nothing of lists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from studio.keeping.answers import enter_answers
from studio.keeping.branches import root_of
from studio.queue.claims import has_ledger, ledger_of
from studio.runs.record import PICTURE, best_picture, folder_of
from workspace.errors import DataError, StorageError, StudioError, Unfinished, one_line
from workspace.files import read_inside
from workspace.keeping.shelf import ShelfPicture, ShelfRun
from workspace.ledger import ArtifactRow, Ledger, RunRow
from workspace.letters import folded

FILL_SECONDS = 0.5
"""How long whoever looks at the shelf may be kept by rows that are made."""
MOST_WORDS = 20_000
_A_TIME = 50
_MOST_BYTES = 4_000_000
_FAULTS = (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)


def shelve(home: Path, run_id: str) -> None:
    """Make a run's row anew, or for the first time; what keeps it from being made is left for the next who looks.

    Args:
        home: STUDIO_HOME.
        run_id: The run.
    """
    with suppress(StudioError), ledger_of(home) as ledger:
        put(home, ledger, run_id)


def refresh(home: Path, seconds: float = FILL_SECONDS) -> int:
    """Make the rows that are missing or old, newest runs first, as long as that may take; return how many are left.

    Cheap where there are none. A ledger that cannot be written stays as it is.

    Args:
        home: STUDIO_HOME.
        seconds: After which the rest is left to the next call.
    """
    if not has_ledger(home):
        return 0
    with ledger_of(home, reading=True) as ledger:
        now = time.time()
        wanted = ledger.shelf.stale(_A_TIME)
        growing = ledger.shelf.growing()
        if not wanted and not growing:
            return 0
    try:
        with ledger_of(home) as ledger:
            return _fill(home, ledger, growing, now, time.monotonic() + seconds)
    except (StorageError, Unfinished):  # nothing can be written now; what is there is shown
        return len(wanted)


def _fill(home: Path, ledger: Ledger, growing: list[str], now: float, until: float) -> int:
    for run_id in growing:
        put(home, ledger, run_id)
    while wanted := ledger.shelf.stale(_A_TIME):
        for run_id in wanted:
            put(home, ledger, run_id)
            if time.monotonic() > until:
                return ledger.shelf.pending()
    ledger.shelf.filled(now)
    return 0


def put(home: Path, ledger: Ledger, run_id: str) -> None:
    """Make a run's row anew in a ledger that is open.

    Raises:
        UsageError: There is no such run.
    """
    job = next(iter(ledger.read("SELECT title, created, updated FROM jobs WHERE job_id = ?", run_id)), None)
    try:
        row = ledger.run(run_id)
        run, pictures = _rows(home, ledger, row, float(job[2]) if job else row.updated)
    except (DataError, *_FAULTS) as error:
        told = error.message if isinstance(error, DataError) else f"{type(error).__name__}: {one_line(error)}"
        title = str(job[0]) if job else run_id
        made, seen = (float(job[1]), float(job[2])) if job else (0.0, 0.0)
        run = ShelfRun(
            run_id, made, seen, title, title, _words([title]), "", "\n", "", run_id, None, "", 0, one_line(told)
        )
        pictures = []
    ledger.shelf.put(run, pictures)
    with suppress(DataError, *_FAULTS):
        enter_answers(ledger, run_id)


def _rows(home: Path, ledger: Ledger, row: RunRow, seen: float) -> tuple[ShelfRun, list[ShelfPicture]]:
    folder, faults = folder_of(home, row.run_id), list[str]()
    design = _document(folder, "design.json", dict, faults) or _live_design(folder, row.status)
    prompts = _document(folder, "prompts.json", list, faults)
    critiques = _document(folder, "critiques.json", list, faults)
    manifest = _document(folder, "manifest.json", dict, faults)
    settings = row.settings.get("settings") or {}
    fits = _fits(critiques)
    artifacts = [one for one in ledger.artifacts(row.run_id) if one.kind == "picture" and PICTURE.fullmatch(one.path)]
    a_round = max(1, int((settings.get("flow") or {}).get("images") or 1))
    pictures = [_picture(row.run_id, one, fits, a_round) for one in artifacts]
    best = best_picture(folder) or (pictures[0].name if pictures else "")
    best = best if any(one.name == best for one in pictures) else (pictures[0].name if pictures else "")
    scores = {one.name: one.score for one in pictures if one.score is not None}
    brief = str(row.brief.get("text", ""))
    sources = row.brief.get("inspirations") or []
    painter = _spec(artifacts[0]) if artifacts else {}
    run = ShelfRun(
        run_id=row.run_id,
        created=row.created,
        seen=seen,
        title=str((design or {}).get("title") or brief),
        brief=brief,
        words=_words([brief, *_texts(sources), *_texts(design), *_texts(prompts)]),
        program=str((row.settings.get("program") or {}).get("name", "")),
        models=_models(settings, manifest or {}, painter),
        adapter=str(painter.get("adapter") or (settings.get("painter") or {}).get("adapter") or ""),
        family=root_of(ledger, row),
        score=scores.get(best, max(scores.values(), default=None)),
        best=best,
        pictures=len(pictures),
        fault="; ".join(faults)[:500],
    )
    return run, pictures


def _document(folder: Path, name: str, kind: type, faults: list[str]) -> Any:
    """A document of a run; nothing where it is not there yet, and a fault where it is none."""
    path = folder / name
    if not path.is_symlink() and not path.exists():
        return None
    try:
        found = json.loads(read_inside(folder, name, most=_MOST_BYTES))
    except (StudioError, ValueError, RecursionError) as error:
        faults.append(f"{name} cannot be read: {one_line(error)}")
        return None
    if not isinstance(found, kind):
        faults.append(f"{name} is no {'list' if kind is list else 'object'}")
        return None
    return found


def _live_design(folder: Path, status: str) -> dict[str, Any] | None:
    """The design of a run that goes on, as its events tell it."""
    from workspace.event_log import read_good

    log = folder / "events.jsonl"
    if status == "finished" or log.is_symlink() or not log.is_file():
        return None
    with suppress(StudioError):
        found = [event.design for event in read_good(log)[0] if event.type == "design_ready"]
        return found[-1] if found else None
    return None


def _fits(critiques: list[Any] | None) -> dict[int, float]:
    """What the critic gave each picture, by its index; the last word counts."""
    return {
        one["picture"]: float(one["fit"])
        for one in critiques or []
        if isinstance(one, dict) and isinstance(one.get("picture"), int) and isinstance(one.get("fit"), int | float)
    }


def _spec(artifact: ArtifactRow) -> Mapping[str, Any]:
    found = artifact.meta.get("spec")
    return found if isinstance(found, dict) else {}


def _picture(run_id: str, artifact: ArtifactRow, fits: Mapping[int, float], a_round: int) -> ShelfPicture:
    spec, index = _spec(artifact), int(artifact.meta["index"])
    return ShelfPicture(
        run_id=run_id,
        name=artifact.path.rpartition("/")[2],
        created=artifact.at,
        seed=int(artifact.meta["seed"]),
        round=index // a_round + 1,
        score=fits.get(index),
        width=int(spec.get("width", 0)),
        height=int(spec.get("height", 0)),
        sha256=artifact.sha256,
        prompt=str(spec.get("prompt", ""))[:4000],
    )


def _models(settings: Mapping[str, Any], manifest: Mapping[str, Any], painter: Mapping[str, Any]) -> str:
    """Names of the models that took part, a line each: those that the manifest tells, or those asked for."""
    used = manifest.get("models")
    parts = list(used.values()) if isinstance(used, dict) and used else _asked(settings)
    names = [str(one.get("model") or "") for one in [*parts, painter] if isinstance(one, Mapping)]
    return "".join(f"\n{name}" for name in sorted(set(filter(None, names)))) + "\n"


def _asked(settings: Mapping[str, Any]) -> list[Any]:
    roles = settings.get("roles") or {}
    return [settings.get("chat"), settings.get("vision"), settings.get("painter"), *roles.values()]


def _texts(data: Any) -> Iterator[str]:
    """The texts within plain data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for one in data.values():
            yield from _texts(one)
    elif isinstance(data, list | tuple):
        for one in data:
            yield from _texts(one)


def _words(texts: list[str]) -> str:
    return folded(" ".join(texts)[:MOST_WORDS])
