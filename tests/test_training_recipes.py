"""Recipes: the study's tables to the letter, graphs without circles, and one clear line for every mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from models.catalogue.table import find
from pipelines.corpus.config import CorpusConfig
from training.distil.config import DistilConfig
from training.language.arguments import Adapter, Arguments
from training.language.recipe import Data, Recipe, Stage, load_recipe, order, parents, resolved, shipped, steps_of
from training.launch.options import RunOptions
from training.merging.slerp import Slerp
from workspace.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
# Stage: learning rate, schedule, epochs, length, prompt, batch, accumulation, beta, warm-up steps (arXiv 2409.03444).
LLAMA = {
    "cpt": (2e-5, "cosine", 5, 3072, None, 6, 2, None, 0),
    "cpt-sft": (2e-5, "cosine", 1, 3076, None, 6, 2, None, 0),
    "cpt-sft-dpo": (5e-7, "cosine", 1, 2048, 1700, 2, 2, 0.05, 0),
    "cpt-sft-orpo": (3e-6, "cosine", 1, 2048, 1700, 3, 1, 0.1, 100),
}
STUDY: dict[str, dict[str, tuple[Any, ...]]] = {
    "llama-3.1-8b-base": LLAMA,
    "llama-3.1-8b-instruct": LLAMA,
    "mistral-7b-v0.3-base": {
        "cpt": (2e-5, "cosine", 5, 3072, None, 12, 4, None, 0),
        "cpt-sft": (2e-5, "cosine", 1, 3076, None, 12, 4, None, 0),
        "cpt-sft-dpo": (5e-7, "cosine", 1, 2048, 1700, 4, 2, 0.01, 0),
        "cpt-sft-orpo": (5e-6, "cosine", 1, 2048, 1700, 3, 1, 0.1, 100),
    },
    "mistral-7b-v0.3-instruct": {
        "cpt": (2e-5, "cosine", 5, 3072, None, 12, 2, None, 0),
        "cpt-sft": (2e-5, "cosine", 1, 3076, None, 12, 2, None, 0),
        "cpt-sft-dpo": (5e-7, "cosine", 1, 2048, 1700, 4, 2, 0.05, 0),
        "cpt-sft-orpo": (3e-6, "cosine", 3, 2048, 1700, 3, 1, 0.1, 100),
    },
    "smollm-1.7b": {
        "cpt": (5e-5, "constant", 2, 2048, None, 6, 2, None, 0),
        "cpt-sft": (2e-5, "cosine", 5, 2048, None, 6, 2, None, 0),
        "cpt-sft-dpo": (5e-7, "cosine", 1, 2048, 1500, 2, 2, 0.05, 0),
    },
}
NAMES = (
    "learning_rate", "lr_scheduler_type", "num_train_epochs", "max_length", "max_prompt_length",
    "per_device_train_batch_size", "gradient_accumulation_steps", "beta", "warmup_steps",
)  # fmt: skip


@pytest.mark.parametrize("name", STUDY)
def test_the_study_to_the_letter(name: str) -> None:
    recipe = load_recipe(name)
    told = {stage.name: resolved(stage) for stage in recipe.stages if stage.stage != "slerp"}
    assert {stage: tuple(getattr(args, key) for key in NAMES) for stage, args in told.items()} == STUDY[name]
    for args in told.values():
        assert args.seed == 42 and args.bf16 and (args.warmup_ratio == 0.1) == (not args.warmup_steps)
    assert recipe.processes == (1 if name == "smollm-1.7b" else 8)
    merges = [stage for stage in recipe.stages if stage.stage == "slerp"]
    assert [stage.name for stage in merges] == [f"{stage}-slerp" for stage in told]
    assert merges[0].slerp.self_attn == (0, 0.5, 0.3, 0.7, 1) and merges[0].slerp.mlp == (1, 0.5, 0.7, 0.3, 0)
    for model in (recipe.base, recipe.chat_template or recipe.base, *(stage.into for stage in merges)):
        assert find(model).kind == "chat"


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_is_sound(name: str) -> None:
    recipe = load_recipe(name)
    made = ["base"]
    for stage in order(recipe):
        assert {*parents(recipe, stage)[:1]} <= {*made}
        made.append(stage.name)


def written(tmp_path: Path, **changes: Any) -> Path:
    told: dict[str, Any] = {
        "name": "mine",
        "base": "smollm2-135m",
        "stages": [
            {"name": "a", "stage": "cpt", "data": [{"path": "a.jsonl"}], "args": {"learning_rate": 1e-4}},
            {"name": "b", "stage": "sft", "data": [{"path": "b.jsonl"}]},
        ],
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(told | changes))
    return path


def stage(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": "a", "stage": "cpt", "data": [{"path": "a.jsonl"}]} | changes]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bass": "x"}, r"mine.yaml: unknown key 'bass'; did you mean 'base'\?"),
        ({"stagse": []}, r"unknown key 'stagse'; did you mean 'stages'\? choices: base, chat_template, name"),
        ({"stages": stage(date=[])}, r"stages.0: unknown key 'date'; did you mean 'data'\?"),
        ({"name": "Mine"}, "name: a name is up to 61 small letters, digits, dots, hyphens .*, not 'Mine'"),
        ({"stages": stage(name="a b")}, "stages.0.name: a name is up to 61 small letters, .*, not 'a b'"),
        ({"name": 5}, "name: Input should be a valid string, not 5"),
        ({"base": ""}, "base has 0 characters; it may have 1 to 500"),
        (
            {"stages": stage(args={"learning_rate": float("inf")})},
            "0.args.learning_rate: .* finite number, not inf",
        ),
        ({"stages": stage(args={"optim": "adamm"})}, "unknown stages.0.args.optim 'adamm'; did you mean 'adamw_8bit'"),
        (
            {"stages": stage(data=[{"path": "x", "weight": 1e300}])},
            "data.0.weight must be more than 0, at most 1000, not 1e.300",
        ),
        ({"stages": [*stage(), {"name": "s", "stage": "slerp", "slerp": {"mlp": []}}]}, "slerp.mlp: .* at least 1"),
        (
            {"stages": stage(args={"learnig_rate": 1})},
            r"stages.0.args: unknown key 'learnig_rate'; did you mean 'learning_rate'\?",
        ),
        (
            {"stages": stage(args={"learning_rate": -1})},
            "stages.0.args.learning_rate must be more than 0, at most 0.1, not -1",
        ),
        (
            {"stages": stage(args={"lr_scheduler_type": "cosin"})},
            "unknown stages.0.args.lr_scheduler_type 'cosin'; did you mean 'cosine'",
        ),
        (
            {"stages": stage(stage="rlhf")},
            "unknown stages.0.stage 'rlhf'; choices: corpus, cpt, distil",
        ),
        ({"stages": stage(**{"from": "z"})}, "stages, a, from: unknown stage 'z'; choices: a, base"),
        ({"stages": stage(data=[])}, "data: at least one file is needed"),
        ({"stages": stage(data=[{"path": "x", "weight": 0}])}, "stages.0.data.0.weight"),
        ({"stages": stage() + stage()}, "the name 'a' stands twice"),
        ({"stages": stage(name="base")}, "the name 'base' stands twice"),
        ({"stages": []}, "stages: Tuple should have at least 1 item"),
        (
            {"stages": stage(**{"from": "b"}) + stage(name="b", **{"from": "a"})},
            "they go in a circle: (a -> b -> a|b -> a -> b)",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why) as caught:
        load_recipe(written(tmp_path, **changes))
    assert "\n" not in str(caught.value) and "mine.yaml" in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown recipe 'smollm'; did you mean 'smollm-1.7b'\?"):
        load_recipe("smollm")
    (tmp_path / "x.yaml").write_text("- a\n")
    with pytest.raises(DataError, match="holds no keys"):
        load_recipe(tmp_path / "x.yaml")
    for text in ("a: [\n", "name: 2020-13-45\n", "[" * 5000, "a: " + "9" * 5000, "a: \0", "a: 1\n---\nb: 1\n"):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(DataError, match=r"cannot read .*x.yaml: .+") as caught:
            load_recipe(tmp_path / "x.yaml")
        assert "\n" not in str(caught.value)
    for name, why in (
        ("x" * 300, "File name too long"),
        (str(tmp_path), "Is a directory"),
        ("~no-such-user/x", "unknown"),
    ):
        with pytest.raises(DataError, match=why):
            load_recipe(name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name: x\nbase: b\nname: y\n", r"line 3: the key 'name' stands twice"),
        (
            "name: x\nbase: b\nstages:\n- name: s\n  stage: sft\n  data: [{path: a}]\n  args: {seed: 1}\n"
            "  args: {seed: 2}\n",
            r"line 8: the key 'args' stands twice",
        ),
        ("name: x\nbase: b\nstages: {name: s}\n", r"stages must be a list, not {'name': 's'}$"),
        ("name: x\nbase: b\nstages: [{name: s, stage: sft, data: a}]\n", r"stages.0.data must be a list, not 'a'$"),
        (
            "name: x\nbase: b\nstages: [{name: s, stage: sft, data: [a]}]\n",
            r"stages.0.data.0 must be keys with values, not 'a'$",
        ),
    ],
)
def test_nothing_that_stands_in_a_recipe_is_passed_over(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match=why):
        load_recipe(tmp_path / "x.yaml")


def test_parts_that_are_named_and_used_again_may_be_written_over(tmp_path: Path) -> None:
    text = (
        "name: x\nbase: b\nstages:\n- &a {name: s, stage: sft, data: [{path: a}], args: &d {seed: 1, max_steps: 3}}\n"
        "- {<<: *a, name: t, args: {<<: *d, max_steps: 4}}\n"
    )
    (tmp_path / "x.yaml").write_text(text)
    first, second = load_recipe(tmp_path / "x.yaml").stages
    assert (first.args.max_steps, second.args.max_steps, second.args.seed, second.name) == (3, 4, 1, "t")


@pytest.mark.parametrize(
    "kind", [Recipe, Stage, Data, Arguments, Adapter, Slerp, CorpusConfig, DistilConfig, RunOptions]
)
def test_every_option_is_described(kind: type[BaseModel]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("module", ["pipelines.corpus.config", "training.distil.config", "training.launch.options"])
def test_options_are_known_without_what_is_heavy(module: str) -> None:
    heavy = ("torch", "transformers", "datasets", "numpy", "langchain_core", "pydantic_settings", "yaml")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_a_name_may_have_one_letter(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path, name="m")).name == "m"


def test_a_stage_starts_from_the_one_before_it(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path))
    assert [parents(recipe, stage) for stage in recipe.stages] == [["base"], ["a"]]


@pytest.mark.parametrize(
    ("args", "rows", "processes", "steps"),
    [
        ({"max_steps": 7, "num_train_epochs": 1}, 100, 1, 7),
        ({"max_steps": -1, "num_train_epochs": 2}, 100, 1, 26),
        ({"max_steps": -1, "num_train_epochs": 1}, 100, 8, 2),
        ({"max_steps": -1, "num_train_epochs": 0.5}, 1, 1, 1),
    ],
)
def test_steps(args: dict[str, Any], rows: int, processes: int, steps: int) -> None:
    sizes = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    assert steps_of(Arguments.model_validate(args | sizes), rows, processes) == steps
