"""A tiny chat model that writes words: two layers, trained for a moment on a few sentences; and adapters for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_chat import CHATML, SPECIAL

_SUBJECTS = ("The layer", "A fibre", "This shell", "The core", "One web", "The mesh", "A thin wall", "Each plate")
_VERBS = ("carries", "spreads", "holds", "stops", "bends under", "guides")
_OBJECTS = ("the load", "small cracks", "water and air", "the heat", "a sharp blow", "its neighbours")
_WAYS = ("slowly", "in many steps", "along its edges", "without breaking", "from end to end", "at a scale of 12 mm")


def sentences() -> list[str]:
    found = []
    for i in range(144):
        words = (_SUBJECTS[i % 8], _VERBS[i % 6], _OBJECTS[(i // 6) % 6], _WAYS[(i // 24) % 6])
        found.append(" ".join(words) + ".")
    return found


def word_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator([*sentences(), "system user assistant\n"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=CHATML,
    )


def trained_llama(tokenizer: Any, steps: int = 60) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    text = "".join(f"<|im_start|>assistant\n{line}<|im_end|>\n" for line in sentences())
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(steps):
            starts = [(step * 997 + row * 131) % (len(ids) - 65) for row in range(8)]
            batch = torch.stack([ids[start : start + 64] for start in starts])
            model(input_ids=batch, labels=batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval()


@pytest.fixture(scope="session")
def word_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ready model folder: safetensors, tokenizer, ChatML template."""
    folder = tmp_path_factory.mktemp("word-llama")
    tokenizer = word_tokenizer()
    trained_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_chat(word_llama: Path) -> Any:
    """The tiny model as a chat model, in float32 on the CPU."""
    from models.chat.local import LocalChat
    from workspace.settings import SamplingSettings

    sampling = SamplingSettings(temperature=0.8, max_tokens=40)
    return LocalChat(folder=word_llama, dtype="float32", device="cpu", sampling=sampling, seed=1)


@pytest.fixture
def tiny_adapter(word_llama: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes LoRA adapter folders; ``rename`` changes the keys in the file."""

    def make(rename: tuple[str, str] = ("", "")) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM

        folder = tmp_path / f"adapter-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        model = AutoModelForCausalLM.from_pretrained(word_llama)
        tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
        noise = torch.Generator().manual_seed(1)
        state = {
            key.replace(*rename) if rename[0] else key: torch.randn(value.shape, generator=noise)
            for key, value in get_peft_model_state_dict(tuned).items()
        }
        save_file(state, folder / "adapter_model.safetensors")
        tuned.peft_config["default"].save_pretrained(folder)
        return folder

    return make


def without_waits(told: str) -> str:
    """What was told on standard error but for the lines that name a wait."""
    return "".join(line for line in told.splitlines(keepends=True) if not line.endswith(" ...\n"))
