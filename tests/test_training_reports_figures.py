"""Figures from plain numbers: three files each, the same bytes for the same data, names of any kind."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.reports.figures import bars, correlation, curves, depth, judges, merges, tradeoff
from training.evaluation.reports.figures.drawing import Drawing, files
from training.evaluation.reports.figures.style import MOST_LETTERS, shortened

HOSTILE = "<script>alert('x')</script> & $\\frac{1}{0$ 絹"
NAMES = ["instruct", "a-very-long-name-of-a-model-that-no-axis-has-room-for-1", HOSTILE, "", *"abc"]


def _bars() -> list[bars.Bar]:
    kinds = ["untuned", "tuned", "tuned", "merge", "merge", "merge", "merge"]
    return [
        bars.Bar(name, kind, 0.5 + 0.03 * place, 0.4, 0.9)
        for place, (name, kind) in enumerate(zip(NAMES, kinds, strict=True))
    ]


def _merged() -> list[merges.Merged]:
    shares = [0.5, 0.52, 0.61, 0.6, 0.4, 0.43, 0.7]
    return [
        merges.Merged(name, share, share - 0.05, share + 0.05, share + 0.01 * (-1) ** place, 0.3, 0.9)
        for place, (name, share) in enumerate(zip(NAMES, shares, strict=True))
    ]


def _points(start: float) -> list[curves.Point]:
    return [curves.Point(f"epoch {at}", at, start + 0.02 * at, 0.3, 0.8) for at in (1.0, 2.0, 3.0)]


def _columns() -> dict[str, list[float | None]]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=7).tolist()
    return {
        "merged": values,
        "improvement": [value + 0.1 * more for value, more in zip(values, rng.normal(size=7), strict=True)],
        "SFT": [1.0] * 7,
        "from instruct": [None, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
    }


def _tensors() -> dict[str, float]:
    found = {
        f"model.layers.{at}.{part}.weight": 1 - 10.0 ** -(at + 2)
        for at in range(4)
        for part in ("self_attn.q_proj", "mlp.up_proj")
    }
    return found | {"model.embed_tokens.weight": 1.0, "model.norm.weight": 0.99}


def _curve() -> dict[str, tuple[float, ...]]:
    return {"self_attn": (0.0, 0.5, 1.0), "mlp": (1.0, 0.5, 0.0), "rest": (0.5, 0.5, 0.5)}


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "accuracy": lambda: bars.accuracy(_bars(), "instruct", "share answered right"),
    "improvement": lambda: bars.improvement(_bars()[1:], HOSTILE),
    "deviation": lambda: bars.deviation(
        [bars.Deviation(name, HOSTILE, 0.1 * (-1) ** at, -0.2, 0.2, at > 2) for at, name in enumerate(NAMES)]
    ),
    "tuned": lambda: bars.tuned([bars.Family(name, *_bars()[:2]) for name in NAMES[:3]]),
    "epochs": lambda: curves.epochs({name: _points(0.4) for name in NAMES}, (HOSTILE, 0.5)),
    "tokens": lambda: curves.tokens({name: _points(0.4)[:2] for name in NAMES}),
    "reliability": lambda: curves.reliability(
        [curves.Calibrated(name, 0.1, [curves.Bin(at, at, 0.1, 0.95, 9) for at in (0.3, 0.9)]) for name in NAMES]
    ),
    "observed": lambda: merges.observed(_merged()),
    "clusters": lambda: merges.clusters(_merged()),
    "tree": lambda: merges.tree(_merged()),
    "correlation": lambda: correlation.heatmap(correlation.correlations(_columns()), list(_columns())),
    "gradients": lambda: depth.gradients([depth.Gradient(name, _curve(), (0.5, 0.4, 0.6)) for name in NAMES] * 2),
    "cosines": lambda: depth.cosines({f"{name} and other": _tensors() for name in NAMES}),
    "forgetting": lambda: tradeoff.forgetting(
        [tradeoff.Tradeoff(name, "merge", 0.1 * at, 0, 1, -0.1 * at, -1, 0) for at, name in enumerate(NAMES)], "base"
    ),
    "judges": lambda: judges.judged([judges.Judged(name, {"depth": 7, "clarity": 5}, 6, 5, 7) for name in NAMES]),
}  # fmt: skip


def _table(found: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found[f"{name}.csv"].decode())))


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_three_files_of_which_none_can_act(name: str) -> None:
    found = files(DRAWINGS[name]())
    assert set(found) == {f"{name}.png", f"{name}.svg", f"{name}.csv"}
    assert found[f"{name}.png"].startswith(b"\x89PNG")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(found[f"{name}.svg"]).iter()}
    assert "path" in tags and not tags & {"script", "foreignObject", "image"} - (
        {"image"} if name == "correlation" else set()
    )
    rows = _table(found, name)
    assert rows and all(None not in row and None not in row.values() for row in rows)


def test_the_same_data_make_the_same_bytes() -> None:
    for name in ("clusters", "tuned"):
        assert files(DRAWINGS[name]()) == files(DRAWINGS[name]())


def test_the_data_beside_a_figure_are_whole_where_the_figure_is_not() -> None:
    epochs = _table(files(DRAWINGS["epochs"]()), "epochs")
    assert {row["line"] for row in epochs} == set(NAMES) and len(NAMES) > curves.MOST_LINES
    assert "Only the first 6 of 7 lines" in DRAWINGS["epochs"]().caption
    gradients = DRAWINGS["gradients"]()
    assert len(gradients.rows) == 2 * len(NAMES) * 9 and f"best {depth.MOST_PANELS} of 14" in gradients.caption


def test_bars_keep_their_order_or_go_by_size() -> None:
    assert [row[0] for row in DRAWINGS["accuracy"]().rows] == NAMES
    gains = [row[2] for row in DRAWINGS["improvement"]().rows]
    assert gains == sorted(gains, key=lambda gain: -float(gain or 0))
    deviations = [row[2] for row in DRAWINGS["deviation"]().rows]
    assert deviations == sorted(deviations, key=lambda one: -float(one or 0))


def test_clusters_part_what_lies_apart() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(2, 0.2, (6, 2)), rng.normal(-2, 0.2, (5, 2))])
    assert merges.two_clusters(points).tolist() == [1] * 6 + [0] * 5  # the lower one first, whatever the order
    assert merges.two_clusters(points[::-1]).tolist() == [0] * 5 + [1] * 6


def test_points_on_a_line_and_equal_columns_are_drawn_too() -> None:
    flat = [merges.Merged(str(at), 0.5, 0.5, 0.5, 0.1 * at, 0.0, 1.0) for at in range(5)]
    assert np.isfinite(merges.standardised(flat)).all()
    assert len(files(merges.clusters(flat))) == 3


def test_correlations_say_where_they_exclude_zero() -> None:
    found = {(one.one, one.other): one for one in correlation.correlations(_columns())}
    close = found["merged", "improvement"]
    assert close.value == pytest.approx(np.corrcoef(_columns()["merged"], _columns()["improvement"])[0, 1])  # type: ignore[arg-type]
    assert close.excludes_zero and close.n == 7
    assert found["merged", "SFT"].value is None and not found["merged", "SFT"].excludes_zero
    assert found["merged", "from instruct"].n == 6


def test_tensors_are_put_to_their_part_and_layer() -> None:
    assert (
        depth.part("model.layers.3.self_attn.q_proj.weight"),
        depth.layer("model.layers.3.self_attn.q_proj.weight"),
    ) == ("self_attn", 3)
    assert (depth.part("model.layers.12.mlp.up_proj.weight"), depth.layer("model.layers.12.mlp.up_proj.weight")) == (
        "mlp",
        12,
    )
    assert (depth.part("lm_head.weight"), depth.layer("lm_head.weight")) == ("rest", None)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=12))
def test_short_names_stay_apart(names: list[str]) -> None:
    found = shortened(names)
    assert len(set(found)) == len(names)
    assert all(len(label) <= MOST_LETTERS + len(" (12)") for label in found)


def test_what_long_names_share_is_left_out_first() -> None:
    long = [
        "demo-cpt-sft-dpo-slerp-reference",
        "demo-cpt-sft-orpo-slerp-reference",
        "demo-cpt-sft-norm-slerp-reference",
    ]
    assert shortened([*long, "demo-soup", "demo-cpt-sft", "demo-cpt-sft-slerp-linear"], 26) == [
        "…dpo-slerp-reference",
        "…orpo-slerp-reference",
        "…norm-slerp-reference",
        "demo-soup",
        "demo-cpt-sft",
        "…slerp-linear",
    ]
