"""MiniLM as the text encoder of a small FLUX: one frozen BERT that fits both text-encoder places of `FluxPipeline`.

A painter may bring a `Reader`: a small transformer over MiniLM's token states that says in the pooled vector what a
prompt names, where their mean blurs a prompt that names two structures.

The unchanged pipeline calls its first text encoder for one pooled vector and its second for a sequence, each with token
ids only. `MiniLMEncoder` answers both: it derives the attention mask from the padding id, so a prompt means the same
whatever it is padded to. This module builds models from a folder; it does not know where that folder comes from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, BertModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from models.encoders.clauses import CLAUSES, INTO, Clauses, load_clauses
from workspace.errors import DataError, check_loaded, one_line, reading

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")
READER = "reader.safetensors"
"""Where a painter's folder keeps its reader, if it has one."""


class Reader(nn.Module):
    """Adds to the mean of a sentence's token states what their order and company say. Fresh, it adds nothing.

    Args:
        hidden: Width of the states, MiniLM's 384.
        width: Of its own two layers, a multiple of 6.
    """

    def __init__(self, hidden: int = 384, width: int = 192) -> None:
        super().__init__()
        self.into = nn.Linear(hidden, width)
        self.ask = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.layers = nn.ModuleList([_ReaderLayer(width, heads=6) for _ in range(2)])
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, hidden)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token states (n, tokens, hidden) and their mask (n, tokens) to sentence vectors (n, hidden)."""
        weight = mask.unsqueeze(-1).to(states.dtype)
        usual = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        inner = torch.cat([self.ask.expand(len(states), 1, -1), self.into(states)], dim=1)
        seen = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1).bool()[:, None, None]
        for layer in self.layers:
            inner = layer(inner, seen)
        return torch.as_tensor(usual + self.out(self.norm(inner[:, 0])))


class _ReaderLayer(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, inner: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        parts = self.qkv(self.first(inner)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        inner = inner + self.proj(attended.transpose(1, 2).flatten(2))
        out: torch.Tensor = inner + self.feed(self.second(inner))
        return out


def load_reader(file: Path) -> Reader:
    """The reader in a file, float32, for use.

    Raises:
        DataError: It cannot be read, or is of another shape.
    """
    try:
        weights = {name: one.float() for name, one in load_file(file).items()}
        reader = Reader(hidden=weights["into.weight"].shape[1], width=weights["into.weight"].shape[0])
        reader.load_state_dict(weights)
    except (OSError, KeyError, RuntimeError, SafetensorError) as fault:
        raise DataError(f"cannot read the reader {file}: {one_line(fault)}") from None
    return reader.eval().requires_grad_(False)


class Structures(NamedTuple):
    """Token ids of either structure alone, padded as the prompt, (1, length), and whether one grades into the other."""

    alone: tuple[torch.Tensor, torch.Tensor]
    graded: bool


class MiniLMEncoder(BertModel):  # type: ignore[misc] # transformers is untyped
    """BERT that masks its own padding and pools by the mean, as the sentence-transformers MiniLM models do.

    Source: Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019), for masked mean pooling.
    """

    _keys_to_ignore_on_load_unexpected = (r"pooler\..*", r"embeddings\.position_ids")

    def __init__(self, config: Any, **_: Any) -> None:
        super().__init__(config, add_pooling_layer=False)
        self.reader: Reader | None = None
        self.clauses: Clauses | None = None

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
            (batch, hidden), the mean over the tokens, or what the reader makes of them, two structures read apart.
        """
        mask = input_ids.ne(self.config.pad_token_id).long() if attention_mask is None else attention_mask
        hidden, pooled = self._read(input_ids, mask)
        if self.clauses is not None:
            pooled = self.clauses.apart(
                input_ids * mask, hidden, pooled, lambda ids: self._read(ids, ids.ne(0).long())[1]
            )
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)

    def structures(self, input_ids: torch.Tensor) -> Structures | None:
        """The two structures of a prompt that joins them; none for any other prompt.

        Args:
            input_ids: Token ids of one prompt, (1, length), padded with 0.
        """
        if self.clauses is None:
            return None
        hidden, _ = self._read(input_ids, input_ids.ne(0).long())
        found = self.clauses.structures(input_ids[0], hidden[0], lambda ids: self._read(ids, ids.ne(0).long())[1])
        if found is None:
            return None
        first, second = (nn.functional.pad(one, (0, input_ids.shape[1] - len(one)))[None] for one in found[0])
        return Structures((first, second), graded=found[1] == INTO)

    def _read(self, input_ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token states, zero at padding, and pooled vectors, nothing read apart."""
        hidden = super().forward(input_ids=input_ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        hidden = hidden * weight
        pooled = hidden.sum(1) / weight.sum(1).clamp(min=1) if self.reader is None else self.reader(hidden, mask)
        return hidden, pooled


def load_minilm(
    folder: Path, dtype: torch.dtype = torch.float32, max_length: int = 64, painter: Path | None = None
) -> tuple[MiniLMEncoder, Any]:
    """Load the encoder and its tokenizer from a folder.

    Args:
        folder: Holds config.json, model.safetensors and tokenizer.json.
        dtype: Type of the encoder's weights.
        max_length: The length the tokenizer pads and cuts to when the pipeline asks for its own maximum.
        painter: Folder of the painter that is read for; its reader and its clauses, if it has them, make the pooled
            vector.

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
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, model_max_length=max_length, local_files_only=True, trust_remote_code=False
        )
    check_loaded(found, Path(folder))
    if painter is not None and (painter / READER).is_file():
        encoder.reader = load_reader(painter / READER).to(dtype)
    if painter is not None and (painter / CLAUSES).is_file():
        encoder.clauses = load_clauses(painter)
    return encoder.eval().requires_grad_(False), tokenizer
