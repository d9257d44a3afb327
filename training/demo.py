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

from models.catalogue.fetch import fingerprint
from training.evaluation.answering import answers
from training.evaluation.figures import plot_accuracy
from training.evaluation.statistics import gain, interval
from training.language.rows import digest
from training.language.run import main as train
from training.language.run import open_run
from training.loop.plots import plot_loss
from training.sample.rows import benchmark
from workspace.errors import StudioError
from workspace.files import publish
from workspace.settings import load_settings


def main(recipe: str, home: Path) -> dict[str, Any]:
    """Train, measure, plot.

    Args:
        recipe: Its name or file; its variants are compared with its base.
        home: STUDIO_HOME.

    Returns:
        Minutes, questions, and of every variant accuracy with its interval and its gain over the base.
    """
    began = time.monotonic()
    run = open_run(recipe, home)
    out = home / "training" / f"{run.recipe.name}-results"
    made = train(run, _tell)["variants"]
    questions = benchmark()
    folders = {"base": run.model("base")} | {
        one["name"].removeprefix(f"{run.recipe.name}-"): Path(one["folder"]) for one in made
    }
    right = {}
    for name, folder in folders.items():
        kept = out / f"{name}.json"
        key = f"{fingerprint(folder)} {digest(questions)}"
        known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        if known.get("key") != key:
            _tell({"stage": "questions", "asked of": name})
            known = {"key": key, "right": answers(folder, questions)}
            publish(kept, json.dumps(known))
        right[name] = known["right"]
    told = {name: _figures(name, right) for name in right}
    for one in made:
        metrics = home / "training" / one["name"] / "metrics.jsonl"
        if metrics.is_file():
            rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
            plot_loss(rows, out / f"{one['name']}-loss.png", one["name"])
    plot_accuracy(told, out / "accuracy.png", f"{len(questions)} held-out questions on the sample corpus")
    _show(told, out)
    minutes = round((time.monotonic() - began) / 60, 1)
    return {"minutes": minutes, "n": len(questions)} | {name.replace("-", "_"): row for name, row in told.items()}


def _figures(name: str, right: dict[str, list[bool]]) -> dict[str, float]:
    accuracy, low, high = interval(right[name])
    more, least, most = gain(right[name], right["base"])
    told = {"accuracy": accuracy, "low": low, "high": high, "gain": more, "gain_low": least, "gain_high": most}
    return {key: round(value, 4) for key, value in told.items()}


def _show(told: dict[str, dict[str, float]], out: Path) -> None:
    print(f"{'variant':<16} {'right':>7}   {'95% interval':<15} {'more than base':>15}   95% interval", file=sys.stderr)
    for name, row in told.items():
        print(
            f"{name:<16} {row['accuracy']:>7.1%}   {row['low']:.1%} to {row['high']:.1%}  {row['gain']:>+14.1%}   "
            f"{row['gain_low']:+.1%} to {row['gain_high']:+.1%}",
            file=sys.stderr,
        )
    print(f"plots in {out}", file=sys.stderr)


def _tell(row: dict[str, Any]) -> None:
    if "loss" in row:
        line = f"{row['stage']}: step {row['step']} of {row['of']}  loss {row['loss']:.3f}  {row['left_s']} s left"
    else:
        line = f"{row['stage']}: " + "  ".join(f"{key} {value}" for key, value in row.items() if key != "stage")
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", default="demo")
    try:
        print(json.dumps(main(parser.parse_args().recipe, load_settings().home)))
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
