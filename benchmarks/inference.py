"""Whether intervals hold what they promise and tests claim no more than they may: simulated models. Prints JSON.

    python benchmarks/inference.py                 # 2,000 simulated benchmarks a setting
    python benchmarks/inference.py --draws 300

Two models answer the same questions: what a question asks of both, what a passage adds for each, and chance decide
(a probit model). Intervals of shares and of differences should hold the truth in 93-97% of benchmarks, paired tests
find a difference that is not there in at most 5.5%, and a family of merges and rivals, or of forty models that are all
the same, make any false claim at all in at most 5%. Figures of the plain percentile bootstrap stand beside them.
Settings of few questions or passages are told apart: there flips may be unable to show anything, and intervals are
wider than they promise.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import home  # noqa: F401  (makes the project importable)
import numpy as np

from training.evaluation.statistics.calibration import calibration
from training.evaluation.statistics.clusters import Clusters, Floats
from training.evaluation.statistics.correction import corrected
from training.evaluation.statistics.intervals import drawn, shares
from training.evaluation.statistics.judge_correction import corrected_score, corrected_share
from training.evaluation.statistics.paired import Contrast, contrasts
from training.evaluation.statistics.ranking import leaderboard

QUESTION = 0.6
"""Share of what decides that is the question's, the same for both models."""
SIZES = {"each": (1,), "six": (6,), "fifteen": (15,), "mixed": (2, 3, 4, 6, 9)}
"""Questions of passages, in turn."""
SETTINGS = [
    (passages, kind, first, second, together)
    for passages, kind in [
        (200, "each"), (359, "each"), (20, "six"), (40, "six"), (84, "six"), (24, "fifteen"), (60, "mixed"),
    ]
    for first, second in [(0.8, 0.8), (0.8, 0.7), (0.5, 0.4)]
    for together in ((0.0,) if kind == "each" else (0.1, 0.25))
]  # fmt: skip
FEW = [
    (100, "each", 0.8, 0.8, 0.0),
    (8, "six", 0.8, 0.8, 0.1),
    (8, "six", 0.8, 0.7, 0.1),
    (12, "six", 0.8, 0.8, 0.1),
    (12, "mixed", 0.8, 0.7, 0.1),
]
AT_ONCE = 100


def answered(
    rng: np.random.Generator, draws: int, sizes: np.ndarray[Any, Any], chances: tuple[float, ...], together: float
) -> Floats:
    """Right and wrong of models [models, draws, questions]; ``together`` is a passage's share of what decides."""
    from scipy.stats import norm

    places = np.repeat(np.arange(len(sizes)), sizes)
    questions = rng.normal(size=(draws, len(places))) * np.sqrt(QUESTION)
    found = []
    for chance in chances:
        passages = rng.normal(size=(draws, len(sizes)))[:, places] * np.sqrt(together)
        own = rng.normal(size=(draws, len(places))) * np.sqrt(1 - QUESTION - together)
        found.append(questions + passages + own < norm.ppf(chance))
    return np.array(found, dtype=np.float64)


def setting(
    rng: np.random.Generator, draws: int, passages: int, kind: str, first: float, second: float, together: float
) -> dict[str, Any]:
    """Coverage and false claims of one kind of benchmark."""
    sizes = np.resize(SIZES[kind], passages)
    names = None if kind == "each" else np.repeat(np.arange(passages), sizes).tolist()
    clusters = Clusters.of(names, int(sizes.sum()))
    ones, others = answered(rng, draws, sizes, (first, second), together)
    found: list[Contrast] = []
    for start in range(0, draws, AT_ONCE):
        found += contrasts(ones[start : start + AT_ONCE], others[start : start + AT_ONCE], names)
    ends = np.array([one.interval(0.05) for one in found])
    claims = np.array([one.p < 0.05 for one in found])
    assert ((ends[:, 0] > 0) | (ends[:, 1] < 0) == claims).all(), "an interval and its test disagree"
    alone = np.array([one[1:] for one in shares(ones, clusters)])
    weights = drawn(passages, 1_000)
    bootstrap = np.percentile(
        weights @ clusters.sums(ones - others).T / (weights @ clusters.sizes)[:, None], [2.5, 97.5], axis=0
    )
    told = {
        "passages": passages, "kind": kind, "shares": (first, second), "together": together,
        "share": held(alone.T, first), "difference": held(ends.T, first - second),
        "percentile_bootstrap": held(bootstrap, first - second),
    }  # fmt: skip
    return told | {"false_claims" if first == second else "power": round(float(claims.mean()), 4)}


def held(ends: Floats, truth: float) -> float:
    """Share of intervals [2, draws] that hold the truth."""
    return round(float(((ends[0] <= truth + 1e-9) & (truth <= ends[1] + 1e-9)).mean()), 4)


