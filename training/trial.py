"""A model folder tried before it is published: it tells where answers end, loads, and goes on with a sentence.

A process that has not needed transformers so far, as a merge's, would spend longer on importing it than on merging;
there a plain Llama with a plain tokenizer is tried without it, and everything else with it. Knows folders; not how the
model came to be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.catalogue.folders import read_json
from models.decoder.template_bounds import Bounded
from training.loadable import check_embedded, check_loads
from training.turns import tell_turn_end, turn_end
from workspace.errors import DataError, check_loaded, one_line, reading
from workspace.progress import waiting

if TYPE_CHECKING:
    from torch import Tensor

_BEGUN = "Spider silk is tough because"
_WORDS = 10  # tokens that are written
_ROOM = 1.5  # times the size of its weights that must be free before a model is loaded
_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast", "GPT2Tokenizer", "GPT2TokenizerFast")
_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def settle(folder: Path) -> None:
    """Write into a folder's configurations every token at which an answer ends, where they do not say so already."""
    speech = None if "transformers" in sys.modules else read_speech(folder)
    if speech is None or not _told(folder, speech):
        tell_turn_end(folder)


def try_out(folder: Path, free: int) -> str:
    """Load a model and let it go on with a sentence, greedily; where it is too large for that, look it over.

    Args:
        folder: Of the model.
        free: Bytes of memory that are free.

    Returns:
        What it wrote, in words.

    Raises:
        DataError: It does not load, or computes what is no number.
    """
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if size * _ROOM > free:
        check_loads(folder)
        return f"not tried: {size / 1e9:.1f} GB of weights, and {free / 1e9:.1f} GB of memory are free"
    import torch

    with waiting("trying it with a sentence"), torch.inference_mode():
        light = None if "transformers" in sys.modules else read_llama(folder)
        speech = read_speech(folder) if light else None
        if light and speech:
            check_embedded(speech.get_vocab(), light.words, folder.name)
            words = speech.inner.decode(light.greedy(speech.inner.encode(_BEGUN).ids, _WORDS, folder.name))
        else:
            words = _by_transformers(folder)
    return f"tried: after {_BEGUN!r} it writes {one_line(words)!r}" if words.strip() else "tried: it ends at once"


def _by_transformers(folder: Path) -> str:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with reading(f"the model {folder.name}"):
            model, found = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.bfloat16, local_files_only=True, trust_remote_code=False, output_loading_info=True
            )
        check_loaded(found, folder.name)
        check_embedded(tokenizer.get_vocab(), model.config.get_text_config().vocab_size, folder.name)
        ids = torch.tensor([tokenizer(_BEGUN)["input_ids"]])
        _check_numbers(model(ids).logits, folder.name)
        written = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=_WORDS, do_sample=False, pad_token_id=0
        )
    return str(tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True))


def _check_numbers(logits: Tensor, name: str) -> None:
    import torch

    if not bool(torch.isfinite(logits).all()):
        raise DataError(f"the model {name} computes what is no number")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within it transformers draws no bars and says nothing but errors."""
    from transformers.utils import logging as said

    bars, level = said.is_progress_bar_enabled(), said.get_verbosity()
    said.disable_progress_bar()
    said.set_verbosity_error()
    try:
        yield
    finally:
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()


@dataclass(frozen=True)
class Speech:
    """A folder's tokenizer and chat template as `training.turns` asks them, without transformers.

    Attributes:
        inner: The tokenizer of its tokenizer.json.
        named: Its special tokens by what they are for.
        chat_template: Empty if it has none.
        added_tokens_decoder: Tokens that were added to the vocabulary, by number.
    """

    inner: Any
    named: Mapping[str, str]
    chat_template: str
    added_tokens_decoder: Mapping[int, str]

    @property
    def eos_token_id(self) -> int | None:
        """The number of the end-of-text token."""
        found: int | None = self.inner.token_to_id(self.named["eos_token"])
        return found

    def get_vocab(self) -> dict[str, int]:
        """Every token and its number."""
        found: dict[str, int] = self.inner.get_vocab(with_added_tokens=True)
        return found

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """A text's tokens."""
        return {"input_ids": self.inner.encode(text, add_special_tokens=add_special_tokens).ids}

    def apply_chat_template(self, messages: Sequence[Any], tokenize: bool, add_generation_prompt: bool) -> str:
        """A conversation by the chat template."""
        assert not tokenize
        environment = Bounded(len(self.chat_template))
        template = environment.from_string(self.chat_template)
        environment.begin()
        return template.render(
            messages=list(messages),
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **self.named,
        )


def read_speech(folder: Path) -> Speech | None:
    """A folder's tokenizer without transformers; none where it is more than its tokenizer.json."""
    from tokenizers import Tokenizer

    if not (folder / "tokenizer.json").is_file() or not (folder / "tokenizer_config.json").is_file():
        return None
    config = read_json(folder / "tokenizer_config.json")
    named = {key: config[key] for key in _TOKENS if config.get(key) is not None}
    named = {key: one.get("content") if isinstance(one, dict) else one for key, one in named.items()}
    if config.get("tokenizer_class") not in _CLASSES or not all(isinstance(one, str) for one in named.values()):
        return None
    file = folder / "chat_template.jinja"
    template = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template") or ""
    try:
        inner = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library raises nothing narrower; transformers will say what is wrong
        return None
    added = {number: token.content for number, token in inner.get_added_tokens_decoder().items()}
    beside = {int(number) for number in config.get("added_tokens_decoder") or ()}
    if "eos_token" not in named or not isinstance(template, str) or not beside <= added.keys():
        return None
    return Speech(inner, named, template, added)


