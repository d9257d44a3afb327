"""Whether two models can be merged: shapes, positions, tokens and templates, before any weight is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workspace.errors import DataError, one_line

_SHAPE = (
    "model_type", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "num_local_experts", "num_experts", "moe_intermediate_size",
)  # fmt: skip
_WHERE_GIVEN = (
    "hidden_act", "hidden_activation", "layer_types", "num_experts_per_tok", "attn_logit_softcapping",
    "final_logit_softcapping", "query_pre_attn_scalar", "embedding_multiplier", "residual_multiplier",
)  # fmt: skip
_BIASES = ("attention_bias", "mlp_bias", "use_bias")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_SPEECH = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", *_TEMPLATES)
_TOKENIZER = "tokenizer: union keeps the tokens of both, tokenizer: base those of the base, or of t = 0"
_ENDS = ("eos_token_id", "bos_token_id", "pad_token_id")


def check_parents(tuned: Path, into: Path, names: tuple[str, str] | None = None, *, tokens: bool = True) -> list[str]:
    """Refuse two models that no merge of weights makes sense of.

    Args:
        tuned: Folder of the model for t = 1.
        into: Folder of the model for t = 0.
        names: What the two are called; as their folders if not given.
        tokens: Whether their tokens must be the same; mergekit brings other ones together where it is told how.

    Returns:
        What a person should know of the merge, a line each: other special tokens, other scaling of positions, a
        template that one alone has.

    Raises:
        DataError: Their shapes, rotations or vocabularies differ, or one holds quantised weights.
    """
    one, other = names or (tuned.name, into.name)
    first, second = config_of(tuned), config_of(into)

    def refuse(what: str, mine: Any, others: Any) -> DataError:
        hint = _TOKENIZER if what == "vocab_size" else None
        return DataError(f"{one} and {other} cannot be merged: {what} is {mine} and {others}", hint=hint)

    for name, config in ((one, first), (other, second)):
        refuse_quantised(config, name)
    for key in _SHAPE if tokens else [key for key in _SHAPE if key != "vocab_size"]:
        if _figure(first, key) != _figure(second, key):
            raise refuse(key, _figure(first, key), _figure(second, key))
    for key in _WHERE_GIVEN:
        if first.get(key) is not None and second.get(key) is not None and first[key] != second[key]:
            raise refuse(key, first[key], second[key])
    for key in _BIASES:
        if bool(first.get(key)) != bool(second.get(key)):
            raise refuse(key, bool(first.get(key)), bool(second.get(key)))
    if (mine := _theta(first)) != (others := _theta(second)):
        raise refuse("rope_theta", mine, others)
    remarks = []
    if _scaling(first) != _scaling(second):
        remarks.append(f"{one} and {other} scale positions otherwise; the merge does as {other}")
    if (mine := first.get("sliding_window")) != (others := second.get("sliding_window")):
        remarks.append(
            f"{one} and {other} attend to {mine or 'all'} and {others or 'all'} tokens; the merge does as {other}"
        )
    if tokens and (remark := _vocabularies(tuned, into, one, other)):
        remarks.append(remark)
    if has_template(tuned) and not has_template(into):
        remarks.append(f"{other} has no chat template; the merge has the tokenizer and template of {one}")
    return remarks


def config_of(folder: Path) -> dict[str, Any]:
    """A model's configuration.

    Raises:
        DataError: There is none that can be read.
    """
    try:
        held = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"cannot read {folder / 'config.json'}: {one_line(fault)}") from None
    if not isinstance(held, dict):
        raise DataError(f"{folder / 'config.json'} is no model's configuration")
    return held


def layers_of(config: Mapping[str, Any]) -> int:
    """How many layers a language model has by its configuration; 0 where it does not say."""
    inner = config.get("text_config")
    held = inner if isinstance(inner, dict) else config
    found = next((held[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if held.get(key)), 0)
    return int(found)


def refuse_quantised(config: Mapping[str, Any], name: str) -> None:
    """Refuse a model whose files hold quantised weights: a variant is published whole, in 16 bits, from its base.

    Raises:
        DataError: It is one.
    """
    held = config.get("quantization_config")
    if held:
        method = held.get("quant_method") or "a quantisation" if isinstance(held, dict) else "a quantisation"
        raise DataError(
            f"{name} holds weights quantised by {method}, which can be neither trained and published nor merged",
            hint="name the model that it was made from; adapter: {type: qlora} quantises that one while it is read",
        )


def _figure(config: Mapping[str, Any], key: str) -> Any:
    """A figure of a configuration, with what stands for it where it is not given."""
    value = config.get(key)
    if value is None and key == "num_key_value_heads":
        return config.get("num_attention_heads")
    if value is None and key == "head_dim" and config.get("num_attention_heads"):
        return (config.get("hidden_size") or 0) // config["num_attention_heads"]
    return value


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """How positions are turned, in the older and the newer spelling."""
    held = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return dict(held) if isinstance(held, dict) else {}


def _theta(config: Mapping[str, Any]) -> Any:
    found = config.get("rope_theta") or _rope(config).get("rope_theta")
    return None if found is None else float(found)


def _scaling(config: Mapping[str, Any]) -> dict[str, Any]:
    held = {name: value for name, value in _rope(config).items() if name not in ("rope_theta", "type")}
    return {} if held.get("rope_type", "default") == "default" else held


def _vocabularies(tuned: Path, into: Path, one: str, other: str) -> str:
    """Refuse tokenizers whose ordinary tokens are not the same; say which special ones differ."""
    first, second = vocabulary(tuned), vocabulary(into)
    if first is None or second is None:
        return ""
    (mine, mine_special), (others, others_special) = first, second
    special = mine_special | others_special
    for number in sorted(mine.keys() | others.keys()):
        left, right = mine.get(number), others.get(number)
        if left != right and number not in special:
            raise DataError(
                f"{one} and {other} cannot be merged: token {number} is {left!r} and {right!r}", hint=_TOKENIZER
            )
    differ = [number for number in sorted(special) if mine.get(number) != others.get(number)]
    if not differ:
        return ""
    number = differ[0]
    return (
        f"{len(differ)} special tokens of {one} and {other} differ, such as {number}: "
        f"{mine.get(number)!r} and {others.get(number)!r}"
    )


def vocabulary(folder: Path) -> tuple[dict[int, str], set[int]] | None:
    """A tokenizer's tokens by number, and the numbers of those that were added to it; none where no file tells."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        known = held["model"]["vocab"]
        pairs = known.items() if isinstance(known, dict) else ((token, at) for at, (token, _) in enumerate(known))
        tokens = {int(number): str(token) for token, number in pairs}
        added = {int(one["id"]): str(one["content"]) for one in held.get("added_tokens", ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(f"{file} is no tokenizer: {one_line(fault)}") from None
    return tokens | added, set(added)


def has_template(folder: Path) -> bool:
    """Whether a model's tokenizer has a chat template."""
    if any((folder / name).is_file() for name in _TEMPLATES):
        return True
    file = folder / "tokenizer_config.json"
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8")).get("chat_template"))


def speaker(tuned: Path, into: Path) -> Path:
    """Whose tokenizer and template a merge has: that of the model for t = 0, unless the other one alone can chat."""
    return tuned if has_template(tuned) and not has_template(into) else into


def take_speech(source: Path, folder: Path) -> None:
    """Give a merge a parent's tokenizer, chat template and ends of turns."""
    import shutil

    for pattern in _SPEECH:
        for file in folder.glob(pattern):
            file.unlink()
        for file in source.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    if (source / "generation_config.json").is_file():
        shutil.copyfile(source / "generation_config.json", folder / "generation_config.json")
    held, parent = config_of(folder), config_of(source)
    held |= {name: parent[name] for name in _ENDS if name in parent}
    (folder / "config.json").write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
