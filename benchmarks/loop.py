"""Is a second round, led by the critic, better than painting the first prompt again? Prints JSON.

Every brief is a design's sources without the design: the Illustrator's prompt is put together from the painter's words,
round one is painted and criticised, and the Director decides. Where it wants a second round, that is painted with the
changed prompt, and as many pictures are painted of the first prompt once more, with other seeds: a blind repaint. Of
either two the critic's best one stands. Briefs that ended after the first round are counted. Both are scored by the
judge (`benchmarks/judge.py`) and, with ``--out``, laid side by side, shuffled, for raters (`benchmarks/blind.py score
--truth DIR/truth.json DIR rater.json ...`). Of the judge's chances:

- ``judge``: how much of them lies where the brief wants it, each of its families having an equal part: the overlap of
  two distributions, 1 less their total variation distance. A picture of one of two families has one half at most;
- ``judge_both``: whether all of the wanted families are among its first three.

``p`` is exact, two-sided: by flipping signs of the differences (at random where there are too many), or binomial where
a figure is yes or no. The critic chose by its own score, so that is no figure here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from home import fresh_home
from judge import JUDGES, STANDING, judge
from team import kit_for

SEED = 2900
ARMS = "again", "two"
"""A blind repaint of the first prompt, and the second round."""


def state_of(number: int) -> Any:
    """The state after the Engineer, for two of the atlas's held-out materials."""
    from agents.documents import Brief
    from agents.state import initial_state
    from training.embedded.writer.data import document
    from training.embedded.writer.rows import example

    made = example(SEED, number, held_out=True)[0]
    brief = Brief(text=made["brief"], inspirations=made["inspirations"])
    return {**initial_state(brief), "design": document(made), "inspirations": made["inspirations"]}


def kit_of(home: Path, seed: int, shelf: dict[str, Any]) -> Any:
    """A kit whose pictures stand on a shelf: two a round, two rounds, a critic."""
    import io

    from studio.runs.assemble import figures as measured

    def publish(image: Any, spec: Any, index: int) -> dict[str, Any]:
        file = io.BytesIO()
        image.save(file, "PNG")
        shelf[f"{index}"] = (image, file.getvalue())
        return {"path": f"{index}", "seed": spec.seed, "sha256": "", "pixels_sha256": ""}

    return kit_for(
        home,
        seed,
        publish_picture=publish,
        read_picture=lambda picture: shelf[picture["path"]][1],
        measure=measured,
        images=2,
        rounds=2,
        critic_enabled=True,
    )


def judged_by(chances: Any, wanted: list[int]) -> dict[str, float]:
    """What a classifier's chances of every family say of a picture that is to show the wanted ones in equal parts."""
    return {
        "judge": float(np.minimum(chances[wanted], 1 / len(wanted)).sum()),
        "judge_both": float(set(wanted) <= set(np.argsort(-chances)[:3].tolist())),
    }


def painted(kit: Any, state: Any, shelf: dict[str, Any]) -> Any:
    """Paint and criticise a round of the state's last prompt; the picture of these that the critic puts first."""
    from agents.roles import critic
    from agents.roles import painter as painting
    from agents.roles.scores import score

    state["pictures"] = [*state["pictures"], *painting.painter(kit, state)["pictures"]]
    found = critic.critic(kit, state)["critiques"]
    state["critiques"] = [*state["critiques"], *found]
    return shelf[str(max(found, key=score)["picture"])][0]


def one(home: Path, number: int, frozen: Any, out: Path | None) -> dict[str, Any]:
    """One brief: the second round's picture and the blind repaint's, each judged; or that it ended after the first."""
    from agents.roles import director, illustrator
    from training.embedded.judge.network import NAMES, judged
    from training.embedded.microstructures.wordings import FAMILIES

    shelf: dict[str, Any] = {}
    kit, state = kit_of(home, SEED + number, shelf), state_of(number)
    state["prompts"] = illustrator.illustrator(kit, state)["prompts"]
    first = state["prompts"][0]
    wanted = [place for place, name in enumerate(NAMES) if FAMILIES[name].biological[0] in first["motifs"]]
    told: dict[str, Any] = {"number": number, "wanted": [NAMES[place] for place in wanted], "prompt": first["short"]}
    painted(kit, state, shelf)
    changes, goto = director.director(kit, state)
    if goto != "illustrator":
        return told | {"ended": changes["decisions"][0]["reason"]}
    repaint_shelf: dict[str, Any] = {}
    other = kit_of(home, SEED + 500_000 + number, repaint_shelf)
    pictures = {"again": painted(other, {**state, "pictures": [], "critiques": []}, repaint_shelf)}
    state |= {key: changes[key] for key in ("change", "round") if key in changes}
    state["prompts"] = [*state["prompts"], *illustrator.illustrator(kit, state)["prompts"]]
    told |= {"change": changes["change"], "prompt_two": state["prompts"][-1]["short"]}
    pictures["two"] = painted(kit, state, shelf)
    for arm in ARMS:
        told[arm] = judged_by(judged(frozen, [pictures[arm]])[0][0], wanted)
        if out:
            pictures[arm].save(out / f"{number:03d}-{arm}.png")
    return told


