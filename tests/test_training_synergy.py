"""The experiment's merges: every spherical one has what it must beat, and no two rivals are one model."""

from __future__ import annotations

from training.merging.config import METHODS
from training.synergy import grid


def test_every_merge_along_the_sphere_has_its_line_and_no_two_rivals_are_one() -> None:
    made = grid("demo", "base", ["demo-sft", "demo-dpo", "demo-orpo"])
    assert len({one.name for one in made}) == len(made) == 17
    sphere = [one for one in made if "slerp" in one.method]
    lines = {(one.models, one.curve) for one in made if one.method == "lerp"}
    assert len(sphere) == 8 and all((one.models, one.curve) in lines for one in sphere)
    assert all(one.models[0] == "base" for one in sphere)  # t = 0
    [sums] = [one for one in made if one.method == "task_arithmetic"]
    [soup] = [one for one in made if one.method == "linear"]
    assert sums.models == soup.models and sums.base == "base" and not METHODS[soup.method].base
    assert abs(sum(sums.weights) - 1) > 0.1  # at 1 the base cancels, and it is the soup over again
