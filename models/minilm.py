"""MiniLM as the text encoder of a small FLUX: one frozen BERT that fits both text-encoder places of `FluxPipeline`.

The unchanged pipeline calls its first text encoder for one pooled vector and its second for a sequence, each with token
ids only. `MiniLMEncoder` answers both: it derives the attention mask from the padding id, so a prompt means the same
whatever it is padded to. This module builds models from a folder; it does not know where that folder comes from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BertModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from workspace.errors import DataError

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


class MiniLMEncoder(BertModel):  # type: ignore[misc] # transformers is untyped
    """BERT that masks its own padding and pools by the mean, as the sentence-transformers MiniLM models do.

    Source: Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019), for masked mean pooling.
    """

    _keys_to_ignore_on_load_unexpected = (r"pooler\..*", r"embeddings\.position_ids")

    def __init__(self, config: Any, **_: Any) -> None:
        super().__init__(config, add_pooling_layer=False)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """Encode token ids.

        Args:
            input_ids: Token ids, shape (batch, length), padded with the configuration's ``pad_token_id``.
            attention_mask: 1 for tokens and 0 for padding, the same shape; by default derived from ``input_ids``.
            output_hidden_states: Taken for the pipelines' sake and ignored.
            return_dict: Taken for the pipelines' sake and ignored.

        Returns:
            ``last_hidden_state`` (batch, length, hidden), zero at padding, also as item 0, and ``pooler_output``
            (batch, hidden), the mean over the tokens.
        """
        mask = input_ids.ne(self.config.pad_token_id).long() if attention_mask is None else attention_mask
        hidden = super().forward(input_ids=input_ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        hidden = hidden * weight
        pooled = hidden.sum(1) / weight.sum(1).clamp(min=1)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


def load_minilm(folder: Path, dtype: torch.dtype = torch.float32, max_length: int = 64) -> tuple[MiniLMEncoder, Any]:
    """Load the encoder and its tokenizer from a folder.

    Args:
        folder: Holds config.json, model.safetensors and tokenizer.json.
        dtype: Type of the encoder's weights.
        max_length: The length the tokenizer pads and cuts to when the pipeline asks for its own maximum.

    Returns:
        The encoder, in evaluation mode with gradients off, and the tokenizer.

    Raises:
        DataError: If a file is missing.
    """
    missing = [name for name in NEEDED if not (Path(folder) / name).is_file()]
    if missing:
        raise DataError(f"text encoder folder {folder} lacks {', '.join(missing)}")
    encoder = MiniLMEncoder.from_pretrained(folder, dtype=dtype, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=max_length, local_files_only=True)
    return encoder.eval().requires_grad_(False), tokenizer
