"""The training commands. Knows how to show them; not how they are done."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ui.terminal.distil import EXAMPLES, distil

if TYPE_CHECKING:
    from workspace.progress import Progress

train_app = typer.Typer(
    help="Training: a corpus from papers, questions from it, language models, adapters for the painter.",
    epilog="Examples:\n\n  studio train corpus papers/ --out corpus\n\n"
    "  studio train distil corpus --out distilled\n\n"
    "  studio train run llama-3.1-8b-instruct --plan\n\n  studio train image-lora my-leaves.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")]


@train_app.callback()
def train() -> None:
    """Train what the studio works with."""


train_app.command("distil", epilog=EXAMPLES)(distil)


@train_app.command(
    "image-lora",
    epilog="Examples:\n\n  studio train image-lora my-leaves.yaml\n\n"
    "  studio train image-lora my-leaves.yaml --out runs/my-leaves\n\n"
    "The same command goes on where it was stopped.",
)
def image_lora(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file; pictures lie beside .txt captions.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for cache, checkpoint, samples and adapter.", show_default=False)
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Check everything, print the settings, train nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Train a LoRA adapter of a painter on a folder of captioned pictures."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import studio

    err = Console(stderr=True, highlight=False)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=plan or not err.is_terminal) as bar:
        task = bar.add_task("training", total=None, told="encoding pictures")

        def told(row: dict[str, Any]) -> None:
            if "remark" in row:
                err.print(f"note: {row['remark']}", markup=False, soft_wrap=True)
                return
            words = f"loss {row['loss']:.4f}  {row['pictures_s']:.1f} pictures/s"
            bar.update(task, completed=row["step"], total=row["of"], told=words)
            if not err.is_terminal:
                err.print(f"step {row['step']} of {row['of']}  {words}  {row['left_s']} s left", markup=False)

        made = studio.train_image_lora(config, out, plan=plan, listener=told)
    if as_json:
        sys.stdout.write(json.dumps(made) + "\n")
        return
    for key, value in made.items():
        Console(highlight=False).print(f"{key:<12} {value}", markup=False, soft_wrap=True)


@train_app.command(
    "corpus",
    epilog="Examples:\n\n  studio train corpus papers/ --out corpus\n\n"
    '  studio train corpus papers/ list.bib --out corpus --topic "spider silk and its mechanics" '
    "--benchmark questions.jsonl\n\n"
    "Inputs are PDF, Markdown and text files, folders of them, and lists of references (CSV, BibTeX, RIS, Web of "
    "Science), which give papers their titles and DOIs. The same command goes on where it was stopped.",
)
def corpus(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Files, folders, lists of references.")],
    out: Annotated[Path, typer.Option(help="Folder for passages.jsonl, dropped.jsonl and report.json.")],
    pdf: Annotated[str, typer.Option(help="Converter of PDFs: pdfium, pdftext, or marker (reads scans).")] = "pdfium",
    topic: Annotated[str, typer.Option(help="What documents should be about; others are dropped.")] = "",
    relevance: Annotated[float, typer.Option(help="Least likeness to the topic, a cosine.")] = 0.2,
    language: Annotated[list[str], typer.Option(help="Two-letter code; give it again for more.")] = ["en"],  # noqa: B006
    near: Annotated[float, typer.Option(help="Likeness from which passages are the same; 1: exact ones.")] = 0.8,
    benchmark: Annotated[
        list[Path] | None, typer.Option(help="Evaluation set whose words may not be in the corpus.", show_default=False)
    ] = None,
    contamination: Annotated[
        str, typer.Option(help="refuse passages with a benchmark's words, or keep them.")
    ] = "refuse",
    crossref: Annotated[bool, typer.Option("--crossref", help="Look up missing DOIs of a list.")] = False,
    mail: Annotated[str, typer.Option(help="Your address, which Crossref asks for.")] = "",
    seconds: Annotated[float, typer.Option(help="For reading one file.")] = 120.0,
    memory_mb: Annotated[int, typer.Option(help="For reading one file.")] = 4096,
    most_pages: Annotated[int, typer.Option(help="Pages of one PDF; longer ones are skipped.")] = 2000,
    as_json: Json = False,
) -> None:
    """Turn papers into clean passages, each with its source, and say what was dropped and why."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    import studio

    err = Console(stderr=True, highlight=False, emoji=False)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def show(event: Progress) -> None:
            if event.type == "document_read":
                bar.update(task, completed=event.documents, total=event.of)
                if event.why:
                    err.print(f"skipped {event.document}: {event.why}", markup=False, soft_wrap=True)

        report = studio.train_corpus(
            inputs,
            out,
            listener=show,
            pdf=pdf,
            topic=topic,
            relevance=relevance,
            languages=tuple(language),
            near=near,
            benchmarks=tuple(benchmark or ()),
            contamination=contamination,
            crossref=crossref,
            mail=mail,
            seconds=seconds,
            memory_mb=memory_mb,
            most_pages=most_pages,
        )
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    _show_corpus(report, out)


