"""Texts that are written at the same time by threads on the same weights: each is, to the letter, what it is alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from models.chat.local import LocalChat
from models.decoder.engine import Engine, Tape
from models.decoder.forks import Fork
from models.decoder.prefixes import share_prefixes
from models.decoder.step.stepper import stepper_of
from models.filling.fill import fill
from tests.fixtures_threads import PATIENCE, until

pytest_plugins = ["tests.fixtures_local"]
Text = Callable[[], list[torch.Tensor]]


class Note(BaseModel):
    text: str = Field(min_length=5, max_length=200, json_schema_extra={"x-text": "sentence"})
    unit: Literal["mm", "nm"]
    steps: list[str] = Field(min_length=2, max_length=2)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def engine(request: pytest.FixtureRequest, word_llama: Path) -> Engine:
    """A tiny Llama with a stepper."""
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
    made = Engine(model, tokenizer, "quick")
    made.stepper = stepper_of(model)
    assert made.stepper is not None
    return made


@pytest.fixture
def passes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts' tokens each pass over the weights read."""
    assert engine.stepper is not None
    sizes: list[int] = []
    together = engine.stepper.together
    plain = together._answer
    monkeypatch.setattr(together, "_answer", lambda parts: (sizes.append(len(parts)), plain(parts))[1])
    return sizes


@pytest.fixture
def quick_chat(word_llama: Path) -> Iterator[LocalChat]:
    """The tiny model as a chat model in the CPU's own format, with a stepper."""
    chat = LocalChat(folder=word_llama, device="cpu", seed=1)
    assert chat.engine.stepper is not None
    yield chat


def one_text(engine: Engine, begin: list[int], tokens: list[int]) -> Text:
    """A text of its own, read token by token."""

    def read() -> list[torch.Tensor]:
        tape = Tape(engine)
        tape.read(begin)
        return [tape.read([token]) for token in tokens]

    return read


def several(engine: Engine, before: Tape | None, begins: list[list[int]], tokens: list[int]) -> Text:
    """Several texts behind one prefix, or none; halfway the last one is over and the first goes on twice."""

    def read() -> list[torch.Tensor]:
        fork = Fork(engine, begins, [before] if before else [])
        found = []
        for number, token in enumerate(tokens):
            if number == len(tokens) // 2:
                fork.keep([0, *range(len(fork.past) - 1), 0])
            found.append(fork.read([[(token + row) % 90] for row in range(len(fork.past))]))
        return found

    return read


def at_once(texts: list[Any]) -> list[Any]:
    """What comes of all, each in a thread of its own."""
    begin = threading.Barrier(len(texts))

    def run(text: Any) -> Any:
        begin.wait(PATIENCE)
        return text()

    with ThreadPoolExecutor(len(texts)) as pool:
        return [done.result(PATIENCE) for done in [pool.submit(run, text) for text in texts]]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    """Whether all scores are the same to the last digit."""
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def test_texts_of_all_kinds_go_through_the_weights_together(engine: Engine, passes: list[int]) -> None:
    assert engine.stepper is not None
    shared, other = Tape(engine), Tape(engine)
    shared.read(list(range(5, 45)))
    other.read(list(range(50, 57)))
    tokens = [(11 * number) % 90 for number in range(9)]
    texts = [
        one_text(engine, [5, 6, 7], tokens),
        several(engine, shared, [[1], [2, 3], [4]], tokens),
        several(engine, shared, [[9, 8]], tokens[::-1]),
        several(engine, other, [[7, 7, 7], [1]], tokens),
        several(engine, None, [[3, 4], [5]], tokens),
        one_text(engine, list(range(60)), tokens[:3]),
    ]
    alone = [text() for text in texts]
    passes.clear()
    with ThreadPoolExecutor(len(texts)) as pool:
        together = [pool.submit(text) for text in texts]
        until(lambda: any(one.done() for one in together) or max(passes, default=0) > 1)
        assert all(same(one.result(PATIENCE), kept) for one, kept in zip(together, alone, strict=True))


