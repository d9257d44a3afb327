"""Rows to tokens and labels, with guards: what is trained is what inference will render, and every answer ends.

A conversation is rendered by the model's own template, turn by turn; only the assistant's turns are learned, their
end-of-turn token included. Knows tokenizers; not trainers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.language.rows import Row
from workspace.errors import DataError, one_line

IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """A row's tokens and, for each, the token itself where it is learned or -100."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Lengths:
    """What a set of rows comes to in tokens: in all, learned, the longest row, the share of rows that are cut.

    And, in words, how many rows are left out because nothing of them would be learned, with the first one's name.
    """

    rows: int
    tokens: int
    learned: int
    longest: int
    truncated: float
    left_out: str = ""


def check_tokenizer(tokenizer: Any, where: str, chat: bool) -> None:
    """Refuse a tokenizer that would train a model which never stops.

    Raises:
        DataError: It has no end-of-text token, pads with it, or has no chat template where one is needed.
    """
    if tokenizer.eos_token_id is None:
        raise DataError(f"the tokenizer of {where} has no end-of-text token")
    if chat and not tokenizer.chat_template:
        raise DataError(
            f"the tokenizer of {where} has no chat template",
            hint="name a model that has one: chat_template in the recipe",
        )


def set_pad(tokenizer: Any) -> str:
    """Give a tokenizer a padding token that is not its end-of-text token, of those it knows; return it.

    Raises:
        DataError: It knows none that could serve.
    """
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return str(tokenizer.pad_token)
    known = tokenizer.get_vocab()
    wanted = ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]", "<|endoftext|>", "<|reserved_special_token_0|>")
    for name in (*wanted, tokenizer.unk_token, tokenizer.bos_token):
        if name and name in known and known[name] != tokenizer.eos_token_id:
            tokenizer.pad_token = name
            return str(name)
    raise DataError("the tokenizer knows no token that could pad apart from its end-of-text token")


def of_text(tokenizer: Any, row: Row) -> Encoded:
    """A text with the end-of-text token after it, all learned."""
    ids = tokenizer(row["text"], add_special_tokens=True, truncation=False)["input_ids"]
    if ids[-1] != tokenizer.eos_token_id:
        ids = [*ids, tokenizer.eos_token_id]
    return Encoded(list(ids), list(ids))


def rendered(tokenizer: Any, messages: Sequence[dict[str, str]], ask: bool, where: str = "a row") -> list[int]:
    """A conversation's tokens as inference renders it; with ``ask`` up to where the assistant goes on.

    Raises:
        DataError: The chat template is broken, or refuses the conversation.
    """
    from jinja2 import TemplateError

    try:
        made = tokenizer.apply_chat_template(list(messages), tokenize=True, add_generation_prompt=ask, return_dict=True)
    except TemplateError as fault:
        raise DataError(f"{where}: the chat template cannot render it: {one_line(fault)}") from None
    return list(made["input_ids"])


def of_messages(tokenizer: Any, row: Row, where: str = "a row") -> Encoded:
    """A conversation whose assistant turns are learned, but for those that say ``learned``: false.

    Raises:
        DataError: Inference would render a turn otherwise than training, or a turn does not end with a token that ends
            generation.
    """
    messages = [{"role": one["role"], "content": one["content"]} for one in row["messages"]]
    ids = rendered(tokenizer, messages, ask=False, where=where)
    labels = [IGNORED] * len(ids)
    ends = {tokenizer.eos_token_id, *(tokenizer.convert_tokens_to_ids(name) for name in _ends(tokenizer))}
    for number, message in enumerate(messages):
        if message["role"] != "assistant" or not row["messages"][number].get("learned", True):
            continue
        asked = rendered(tokenizer, messages[:number], ask=True)
        until = rendered(tokenizer, messages[: number + 1], ask=False)
        if ids[: len(asked)] != asked or ids[: len(until)] != until:
            raise DataError(
                f"{where}, message {number + 1}: the template renders it otherwise in training than at inference"
            )
        stop = next((place + 1 for place in range(len(asked), len(until)) if ids[place] in ends), None)
        if stop is None:
            raise DataError(f"{where}, message {number + 1}: no end-of-turn token comes after it; it would never stop")
        labels[len(asked) : stop] = ids[len(asked) : stop]
    return Encoded(ids, labels)


def _ends(tokenizer: Any) -> list[str]:
    """Tokens that end a turn in the templates there are, of those the tokenizer knows."""
    known = tokenizer.get_vocab()
    return [
        name for name in ("<|im_end|>", "<|eot_id|>", "<|end|>", "<|eot|>", "</s>", "<end_of_turn>") if name in known
    ]


def lengths(rows: Sequence[Encoded], most: int) -> Lengths:
    """Count tokens, before anything is cut."""
    sizes = [len(row.input_ids) for row in rows]
    return Lengths(
        rows=len(rows),
        tokens=sum(sizes),
        learned=sum(label != IGNORED for row in rows for label in row.labels),
        longest=max(sizes, default=0),
        truncated=sum(size > most for size in sizes) / max(1, len(sizes)),
    )
