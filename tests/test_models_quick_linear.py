"""Quick linear layers give what plain ones give, within what 8 bits and bfloat16 can hold, on any CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.decoder import quick_linear
from models.decoder.engine import Engine
from models.decoder.quick_linear import QuickLinear, multiplies_bfloat16, quicken

packed = pytest.param(
    True,
    id="packed",
    marks=pytest.mark.skipif(not multiplies_bfloat16(), reason="this CPU has no instructions for bfloat16 products"),
)


@pytest.fixture(params=[packed, pytest.param(False, id="plain")])
def packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A CPU with instructions for bfloat16 products, and one without."""
    monkeypatch.setattr(quick_linear, "multiplies_bfloat16", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("rows", [1, 4, 5, 40])
def test_a_quick_layer_gives_what_an_exact_one_gives(packs: bool, rows: int) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(64, 48, bias=False).bfloat16()
    given = torch.randn(1, rows, 64).bfloat16()
    with torch.inference_mode():
        exact = torch.nn.functional.linear(given.float(), plain.weight.float())
        quick = QuickLinear(plain)
        seen = quick(given)
    assert quick.packs == packs
    assert (seen.shape, seen.dtype) == ((1, rows, 48), torch.bfloat16)
    assert (seen.float() - exact).abs().max() < 0.03 * exact.abs().max()


def test_a_model_is_quickened_only_where_it_gains(packs: bool, word_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    exact = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.float32)
    quicken(exact)
    assert not any(isinstance(layer, QuickLinear) for layer in exact.modules())
    model = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.bfloat16)
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        quicken(model)
        expected, seen = exact(ids).logits, model(ids).logits.float()
    assert any(isinstance(layer, QuickLinear) for layer in model.modules())
    assert (seen - expected).abs().max() < 0.1 * expected.abs().max()


def test_a_model_is_read_in_the_format_that_the_cpu_multiplies(packs: bool, word_llama: Path) -> None:
    model = Engine.load(word_llama, device="cpu").model
    assert model.dtype == (torch.bfloat16 if packs else torch.float32)
    asked_for = Engine.load(word_llama, device="cpu", dtype="bfloat16").model
    assert asked_for.dtype == torch.bfloat16
    assert any(isinstance(layer, QuickLinear) for layer in asked_for.modules())
