"""Whether rows that share a sequence see each other, found by trying it.

Two rows are packed as TRL packs them, and the second one's logits are looked at: they may not change with the first
row's words, and must be those that the second row has alone. Knows models; no rows.
"""

from __future__ import annotations

from typing import Any

import torch

from workspace.errors import one_line

APART = frozenset({
    "cohere", "ernie4_5", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "granite",
    "llama", "mistral", "mixtral", "nemotron", "olmo2", "phi", "phi3", "qwen2", "qwen3", "qwen3_moe", "stablelm",
    "starcoder2",
})  # fmt: skip
"""Kinds of models that keep packed rows apart, each tried; for weights that no process holds whole."""
_FIRST, _SECOND = 7, 9  # tokens
_SEEN = 1e-4  # of the logits' spread: more than what rounding makes
_OTHER = {torch.float32: 1e-2}  # the same of a row alone, which is computed in other shapes
_OTHER_IN_HALF = 0.2


def why_not_packed(model: Any) -> str:
    """Why rows of this model may not share a sequence; nothing where they may."""
    kind = model.config.get_text_config().model_type
    spread = any(weight.is_meta or weight.numel() == 0 for weight in model.parameters())
    if spread or "flash" in str(getattr(model.config, "_attn_implementation", "")):  # which only a GPU computes
        return "" if kind in APART else f"whether {kind} keeps packed rows apart is not known"
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            changed, moved = _tried(model)
    except Exception as fault:  # whatever its code trips over, it cannot be packed
        return f"{kind} does not take packed rows ({one_line(fault, 80)})"
    finally:
        model.train(training)
    most = _OTHER.get(next(model.parameters()).dtype, _OTHER_IN_HALF)
    if changed > _SEEN or moved > most or changed != changed:
        return f"packed rows of {kind} see each other"
    return ""


def _tried(model: Any) -> tuple[float, float]:
    """How much a packed row's logits change with the row before it, and against the row alone, by their spread."""
    words = model.config.get_text_config().vocab_size
    draw = torch.Generator().manual_seed(0)
    first, other, second = (
        torch.randint(0, words, (count,), generator=draw).to(model.device) for count in (_FIRST, _FIRST, _SECOND)
    )
    alone = model(input_ids=second[None], attention_mask=torch.ones_like(second)[None], use_cache=False).logits[0]
    packed, again = (_packed(model, (one, second)) for one in (first, other))
    spread = alone.float().std().clamp_min(1e-9)
    return float((packed - again).abs().max() / spread), float((packed - alone.float()).abs().max() / spread)


def _packed(model: Any, rows: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The last row's logits, of rows in one sequence."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    ids = torch.cat(rows).tolist()
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(
        [{"input_ids": ids, "labels": ids, "seq_lengths": [len(row) for row in rows]}]
    )
    batch.pop("labels")
    given = {name: value.to(model.device) if hasattr(value, "to") else value for name, value in batch.items()}
    logits: torch.Tensor = model(**given, use_cache=False).logits[0, len(rows[0]) :].float()
    return logits
