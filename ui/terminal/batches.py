"""How `studio batch` is carried out and shown. Its options are those of `studio.batches`."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from ui.terminal.console import Session, consoles, lines, print_json
from ui.terminal.follow import at_once, finished, follow, leave, queued, submitted
from ui.terminal.generate import Asked, Command
from ui.terminal.wording import span

AGAIN = "the same command goes on"
COMMANDS = {
    "batch": Command(
        "batch",
        "Examples:\n\n  studio batch briefs.jsonl --out panels\n\n"
        "  studio batch briefs.csv --out panels --images 1 --in-flight 32 --dry-run\n\n"
        "  studio batch grid.yaml --out grid --max-failures 20\n\n"
        "  studio batch briefs.jsonl --out panels --retry-failed\n\n"
        "  studio batch briefs.jsonl --out panels --engine ray --address 10.0.0.1:6379 --in-flight 64 --painters 4\n\n"
        "Input: JSONL, CSV, text (a brief a line), OpenAI's batch lines, or a grid (YAML). The same command goes on "
        "where it was stopped, and makes only what is not done. OUT/index.html shows the designs, results.jsonl and "
        "results.parquet hold them, failures.jsonl says what failed and why.",
        "batches:batch",
        subject="FILE...",
        about="Files of briefs or grids; - reads stdin.",
        many=True,
    )
}


def batch(asked: Asked) -> None:
    """Queue a batch and follow it, or say what it would take; what is left is an exit code of its own."""
    if asked.options.dry_run:
        made = at_once(asked, asked.subject).model_dump(mode="json")
        if asked.as_json:
            print_json(made)
        else:
            _estimate(made)
        return
    job_id = queued(asked, asked.subject)
    if asked.detach:
        submitted(job_id, asked.as_json)
        return
    follow(job_id, again=AGAIN)
    summary = finished(job_id)
    if asked.as_json:
        print_json(summary)
        Session.json = False
    else:
        _summary(summary)
    if left := asked.verb.summary(summary).again:
        leave([left])


def _summary(made: dict[str, Any]) -> None:
    """A batch as it was left."""
    tokens = made["tokens_in"] + made["tokens_out"]
    lines(
        [
            ("designs", f"{made['done']:,} done, {made['failed']:,} failed, {made['waiting']:,} wait"),
            *([("lines", f"{made['faults']:,} gave no item")] if made["faults"] else []),
            *([("tokens", f"{made['tokens_in']:,} read, {made['tokens_out']:,} written")] if tokens else []),
            ("pictures", f"{made['pictures']:,}"),
            ("took", f"{span(made['seconds'])} this time, {made['in_flight']} at a time, {made['engine']}"),
            ("page", made["page"]),
        ],
        12,
    )
    for kind in made["reasons"]:
        words = f"{kind['count']:>6,}  {kind['reason']}{' (may pass)' if kind['retryable'] else ''}"
        consoles()[0].print(Text(words), soft_wrap=True)


def _estimate(made: dict[str, Any]) -> None:
    """What a batch would take, as far as that is known."""
    counts = made["counts"]
    none = "not known: nothing of this batch is made yet"
    tokens = (made["tokens_in"], made["tokens_out"])
    lines(
        [
            ("to be made", f"{counts['waiting']:,} designs"),
            ("stand", f"{counts['done']:,} done, {counts['failed']:,} failed, {counts['absent']:,} of earlier inputs"),
            ("lines", f"{counts['faults']:,} give no item, {counts['repeats']:,} say what another says"),
            ("by", f"{made['engine']}, {made['in_flight']} at a time"),
            ("tokens", none if None in tokens else f"about {tokens[0]:,} to read, {tokens[1]:,} to write"),
            ("pictures", none if made["pictures"] is None else f"about {made['pictures']:,}"),
            ("time", none if made["seconds"] is None else f"about {span(made['seconds'])}"),
        ],
        12,
    )
