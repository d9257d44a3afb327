"""The training demonstration: a recipe on the sample corpus, then what every variant knows of it. `make train-demo`.

Every variant is asked the held-out questions, its answers told by four rules
(`training.evaluation.asking.answering`), beside a trigram model of the training text that never sees a question. The
one to read is ``pmi``, how much likelier the question makes the right answer, with what the answer has without it
taken out, and of choices, which are what that model is asked; statements stand beside. Intervals are bootstraps over
passages.

    python -m training.demo
    python -m training.demo --seeds 3      # every stage trained with three seeds, shares averaged over them
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.catalogue.fetch import fingerprint
from training.evaluation.asking.answering import RULES, Question, Told, likelihoods, right_by
from training.evaluation.asking.blind import blind_answers
from training.evaluation.reports.accuracy_bars import plot_accuracy
from training.evaluation.statistics.accuracy import Accuracy, measured
from training.language.rows import digest
from training.language.run import Run, open_run
from training.language.run import main as train
from training.loop.plots import plot_loss
from training.sample.rows import benchmark, sample_rows
from workspace.errors import StudioError
from workspace.files import publish
from workspace.progress import Progress, Tell, in_stage, progress_to, silent
from workspace.settings import load_settings

BASE = "base"

Rules = Mapping[str, Accuracy]


class DemoFigures(BaseModel):
    """What the demonstration measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(description="How long it took")
    seeds: int = Field(description="Trainings of every stage that the shares are means of")
    n: int = Field(description="Questions that each model was asked")
    passages: int = Field(description="What they are about")
    trigram: Accuracy = Field(description="Of the choices, by a model of the training text that sees no question")
    models: dict[str, dict[str, Accuracy]] = Field(
        description="By name, base first, and by rule; of all questions, and as rule_choices and rule_statements apart"
    )

    def flat(self) -> dict[str, Any]:
        """The figures as the demonstration's last line has them: the models beside the rest."""
        held = self.model_dump(mode="json")
        return {**{name: value for name, value in held.items() if name != "models"}, **held["models"]}


def main(recipe: str, home: Path, tell: Tell = silent, seeds: int = 1) -> DemoFigures:
    """Train, measure, plot.

    Args:
        recipe: Its name or file; its variants are compared with its base.
        home: STUDIO_HOME.
        tell: Called with events of progress.
        seeds: How often everything is trained: once as the recipe says, then with other seeds.
    """
    began = time.monotonic()
    run = open_run(recipe, home)
    out = home / "training" / f"{run.recipe.name}-results"
    questions = benchmark()
    told = {BASE: [_told(BASE, run.model("base"), questions, out, tell)]}
    for number in range(seeds):
        own = _seeded(run, number)
        for one in train(own, tell).variants:
            name = one.name.removeprefix(f"{own.recipe.name}-")
            kept = name if number == 0 else f"{name}-{number + 1}"
            told.setdefault(name, []).append(_told(kept, one.folder, questions, out, tell))
            _plot_losses(home, one.name, out)
    models = {name: _by_rule(rows, told[BASE], questions) for name, rows in told.items()}
    choices = [question for question in questions if question["kind"] == "choice"]
    title = f"{len(choices)} held-out choices on the sample corpus, by mutual information"
    plot_accuracy({name: rules["pmi_choices"] for name, rules in models.items()}, out / "accuracy.png", title)
    blind = [float(hit) for hit in blind_answers(_texts(), choices)]
    figures = DemoFigures(
        minutes=round((time.monotonic() - began) / 60, 1),
        seeds=seeds,
        n=len(questions),
        passages=len({question["passage"] for question in questions}),
        trigram=measured(blind, blind, [question["passage"] for question in choices]),
        models={name.replace("-", "_"): dict(rules) for name, rules in models.items()},
    )
    _show(figures, out)
    return figures


def _seeded(run: Run, number: int) -> Run:
    """The same run with the numbered seed; the first is as the recipe says."""
    if number == 0:
        return run
    stages = [
        stage.model_copy(update={"args": stage.args.model_copy(update={"seed": stage.args.seed + number})})
        for stage in run.recipe.stages
    ]
    name = f"{run.recipe.name}-seed-{number + 1}"
    return replace(run, recipe=run.recipe.model_copy(update={"name": name, "stages": stages}))


def _texts() -> list[str]:
    """The text that the sample's stages train on."""
    told = [row["messages"][-1]["content"] for row in sample_rows("sft")]
    return [row["text"] for row in sample_rows("cpt")] + told


def _told(name: str, folder: Path, questions: list[Question], out: Path, tell: Tell) -> list[Told]:
    """What a model makes of every answer; kept, so that the same model is asked once."""
    kept = out / f"{name}.json"
    key = f"{fingerprint(folder)} {digest(questions)} {' '.join(RULES)}"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if known.get("key") != key:
        told = likelihoods(folder, questions, tell=in_stage(tell, "questions"), name=name)
        known = {"key": key, "told": told}
        publish(kept, json.dumps(known))
    return [Told(*map(tuple, row)) for row in known["told"]]


def _by_rule(trained: Sequence[list[Told]], base: Sequence[list[Told]], questions: list[Question]) -> Rules:
    """Accuracy and gain over the base by every rule; of several trainings, question by question, the mean."""
    found = {}
    kinds = {"": ("choice", "truth"), "_choices": ("choice",), "_statements": ("truth",)}
    for rule, (ending, own) in product(RULES, kinds.items()):
        if rule == "letters" and ending != "_choices":
            continue
        asked = [place for place, one in enumerate(questions) if one["kind"] in own]

        def right(told: Sequence[list[Told]], rule: str = rule, asked: Sequence[int] = asked) -> list[float]:
            hits = [[right_by(rule, questions[place], row[place]) for place in asked] for row in told]
            return [float(share) for share in np.mean(hits, axis=0)]

        if asked:
            passages = [questions[place].get("passage", place) for place in asked]
            found[f"{rule}{ending}"] = measured(right(trained), right(base), passages)
    return found


def _plot_losses(home: Path, name: str, out: Path) -> None:
    metrics = home / "training" / name / "metrics.jsonl"
    if metrics.is_file():
        rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        plot_loss(rows, out / f"{name}-loss.png", name)


def _show(figures: DemoFigures, out: Path) -> None:
    print(f"{'variant':<16} {'rule':<18} {'right':>7}   {'95% interval':<15} {'more than base':>15}", file=sys.stderr)
    for name, rules in figures.models.items():
        for rule, row in rules.items():
            print(
                f"{name:<16} {rule:<18} {row.accuracy:>7.1%}   {row.low:.1%} to {row.high:.1%}  {row.gain:>+14.1%}   "
                f"{row.gain_low:+.1%} to {row.gain_high:+.1%}",
                file=sys.stderr,
            )
    blind = figures.trigram
    print(
        f"trigrams of the training text, no question seen: {blind.accuracy:.1%} of the choices "
        f"({blind.low:.1%} to {blind.high:.1%})\nplots in {out}",
        file=sys.stderr,
    )


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
        case "waiting" if event.done or event.of:
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
    parser.add_argument("--seeds", type=int, default=1, help="trainings of every stage, each with another seed")
    chosen = parser.parse_args()
    try:
        with progress_to(show):
            figures = main(chosen.recipe, load_settings().home, show, chosen.seeds)
        print(json.dumps(figures.flat()))
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
