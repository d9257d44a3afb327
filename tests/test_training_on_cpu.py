"""What a CPU computes in its own way gives transformers' numbers."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.loss.loss_utils import ForCausalLMLoss

from training.loop.on_cpu import ATTENTION, _rows, causal_loss, hasten

SHAPE = {
    "vocab_size": 48, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip


def test_cross_entropy_is_transformers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loop.on_cpu._AT_A_TIME", 3 * 50)  # three rows at a time
    draw = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 50, (2, 11), generator=draw)
    labels[:, ::4] = -100
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 4e-3)):
        choices: list[dict[str, Any]] = [{}, {"num_items_in_batch": torch.tensor(40)}, {"shift_labels": labels.roll(1)}]
        for given in choices:
            logits = torch.randn(2, 11, 50, generator=draw).to(dtype)
            ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
            found, wanted = causal_loss(ours, labels, 50, **given), ForCausalLMLoss(theirs, labels, 50, **given)
            torch.autograd.backward([2 * found, 2 * wanted])
            assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
            assert ours.grad is not None and ours.grad.dtype == dtype
            torch.testing.assert_close(ours.grad, theirs.grad, atol=near, rtol=near)


def test_rows_that_share_a_sequence_attend_each_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    parted: list[int] = []

    def counted(*given: Any) -> list[tuple[int, int]]:
        rows = _rows(*given)
        parted.append(len(rows))
        return rows

    monkeypatch.setattr("training.loop.on_cpu._rows", counted)
    for model, rows in (
        (LlamaForCausalLM(LlamaConfig(**SHAPE)), 3),
        (MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=16)), 3),
        (MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=6)), 0),  # one row is longer than the window
    ):
        parted.clear()
        hastened = copy.deepcopy(model)
        hasten(hastened)
        assert hastened.config._attn_implementation == ATTENTION
        ids = torch.randint(0, 48, (1, 17))
        packed = torch.cat([torch.arange(size) for size in (5, 9, 3)])[None]
        for given in ({"position_ids": packed}, {}, {"position_ids": torch.arange(3, 20)[None]}):
            theirs, ours = (one(input_ids=ids, labels=ids, **given, use_cache=False) for one in (model, hastened))
            torch.testing.assert_close(ours.logits, theirs.logits, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(ours.loss, theirs.loss, atol=1e-5, rtol=1e-5)
            theirs.loss.backward()
            ours.loss.backward()
        assert parted == [rows] * 2 + [0] * 4, "two layers, of the packed rows alone"
        for one, other in zip(hastened.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)


def test_padded_rows_are_computed_as_ever() -> None:
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    ids, mask = torch.randint(0, 48, (2, 8)), torch.ones(2, 8, dtype=torch.long)
    mask[0, :3] = 0
    wanted = model(input_ids=ids, attention_mask=mask).logits
    hasten(model)
    torch.testing.assert_close(model(input_ids=ids, attention_mask=mask).logits, wanted)


def test_what_is_saved_knows_nothing_of_it(tmp_path: Path) -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    hasten(model)
    model.save_pretrained(tmp_path)
    assert ATTENTION not in json.dumps(json.loads((tmp_path / "config.json").read_text(encoding="utf-8")))
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


def test_another_attention_and_loss_stay(tmp_path: Path) -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    model.set_attn_implementation("eager")
    own = model.loss_function = lambda **given: given["logits"].sum()
    hasten(model)
    assert model.config._attn_implementation == "eager" and model.loss_function is own
