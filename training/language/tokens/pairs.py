"""Preference trainers that take tokens as they are, and end nothing anew.

Knows TRL's two preference trainers; no rows and no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from training.language.tokens.encoded import IGNORED


def of_tokens(kind: type) -> type:
    """TRL's DPO or ORPO trainer for rows that are tokens already."""

    class OfTokens(kind):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

        @staticmethod
        def tokenize_row(feature: Mapping[str, Any], model: Any = None) -> Mapping[str, Any]:
            return feature

    return OfTokens


class PairCollator:
    """Pairs as DPO's trainer takes them: all chosen answers and then all rejected ones, padded on the right.

    Args:
        pad: The padding token; what is padding is told by the masks.
    """

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, pairs: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Join pairs into a batch."""
        ids = [torch.tensor(pair[f"{side}_input_ids"]) for side in ("chosen", "rejected") for pair in pairs]
        labels = [torch.tensor(pair[f"{side}_labels"]) for side in ("chosen", "rejected") for pair in pairs]
        padded = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": padded(ids, batch_first=True, padding_value=self.pad),
            "attention_mask": padded([torch.ones_like(one) for one in ids], batch_first=True, padding_value=0),
            "completion_mask": padded([(one != IGNORED).long() for one in labels], batch_first=True, padding_value=0),
        }
