"""t over depth: as mergekit evaluates gradients and filters, presets, pictures, and curves that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from training.merging.config import METHODS, PRESETS, MergeConfig
from training.merging.depth import Curve, curve_faults, depth_of, interpolated, one_stack, picture, read_curve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what mergekit imports
SHARE = st.floats(0, 1)
PLAIN = st.one_of(SHARE, st.lists(SHARE, min_size=1, max_size=9))
SETTING = st.one_of(
    PLAIN,
    st.fixed_dictionaries({"value": PLAIN}),
    st.lists(
        st.fixed_dictionaries({"filter": st.sampled_from(["self_attn", "mlp", "norm", "q_proj"]), "value": PLAIN}),
        max_size=3,
    ).flatmap(lambda some: st.tuples(st.just(some), PLAIN).map(lambda pair: [*pair[0], {"value": pair[1]}])),
)
NAMES = (
    "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.3.mlp.up_proj.weight",
    "model.layers.2.input_layernorm.weight", "model.layers.5.self_attn.o_proj.weight", "model.norm.weight",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(setting=SETTING, layers=st.integers(6, 9))
def test_a_parameter_has_the_value_that_mergekit_gives_it(setting: Any, layers: int) -> None:
    from mergekit.config import ConditionalParameter, evaluate_setting

    read = read_curve(setting)
    assert read is not None
    if isinstance(setting, dict) or (isinstance(setting, list) and isinstance(setting[0], dict)):
        listed = setting if isinstance(setting, list) else [setting]
        theirs: Any = [ConditionalParameter.model_validate(one) for one in listed]
    else:
        theirs = setting
    for name in NAMES:
        depth = depth_of(name, layers)
        assert read.at(name, layers) == evaluate_setting(name, theirs, depth, validate=float)


def test_the_depth_of_a_tensor() -> None:
    assert depth_of("model.layers.0.mlp.up_proj.weight", 30) == 0 == depth_of("lm_head.weight", 30)
    assert depth_of("model.layers.29.mlp.up_proj.weight", 30) == 1
    assert depth_of("model.layers.0.mlp.up_proj.weight", 1) == 1, "mergekit's rule for a single layer"
    assert interpolated((0, 0.5, 0.3, 0.7, 1), 0.5) == 0.3 and interpolated((0.25,), 0.7) == 0.25


@pytest.mark.parametrize("setting", ["0.5", True, [], [0.1, "a"], [{"value": 0.5, "or": 1}], {"filter": 1, "value": 1}])
def test_what_is_more_than_numbers_is_left_to_mergekit(setting: Any) -> None:
    assert read_curve(setting) is None


def test_the_presets_are_the_published_curves() -> None:
    assert PRESETS["reference"].self_attn == (0, 0.5, 0.3, 0.7, 1) and PRESETS["reference"].mlp == (1, 0.5, 0.7, 0.3, 0)
    assert PRESETS["alternative"].self_attn == (0, 0.3, 0.5, 0.7, 1)
    assert PRESETS["alternative"].mlp == (1, 0.7, 0.5, 0.3, 0)
    assert PRESETS["linear"].self_attn == PRESETS["linear"].mlp == (0, 1)
    assert {preset.rest for preset in PRESETS.values()} == {0.5}


def test_a_picture_shows_every_layer_and_both_ends() -> None:
    curve = Curve((("self_attn", (0.0, 1.0)), ("", (0.5,)))).over(9)
    assert curve["self_attn"] == tuple(layer / 8 for layer in range(9)) and curve["rest"] == (0.5,) * 9
    shown = picture(curve, "the-instruct", "the-tuned").splitlines()
    assert "the-instruct" in shown[0] and "the-tuned" in shown[0] and "9 layers" in shown[0]
    assert shown[1] == "self_attn ▁▂▃▄▅▆▇██ 0.00 to 1.00" and shown[2] == "rest      ▅▅▅▅▅▅▅▅▅ 0.50 to 0.50"


def test_one_stack_of_layers_is_told_from_others() -> None:
    stack = [f"model.layers.{number}.mlp.experts.{expert}.weight" for number in range(3) for expert in range(8)]
    assert one_stack([*stack, "model.norm.weight"], 3)
    assert not one_stack(stack, 4) and not one_stack(stack, 2)
    assert not one_stack([*stack, *(f"vision.layers.{number}.weight" for number in range(3))], 3)


def test_a_curve_that_does_not_fit_is_said() -> None:
    assert curve_faults(Curve((("mlp", (0.0,) * 4),)), 4) == []
    assert curve_faults(Curve((("mlp", (0.0,) * 5),)), 4) == ["t of mlp has 5 values over 4 layers; 1 to 4 are allowed"]
    assert curve_faults(Curve((("", (1.5,)),)), 4) == ["t of rest must be from 0 to 1, not 1.5"]


PAIR = {"name": "m", "models": ("a", "b")}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"models": ("a",)}, "slerp merges two models, not 1"),
        ({"models": ("a", "b", "c")}, "slerp merges two models, not 3"),
        ({"method": "linear", "models": ("a",)}, "linear merges at least two models, not 1"),
        ({"method": "ties"}, "ties needs base"),
        ({"method": "nuslerp"}, "nuslerp needs base"),
        ({"method": "linear", "t": 0.5}, "linear has no t; methods that have: slerp, norm_slerp, nuslerp, lerp"),
        ({"weights": (1, 2)}, "slerp has no weights; methods that have: linear, task_arithmetic"),
        ({"method": "karcher", "weights": (1, 2)}, "karcher has no weights"),
        (
            {"method": "linear", "density": 0.5},
            "linear has no density; methods that have: ties, dare_ties",
        ),
        ({"method": "linear", "weights": (1,)}, "1 weights given for 2 models"),
        ({"method": "linear", "weights": (1, -1)}, "add up to 0"),
        ({"t": 0.5, "preset": "linear"}, "either t or a curve"),
        ({"t": 0.5, "mlp": (0.5,)}, "either t or a curve"),
        ({"preset": "constant"}, "preset constant needs t"),
        ({"t": 1.5}, "less than or equal to 1"),
        ({"self_attn": (0, -0.1)}, "greater than or equal to 0"),
        ({"self_attn": ()}, "at least 1 item"),
        ({"t": float("nan")}, "finite number"),
        ({"method": "slurp"}, "Input should be 'slerp', 'norm_slerp'"),
        ({"preset": "F"}, "Input should be 'reference', 'alternative', 'linear' or 'constant'"),
        ({"yaml": "mine.yaml"}, "says everything but the name; models is given too"),
        ({"name": "../m"}, "should match pattern"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        MergeConfig.model_validate(PAIR | given)


def test_a_configuration_names_its_curve() -> None:
    assert MergeConfig.model_validate(PAIR).curve == "reference"
    assert MergeConfig.model_validate(PAIR | {"preset": "linear"}).vectors == PRESETS["linear"]
    assert MergeConfig.model_validate(PAIR | {"t": 0.25}).curve == "constant"
    drawn = MergeConfig.model_validate(PAIR | {"preset": "alternative", "mlp": (0.1,)})
    assert drawn.curve == "" and drawn.vectors.mlp == (0.1,) and drawn.vectors.self_attn == (0, 0.3, 0.5, 0.7, 1)
    assert MergeConfig(name="m", models=("a", "b", "c"), method="linear").curve == ""
    assert set(METHODS) >= {"slerp", "norm_slerp", "nuslerp", "lerp", "linear", "task_arithmetic", "ties", "karcher"}
