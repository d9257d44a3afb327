"""Several texts advanced together, with one prefix or none in common. Knows caches and masks, nothing of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from models.engine import Engine, Tape
from models.sharing import shares


class Fork:
    """Texts that are read equally far, each in its row.

    Args:
        engine: The model that reads.
        rows: How each text begins.
        prefix: What stands before all of them; it stays as it is.
    """

    def __init__(self, engine: Engine, rows: Sequence[Sequence[int]], prefix: Tape | None = None) -> None:
        from transformers import DynamicCache

        self.engine = engine
        self.cache: Any = DynamicCache(config=engine.model.config.get_text_config())
        self.shared: list[tuple[torch.Tensor, torch.Tensor]] | None = None
        self.past = len(prefix.ids) if prefix else 0
        width, pad = max(map(len, rows)), min(engine.stops)
        self.mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        if prefix is not None:
            layers = [(layer.keys, layer.values) for layer in prefix.cache.layers]
            if shares(engine.model):
                self.shared = layers
            else:
                self._copy(layers, len(rows))
        self.logits = self._read([[pad] * (width - len(row)) + list(row) for row in rows], last=True)[:, -1]

    def _copy(self, layers: list[tuple[torch.Tensor, torch.Tensor]], rows: int) -> None:
        with torch.inference_mode():
            for number, held in enumerate(layers):
                self.cache.update(*(part.repeat_interleave(rows, dim=0) for part in held), number)
        self.mask = torch.cat([torch.ones((rows, self.past), dtype=torch.long), self.mask], dim=1)
        self.past = 0

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these texts; one that is named several times goes on in as many rows."""
        self.cache.batch_select_indices(torch.tensor(list(rows), device=self.engine.model.device))
        self.mask = self.mask[list(rows)]
        self.logits = self.logits[list(rows)]

    def read(self, ids: Sequence[Sequence[int]], *, last: bool = True) -> torch.Tensor:
        """Read equally many tokens for each text.

        Returns:
            The logits after the last token (rows, words), or after every token (rows, tokens, words).
        """
        self.mask = torch.cat([self.mask, torch.ones((len(ids), len(ids[0])), dtype=torch.long)], dim=1)
        logits = self._read(ids, last=last)
        self.logits = logits[:, -1]
        return self.logits if last else logits

    def _read(self, ids: Sequence[Sequence[int]], *, last: bool) -> torch.Tensor:
        device = self.engine.model.device
        inputs = torch.tensor([list(row) for row in ids])
        length = inputs.shape[1]
        places = self.past + (self.mask.cumsum(-1) - 1).clamp(min=0)[:, -length:]
        more: dict[str, Any] = {"attention_mask": self.mask.to(device)}
        if self.shared is not None:
            whole = self.mask.shape[1]
            causal = torch.ones((length, whole), dtype=torch.bool).tril(whole - length)
            more["attention_mask"] = (causal & self.mask.bool()[:, None, None, :]).to(device)
            more["shared_prefix"] = self.shared
        with torch.inference_mode():
            out = self.engine.model(
                input_ids=inputs.to(device),
                position_ids=places.to(device),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1 if last else 0,
                **more,
            )
        logits: torch.Tensor = out.logits.float().cpu()
        return logits
