"""What a CPU trains quicker than as the library computes it, with the same numbers but for rounding.

Rows that share a sequence attend each to itself, without the mask in which most is crossed out; cross-entropy takes
half-precision logits a few at a time, and keeps no copy of them in single precision. Knows transformers' ways in; no
stage.
"""

from __future__ import annotations

from typing import Any

import torch

ATTENTION = "sdpa_by_row"
"""Name of this attention in transformers; a model that is saved does not hold it."""
_AT_A_TIME = 1 << 21
"""Logits in single precision at a time, so few that they stay in a CPU's cache."""


def hasten(model: Any) -> None:
    """Have a language model train by this attention and this loss, where it would by transformers' own of that kind.

    Args:
        model: Of transformers. Nothing changes for models with another attention or loss.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.loss.loss_utils import ForCausalLMLoss
    from transformers.masking_utils import sdpa_mask

    if getattr(model, "loss_function", None) is ForCausalLMLoss:
        model.loss_function = causal_loss
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(ATTENTION, _attention)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        model.set_attn_implementation(ATTENTION)


def _attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **given: Any) -> tuple[Any, None]:
    """Attention by row where rows share a sequence, else as transformers computes it."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows = _rows(query, attention_mask, given)
    if len(rows) < 2:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **given)[0], None
    given = {**given, "is_causal": True}
    parts = [
        sdpa_attention_forward(module, *(one[:, :, start:end] for one in (query, key, value)), None, **given)[0]
        for start, end in rows
    ]
    return torch.cat(parts, dim=1), None


def _rows(query: Any, mask: Any, given: dict[str, Any]) -> list[tuple[int, int]]:
    """Where each row of a sequence begins and ends, of queries (1, heads, tokens, width).

    None where the mask, (1, 1, tokens, tokens), lets tokens see more or less than all before them in their row: another
    kind of attention, a window that a row is longer than, or padding.
    """
    places, longest = given.get("position_ids"), query.shape[2]
    if places is None or mask is None or given.get("position_bias") is not None:
        return []
    if places.shape != (1, longest) or mask.shape != (1, 1, longest, longest) or mask.dtype != torch.bool:
        return []
    starts = (places[0] == 0).nonzero()[:, 0].tolist()
    rows = list(zip([0, *starts[1:]], [*starts[1:], longest], strict=True))
    seen = sum((end - start) * (end - start + 1) // 2 for start, end in rows)
    whole = all(mask[0, 0, end - 1, start:end].all() for start, end in rows)
    return rows if whole and int(mask.sum()) == seen else []


def causal_loss(
    logits: torch.Tensor,
    labels: torch.Tensor | None,
    vocab_size: int,
    num_items_in_batch: torch.Tensor | int | None = None,
    ignore_index: int = -100,
    shift_labels: torch.Tensor | None = None,
    **_: Any,
) -> torch.Tensor:
    """Cross-entropy of every next token, as transformers' `ForCausalLMLoss`.

    Args:
        logits: (rows, tokens, words).
        labels: Tokens, (rows, tokens); ``ignore_index`` where nothing is learned.
        vocab_size: How many words there are.
        num_items_in_batch: What the sum is divided by; by the tokens that are learned if not given.
        ignore_index: Of tokens that are not learned.
        shift_labels: Labels that are shifted already.

    Returns:
        One number, in single precision.
    """
    if shift_labels is None:
        assert labels is not None
        shift_labels = torch.nn.functional.pad(labels, (0, 1), value=ignore_index)[..., 1:]
    wanted = shift_labels.reshape(-1)
    count = (wanted != ignore_index).sum() if num_items_in_batch is None else num_items_in_batch
    summed: Any = _CrossEntropy.apply
    total: torch.Tensor = summed(logits.reshape(-1, vocab_size), wanted, ignore_index)
    return total / count


class _CrossEntropy(torch.autograd.Function):
    """The sum of tokens' cross-entropies; single precision a few rows at a time, forth and back."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, wanted: torch.Tensor, ignored: int) -> torch.Tensor:
        """Sum over tokens that are not ignored, of logits (tokens, words) and labels (tokens)."""
        learned = wanted != ignored
        words = wanted.where(learned, torch.zeros_like(wanted))
        sums = torch.empty(len(wanted), dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float64)
        for rows in _slices(logits):
            part = logits[rows].float()
            sums[rows] = part.logsumexp(1)
            losses = sums[rows] - part.gather(1, words[rows, None])[:, 0]
            total += losses.where(learned[rows], torch.zeros(())).sum(dtype=torch.float64)
        ctx.save_for_backward(logits, words, learned, sums)
        return total.float()

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient of the logits: softmax less one where the label is."""
        logits, words, learned, sums = ctx.saved_tensors
        scale = learned.float()[:, None] * given[0]
        made = torch.empty_like(logits)
        for rows in _slices(logits):
            part = logits[rows].float().sub_(sums[rows, None]).exp_()
            part.scatter_add_(1, words[rows, None], torch.full((len(part), 1), -1.0))
            made[rows] = part.mul_(scale[rows])
        return made, None, None


def _slices(logits: torch.Tensor) -> list[slice]:
    step = max(1, _AT_A_TIME // logits.shape[1])
    return [slice(start, start + step) for start in range(0, len(logits), step)]
