"""Preference rows in any common form: a prompt once, the answer that is wanted and the one that is not.

TRL's, UltraFeedback's, LLaMA-Factory's, HH's and OpenAI's rows. Where answers are whole conversations, what both share
is the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.language.reading.fields import Fields, Notes
from training.language.reading.forms import ANSWER, after_history, asked, talk, wanted, with_field_of_system
from training.language.reading.messages import Message, checked_text, in_turns, messages, transcript, with_system
from workspace.errors import DataError

SIDES = ("chosen", "rejected")
_SCORES = tuple(
    (f"{before}chosen{after}", f"{before}rejected{after}")
    for name in ("score", "rating", "reward")
    for before, after in (("", f"_{name}"), (f"{name}_", ""))
)
_ECHO = 12  # letters of a prompt that no answer begins with by chance

Pair = tuple[list[Message], list[Message]]


def preference(raw: dict[str, Any], stage: str, where: str, notes: Notes) -> dict[str, list[Message]]:
    """A row's prompt, chosen and rejected answer, each as messages.

    Args:
        raw: The row.
        stage: dpo or orpo, for messages.
        where: Where it stands.
        notes: What is left out is noted there.

    Raises:
        DataError: It lacks one of them, or they do not go together; the line says what to do.
    """
    fields = Fields(_opened(raw), where)
    fields.forbid()
    answers = _answers(fields, stage, notes)
    wanted(fields)
    prompt = after_history(fields, asked(fields, notes) or talk(fields, notes, None) or [], notes)
    prompt, answers = _parted(prompt, answers, where, notes)
    if not prompt:
        raise DataError(
            f"{where}: no field 'prompt'; {stage} reads prompt, chosen, rejected, it has {', '.join(fields.names)}",
            hint="give the question as prompt, or chosen and rejected as whole conversations",
        )
    prompt = in_turns(with_field_of_system(fields, prompt), f"{where}, prompt", "user")
    for side, answer in zip(SIDES, answers, strict=True):
        _sound(answer, f"{where}, {side}")
    if _words(answers[0]) == _words(answers[1]):
        raise DataError(f"{where}: chosen and rejected are the same", hint="remove the row")
    notes.against += _against(fields)
    notes.unused.update(fields.left())
    bare = [{"role": one["role"], "content": one["content"]} for one in prompt]  # no turn of a prompt is learned
    return {"prompt": bare, **dict(zip(SIDES, answers, strict=True))}


def _against(fields: Fields) -> bool:
    """Whether a row's scores say the other way round."""
    for better, worse in _SCORES:
        high, low = fields.look(better), fields.look(worse)
        if isinstance(high, int | float) and isinstance(low, int | float) and high < low:
            return True
    return False


def _opened(raw: dict[str, Any]) -> dict[str, Any]:
    """A row in OpenAI's form under the names of others."""
    if "preferred_output" not in raw or not isinstance(raw.get("input"), dict):
        return raw
    names = {"preferred_output": "chosen", "non_preferred_output": "rejected"}
    return {**raw["input"], **{names.get(name, name): value for name, value in raw.items() if name != "input"}}


def _answers(fields: Fields, stage: str, notes: Notes) -> Pair:
    where = fields.where
    given = {side: fields.take(side) for side in SIDES if side in fields}
    both = None if given else fields.one_of(ANSWER, "the answers")
    if both and isinstance(fields.look(both), list):
        ranked = fields.take(both)
        if len(ranked) != 2:
            hint = "two are read, the better one first; or give chosen and rejected"
            raise DataError(f"{where}, {both}: it has {len(ranked)} answers", hint=hint)
        given = dict(zip(SIDES, ranked, strict=True))
    missing = next((side for side in SIDES if side not in given and side not in fields.names), None)
    if missing:
        has = ", ".join(fields.names) or "none"
        what = f"no field {missing!r}; {stage} reads prompt, chosen, rejected, it has {has}"
        raise DataError(f"{where}: {what}", hint="name the better answer chosen, the other one rejected")
    chosen, rejected = (_turns(given.get(side, fields.look(side)), f"{where}, {side}", notes) for side in SIDES)
    return chosen, rejected


