"""Kill -9 at random moments of a recipe (corpus, CPT, SFT, DPO, ORPO, merge), then the same command: is it the same?

A small random model stands for a large one, so that every stage takes seconds; the sample's PDFs, its rows, the stages,
checkpoints and merging are the real ones. Killed once at every moment drawn, the command is run again to its
end; losses and weights are then compared with an uninterrupted run's. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from home import environment
from kill_resume import kill
from stages import base

STAGES = ("cpt", "cpt-sft", "cpt-sft-dpo", "cpt-sft-orpo", "cpt-sft-dpo-slerp")
PAPERS = Path(__file__).resolve().parent.parent / "training" / "sample" / "papers"
RECIPE = """
name: killed
base: {base}
stages:
  - {{name: papers, stage: corpus, corpus: {{inputs: [{papers}]}}}}
  - name: cpt
    stage: cpt
    data: [{{from: papers}}]
    args: &short {{max_steps: 12, max_length: 128, per_device_train_batch_size: 4, learning_rate: 1.0e-3,
      logging_steps: 1, save_steps: 3, bf16: false}}
  - {{name: cpt-sft, stage: sft, data: [{{path: sample}}], args: *short}}
  - {{name: cpt-sft-dpo, stage: dpo, data: [{{path: sample}}], args: *short}}
  - {{name: cpt-sft-orpo, stage: orpo, from: cpt-sft, data: [{{path: sample}}], args: *short}}
  - {{name: cpt-sft-dpo-slerp, stage: slerp, from: cpt-sft-dpo, into: {base}}}
"""


def start(recipe: Path, home: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "ui.cli", "train", "run", str(recipe), "--json"]
    env = environment(home)
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def losses(home: Path) -> dict[str, dict[int, float]]:
    """The last loss of every step, by stage."""
    found = {}
    for stage in STAGES[:-1]:
        file = home / "training" / f"killed-{stage}" / "metrics.jsonl"
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
        found[stage] = {row["step"]: row["loss"] for row in rows if "loss" in row}
    return found


def weights(home: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    from models.catalogue.fetch import VARIANTS

    return {stage: load_file(home / VARIANTS / f"killed-{stage}" / "model.safetensors") for stage in STAGES}


def half_written(home: Path) -> list[str]:
    """Variants that can be seen and are not whole."""
    from models.catalogue.fetch import VARIANTS
    from workspace.files import MANIFEST, verify

    folders = [path for path in (home / VARIANTS).glob("killed-*") if path.is_dir()]
    return [path.name for path in folders if not (path / MANIFEST).is_file() or verify(path)]


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference between two runs' weights."""
    return max(
        float((one[stage][name].float() - weight.float()).abs().max())
        for stage in one
        for name, weight in other[stage].items()
    )


def running(home: Path) -> list[str]:
    """The jobs that are being carried out."""
    from studio.queue.submit import summaries

    return [job.job_id for job in summaries(home) if job.state == "running"]


def killed(recipe: Path, home: Path, moment: float) -> bool:
    """Run and kill at a moment; whether it was still running then."""
    process, dead = start(recipe, home), False
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        dead = any(kill(home, job_id) for job_id in running(home))
    process.communicate()
    return dead


def one_kill(recipe: Path, length: float, draw: random.Random, want: tuple[Any, Any]) -> dict[str, Any]:
    """Kill at a random moment, run again to the end, compare; a run that ended before its moment is tried again."""
    with tempfile.TemporaryDirectory(prefix="studio-benchmark-") as name:
        home = Path(name) / "home"
        while not killed(recipe, home, moment := draw.uniform(0, length)):
            shutil.rmtree(home)
        stood = [stage for stage in ("papers", *STAGES) if (home / "training" / f"killed-{stage}").is_dir()]
        half = half_written(home)
        again = start(recipe, home)
        _, errors = again.communicate()
        row = {"moment_seconds": round(moment, 1), "in": stood[-1] if stood else "start", "half_written": half}
        if again.returncode:
            return {**row, "exit": again.returncode, "error": errors.strip().splitlines()[-1:]}
        got = losses(home)
        return {
            **row,
            "exit": 0,
            "loss": max(abs(got[stage][step] - loss) for stage, rows in want[0].items() for step, loss in rows.items()),
            "weights": apart(weights(home), want[1]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="studio-benchmark-") as name:
        folder = Path(name)
        recipe, home = folder / "killed.yaml", folder / "home"
        recipe.write_text(RECIPE.format(base=base("small", folder / "base"), papers=PAPERS), encoding="utf-8")
        home.mkdir()
        began = time.monotonic()
        process = start(recipe, home)
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(errors)
        length, want = time.monotonic() - began, (losses(home), weights(home))
        rows = []
        for number in range(options.kills):
            rows.append(one_kill(recipe, length, draw, want))
            print(f"kill {number + 1} of {options.kills}: {rows[-1]}", file=sys.stderr, flush=True)
        shutil.rmtree(home)
    resumed = [row for row in rows if row["exit"] == 0]
    print(
        json.dumps(
            {
                "benchmark": "kill_training",
                "kills": len(rows),
                "resumed": len(resumed),
                "loss_apart": max((row["loss"] for row in resumed), default=None),
                "weights_apart": max((row["weights"] for row in resumed), default=None),
                "half_written": sum(bool(row["half_written"]) for row in rows),
                "seconds_uninterrupted": round(length, 1),
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
