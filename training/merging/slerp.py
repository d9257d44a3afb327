"""A recipe's merge: two variants into one along the sphere (SLERP), with the share of each changing over depth.

t = 0 is the parent named ``into``, t = 1 the tuned one, as in arXiv 2409.03444.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.catalogue.fetch import fingerprint
from training.loop.heap import forget_peak
from training.merging.config import REFERENCE, MergeConfig, Shares
from training.merging.depth import read_curve
from training.merging.mergekit_yaml import document_of
from training.merging.parents import check_parents, config_of, layers_of
from training.merging.places import Place
from training.merging.plan import check_room, drawn_faults, prepare_found
from training.merging.publishing import lay_out


class Slerp(BaseModel):
    """A merge of two variants along the sphere; ``t`` runs over depth, 0 the parent named first."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    self_attn: Shares = Field(
        REFERENCE.self_attn, min_length=1, max_length=1000, description="t of attention over depth"
    )
    mlp: Shares = Field(
        REFERENCE.mlp, min_length=1, max_length=1000, description="t of feed-forward layers, over depth"
    )
    rest: float = Field(REFERENCE.rest, ge=0, le=1, description="t of all else")


def configuration(tuned: Path, into: Path, slerp: Slerp) -> dict[str, Any]:
    """A merge as mergekit's YAML says it."""
    return document_of(_config(str(tuned), str(into), slerp))


def _config(tuned: str, into: str, slerp: Slerp, name: str = "merge") -> MergeConfig:
    return MergeConfig(name=name, models=(into, tuned), self_attn=slerp.self_attn, mlp=slerp.mlp, rest=slerp.rest)


def slerp_faults(slerp: Slerp, folder: Path) -> list[str]:
    """What of a curve does not fit the layers of a model, found from its configuration.

    Args:
        slerp: t over depth.
        folder: Of either parent, or of a model of their shape.
    """
    curve = read_curve(configuration(folder, folder, slerp)["parameters"]["t"])
    return [] if curve is None else drawn_faults(curve, layers_of(config_of(folder)))


def merge(tuned: Path, into: Path, slerp: Slerp, folder: Path, card: Mapping[str, Any]) -> Path:
    """Merge and publish.

    Args:
        tuned: Folder of the variant for t = 1.
        into: Folder of the model for t = 0, whose tokenizer the merge has, unless the other one alone can chat.
        slerp: t over depth.
        folder: Where the merge is published.
        card: What its card says; mergekit's YAML and the parents' cosines are added.

    Raises:
        DataError: The two do not fit together.
        StorageError: The disk is too full.
    """
    check_parents(tuned, into)
    forget_peak()
    config = _config(str(tuned), str(into), slerp, folder.name)
    places = {str(one): Place(one.name, one, fingerprint(one)) for one in (into, tuned)}
    made = prepare_found(config, document_of(config), places, folder, None)
    check_room(made.plan, folder.parent)
    lay_out(made, folder, card, tried=False)
    return folder
