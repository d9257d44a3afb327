"""Linear layers that suit a CPU: 8-bit integers for few rows, for many what its instruction set multiplies best.

Many rows, as in reading a prompt, take bfloat16 weights packed as oneDNN wants them where the CPU has instructions for
those; elsewhere 8-bit integers are quicker than float32 at every number of rows. A few rows are bound by how fast
weights come from memory, so they are multiplied as 8-bit integers, unless `models.decoder.step` reads single tokens
anyway. This is the one place that chooses. Knows no model family.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

_FEW = 4
MOST_WEIGHTS = 1_000_000_000
_STEPS = 127  # of an 8-bit integer, on either side of zero
_FINE = 4  # steps an octave
_ENGINE = "fbgemm"


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 products; without them float32 is the faster format."""
    built_in = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built_in and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def multiplies_integers() -> bool:
    """Whether torch has 8-bit integer products for this CPU, which it has on x86 from AVX2."""
    return _ENGINE in torch.backends.quantized.supported_engines


class Integers:
    """A product with 8-bit weights, one scale an output, and 8-bit rows, one scale a row.

    Inputs that reach further out than the others are made smaller and their weights larger by the same factor, the
    square root of how far (SmoothQuant, arXiv 2211.10438, with its alpha of a half). The CPU adds products of two
    neighbours in 16 bits, without a check in AVX2; scales are chosen so that no two neighbouring weights of an output
    exceed 128 together, which keeps every such sum within its bits.

    Args:
        weight: (outputs, inputs), float.
        reach: (inputs,), how far out each input goes; by default all equally far.
    """

    def __init__(self, weight: torch.Tensor, reach: torch.Tensor | None = None) -> None:
        factor = torch.ones(weight.shape[1])
        if reach is not None and float(reach.median()) > 0:
            octaves = (reach.float() / reach.float().median()).clamp(min=0.25).log2() / 2
            factor = ((octaves * _FINE).round() / _FINE).exp2()  # in steps, which the last digits do not move
        size = weight.detach().float() * factor
        far = functional.pad(size, (0, size.shape[1] % 2)).abs_()
        pairs = far[:, ::2].add_(far[:, 1::2]).amax(1)
        scale = (pairs / _STEPS).clamp(min=1e-8).double()
        self.shrink = 1 / factor
        whole = (size / scale.float()[:, None]).round_().to(torch.int8)
        with warnings.catch_warnings():  # torch, which is pinned, means to move these functions
            warnings.filterwarnings("ignore", message=".*quantized tensor creation", category=UserWarning)
            held = torch._make_per_channel_quantized_tensor(whole, scale, torch.zeros(len(scale), dtype=torch.long), 0)
        before, torch.backends.quantized.engine = torch.backends.quantized.engine, _ENGINE
        try:
            self.packed = torch.ops.quantized.linear_prepack(held, None)
        finally:
            torch.backends.quantized.engine = before

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, inputs) to (rows, outputs), both float32."""
        rows = rows * self.shrink
        if len(rows) == 1:
            out: torch.Tensor = torch.ops.quantized.linear_dynamic(rows, self.packed, reduce_range=False)
            return out
        far = rows.abs().amax(-1, keepdim=True).clamp_(min=1e-30)
        out = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / far, 1 / _STEPS, _STEPS + 1, self.packed
        )
        return out.mul_(far)


class Packed:
    """A product with bfloat16 weights as oneDNN packs them."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16(), 16)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, inputs) to (rows, outputs), bfloat16."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows.bfloat16(), self.weight, None, "none", [], "")
        return out


class QuickLinear(torch.nn.Module):
    """A linear layer as 8-bit integers, and packed in bfloat16 for more than four rows where the CPU is good at it.

    Args:
        linear: A layer on the CPU without a bias.
        reach: As in `Integers`.
        few: Whether few rows are asked for; where not, those that come all the same may take what suits many.
    """

    def __init__(self, linear: torch.nn.Linear, reach: torch.Tensor | None = None, *, few: bool = True) -> None:
        super().__init__()
        self.width = linear.in_features
        self.many = Packed(linear.weight) if multiplies_bfloat16() else None
        self.few = Integers(linear.weight, reach) if few or self.many is None else None

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        flat = rows.reshape(-1, self.width)
        if self.few is not None and (self.many is None or len(flat) <= _FEW):
            out = self.few(flat.float())
        else:
            assert self.many is not None
            out = self.many(flat)
        return out.to(rows.dtype).view(*rows.shape[:-1], -1)


def quicken(model: Any, ids: Sequence[int] = (), *, few: bool = True) -> None:
    """Give a language model on the CPU quick linear layers, if it is in 16 or 32 bits and not too large.

    Args:
        model: A transformers causal language model.
        ids: Tokens of a usual text; each layer's inputs are looked at while the model reads them.
        few: Whether it reads single tokens too.
    """
    if sum(part.numel() for part in model.parameters()) > MOST_WEIGHTS or not multiplies_integers():
        return
    found = {name: part for name, part in model.named_modules() if type(part) is torch.nn.Linear and _fits(part)}
    reach = _reach(model, found, ids) if ids and found else {}
    for name, layer in found.items():
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, QuickLinear(layer, reach.get(name), few=few))


def _reach(model: Any, layers: Mapping[str, torch.nn.Linear], ids: Sequence[int]) -> dict[str, torch.Tensor]:
    """How far each input of each layer goes out while a text is read."""
    seen: dict[str, torch.Tensor] = {}

    def look(name: str) -> Any:
        def see(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            seen[name] = given[0].detach().abs().reshape(-1, given[0].shape[-1]).amax(0)

        return see

    hooks = [layer.register_forward_pre_hook(look(name)) for name, layer in layers.items()]
    try:
        with torch.inference_mode():
            model(input_ids=torch.tensor([list(ids)]), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: one.clone() for name, one in seen.items()}


def _fits(layer: torch.nn.Linear) -> bool:
    weight = layer.weight
    known = weight.dtype in (torch.bfloat16, torch.float32)
    sides = weight.shape[0] % 16 == 0 and weight.shape[1] % 32 == 0
    return weight.device.type == "cpu" and known and layer.bias is None and sides
