"""Conversations go on from what was read of them before, and come out as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from models.chat.local import LocalChat
from models.decoder.engine import Engine, Tape
from models.decoder.recall import Recall, answers_begin, read_by_turns

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
    chat.engine.recall = Recall()
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
        bounds = answers_begin(engine, turns, ids)
        tape = engine.recall.begun(engine, ids, bounds)
        found = read_by_turns(tape, ids, bounds)
        engine.recall.keep(tape, len(ids), bounds)
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
    chat.engine.recall = Recall(most=1)
    chat.invoke(FIRST, seed=2, max_tokens=1)
    chat.invoke(OTHER, seed=2, max_tokens=1)
    read.clear()
    chat.invoke(SECOND, seed=2, max_tokens=1)
    assert sum(read) >= len(tokens(chat, SECOND))  # the first is forgotten
    chat.engine.recall = Recall()
    for talk in (FIRST, SECOND, THIRD, SECOND, FIRST):
        chat.invoke(talk, seed=2, max_tokens=1)
    assert len(chat.engine.recall._held) == 1  # the longest holds the others
