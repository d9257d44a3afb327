"""A model in training, with what its optimizers keep: a killed training resumes exactly where its checkpoint stood.

Knows optimizers and the moving average; not what is trained, nor by which loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from training.loop.checkpoints import load_tensors, save_tensors
from training.loop.heap import keep_freed


class Trainee:
    """A model in training: its optimizers' state, its exponential moving average, its step, and where they are kept.

    Args:
        model: Trained in place. Its weights may be bfloat16; float32 master copies are kept for the optimizers.
        rate: Peak learning rate of AdamW.
        decay: Of the moving average; it starts lower and rises, so that early averages forget the random start.
        path: The checkpoint file; if it exists, training resumes from it. It holds model, moving average and the
            optimizers' moments, and the step in its note.
        matrices: Names of the two-dimensional weights that Muon trains instead of AdamW.
        matrix_rate: Peak learning rate of Muon, scaled to AdamW's usual size of a step.
        eight_bit: AdamW with 8-bit moments (bitsandbytes), where that is installed and the model lies on a GPU.

    Attributes:
        step: Steps done.
        saved: The step that the checkpoint file holds; None where there is none.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        rate: float,
        decay: float,
        path: Path,
        matrices: frozenset[str] = frozenset(),
        matrix_rate: float = 0.0,
        eight_bit: bool = False,
    ) -> None:
        self.path, self.rate, self.decay = path, rate, decay
        self.step = 0
        self.live = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        if not any(weight.is_cuda for weight in self.live.values()):
            keep_freed()
        self.weights: dict[str, torch.Tensor] = {name: _master(weight) for name, weight in self.live.items()}
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        rest = [weight for name, weight in self.weights.items() if name not in matrices]
        self.optimizers: list[tuple[torch.optim.Optimizer, float]] = [(_adamw(rest, rate, eight_bit), rate)]
        if matrices:
            chosen = [weight for name, weight in self.weights.items() if name in matrices]
            muon = torch.optim.Muon(chosen, lr=matrix_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
            self.optimizers.append((muon, matrix_rate))
        if path.is_file():
            self._resume()
            self._refresh()
        self.saved = self.step if path.is_file() else None

    @torch.no_grad()
    def _resume(self) -> None:
        tensors, note = load_tensors(self.path)
        self.step = int(note["step"])
        for name, weight in self.weights.items():
            weight.data.copy_(tensors[f"model.{name}"])
            self.average[name].copy_(tensors[f"average.{name}"])
        names = {weight: name for name, weight in self.weights.items()}
        for optimizer, _ in self.optimizers:
            for weight in optimizer.param_groups[0]["params"]:
                kept: dict[str, Any] = {}
                for key, held in tensors.items():
                    moment, _, owner = key.partition(".")
                    if owner == names[weight] and moment not in ("model", "average"):
                        # Laid out in memory like the weight: the fused optimizer takes that for granted.
                        same = held.shape == weight.shape and held.dtype == weight.dtype
                        kept[moment] = torch.empty_like(weight).copy_(held) if same else held.to(weight.device)
                if kept:
                    whole = not isinstance(optimizer, (torch.optim.AdamW, torch.optim.Muon))
                    optimizer.state[weight] = {"step": self.step if whole else torch.tensor(float(self.step)), **kept}

    def save(self) -> None:
        """Write everything needed to go on."""
        tensors = {f"model.{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"average.{name}": weight for name, weight in self.average.items()}
        for name, weight in self.weights.items():
            for optimizer, _ in self.optimizers:
                state = optimizer.state.get(weight, {})
                moments = {moment: held for moment, held in state.items() if torch.is_tensor(held) and held.ndim}
                tensors |= {f"{moment}.{name}": held for moment, held in moments.items()}
        save_tensors(self.path, tensors, {"step": self.step})
        self.saved = self.step

    def update(self, share: float) -> None:
        """One step at ``share`` of the peak rates with gradients clipped to norm 1, then the moving average."""
        for name, weight in self.live.items():
            if weight is not self.weights[name]:
                self.weights[name].grad = None if weight.grad is None else weight.grad.float()
                weight.grad = None
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for optimizer, peak in self.optimizers:
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._refresh()
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - decay)

    def use_average(self) -> None:
        """Put the moving average into the model; for a finished training, as the raw weights are gone after it."""
        for name, weight in self.weights.items():
            weight.data.copy_(self.average[name])
        self._refresh()

    def _refresh(self) -> None:
        """Round the master weights into a bfloat16 model; nothing to do for a float32 one."""
        for name, weight in self.live.items():
            if weight is not self.weights[name]:
                weight.data.copy_(self.weights[name])


def _adamw(weights: list[torch.Tensor], rate: float, eight_bit: bool) -> torch.optim.Optimizer:
    shape: dict[str, Any] = {"lr": rate, "betas": (0.9, 0.99), "weight_decay": 0.01}
    if eight_bit and weights[0].is_cuda:
        with suppress(ImportError):
            from bitsandbytes.optim import AdamW8bit

            eight: torch.optim.Optimizer = AdamW8bit(weights, **shape)
            return eight
    return torch.optim.AdamW(weights, fused=True, **shape)


def _master(weight: torch.nn.Parameter) -> torch.Tensor:
    """The float32 tensor the optimizer works on: the weight itself, or a copy of a bfloat16 one."""
    return weight if weight.dtype == torch.float32 else weight.detach().float().requires_grad_()


@contextmanager
def flushed() -> Iterator[None]:
    """Count denormal numbers as zero while inside: they slow a CPU's arithmetic many times over."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
