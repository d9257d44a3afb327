"""Tiny model and adapter folders to write as GGUF, tokenizers of every kind that is written, and what is read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from tests.fixtures_local import sentences, word_tokenizer

Make = Callable[..., Path]
SPACE = "\u2581"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


SCALED = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
ODD = ["  ", "\n\n", "\r\n", "\t", " 12", "3456", "don't", "DON'T", "\u00e9", "e\u0301", "\u00a0", "\u2028", "字"]
ODD += ["🦴", SPACE, *sentences()[:8]]
"""Parts of texts that tokenizers split in ways of their own."""

usual_tokenizer = cache(word_tokenizer)


def split_tokenizer(pattern: str, *, ignore_merges: bool = False, normalizer: Any = None) -> Any:
    """A byte-level tokenizer that splits a text as a pattern says."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    inner.normalizer = normalizer
    parts = [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    inner.pre_tokenizer = pre_tokenizers.Sequence(parts)
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|begin|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([*sentences(), "12 345 6789 don't DON'T  \n\n x"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=special[0], eos_token=special[1])


def piece_tokenizer(scheme: str = "first") -> Any:
    """A tokenizer with SentencePiece's words, in the order of their scores, and every way to merge them.

    Args:
        scheme: When a space goes in front of a text; ``legacy`` has it there whatever the text begins with.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    learner.train_from_iterator(sentences(), trainers.BpeTrainer(vocab_size=200, show_progress=False))
    learned = sorted(learner.get_vocab(), key=lambda word: learner.get_vocab()[word])
    words = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces = [word for word in learned if len(word) > 1] + [SPACE * 2, SPACE * 4]
    words += pieces + sorted({letter for word in learned for letter in word} | {SPACE})
    ids = {word: number for number, word in enumerate(words)}
    merges = [
        (word[:at], word[at:]) for word in pieces for at in range(1, len(word)) if word[:at] in ids and word[at:] in ids
    ]
    inner = Tokenizer(models.BPE(ids, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if scheme == "legacy":
        inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    else:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme, split=False)
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    inner.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in words[:5]])
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", ids["<s>"])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Make:
    """Makes a model folder of random weights; every size can be set, and the tokenizer replaced."""

    def made(kind: str = "llama", name: str = "tiny", words: Any = None, dtype: str = "float32", **sizes: Any) -> Path:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        used = usual_tokenizer() if words is None else words
        config = AutoConfig.for_model(
            kind,
            **{
                "vocab_size": len(used),
                "hidden_size": 64,
                "intermediate_size": 96,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "max_position_embeddings": 256,
                "bos_token_id": used.bos_token_id,
                "eos_token_id": used.eos_token_id,
                "pad_token_id": None,
                "initializer_range": 0.2,
                "sliding_window": None,
                **sizes,
            },
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config)
            with torch.no_grad():  # so that no norm is all ones and no bias all noughts
                for weight in model.parameters():
                    if weight.ndim == 1:
                        weight.add_(0.1 * torch.randn(weight.shape))
        model.to(getattr(torch, dtype)).save_pretrained(tmp_path / name)
        used.save_pretrained(tmp_path / name)
        return tmp_path / name

    return made


def rewrite(folder: Path, file: str, **values: Any) -> None:
    data = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(data | values))


@pytest.fixture
def lora_folder(tmp_path: Path) -> Make:
    """Makes a LoRA adapter with random numbers for a model folder."""

    def made(base: Path, name: str = "adapter", **settings: Any) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        config = LoraConfig(
            **{"r": 4, "lora_alpha": 6, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
        )
        with torch.random.fork_rng():
            torch.manual_seed(1)
            tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
            for key, weight in tuned.named_parameters():
                if "lora_" in key:
                    weight.data.normal_(0.0, 0.1)
        tuned.save_pretrained(tmp_path / name, save_embedding_layers=False)
        (tmp_path / name / "README.md").unlink(missing_ok=True)
        return tmp_path / name

    return made


def read_back(file: Path) -> Any:
    """The model in a GGUF file, by transformers' own reader."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    ).eval()


def tensors_in(file: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a GGUF file, widened."""
    import gguf

    return {
        one.name: gguf.quants.dequantize(one.data, one.tensor_type).reshape(tuple(reversed(one.shape.tolist())))
        for one in gguf.GGUFReader(file).tensors
    }


def value_of(file: Path, key: str) -> Any:
    import gguf

    return gguf.GGUFReader(file).fields[key].contents()


def logits_of(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0]


def nothing_in(home: Path) -> bool:
    return not [path for path in home.rglob("*") if path.is_file()]