def _told(folder: Path, speech: Speech) -> bool:
    """Whether the configurations say what `training.turns.tell_turn_end` would write."""
    files = [folder / "generation_config.json", folder / "config.json"]
    if not all(file.is_file() for file in files):
        return False
    held = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if held[1].get("text_config") or not held[1].get("vocab_size"):
        return False
    ends = [turn_end(speech), speech.eos_token_id]
    for config in held:
        found = config.get("eos_token_id")
        ends += found if isinstance(found, list) else [found]
    ids = [token for token in dict.fromkeys(ends) if token is not None and token < held[1]["vocab_size"]]
    wanted = ids if len(ids) > 1 else ids[0] if ids else None
    return all(config.get("eos_token_id") == wanted for config in held)


class Llama:
    """A Llama of plain rotations, its weights as they lie in its files.

    Args:
        config: Its config.json.
        weights: Every tensor by its name.

    Raises:
        LookupError: A weight is missing, or left over.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        left = {name.removeprefix("model."): weight for name, weight in weights.items()}
        self.heads = int(config["num_attention_heads"])
        self.width = int(config.get("head_dim") or config["hidden_size"] // self.heads)
        self.small = float(config["rms_norm_eps"])
        self.theta = float((config.get("rope_parameters") or config)["rope_theta"])
        self.embeddings = left.pop("embed_tokens.weight")
        head = left.pop("lm_head.weight", None)
        self.head = self.embeddings if config.get("tie_word_embeddings") or head is None else head
        self.norm = left.pop("norm.weight")
        self.layers = [_layer(left, number) for number in range(int(config["num_hidden_layers"]))]
        self.past: list[tuple[Tensor, Tensor]] = []
        ends = config.get("eos_token_id")
        self.ends = set(ends if isinstance(ends, list) else [ends])
        if left:
            raise LookupError(next(iter(left)))

    @property
    def words(self) -> int:
        """How many tokens have an embedding."""
        return self.embeddings.shape[0]

    def greedy(self, ids: Sequence[int], many: int, name: str) -> list[int]:
        """The likeliest tokens after some, up to an end.

        Raises:
            DataError: It computes what is no number.
        """
        import torch

        self.past = []
        written: list[int] = []
        given = torch.tensor(ids)
        while len(written) < many:
            logits = self.logits(given)
            _check_numbers(logits, name)
            token = int(logits[-1].argmax())
            if token in self.ends:
                break
            written.append(token)
            given = torch.tensor([token])
        return written

    def logits(self, ids: Tensor) -> Tensor:
        """What comes next after each of some tokens, which follow on those given before.

        Args:
            ids: Shape (tokens,).

        Returns:
            Shape (tokens, words).
        """
        import torch

        flow = torch.nn.functional.embedding(ids, self.embeddings)
        before = self.past[0][0].shape[1] if self.past else 0
        turned = self._turns(before, len(ids), flow.dtype)
        kept = []
        for number, layer in enumerate(self.layers):
            flow, pair = self._through(layer, flow, turned, self.past[number] if self.past else None)
            kept.append(pair)
        self.past = kept
        return torch.nn.functional.linear(self._normed(flow, self.norm), self.head)

    def _through(
        self, layer: Mapping[str, Any], flow: Tensor, turned: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        import torch

        linear, rows = torch.nn.functional.linear, flow.shape[0]
        normed = self._normed(flow, layer["input_layernorm"][0])
        query, key, value = (
            linear(normed, *layer[f"self_attn.{one}_proj"]).view(rows, -1, self.width).transpose(0, 1) for one in "qkv"
        )
        query, key = (one * turned[0] + _half_turn(one) * turned[1] for one in (query, key))
        if past is not None:
            key, value = torch.cat([past[0], key], 1), torch.cat([past[1], value], 1)
        seen = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=past is None, enable_gqa=True
        )
        flow = flow + linear(seen.transpose(0, 1).reshape(rows, -1), *layer["self_attn.o_proj"])
        normed = self._normed(flow, layer["post_attention_layernorm"][0])
        gate, up = (linear(normed, *layer[f"mlp.{one}_proj"]) for one in ("gate", "up"))
        return flow + linear(torch.nn.functional.silu(gate) * up, *layer["mlp.down_proj"]), (key, value)

    def _normed(self, flow: Tensor, weight: Tensor) -> Tensor:
        import torch

        wide = flow.float()
        return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.small)).to(flow.dtype)

    def _turns(self, start: int, many: int, dtype: Any) -> tuple[Tensor, Tensor]:
        import torch

        speed = self.theta ** (-torch.arange(0, self.width, 2).float() / self.width)
        angle = torch.arange(start, start + many).float()[:, None] * speed.repeat(2)
        return angle.cos().to(dtype), angle.sin().to(dtype)


_PARTS = (
    "input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
    "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip


def _layer(left: dict[str, Tensor], number: int) -> dict[str, tuple[Tensor, Tensor | None]]:
    """A layer's weights and biases by part, taken out of all that are left."""
    place = f"layers.{number}"
    return {part: (left.pop(f"{place}.{part}.weight"), left.pop(f"{place}.{part}.bias", None)) for part in _PARTS}


def _half_turn(one: Tensor) -> Tensor:
    import torch

    first, second = one.chunk(2, -1)
    return torch.cat([-second, first], -1)


def read_llama(folder: Path) -> Llama | None:
    """A folder's model, in the precision of its files; none where it is more than a plain Llama."""
    from safetensors.torch import load_file

    config = read_json(folder / "config.json")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    plain = rope.get("rope_type", rope.get("type", "default")) == "default"
    if config.get("model_type") != "llama" or config.get("hidden_act", "silu") != "silu" or not plain:
        return None
    weights: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= load_file(file)
    try:
        return Llama(config, weights)
    except LookupError:  # transformers will say what is missing or left over
        return None
