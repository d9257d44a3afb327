"""Several texts advanced together, each after a prefix or none. Knows caches and masks, nothing of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from models.decoder.engine import Engine, Tape
from models.decoder.fast_path import Way, reach_of
from models.decoder.prefixes import Prefixes, shares
from models.decoder.rows import Rows

if TYPE_CHECKING:
    from models.decoder.step.room import Room
    from models.decoder.step.stepper import Stepper

_FEW = 128  # tokens that are read as single ones are, which takes less than a pass of the model itself
_GROWTH = 512  # tokens by which no text grows


class Fork:
    """Texts that are read equally far, each in its row.

    Args:
        engine: The model that reads.
        rows: How each text begins.
        prefixes: What stands before the texts; they stay as they are.
        follows: For each text the number of its prefix; by default all follow the first.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Sequence[Sequence[int]],
        prefixes: Sequence[Tape] = (),
        follows: Sequence[int] | None = None,
    ) -> None:
        from transformers import DynamicCache

        self.engine = engine
        self.cache: Any = DynamicCache()
        self.shared: Prefixes | None = None
        self._room: Room | None = None
        width, pad = max(map(len, rows)), min(engine.stops)
        self.mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        self.past = torch.zeros((len(rows), 1), dtype=torch.long)
        self.follows = list(follows or [0] * len(rows))
        if prefixes:
            lengths = [len(tape.ids) for tape in prefixes]
            held = Prefixes([tape.cache for tape in prefixes], lengths, self.follows)
            if shares(engine.model):
                self.shared = held
                self.past = torch.tensor([[lengths[kind]] for kind in self.follows])
            else:
                self._copy(held)
        self.logits = self._read([[pad] * (width - len(row)) + list(row) for row in rows], last=True)[:, -1]

    def _copy(self, held: Prefixes) -> None:
        with torch.inference_mode():
            for number, parts in enumerate(held.layers):
                self.cache.update(*(part[self.follows] for part in parts), number)
        self.mask = torch.cat([(~held.missing[self.follows]).long().cpu(), self.mask], dim=1)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these texts; one that is named several times goes on in as many rows."""
        chosen = list(rows)
        self.cache.batch_select_indices(torch.tensor(chosen, device=self.engine.model.device))
        self.mask, self.past, self.logits = self.mask[chosen], self.past[chosen], self.logits[chosen]
        self.follows = [self.follows[row] for row in chosen]
        if self.shared is not None:
            self.shared.follow(self.follows)

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
        length, whole = inputs.shape[1], self.mask.shape[1]
        places = self.past + (self.mask.cumsum(-1) - 1).clamp(min=0)[:, -length:]
        if self.engine.stepper is not None and int(self.mask[:, -length:].sum()) <= _FEW:
            return self._advance(self.engine.stepper, inputs, places, last=last)
        more: dict[str, Any] = {"attention_mask": self.mask.to(device)}
        if self.shared is not None:
            causal = torch.ones((length, whole), dtype=torch.bool).tril(whole - length)
            more["attention_mask"] = (causal & self.mask.bool()[:, None, None, :]).to(device)
            more["shared_prefix"] = self.shared
        with self.engine.alone, torch.inference_mode():
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

    def _advance(self, stepper: Stepper, tokens: torch.Tensor, places: torch.Tensor, *, last: bool) -> torch.Tensor:
        from models.decoder.step.room import Room

        if self._room is None:
            if not self.cache.layers:
                stepper.lay_out(self.cache, len(tokens))
            self._room = Room(self.cache)
        return stepper.advance(tokens, places, self.mask.bool(), self._room, self.shared, last=last)


def fork_of(
    engine: Engine, rows: Sequence[Sequence[int]], prefixes: Sequence[Tape], follows: Sequence[int]
) -> Fork | Rows:
    """Texts to be advanced together: in one batch where the model computes that rightly, else each by itself."""
    reach = max(len(tape.ids) for tape in prefixes) + max(map(len, rows)) + _GROWTH
    if engine.way is Way.PLAIN or (engine.way is Way.APART and reach <= reach_of(engine.model)):
        return Fork(engine, rows, prefixes, follows)
    return Rows(engine, rows, prefixes, follows)
