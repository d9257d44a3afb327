"""Plans tell the truth: memory and time of simulated machines, launchers, mixtures of experts, GPUs by exact name."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from typer.testing import CliRunner

from training import gpus
from training.gpus import Machine, known_peak
from training.language import plan as plans
from training.language import run as runner
from training.language.arguments import Adapter, Arguments
from training.language.estimate import Size, crowd, hours, memory, operations, size_of
from training.language.recipe import FOLDER, load_recipe, resolved
from training.language.run import main, open_run
from ui.cli import app
from workspace.errors import DataError, ServiceError, UsageError

pytest_plugins = ["tests.fixtures_local"]
H100 = Machine("NVIDIA H100 80GB HBM3", 85.0, 4e14, 8)
LAPTOP = Machine("NVIDIA GeForce RTX 4070 Laptop GPU", 8.2, None, 1)
CARD = Machine("NVIDIA GeForce RTX 4090", 25.3, 0.66e14, 1)
WORKSTATION = Machine("NVIDIA RTX A6000", 51.0, 0.6e14, 1)
STUDY = ["llama-3.1-8b-base", "llama-3.1-8b-instruct", "mistral-7b-v0.3-base", "mistral-7b-v0.3-instruct", "papers"]


def planned(
    recipe: str, here: Machine, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A plan as the command gives it, and its training stages."""
    monkeypatch.setattr(plans, "machine", lambda: here)
    done = CliRunner().invoke(app, ["train", "run", recipe, "--plan", "--json", *options])
    assert done.exit_code == 0, done.output
    held = json.loads(done.stdout)
    return held, [row for row in held["stages"] if "learning_rate" in row]


