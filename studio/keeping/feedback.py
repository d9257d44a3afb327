"""Opinions as the front door offers them: left, listed, written as rows to train on. Knows the ledger's opinions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.keeping.marking import MOST_RATING, opened
from studio.keeping.pairs import WAYS, Way, rows_of
from studio.keeping.rows import refresh
from studio.keeping.subjects import subject_of
from studio.queue.claims import has_ledger, ledger_of
from studio.runs.deliver import deliver
from studio.verb import Call, query, verb
from workspace.errors import UsageError, unknown
from workspace.keeping.opinions import Kind, Opinion, Opinions

Json = dict[str, Any]
THUMBS = ("up", "down")
_ABOUT = "What it is about: run, design, turn:STEP, or picture:NAME"


class AddCall(Call):
    """An opinion."""

    about: str = Field("run", max_length=300, description=_ABOUT)
    kind: Literal["thumb", "rating", "vote", "edit", "redirect"] = Field("thumb", description="What is said")
    value: str = Field("", max_length=40, description="up or down; 1 to 5 for a rating; nothing takes it back")
    reason: str = Field("", max_length=2000, description="Why")
    over: str = Field("", max_length=300, description="For a vote: what is liked less, as about; else the same")
    over_run: str = Field("", max_length=200, description="For a vote: the run of what is liked less; else the same")
    blind: bool = Field(False, description="For a vote: nobody saw what made which")
    before: str = Field("", max_length=60_000, description="For an edit: what stood there")
    after: str = Field("", max_length=60_000, description="For an edit: what stands there now")
    who: str = Field("", max_length=200, description="Who says so")


class OpinionRow(BaseModel):
    """An opinion as it is listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    feedback_id: str
    run_id: str
    subject: str
    kind: str
    value: str
    reason: str
    who: str
    at: float
    data: dict[str, Any]
    provenance: dict[str, Any]


@verb(AddCall)
def feedback_add(run_id: str, options: AddCall) -> str:
    """Leave an opinion on a run, a step, a design or a picture, and return its id; an empty value takes it back.

    A person has one thumb and one rating on a subject: a later one takes its place.

    Raises:
        UsageError: There is no such run or part of it, or the value is none.
    """
    home, kind = options.home, options.kind
    value = _value(options)
    with opened(home, run_id) as ledger:
        subject = subject_of(home, ledger, run_id, options.about)
        if kind in ("thumb", "rating") and not value:
            ledger.opinions.take_back(run_id, options.about, kind, options.who)
            return ""
        data = subject.data
        if kind == "vote":
            other_run, other = options.over_run or run_id, options.over or options.about
            if (other_run, other) == (run_id, options.about):
                raise UsageError("a vote needs another to compare with", hint="say over, over_run, or both")
            less = subject_of(home, ledger, other_run, other)
            held = {"run": other_run, "subject": other, **less.data, "provenance": less.provenance}
            data = {"chosen": subject.data, "rejected": held, "blind": options.blind}
        elif kind == "edit":
            data = subject.data | {"before": options.before, "after": options.after}
        return ledger.opinions.add(
            run_id,
            options.about,
            kind,
            value,
            reason=options.reason,
            who=options.who,
            data=data,
            provenance=subject.provenance,
        )


def _value(options: AddCall) -> str:
    value = options.value.strip()
    match options.kind:
        case "thumb" if value not in (*THUMBS, ""):
            raise UsageError(unknown("thumb", value, THUMBS))
        case "rating" if value and value not in map(str, range(1, MOST_RATING + 1)):
            raise UsageError(f"a rating is 1 to {MOST_RATING}, not {value!r}")
        case "vote":
            return "blind" if options.blind else "seen"
        case "edit" if not options.before.strip() or not options.after.strip():
            raise UsageError("an edit needs what stood there before and what stands there after")
        case "redirect" if not (value or options.reason.strip()):
            raise UsageError("a redirect needs a reason: what should be otherwise")
    return value


class FeedbackCall(Call):
    """Which opinions are listed."""

    run: str = Field("", max_length=200, description="Only on this run")
    kind: tuple[Kind, ...] = Field((), description="Only of this kind")
    count: int = Field(100, ge=1, le=10_000, description="How many at most, the newest first")


@query(FeedbackCall)
def feedback_list(options: FeedbackCall) -> tuple[OpinionRow, ...]:
    """List what people think of what was made, the newest first."""
    if not has_ledger(options.home):
        return ()
    refresh(options.home)
    found = []
    with ledger_of(options.home, reading=True) as ledger:
        for one in _chosen(ledger.opinions, options):
            if options.kind and one.kind not in options.kind:
                continue
            found.append(OpinionRow(**vars(one)))
            if len(found) == options.count:
                break
    return tuple(found)


def _chosen(opinions: Opinions, options: FeedbackCall) -> list[Opinion] | Any:
    return reversed(opinions.of_run(options.run)) if options.run else opinions.each(newest=True)


class ExportFeedbackCall(Call):
    """How opinions are written."""

    kind: Way = Field("preference", description="; ".join(f"{name}: {about}" for name, about in WAYS.items()))
    out: Path | None = Field(None, description="The file to write, - for stdout; else feedback-KIND.jsonl, here")


class FeedbackFile(BaseModel):
    """Opinions that were written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    kind: str
    rows: int
    left_out: int = Field(description="Opinions of other kinds, or that make no row, such as votes between two briefs")


@query(ExportFeedbackCall)
def feedback_export(options: ExportFeedbackCall) -> FeedbackFile:
    """Write opinions as JSON Lines to train on: preferences, KTO's labels, or pairs of pictures with their noise."""
    import json

    made: list[str] = []
    left = 0
    if has_ledger(options.home):
        refresh(options.home, 60.0)
        with ledger_of(options.home, reading=True) as ledger:
            for one in ledger.opinions.each():
                rows = rows_of(one, options.kind, options.home)
                made += [json.dumps(row, ensure_ascii=False) for row in rows]
                left += not rows
    path = options.out or Path(f"feedback-{options.kind}.jsonl")
    deliver(path, "".join(f"{line}\n" for line in made).encode())
    return FeedbackFile(path=str(path), kind=options.kind, rows=len(made), left_out=left)
