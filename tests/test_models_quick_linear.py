"""Quick linear layers give what plain ones give, within what 8 bits and bfloat16 can hold, on any CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.decoder import quick_linear
from models.decoder.engine import Engine
from models.decoder.quick_linear import Integers, QuickLinear, multiplies_bfloat16, multiplies_integers, quicken

pytestmark = pytest.mark.skipif(not multiplies_integers(), reason="torch has no 8-bit products for this CPU")
packed = pytest.param(
    True,
    id="packed",
    marks=pytest.mark.skipif(not multiplies_bfloat16(), reason="this CPU has no instructions for bfloat16 products"),
)


@pytest.fixture(params=[packed, pytest.param(False, id="integers")])
def packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A CPU with instructions for bfloat16 products, and one without."""
    monkeypatch.setattr(quick_linear, "multiplies_bfloat16", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("rows", [1, 4, 5, 40])
def test_a_quick_layer_gives_what_an_exact_one_gives(packs: bool, rows: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(64, 48, bias=False).to(dtype)
    given = torch.randn(1, rows, 64).to(dtype)
    with torch.inference_mode():
        exact = torch.nn.functional.linear(given.float(), plain.weight.float())
        quick = QuickLinear(plain)
        seen = quick(given)
    assert (quick.many is not None) == packs
    assert (seen.shape, seen.dtype) == ((1, rows, 48), dtype)
    assert (seen.float() - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_no_sum_of_two_neighbours_runs_over(rows: int) -> None:
    weight = torch.ones(16, 64)
    weight[1:, ::2], weight[2:, :] = -1.0, -1.0
    weight[3, 10] = 40.0
    given = torch.ones(rows, 64)  # all as far out as rows go
    product = Integers(weight)
    held = torch.ops.quantized.linear_unpack(product.packed)[0].dequantize()  # weights in 8 bits, sums without end
    assert torch.allclose(product(given), given @ held.T, rtol=0.01, atol=0.05)


@pytest.mark.parametrize("rows", [1, 6])
def test_an_input_that_reaches_far_out_does_not_blur_the_others(rows: int) -> None:
    torch.manual_seed(1)
    weight, given = torch.randn(32, 64) * 0.1, torch.randn(rows, 64)
    given[:, 7] *= 100
    weight[:, 7] *= 0.01
    exact = given @ weight.T
    blurred, sharp = Integers(weight)(given), Integers(weight, given.abs().amax(0))(given)
    assert (sharp - exact).abs().mean() < 0.5 * (blurred - exact).abs().mean()


def test_a_row_is_multiplied_alike_whatever_stands_beside_it() -> None:
    torch.manual_seed(2)
    product, rows = Integers(torch.randn(32, 64)), torch.randn(5, 64)
    alone = torch.cat([product(rows[2:4]), product(torch.cat([rows[2:4] * 0.01, rows[4:] * 100]))[2:]])
    together = product(torch.cat([rows[2:4], rows[4:] * 100]))
    assert torch.equal(alone, together)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_quickened_model_says_what_the_exact_one_says(packs: bool, dtype: torch.dtype, word_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    exact = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(word_llama, dtype=dtype)
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        quicken(model, list(range(40)))
        expected, seen = exact(ids).logits, model(ids).logits.float()
    assert any(isinstance(layer, QuickLinear) for layer in model.modules())
    assert (seen - expected).abs().max() < 0.1 * expected.abs().max()


def test_a_model_is_read_in_the_format_that_the_cpu_multiplies(packs: bool, word_llama: Path) -> None:
    model = Engine.load(word_llama, device="cpu").model
    assert model.dtype == (torch.bfloat16 if packs else torch.float32)
    assert any(isinstance(layer, QuickLinear) for layer in model.modules())
    asked_for = Engine.load(word_llama, device="cpu", dtype="bfloat16").model
    assert asked_for.dtype == torch.bfloat16
    assert any(isinstance(layer, QuickLinear) for layer in asked_for.modules())
    exact = Engine.load(word_llama, device="cpu", dtype="float32").model
    assert exact.dtype == torch.float32
    assert not any(isinstance(layer, QuickLinear) for layer in exact.modules())
