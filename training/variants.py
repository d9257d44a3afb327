"""A trained variant as a folder like any model's: weights, tokenizer, generation settings, card; whole or not at all.

Knows folders; not how a variant came to be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workspace.errors import DataError
from workspace.files import publish


def write_variant(
    model: Any, tokenizer: Any, folder: Path, card: Mapping[str, Any], weights: Mapping[str, Any] | None = None
) -> Path:
    """Publish a variant; a low-rank adapter is folded into the weights first.

    Args:
        model: A transformers or peft model.
        tokenizer: With the chat template that it was trained with.
        folder: Where it is published.
        card: What its model card says: name, parent, stage, arguments, data, figures.
        weights: The model's whole weights by name, where the model itself holds but a share of them.
    """
    if hasattr(model, "merge_and_unload"):
        model, weights = _folded(model, weights), None

    def lay(staged: Path) -> None:
        held = model.state_dict() if weights is None else weights
        plain = {name: weight.detach().to("cpu") for name, weight in held.items()}
        model.save_pretrained(staged, state_dict={name: _half(weight) for name, weight in plain.items()})
        config = json.loads((staged / "config.json").read_text(encoding="utf-8"))
        text = json.dumps(config | {"dtype": "bfloat16"}, indent=2)  # of the weights, not of the training
        (staged / "config.json").write_text(text + "\n", encoding="utf-8")
        tokenizer.save_pretrained(staged)
        (staged / "README.md").write_text(card_of(card), encoding="utf-8")
        (staged / "variant.json").write_text(json.dumps(card, indent=1, default=str) + "\n", encoding="utf-8")

    publish(folder, lay)
    return folder


def _folded(model: Any, weights: Mapping[str, Any] | None) -> Any:
    """A model with its adapter folded in; the one that is trained stays as it is.

    Where that one is quantised, or holds a share of its weights, the adapter is folded into its base read anew.
    """
    quantised = getattr(model.config, "quantization_config", None) is not None
    if weights is None and not quantised:
        import copy

        return copy.deepcopy(model).merge_and_unload()
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    name = model.config.name_or_path
    plain = AutoModelForCausalLM.from_pretrained(
        name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
    whole = get_peft_model(plain, model.peft_config["default"])
    held = model.state_dict() if weights is None else weights
    own = {key: weight for key, weight in held.items() if "lora_" in key}
    wanted = {key for key in whole.state_dict() if "lora_" in key}
    if own.keys() != wanted:  # nothing may be left out unsaid
        raise DataError(f"the adapter of {name} does not fit it: {sorted(own.keys() ^ wanted)[0]}")
    whole.load_state_dict(own, strict=False)
    return whole.merge_and_unload()


def _half(weight: Any) -> Any:
    import torch

    return weight.to(torch.bfloat16) if weight.is_floating_point() else weight


def card_of(card: Mapping[str, Any]) -> str:
    """A variant's card as a model card in Markdown."""
    name = card.get("name", "variant")
    lines = [f"---\nlicense: {card.get('licence', 'other')}\nlibrary_name: transformers\n---\n\n# {name}\n"]
    for title, value in card.items():
        if title in ("name", "licence"):
            continue
        if isinstance(value, Mapping):
            lines.append(f"## {str(title).capitalize()}\n")
            lines += [f"- {key}: {each}" for key, each in value.items()]
            lines.append("")
        elif "\n" in str(value):
            lines.append(f"\n```yaml\n{value}```\n")
        else:
            lines.append(f"- {title}: {value}")
    return "\n".join(lines) + "\n"
