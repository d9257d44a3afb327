"""A causal language model in this process: weights, tokenizer, KV cache, sampling. Knows nothing of chats' meaning.

``Engine`` holds the weights, ``Tape`` the tokens read so far with their KV cache, ``pick`` chooses the next token.
Several texts at once are the matter of ``forks``.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.decoder.chat_template import ChatTemplate
from models.decoder.fast_path import State, Way, way_of
from models.decoder.lora import fold_adapter, taught_by
from models.decoder.prefixes import share_prefixes
from models.decoder.trial import check_count, try_out
from models.decoder.turnstile import turnstile
from workspace.errors import DataError, ServiceError, check_loaded, one_line, reading
from workspace.progress import waiting, weighed

if TYPE_CHECKING:
    import torch

    from models.decoder.step.room import Room
    from models.decoder.step.stepper import Stepper

_USUAL = (
    "Spider silk is a protein fibre spun by spiders. The tensile strength of dragline silk is about 1.3 GPa, and its "
    "toughness exceeds that of steel.\n\nQuestion: how do leaves carry water? Answer: through a network of veins, "
    'which branch and rejoin.\n{"name": "panel", "value": 12.5}'
)
_TRIED = 12  # tokens of it


class Engine:
    """Weights and tokenizer of one model.

    Args:
        model: A transformers causal language model in evaluation mode.
        tokenizer: Its fast tokenizer, with a chat template.
        name: How the model is called in errors.
        taught: The kinds of documents it is tuned to write.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, taught: frozenset[str] = frozenset()) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.taught = taught
        config = model.config.get_text_config()
        self.context: int = getattr(config, "max_position_embeddings", None) or 2048
        self.vocabulary: int = config.vocab_size
        self.way = way_of(model, self.context)
        self.alone = turnstile(str(model.device))  # through which threads go one by one to read more than single tokens
        self.stepper: Stepper | None = None  # what reads single tokens faster than the model itself, where there is one
        self.stops = self._stop_ids()
        self.template = ChatTemplate(tokenizer.get_chat_template(), tokenizer.special_tokens_map, name)
        self.recalled: Any = None  # conversations that were read, which `models.decoder.recall` keeps here
        self._making = threading.Lock()
        self._grammars: Any = None
        self._blanks: list[int] | None = None
        self._special = tuple(tokenizer.all_special_tokens) + tuple(
            token.content for token in tokenizer.added_tokens_decoder.values() if token.special
        )

    def _stop_ids(self) -> frozenset[int]:
        found = {self.tokenizer.eos_token_id}
        for source in (self.model.config, self.model.generation_config):
            ids = getattr(source, "eos_token_id", None)
            found.update(ids if isinstance(ids, list) else [ids])
        for name in ("<|im_end|>", "<|eot_id|>", "<|end|>"):
            found.add(self.tokenizer.get_vocab().get(name))
        return frozenset(i for i in found if isinstance(i, int) and 0 <= i < self.vocabulary)

    @classmethod
    def load(cls, folder: Path, *, adapter: Path | None = None, dtype: str = "auto", device: str = "auto") -> Engine:
        """Read the weights of a model folder, with a LoRA adapter folded in when one is given.

        Raises:
            DataError: The folder does not hold a readable chat model, or the adapter does not fit it.
        """
        import torch

        from models.decoder.quick_linear import quicken
        from models.decoder.step.stepper import stepper_of

        place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        model, tokenizer = _read(folder, _dtype(dtype, place))
        if not getattr(tokenizer, "chat_template", None):
            raise DataError(f"the model in {folder} has no chat template; a chat or instruct model is needed")
        if adapter is not None:
            model = fold_adapter(model, adapter)
        try:
            model = model.to(place).eval().requires_grad_(False)
        except (RuntimeError, AssertionError) as fault:
            raise ServiceError(f"cannot put {folder.name} on device {place!r}: {one_line(fault)}") from fault
        taught = taught_by(adapter) if adapter is not None else frozenset()
        with reading(f"a chat model in {folder}"):
            llm = cls(model, tokenizer, folder.name, taught)
            usual = llm.encode(_USUAL)
            llm.decode(usual)
        if llm.way is Way.PLAIN:
            share_prefixes(model)
        if llm.way is not Way.OWN and dtype != "float32":
            llm.stepper = stepper_of(model)
            quicken(model, usual, few=llm.stepper is None)
        try_out(model, Tape(llm).read, usual[:_TRIED], llm.name)
        return llm

    @property
    def grammar_tokenizer(self) -> Any:
        """The tokenizer as llguidance wants it (about a second to build, once)."""
        from llguidance.hf import from_tokenizer

        with self._making:
            if self._grammars is None:
                with reading(f"the tokenizer of {self.name}"):
                    eos = sorted(self.stops)
                    self._grammars = from_tokenizer(self.tokenizer, n_vocab=self.vocabulary, eos_token=eos)
            return self._grammars

    @property
    def blanks(self) -> list[int]:
        """Tokens that are only spaces: a space belongs to the word after it, or the model writes broken words."""
        with self._making:
            if self._blanks is None:
                pieces = enumerate(self.tokenizer.batch_decode([[i] for i in range(self.vocabulary)]))
                self._blanks = [i for i, piece in pieces if piece and not piece.strip(" ")]
            return self._blanks

    def prompt(self, messages: Sequence[dict[str, str]]) -> str:
        """Render messages by the model's chat template, up to where the assistant's answer begins."""
        turns = []
        for message in messages:
            content = message["content"]
            for token in self._special:
                content = content.replace(token, " ")
            turns.append({"role": message["role"], "content": content})
        return self.template.render(turns)

    def encode(self, text: str) -> list[int]:
        """Turn text that may hold special tokens into token ids; nothing is added."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def spans(self, text: str) -> list[tuple[int, int]]:
        """From where to where in a text each of its tokens stands."""
        found: list[tuple[int, int]] = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        return found

    def single(self, words: Sequence[str]) -> list[int]:
        """The tokens that are whole words of a list, as they begin a sentence or stand within one."""
        forms = {lead + form for word in words for form in (word, word.capitalize()) for lead in ("", " ")}
        return sorted(ids[0] for ids in map(self.encode, forms) if len(ids) == 1)

    def decode(self, ids: Sequence[int]) -> str:
        """Turn token ids into text, special tokens left out."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class Tape:
    """Tokens read so far and their KV cache; rewinding is free, forking copies.

    Args:
        engine: The model that reads.
    """

    def __init__(self, engine: Engine) -> None:
        from transformers import DynamicCache

        self.engine = engine
        self.ids: list[int] = []
        self.cache: Any = DynamicCache()  # told of no windows, it keeps every key
        self.state = State(engine.model) if engine.way is Way.OWN else None
        self._room: Room | None = None

    def read(self, ids: Sequence[int]) -> torch.Tensor:
        """Read more tokens and return the logits after the last one, as float32."""
        if len(ids) == 1 and self.ids and self.engine.stepper is not None:
            return self._step(self.engine.stepper, ids)
        return self._read(ids, 1)[-1]

    def read_all(self, ids: Sequence[int]) -> torch.Tensor:
        """Read more tokens and return the logits after each of them, (tokens, words), as float32."""
        return self._read(ids, len(ids))

    def _read(self, ids: Sequence[int], kept: int) -> torch.Tensor:
        import torch

        self.ids.extend(ids)
        if self.state is not None:
            with self.engine.alone:
                return self.state.read(self.ids, len(ids))
        with self.engine.alone, torch.inference_mode():
            inputs = torch.tensor([list(ids)], device=self.engine.model.device)
            out = self.engine.model(input_ids=inputs, past_key_values=self.cache, use_cache=True, logits_to_keep=kept)
        logits: torch.Tensor = out.logits[0, -kept:].float().cpu()
        return logits

    def copy(self) -> Tape:
        """A tape of the same tokens, to be read on from by itself."""
        other = Tape(self.engine)
        other.ids = list(self.ids)
        if self.state is not None:
            other.state = self.state.copy()
        else:
            other.cache = copy.deepcopy(self.cache)
        return other

    def look(self, states: torch.Tensor) -> None:
        """Read what stands for a picture, (tokens, width); its tokens' ids are those of padding."""
        import torch

        model = self.engine.model
        if self.state is not None:
            raise DataError(f"{self.engine.name} keeps a state of its own kind and cannot see pictures")
        self.ids.extend([min(self.engine.stops)] * len(states))
        with self.engine.alone, torch.inference_mode():
            seen = states[None].to(device=model.device, dtype=model.dtype)
            model(inputs_embeds=seen, past_key_values=self.cache, use_cache=True, logits_to_keep=1)

    def follow(self, ids: Sequence[int]) -> torch.Tensor:
        """Read tokens that were written, each as it was read then, and return the logits after the last one."""
        stepper = self.engine.stepper
        return self.read(ids) if stepper is None else self._step(stepper, ids)

    def _step(self, stepper: Stepper, ids: Sequence[int]) -> torch.Tensor:
        from models.decoder.step.room import Room

        if self._room is None:
            self._room = Room(self.cache)
        logits = stepper.follow(ids, len(self.ids), self._room)
        self.ids.extend(ids)  # a step that was stopped is none
        return logits

    def rewind(self, length: int) -> None:
        """Forget all tokens after the first ``length``."""
        if length < len(self.ids):
            if self.state is None:
                self.cache.crop(length - len(self.ids))
            del self.ids[length:]

    def seek(self, ids: Sequence[int]) -> torch.Tensor:
        """Make the tape hold exactly ``ids``, reading only what differs, and return the logits after them."""
        same = 0
        for ours, theirs in zip(self.ids, ids, strict=False):
            if ours != theirs:
                break
            same += 1
        same = min(same, len(ids) - 1)
        self.rewind(same)
        return self.read(ids[same:])


