"""Sentence embeddings by MiniLM: texts in, unit vectors out. Knows nothing of what they are compared for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace.progress import waiting, weighed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDS = 256
BATCH = 32


class Embedder:
    """Turns texts into vectors whose dot product is their cosine similarity.

    Pooling follows Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019): the mean over the tokens, then unit length.

    Args:
        folder: Where `models.catalogue.fetch.locate` says the embedding model lies.
    """

    def __init__(self, folder: Path) -> None:
        import torch

        from models.encoders.minilm import load_minilm

        self._torch = torch
        with waiting(f"reading {weighed(folder)}"):
            self._encoder, self._tokenizer = load_minilm(folder, torch.float32, max_length=WORDS)
        self.size = int(self._encoder.config.hidden_size)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed texts; longer ones are cut to the model's 256 word pieces.

        Args:
            texts: Any number of texts, also none.

        Returns:
            One row per text, in the order given, float32, each of length 1.
        """
        import numpy as np

        rows = np.zeros((len(texts), self.size), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            rows[chosen] = self._batch([texts[index] for index in chosen])
        return rows

    def _batch(self, texts: list[str]) -> Any:
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=WORDS, return_tensors="pt")
        with self._torch.inference_mode():
            pooled = self._encoder(tokens["input_ids"], tokens["attention_mask"]).pooler_output
            return self._torch.nn.functional.normalize(pooled, dim=1).numpy()
