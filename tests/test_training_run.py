"""A recipe from end to end on a tiny model: chained, resumed, never done twice, its variants ready to chat with."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from models.catalogue.fetch import locate, variants
from tests.fixtures_local import sentences, without_waits
from training.gpus import Machine
from training.language import run as runner
from training.language.arguments import Adapter
from training.language.estimate import hours, memory, size_of
from training.language.plan import Plan, plan
from training.language.recipe import resolved
from training.language.run import main, open_run
from training.sample.rows import benchmark, passages, sample_rows
from ui.cli import app
from ui.cli import main as cli
from workspace.errors import DataError, ServiceError, StorageError, StudioError, UsageError
from workspace.progress import Progress

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
ARGS = {"max_steps": 2, "max_length": 64, "learning_rate": 1e-3, "bf16": False, "logging_steps": 1}


@pytest.fixture
def recipe(word_llama: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "recipe"
    folder.mkdir()
    told = sentences()[:6]
    rows: dict[str, list[dict[str, Any]]] = {
        "text": [{"text": line} for line in told],
        "chat": [{"instruction": "What does it do?", "output": line} for line in told],
        "pairs": [{"prompt": "What does it do?", "chosen": line, "rejected": "Nothing."} for line in told],
    }
    for name, made in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    stages = [
        {"name": "cpt", "stage": "cpt", "data": [{"path": "text.jsonl"}], "args": ARGS},
        {"name": "sft", "stage": "sft", "data": [{"path": "chat.jsonl", "weight": 2.0}], "args": ARGS},
        {"name": "dpo", "stage": "dpo", "data": [{"path": "pairs.jsonl"}], "args": ARGS},
        {"name": "orpo", "stage": "orpo", "from": "sft", "data": [{"path": "pairs.jsonl"}], "args": ARGS},
        {"name": "dpo-slerp", "stage": "slerp", "from": "dpo", "into": str(word_llama)},
    ]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "base": str(word_llama), "stages": stages}))
    return path


def test_a_recipe_runs_once_and_its_variants_are_models(recipe: Path, home: Path) -> None:
    told: list[Progress] = []
    made = main(open_run(recipe, home), told.append).variants
    assert {one.name for one in made} == {"mine-cpt", "mine-sft", "mine-dpo", "mine-orpo", "mine-dpo-slerp"}
    assert all(one.made for one in made)
    assert {event.stage for event in told if event.type == "training_step"} == {"cpt", "sft", "dpo", "orpo"}
    assert {event.stage for event in told if event.type == "remark"} == {"sft", "dpo", "orpo"}
    assert [event.doing for event in told if event.type == "stage_started"] == [*["training"] * 4, "merging"]
    assert all(event.text.startswith("tried: ") for event in told if event.type == "remark")
    assert variants(home) == sorted(one.name for one in made)
    again = main(open_run(recipe, home)).variants
    assert not any(one.made for one in again)
    from models.chat.local import LocalChat

    folder = locate("mine-dpo-slerp", home, kind="chat")
    assert LocalChat(folder=folder, dtype="float32", device="cpu", seed=1).invoke("What does it do?").content
    card = json.loads((folder / "variant.json").read_text())
    assert card["parents"].startswith("mine-dpo, ") and "merge_method: slerp" in card["merge"]
    assert str(home) not in (folder / "README.md").read_text()


def test_what_changed_is_made_anew_and_all_that_follows(recipe: Path, home: Path) -> None:
    main(open_run(recipe, home))
    rows = (recipe.parent / "pairs.jsonl").read_text().splitlines()
    (recipe.parent / "pairs.jsonl").write_text("\n".join(rows[:-1]) + "\n")
    made = {one.name: one.made for one in main(open_run(recipe, home)).variants}
    assert made == {
        "mine-cpt": False, "mine-sft": False, "mine-dpo": True, "mine-orpo": True, "mine-dpo-slerp": True,
    }  # fmt: skip


def test_a_stage_that_was_stopped_leaves_the_others_whole(
    recipe: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.language import stage as stages

    honest = stages.main

    def stopped(task: Any, *given: Any) -> Any:
        if task.kind == "dpo":
            raise KeyboardInterrupt
        return honest(task, *given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stages, "main", stopped)
        main(open_run(recipe, home))
    assert set(variants(home)) <= {"mine-cpt", "mine-sft", "mine-orpo"} and "mine-sft" in variants(home)
    made = {one.name: one.made for one in main(open_run(recipe, home)).variants}
    assert not made["mine-cpt"] and not made["mine-sft"] and made["mine-dpo"]


def key(run: runner.Run) -> str:
    stage = run.recipe.stages[0]
    return runner._work(run, stage, run.rows(stage)).key


def test_models_are_found_once(recipe: Path, home: Path, word_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(name: str, *given: Any, **named: Any) -> Path:
        asked.append(name)
        return locate(name, *given, **named)

    monkeypatch.setattr(runner, "locate", counted)
    run = open_run(recipe, home)
    plan(run)
    main(run)
    assert asked == [str(word_llama)]


def test_metrics_go_elsewhere_only_where_a_package_is_there(
    recipe: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = key(open_run(recipe, home))
    text = recipe.read_text()
    recipe.write_text(text.replace("bf16: false", "report_to: [tensorboard, wandb]\n    bf16: false", 1))
    assert key(open_run(recipe, home)) == before
    honest = importlib.util.find_spec
    absent = ("tensorboard", "wandb")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in absent else honest(name, *more)
    )
    assert cli(["train", "run", str(recipe)]) == 69
    line = "error: tensorboard, wandb are not installed (pip install -c constraints.txt '.[metrics]')\n"
    assert without_waits(capsys.readouterr().err) == line
    recipe.write_text(text.replace("bf16: false", "report_to: [mlflow]\n    bf16: false", 1))
    with pytest.raises(DataError, match=r"unknown stages.0.args.report_to.0 'mlflow'; choices: tensorboard, wandb"):
        open_run(recipe, home)


def test_parents_of_different_shapes_are_not_merged(recipe: Path, home: Path, tmp_path: Path) -> None:
    from training.merging.slerp import Slerp, merge

    for name, width in (("one", 64), ("other", 32)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": width}))
    with pytest.raises(DataError, match="one and other cannot be merged: hidden_size is 64 and 32"):
        merge(tmp_path / "one", tmp_path / "other", Slerp(), tmp_path / "merged", {})


def test_too_little_memory_or_disk_is_said_before_anything_is_read(
    recipe: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "machine", lambda: Machine("CPU", 0.0001, 1e12))
    with pytest.raises(ServiceError, match=r"cpt needs about .* GB of memory a process; CPU has 0.0 GB"):
        main(open_run(recipe, home))
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: (10, 9, 1))
    with pytest.raises(StorageError, match=r"cpt needs about .* GB of disk; .* has 0.0 GB free"):
        main(open_run(recipe, home))


class TestBeforeAnythingIsTrained:
    """A fault of a later stage is said before the first one begins."""

    def refused(self, recipe: Path, home: Path, **stage: Any) -> StudioError:
        told = yaml.safe_load(recipe.read_text())
        told["stages"] = [told["stages"][0], {**told["stages"][1], **stage}]
        recipe.write_text(yaml.safe_dump(told))
        with pytest.raises(StudioError) as caught:
            main(open_run(recipe, home))
        assert not variants(home)
        return caught.value

    def test_rows(self, recipe: Path, home: Path) -> None:
        assert "no field 'messages'" in str(self.refused(recipe, home, data=[{"path": "text.jsonl"}]))
        data = [{"path": "chat.jsonl", "weight": 0.01}]
        assert str(self.refused(recipe, home, data=data)) == "sft: the weights of its data leave no row"

    def test_a_parent_to_merge_with(self, recipe: Path, home: Path) -> None:
        merge = {"stage": "slerp", "into": "smollm2-135m", "data": [], "args": {}}
        fault = self.refused(recipe, home, **merge)
        assert fault.exit_code == 69 and "studio models fetch smollm2-135m" in str(fault)

    def test_memory(self, recipe: Path, home: Path) -> None:
        args = ARGS | {"per_device_train_batch_size": 10**9}
        assert str(self.refused(recipe, home, args=args)).startswith("sft needs about ")

    def test_a_template(self, recipe: Path, home: Path, word_llama: Path, tmp_path: Path) -> None:
        base = tmp_path / "bare"
        shutil.copytree(word_llama, base)
        (base / "chat_template.jinja").unlink()
        recipe.write_text(recipe.read_text().replace(f"base: {word_llama}", f"base: {base}"))
        assert "has no chat template (name a model that has one" in str(self.refused(recipe, home))


def test_a_base_that_is_no_model_is_named(recipe: Path, home: Path, word_llama: Path) -> None:
    text = recipe.read_text()
    wrong = {
        str(recipe.parent): "neither safetensors, tokenizer nor configuration",
        "~no-such-user/x": "no model folder at ~no-such-user/x",
        "x" * 300: "unknown model",
    }
    for base, why in wrong.items():
        recipe.write_text(text.replace(f"base: {word_llama}", f"base: {base}"))
        with pytest.raises(StudioError, match=why) as caught:
            main(open_run(recipe, home))
        assert base in str(caught.value)


class TestPlan:
    def test_a_plan_trains_nothing(self, recipe: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runner, "_train", None)
        told = plan(open_run(recipe, home))
        stages = {row.name: row for row in told.stages if row.stage not in ("slerp", "corpus", "distil")}
        assert stages["sft"].rows == 12 and stages["sft"].steps == 2 and (stages["sft"].tokens or 0) > 12
        dpo, orpo = stages["dpo"].memory_gb, stages["orpo"].memory_gb
        assert stages["dpo"].beta == 0.1 and dpo is not None and orpo is not None and dpo > orpo - 1e-9
        assert told.machine.memory_gb > 0 and told.missing is None and not variants(home)
        assert Plan.model_validate_json(told.model_dump_json()) == told
        assert {row["from"] for row in told.model_dump(mode="json")["stages"]} == {"base", "cpt", "sft", "dpo"}

    @pytest.mark.parametrize("name", ["llama-3.1-8b-base", "mistral-7b-v0.3-instruct", "smollm-1.7b"])
    def test_the_study_is_planned_without_its_models(self, name: str, home: Path) -> None:
        told = CliRunner().invoke(app, ["train", "run", name, "--plan", "--json"])
        assert told.exit_code == 0
        plan = json.loads(told.stdout)
        assert "studio models fetch" in plan["missing"]
        for row in plan["stages"]:
            if row["stage"] != "slerp":
                assert {"learning_rate", "num_train_epochs", "max_length", "per_device_train_batch_size"} <= set(row)
                assert row["memory_gb"] > 10 and row["rows"] is None and "data/" in row["data"]

    def test_memory_and_hours_grow_with_what_is_asked(self) -> None:
        size = size_of("llama-3.1-8b", None)
        assert size is not None and size.parameters == 8_030_261_248
        args = resolved(open_run("llama-3.1-8b-base", Path("/")).recipe.stages[0])
        whole = memory(size, args, "cpt", None, 1)
        assert whole > 16 * 8.03 and memory(size, args, "cpt", None, 8) < 0.6 * whole
        assert memory(size, args, "dpo", None, 1) > whole
        slim = Adapter(type="qlora", r=16)
        assert memory(size, args.model_copy(update={"gradient_checkpointing": True}), "cpt", slim, 1) < 0.5 * whole
        assert hours(size, 1e9, "dpo", 4e14) > hours(size, 1e9, "cpt", 4e14) > 30

    def test_sizes_are_counted_from_a_configuration(self, word_llama: Path) -> None:
        from transformers import AutoModelForCausalLM

        size = size_of("mine", word_llama)
        assert size is not None
        assert size.parameters == AutoModelForCausalLM.from_pretrained(word_llama).num_parameters()
        assert size_of("llama-3.1-8b-instruct", None) is not None and size_of("quite-another", None) is None


def test_an_unknown_model_names_variants_too(home: Path) -> None:
    (home / "variants" / "mine-sft").mkdir(parents=True)
    (home / "variants" / "mine-sft" / "variant.json").write_text("{}")
    with pytest.raises(UsageError, match=r"unknown model 'mine-stf'; did you mean 'mine-sft'\?"):
        locate("mine-stf", home)


def test_the_sample_is_worded_apart_from_its_benchmark() -> None:
    from pipelines.corpus.leaks import Leaks

    assert len(passages()) >= 80 and len(benchmark()) >= 150
    assert all(150 <= len(one["text"].split()) <= 330 for one in passages())
    assert {kind: len(sample_rows(kind)) for kind in ("cpt", "sft", "dpo")} == {
        "cpt": 3 * len(passages()), "sft": sum(len(one["questions"]) for one in passages()), "dpo": len(passages()),
    }  # fmt: skip
    leaks = Leaks({"sample": [row["question"] for row in benchmark()]})
    told = [text for kind in ("cpt", "sft", "dpo") for row in sample_rows(kind) for text in _texts(row)]
    assert [found for text in told if (found := leaks.found(text))] == []


def _texts(row: dict[str, Any]) -> list[str]:
    return [row["text"]] if "text" in row else [one["content"] for part in row.values() for one in part]
