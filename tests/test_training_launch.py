"""A recipe in two processes: the same losses as one with twice the batch, one variant, faults in one line."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.utils import FullyShardedDataParallelPlugin
from typer.testing import CliRunner

import studio
from models.catalogue.fetch import variants
from tests.fixtures_local import sentences, without_waits
from training.language import ranks
from training.language.results import RecipeResult
from training.launch import start as launch
from training.launch.messages import Made, failure, listen, raised
from training.launch.options import Launcher, RunOptions
from training.launch.start import FOLDER, config_file, configs, environment, train
from ui.cli import app, main
from workspace import extras
from workspace.errors import DataError, ServiceError, StudioError, UsageError
from workspace.files import verify
from workspace.progress import Progress, TrainingStep

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def recipe(folder: Path, base: Path, batch: int, **more: Any) -> Path:
    asked = {"role": "user", "content": "What does it do?"}
    rows = [{"messages": [asked, {"role": "assistant", "content": line}]} for line in sentences()[:16]]
    (folder / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = {"max_steps": 5, "max_length": 96, "learning_rate": 1e-3, "bf16": False, "packing": False}
    args |= {"per_device_train_batch_size": batch, "logging_steps": 1, "save_steps": 2}
    stage = {"name": "sft", "stage": "sft", "data": [{"path": "chat.jsonl"}], "args": args | more}
    path = folder / f"by-{batch}.yaml"
    path.write_text(yaml.safe_dump({"name": f"by-{batch}", "base": str(base), "stages": [stage]}))
    return path


def losses(home: Path, name: str) -> list[float]:
    lines = (home / "training" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.slow
def test_two_processes_learn_as_one_with_twice_the_batch(word_llama: Path, home: Path, tmp_path: Path) -> None:
    train(recipe(tmp_path, word_llama, 4), home)
    told: list[Progress] = []
    by = RunOptions(launch="accelerate", config="ddp", processes=2)
    made = train(recipe(tmp_path, word_llama, 2), home, by, told.append)
    assert losses(home, "by-2-sft") == pytest.approx(losses(home, "by-4-sft"), abs=1e-4)
    assert [event.step for event in told if event.type == "training_step"] == [1, 2, 3, 4, 5]
    told = [event for event in told if event.type != "waiting"]
    assert [event.type for event in told if event.type != "training_step"] == [
        "stage_started", "rows_prepared", "remark", "stage_finished",
    ]  # fmt: skip
    assert {event.stage for event in told} == {"sft"}
    assert [(one.name, one.made) for one in made.variants] == [("by-2-sft", True)]
    assert variants(home) == ["by-2-sft", "by-4-sft"] and verify(home / "variants" / "by-2-sft") == []
    assert not list((home / "training" / "by-2-sft").glob("checkpoints/*"))
    again = train(recipe(tmp_path, word_llama, 2), home, RunOptions(launch="accelerate", processes=2))
    assert [one.made for one in again.variants] == [False]


@pytest.mark.slow
def test_a_fault_in_the_processes_is_one_line_and_their_exit_code(
    word_llama: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe(tmp_path, word_llama, 2)
    (tmp_path / "chat.jsonl").write_text('{"messages": 3}\n')
    arguments = ["train", "run", str(path), "--launch", "accelerate", "--processes", "2"]
    assert main(arguments) == DataError.exit_code
    line = without_waits(capsys.readouterr().err).strip()
    assert line.startswith("error: ") and "chat.jsonl" in line and "\n" not in line


@pytest.mark.slow
def test_ctrl_c_ends_every_process(word_llama: Path, home: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, word_llama, 2, max_steps=100_000)
    command = [sys.executable, "-m", "ui.cli", "train", "run", str(path), "--launch", "accelerate", "--processes", "2"]
    paths = os.environ | {"PYTHONPATH": str(extras.ROOT)}
    with subprocess.Popen(command, env=paths, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "loss" in line:
                break
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == 130 and rest.endswith("error: stopped (the same command goes on)\n")
    metrics = home / "training" / "by-2-sft" / "metrics.jsonl"
    before = metrics.stat().st_size
    time.sleep(2)
    assert metrics.stat().st_size == before


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_two_workers_on_ray_learn_the_same(word_llama: Path, home: Path, tmp_path: Path) -> None:
    train(recipe(tmp_path, word_llama, 4), home)
    told: list[Progress] = []
    made = train(recipe(tmp_path, word_llama, 2), home, RunOptions(launch="ray", processes=2), told.append)
    assert losses(home, "by-2-sft") == pytest.approx(losses(home, "by-4-sft"), abs=1e-4)
    assert [event.step for event in told if event.type == "training_step"] == [1, 2, 3, 4, 5]
    assert [one.made for one in made.variants] == [True]


class TestConfigurations:
    def test_the_shipped_ones_are_as_accelerate_reads_them(self) -> None:
        assert configs() == ["ddp", "fsdp2", "multi-node", "zero3"]
        assert all(name in str(RunOptions.model_fields["config"].description) for name in configs())
        told = {name: load_config_from_file(str(FOLDER / f"{name}.yaml")) for name in configs()}
        assert all(isinstance(one, ClusterConfig) for one in told.values())
        kinds = {name: one.distributed_type.value for name, one in told.items()}
        assert kinds == {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "multi-node": "FSDP", "zero3": "DEEPSPEED"}
        assert told["multi-node"].num_machines == 2 and told["multi-node"].num_processes == 16

    @pytest.mark.parametrize("name", ["ddp", "fsdp2", "multi-node", "zero3"])
    def test_the_launcher_knows_every_key(self, name: str) -> None:
        from accelerate.commands.launch import launch_command_parser

        told = load_config_from_file(str(FOLDER / f"{name}.yaml"))
        known = vars(launch_command_parser().parse_args(["script.py"]))
        assert {*told.fsdp_config, *told.deepspeed_config} <= known.keys()

    def test_ray_workers_are_told_what_the_launcher_would_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = environment(load_config_from_file(str(FOLDER / "fsdp2.yaml")))
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        plugin = FullyShardedDataParallelPlugin()
        assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True and plugin.cpu_ram_efficient_loading
        assert plugin.auto_wrap_policy is not None and plugin.state_dict_type.name == "SHARDED_STATE_DICT"
        assert environment(load_config_from_file(str(FOLDER / "ddp.yaml"))) == {}

    def test_an_unknown_one_is_refused_with_the_choices(self, home: Path) -> None:
        told = CliRunner().invoke(app, ["train", "run", "tiny", "--launch", "accelerate", "--config", "fsdp"])
        assert isinstance(told.exception, UsageError) and told.exception.exit_code == 2
        assert str(told.exception) == (
            "unknown config 'fsdp'; did you mean 'fsdp2'? choices: ddp, fsdp2, multi-node, zero3"
        )

    def test_a_file_of_ones_own_is_read(self, home: Path, tmp_path: Path) -> None:
        own = tmp_path / "mine.yaml"
        own.write_text((FOLDER / "ddp.yaml").read_text())
        assert config_file(str(own)) == own
        own.write_text("distributed_type: MULTI_GPU\nspeed: high\n")
        with pytest.raises(DataError, match=r"mine.yaml is no configuration of accelerate: .*speed"):
            train("tiny", home, RunOptions(launch="accelerate", config=str(own)))

    def test_weights_are_not_spread_without_gpus(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(ServiceError, match="fsdp2 spreads weights over GPUs, and there is none here"):
            train("tiny", home, RunOptions(launch="accelerate", config="fsdp2"))


class TestMessages:
    def test_events_are_passed_on_and_the_first_fault_counts(self) -> None:
        told: list[Progress] = []
        step = TrainingStep(step=1, of=2, loss=0.5, stage="sft")
        faults = [failure(DataError, DataError(f"no {number}", hint="mend it")) for number in (1, 2)]
        made = Made(result=RecipeResult(recipe="a", data=(), variants=()))
        lines = [message.model_dump_json() for message in (step, made, *faults)]
        end = listen(lines, told.append)
        assert told == [step] and end == faults[0]
        assert listen(lines[:2], told.append) == made and listen(lines[:1], told.append) is None
        fault = raised(faults[0], "the.log")
        assert isinstance(fault, DataError) and str(fault) == "no 1 (mend it)"
        assert str(raised(failure(ValueError, ValueError("a\nb")), "the.log")) == (
            "process 0 failed: ValueError: a b (see the.log)"
        )

    def test_a_line_that_is_no_message_is_named(self) -> None:
        for line in ("{", '{"type": "stage_started"}', '{"told": {"loss": 1}}'):
            with pytest.raises(StudioError, match="a training process sent what is no message"):
                listen([line], lambda event: None)

    def test_every_launcher_can_be_asked_for(self) -> None:
        assert tuple(launch.LAUNCHERS) == get_args(Launcher)


def test_an_unknown_launcher_and_options_without_one_are_refused(home: Path) -> None:
    with pytest.raises(UsageError, match="unknown launch 'rey'; did you mean 'ray'"):
        studio.train_recipe("tiny", launch="rey")
    with pytest.raises(UsageError, match="need a launcher"):
        studio.train_recipe("tiny", processes=2)


@pytest.mark.parametrize(
    ("by", "line"),
    [
        (("ray", "ddp"), "ray is not installed (pip install -c constraints.txt '.[cluster]')"),
        (("accelerate", "zero3"), "deepspeed is not installed (pip install deepspeed)"),
    ],
)
def test_what_is_not_installed_is_named_with_its_command(
    by: tuple[str, str], line: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = importlib.util.find_spec

    def absent(name: str, *given: Any) -> Any:
        return None if name in ("ray", "deepspeed") else honest(name, *given)

    monkeypatch.setattr(extras.importlib.util, "find_spec", absent)
    assert main(["train", "run", "tiny", "--launch", by[0], "--config", by[1]]) == 69
    assert without_waits(capsys.readouterr().err) == f"error: {line}\n"


def test_a_process_alone_waits_for_nobody() -> None:
    import torch

    ranks.wait()
    assert ranks.first() and ranks.agreed("a") == "a" and ranks.total(3) == 3 and ranks.count() == 1
    with ranks.alone():
        assert not torch.distributed.is_initialized()
    assert ranks.way() == ""


def test_work_that_was_split_otherwise_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    assert ranks.way() == "8" and ranks.shares() == 1 and not ranks.first()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert ranks.way() == "8 fsdp" and ranks.shares() == 8
