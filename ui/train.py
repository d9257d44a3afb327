"""The training commands. Knows how to show them; not how they are done."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

train_app = typer.Typer(
    help="Training: adapters for the painter.",
    epilog="Examples:\n\n  studio train image-lora my-leaves.yaml\n\n  studio train image-lora my-leaves.yaml --plan",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")]


@train_app.callback()
def train() -> None:
    """Train what the studio works with."""


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
