"""A causal model in this process that is asked how likely answers are, or to write them, many questions at once.

Nothing is sampled: the same model says the same. A prompt is read once for all of its answers, and what all prompts
begin with once for all of them; rows of nearly one length are read together. The output layer is computed in single
precision, as logits of half precision tie, and only where a token is told. Texts become tokens as
lm-evaluation-harness makes them of theirs. Knows texts; not what they are about.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from training.evaluation.asking.branches import Row, keeps_apart, mask, sheet
from training.gpus import GB, machine
from workspace.errors import DataError, check_loaded, one_line, reading

TOKENS = 2048
"""About how many tokens, padding included, are read at a time."""
WRITERS = 32
"""Answers that are written at a time, at most."""
SHARED = 8
"""Tokens that all prompts must begin with to have them read but once."""
_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>")

Done = Callable[[int, Any], None]


def _nothing(place: int, found: Any) -> None:
    """Leave what is found to the end."""


@dataclass
class _Asked:
    """From which tokens the output layer tells the next one; from all while nothing is picked."""

    picked: tuple[Any, Any] | None = None

    def of(self, states: Any) -> Any:
        """The states, (rows, tokens, width), that the output layer computes: (1, picked, width), or all."""
        return states if self.picked is None else states[self.picked][None]


@dataclass(frozen=True)
class _Shared:
    """What all prompts begin with: how many tokens, and what the model keeps of them."""

    tokens: int = 0
    cache: Any = None


@dataclass(frozen=True)
class Scorer:
    """A model, its tokenizer and where it computes; read by `load`."""

    model: Any
    tokenizer: Any
    device: str
    lead: list[int] = field(default_factory=list)
    """What the tokenizer puts before a text that does not begin so itself."""
    asked: _Asked = field(default_factory=lambda: _Asked())

    @classmethod
    def load(
        cls, folder: Path, template: Path | None = None, adapter: Path | None = None, dtype: str = "auto"
    ) -> Scorer:
        """Read a model.

        Args:
            folder: The model's.
            template: Folder of the model whose chat template is used, where the model has none.
            adapter: Folder of a LoRA adapter that is folded into the weights.
            dtype: Number format: bfloat16, float32, or by what the CPU multiplies and the memory holds.

        Raises:
            DataError: The folder holds no language model that can be read, or the adapter does not fit.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = "cuda" if torch.cuda.is_available() else "cpu"
        with reading(f"a language model in {folder}"), _no_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if template is not None:
                other = AutoTokenizer.from_pretrained(template, local_files_only=True, trust_remote_code=False)
                tokenizer.chat_template = other.chat_template
            model, found = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_dtype(dtype, device, folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        check_loaded(found, folder)
        if adapter is not None:
            from models.decoder.lora import fold_adapter

            model = fold_adapter(model, adapter)
        head = copy.deepcopy(model.get_output_embeddings()).float()
        asked = _Asked()
        head.register_forward_pre_hook(lambda _, given: (asked.of(given[0]).float(), *given[1:]))
        model.set_output_embeddings(head)
        return cls(model.to(device).eval().requires_grad_(False), tokenizer, device, _lead(tokenizer), asked)

    @property
    def reach(self) -> int | None:
        """How many tokens the model reads at most, where its configuration says."""
        known = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(known) if known else None

    def chat(self, text: str) -> str:
        """A user's turn in the model's chat template, up to where the answer begins."""
        turns = [{"role": "user", "content": text}]
        with reading(f"the chat template of {Path(self.tokenizer.name_or_path).name}"):
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def tokens(self, text: str) -> list[int]:
        """A text's tokens, none added."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def stem(self, prompt: str) -> list[int]:
        """A prompt's tokens, after what the tokenizer puts before a text; of an empty one what texts begin with."""
        found = self.tokens(prompt)
        return (found if found[: len(self.lead)] == self.lead else [*self.lead, *found]) or [self._start()]

    def parted(self, prompt: str, answers: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """The tokens of a prompt, and those of every answer after it.

        White space at the prompt's end is counted to the answers, and they are cut from tokens that were made of both
        together, as in lm-evaluation-harness (`TemplateLM._encode_pair`). Where the two melt into one token, which is
        rare, an answer keeps tokens of its own.
        """
        if not prompt:
            return [self._start()], [self.tokens(answer) for answer in answers]
        bare = prompt.rstrip()
        if not bare:
            return self.stem(prompt), [self.tokens(answer) for answer in answers]
        stem, space, tails = self.stem(bare), prompt[len(bare) :], []
        for answer in answers:
            whole = self.stem(bare + space + answer)
            tails.append(whole[len(stem) :] if whole[: len(stem)] == stem else self.tokens(space + answer))
        return stem, tails

    def likelihoods(self, asked: Sequence[tuple[str, Sequence[str]]], done: Done = _nothing) -> list[list[float]]:
        """The log-likelihood of each answer after its prompt.

        Args:
            asked: Prompts, each with the answers that follow it as they stand.
            done: Called with the place of a prompt and its scores when they are known, not in order.

        Raises:
            DataError: A prompt with its longest answer is longer than the model reads.
        """
        made = [self.parted(prompt, answers) for prompt, answers in asked]
        sizes = [len(stem) + max(map(len, tails), default=0) for stem, tails in made]
        for (prompt, _), size in zip(asked, sizes, strict=True):
            self.check_room(prompt, size)
        found = [[0.0 for _ in answers] for _, answers in asked]
        left = [sum(map(bool, tails)) for _, tails in made]
        for place in (place for place, many in enumerate(left) if not many):
            done(place, found[place])
        same: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for place, (stem, tails) in enumerate(made):
            same.setdefault(tuple(stem), []).extend((place, one) for one, tail in enumerate(tails) if tail)
        shared = self._shared(list(same), max(sizes, default=0))
        rows: list[Row] = []
        owners: list[list[tuple[int, int]]] = []
        for prompt_tokens, all_of in same.items():
            for own in self._split([len(made[place][1][one]) for place, one in all_of], len(prompt_tokens)):
                owners.append([all_of[number] for number in own])
                rows.append(Row(prompt_tokens[shared.tokens :], [made[place][1][one] for place, one in owners[-1]]))
        for batch in _batches([row.size for row in rows], [len(row.answers) > 1 for row in rows]):
            scores = iter(self._read([rows[number] for number in batch], shared))
            for place, one in (owner for number in batch for owner in owners[number]):
                found[place][one] = next(scores)
                left[place] -= 1
                if not left[place]:
                    done(place, found[place])
        return found

    def write(self, prompts: Sequence[str], most: int, done: Done = _nothing) -> list[str]:
        """What the model writes after each prompt, the likeliest token each time, up to where its turn ends.

        Args:
            prompts: Texts, of which none is empty.
            most: Tokens of an answer.
            done: Called with the place of a prompt and its answer when it is written, not in order.
        """
        stems = [self.stem(prompt) for prompt in prompts]
        for prompt, stem in zip(prompts, stems, strict=True):
            self.check_room(prompt, len(stem) + most)
        found = [""] * len(prompts)
        for batch in _batches([len(stem) + most for stem in stems]):
            for places in (batch[start : start + WRITERS] for start in range(0, len(batch), WRITERS)):
                for place, ids in zip(places, self._written([stems[place] for place in places], most), strict=True):
                    found[place] = str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
                    done(place, found[place])
        return found

    def check_room(self, prompt: str, tokens: int) -> None:
        """Refuse a prompt that is longer, with its answer, than the model reads."""
        if self.reach is not None and tokens > self.reach:
            shown = one_line(prompt.strip()[-200:], 80)
            raise DataError(
                f"a question has {tokens:,} tokens with its answer, the model reads {self.reach:,}: {shown}"
            )

    def _start(self) -> int:
        """The token before a text that has none before it."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0)
        return int(next(one for one in known if one is not None))

    def _stops(self) -> set[int]:
        """The tokens at which a turn ends."""
        found = {self.tokenizer.eos_token_id, *(self.tokenizer.get_vocab().get(end) for end in _ENDS)}
        for source in (self.model.config, self.model.generation_config):
            ids = getattr(source, "eos_token_id", None)
            found.update(ids if isinstance(ids, list) else [ids])
        return {one for one in found if isinstance(one, int)}

    @cached_property
    def _reach(self) -> float:
        """Up to how many tokens attention is over all of them."""
        from models.decoder.fast_path import reach_of

        return reach_of(self.model)

    @cached_property
    def _branches(self) -> bool:
        """Whether answers to one prompt may share a row: the model takes positions, and is found to by trying."""
        return self._reach > 0 and keeps_apart(
            lambda row: self._read([row], _Shared()), self.model.config.get_text_config().vocab_size
        )

    def _split(self, sizes: Sequence[int], stem: int) -> list[list[int]]:
        """Which answers to a prompt share a row, by their places; sizes in tokens."""
        most = TOKENS // 4 if self._branches and stem + max(sizes, default=0) < self._reach else 0
        made: list[list[int]] = []
        total = most
        for place, size in enumerate(sizes):
            if total + size - 1 > most or not made:
                made.append([])
                total = 0
            made[-1].append(place)
            total += size - 1
        return made if most else [[place] for place in range(len(sizes))]

    def _shared(self, stems: Sequence[tuple[int, ...]], longest: int) -> _Shared:
        """What all prompts begin with, read once; nothing where it is short, or the model does not keep every key.

        Args:
            stems: The prompts.
            longest: Tokens of the longest prompt with an answer.
        """
        import torch

        from models.decoder.fast_path import Way, way_of

        if len(stems) < 2 or not self._branches or way_of(self.model, longest) is not Way.PLAIN:
            return _Shared()
        first, last, most = min(stems), max(stems), min(map(len, stems)) - 1
        count = next((place for place in range(most) if first[place] != last[place]), most)
        if count < SHARED:
            return _Shared()
        with torch.inference_mode():
            ids = torch.tensor([first[:count]]).to(self.device)
            return _Shared(count, self.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values)

    def _read(self, rows: Sequence[Row], shared: _Shared) -> list[float]:
        """The log-likelihood of each answer of each row: of rows that all have one answer, or several."""
        import torch

        laid = sheet(rows, shared.tokens)
        given: dict[str, Any] = {}
        if any(len(row.answers) > 1 for row in rows):
            given["attention_mask"] = mask(laid.seen, self.model.get_input_embeddings().weight)
            given["position_ids"] = laid.positions.to(self.device)
        if shared.tokens:
            given["past_key_values"] = copy.deepcopy(shared.cache)
            given["past_key_values"].batch_repeat_interleave(len(rows))
        self.asked.picked = laid.rows.to(self.device), laid.columns.to(self.device)
        try:
            with torch.inference_mode():
                logits = self.model(input_ids=laid.ids.to(self.device), use_cache=bool(shared.tokens), **given).logits
                chances = logits[0].float().log_softmax(-1)
                told = chances.gather(-1, laid.words[:, None].to(self.device))[:, 0].cpu()
        finally:
            self.asked.picked = None
        return laid.totals(told)

    def _stem(self, ids: Any, seen: Any) -> Any:
        """Read padded prompts, (rows, longest): the logits after each, and the cache."""
        placed = (seen.cumsum(1) - 1).clamp(min=0)
        return self.model(
            input_ids=ids.to(self.device),
            attention_mask=seen.to(self.device),
            position_ids=placed.to(self.device),
            use_cache=True,
            logits_to_keep=1,
        )

    def _written(self, stems: Sequence[list[int]], most: int) -> list[list[int]]:
        """The likeliest tokens after each prompt, up to a stop or ``most``."""
        import torch

        ids, seen = _padded(stems)
        stops, made = self._stops(), [list[int]() for _ in stems]
        over = [False] * len(stems)
        with torch.inference_mode():
            out = self._stem(ids, seen)
            for step in range(most):
                logits = out.logits[:, -1].float()
                if not bool(logits.isfinite().any(-1).all()):
                    raise DataError("the model's logits are no numbers; its weights are damaged")
                picked = logits.argmax(-1).tolist()
                for row, token in enumerate(picked):
                    over[row] = over[row] or token in stops
                    if not over[row]:
                        made[row].append(token)
                if all(over) or step + 1 == most:
                    break
                placed = seen.sum(1)[:, None]
                seen = torch.cat([seen, torch.ones((len(stems), 1), dtype=seen.dtype)], dim=1)
                out = self.model(
                    input_ids=torch.tensor(picked)[:, None].to(self.device),
                    attention_mask=seen.to(self.device),
                    position_ids=placed.to(self.device),
                    past_key_values=out.past_key_values,
                    use_cache=True,
                )
        return made


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers' bars from the terminal."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


def _dtype(name: str, device: str, folder: Path) -> Any:
    """The number format: half where the device multiplies it, else single while twice the weights fit in memory."""
    import torch

    from models.decoder.quick_linear import multiplies_bfloat16

    if name != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if device == "cuda" or multiplies_bfloat16() or 2 * weights > machine().memory * GB / 2:
        return torch.bfloat16
    return torch.float32


def _lead(tokenizer: Any) -> list[int]:
    """The tokens, at most one, that a tokenizer puts before a text."""
    begins = tokenizer("a")["input_ids"][:1]
    return list(begins) if begins and begins[0] == tokenizer.bos_token_id else []


def _padded(stems: Sequence[list[int]]) -> tuple[Any, Any]:
    """Prompts as one tensor and where they stand in it, padded on the left: all end where answers begin."""
    import torch

    longest = max(map(len, stems))
    ids = torch.zeros((len(stems), longest), dtype=torch.long)
    seen = torch.zeros_like(ids)
    for row, stem in enumerate(stems):
        ids[row, longest - len(stem) :] = torch.tensor(stem)
        seen[row, longest - len(stem) :] = 1
    return ids, seen


def _batches(sizes: Sequence[int], kinds: Sequence[bool] = ()) -> list[list[int]]:
    """Places of rows of one kind and nearly one length, longest first, that are read together."""
    made: list[list[int]] = []
    for kind in sorted(set(kinds)) or [False]:
        last: list[int] = []
        places = [place for place in range(len(sizes)) if not kinds or kinds[place] == kind]
        for place in sorted(places, key=lambda one: -sizes[one]):
            if last and (len(last) + 1) * sizes[last[0]] <= TOKENS:
                last.append(place)
            else:
                last = [place]
                made.append(last)
    return made