def pick(
    logits: torch.Tensor,
    *,
    temperature: float,
    top_p: float = 1.0,
    top_k: int = 0,
    penalty: float = 1.0,
    written: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> int:
    """Choose the next token from one row of logits.

    Args:
        logits: Raw scores of the next token, float32 on the CPU; refused tokens are minus infinity.
        temperature: 0 takes the likeliest token.
        top_p: Keep the likeliest tokens up to this probability mass.
        top_k: Keep at most this many tokens; 0 keeps all.
        penalty: Divides the scores of tokens already in ``written`` (1 is off).
        written: Tokens the penalty applies to.
        generator: Source of randomness.
    """
    import torch

    if penalty != 1.0 and len(written):
        index = torch.tensor(sorted(set(written)))
        scores = logits[index]
        logits = logits.clone()
        logits[index] = torch.where(scores > 0, scores / penalty, scores * penalty)
    if temperature <= 0:
        return int(logits.argmax())
    top = min(top_k or 1024, logits.numel())
    values, places = logits.topk(top)
    chances = (values / temperature).softmax(-1)
    if top_p < 1:
        before = chances.cumsum(-1) - chances
        chances = chances.masked_fill(before >= top_p, 0.0)
    return int(places[torch.multinomial(chances, 1, generator=generator)])


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep transformers' tables of weights and bars to itself; what is wrong with weights is said in one line."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _read(folder: Path, dtype: Any) -> tuple[Any, Any]:
    """The model and the tokenizer in a folder, held against what its files can hold before memory is taken."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    with reading(f"a chat model in {folder}"), _hushed():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        check_count(folder, sum(part.numel() for part in empty.parameters()))
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    check_loaded(found, folder)
    return model, tokenizer


def _dtype(name: str, device: str) -> Any:
    import torch

    from models.decoder.quick_linear import multiplies_bfloat16

    if name != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}[name]
    if device == "cpu" and not multiplies_bfloat16():
        return torch.float32
    return torch.bfloat16


_engines: dict[tuple[str, str | None, str, str], Engine] = {}
_lock = threading.Lock()


def engine(folder: Path, *, adapter: Path | None = None, dtype: str = "auto", device: str = "auto") -> Engine:
    """Return the engine of a folder, loaded once a process."""
    key = (str(folder.resolve()), str(adapter.resolve()) if adapter else None, dtype, device)
    with _lock:
        if key not in _engines:
            with waiting(f"reading {weighed(folder, *filter(None, [adapter]))}"):
                _engines[key] = Engine.load(folder, adapter=adapter, dtype=dtype, device=device)
        return _engines[key]
