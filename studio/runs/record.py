"""Runs: their folders, and reading one back. Knows where a run's files lie; not how they come to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from studio.queue.claims import has_ledger, in_bin, ledger_of, true_state
from workspace.errors import DataError, StudioError, UsageError, one_line, pydantic_fault, unknown
from workspace.files import publish, read_inside
from workspace.letters import whole_data, whole_letters

if TYPE_CHECKING:
    from pydantic import BaseModel

    from agents.documents import Critique, ImagePrompt, MaterialDesign
    from workspace.events import Event
    from workspace.jobs import JobRow
    from workspace.ledger import Ledger, RunRow

D = TypeVar("D", bound="BaseModel")
MOST_PICTURES = 10_000
PICTURE = re.compile(r"images/[0-9]+\.png")
FILES = ("brief.json", "conversation.md", "design.json", "prompts.json", "critiques.json", "events.jsonl")


CHOSEN = "chosen.json"
"""Which picture a person holds for the best; it goes before the Director's choice, which stays in the manifest."""


@dataclass(frozen=True)
class ImageInfo:
    """One picture of a run: where it is, and the hashes of the file and of its decoded RGB bytes."""

    path: Path
    seed: int
    sha256: str
    pixels_sha256: str
    round: int = 1

    @property
    def index(self) -> int:
        """Its place among all that the run might have painted, from 0: a skipped picture leaves a gap."""
        return int(self.path.stem) - 1

    def to_json(self) -> dict[str, Any]:
        """Return the picture as plain data."""
        return {
            "path": str(self.path),
            "seed": self.seed,
            "sha256": self.sha256,
            "pixels_sha256": self.pixels_sha256,
            "round": self.round,
        }


@dataclass(frozen=True)
class Design:
    """A run as it stands: everything it has made so far."""

    run_id: str
    status: str
    folder: Path
    design: MaterialDesign | None = None
    prompt: ImagePrompt | None = None
    images: list[ImageInfo] = field(default_factory=list)
    critiques: list[Critique] = field(default_factory=list)
    rounds: int = 0
    seconds: float = 0.0
    seed: int = 0
    best: int | None = None
    message: str = ""
    question: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the one object that ``--json`` prints."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "folder": str(self.folder),
            "seed": self.seed,
            "design": None if self.design is None else self.design.model_dump(mode="json"),
            "prompt": None if self.prompt is None else self.prompt.model_dump(mode="json"),
            "images": [image.to_json() for image in self.images],
            "best": self.best,
            "critiques": [critique.model_dump(mode="json") for critique in self.critiques],
            "rounds": self.rounds,
            "seconds": round(self.seconds, 3),
            "message": self.message,
            "question": self.question,
        }


@dataclass(frozen=True)
class RunSummary:
    """One line of the list of runs."""

    run_id: str
    status: str
    brief: str
    created: float
    folder: Path
    message: str = ""


def folder_of(home: Path, run_id: str) -> Path:
    """Say where a run's files lie."""
    return home / "runs" / run_id


def json_bytes(data: Any) -> bytes:
    """Write plain data the one way all of a run's JSON files are written."""
    written = json.dumps(data, indent=2, ensure_ascii=False)
    if whole_letters(written) is not written:
        written = json.dumps(whole_data(data), indent=2, ensure_ascii=False)
    return f"{written}\n".encode()


def open_folder(home: Path, row: RunRow) -> Path:
    """Make a run's folder with ``brief.json`` in it, if that is not there yet."""
    folder = folder_of(home, row.run_id)
    write_brief(folder, row)
    return folder


def write_brief(folder: Path, row: RunRow) -> None:
    """Publish a run's ``brief.json``, if that is not there yet."""
    if (folder / "brief.json").is_file():
        return
    settings = row.settings["settings"]
    wanted = row.brief | {
        "program": row.settings["program"]["name"],
        "profile": settings["profile"],
        "seed": row.seed,
        "images": settings["flow"]["images"],
        "rounds": settings["flow"]["rounds"],
        "size": settings["painter"]["size"],
    }
    publish(folder / "brief.json", json_bytes(wanted))


def row_of(home: Path, run_id: str) -> RunRow:
    """Find a run's row; an unknown one is a ``UsageError`` with the nearest name."""
    if not has_ledger(home):
        raise UsageError(unknown("run", run_id, []))
    with ledger_of(home, reading=True) as ledger:
        return ledger.run(run_id)


def state_of(home: Path, row: RunRow) -> str:
    """How a run stands, seen through a process that died."""
    with ledger_of(home, reading=True) as ledger:
        return true_state(home, ledger, row.run_id, row.status)


def summaries(home: Path, limit: int = 50) -> list[RunSummary]:
    """List the newest runs first."""
    if not has_ledger(home):
        return []
    with ledger_of(home, reading=True) as ledger:
        hidden = in_bin(ledger)
        rows = ledger.jobs.designs(limit + len(hidden) if limit >= 0 else limit)
        made = [_summary(home, ledger, row) for row in rows if row.job_id not in hidden]
        return made[:limit] if limit >= 0 else made


def found(home: Path, words: Iterable[str], *, before: float | None, limit: int) -> list[RunSummary]:
    """List the newest runs whose briefs hold every word, older than a moment if one is named."""
    if not has_ledger(home):
        return []
    with ledger_of(home, reading=True) as ledger:
        hidden = in_bin(ledger)
        rows = ledger.jobs.found("design", words, before=before, limit=limit + len(hidden))
        return [_summary(home, ledger, row) for row in rows if row.job_id not in hidden][:limit]


def _summary(home: Path, ledger: Ledger, row: JobRow) -> RunSummary:
    state = true_state(home, ledger, row.job_id, row.state)
    return RunSummary(row.job_id, state, row.title, row.created, folder_of(home, row.job_id), row.message)