def family(rng: np.random.Generator, draws: int) -> dict[str, float]:
    """How often a report of merges and rivals, over passages, makes any false claim, and holds all its differences."""
    sizes = np.resize(SIZES["six"], 60)
    names = np.repeat(np.arange(60), sizes).tolist()
    wrong, held_all = 0, 0
    strong = (0.8, 0.75, 0.7, 0.6)
    for number in range(draws):
        chances = (0.7, 0.7, 0.7, *strong) if number % 2 else (0.7,) * 7
        rows = answered(rng, 1, sizes, chances, 0.1)[:, 0]
        truths = [chance - other for chance in chances[3:] for other in chances[:3]]
        told = corrected(contrasts(np.repeat(rows[3:], 3, axis=0), np.tile(rows[:3], (4, 1)), names))
        pairs = list(zip(told, truths, strict=True))
        wrong += any((one.better and truth <= 1e-9) or (one.worse and truth >= -1e-9) for one, truth in pairs)
        held_all += all(one.low - 1e-9 <= truth <= one.high + 1e-9 for one, truth in pairs)
    return {"family_false_claims": round(wrong / draws, 4), "family_holds_all": round(held_all / draws, 4)}


def alike(rng: np.random.Generator, draws: int) -> dict[str, float]:
    """How often forty models of one skill stand in more than one group, and how long a leaderboard takes."""
    split, taken = 0, []
    for _ in range(draws):
        rows = answered(rng, 1, np.ones(359, dtype=int), (0.75,) * 40, 0.0)[:, 0]
        split += max(place.group for place in leaderboard(dict(zip(map(str, range(40)), rows, strict=True))).places) > 1
    passages = [number // 6 for number in range(359)]
    for names in (None, passages):
        rows = answered(rng, 1, np.ones(359, dtype=int), tuple(np.linspace(0.5, 0.85, 40)), 0.0)[:, 0]
        start = time.perf_counter()
        leaderboard(dict(zip(map(str, range(40)), rows, strict=True)), names)
        taken.append(round(time.perf_counter() - start, 3))
    return {"forty_alike_split": round(split / draws, 4), "leaderboard_s": taken[0], "leaderboard_passages_s": taken[1]}


def judges(rng: np.random.Generator, draws: int) -> dict[str, float]:
    """Coverage of shares and scores that are corrected for a judge's errors."""
    shares_held, scores_held, uncorrected = 0, 0, 0
    for _ in range(draws):
        truth, labels = rng.random(300) < 0.7, np.arange(100) < 50
        judged, said = (
            np.where(rows, rng.random(len(rows)) < 0.9, rng.random(len(rows)) < 0.4) for rows in (truth, labels)
        )
        found = corrected_share(judged, labels, said)
        shares_held += found.corrected.low <= 0.7 <= found.corrected.high
        uncorrected += found.told.low <= 0.7 <= found.told.high
        items, people = rng.normal(6, 1, 200), rng.uniform(2, 9, 60)
        given, labelled = (np.clip(2 + 0.7 * rows + rng.normal(0, 0.5, len(rows)), 1, 10) for rows in (items, people))
        score = corrected_score(given, people, labelled).corrected
        scores_held += score.low <= 6 <= score.high
    return {
        "judge_share": round(shares_held / draws, 4),
        "judge_share_uncorrected": round(uncorrected / draws, 4),
        "judge_score": round(scores_held / draws, 4),
    }


def calibrations(rng: np.random.Generator, draws: int) -> dict[str, float]:
    """Coverage of calibration error without its bias: of a calibrated model, and of one that is 12 points too sure."""
    found = {}
    for name, excess in (("calibrated", 0.0), ("too_sure", 0.12)):
        held_ = 0
        for _ in range(draws):
            sure = rng.uniform(0.45, 1, 359)
            error = calibration(sure, (rng.random(359) < sure - excess).astype(float)).unbiased
            held_ += error.low <= excess <= error.high
        found[f"calibration_{name}"] = round(held_ / draws, 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2_000, help="simulated benchmarks a setting")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, start = np.random.default_rng(options.seed), time.perf_counter()
    rows = [setting(rng, options.draws, *one) for one in SETTINGS]
    few = [setting(rng, options.draws, *one) for one in FEW]
    fewer = max(1, options.draws // 4)
    covers = {name: [row[name] for row in rows] for name in ("share", "difference", "percentile_bootstrap")}
    found = {
        "benchmark": "inference",
        "draws": options.draws,
        "coverage": {name: (min(values), max(values)) for name, values in covers.items()},
        "outside_93_97": [
            row for row in rows if not all(0.93 <= row[name] <= 0.97 for name in ("share", "difference"))
        ],
        "false_claims_most": max(row["false_claims"] for row in rows if "false_claims" in row),
        **family(rng, options.draws),
        **alike(rng, fewer),
        **judges(rng, options.draws),
        **calibrations(rng, fewer),
        "few_passages": few,
        "settings": rows,
        "seconds": round(time.perf_counter() - start, 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
