"""What a merge is asked to be: method, parents, t over depth or weights. Knows the choices; reads no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal[
    "slerp", "norm_slerp", "nuslerp", "lerp", "linear", "task_arithmetic", "ties", "dare_ties", "dare_linear", "karcher"
]
Preset = Literal["reference", "alternative", "linear", "constant"]
Shares = tuple[Annotated[float, Field(ge=0, le=1)], ...]


@dataclass(frozen=True)
class Kind:
    """What a method is.

    Attributes:
        words: What it does, for people.
        mergekit: Its name in mergekit's YAML.
        depth: Whether it has two parents and t over depth; otherwise it has any number of parents.
        weights: Whether parents are weighed one by one.
        base: Whether it needs the parents' common base.
        sparse: Whether it drops a share of every task vector.
        dtype: In which precision mergekit computes it: differences of fine-tunes drown in bfloat16.
    """

    words: str
    mergekit: str
    depth: bool = False
    weights: bool = False
    base: bool = False
    sparse: bool = False
    dtype: str = "float32"


METHODS: dict[Method, Kind] = {
    "slerp": Kind("along the sphere, as mergekit does", "slerp", depth=True, dtype="bfloat16"),
    "norm_slerp": Kind(
        "directions along the sphere, lengths by their geometric mean", "norm_slerp", depth=True, dtype="bfloat16"
    ),
    "nuslerp": Kind("task vectors along the sphere, added to the base", "nuslerp", depth=True, base=True),
    "lerp": Kind("along the straight line", "linear", depth=True, dtype="bfloat16"),
    "linear": Kind("weighted mean; a uniform soup where no weights are given", "linear", weights=True),
    "task_arithmetic": Kind("base and the weighted sum of task vectors", "task_arithmetic", weights=True, base=True),
    "ties": Kind("task vectors trimmed, signs elected (TIES)", "ties", weights=True, base=True, sparse=True),
    "dare_ties": Kind("the same, dropped at random (DARE)", "dare_ties", weights=True, base=True, sparse=True),
    "dare_linear": Kind("the same, summed without election", "dare_linear", weights=True, base=True, sparse=True),
    "karcher": Kind("mean on the sphere (Karcher)", "karcher"),
}  # fmt: skip


@dataclass(frozen=True)
class Vectors:
    """t of attention, of the feed-forward layers and of all else."""

    self_attn: tuple[float, ...]
    mlp: tuple[float, ...]
    rest: float


REFERENCE = Vectors((0.0, 0.5, 0.3, 0.7, 1.0), (1.0, 0.5, 0.7, 0.3, 0.0), 0.5)
PRESETS: dict[Preset, Vectors] = {
    "reference": REFERENCE,
    "alternative": Vectors((0.0, 0.3, 0.5, 0.7, 1.0), (1.0, 0.7, 0.5, 0.3, 0.0), 0.5),
    "linear": Vectors((0.0, 1.0), (0.0, 1.0), 0.5),
}
"""The curves of arXiv 2409.03444 that are published: reference, alternative, and G, which is said to be a plain linear
progression through depth; all else stays halfway in each, as in the reference. The fourth, ``constant``, is one t for
every tensor.
"""


class MergeOptions(BaseModel):
    """How models are merged, whichever they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$", description="What the merge is called")
    method: Method = Field("slerp", description="How parents are merged")
    base: str = Field("", description="The parents' common base, for task vectors and their cosines")
    preset: Preset | None = Field(None, description="Curve of t over depth; the study's reference if nothing is said")
    t: float | None = Field(None, ge=0, le=1, description="One t for every tensor")
    self_attn: Shares | None = Field(None, min_length=1, max_length=1000, description="t of attention, over depth")
    mlp: Shares | None = Field(None, min_length=1, max_length=1000, description="t of feed-forward layers, over depth")
    rest: float | None = Field(None, ge=0, le=1, description="t of all else")
    weights: tuple[Annotated[float, Field(ge=-10, le=10)], ...] = Field(
        (), max_length=64, description="Weight of each parent; 1 each if none is given"
    )
    density: float | None = Field(
        None, gt=0, le=1, description="TIES, DARE: share of a task vector that stays, else .5"
    )
    tokenizer: Literal["", "union", "base"] = Field(
        "", description="Where parents' tokens differ: keep all of them, or those of the base (of t = 0)"
    )
    yaml: str = Field("", description="A mergekit YAML file that is run as it is, instead of all but the name")


class MergeConfig(MergeOptions):
    """A merge of models: by one of Studio's methods, or by a mergekit YAML of one's own."""

    models: tuple[str, ...] = Field(
        (), max_length=64, description="Parents: names or folders; where there is a t, that of t = 0 first"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = self.model_fields_set - {"name", "yaml"}
        if self.yaml:
            if given:
                raise ValueError(f"a YAML of one's own says everything but the name; {sorted(given)[0]} is given too")
            return self
        kind = METHODS[self.method]
        fits = {
            **dict.fromkeys(("preset", "t", "self_attn", "mlp", "rest"), kind.depth),
            "weights": kind.weights,
            "density": kind.sparse,
        }
        if odd := [name for name, fit in fits.items() if name in given and not fit]:
            raise ValueError(f"{self.method} has no {odd[0]}; methods that have: {', '.join(_with(odd[0]))}")
        many = len(self.models)
        if many < 2 or (kind.depth and many != 2):
            raise ValueError(f"{self.method} merges {'two' if kind.depth else 'at least two'} models, not {many}")
        if kind.base and not self.base:
            raise ValueError(f"{self.method} needs base: the model that its parents were trained from")
        if self.weights and len(self.weights) != many:
            raise ValueError(f"{len(self.weights)} weights given for {many} models; one each, or none")
        if self.weights and self.method == "linear" and abs(sum(self.weights)) < 1e-6:
            raise ValueError("the weights of a mean must not add up to 0")
        self._one_curve()
        return self

    def _one_curve(self) -> None:
        if self.t is not None and (self.preset not in (None, "constant") or self._drawn):
            raise ValueError("t is the same for every tensor; give either t or a curve over depth")
        if self.preset == "constant" and self.t is None:
            raise ValueError("preset constant needs t")

    @property
    def _drawn(self) -> bool:
        return any(value is not None for value in (self.self_attn, self.mlp, self.rest))

    @property
    def curve(self) -> str:
        """The name of its curve of t; empty where there is none, or where it is drawn by hand."""
        if self.yaml or not METHODS[self.method].depth:
            return ""
        if self.t is not None:
            return "constant"
        return "" if self._drawn else self.preset or "reference"

    @property
    def vectors(self) -> Vectors:
        """The values of t over depth: the preset's, with what is given in place of them."""
        if self.t is not None:
            return Vectors((self.t,), (self.t,), self.t)
        held = PRESETS[self.preset or "reference"]
        return Vectors(
            held.self_attn if self.self_attn is None else self.self_attn,
            held.mlp if self.mlp is None else self.mlp,
            held.rest if self.rest is None else self.rest,
        )


def _with(option: str) -> list[str]:
    """The methods that have an option."""
    return [
        name
        for name, kind in METHODS.items()
        if {"weights": kind.weights, "density": kind.sparse}.get(option, kind.depth)
    ]
