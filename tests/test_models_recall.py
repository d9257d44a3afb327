"""Conversations go on from what was read of them before, and come out as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from models.chat.local import LocalChat
from models.decoder.engine import Engine, Tape
from models.decoder.recall import Recall, pieces_of, read_pieces, recall_of
from workspace.settings import SamplingSettings

pytest_plugins = ["tests.fixtures_local"]
FIRST: list[Any] = [SystemMessage("You know materials."), HumanMessage("What does the layer do?")]
SECOND: list[Any] = [*FIRST, AIMessage("The layer holds the load."), HumanMessage("And the next layer?")]
THIRD: list[Any] = [*SECOND, AIMessage("It spreads the load."), HumanMessage("Which is tough?")]
OTHER: list[Any] = [SystemMessage("You know trees."), HumanMessage("What does the layer do?")]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each read but of single ones took."""
    counts: list[int] = []
    whole = Tape._read
    monkeypatch.setattr(Tape, "_read", lambda self, ids, kept: (counts.append(len(ids)), whole(self, ids, kept))[1])
    return counts


def fresh(chat: LocalChat) -> LocalChat:
    """The same model, which has read nothing yet."""
    chat.engine.recalled = Recall()
    return chat


def tokens(chat: LocalChat, talk: list[Any]) -> list[int]:
    return chat.fit(talk, 40)[0]


def test_a_later_turn_reads_only_what_is_new(tiny_chat: LocalChat, read: list[int]) -> None:
    chat = fresh(tiny_chat)
    read.clear()
    for talk in (FIRST, SECOND, THIRD):
        chat.invoke(talk, seed=2, max_tokens=1)
    lengths = [len(tokens(chat, talk)) for talk in (FIRST, SECOND, THIRD)]
    assert [count for count in read if count > 1] == [lengths[0], lengths[1] - lengths[0], lengths[2] - lengths[1]]


def test_what_was_read_before_changes_no_digit(word_llama: Path) -> None:
    def logits(engine: Engine, talk: list[Any]) -> torch.Tensor:
        chat = LocalChat(folder=word_llama)
        turns = [chat.plain(message) for message in talk]
        ids = engine.encode(engine.prompt(turns))
        pieces = pieces_of(engine, turns, ids)
        tape = recall_of(engine).begun(engine, ids, pieces)
        found = read_pieces(tape, ids, pieces)
        recall_of(engine).keep(tape, pieces)
        return found

    for dtype in ("float32", "bfloat16"):
        one, other = (Engine.load(word_llama, dtype=dtype, device="cpu") for _ in range(2))
        for talk in (FIRST, OTHER, SECOND):
            logits(one, talk)
        assert torch.equal(logits(one, THIRD), logits(other, THIRD))


def test_an_answer_is_the_same_whatever_was_asked_before(tiny_chat: LocalChat) -> None:
    alone = fresh(tiny_chat).invoke(THIRD, seed=4).text
    chat = fresh(tiny_chat)
    for talk in (OTHER, FIRST, SECOND, SECOND):
        chat.invoke(talk, seed=3)
    assert chat.invoke(THIRD, seed=4).text == alone
    assert chat.invoke(THIRD, seed=4).text == alone  # asked once more
    assert chat.invoke(OTHER, seed=4).text == fresh(tiny_chat).invoke(OTHER, seed=4).text


def test_a_conversation_that_went_another_way_is_read_from_where_it_did(tiny_chat: LocalChat, read: list[int]) -> None:
    chat = fresh(tiny_chat)
    chat.invoke(SECOND, seed=2, max_tokens=1)
    read.clear()
    other = [*FIRST, AIMessage("The layer breaks."), HumanMessage("And the next layer?")]
    chat.invoke(other, seed=2, max_tokens=1)
    assert [count for count in read if count > 1] == [len(tokens(chat, other)) - len(tokens(chat, FIRST))]


def test_no_more_is_kept_than_may_be(tiny_chat: LocalChat, read: list[int]) -> None:
    chat = fresh(tiny_chat)
    chat.engine.recalled = Recall(most=1)
    chat.invoke(FIRST, seed=2, max_tokens=1)
    chat.invoke(OTHER, seed=2, max_tokens=1)
    read.clear()
    chat.invoke(SECOND, seed=2, max_tokens=1)
    assert sum(read) >= len(tokens(chat, SECOND))  # the first is forgotten
    chat.engine.recalled = Recall()
    for talk in (FIRST, SECOND, THIRD, SECOND, FIRST):
        chat.invoke(talk, seed=2, max_tokens=1)
    assert len(recall_of(chat.engine)._held) == 1  # the longest holds the others


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_answers_are_gone_on_from_as_they_were_written(word_llama: Path, dtype: str, read: list[int]) -> None:
    sampling = SamplingSettings(temperature=0.9, max_tokens=24)
    chat = fresh(LocalChat(folder=word_llama, dtype=dtype, device="cpu", sampling=sampling))
    talk, seen = list(FIRST), []
    for turn in range(4):
        read.clear()
        answer = chat.invoke(talk, seed=turn)
        seen.append(sum(count for count in read if count > 1))
        talk += [AIMessage(answer.text), HumanMessage("Why?")]
    if chat.engine.stepper is not None:
        assert max(seen[1:]) < 24  # of the answer before nothing is read again
    turns = [chat.plain(message) for message in talk]
    ids = chat.engine.encode(chat.engine.prompt(turns))
    pieces = pieces_of(chat.engine, turns, ids)
    kept = recall_of(chat.engine).begun(chat.engine, ids, pieces)
    assert 0 < len(kept.ids) < len(ids)
    assert torch.equal(read_pieces(kept, ids, pieces), read_pieces(Tape(chat.engine), ids, pieces))
    warm = chat.invoke(talk, seed=9).text
    assert fresh(chat).invoke(talk, seed=9).text == warm
