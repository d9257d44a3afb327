"""Two variants into one, along the sphere (SLERP), with the share of each changing over depth. By mergekit.

t = 0 is the parent named ``into``, t = 1 the tuned one, as in arXiv 2409.03444.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from training.loadable import check_loads
from training.merging.parents import check_parents, speaker, take_speech
from training.turns import tell_turn_end
from training.variants import card_of
from workspace.files import publish

Shares = tuple[Annotated[float, Field(ge=0, le=1)], ...]


class Slerp(BaseModel):
    """A merge of two variants along the sphere; ``t`` runs over depth, 0 the parent named first."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    self_attn: Shares = Field((0.0, 0.5, 0.3, 0.7, 1.0), min_length=1, description="t of attention, over depth")
    mlp: Shares = Field((1.0, 0.5, 0.7, 0.3, 0.0), min_length=1, description="t of the feed-forward layers, over depth")
    rest: float = Field(0.5, ge=0, le=1, description="t of all else")


def configuration(tuned: Path, into: Path, slerp: Slerp) -> dict[str, Any]:
    """A merge as mergekit's YAML says it."""
    shares = [
        {"filter": "self_attn", "value": list(slerp.self_attn)},
        {"filter": "mlp", "value": list(slerp.mlp)},
        {"value": slerp.rest},
    ]
    return {
        "merge_method": "slerp",
        "base_model": str(into),
        "models": [{"model": str(into)}, {"model": str(tuned)}],
        "parameters": {"t": shares},
        "dtype": "bfloat16",
    }


def merge(tuned: Path, into: Path, slerp: Slerp, folder: Path, card: Mapping[str, Any]) -> Path:
    """Merge and publish.

    Args:
        tuned: Folder of the variant for t = 1.
        into: Folder of the model for t = 0, whose tokenizer the merge has, unless the other one alone can chat.
        slerp: t over depth.
        folder: Where the merge is published.
        card: What its card says; mergekit's YAML is added.

    Raises:
        DataError: The two do not fit together.
    """
    check_parents(tuned, into)
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    merge_config = configuration(tuned, into, slerp)

    def lay(staged: Path) -> None:
        options = MergeOptions(write_model_card=False, copy_tokenizer=True, quiet=True, clone_tensors=True)
        run_merge(MergeConfiguration.model_validate(merge_config), str(staged), options)
        take_speech(speaker(tuned, into), staged)
        tell_turn_end(staged)
        check_loads(staged)
        shown = {**card, "merge": yaml.safe_dump(_named(merge_config), sort_keys=False)}
        (staged / "README.md").write_text(card_of(shown), encoding="utf-8")
        (staged / "variant.json").write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")

    publish(folder, lay)
    return folder


def _named(merge_config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with models by their names, not their places on a disk."""
    models = [{"model": Path(one["model"]).name} for one in merge_config["models"]]
    return {**merge_config, "base_model": Path(merge_config["base_model"]).name, "models": models}