def compared(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Two arms of a figure: their means, in how many briefs either is ahead, and the exact p of no difference."""
    from scipy.stats import binomtest, permutation_test

    gain = second - first
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    if set(np.unique([*first, *second])) <= {0.0, 1.0}:
        p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    elif len(gain) < 2:
        p = 1.0  # one brief shows nothing
    else:
        test = permutation_test(
            (gain,), lambda one, axis: one.mean(axis), permutation_type="samples", n_resamples=99_999, vectorized=True
        )
        p = float(test.pvalue)
    return {
        "again": round(float(first.mean()), 3),
        "two": round(float(second.mean()), 3),
        "two_ahead": better,
        "again_ahead": worse,
        "p": round(p, 5),
    }


def pairs(rows: list[dict[str, Any]], out: Path) -> None:
    """Sheets of both pictures of every brief, left and right by chance, and which side is the second round."""
    from blind import LOOKS, sheets
    from PIL import Image

    rng, truth, groups, lines = np.random.default_rng(SEED), {}, [], []
    for place, row in enumerate(rows):
        sides = ARMS if rng.random() < 0.5 else ARMS[::-1]
        truth[f"{place + 1:03d}"] = "right" if sides[1] == "two" else "left"
        groups.append([Image.open(out / f"{row['number']:03d}-{arm}.png") for arm in sides])
        lines.append(" AND ".join(f"{name}: {LOOKS[name]}" for name in row["wanted"]))
    sheets(groups, lines, out / "sheets")
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def told_rows(file: Path) -> list[dict[str, Any]]:
    """What is kept of briefs that were done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def figures(home: Path, briefs: int = 30, out: Path | None = None) -> dict[str, Any]:
    """The second round beside the blind repaint, of so many briefs those that have one; goes on from ``out``.

    Raises:
        DataError: ``out`` holds briefs of other weights, another judge or seed.
    """
    from models.catalogue.fetch import fingerprint, weights_folder
    from training.loop.checkpoints import note_recipe

    frozen, rows, ended = judge(), list[dict[str, Any]](), 0
    if out:
        weights = {name: fingerprint(weights_folder(name)) for name in ("studio-micro-flux", "studio-critic")}
        note_recipe(out, {"seed": SEED, "judge": JUDGES[STANDING], **weights})
    kept = {row["number"]: row for row in told_rows(out / "rows.jsonl")} if out else {}
    for number in range(briefs):
        row = kept.get(number) or one(home, number, frozen, out)
        if out and number not in kept:
            with (out / "rows.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
        ended += "ended" in row
        rows += [] if "ended" in row else [row]
        print(f"brief {number + 1} of {briefs}: {row}", file=sys.stderr, flush=True)
    told: dict[str, Any] = {"loop_briefs": briefs, "ended_after_one": ended, "second_rounds": len(rows)}
    if not rows:
        return told | {"round2_minus_repaint": None, "round2_p": None}
    for name in ("judge", "judge_both"):
        told[name] = compared(*(np.array([row[arm][name] for row in rows]) for arm in ARMS))
    told["round2_minus_repaint"] = round(told["judge"]["two"] - told["judge"]["again"], 3)
    told["round2_p"] = told["judge"]["p"]
    if out:
        pairs(rows, out)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--briefs", type=int, default=30)
    parser.add_argument(
        "--out", type=Path, help="folder for the pictures, sheets for raters and what they mean; goes on there"
    )
    options = parser.parse_args()
    with fresh_home() as home:
        print(json.dumps({"benchmark": "loop", **figures(home, options.briefs, options.out)}))


if __name__ == "__main__":
    main()