def test_what_waits_together_is_read_in_one_pass(engine: Engine, passes: list[int]) -> None:
    assert engine.stepper is not None
    waiting = engine.stepper.together._waiting
    tapes = [Tape(engine) for _ in range(4)]
    for number, tape in enumerate(tapes):
        tape.read([5, 6, *range(number)])
    fork = Fork(engine, [[1], [2, 3]], tapes[:1])
    expected = [tape.copy().read([9]) for tape in tapes]
    asks: list[Any] = [lambda tape=tape: tape.read([9]) for tape in tapes]
    asks.append(lambda: fork.read([[8], [7]]))
    passes.clear()
    with ThreadPoolExecutor(5) as pool:
        with engine.alone:
            found = [pool.submit(ask) for ask in asks]
            until(lambda: len(waiting) == 5)
        got = [one.result(PATIENCE) for one in found]
    assert passes == [5]
    assert all(map(torch.equal, got[:4], expected))
    tapes[0].rewind(2)
    assert torch.equal(got[4], Fork(engine, [[1], [2, 3]], tapes[:1]).read([[8], [7]]))


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_texts_at_once_are_what_they_are_alone(engine: Engine, data: st.DataObject) -> None:
    token = st.integers(0, 89)
    prefixes = []
    for ids in data.draw(st.lists(st.lists(token, min_size=1, max_size=20), max_size=2)):
        prefixes.append(Tape(engine))
        prefixes[-1].read(ids)
    texts: list[Text] = []
    for _ in range(data.draw(st.integers(2, 6))):
        tokens = data.draw(st.lists(token, min_size=1, max_size=12))
        if data.draw(st.booleans()):
            texts.append(one_text(engine, data.draw(st.lists(token, min_size=1, max_size=9)), tokens))
        else:
            begins = data.draw(st.lists(st.lists(token, min_size=1, max_size=4), min_size=1, max_size=9))
            before = data.draw(st.sampled_from([None, *prefixes]))
            texts.append(several(engine, before, begins, tokens))
    alone = [text() for text in texts]
    assert all(map(same, at_once(texts), alone))


def test_one_that_dies_midway_harms_no_other(engine: Engine) -> None:
    def dies() -> list[torch.Tensor]:
        tape = Tape(engine)
        tape.read([1, 2])
        tape.read([3])
        raise KeyboardInterrupt

    texts: list[Any] = [one_text(engine, [number, 5], list(range(20))) for number in range(4)]
    alone = [text() for text in texts]

    def outcome(text: Any) -> Any:
        try:
            return text()
        except BaseException as fault:
            return fault

    found = at_once([lambda text=text: outcome(text) for text in [*texts[:2], dies, *texts[2:], dies]])
    assert isinstance(found.pop(2), KeyboardInterrupt) and isinstance(found.pop(), KeyboardInterrupt)
    assert all(map(same, found, alone))


def test_a_pass_for_which_memory_is_short_is_made_one_by_one(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.stepper is not None
    together = engine.stepper.together
    plain = together._answer

    def short(parts: Any) -> Any:
        if len(parts) > 1:
            raise MemoryError
        return plain(parts)

    tapes = [Tape(engine) for _ in range(3)]
    for number, tape in enumerate(tapes):
        tape.read([number, 4])
    expected = [tape.copy().read([6]) for tape in tapes]
    monkeypatch.setattr(together, "_answer", short)
    with ThreadPoolExecutor(3) as pool:
        with engine.alone:
            found = [pool.submit(tape.read, [6]) for tape in tapes]
            until(lambda: len(together._waiting) == 3)
        assert all(map(torch.equal, [one.result(PATIENCE) for one in found], expected))


def test_answers_and_documents_at_once_are_those_of_their_seeds(quick_chat: LocalChat) -> None:
    talk = [SystemMessage("You know materials."), HumanMessage("Write down the layer that carries the load.")]
    longer = [*talk, AIMessage("The layer carries the load."), HumanMessage("And the web?")]

    def answer(seed: int) -> str:
        return str(quick_chat.invoke(longer if seed % 2 else talk, seed=seed, max_tokens=30, temperature=0.9).text)

    def document(seed: int) -> str:
        return fill(quick_chat, talk, Note, seed).raw

    texts: list[Any] = [lambda seed=seed: answer(seed) for seed in range(4)]
    texts += [lambda seed=seed: document(seed) for seed in range(3)]
    alone = [text() for text in texts]
    assert len(set(alone)) > 4
    assert at_once(texts) == alone
    assert at_once(texts[::-1]) == alone[::-1]


def test_a_model_without_a_stepper_writes_for_several_too(tiny_chat: LocalChat) -> None:
    assert tiny_chat.engine.stepper is None
    texts: list[Any] = [lambda seed=seed: str(tiny_chat.invoke("The layer", seed=seed).text) for seed in range(4)]
    assert at_once(texts) == [text() for text in texts]
