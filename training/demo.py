"""The training demonstration: a recipe on the sample corpus, then what every variant knows of it. `make train-demo`.

python -m training.demo
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.catalogue.fetch import fingerprint
from training.evaluation.answering import answers
from training.evaluation.figures import plot_accuracy
from training.evaluation.statistics import Accuracy, measured
from training.language.rows import digest
from training.language.run import main as train
from training.language.run import open_run
from training.loop.plots import plot_loss
from training.sample.rows import benchmark
from workspace.errors import StudioError
from workspace.files import publish
from workspace.progress import Progress, Tell, in_stage, progress_to, silent
from workspace.settings import load_settings


class DemoFigures(BaseModel):
    """What the demonstration measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(description="How long it took")
    n: int = Field(description="Questions that each model was asked")
    models: dict[str, Accuracy] = Field(description="By name: base, and every variant")

    def flat(self) -> dict[str, Any]:
        """The figures as the demonstration's last line has them: the models beside the rest."""
        held = self.model_dump(mode="json")
        return {"minutes": held["minutes"], "n": held["n"], **held["models"]}


def main(recipe: str, home: Path, tell: Tell = silent) -> DemoFigures:
    """Train, measure, plot.

    Args:
        recipe: Its name or file; its variants are compared with its base.
        home: STUDIO_HOME.
        tell: Called with events of progress.
    """
    began = time.monotonic()
    run = open_run(recipe, home)
    out = home / "training" / f"{run.recipe.name}-results"
    variants = train(run, tell).variants
    questions = benchmark()
    folders = {"base": run.model("base")} | {
        one.name.removeprefix(f"{run.recipe.name}-"): one.folder for one in variants
    }
    right = {name: _answers(name, folder, questions, out, tell) for name, folder in folders.items()}
    figures = {name: measured(right[name], right["base"]) for name in right}
    for one in variants:
        metrics = home / "training" / one.name / "metrics.jsonl"
        if metrics.is_file():
            rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
            plot_loss(rows, out / f"{one.name}-loss.png", one.name)
    plot_accuracy(figures, out / "accuracy.png", f"{len(questions)} held-out questions on the sample corpus")
    _show(figures, out)
    minutes = round((time.monotonic() - began) / 60, 1)
    return DemoFigures(
        minutes=minutes, n=len(questions), models={name.replace("-", "_"): row for name, row in figures.items()}
    )


def _answers(name: str, folder: Path, questions: list[dict[str, Any]], out: Path, tell: Tell) -> list[bool]:
    """Whether a model answers each question right; kept, so that the same model is asked once."""
    kept = out / f"{name}.json"
    key = f"{fingerprint(folder)} {digest(questions)}"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if known.get("key") != key:
        known = {"key": key, "right": answers(folder, questions, tell=in_stage(tell, "questions"), name=name)}
        publish(kept, json.dumps(known))
    right: list[bool] = known["right"]
    return right


def _show(figures: dict[str, Accuracy], out: Path) -> None:
    print(f"{'variant':<16} {'right':>7}   {'95% interval':<15} {'more than base':>15}   95% interval", file=sys.stderr)
    for name, row in figures.items():
        print(
            f"{name:<16} {row.accuracy:>7.1%}   {row.low:.1%} to {row.high:.1%}  {row.gain:>+14.1%}   "
            f"{row.gain_low:+.1%} to {row.gain_high:+.1%}",
            file=sys.stderr,
        )
    print(f"plots in {out}", file=sys.stderr)


def show(event: Progress) -> None:
    """Print an event as a line; of answers every hundredth."""
    match event.type:
        case "training_step":
            words = f"step {event.step} of {event.of}  loss {event.loss:.3f}  {event.left_s or 0:.0f} s left"
        case "rows_prepared":
            words = f"{event.rows} rows  {event.tokens} tokens  {event.left_out}".rstrip()
        case "questions_answered":
            if event.answered % 100 and event.answered != event.of:
                return
            words = f"{event.model} answered {event.answered} of {event.of}"
        case "waiting" if event.done:
            return
        case "stage_started" | "waiting":
            words = event.doing
        case "stage_finished":
            words = "done" if event.made else "done before"
        case "document_read":
            words = f"document {event.documents} of {event.of}  {event.why}".rstrip()
        case "passage_distilled":
            words = f"passage {event.passages} of {event.of}  {event.rows} rows  {event.why}".rstrip()
        case "downloaded":
            words = f"{event.file}  {event.bytes} of {event.of} bytes"
        case "remark":
            words = event.text
    print(f"{event.stage}: {words}" if event.stage else words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", default="demo")
    try:
        with progress_to(show):
            figures = main(parser.parse_args().recipe, load_settings().home, show)
        print(json.dumps(figures.flat()))
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
