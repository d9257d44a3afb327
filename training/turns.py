"""How a chat template ends an answer, and a model folder that tells it to every engine.

`transformers` and vLLM stop at the tokens of generation_config.json, vLLM at the tokenizer's end-of-text token too,
llama.cpp at the tokenizer's; config.json is what older engines read. All four must name the token that ends a turn.
Knows tokenizers and folders; no training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ASKED, _ANSWER = "Which layer?", "Qzx"
_PROBE = ({"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWER})
_TALKS = ((_PROBE[:1], True), (_PROBE, False), ((*_PROBE, *_PROBE), False))
_NAMES = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<|eot|>", "<end_of_turn>", "</s>")
_CONFIGS = ("generation_config.json", "config.json")


def turn_end(tokenizer: Any) -> int | None:
    """The token with which the tokenizer's chat template ends an answer; none where no single token does.

    It is the first token after an answer's text that is no plain text: the end-of-text token, or an added one.
    """
    tail = after_answer(tokenizer)
    known = {tokenizer.eos_token_id, *tokenizer.added_tokens_decoder, *_named(tokenizer)}
    ids = tokenizer(tail, add_special_tokens=False)["input_ids"] if tail else []
    return next((token for token in ids if token in known), None)


def after_answer(tokenizer: Any) -> str:
    """What the chat template writes after the last answer; nothing where it cannot render a question and an answer."""
    text = _rendered(tokenizer, _PROBE)
    return text.rpartition(_ANSWER)[2] if _ANSWER in text else ""


def probe(tokenizer: Any) -> str:
    """What the chat template makes of a question, an answer to it, and two of each; nothing of what it refuses."""
    return "".join(_rendered(tokenizer, messages, ask) for messages, ask in _TALKS)


def _named(tokenizer: Any) -> set[int]:
    """Well-known ends of turns that the tokenizer has as plain entries of its vocabulary."""
    known = tokenizer.get_vocab()
    return {known[name] for name in _NAMES if name in known}


def _rendered(tokenizer: Any, messages: Sequence[dict[str, str]], ask: bool = False) -> str:
    """A conversation by the chat template; nothing where there is none or it refuses."""
    from jinja2 import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        return ""
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask))
    except (TemplateError, TypeError, ValueError):
        return ""


def end_with_turns(tokenizer: Any) -> None:
    """Make the token that ends a turn the tokenizer's end-of-text token, unless the template would render otherwise."""
    end, before = turn_end(tokenizer), tokenizer.eos_token
    if end is None or end == tokenizer.eos_token_id:
        return
    rendered = probe(tokenizer)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if rendered != probe(tokenizer):
        tokenizer.eos_token = before


def tell_turn_end(folder: Path) -> None:
    """Write into a model folder's configurations every token at which an answer ends, the template's own first."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    held = {name: json.loads((folder / name).read_text()) for name in _CONFIGS if (folder / name).is_file()}
    ends = [turn_end(tokenizer), tokenizer.eos_token_id]
    for config in (*held.values(), held["config.json"].get("text_config") or {}):
        found = config.get("eos_token_id")
        ends += found if isinstance(found, list) else [found]
    words = held["config.json"].get("vocab_size") or len(tokenizer)
    ids = [token for token in dict.fromkeys(ends) if token is not None and token < words]
    if not ids:
        return
    told = ids if len(ids) > 1 else ids[0]
    held.setdefault("generation_config.json", {})
    for name, config in held.items():
        config["eos_token_id"] = told
        if "eos_token_id" in (inner := config.get("text_config") or {}):
            inner["eos_token_id"] = told
        (folder / name).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
