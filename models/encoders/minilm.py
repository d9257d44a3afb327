"""MiniLM as the text encoder of a small FLUX: one frozen BERT that fits both text-encoder places of `FluxPipeline`.

A painter may bring a `Reader`, which puts a prompt into the painter's own names first: the painter then sees those, and
a pooled vector that says exactly what was read. Words that it cannot read stay as they are, for an adapter to know.

The unchanged pipeline calls its first text encoder for one pooled vector and its second for a sequence, each with token
ids only. `MiniLMEncoder` answers both: it derives the attention mask from the padding id, so a prompt means the same
whatever it is padded to. This module builds models from a folder; it does not know where that folder comes from.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, BertModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from models.encoders.reader import Reader, load_reader
from models.encoders.wishes import READER, Reading
from workspace.errors import DataError, check_loaded, reading

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


class MiniLMEncoder(BertModel):  # type: ignore[misc] # transformers is untyped
    """BERT that masks its own padding and pools by the mean, as the sentence-transformers MiniLM models do.

    Source: Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019), for masked mean pooling.
    """

    _keys_to_ignore_on_load_unexpected = (r"pooler\..*", r"embeddings\.position_ids")

    def __init__(self, config: Any, **_: Any) -> None:
        super().__init__(config, add_pooling_layer=False)
        self.reader: Reader | None = None

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
            (batch, hidden), the mean over the tokens, or with a reader what says all that it read.
        """
        mask = input_ids.ne(self.config.pad_token_id).long() if attention_mask is None else attention_mask
        if self.reader is None:
            hidden, pooled = self._read(input_ids, mask)
        else:
            rows = [self.encoded(self.read(row), row) for row in input_ids * mask]
            hidden, pooled = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)

    def read(self, ids: torch.Tensor) -> Reading:
        """What a prompt asks for; nothing without a reader.

        Args:
            ids: Its token ids, padded with 0, (length,).
        """
        return Reading() if self.reader is None else self.reader.read(self.reader.untriggered(ids[ids != 0])[1])

    def encoded(self, reading: Reading, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States (1, length, hidden) and pooled vector (1, hidden) of a prompt that was read.

        Args:
            reading: What was read.
            ids: The prompt's token ids, padded with 0, (length,). Where it says what the painter does not know, the
                states are of these.
        """
        reader, shown = self.reader, ids
        if reader is None or reading == Reading():
            return self._read(ids[None], ids.ne(0).long()[None])
        if not reading.unknown:
            own = reader.tokenizer(reader.names.caption(reading), add_special_tokens=False)["input_ids"]
            trigger, _ = reader.untriggered(ids[ids != 0])
            whole = torch.cat([trigger, torch.tensor(own, device=ids.device)])[: len(ids) - 1]
            last = ids[ids != 0][-1:]
            shown = nn.functional.pad(torch.cat([whole, last]), (0, len(ids) - len(whole) - 1))
        hidden, _ = self._read(shown[None], shown.ne(0).long()[None])
        return hidden, reader.pooled(reading).to(hidden)[None]

    def _read(self, input_ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token states, zero at padding, and their means, nothing put into other words."""
        hidden = super().forward(input_ids=input_ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        hidden = hidden * weight
        return hidden, hidden.sum(1) / weight.sum(1).clamp(min=1)


def load_minilm(
    folder: Path, dtype: torch.dtype = torch.float32, max_length: int = 64, painter: Path | None = None
) -> tuple[MiniLMEncoder, Any]:
    """Load the encoder and its tokenizer from a folder.

    Args:
        folder: Holds config.json, model.safetensors and tokenizer.json.
        dtype: Type of the encoder's weights.
        max_length: The length the tokenizer pads and cuts to when the pipeline asks for its own maximum.
        painter: Folder of the painter that is read for; its reader, if it has one, puts prompts into its names.

    Returns:
        The encoder, in evaluation mode with gradients off, and the tokenizer.

    Raises:
        DataError: If a file is missing, or the painter's reader cannot be used.
    """
    missing = [name for name in NEEDED if not (Path(folder) / name).is_file()]
    if missing:
        raise DataError(f"text encoder folder {folder} lacks {', '.join(missing)}")
    with reading(f"a text encoder in {folder}"):
        encoder, found = MiniLMEncoder.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, model_max_length=max_length, local_files_only=True, trust_remote_code=False
        )
    check_loaded(found, Path(folder))
    if painter is not None and (painter / READER).is_file():
        reader = load_reader(painter, encoder.eval().requires_grad_(False), tokenizer)
        encoder = copy.deepcopy(encoder)  # which may move to a GPU; the reader stays
        encoder.reader = reader
    encoder = encoder.to(dtype)
    return encoder.eval().requires_grad_(False), tokenizer
