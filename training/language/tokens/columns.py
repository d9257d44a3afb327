"""A stage's rows as its trainer takes them: nothing is left for it to tokenise.

Text and conversations: input_ids, labels. Preferences: both for the chosen and the rejected answer, each after the
prompt. Knows tokenizers and rows; no trainers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from training.language.arguments import Arguments
from training.language.rows import Row, begins
from training.language.tokens.conversations import Conversations
from training.language.tokens.encoded import Encoded, Lengths, lengths
from workspace.errors import DataError

SIDES = ("chosen", "rejected")


def of_text(tokenizer: Any, row: Row) -> Encoded:
    """A text with the end-of-text token after it, all learned."""
    ids = list(tokenizer(row["text"], add_special_tokens=True, truncation=False)["input_ids"])
    if not ids or ids[-1] != tokenizer.eos_token_id:
        ids = [*ids, tokenizer.eos_token_id]
    return Encoded(ids, ids)


def encoded(kind: str, tokenizer: Any, row: Row, talks: Conversations | None = None) -> list[Encoded]:
    """A row's sequences: of a preference those of both answers, each after the prompt; of others most often one.

    Args:
        kind: cpt, sft, dpo or orpo.
        tokenizer: The stage's.
        row: A checked row of the kind's schema.
        talks: The tokenizer's conversations, where many rows are encoded.

    Raises:
        DataError: A conversation cannot be rendered as inference would.
    """
    if kind == "cpt":
        return [of_text(tokenizer, row)]
    talks = talks or Conversations(tokenizer)
    if kind == "sft":
        return talks.encoded(row["messages"], begins(row))
    pair = [
        talks.encoded([*row["prompt"], *row[side]], f"{begins(row)}, {side}", first=len(row["prompt"]))
        for side in SIDES
    ]
    if any(len(answers) > 1 for answers in pair):
        raise DataError(
            f"{begins(row)}: an answer of several turns, which the template renders otherwise once others follow",
            hint="move the turns before the last answer into the prompt",
        )
    return [one for [one] in pair]


def dataset(kind: str, args: Arguments, tokenizer: Any, rows: Sequence[Row]) -> tuple[Any, Lengths]:
    """Rows in columns, and what they come to in tokens.

    A text that is longer than max_length goes on in another sequence; of an answer what is beyond it is cut.

    Raises:
        DataError: A row cannot be rendered, or of no row is any of the answer left within max_length.
    """
    from datasets import Dataset

    most, talks = args.max_length, Conversations(tokenizer)
    made = [_fitted(kind, args, encoded(kind, tokenizer, row, talks)) for row in rows]
    kept = [[one for one in row if one.start < most] for row in made]
    if kind in ("dpo", "orpo"):
        kept = [row if len(row) == len(SIDES) else [] for row in kept]
    lost = [begins(row) for row, left, whole in zip(rows, kept, made, strict=True) if len(left) < len(whole)]
    whole = [row for row in kept if row]
    if not whole:
        raise DataError(f"max_length {most} cuts the whole answer of every row, such as {lost[0]}", hint="raise it")
    sizes = lengths(whole, most)
    if lost:
        sizes = replace(sizes, left_out=f"{len(lost)} of {len(rows)} (no answer in max_length): {lost[0]}")
    if kind == "sft" and (split := sum(len(row) > 1 for row in made)):
        sizes = replace(sizes, split=f"{split} of {len(rows)} conversations are trained answer by answer")
    if kind in ("dpo", "orpo"):
        return Dataset.from_list([_pair(row, most) for row in whole]), sizes
    if kind == "sft" and not args.assistant_only_loss:
        _check_all_learned(rows)
    every = [one.cut(0, most) for row in whole for one in row]
    learned_whole = kind == "sft" and not args.assistant_only_loss
    return Dataset.from_list(
        [{"input_ids": one.input_ids, "labels": one.input_ids if learned_whole else one.labels} for one in every]
    ), sizes


def _check_all_learned(rows: Sequence[Row]) -> None:
    """Refuse to learn whole conversations where rows say that some of their turns are not learned."""
    if any("learned" in turn for row in rows for turn in row["messages"]):
        hint = "assistant_only_loss: true, or rows without a weight, train or loss"
        raise DataError("assistant_only_loss: false would learn turns that the rows say are not learned", hint=hint)


def _fitted(kind: str, args: Arguments, row: list[Encoded]) -> list[Encoded]:
    """A row's sequences: a text's split at max_length, a preference's prompts cut at their beginning."""
    if kind == "cpt":
        [one] = row
        return [one.cut(at, at + args.max_length) for at in range(0, len(one.input_ids), args.max_length)]
    if kind in ("dpo", "orpo") and args.max_prompt_length:
        return [one.cut(max(0, one.start - args.max_prompt_length), len(one.input_ids)) for one in row]
    return row


def _pair(row: Sequence[Encoded], most: int) -> dict[str, list[int]]:
    """A preference's columns, cut at max_length."""
    made = {}
    for side, whole in zip(SIDES, row, strict=True):
        one = whole.cut(0, most)
        made[f"{side}_input_ids"] = one.input_ids
        made[f"{side}_labels"] = one.labels
        made[f"{side}_attention_mask"] = [1] * len(one.input_ids)
    return made
