"""Two rounds of the picture loop over many briefs: is the second better than the first? Prints JSON.

Every brief is a design's sources without the design: the Illustrator's prompt is put together from the painter's words,
round one is painted and criticised, the Director decides, round two is painted with the changed prompt. Of every round
so far the best picture stands (the Director's rule). It is scored by the critic and by a classifier that saw drawings
alone, and the change is tested by Wilcoxon's signed-rank test, one-sided. Of the classifier's chances are told:

- ``judge``: how much of them lies where the brief wants it, each of its families having an equal part: the overlap of
  two distributions, 1 less their total variation distance. A picture of one of two families has one half at most;
- ``judge_any``: the chance of the wanted families together, which one plain family of two can fill alone;
- ``judge_both``: whether all of the wanted families are among its first three.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from home import fresh_home
from team import kit_for

SEED = 900
SCORES = "critic", "judge", "judge_any", "judge_both"


def state_of(number: int) -> Any:
    """The state after the Engineer, for two of the atlas's held-out materials."""
    from agents.documents import Brief
    from agents.state import initial_state
    from training.embedded.writer.data import row

    made = row(SEED, number, held_out=True)
    brief = Brief(text=made["brief"], inspirations=made["inspirations"])
    return {**initial_state(brief), "design": made["document"], "inspirations": made["inspirations"]}


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
        "judge_any": float(chances[wanted].sum()),
        "judge_both": float(set(wanted) <= set(np.argsort(-chances)[:3].tolist())),
    }


def one(home: Path, number: int, judge: Any) -> dict[str, Any]:
    """One brief: the best picture after each round, scored by the critic and by the judge."""
    from agents.roles import critic, director, illustrator
    from agents.roles import painter as painting
    from agents.roles.scores import score
    from training.embedded.critic.picture_judge import NAMES, judged
    from training.embedded.microstructures.wordings import FAMILIES

    shelf: dict[str, Any] = {}
    kit, state = kit_of(home, SEED + number, shelf), state_of(number)
    wanted: list[int] = []
    told: dict[str, Any] = {"number": number, **{name: [] for name in SCORES}}
    for turn in (1, 2):
        for key, value in illustrator.illustrator(kit, state).items():
            state[key] = [*state["prompts"], *value] if key == "prompts" else value
        if not wanted:
            motifs = state["prompts"][0]["motifs"]
            wanted = [place for place, name in enumerate(NAMES) if FAMILIES[name].biological[0] in motifs]
        state["pictures"] = [*state["pictures"], *painting.painter(kit, state)["pictures"]]
        state["critiques"] = [*state["critiques"], *critic.critic(kit, state)["critiques"]]
        chosen = director.best(state)
        top = next(one for one in state["critiques"] if one["picture"] == chosen)
        chances, _ = judged(judge, [shelf[str(chosen)][0]])
        for name, value in {"critic": score(top), **judged_by(chances[0], wanted)}.items():
            told[name].append(value)
        changes, goto = director.director(kit, state)
        if turn == 1 and goto != "illustrator":
            told["ended"] = changes["decisions"][0]["reason"]
            for name in SCORES:
                told[name].append(told[name][0])
            break
        state |= {key: changes[key] for key in ("change", "round") if key in changes}
    return told


def figures(home: Path, briefs: int = 30) -> dict[str, Any]:
    """Both rounds of every brief, and the paired tests."""
    from scipy.stats import wilcoxon

    from training.embedded.critic.picture_judge import load_judge

    judge, rows = load_judge(), []
    for number in range(briefs):
        rows.append(one(home, number, judge))
        print(f"loop {number + 1} of {briefs}: {rows[-1]}", file=sys.stderr, flush=True)
    told: dict[str, Any] = {"loop_briefs": briefs, "ended_early": sum("ended" in row for row in rows)}
    for name in SCORES:
        first, second = (np.array([row[name][turn] for row in rows]) for turn in (0, 1))
        gain = second - first
        p = float(wilcoxon(gain, alternative="greater").pvalue) if np.any(gain) else 1.0
        told[name] = {
            "round1": round(float(first.mean()), 3),
            "round2": round(float(second.mean()), 3),
            "p": round(p, 5),
        }
    told["round2_minus_round1"] = round(told["judge"]["round2"] - told["judge"]["round1"], 3)
    told["round2_p"] = told["judge"]["p"]
    told["never_worse"] = all(row["critic"][1] >= row["critic"][0] for row in rows)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--briefs", type=int, default=30)
    options = parser.parse_args()
    with fresh_home() as home:
        print(json.dumps({"benchmark": "loop", **figures(home, options.briefs)}))


if __name__ == "__main__":
    main()