def seconds_of(events: list[Event]) -> float:
    """Add up how long each session of a run lasted, from its events; a clock that goes back takes nothing away."""
    total, last = 0.0, None
    for event in events:
        if last is not None and event.type != "run_started":
            total += max(0.0, event.at - last)
        last = event.at
    return total


def _read_json(path: Path) -> Any:
    if not path.is_symlink() and not path.exists():
        return None
    try:
        return json.loads(read_inside(path.parent, path.name))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error


def picture_bytes(image: ImageInfo) -> bytes:
    """A picture's file as it was made.

    Raises:
        DataError: It is gone, a link, or another than was made.
    """
    folder = image.path.parent.parent
    return read_inside(folder, image.path.relative_to(folder).as_posix(), sha256=image.sha256)


def chosen(folder: Path) -> int | None:
    """The index of the picture of a run that a person holds for the best; ``None`` where nobody chose one.

    Args:
        folder: The run's.
    """
    try:
        found = _read_json(folder / CHOSEN)
    except StudioError:
        return None
    picture = found.get("picture") if isinstance(found, dict) else None
    return picture if isinstance(picture, int) and not isinstance(picture, bool) else None


def best_picture(folder: Path) -> str:
    """The file's name of the picture that is held for the best of a run; empty where nobody has said which it is.

    Args:
        folder: The run's.
    """
    best = chosen(folder)
    if best is None:
        try:
            manifest = _read_json(folder / "manifest.json")
        except StudioError:
            return ""
        best = manifest.get("best") if isinstance(manifest, dict) else None
    return f"{best + 1:02d}.png" if isinstance(best, int) and 0 <= best < MOST_PICTURES else ""


@dataclass
class _Made:
    """What the events of an unfinished run say was made."""

    design: Any = None
    prompts: list[Any] = field(default_factory=list)
    critiques: list[Any] = field(default_factory=list)
    rounds: int = 0
    question: dict[str, Any] | None = None


def _made(events: list[Event]) -> _Made:
    made = _Made()
    for event in events:
        if event.type == "design_ready":
            made.design = event.design
        elif event.type == "prompt_ready":
            made.prompts.append(event.prompt)
            made.rounds = max(made.rounds, event.round)
        elif event.type == "critique_ready":
            made.critiques.append(event.critique)
        elif event.type == "question":
            made.question = {"kind": event.kind, "text": event.text, "payload": event.payload}
    return made


def _images(home: Path, row: RunRow) -> list[ImageInfo]:
    folder, a_round = folder_of(home, row.run_id), int(row.settings["settings"]["flow"]["images"])
    with ledger_of(home, reading=True) as ledger:
        pictures = [artifact for artifact in ledger.artifacts(row.run_id) if artifact.kind == "picture"]
    for picture in pictures:
        if not PICTURE.fullmatch(picture.path):
            raise DataError(f"the ledger lists {picture.path!r} as a picture of {row.run_id}")
    return [
        ImageInfo(
            folder / picture.path,
            int(picture.meta["seed"]),
            picture.sha256,
            str(picture.meta["pixels_sha256"]),
            int(picture.meta["index"]) // a_round + 1,
        )
        for picture in sorted(pictures, key=lambda picture: int(picture.meta["index"]))
    ]


def _document(kind: type[D], data: Any, where: Path) -> D:
    from pydantic import ValidationError

    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise DataError(f"{where} is no {kind.__name__}: {pydantic_fault(error, kind)}") from error


def _prompt(data: Any) -> ImagePrompt:
    """A prompt as it was painted from; a person may have worded it as no model is allowed to."""
    from agents.documents import ImagePrompt

    return ImagePrompt.model_construct(**data)


def _unread(log: Path, count: int) -> str:
    return f"lines of {log.name} that cannot be read and are left out: {count}" if count else ""


def open_run(run_id: str, home: Path) -> Design:
    """Read a run as it stands, finished or not.

    Raises:
        UsageError: There is none of that id.
        DataError: Its row or one of its files is damaged.
    """
    row = row_of(home, run_id)
    try:
        return _opened(row, home)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"run {run_id} is damaged: {type(error).__name__}: {one_line(error)}") from error


def _opened(row: RunRow, home: Path) -> Design:
    from agents.documents import Critique, MaterialDesign
    from workspace.event_log import read_good

    run_id, folder = row.run_id, folder_of(home, row.run_id)
    log = folder / "events.jsonl"
    if log.is_symlink():
        raise DataError(f"{log} is a link; only what lies in {folder} is read")
    events, unread = read_good(log) if log.is_file() else ([], 0)
    made = _made(events)
    manifest = _read_json(folder / "manifest.json") or {}
    design = _read_json(folder / "design.json") or made.design
    prompts = _read_json(folder / "prompts.json") or made.prompts
    critiques = _read_json(folder / "critiques.json") or made.critiques
    status, mine = state_of(home, row), chosen(folder)
    return Design(
        run_id=run_id,
        status=status,
        folder=folder,
        design=None if design is None else _document(MaterialDesign, design, folder / "design.json"),
        prompt=_prompt(prompts[-1]) if prompts else None,
        images=_images(home, row),
        critiques=[_document(Critique, item, folder / "critiques.json") for item in critiques],
        rounds=int(manifest.get("rounds", made.rounds)),
        seconds=float(manifest.get("seconds", seconds_of(events))),
        seed=row.seed,
        best=manifest.get("best") if mine is None else mine,
        message="; ".join(filter(None, [row.message, _unread(log, unread)])),
        question=made.question if status == "waiting" else None,
    )
