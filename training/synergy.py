"""The study's experiment at 135M: variants, merges, scores with intervals, and a report. `make synergy-demo`.

The training demonstration's variants (made if they are not there) are merged with the instruct model that they came
from, by SLERP with the study's gradients, each beside LERP at the same t; task arithmetic and a uniform soup are the
other rivals. Every model is asked the held-out choices of the sample by mutual information, which is the figure that
the demonstration's own trainings settled on, and 144 general questions, which show what was forgotten. What merges,
rivals and figure are was written down before any merge was measured.

    python -m training.synergy
    python -m training.synergy --recipe my-recipe.yaml --out report
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.demo import show
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.evaluate import evaluate
from training.evaluation.lineage import lineage
from training.evaluation.reports.folder import write_report
from training.evaluation.reports.report import build_report
from training.evaluation.reports.shapes import ReportOptions
from training.evaluation.results import Evaluation, MergeRecord, Variant
from training.evaluation.statistics.synergy import Rival
from training.language.recipe import BASE, DATA, parents
from training.language.run import Run, open_run
from training.language.run import main as train
from training.merging.config import MergeConfig, Preset
from training.merging.run import merge
from workspace.errors import DataError, StudioError
from workspace.progress import Remark, Tell, in_stage, progress_to, silent
from workspace.settings import load_settings

BENCHMARK = EvaluateConfig(tasks=("sample",), subsets=("choice",), rule="pmi")
GENERAL = EvaluateConfig(tasks=("forgetting",), rule="pmi")
HALF = 0.5
"""Weight of every task vector in task arithmetic; 1 / n of n vectors would be their soup over again."""
CURVES: tuple[Preset, ...] = ("reference", "linear")
"""Of every tuned variant; the first of them has the alternative curve and the norm-geometric SLERP too."""


class SynergyFigures(BaseModel):
    """What the experiment found; the last line of `make synergy-demo`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(description="How long it took, of what was not there before")
    variants: int = Field(description="Models that were measured: base, tuned variants, epochs, merges")
    merges: int
    comparisons: int = Field(description="Merges beside their rivals, corrected together")
    better: tuple[str, ...] = Field(description="Merges that are better than their best parent")
    synergy: tuple[str, ...] = Field(description="Merges that are better than each of their rivals")
    report: Path


def main(recipe: str, home: Path, out: Path, tell: Tell = silent) -> SynergyFigures:
    """Train what is not there, merge, measure, report; stopped at any moment, the same call goes on.

    Args:
        recipe: Its name or file: a base and stages, the last ones preferences.
        home: STUDIO_HOME.
        out: The report's folder.
        tell: Called with events of progress.
    """
    began = time.monotonic()
    run = open_run(recipe, home)
    train(run, tell)
    base, tuned = run.recipe.base, _tuned(run)
    records = [merge(one, home, in_stage(tell, one.name)) for one in grid(run.recipe.name, base, tuned)]
    models: list[str | Path] = [
        base,
        *(run.name(stage.name) for stage in run.recipe.stages if stage.stage not in DATA),
        *_epochs(run),
    ]
    models += [record.name for record in records]
    evaluations = [one for model in models for one in _asked(model, home, in_stage(tell, "questions"))]
    names = list(dict.fromkeys(one.model for one in evaluations))
    options = ReportOptions(
        title=f"Merges of {run.recipe.name} at {base}: held-out choices, by mutual information",
        task="sample",
        forgetting="forgetting",
        baseline=evaluations[0].model,
        rivals=_rivals(run.recipe.name, records),
    )
    report = build_report(evaluations, records, [_described(name, run) for name in names], options)
    write_report(report, out)
    tell(Remark(text=f"report: {out / 'report.html'}"))
    return SynergyFigures(
        minutes=round((time.monotonic() - began) / 60, 1),
        variants=len(names),
        merges=len(records),
        comparisons=sum(len(finding.rivals) for finding in report.findings),
        better=tuple(one.merge for one in report.findings if one.rivals[0].verdict == "better"),
        synergy=tuple(one.merge for one in report.findings if one.verdict == "synergy"),
        report=out / "report.html",
    )


def grid(name: str, base: str, tuned: Sequence[str]) -> list[MergeConfig]:
    """The merges: each tuned variant with the base by SLERP and LERP, and the plain ways to put the tuned together.

    Args:
        name: What merges' names begin with.
        base: The model for t = 0, from which all were trained.
        tuned: At least two variants for t = 1.
    """
    made = []
    for place, variant in enumerate(tuned):
        short = variant.removeprefix(f"{name}-")
        curves: tuple[Preset, ...] = (*CURVES, "alternative") if place == 0 else CURVES
        for curve in curves:
            for method in ("slerp", "lerp"):
                made.append(
                    MergeConfig(
                        name=f"{name}-{short}-{method}-{curve}", method=method, models=(base, variant), preset=curve
                    )
                )
    made.append(
        MergeConfig(
            name=f"{made[0].name.removesuffix('slerp-reference')}norm-slerp-reference",
            method="norm_slerp",
            models=(base, tuned[0]),
            preset="reference",
        )
    )
    halves = (HALF,) * len(tuned)
    made.append(
        MergeConfig(
            name=f"{name}-task-arithmetic", method="task_arithmetic", models=tuple(tuned), base=base, weights=halves
        )
    )
    made.append(MergeConfig(name=f"{name}-soup", method="linear", models=tuple(tuned)))
    return made


def _tuned(run: Run) -> list[str]:
    """The variants that are merged: those that answer questions, in the recipe's order.

    Raises:
        DataError: There are fewer than two.
    """
    found = [run.name(stage.name) for stage in run.recipe.stages if stage.stage in ("sft", "dpo", "orpo")]
    if len(found) < 2:
        raise DataError(
            f"{run.recipe.name} has {len(found)} stages of sft, dpo or orpo; an experiment merges two or more"
        )
    return found


def _epochs(run: Run) -> Iterator[Path]:
    """What continued pretraining kept after its epochs, but for the last, which is the variant itself."""
    for stage in run.recipe.stages:
        if stage.stage == "cpt" and parents(run.recipe, stage) == [BASE]:
            kept = sorted((run.work(stage.name) / "epochs").glob("[0-9]*"), key=lambda path: float(path.name))
            yield from kept[:-1]


def _described(name: str, run: Run) -> Variant:
    """Where a model comes from; continued pretraining's variant is that of its last epoch."""
    found = lineage(name, run.home)
    ends = {run.name(one.name): one.args.num_train_epochs for one in run.recipe.stages if one.stage == "cpt"}
    return found.model_copy(update={"epoch": float(ends[name])}) if name in ends else found


def _asked(model: str | Path, home: Path, tell: Tell) -> list[Evaluation]:
    return [*evaluate(model, BENCHMARK, home, tell), *evaluate(model, GENERAL, home, tell)]


def _rivals(name: str, records: Sequence[MergeRecord]) -> dict[str, dict[Rival, str]]:
    """For merges along the sphere: task arithmetic and soup, which are of all the tuned variants."""
    plain: dict[Rival, str] = {"task arithmetic": f"{name}-task-arithmetic", "soup of as much compute": f"{name}-soup"}
    return {record.name: plain for record in records if record.method in ("slerp", "norm_slerp")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--out", type=Path, help="the report's folder; by default in STUDIO_HOME/training")
    chosen = parser.parse_args()
    try:
        home = load_settings().home
        with progress_to(show):
            figures = main(chosen.recipe, home, chosen.out or home / "training" / "synergy-report", show)
        print(json.dumps(figures.model_dump(mode="json")))
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
