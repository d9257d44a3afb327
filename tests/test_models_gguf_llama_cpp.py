"""The files that are written, read by llama.cpp itself: the same tokens, the same probabilities, adapters too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.serving.gguf_writing import write_adapter, write_model
from tests.fixtures_written_gguf import (
    LLAMA3,
    ODD,
    QWEN2,
    SCALED,
    Make,
    logits_of,
    piece_tokenizer,
    split_tokenizer,
    usual_tokenizer,
)

xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp (xllamacpp) is not installed")
pytestmark = pytest.mark.server
IDS = [1, 40, 300, 7, 7, 99, 250, 12, 311, 5, 64, 180]


class LlamaCpp:
    """llama.cpp's server in this process."""

    def __init__(self, file: Path, adapter: Path | None = None) -> None:
        wanted = xllamacpp.CommonParams()
        wanted.model.path, wanted.hostnames, wanted.port = str(file), ["127.0.0.1"], 0
        wanted.n_ctx, wanted.n_parallel, wanted.warmup = 256, 1, False
        wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
        wanted.cache_ram_mib, wanted.flash_attn_type = 0, xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        wanted.cache_type_k = wanted.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        if adapter is not None:
            wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
        self._server = xllamacpp.Server(wanted)
        self._client = httpx.Client(base_url=self._server.listening_address, trust_env=False, timeout=60)

    def ask(self, path: str, **asked: Any) -> Any:
        answer = self._client.post(path, json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        found = self.ask("/tokenize", content=text, add_special=special, parse_special=True)
        return found["tokens"]  # type: ignore[no-any-return]

    def logarithms(self, ids: list[int], words: int) -> np.ndarray[Any, Any]:
        """The logarithms of the next token's probabilities."""
        answer = self.ask("/completion", prompt=ids, n_predict=1, n_probs=words, temperature=0.0, cache_prompt=False)
        found = np.full(words, -np.inf)
        for one in answer["completion_probabilities"][0]["top_logprobs"]:
            found[one["id"]] = one["logprob"]
        return found

    def close(self) -> None:
        self._client.close()
        del self._server


@pytest.fixture
def llama_cpp() -> Iterator[Callable[..., LlamaCpp]]:
    """Starts llama.cpp on a GGUF file, with an adapter if there is one."""
    started: list[LlamaCpp] = []

    def start(file: Path, adapter: Path | None = None) -> LlamaCpp:
        started.append(LlamaCpp(file, adapter))
        return started[-1]

    yield start
    for one in started:
        one.close()


def prompt_for(model: Any) -> tuple[list[int], np.ndarray[Any, Any]]:
    """Tokens, and the logarithms of what comes next: no half letter, of which the server tells nothing."""
    for at in range(1, len(IDS)):
        ids = [*IDS[at:], *IDS[:at]]
        expected = logits_of(model.eval(), ids)[-1].log_softmax(0).numpy()
        text = usual_tokenizer().decode([int(expected.argmax())])
        if text.isascii() and text.isprintable() and not text.startswith("<|"):
            return ids, expected
    raise AssertionError("no prompt is followed by a plain word")


def close_to(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], off: float = 1e-4) -> None:
    heard = np.isfinite(found)
    assert heard.sum() > 100 and expected.std() > 0.3
    np.testing.assert_allclose(found[heard], expected[heard], atol=off, rtol=0)
    assert found.argmax() == expected.argmax()


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"head_dim": 32, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"head_dim": 32, "rope_parameters": {**SCALED, "original_max_position_embeddings": 8}}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}}),
        ("mistral", {}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 32}),
    ],
    ids=["tied", "biases", "llama 3", "linear", "mistral", "qwen2", "qwen3"],
)
def test_llama_cpp_computes_what_transformers_does(
    tiny_folder: Make, home: Path, llama_cpp: Callable[..., LlamaCpp], kind: str, sizes: dict[str, Any]
) -> None:
    from transformers import AutoModelForCausalLM

    folder = tiny_folder(kind, **sizes)
    server = llama_cpp(write_model(folder, home, "f32"))
    ids, expected = prompt_for(AutoModelForCausalLM.from_pretrained(folder))
    close_to(server.logarithms(ids, len(expected)), expected)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"up_proj": 9}}),
        ("qwen2", {}),
    ],
)
def test_llama_cpp_applies_an_adapter_as_peft_does(
    tiny_folder: Make,
    lora_folder: Make,
    home: Path,
    llama_cpp: Callable[..., LlamaCpp],
    kind: str,
    settings: dict[str, Any],
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = tiny_folder(kind)
    adapter = lora_folder(base, **settings)
    server = llama_cpp(write_model(base, home, "f32"), write_adapter(adapter, base, home))
    ids, tuned = prompt_for(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter))
    bare = logits_of(AutoModelForCausalLM.from_pretrained(base).eval(), ids)[-1].log_softmax(0).numpy()
    assert np.abs(bare - tuned).max() > 0.1
    close_to(server.logarithms(ids, len(bare)), tuned)


def digits_tokenizer() -> Any:
    from tokenizers import pre_tokenizers

    from tests.fixtures_local import word_tokenizer

    made = word_tokenizer()
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return made


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "pieces", "legacy pieces"])
def test_llama_cpp_splits_odd_texts_as_the_tokenizer_does(
    tiny_folder: Make, home: Path, llama_cpp: Callable[..., LlamaCpp], pre: str
) -> None:
    made: dict[str, Callable[[], Any]] = {
        "gpt-2": usual_tokenizer,
        "smollm": digits_tokenizer,
        "llama-bpe": lambda: split_tokenizer(LLAMA3, ignore_merges=True),
        "dbrx": lambda: split_tokenizer(LLAMA3),
        "qwen2": lambda: split_tokenizer(QWEN2),
        "pieces": piece_tokenizer,
        "legacy pieces": lambda: piece_tokenizer("legacy"),
    }
    mine = made[pre]()
    server = llama_cpp(write_model(tiny_folder(words=mine), home, "f32"))
    bits = st.one_of(st.text(max_size=6), st.sampled_from([*ODD, *mine.all_special_tokens]))
    front = "<s>" if pre == "pieces" else ""  # SentencePiece's space is put in front of bare texts otherwise

    @settings(max_examples=150, deadline=None)
    @given(st.lists(bits, max_size=10).map("".join))
    def check(text: str) -> None:
        assert server.tokens(front + text) == mine.encode(front + text, add_special_tokens=False)

    check()
    assert server.tokens("a b", special=True)[:1] == mine.encode("a b")[:1]
