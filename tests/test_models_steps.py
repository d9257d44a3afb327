"""The stepper reads a token as transformers does, whatever the tape did before."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from models.engine import Engine, Tape
from models.quick import quicken
from models.steps import stepper_of


@pytest.fixture(scope="module")
def engines(word_llama: Path) -> tuple[Engine, Engine]:
    """A quick tiny Llama with a stepper and the same one without."""
    tokenizer = AutoTokenizer.from_pretrained(word_llama)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=(len(tokenizer) + 15) // 16 * 16,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    model = LlamaForCausalLM(config).bfloat16().eval().requires_grad_(False)
    quicken(model)
    with_steps, without = Engine(model, tokenizer, "quick"), Engine(model, tokenizer, "plain")
    without.stepper = None
    if with_steps.stepper is None:
        pytest.skip("this machine's PyTorch has no 8-bit layers")
    return with_steps, without


moves = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 90)),
        st.tuples(st.just("read"), st.lists(st.integers(0, 90), min_size=2, max_size=9)),
        st.tuples(st.just("rewind"), st.integers(1, 12)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(moves)
def test_any_order_of_steps_reads_and_rewinds_gives_the_same_logits(engines, moves):
    tapes = [Tape(engine) for engine in engines]
    for tape in tapes:
        tape.read([5, 6, 7])
    for kind, what in moves:
        if kind == "rewind":
            for tape in tapes:
                tape.rewind(max(1, len(tape.ids) - what))
            continue
        ours, theirs = (tape.read([what] if kind == "step" else what) for tape in tapes)
        assert torch.allclose(ours, theirs, atol=0.06), (ours - theirs).abs().max()
        assert tapes[0].cache.get_seq_length() == tapes[1].cache.get_seq_length() == len(tapes[0].ids)


def test_a_long_text_outgrows_the_room_it_was_given(engines):
    tapes = [Tape(engine) for engine in engines]
    for tape in tapes:
        tape.read([1, 2])
    for place in range(600):
        ours, theirs = (tape.read([place % 90]) for tape in tapes)
    assert torch.allclose(ours, theirs, atol=0.06)
    assert torch.allclose(tapes[0].cache.layers[2].values.float(), tapes[1].cache.layers[2].values.float(), atol=0.06)


def test_only_a_quick_llama_has_one(word_llama: Path) -> None:
    assert stepper_of(AutoModelForCausalLM.from_pretrained(word_llama)) is None
