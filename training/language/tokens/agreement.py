"""Whether what is about to be trained is what inference renders, looked at once more before the first step.

Some rows are rendered and tokenised by the tokenizer's own call, as engines do, and compared token by token with what
was made of them; what a trainer then holds is compared with what it was given. Makes no tokens itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from training.language.arguments import Arguments
from training.language.rows import Row, begins
from training.language.tokens.columns import SIDES, dataset, encoded
from training.language.tokens.conversations import Conversations, Message
from training.language.tokens.encoded import IGNORED, Encoded
from workspace.errors import DataError

_LOOKED_AT = 8  # rows, spread over all
_HINT = "the rows' tokens and the chat template do not belong together; chat_template in the recipe names another"


def check_agreement(kind: str, args: Arguments, tokenizer: Any, rows: Sequence[Row], data: Any) -> None:
    """Compare some rows with what inference renders, and the first ones with the tokens that are kept of them.

    Args:
        kind: cpt, sft, dpo or orpo.
        args: The stage's, resolved.
        tokenizer: The stage's.
        rows: All rows.
        data: What `training.language.tokens.columns.dataset` made of them, now or before.

    Raises:
        DataError: It names the row, and the first token that differs.
    """
    talks = Conversations(tokenizer)
    for row in rows[:: max(1, len(rows) // _LOOKED_AT)][:_LOOKED_AT]:
        for messages, first in _conversations(kind, row):
            made = talks.encoded(messages, begins(row), first=first)
            _compare(tokenizer, row, messages, first, made)
    for row in rows[:2]:
        whole = encoded(kind, tokenizer, row, talks)
        if all(one.start < args.max_length for one in whole):
            continue
        return  # the first rows are not kept whole
    made, _ = dataset(kind, args, tokenizer, rows[:2])
    for number, now in enumerate(made):
        kept = data[number]
        for name, ids in now.items():
            _same(tokenizer, ids, kept[name], f"{begins(rows[0])} or the next, {name}", ("now", "as kept"))


def check_given(trainer_data: Any, data: Any) -> None:
    """Compare what a trainer holds with what it was given: as many tokens, and in sum the same.

    Raises:
        DataError: Something was added, cut or changed on the way.
    """
    for name in ("input_ids", "labels", *(f"{side}_{part}" for side in SIDES for part in ("input_ids", "labels"))):
        if name in data.column_names and (got := _sums(trainer_data, name)) != (want := _sums(data, name)):
            raise DataError(
                f"the trainer holds {got[0]:,} {name} (their sum {got[1]:,}) where the rows have {want[0]:,} "
                f"({want[1]:,}): this version of trl changes them",
                hint="install the versions that Studio names",
            )


def _sums(data: Any, name: str) -> tuple[int, int]:
    import pyarrow.compute

    count = total = 0
    for batch in data.select_columns([name]).with_format("arrow").iter(10_000):
        flat = pyarrow.compute.list_flatten(batch[name])
        count, total = count + len(flat), total + (pyarrow.compute.sum(flat).as_py() or 0)
    return count, total


def _conversations(kind: str, row: Row) -> Iterator[tuple[list[Message], int]]:
    """A row's conversations, each with the message from which on answers are learned."""
    if kind == "sft":
        yield list(row["messages"]), 0
    elif kind in ("dpo", "orpo"):
        yield from (([*row["prompt"], *row[side]], len(row["prompt"])) for side in SIDES)


def _compare(tokenizer: Any, row: Row, messages: Sequence[Message], first: int, made: Sequence[Encoded]) -> None:
    """Compare a conversation's sequences with the prompt of each learned answer, and with the answer."""
    learned = [
        number
        for number, one in enumerate(messages)
        if one["role"] == "assistant" and number >= first and one.get("learned", True)
    ]
    sequences = made if len(made) > 1 else [made[0]] * len(learned)
    for number, one in zip(learned, sequences, strict=True):
        where = f"{begins(row)}, message {number + 1}"
        asked = [{"role": turn["role"], "content": turn["content"]} for turn in messages[:number]]
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
        _same(tokenizer, one.input_ids[: len(prompt)], prompt, where, ("in training", "at inference"))
        start = len(prompt)
        stop = next((at for at in range(start, len(one.labels)) if one.labels[at] == IGNORED), len(one.labels))
        if stop == start:
            raise DataError(f"{where}: token {start + 1}, with which inference begins, is not learned", hint=_HINT)
        answer, content = (
            "".join(tokenizer.decode(ids).split())
            for ids in (
                one.input_ids[start : stop - 1],
                tokenizer(messages[number]["content"], add_special_tokens=False)["input_ids"],
            )
        )
        if answer not in content and content not in answer:
            raise DataError(
                f"{where}: what is learned is not its content, but {tokenizer.decode(one.input_ids[start:stop])!r:.80}",
                hint=_HINT,
            )


def _same(tokenizer: Any, one: Sequence[int], other: Sequence[int], where: str, sides: tuple[str, str]) -> None:
    """Refuse tokens that are not the same, naming the first that differs."""
    mine, others = list(one), list(other)
    if mine == others:
        return
    at = next((at for at, pair in enumerate(zip(mine, others, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(mine), len(others)) if at is None else at
    shown = [_shown(tokenizer, ids, at) for ids in (mine, others)]
    raise DataError(f"{where}: token {at + 1} is {shown[0]} {sides[0]} and {shown[1]} {sides[1]}", hint=_HINT)


def _shown(tokenizer: Any, ids: Sequence[int], at: int) -> str:
    if at >= len(ids):
        return "none"
    return repr(tokenizer.convert_ids_to_tokens(ids[at])) if ids[at] >= 0 else str(ids[at])
