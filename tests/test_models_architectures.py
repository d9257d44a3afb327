"""What the engine computes is what a plain forward pass computes, for every causal architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field

from models.chat.local import LocalChat
from models.chat.structured import structured
from models.decoder.engine import Engine, Tape
from models.decoder.fast_path import Way
from models.decoder.forks import fork_of
from models.decoder.trial import try_out
from models.filling.drafts import likelihoods
from tests.architectures import tiny
from tests.fixtures_chat import chat_tokenizer
from workspace.errors import DataError
from workspace.settings import SamplingSettings

NO_SYSTEM = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('must alternate') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
WAYS = {
    Way.PLAIN: ["llama", "olmoe", "gpt2", "gpt_neox", "falcon", "deepseek_v3", "olmo2", "granite"],
    Way.APART: [
        "gemma2",
        "gemma3_text",
        "mistral",
        "phi3",
        "gpt_oss",
        "llama4_text",
        "qwen2",
        "cohere2",
        "mpt",
        "gpt_neo",
    ],
    Way.OWN: ["lfm2", "qwen3_next", "qwen3_5_text", "granitemoehybrid", "mamba", "falcon_h1", "bamba", "rwkv"],
}
"""A few of each way, which are always tried."""

NOT_TINY = {
    "blt": "reads bytes through models of its own",
    "dbrx": "its configuration cannot be made small",
    "emu3": "no causal model is made of its text alone",
    "gemma4_assistant": "drafts for another model",
    "gemma4_unified_assistant": "drafts for another model",
    "git": "brings a picture encoder of its own",
    "mllama": "no causal model is made of its text alone",
    "musicgen": "writes sound",
    "musicgen_melody": "writes sound",
    "phi4_multimodal": "brings encoders of its own",
    "plbart": "its configuration cannot be made small",
    "qwen4_exp": "its configuration cannot be made small",
    "qwen4_exp_text": "its configuration cannot be made small",
    "reformer": "its configuration cannot be made small",
    "whisper": "writes down sound",
    "xlm": "looks ahead, by so little in a tiny model that it is not told",
    "xlnet": "looks ahead, by so little in a tiny model that it may not be told",
    "zamba": "its weights are tied in a way that depends on the layers",
}
"""Architectures of which no tiny model is built here, and why."""

REFUSED = ("cpmant", "xmod")
"""Architectures that are no causal models of plain text: they look ahead, or want to be told the language."""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return chat_tokenizer()


def _plain(llm: Engine, ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return llm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def _try(llm: Engine) -> None:
    try_out(llm.model, Tape(llm).read, list(range(3, 15)), llm.name)


def _check(kind: str, tokenizer: Any) -> Engine:
    """Hold likelihoods, rewound tapes and texts advanced together against plain forward passes."""
    import torch

    llm = Engine(tiny(kind, len(tokenizer)), tokenizer, kind)
    close = {"atol": 5e-3 if kind in ("nemotron_h", "zamba2") else 2e-4, "rtol": 1e-4}
    begun = llm.encode("The name is 1, 2, 3. Describe the structure.")[:30]
    texts = [(" A tough", " material joins wavy"), (" bone, silk and leaves", " one"), ("s", " collagen fibres")]
    tape = Tape(llm)
    tape.read(begun[:-1])
    assert torch.allclose(tape.read(begun[-1:]), _plain(llm, begun)[-1], **close)
    for (suffix, text), found in zip(texts, likelihoods(tape, [(s, llm.encode(t)) for s, t in texts]), strict=True):
        said = llm.encode(text)
        whole = [*begun, *llm.encode(suffix), *said]
        each = _plain(llm, whole).log_softmax(-1)[-len(said) - 1 : -1].gather(1, torch.tensor(said)[:, None])
        assert found == pytest.approx(float(each.mean()), abs=close["atol"])
    assert torch.allclose(tape.seek([*begun[:12], 5, 6, 7]), _plain(llm, [*begun[:12], 5, 6, 7])[-1], **close)
    other = Tape(llm)
    other.read(begun[:9])
    together = fork_of(llm, [[5, 6], [7], [8, 9, 10]], [tape, other], [0, 1, 0])
    together.keep([1, 0, 0, 2])
    found = together.read([[11], [12], [13], [14]])
    rows = [[*other.ids, 7, 11], [*tape.ids, 5, 6, 12], [*tape.ids, 5, 6, 13], [*tape.ids, 8, 9, 10, 14]]
    for row, logits in zip(rows, found, strict=True):
        assert torch.allclose(logits, _plain(llm, row)[-1], **close)
    return llm


@pytest.mark.parametrize(("way", "kind"), [(way, kind) for way, kinds in WAYS.items() for kind in kinds])
def test_an_architecture_of_each_way(way: Way, kind: str, tokenizer: Any) -> None:
    llm = _check(kind, tokenizer)
    assert llm.way is way
    _try(llm)


@pytest.mark.slow
def test_every_architecture(tokenizer: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kinds = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert not {*NOT_TINY, *REFUSED} - {*kinds}
    wrong = []
    for kind in kinds:
        if kind in NOT_TINY or kind in REFUSED:
            continue
        try:
            _check(kind, tokenizer)
        except Exception as fault:  # all of them are told at once
            wrong.append(f"{kind}: {type(fault).__name__}: {str(fault).splitlines()[:1]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_causal_model_is_refused_at_the_start(kind: str, tokenizer: Any) -> None:
    with pytest.raises(DataError, match=f"^{kind} .*cannot be read") as caught:
        _try(Engine(tiny(kind, len(tokenizer)), tokenizer, kind))
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_are_refused_at_the_start(tokenizer: Any) -> None:
    model = tiny("llama", len(tokenizer))
    model.lm_head.weight.data[5] = float("nan")
    with pytest.raises(DataError, match="llama gives what is no number; its weights are damaged"):
        _try(Engine(model, tokenizer, "llama"))


class _Plate(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=40)]
    layers: Annotated[int, Field(ge=1, le=9)]


@pytest.mark.parametrize("kind", ["gemma2", "lfm2", "mamba"])
def test_a_chat_and_a_document_by_a_model_of_another_way(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    tiny(kind, len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(NO_SYSTEM, encoding="utf-8")
    sampling = SamplingSettings(max_tokens=12)
    chat = LocalChat(folder=tmp_path, dtype="float32", device="cpu", sampling=sampling, seed=1)
    talk = [
        SystemMessage("Be brief."),
        HumanMessage("Describe a plate."),
        AIMessage("Two layers."),
        HumanMessage("Go."),
    ]
    assert chat.invoke(talk).response_metadata["finish_reason"] in ("length", "stop")
    filled = structured(chat, _Plate, talk, seed=3)
    assert 1 <= filled.value.layers <= 9
