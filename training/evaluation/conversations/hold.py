"""Has the fixed conversations with a model: every turn kept as soon as it is said, nothing said twice.

Knows models, prompts and files; not what becomes of what is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from training.evaluation.conversations import prompts
from training.evaluation.conversations.config import ConversationConfig
from training.evaluation.conversations.kept import (
    CONVERSATIONS,
    conversation_path,
    keep_conversation,
    read_conversation,
)
from training.evaluation.conversations.shapes import Conversation, Turn, digest, seed_of
from training.evaluation.conversations.speaker import Speaker, open_speaker
from workspace.errors import Interrupted, ServiceError, Unfinished
from workspace.files import claim
from workspace.progress import QuestionsAnswered, Tell, silent
from workspace.settings import ChatSettings


def hold(
    chat: ChatSettings, config: ConversationConfig, home: Path, tell: Tell = silent, *, name: str = ""
) -> tuple[Conversation, ...]:
    """Have every conversation with a model that is not kept yet, and go on with those that are not whole.

    Args:
        chat: The model: a catalogue id, a folder, a variant, or a server and its name for it.
        config: Topics, repeats, sampling.
        home: STUDIO_HOME; conversations are kept under ``conversations``.
        tell: Called with `QuestionsAnswered` after every turn.
        name: What tables call the model; the settings' name for it if not given.

    Returns:
        A conversation for each topic and repeat, in that order.

    Raises:
        UsageError: There is no such topic.
        ServiceError: The model is not there.
        Unfinished: It went away midway, and what it said is kept; or another process talks to it.
        Interrupted: Stopped; what was said is kept.
    """
    for topic in config.topics:
        prompts.conversation(topic)
    speaker = open_speaker(chat, config.sampling, home, name)
    with claim(home / CONVERSATIONS / f".{digest(dict(speaker.description))}.lock"):
        begun = [
            _begun(speaker, config, topic, repeat, home) for topic in config.topics for repeat in range(config.repeats)
        ]
        count, total = sum(len(one.turns) for one in begun), sum(one.wanted for one in begun)
        held: list[Conversation] = []
        try:
            for one in begun:
                states = [one]
                for state in _said(speaker, one, config.seed, home):
                    states.append(state)
                    count += 1
                    tell(QuestionsAnswered(model=speaker.name, answered=count, of=total))
                held.append(states[-1])
        except ServiceError as fault:
            if not count:
                raise
            raise Unfinished(_state(fault.message, count, total, home), hint="the same command goes on") from None
        except KeyboardInterrupt:
            raise Interrupted(_state("stopped", count, total, home), hint="the same command goes on") from None
    return tuple(held)


def _state(why: str, count: int, total: int, home: Path) -> str:
    return f"{why}; {count} of {total} turns are kept in {home / CONVERSATIONS}"


def _begun(speaker: Speaker, config: ConversationConfig, topic: str, repeat: int, home: Path) -> Conversation:
    """A conversation as far as it is kept, under the name that the model has now."""
    system, turns = prompts.conversation(topic)
    sampling = config.sampling.model_dump(mode="json")
    depends = [dict(speaker.description), system, turns, sampling, config.seed, repeat]
    fingerprint = digest(depends)
    kept = read_conversation(conversation_path(home, topic, fingerprint))
    if kept is not None:
        return kept.model_copy(update={"model": speaker.name})
    return Conversation(
        model=speaker.name,
        fingerprint=fingerprint,
        maker=speaker.description,
        topic=topic,
        repeat=repeat,
        system=system,
        sampling=sampling,
        keys=prompts.wanted_keys(),
        wanted=len(turns),
    )


def _said(speaker: Speaker, one: Conversation, seed: int, home: Path) -> Iterator[Conversation]:
    """Have the turns that a conversation lacks; the conversation after each."""
    path = conversation_path(home, one.topic, one.fingerprint)
    _, asked = prompts.conversation(one.topic)
    for number in range(len(one.turns), one.wanted):
        turn = _turn(speaker, one, asked[number], seed_of(seed, one.topic, one.repeat, number))
        one = one.model_copy(update={"turns": (*one.turns, turn), "not_taken": speaker.not_taken()})
        keep_conversation(path, one)
        yield one


def _turn(speaker: Speaker, one: Conversation, asked: str, seed: int) -> Turn:
    messages: list[BaseMessage] = [SystemMessage(one.system)]
    for turn in one.turns:
        messages += [HumanMessage(turn.asked), AIMessage(turn.said)]
    started = time.monotonic()
    answer = speaker.model.invoke([*messages, HumanMessage(asked)], seed=seed)
    told = answer.response_metadata
    return Turn(
        asked=asked,
        said=str(answer.text),
        finish=str(told.get("finish_reason") or "stop"),
        seed=seed,
        notices=tuple(str(notice) for notice in told.get("notices", ())),
        seconds=round(time.monotonic() - started, 2),
    )
