"""A trained variant as a folder like any model's: weights, tokenizer, generation settings, card; whole or not at all.

Knows folders; not how a variant came to be.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.folding import fold, plan_folding
from training.loadable import check_loads
from training.turns import tell_turn_end
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
    adapter = plan_folding(model, weights) if hasattr(model, "merge_and_unload") else None

    def lay(staged: Path) -> None:
        if adapter is not None:
            _lay_configs(model.get_base_model(), staged, adapter.untied)
            fold(adapter, staged)
        else:
            held = model.state_dict() if weights is None else weights
            copies = getattr(model, "all_tied_weights_keys", {})  # names of one tensor are written once
            kept = {name: _half(weight) for name, weight in held.items() if name not in copies}
            model.save_pretrained(staged, state_dict=kept)
            for file in staged.glob("*.safetensors"):
                file.chmod(0o644)  # safetensors makes them the owner's alone
        config = json.loads((staged / "config.json").read_text(encoding="utf-8"))
        text = json.dumps(config | {"dtype": "bfloat16"}, indent=2)  # of the weights, not of the training
        (staged / "config.json").write_text(text + "\n", encoding="utf-8")
        tokenizer.save_pretrained(staged)
        tell_turn_end(staged)
        check_loads(staged)
        (staged / "README.md").write_text(card_of(card), encoding="utf-8")
        (staged / "variant.json").write_text(json.dumps(card, indent=1, default=str) + "\n", encoding="utf-8")

    publish(folder, lay)
    return folder


def _lay_configs(bare: Any, staged: Path, untied: bool) -> None:
    """Write the configurations of the model under an adapter, as one that is not quantised."""
    config = copy.deepcopy(bare.config)
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    if untied:
        config.get_text_config().tie_word_embeddings = False
    config.save_pretrained(staged)
    if bare.generation_config is not None:
        bare.generation_config.save_pretrained(staged)


def _half(weight: Any) -> Any:
    import torch

    weight = weight.detach()
    return weight.to("cpu", torch.bfloat16 if weight.is_floating_point() else weight.dtype)


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
