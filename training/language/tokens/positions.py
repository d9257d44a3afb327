"""How long a sequence a model can read: learned positions end, rotary ones do not."""

from __future__ import annotations

import re
from typing import Any

from workspace.errors import DataError

_NAME = re.compile(r"(^|\.)(wpe|embed_positions|position_embeddings?)$")


def check_positions(config: Any, most: int, where: str) -> str:
    """Compare max_length with a model's positions.

    Args:
        config: The model's configuration.
        most: The longest sequence.
        where: What the model is called.

    Returns:
        What should be said, if anything.

    Raises:
        DataError: The model has learned positions, and they end before.
    """
    inner = config.get_text_config()
    positions = getattr(inner, "max_position_embeddings", None) or getattr(inner, "max_seq_len", None)
    if not isinstance(positions, int) or most <= positions:
        return ""
    if _learned(config):
        raise DataError(
            f"max_length {most} is beyond the {positions} positions of {where}, which are learned one by one",
            hint=f"max_length: {positions}",
        )
    return f"max_length {most} is beyond the {positions} positions that {where} was trained on"


def _learned(config: Any) -> bool:
    """Whether positions are looked up in a table that ends."""
    import torch
    from transformers import AutoModelForCausalLM

    if config.get_text_config().model_type == "mpt":
        return True  # its biases are made for so many and no more
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return any(_NAME.search(name) for name, _ in (*model.named_modules(), *model.named_buffers()))