def _show_corpus(report: dict[str, Any], out: Path) -> None:
    from pipelines.corpus.files import shown

    rows = [
        ("documents", f"{report['documents']} read, {len(report['skipped'])} skipped, {report['pages']} pages"),
        ("passages", f"{report['passages']} kept, {report['words']:,} words"),
        *((f"dropped by {gate}", str(count)) for gate, count in report["dropped"].items()),
        ("in", shown(out)),
    ]
    for key, value in rows:
        Console(highlight=False, emoji=False).print(f"{key:<28} {value}", markup=False, soft_wrap=True)


@train_app.command(
    "run",
    epilog="Examples:\n\n  studio train run llama-3.1-8b-instruct --plan\n\n  studio train run my-recipe.yaml\n\n"
    "  studio train run my-recipe.yaml --launch accelerate --config fsdp2 --processes 8\n\n"
    "  studio train run my-recipe.yaml --launch ray --processes 16\n\n"
    '  studio design "a tough panel" --model my-recipe-cpt-sft\n\n'
    "The same command goes on where it was stopped; a stage whose inputs did not change is not run again.",
)
def run(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="YAML file, or the name of a shipped recipe.")],
    plan: Annotated[bool, typer.Option("--plan", help="Print arguments, memory and time; train nothing.")] = False,
    launch: Annotated[str, typer.Option(help="Who starts the processes: none (this one), accelerate, ray.")] = "none",
    config: Annotated[
        str | None,
        typer.Option(help="accelerate's: ddp (if not given), fsdp2, zero3, multi-node, or a file.", show_default=False),
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="How many, on all machines.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Train language models by a recipe: papers to rows, continued pretraining, SFT, DPO, ORPO, merges."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    import studio

    err = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Bar(*columns, console=err, disable=plan or not err.is_terminal) as bar:
        task = bar.add_task("", total=None, told="")

        def show(event: Progress) -> None:
            done, of, words = _worded(event)
            if done is not None:
                bar.update(task, description=event.stage, completed=done, total=of, told=words)
            if event.type in ("document_read", "passage_distilled") and event.why:
                name = event.document if event.type == "document_read" else event.passage
                err.print(f"{event.stage}: {name}: {event.why}", markup=False, soft_wrap=True)
            if done is None or not err.is_terminal:
                err.print(f"{event.stage}: {words}", markup=False, soft_wrap=True)

        made = studio.train_recipe(recipe, plan=plan, launch=launch, config=config, processes=processes, listener=show)
    if as_json:
        sys.stdout.write(json.dumps(made) + "\n")
    elif plan:
        _show_plan(made)
    else:
        for one in [*made["data"], *made["variants"]]:
            Console(highlight=False).print(
                f"{one['name']:<28} {'made' if one['made'] else 'made before'}  {one['folder']}",
                markup=False,
                soft_wrap=True,
            )


def _worded(event: Progress) -> tuple[int | None, int, str]:
    """How far a stage is and of how many, if the event says so, and the event in words."""
    match event.type:
        case "training_step":
            words = f"loss {event.loss:.3f}  {event.tokens_s or 0:,.0f} tokens/s  {event.left_s or 0:.0f} s left"
            return event.step, event.of, f"step {event.step} of {event.of}  {words}"
        case "document_read":
            return event.documents, event.of, f"document {event.documents} of {event.of}"
        case "passage_distilled":
            words = f"{event.rows} rows  {event.per_minute:g} passages/min  {event.left_s:.0f} s left"
            return event.passages, event.of, f"passage {event.passages} of {event.of}  {words}"
        case "stage_started":
            return None, 0, event.doing
        case "stage_finished":
            return None, 0, "done" if event.made else "done before"
        case "rows_prepared":
            cut = f"{event.rows} rows  {event.tokens:,} tokens  {event.truncated:.1%} cut"
            return None, 0, f"{cut}  left out {event.left_out}" if event.left_out else cut
        case "remark":
            return None, 0, event.text
        case _:
            return None, 0, event.type


def _show_plan(made: dict[str, Any]) -> None:
    out = Console(highlight=False)
    here = made["machine"]
    out.print(f"{made['recipe']} from {made['base']}, {made['processes']} processes; here: {here['name']}, "
              f"{here['memory_gb']} GB", markup=False, soft_wrap=True)  # fmt: skip
    if made["missing"]:
        out.print(made["missing"], markup=False, soft_wrap=True)
    for row in made["stages"]:
        source = f", from {row['from']}" if "from" in row else ""
        out.print(f"\n{row['name']} ({row['stage']}{source})", markup=False, soft_wrap=True)
        shown = {
            key: value
            for key, value in row.items()
            if key not in ("name", "stage", "from") and value not in (None, "", (), [])
        }
        for key, value in shown.items():
            out.print(f"  {key:<28} {value}", markup=False, soft_wrap=True)
