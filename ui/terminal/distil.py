"""The command that distils a corpus. Knows how to show it; not how it is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from workspace.progress import Progress, Tell

_KINDS = (
    "title, summary, insights, facts, details, comparisons, open, choice, truth, reasoning, conversation, preference, "
    "style; all but style if not given"
)
EXAMPLES = (
    "Examples:\n\n  studio train distil corpus --out distilled\n\n"
    "  studio train distil corpus --out distilled --kinds open,choice,preference --limit 20\n\n"
    "  studio train distil corpus --out distilled --server http://127.0.0.1:8000/v1 --model llama-3.1-8b-instruct\n\n"
    "The rows lie in OUT/data: text.jsonl, messages.jsonl and preferences.jsonl, each as Parquet too. The same command "
    "goes on where it was stopped; nothing is asked twice."
)


def distil(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="Folder of `studio train corpus`, or passages.jsonl.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for answers (ledger) and rows (data).")],
    model: Annotated[
        str | None, typer.Option(help="Catalogue id, folder, or the server's name for it.", show_default=False)
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="OpenAI-compatible base URL; none: in process.", show_default=False)
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="LoRA adapter of the model.", show_default=False)] = None,
    kinds: Annotated[str, typer.Option(help=f"What to distil, by commas: {_KINDS}.", show_default=False)] = "",
    limit: Annotated[int | None, typer.Option(help="Passages, from the first.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the writing and the order of options.")] = 42,
    near: Annotated[float, typer.Option(help="Likeness from which questions are the same; 1: exact ones.")] = 0.7,
    grounding: Annotated[float, typer.Option(help="Least share of content words from the passage.")] = 0.4,
    benchmark: Annotated[
        list[Path] | None, typer.Option(help="Evaluation set whose words may not be in a row.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(help="Passages asked for at once, of a served model.")] = 8,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again for what could not be written.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")
    ] = False,
) -> None:
    """Turn passages into questions, answers, prose and preference pairs, each with its source."""
    import studio

    options: dict[str, Any] = {"limit": limit, "seed": seed, "near": near, "grounding": grounding}
    options |= {"workers": workers, "retry": retry, "benchmarks": tuple(benchmark or ())}
    if kinds:
        options["kinds"] = tuple(one.strip() for one in kinds.split(",") if one.strip())
    err = Console(stderr=True, highlight=False)
    with _bar(err) as told:
        report = studio.train_distil(corpus, out, model=model, server=server, adapter=adapter, listener=told, **options)
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        _show(report)


@contextmanager
def _bar(err: Console) -> Iterator[Tell]:
    """Progress: passages, rows, passages a minute, time left; plain lines where there is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("passages"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("distilling", total=None, told="")

        def show(event: Progress) -> None:
            if event.type != "passage_distilled":
                return
            words = f"{event.rows} rows  {event.per_minute:g} passages/min  {event.left_s:.0f} s left"
            bar.update(task, completed=event.passages, total=event.of, told=words)
            if event.why:
                err.print(f"passage {event.passage}: {event.why}", markup=False, soft_wrap=True)
            if not err.is_terminal:
                err.print(f"passage {event.passages} of {event.of}  {words}", markup=False, soft_wrap=True)

        yield show


def _show(report: dict[str, Any]) -> None:
    rows = [
        ("passages", f"{report['passages']} of {report['documents']} documents, in {report['minutes']} minutes"),
        *((f"{name}.jsonl", f"{count} rows") for name, count in report["rows"].items() if count),
        *((f"dropped: {check}", str(count)) for check, count in report["dropped"].items()),
        *([("not written", f"{len(report['refused'])}; --retry asks again")] if report["refused"] else []),
        ("in", report["data"]),
    ]
    for key, value in rows:
        Console(highlight=False).print(f"{key:<28} {value}", markup=False, soft_wrap=True)