def _turns(value: Any, where: str, notes: Notes) -> list[Message]:
    if isinstance(value, list | dict):
        return messages(value, where, notes, None)
    said = checked_text(value, where)
    turns = transcript(said)
    return in_turns(turns, where) if turns else [{"role": "assistant", "content": said}]


def _parted(prompt: list[Message], answers: Pair, where: str, notes: Notes) -> tuple[list[Message], Pair]:
    """A prompt and what comes after it: of whole conversations without what they share, of texts without the prompt."""
    chosen, rejected = answers
    if chosen[0]["role"] != "assistant" or rejected[0]["role"] != "assistant":
        shared = _shared(chosen, rejected)
        if not shared:
            hint = "both begin with the same question, or are answers alone"
            raise DataError(f"{where}: chosen and rejected are conversations that share no question", hint=hint)
        if prompt and not _asks(shared, prompt):
            hint = "they go on from the prompt, or are answers alone"
            raise DataError(f"{where}: chosen and rejected are conversations about another prompt", hint=hint)
        notes.repeated += bool(prompt)
        system = [one for one in prompt[:1] if one["role"] == "system"]
        whole = with_system(shared, system[0]["content"], f"{where}, prompt") if system else shared
        return whole, (chosen[len(shared) :], rejected[len(shared) :])
    echo = prompt[-1]["content"].strip() if prompt else ""
    if len(echo) >= _ECHO and all(_goes_on(answer, echo) for answer in answers):
        notes.repeated += 1
        chosen, rejected = _without(chosen, echo), _without(rejected, echo)
    return prompt, (chosen, rejected)


def _goes_on(answer: Sequence[Message], echo: str) -> bool:
    said: str = answer[0]["content"].strip()
    return said.startswith(echo) and len(said) > len(echo)


def _without(answer: Sequence[Message], echo: str) -> list[Message]:
    said: str = answer[0]["content"].strip()
    return [{**answer[0], "content": said.removeprefix(echo).strip()}, *answer[1:]]


def _shared(chosen: Sequence[Message], rejected: Sequence[Message]) -> list[Message]:
    """What two conversations have in common from the beginning up to a question."""
    count = 0
    while count < min(len(chosen), len(rejected)) and _same(chosen[count], rejected[count]):
        count += 1
    while count and chosen[count - 1]["role"] != "user":
        count -= 1
    return list(chosen[:count])


def _same(one: Message, other: Message) -> bool:
    return (one["role"], str(one["content"]).strip()) == (other["role"], str(other["content"]).strip())


def _asks(shared: Sequence[Message], prompt: Sequence[Message]) -> bool:
    """Whether a shared beginning holds a prompt: at its start or end, or as the question it stands for."""
    [within, wanted] = ([one for one in turns if one["role"] != "system"] for turns in (shared, prompt))
    places = range(len(within) - len(wanted) + 1)
    ends = {0, len(within) - len(wanted)} if len(wanted) > 1 else set(places)
    return any(all(map(_same, within[place:], wanted)) for place in ends & set(places))


def _sound(answer: Sequence[Message], where: str) -> None:
    """Refuse an answer that is none, or of which a part is not to be learned."""
    first, last = answer[0]["role"], answer[-1]["role"]
    if first != "assistant" or last != "assistant":
        hint = "it begins and ends with the assistant"
        raise DataError(f"{where}: it goes from the {first} to the {last}", hint=hint)
    if any("learned" in one for one in answer):
        hint = "sft reads such rows; remove them here"
        raise DataError(f"{where}: a message's weight, train or loss says: not learned", hint=hint)


def _words(turns: Sequence[Message]) -> list[list[str]]:
    return [one["content"].split() for one in turns]
