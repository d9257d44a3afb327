"""The stepper reads a token as transformers does, whatever the tape did before."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from models.decoder.engine import Engine, Tape
from models.decoder.forks import Fork
from models.decoder.prefixes import share_prefixes
from models.decoder.step.stepper import stepper_of


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def engines(request: pytest.FixtureRequest, word_llama: Path) -> tuple[Engine, Engine]:
    """A tiny Llama with a stepper and the same one without."""
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
    model = LlamaForCausalLM(config).to(request.param).eval().requires_grad_(False)
    share_prefixes(model)
    with_steps, without = Engine(model, tokenizer, "quick"), Engine(model, tokenizer, "plain")
    with_steps.stepper = stepper_of(model)
    assert with_steps.stepper is not None
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


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_rows_behind_shared_prefixes_advance_as_transformers_advances_them(engines, data):
    token = st.integers(0, 90)
    prefixes = data.draw(st.lists(st.lists(token, min_size=2, max_size=9), min_size=0, max_size=3))
    count = data.draw(st.integers(1, 7))
    rows = [data.draw(st.lists(token, min_size=1, max_size=4)) for _ in range(count)]
    follows = [data.draw(st.integers(0, len(prefixes) - 1)) for _ in range(count)] if prefixes else None
    forks = []
    for engine in engines:
        tapes = [Tape(engine) for _ in prefixes]
        for tape, ids in zip(tapes, prefixes, strict=True):
            tape.read(ids)
        forks.append(Fork(engine, rows, tapes, follows))
    for _ in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()):
            kept = data.draw(st.lists(st.integers(0, len(forks[0].past) - 1), min_size=1, max_size=8))
            for fork in forks:
                fork.keep(kept)
        tokens = [[data.draw(token)] for _ in range(len(forks[0].past))]
        ours, theirs = (fork.read(tokens) for fork in forks)
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=0.08), (ours - theirs).abs().max()


DYNAMIC = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}


@pytest.mark.parametrize(
    "changed", [{"hidden_act": "gelu"}, {"attention_bias": True}, {"head_dim": 24}, {"hidden_size": 54}, DYNAMIC]
)
def test_a_llama_that_it_would_compute_otherwise_has_none(changed) -> None:
    sizes = {"vocab_size": 64, "hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 3}
    sizes["num_hidden_layers"] = 1
    assert stepper_of(LlamaForCausalLM(LlamaConfig(**sizes))) is not None
    assert stepper_of(LlamaForCausalLM(LlamaConfig(**{**sizes, **changed}))) is None
