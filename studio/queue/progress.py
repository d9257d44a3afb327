"""How far a job at work is, read from the last of its events. Knows events; never who works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.queue.post import folder_of
from workspace.event_log import latest

if TYPE_CHECKING:
    from workspace.events import Event
    from workspace.progress import Downloaded

_BEGINS = ("run_started", "job_started")


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        doing: What it does just now, for people.
        done: How much is done.
        of: Of how much; 0 where that is not known.
        unit: What is counted: steps, bytes, documents.
        left_s: Seconds left, where they are known.
        rate: How many of the unit a second, where that is known.
    """

    doing: str = ""
    done: int = 0
    of: int = 0
    unit: str = ""
    left_s: float | None = None
    rate: float | None = None


def progress(home: Path, kind: str, job_id: str) -> Progress:
    """How far a job is, by its last events."""
    return read(latest(folder_of(home, kind, job_id) / "events.jsonl"))


def read(events: Sequence[Event]) -> Progress:
    """Fold events into what they say last."""
    found = Progress()
    began: dict[str, Downloaded] = {}
    for event in events:
        if event.type == "downloaded":
            found = _downloading(began.setdefault(event.file, event), event)
            continue
        if event.type in _BEGINS:
            began.clear()
        found = _after(found, event)
    return found


def _downloading(first: Downloaded, last: Downloaded) -> Progress:
    """How a file comes, and how fast since the first of its events that is known."""
    seconds, come = last.at - first.at, last.bytes - first.bytes
    rate = come / seconds if seconds > 0 and come > 0 else None
    left = (last.of - last.bytes) / rate if rate and last.of else None
    return Progress(f"fetching {last.file}", last.bytes, last.of, "bytes", left, rate)


def _after(known: Progress, event: Event) -> Progress:
    if event.type in _BEGINS:
        return Progress("begins")
    if event.type == "step_started":
        return Progress(event.label)
    if event.type == "stage_started":
        return Progress(" ".join(filter(None, [event.stage, event.doing])))
    if event.type == "waiting":
        return Progress() if event.done else Progress(event.doing, event.bytes, event.of, "bytes", event.left_s)
    counted = _counted(event)
    return known if counted is None else Progress(counted[3] or known.doing, *counted[:3], _left(event))


def _left(event: Any) -> float | None:
    return getattr(event, "left_s", None)


def _counted(event: Event) -> tuple[int, int, str, str] | None:
    """How much of how much an event counts, of what, and what is done if that is not known already."""
    match event.type:
        case "training_step":
            return event.step, event.of, "steps", f"{event.stage or 'training'}, loss {event.loss:.3g}"
        case "picture_progress":
            return event.step, event.steps, "steps", "painting"
        case "document_read":
            return event.documents, event.of, "documents", f"reading {event.document}"
        case "vectors_made":
            return event.passages, event.of, "passages", "reading passages for their meaning"
        case "passage_distilled":
            return event.passages, event.of, "passages", f"distilling, {event.rows} rows so far"
        case "questions_answered":
            return event.answered, event.of, "questions", f"asking {event.model}"
        case "batch_progress":
            return event.done + event.failed, event.of, "designs", f"{event.running} at work, {event.failed} failed"
    return None
