"""A tokenizer made fit for training: an end, a template that it knows, and padding.

Padding is told from text by its place, in attention masks and labels, never by its token: it may be the end of text.
Knows tokenizers and configurations; no rows and no trainers.
"""

from __future__ import annotations

import re
from typing import Any

from training.loadable import check_embedded
from training.turns import end_with_turns, probe
from workspace.errors import DataError

_PADS = ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>", "[PAD]", "<|endoftext|>")
_SPARE = re.compile(r"(?i)[<\[]\W*(reserved|unused|spare|extra|special|control)[\w ]*\W*[>\]]")


def prepare(tokenizer: Any, where: str, chat: bool, lender: Any = None) -> None:
    """Give a tokenizer a chat template, an end and a padding token.

    Args:
        tokenizer: Is changed.
        where: What the model is called in errors.
        chat: Whether conversations are trained, so that an answer's end is the end of text.
        lender: The tokenizer whose chat template is used; its own if none.

    Raises:
        DataError: It has no end, or no template where one is needed, or would read the template's special tokens as
            plain text.
    """
    if lender is not None:
        lent = lender.chat_template
        tokenizer.chat_template = _usual(lent, lender.name_or_path, chat) if isinstance(lent, dict) else lent
        _check_lent(tokenizer, lender, where)
    if isinstance(tokenizer.chat_template, dict):
        tokenizer.chat_template = _usual(tokenizer.chat_template, where, chat)
    if tokenizer.eos_token_id is None:
        raise DataError(f"the tokenizer of {where} has no end-of-text token")
    if chat and not tokenizer.chat_template:
        raise DataError(
            f"the tokenizer of {where} has no chat template",
            hint="name a model that has one: chat_template in the recipe",
        )
    if chat:
        end_with_turns(tokenizer)
    set_pad(tokenizer)


def _usual(templates: dict[str, str], where: str, chat: bool) -> str | None:
    """Of several named templates the one that engines take if none is named.

    Raises:
        DataError: None is called default, and one is needed.
    """
    if "default" not in templates and chat:
        raise DataError(
            f"the tokenizer of {where} has chat templates named {', '.join(sorted(templates))}, and none named default",
            hint="name a model whose template is to be used: chat_template in the recipe",
        )
    return templates.get("default")


def check_config(tokenizer: Any, config: Any, where: str) -> None:
    """Compare a tokenizer with the configuration of the model that it speaks for.

    Raises:
        DataError: It has tokens beyond the embeddings, or the padding token is.
    """
    inner = config.get_text_config()
    check_embedded(tokenizer.get_vocab(), inner.vocab_size, where)
    pad = getattr(inner, "pad_token_id", None)
    if pad is not None and pad >= inner.vocab_size:
        raise DataError(
            f"config.json of {where}: pad_token_id is {pad}, and its embeddings are {inner.vocab_size} rows"
        )


def _check_lent(tokenizer: Any, lender: Any, where: str) -> None:
    """Refuse a lent template with special tokens that the tokenizer would take apart."""
    text, known = probe(tokenizer), tokenizer.get_vocab()
    special = {token.content for token in lender.added_tokens_decoder.values() if token.special}
    strange = sorted(token for token in special if token in text and token not in known)
    if strange:
        raise DataError(
            f"the chat template writes {', '.join(strange)}, which the tokenizer of {where} does not know",
            hint="name a chat_template whose special tokens it has",
        )


def set_pad(tokenizer: Any) -> None:
    """Give a tokenizer a padding token: its own, one of a usual name, a spare one, else its end-of-text token."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    known, taken = tokenizer.get_vocab(), (tokenizer.eos_token_id, tokenizer.bos_token_id)
    spare = sorted(filter(_SPARE.fullmatch, known), key=known.__getitem__)
    found = (name for name in (*_PADS, *spare) if name in known and known[name] not in taken)
    tokenizer.pad_token = next(found, tokenizer.eos_token)


def pad_remark(tokenizer: Any) -> str:
    """What should be said of a tokenizer's padding token: which it is, where it has none of a usual name."""
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        return f"padding is {tokenizer.pad_token}, the end of text: the tokenizer has no other token for it"
    return f"padding is {tokenizer.pad_token}" if _SPARE.fullmatch(tokenizer.pad_token) else ""
