"""Chat templates as well-known models have them, and tiny tokenizers and models that speak by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_chat import CHATML
from tests.fixtures_local import sentences

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (  # the system's words stand in the last question, and are left out once that is answered
    "{%- if messages[0].role == 'system' %}{%- set system = messages[0].content %}{%- set turns = messages[1:] %}"
    "{%- else %}{%- set turns = messages %}{%- endif %}{{- bos_token }}{%- for m in turns %}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{- raise_exception('roles must alternate') }}{%- endif %}"
    "{%- if m.role == 'user' and loop.last and system is defined %}{{- '[INST] ' + system + '\n\n' + m.content }}"
    "{{- '[/INST]' }}{%- elif m.role == 'user' %}{{- '[INST] ' + m.content + '[/INST]' }}"
    "{%- else %}{{- ' ' + m.content | trim + eos_token }}{%- endif %}{%- endfor %}"
)
QWEN3 = (  # thoughts of earlier answers are left out, and the last one has some, if empty
    "{%- set ns = namespace(last=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}"
    "{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}{%- for m in messages %}"
    "{%- if m.role != 'assistant' %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- else %}"
    "{%- set content = m.content %}{%- set thoughts = '' %}{%- if '</think>' in content %}"
    "{%- set thoughts = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last and (loop.last or thoughts) %}"
    "{{- '<|im_start|>assistant\n<think>\n' + thoughts + '\n</think>\n\n' + content.lstrip('\n') }}"
    "{%- else %}{{- '<|im_start|>assistant\n' + content }}{%- endif %}{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
R1 = (  # inference begins with thoughts, and history has none
    "{{ bos_token }}{%- for m in messages %}{%- if m.role == 'user' %}{{- '<|User|>' + m.content }}"
    "{%- elif m.role == 'system' %}{{- m.content }}{%- else %}"
    "{{- '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|Assistant|><think>\n' }}{%- endif %}"
)
VICUNA = (
    "{% for m in messages %}{{ 'ASSISTANT: ' if m.role == 'assistant' else 'USER: ' }}{{ m.content }}"
    "{{ eos_token if m.role == 'assistant' else ' ' }}{% endfor %}{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
TEMPLATES = {  # template, first token, end of text
    "chatml": (CHATML, None, "<|im_end|>"),
    "llama3": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "gemma": (GEMMA, "<bos>", "<eos>"),
    "mistral": (MISTRAL, "<s>", "</s>"),
    "qwen3": (QWEN3, None, "<|im_end|>"),
    "r1": (R1, "<s>", "</s>"),
    "vicuna": (VICUNA, "<s>", "</s>"),
}
LLAMA2 = (  # the first token stands before every question, the system's words in the first
    "{% if messages[0].role == 'system' %}{% set turns = messages[1:] %}{% set system = messages[0].content %}"
    "{% else %}{% set turns = messages %}{% set system = false %}{% endif %}{% for m in turns %}"
    "{% if loop.first and system %}{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m.content %}"
    "{% else %}{% set content = m.content %}{% endif %}{% if m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)
PHI3 = (  # the end of text comes after a whole conversation, the end of a turn before it
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
FORGETFUL = R1.replace("<|Assistant|><think>\n", "<|Assistant|>")  # leaves out thoughts, of the last answer too
THINKING = QWEN3.replace(  # inference begins with thoughts, and the last answer has some, if empty
    "{{- '<|im_start|>assistant\n' }}", "{{- '<|im_start|>assistant\n<think>\n' }}"
)
SMOLLM3 = (  # says the date, and marks answers
    "{{- '<|im_start|>system\nToday: ' + strftime_now('%d %B %Y') + '<|im_end|>\n' }}{%- for m in messages %}"
    "{%- if m.role == 'assistant' %}{%- generation %}{{- '<|im_start|>assistant\n<think>\n\n</think>\n' + m.content }}"
    "{{- '<|im_end|>\n' }}{%- endgeneration %}{%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content }}"
    "{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n<think>\n\n</think>\n' }}{%- endif %}"
)
UNASKED = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
HARMONY = (  # the last answer ends otherwise than those before
    "{%- for m in messages %}{%- if m.role == 'assistant' %}{{- '<|start|>assistant<|message|>' + m.content }}"
    "{{- '<|return|>' if loop.last else '<|end|>' }}{%- else %}{{- '<|start|>' + m.role + '<|message|>' + m.content }}"
    "{{- '<|end|>' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"
)
MORE = {  # the same of templates that are odd in some way
    "llama2": (LLAMA2, "<s>", "</s>"),
    "phi3": (PHI3, "<s>", "<eos>"),
    "forgetful": (FORGETFUL, "<s>", "</s>"),
    "thinking": (THINKING, None, "<|im_end|>"),
    "smollm3": (SMOLLM3, None, "<|im_end|>"),
    "unasked": (UNASKED, None, "<|im_end|>"),
    "harmony": (HARMONY, None, "<|return|>"),
}
SPECIAL = [
    "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<start_of_turn>", "<end_of_turn>", "<|begin_of_text|>", "<|end_of_text|>", "<bos>", "<eos>", "<|User|>",
    "<|Assistant|>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|start|>", "<|message|>",
    "<|return|>",
]  # fmt: skip
_WORDS = "system user assistant model [INST] [/INST] USER: ASSISTANT: What makes nacre tough? Its bricks slide."


def make_tokenizer(
    template: str | None, bos: str | None, eos: str, unigram: bool = False, special: list[str] = SPECIAL
) -> Any:
    """A byte-level BPE tokenizer, or one by pieces as sentencepiece makes them, that puts ``bos`` before every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    trainer: Any
    if unigram:
        inner = Tokenizer(models.Unigram())
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        inner.decoder = decoders.Metaspace(prepend_scheme="always")
        letters = sorted(set("\n[]/:.,?<>!'-0123456789" + "".join(chr(code) for code in range(65, 123))))
        trainer = trainers.UnigramTrainer(
            vocab_size=400, special_tokens=special, unk_token="<unk>", initial_alphabet=letters, show_progress=False
        )
    else:
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
    inner.train_from_iterator([*sentences(), *[_WORDS] * 3], trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, inner.token_to_id(bos))]
        )
    unknown = {"unk_token": "<unk>"} if unigram else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=bos, eos_token=eos, chat_template=template, **unknown
    )


def speaking(name: str, unigram: bool = False) -> Any:
    """A tiny tokenizer with one of the templates."""
    return make_tokenizer(*(TEMPLATES | MORE)[name], unigram=unigram)


def save_model(folder: Path, tokenizer: Any, kind: str = "llama", **sizes: Any) -> Path:
    """A random model of two layers with a tokenizer, saved."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 8,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(given | sizes)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def speaking_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes tiny Llamas that speak by a template, each once."""
    made: dict[tuple[str, bool], Path] = {}

    def make(name: str, unigram: bool = False) -> Path:
        if (name, unigram) not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name, unigram] = save_model(folder, speaking(name, unigram))
        return made[name, unigram]

    return make
