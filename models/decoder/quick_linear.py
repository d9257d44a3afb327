"""Linear layers that suit a CPU: packed bfloat16 weights for many rows, 8-bit ones for a few. Knows no model family.

Writing one token at a time is bound by how fast weights come from memory, so a few rows read them as 8-bit integers
with one scale an output; many rows, as in reading a prompt or drafting a batch, take the bfloat16 ones, packed as
oneDNN wants them.
"""

from __future__ import annotations

from typing import Any

import torch

_FEW = 4
_MOST_WEIGHTS = 1_000_000_000


class QuickLinear(torch.nn.Module):
    """A linear layer's weights twice: 8-bit for at most four rows, packed bfloat16 for more.

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
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, 16)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        if rows.numel() <= _FEW * self.width:
            flat = torch._weight_int8pack_mm(rows.reshape(-1, self.width), self.small, self.scale)
            return flat.view(*rows.shape[:-1], -1)
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.packed, None, "none", [], "")
        return out


def quicken(model: Any) -> None:
    """Give a bfloat16 model on the CPU quick linear layers; any other model stays as it is."""
    packs = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not packs or sum(part.numel() for part in model.parameters()) > _MOST_WEIGHTS:
        return
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and _fits(layer):
                setattr(parent, name, QuickLinear(layer))


def _fits(layer: torch.nn.Linear) -> bool:
    weight = layer.weight
    sides = weight.shape[0] % 16 == 0 and weight.shape[1] % 32 == 0
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and layer.bias is None and sides