@pytest.mark.parametrize("name", STUDY)
def test_the_study_fits_eight_gpus_of_80_gb(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, stages = planned(name, H100, monkeypatch)
    assert held["processes"] == 8 and held["spread"] and len(stages) >= 3
    assert held["command"] == "--launch accelerate --config fsdp2 --processes 8"
    assert all(row["fits"] and row["memory_gb"] < 80 for row in stages)
    copies, stages = planned(name, H100, monkeypatch, "--launch", "accelerate", "--config", "ddp")
    assert copies["processes"] == 8 and not copies["spread"] and not any(row["fits"] for row in stages)
    _, stages = planned(name, Machine("NVIDIA H100 80GB HBM3", 85.0, 4e14, 1), monkeypatch)
    assert not any(row["fits"] for row in stages)  # eight processes on one GPU


@pytest.mark.parametrize(("name", "here"), [("laptop-8gb", LAPTOP), ("card-24gb", CARD), ("smollm-1.7b", WORKSTATION)])
def test_one_gpu_is_enough_for_recipes_of_its_size(
    name: str, here: Machine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, stages = planned(name, here, monkeypatch)
    assert held["processes"] == 1 and held["command"] == "" and stages and all(row["fits"] for row in stages)
    small = Machine(here.name, 0.7 * here.memory, here.flops, 1)
    assert not all(row["fits"] for row in planned(name, small, monkeypatch)[1])


@pytest.mark.parametrize("name", [*STUDY[:4], "smollm-1.7b", "laptop-8gb", "card-24gb"])
def test_a_recipes_header_says_what_it_needs(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = (FOLDER / f"{name}.yaml").read_text().split("\nname:")[0]
    said = re.search(r"# Needs (?:one GPU|(\d) GPUs) of (\d+) GB: about (\d+) GB", header)
    assert said is not None
    held, stages = planned(name, H100, monkeypatch)
    assert held["processes"] == int(said[1] or 1)
    assert math.ceil(max(row["memory_gb"] for row in stages)) == int(said[3]) <= int(said[2])


class TestLaunchers:
    @pytest.mark.parametrize(
        ("options", "processes", "spread"),
        [
            (["--launch", "accelerate", "--processes", "2"], 2, False),
            (["--launch", "accelerate", "--config", "fsdp2"], 8, True),
            (["--launch", "accelerate", "--config", "zero3", "--processes", "4"], 4, True),
            (["--launch", "accelerate", "--config", "multi-node"], 16, True),
            (["--launch", "ray", "--config", "fsdp2", "--processes", "3"], 3, True),
        ],
    )
    def test_a_plan_is_for_the_processes_that_are_asked_for(
        self, options: list[str], processes: int, spread: bool, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held, stages = planned("tiny", H100, monkeypatch, *options)
        assert (held["processes"], held["spread"]) == (processes, spread)
        assert all(held["command"].endswith(f"--processes {processes}") for _ in stages)

    def test_an_unknown_configuration_is_refused(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        done = CliRunner().invoke(app, ["train", "run", "tiny", "--plan", "--launch", "accelerate", "--config", "fsdp"])
        assert isinstance(done.exception, UsageError)

    def test_processes_that_share_a_device_are_counted(self) -> None:
        assert [crowd(*one) for one in ((8, 8), (8, 1), (2, 0), (1, 0), (9, 8))] == [1, 8, 2, 1, 2]

    def test_a_terminal_is_told_in_words(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plans, "machine", lambda: LAPTOP)
        told = CliRunner().invoke(app, ["train", "run", "llama-3.1-8b-instruct", "--plan"]).stdout
        assert "8 processes, weights spread over them (--launch accelerate --config fsdp2 --processes 8)" in told
        assert "here: 1 x NVIDIA GeForce RTX 4070 Laptop GPU, 8.2 GB, speed unknown" in told
        assert re.search(r"fits +no\n", told) and "hours" not in told


def test_steps_that_are_bounded_bound_the_hours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, stages = planned("tiny", H100, monkeypatch)
    cpt = next(row for row in stages if row["name"] == "cpt")
    assert cpt["steps"] == 2 and cpt["tokens"] > 10_000  # of the whole sample
    size = size_of("smollm2-135m-instruct", None)
    assert size is not None
    assert cpt["hours"] == round(hours(size, 2 * 128, "cpt", 4e14, adapter=True), 3)


class TestSizes:
    MIXTRAL: ClassVar = {
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "num_local_experts": 8,
        "num_experts_per_tok": 2,
    }  # fmt: skip
    QWEN: ClassVar = {
        "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
        "vocab_size": 151936, "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
        "tie_word_embeddings": False,
    }  # fmt: skip

    @pytest.mark.parametrize(("config", "all_of_them", "active"), [(MIXTRAL, 46.7, 12.9), (QWEN, 30.5, 3.35)])
    def test_a_mixture_of_experts(
        self, config: dict[str, Any], all_of_them: float, active: float, tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        size = size_of("mine", tmp_path)
        assert size is not None
        assert size.parameters / 1e9 == pytest.approx(all_of_them, abs=0.06)
        assert size.active / 1e9 == pytest.approx(active, abs=0.06)
        assert operations(size, "sft", False) == 6 * size.active
        assert memory(size, resolved(load_recipe("tiny").stages[1]), "sft", None) > 16 * all_of_them

    def test_four_bits_leave_embeddings_and_output_in_sixteen(self) -> None:
        size = size_of("llama-3.1-8b", None)
        assert size is not None and size.parameters - size.linear == pytest.approx(1.05e9, rel=0.01)
        args = Arguments(bf16=True, max_length=16, gradient_checkpointing=True)
        held = memory(size, args, "sft", Adapter(type="qlora", r=1))
        assert held == pytest.approx(2 * 1.05 + 0.52 * 6.98 + 1, abs=0.2)

    def test_what_makes_memory_grow(self) -> None:
        size = Size(10**9, 10**9, 10, 1000, 4000, 1000, 50_000, linear=9 * 10**8, sides=10**5)
        args = resolved(load_recipe("tiny").stages[0])
        whole = memory(size, args, "sft", None)
        for change in ({"optim": "adamw_8bit"}, {"gradient_checkpointing": True}, {"max_length": 64}):
            assert memory(size, args.model_copy(update=change), "sft", None) < whole
        assert memory(size, args, "sft", None, shares=8) < 0.5 * whole < whole < memory(size, args, "sft", None, 1, 8)
        low = Adapter(r=4)
        both = low.model_copy(update={"modules_to_save": ("embed_tokens", "lm_head")})
        assert memory(size, args, "sft", low) + 1.5 < memory(size, args, "sft", both)


class TestGpus:
    @pytest.mark.parametrize(
        ("name", "tflops"),
        [
            ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA A100 80GB PCIe", 312), ("NVIDIA H100 80GB HBM3", 989),
            ("NVIDIA H100 PCIe", 756), ("NVIDIA A10", 125), ("NVIDIA A10G", 70), ("NVIDIA L40", 181),
            ("NVIDIA L40S", 362), ("Tesla T4", 65), ("NVIDIA GeForce RTX 4090", 165),
            ("NVIDIA RTX A1000 Laptop GPU", None),
            ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
            ("NVIDIA GeForce GTX 1080", None), ("NVIDIA RTX A4090", None), ("", None),
        ],
    )  # fmt: skip
    def test_a_gpu_is_known_by_its_exact_name(self, name: str, tflops: float | None) -> None:
        peak = known_peak(name)
        assert (peak and peak / 1e12) == tflops

    def test_the_smallest_of_several_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Gpu:
            def __init__(self, name: str, total_memory: int) -> None:
                self.name, self.total_memory = name, total_memory

        found = [Gpu("NVIDIA A10", 24 * 10**9), Gpu("Tesla T4", 16 * 10**9)]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: found[number])
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
        here = gpus.machine()
        assert (here.name, here.memory, here.gpus, here.bf16) == ("Tesla T4", 16.0, 2, False)
        assert gpus.peak() == 125e12


class TestPrecision:
    T4 = Machine("Tesla T4", 15.8, 0.26e14, 1, bf16=False)

    def recipe(self, base: Path, folder: Path, **args: Any) -> Path:
        (folder / "text.jsonl").write_text('{"text": "The layer holds."}\n{"text": "The core bends."}\n')
        stage = {"name": "cpt", "stage": "cpt", "data": [{"path": "text.jsonl"}], "args": {"max_length": 32} | args}
        path = folder / "mine.yaml"
        path.write_text(yaml.safe_dump({"name": "mine", "base": str(base), "stages": [stage]}))
        return path

    def test_a_gpu_without_bfloat16_is_told_before_the_first_step(
        self, word_llama: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runner, "machine", lambda: self.T4)
        path = self.recipe(word_llama, tmp_path)
        why = r"cpt: bf16 is asked for, and Tesla T4 does not compute in bfloat16 \(fp16: true among its arguments\)"
        with pytest.raises(ServiceError, match=why):
            main(open_run(path, home))
        held, _ = planned(str(path), self.T4, monkeypatch)
        assert re.search(why, held["faults"][0])
        held, [cpt] = planned(str(self.recipe(word_llama, tmp_path, fp16=True)), self.T4, monkeypatch)
        assert held["faults"] == [] and cpt["fp16"] and not cpt["bf16"]

    @pytest.mark.parametrize("asked", [{"fp16": True}, {"attn_implementation": "flash_attention_2"}])
    def test_what_needs_a_gpu_is_told_where_there_is_none(
        self, asked: dict[str, Any], word_llama: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("training.language.run.require", lambda *given, **named: None)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(ServiceError, match=f"cpt: .*{next(iter(asked))}.* needs a GPU, and there is none here"):
            main(open_run(self.recipe(word_llama, tmp_path, **asked), home))

    def test_both_halves_are_refused(self, word_llama: Path, home: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="bf16 and fp16 are both asked for"):
            open_run(self.recipe(word_llama, tmp_path, fp16=True, bf16=True), home)
