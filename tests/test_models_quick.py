"""Quick linear layers give what plain ones give, within what 8 bits and bfloat16 can hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.decoder.quick_linear import QuickLinear, quicken


@pytest.mark.parametrize("rows", [1, 4, 5, 40])
def test_a_quick_layer_gives_what_the_plain_one_gives(rows: int) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(64, 48, bias=False).bfloat16()
    given = torch.randn(1, rows, 64).bfloat16()
    with torch.inference_mode():
        expected, seen = plain(given).float(), QuickLinear(plain)(given).float()
    assert seen.shape == (1, rows, 48)
    assert (seen - expected).abs().max() < 0.03 * expected.abs().max()


def test_a_model_is_quickened_only_where_it_gains(word_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    exact = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.float32)
    quicken(exact)
    assert not any(isinstance(layer, QuickLinear) for layer in exact.modules())
    model = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.bfloat16)
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        expected = model(ids).logits.float()
        quicken(model)
        seen = model(ids).logits.float()
    assert (seen - expected).abs().max() < 0.1 * expected.abs().max()
