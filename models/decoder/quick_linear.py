"""Linear layers that suit a CPU: 8-bit weights for a few rows, for many rows what its instruction set multiplies best.

Writing one token at a time is bound by how fast weights come from memory, so a few rows read them as 8-bit integers
with one scale an output. Many rows, as in reading a prompt or drafting a batch, take bfloat16 weights packed as oneDNN
wants them where the CPU has instructions for those, and plain float32 ones where it has not. Knows no model family.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

_FEW = 4
_MOST_WEIGHTS = 1_000_000_000


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 products; without them float32 is the faster format."""
    built_in = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built_in and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class QuickLinear(torch.nn.Module):
    """A linear layer's weights twice: 8-bit for at most four rows, packed bfloat16 or plain float32 for more.

    Args:
        linear: A bfloat16 layer on the CPU without a bias.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = (weight.abs().amax(1) / 127).clamp(min=1e-8)
        self.width = weight.shape[1]
        self.scale = scale
        self.small = (weight.float() / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        self.packs = multiplies_bfloat16()
        self.many = torch.ops.mkldnn._reorder_linear_weight(weight, 16) if self.packs else weight.float()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        if rows.numel() <= _FEW * self.width:
            flat = torch._weight_int8pack_mm(rows.reshape(-1, self.width), self.small, self.scale)
            return flat.view(*rows.shape[:-1], -1)
        if not self.packs:
            return functional.linear(rows.float(), self.many).to(rows.dtype)
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.many, None, "none", [], "")
        return out


def quicken(model: Any) -> None:
    """Give a bfloat16 model on the CPU quick linear layers; any other model stays as it is."""
    if sum(part.numel() for part in model.parameters()) > _MOST_WEIGHTS:
        return
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and _fits(layer):
                setattr(parent, name, QuickLinear(layer))


def _fits(layer: torch.nn.Linear) -> bool:
    weight = layer.weight
    sides = weight.shape[0] % 16 == 0 and weight.shape[1] % 32 == 0
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and layer.bias is None and sides
