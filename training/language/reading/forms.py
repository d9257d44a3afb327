"""Rows for SFT and continued pretraining in any common form: conversations, questions with answers, texts.

alpaca's, sharegpt's, dolly's and OpenAI's rows, prompts with completions, questions with answers.
"""

from __future__ import annotations

from typing import Any

from training.language.reading.fields import Fields, Notes, as_json
from training.language.reading.messages import (
    Message,
    checked_text,
    in_turns,
    learned,
    messages,
    switch,
    transcript,
    with_system,
)
from workspace.errors import DataError

TALKS = ("messages", "conversations", "conversation")
ASKED = ("instruction", "prompt", "question", "query", "problem")
MORE = ("input", "context")
ANSWER = ("output", "response", "completion", "answer", "solution")
SYSTEM = ("system", "system_prompt")
TEXT = ("text", "content")


def text(raw: dict[str, Any], where: str, notes: Notes) -> str:
    """A row's text, to be read on as it stands."""
    fields = Fields(raw, where)
    name = fields.one_of(TEXT[:1], "the text") or (None if "role" in raw else fields.one_of(TEXT[1:], "the text"))
    if name is None:
        what = f"no field 'text'; cpt reads text, it has {_has(fields)}"
        raise DataError(f"{where}: {what}", hint="rename the field that holds the text")
    made = checked_text(fields.take(name), f"{where}, {name}")
    notes.unused.update(fields.left())
    return made


def conversation(raw: dict[str, Any], where: str, notes: Notes) -> list[Message]:
    """A row's conversation, the assistant's message last.

    Raises:
        DataError: It has none, or says something that training does not take up; the line says what to do.
    """
    fields = Fields(raw, where)
    fields.forbid()
    turns = talk(fields, notes, "assistant") or _pair(fields, notes)
    if turns is None:
        missing = next((name for name in TALKS if name in raw), None)
        if missing:
            raise DataError(f"{where}, {missing}: it is no list of messages", hint="fill it in, or remove the row")
        raise DataError(
            f"{where}: no field 'messages'; sft reads messages, or a question and an answer, it has {_has(fields)}",
            hint=f"a question's field is {', '.join(ASKED)} or input, an answer's {', '.join(ANSWER)}",
        )
    wanted(fields)
    turns = with_field_of_system(fields, after_history(fields, turns, notes))
    if not any(one.get("learned", True) for one in turns if one["role"] == "assistant"):
        raise DataError(f"{where}: none of its answers is to be learned", hint="remove the row")
    notes.unused.update(fields.left())
    return turns


def _has(fields: Fields) -> str:
    return ", ".join(fields.names) or "none"


def talk(fields: Fields, notes: Notes, last: str | None) -> list[Message] | None:
    """The conversation of a row that has one."""
    name = fields.one_of(TALKS, "the conversation")
    if name is None or name not in fields:
        return None
    return messages(fields.take(name), f"{fields.where}, {name}", notes, last)


def asked(fields: Fields, notes: Notes) -> list[Message]:
    """What a row asks: a question, perhaps with more about it, or messages; none if it asks nothing."""
    name = fields.one_of(ASKED, "the question")
    more = fields.one_of(MORE, "what the question is about")
    parts = []
    for one in (name, more):
        if one is None or one not in fields:
            continue
        value, place = fields.take(one), f"{fields.where}, {one}"
        if one == name and isinstance(value, list):
            if more is not None and more in fields:
                raise DataError(f"{place}: it is a list of messages, beside {more}", hint="write it into a message")
            return messages(value, place, notes, None)
        parts.append(checked_text(value, place))
    if len(parts) == 1 and (said := transcript(parts[0])):
        return said
    return [{"role": "user", "content": "\n\n".join(part.strip() for part in parts)}] if parts else []


def _pair(fields: Fields, notes: Notes) -> list[Message] | None:
    answer = fields.one_of(ANSWER, "the answer")
    if answer is None:
        return None
    question = asked(fields, notes)
    if not question:
        return None
    value, place = fields.take(answer), f"{fields.where}, {answer}"
    if isinstance(value, list | dict):
        return in_turns([*question, *messages(value, place, notes, "assistant")], fields.where)
    return in_turns([*question, {"role": "assistant", "content": checked_text(value, place)}], fields.where)


def wanted(fields: Fields) -> None:
    """Refuse a row that says of itself that it is not to be learned.

    Raises:
        DataError: It does.
    """
    if not learned(fields, fields.where):
        raise DataError(f"{fields.where}: its weight, train or loss says: not learned", hint="remove these rows")
    label = fields.look("label")
    if switch(label) is not None:
        fields.take("label")
    if switch(label) is False:
        what = f"label: it is {as_json(label)}, which marks an answer that is not wanted"
        hint = "remove these rows, or rename the field if it says something else"
        raise DataError(f"{fields.where}, {what}", hint=hint)


def with_field_of_system(fields: Fields, turns: list[Message]) -> list[Message]:
    """A row's turns with the system message that stands in a field of its own."""
    name = fields.one_of(SYSTEM, "the system message")
    return with_system(turns, fields.take(name), f"{fields.where}, {name}") if name else turns


def after_history(fields: Fields, turns: list[Message], notes: Notes) -> list[Message]:
    """A row's turns with the earlier ones that stand in a field of their own."""
    if "history" not in fields:
        return turns
    past, where = fields.take("history"), f"{fields.where}, history"
    if not isinstance(past, list):
        hint = "turns are [question, answer], or messages"
        raise DataError(f"{where}: it is {as_json(past)}, no list of turns", hint=hint)
    before: list[Any] = []
    for one in past:
        if isinstance(one, list) and len(one) == 2:
            before += [{"role": role, "content": said} for role, said in zip(("user", "assistant"), one, strict=True)]
        else:
            before.append(one)
    made = messages(before, where, notes, "assistant")
    system = [one for one in turns[:1] if one["role"] == "system"]
    return in_turns([*system, *made, *turns[len(system) :]], where)
