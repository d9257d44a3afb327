"""A causal model that is asked how likely answers are, many at once. Nothing is sampled: the same model says the same.

A prompt is read once for all of its answers, and prompts of nearly one length are read together; the output layer is
computed in single precision, as logits of half precision tie. Knows texts; not what they are about.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workspace.errors import check_loaded

TOKENS = 3072
"""About how many tokens, padding included, are read at a time."""


@dataclass(frozen=True)
class Scorer:
    """A model, its tokenizer and where it computes; read by `load`."""

    model: Any
    tokenizer: Any
    device: str

    @classmethod
    def load(cls, folder: Path, template: Path | None = None) -> Scorer:
        """Read a model.

        Args:
            folder: The model's.
            template: Folder of the model whose chat template is used, where the model has none.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if template is not None:
            other = AutoTokenizer.from_pretrained(template, local_files_only=True, trust_remote_code=False)
            tokenizer.chat_template = other.chat_template
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
        check_loaded(found, folder)
        head = copy.deepcopy(model.get_output_embeddings()).float()
        head.register_forward_pre_hook(lambda _, given: (given[0].float(), *given[1:]))
        model.set_output_embeddings(head)
        return cls(model.to(device).eval(), tokenizer, device)

    def chat(self, text: str) -> str:
        """A user's turn in the model's chat template, up to where the answer begins."""
        turns = [{"role": "user", "content": text}]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def tokens(self, text: str) -> list[int]:
        """A text's tokens, none added."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def likelihoods(
        self,
        asked: Sequence[tuple[str, Sequence[str]]],
        done: Callable[[int, list[float]], None] = lambda place, scores: None,
    ) -> list[list[float]]:
        """The log-likelihood of each answer after its prompt.

        Args:
            asked: Prompts, each with the answers that follow it as they stand.
            done: Called with the place of a prompt and its scores when they are known, not in order.
        """
        stems = [self.tokens(prompt) or [self._start()] for prompt, _ in asked]
        tails = [[self.tokens(answer) for answer in answers] for _, answers in asked]
        sizes = [len(stem) + sum(map(len, rows)) for stem, rows in zip(stems, tails, strict=True)]
        found: list[list[float]] = [[] for _ in asked]
        for places in _batches(sizes):
            scores = self._read([stems[place] for place in places], [tails[place] for place in places])
            for place, row in zip(places, scores, strict=True):
                found[place] = row
                done(place, row)
        return found

    def _start(self) -> int:
        """The token before a text that has none before it."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0)
        return int(next(one for one in known if one is not None))

    def _read(self, stems: Sequence[list[int]], tails: Sequence[list[list[int]]]) -> list[list[float]]:
        import torch

        ids, seen = _padded(stems, 0)
        rows = [(row, tail) for row, answers in enumerate(tails) for tail in answers]
        owners = torch.tensor([row for row, _ in rows])
        most = max((len(tail) for _, tail in rows), default=0)
        if not most:
            return [[0.0 for _ in answers] for answers in tails]
        more, real = torch.zeros((len(rows), most), dtype=torch.long), torch.zeros((len(rows), most), dtype=torch.bool)
        for place, (_, tail) in enumerate(rows):
            more[place, : len(tail)], real[place, : len(tail)] = torch.tensor(tail), True
        with torch.inference_mode():
            chances = self._chances(ids, seen, owners, more, real)
            picked = chances.gather(-1, more[..., None].to(chances.device))[..., 0].cpu()
        sums = (picked * real).sum(1).tolist()
        made: list[list[float]] = [[] for _ in stems]
        for (row, _), total in zip(rows, sums, strict=True):
            made[row].append(float(total))
        return made

    def _chances(self, ids: Any, seen: Any, owners: Any, more: Any, real: Any) -> Any:
        """Log-chances of every next token where the answers stand: (answers, longest, words)."""
        import torch

        there = self.device
        placed = (seen.cumsum(1) - 1).clamp(min=0)
        stem = self.model(
            input_ids=ids.to(there),
            attention_mask=seen.to(there),
            position_ids=placed.to(there),
            use_cache=True,
            logits_to_keep=1,
        )
        logits = stem.logits[owners.to(there)]
        if more.shape[1] > 1:
            cache = stem.past_key_values
            cache.batch_select_indices(owners.to(there))
            mask = torch.cat([seen[owners], real[:, :-1].long()], dim=1)
            after = seen.sum(1)[owners][:, None] + torch.arange(more.shape[1] - 1)[None]
            rest = self.model(
                input_ids=more[:, :-1].to(there),
                attention_mask=mask.to(there),
                position_ids=after.to(there),
                past_key_values=cache,
            )
            logits = torch.cat([logits, rest.logits], dim=1)
        return logits.float().log_softmax(-1)


def _padded(stems: Sequence[list[int]], pad: int) -> tuple[Any, Any]:
    """Prompts as one tensor and where they stand in it, padded on the left: all end where answers begin."""
    import torch

    longest = max(map(len, stems))
    ids = torch.full((len(stems), longest), pad, dtype=torch.long)
    seen = torch.zeros_like(ids)
    for row, stem in enumerate(stems):
        ids[row, longest - len(stem) :] = torch.tensor(stem)
        seen[row, longest - len(stem) :] = 1
    return ids, seen


def _batches(sizes: Sequence[int]) -> list[list[int]]:
    """Places of prompts of nearly one length, longest first, that are read together."""
    made: list[list[int]] = []
    for place in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        if made and (len(made[-1]) + 1) * sizes[made[-1][0]] <= TOKENS:
            made[-1].append(place)
        else:
            made.append([place])
    return made
