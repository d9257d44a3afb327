"""What a merge will be, said before it is made: parents, curve, cosines, bytes, memory; and everything it stands on.

Reads models, writes none. Whatever is wrong with the parents is found here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.merging.config import METHODS, PRESETS, MergeConfig
from training.merging.cosines import CosineSummary, Measured, linear, measure, summary
from training.merging.depth import Curve, curve_faults, one_stack, picture
from training.merging.engine import Job, job_of
from training.merging.kernels import LINEAR
from training.merging.mergekit_yaml import OWN, Mixture, document_of, mixture, named, renamed, text_of
from training.merging.parents import check_parents, config_of, layers_of, refuse_quantised
from training.merging.places import Place, find
from training.merging.reading import BLOCK, Tensors, tensors_of, tied
from training.merging.writing import SHARD
from workspace.errors import DataError, ServiceError, StorageError
from workspace.progress import amount

Engine = Literal["studio", "mergekit"]
COSINES = Path("training", "cosines")
"""Where in the home measured cosines are kept."""
_NO_BASE = ("slerp", "norm_slerp", "linear", "karcher")  # their base_model is a parent
_VERSION = 1  # of what the engine makes of the same parents


class MergePlan(BaseModel):
    """A merge before it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    method: str = Field(description="As the table of methods has it; of a YAML of one's own mergekit's name")
    engine: Engine = Field(description="Who merges: Studio's own engine or mergekit")
    parents: tuple[str, ...]
    base: str = ""
    start: str = Field("", description="In words which parent t = 0 stands for, and which t = 1")
    preset: str = Field("", description="Name of the curve of t")
    curve: dict[str, tuple[float, ...]] = Field({}, description="t of every layer, by part")
    picture: str = Field("", description="The curve as text")
    tensors: int = Field(ge=0, description="Tensors that are merged")
    linear: int = Field(ge=0, description="Of these, those whose cosine makes mergekit's SLERP linear")
    share: float = Field(ge=0, le=1, description="The same as a share of tensors that have a direction")
    cosines: dict[str, float] = Field({}, description="Of every tensor: cosine between the first two parents")
    task_cosines: dict[str, float] = Field({}, description="The same of task vectors, where there is a base")
    summary: CosineSummary | None = None
    task_summary: CosineSummary | None = None
    bytes: int = Field(ge=0, description="To be written")
    free_bytes: int = Field(ge=0, description="Free on the disk")
    memory_bytes: int = Field(ge=0, description="Memory that merging takes beside the program")
    free_memory_bytes: int = Field(ge=0)
    yaml: str = Field(description="mergekit's configuration, models by their names")
    key: str = Field(description="Of everything that decides what is made")
    remarks: tuple[str, ...] = Field((), description="What a person should know of it")


@dataclass(frozen=True)
class Prepared:
    """A merge ready to be made.

    Attributes:
        plan: What is shown of it.
        document: mergekit's YAML, its models by their folders.
        parents: The models that it merges, in the plan's order.
        job: Where Studio's own engine makes it.
    """

    plan: MergePlan
    document: Mapping[str, Any]
    parents: tuple[Place, ...]
    job: Job | None


def prepare(config: MergeConfig, home: Path) -> Prepared:
    """Find a merge's models, look at them, and measure how far apart they lie.

    Raises:
        UsageError: There is no such model.
        ServiceError: A model is not on this machine.
        DataError: The models cannot be merged, or hold what is no number.
    """
    if twice := next((name for name in config.models if config.models.count(name) > 1), None):
        raise DataError(f"{twice} stands twice: a model merged with itself is that model")
    asked = document_of(config)
    if config.yaml:
        _known_method(asked["merge_method"])
    places = {name: find(name, home) for name in named(asked)}
    if config.base and config.base not in places:
        places[config.base] = find(config.base, home)
    return prepare_found(config, asked, _told_apart(places), home, home / COSINES)


def _known_method(method: str) -> None:
    if method not in {kind.mergekit for kind in METHODS.values()}:
        from training.merging.by_mergekit import check_method

        check_method(method)


def _told_apart(places: Mapping[str, Place]) -> dict[str, Place]:
    """Models under names of their own, those of equal folders' names with what they lie in."""
    names = [place.name for place in places.values()]
    return {
        asked: place
        if names.count(place.name) == 1
        else Place(f"{place.folder.parent.name}-{place.name}", place.folder, place.fingerprint, place.remark)
        for asked, place in places.items()
    }


def prepare_found(
    config: MergeConfig, asked: Mapping[str, Any], places: Mapping[str, Place], disk: Path, cache: Path | None
) -> Prepared:
    """The same of models that were found.

    Args:
        config: The merge.
        asked: mergekit's document, its models as they were asked for.
        places: Every model by what it was asked for.
        disk: Where the merge is written, for the room there is.
        cache: Folder of measured cosines.
    """
    layers = {name: layers_of(config_of(place.folder)) for name, place in places.items()}
    mix = mixture(asked, layers)
    base_name, order = (mix.base, mix.models) if mix else _order(asked)
    base = places.get(config.base or base_name)
    parents = tuple(places[name] for name in order)
    tokens = not (asked.get("tokenizer") or asked.get("tokenizer_source"))
    sliced = bool(mix is None and not asked.get("models"))
    remarks = [place.remark for place in places.values() if place.remark]
    remarks += _fit(parents, base, tokens, bool(base_name), sliced)
    if mix and not one_stack(tensors_of(parents[0].folder), layers[order[0]]):
        mix = None
    if mix and mix.t and config.yaml:
        remarks += curve_faults(mix.t, layers[order[0]])
    job, measured = _measured(mix, parents, base, asked, cache, sliced)
    return _planned(config, asked, places, Found(mix, parents, base, layers[order[0]], job, measured), disk, remarks)


@dataclass(frozen=True)
class Found:
    """What was found of a merge's models."""

    mix: Mixture | None
    parents: tuple[Place, ...]
    base: Place | None
    layers: int
    job: Job | None
    measured: Measured


def _order(document: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The base and the parents of a merge that mergekit makes; its base is a parent where only one other is."""
    everyone = named(document)
    base = str(document.get("base_model") or "")
    others = tuple(name for name in everyone if name != base)
    if document["merge_method"] in _NO_BASE or len(others) < 2:
        return "", everyone
    return base, others


def _fit(parents: tuple[Place, ...], base: Place | None, tokens: bool, added_to: bool, sliced: bool) -> list[str]:
    """Refuse models that do not fit together; say what should be known of those that do."""
    if len(parents) < 2:
        raise DataError(f"one model alone, {parents[0].name if parents else 'none'}, is no merge")
    remarks: list[str] = []
    everyone = [*parents, *([base] if base else [])]
    for place in everyone:
        refuse_quantised(config_of(place.folder), place.name)
    if sliced:
        return remarks
    for number, place in enumerate(everyone):
        for other in everyone[:number]:
            if place.fingerprint == other.fingerprint:
                if place is base:
                    raise DataError(f"{other.name} is the base {place.name} itself: it has no task vector of its own")
                raise DataError(f"{other.name} and {place.name} are the same model: there is nothing to merge")
    for place in everyone[1:]:
        remarks += check_parents(
            place.folder,
            parents[0].folder,
            (place.name, parents[0].name),
            tokens=tokens and (place is not base or added_to),
        )
    return list(dict.fromkeys(remarks))


def _measured(
    mix: Mixture | None,
    parents: tuple[Place, ...],
    base: Place | None,
    asked: Mapping[str, Any],
    cache: Path | None,
    sliced: bool,
) -> tuple[Job | None, Measured]:
    everyone = [*parents, *([base] if base else [])]
    names, prints = [place.name for place in everyone], [place.fingerprint for place in everyone]
    third = tensors_of(base.folder) if base else None
    if mix is None:
        if sliced:
            return None, Measured({}, {})
        held = [tensors_of(place.folder) for place in parents]
        _one_kind_of_head(parents, held)
        return None, measure(held, third, names, asked.get("dtype") == "bfloat16", cache, prints)
    folders = [place.folder for place in parents]
    counted = base.folder if base and mix.base else None
    job = job_of(mix, folders, counted, names[: len(folders) + (counted is not None)], Measured({}, {}))
    if mix.base:
        third = dict(job.tensors[-1])
    found = measure(job.tensors[: len(parents)], third, names, mix.rounded, cache, prints)
    job = replace(job, measured=found)
    for name, one in job.tensors[0].items():
        if one.floating:
            job.shares(name)  # or says which tensor has none, before anything is written
    return job, found


def _one_kind_of_head(parents: tuple[Place, ...], held: Sequence[Tensors]) -> None:
    """Refuse for mergekit what it would lose: the output layer that one parent has and another has not."""
    ties = {tied(place.folder, tensors): place.name for place, tensors in zip(parents, held, strict=True)}
    if len(ties) > 1:
        own = ", ".join(name for name in METHODS if METHODS[name].mergekit in OWN)
        raise DataError(
            f"the output layer of {ties[True]} is its embeddings, that of {ties[False]} is not: mergekit would drop it",
            hint=f"{own} give the merge an output layer of its own, where no tokenizer is asked for",
        )


def _planned(
    config: MergeConfig,
    asked: Mapping[str, Any],
    places: Mapping[str, Place],
    found: Found,
    disk: Path,
    remarks: list[str],
) -> Prepared:
    import psutil  # type: ignore[import-untyped]

    names = [place.name for place in found.parents]
    cosines = found.measured.cosines
    t = found.mix.t if found.mix else None
    curve = _curve(config, found, t)
    start = f"t = 0 is {names[0]}, t = 1 is {names[1]}" if curve else ""
    many = linear(cosines)
    share = many / len(cosines) if cosines else 0.0
    size, memory = _needs(found, asked)
    inside = {name: place.fingerprint for name, place in places.items()}
    counted = found.base.fingerprint if found.base else ""
    key = json.dumps([_VERSION, renamed(asked, inside.__getitem__), counted], sort_keys=True)
    plan = MergePlan(
        name=config.name,
        method=str(asked["merge_method"]) if config.yaml else config.method,
        engine="studio" if found.mix else "mergekit",
        parents=tuple(names),
        base=found.base.name if found.base else "",
        start=start,
        preset=config.curve,
        curve=curve,
        picture=picture(curve, names[0], names[1]) if curve else "",
        tensors=len(found.job.tensors[0]) if found.job else len(tensors_of(found.parents[0].folder)),
        linear=many,
        share=share,
        cosines=cosines,
        task_cosines=found.measured.task_cosines,
        summary=summary(cosines),
        task_summary=summary(found.measured.task_cosines),
        bytes=size,
        free_bytes=shutil.disk_usage(_there(disk)).free,
        memory_bytes=memory,
        free_memory_bytes=psutil.virtual_memory().available,
        yaml=text_of(renamed(asked, lambda name: places[name].name)),
        key=hashlib.sha256(key.encode()).hexdigest(),
        remarks=tuple([*_words(start, cosines, many, found), *remarks]),
    )
    folders = {name: str(place.folder) for name, place in places.items()}
    return Prepared(plan, renamed(asked, folders.__getitem__), found.parents, found.job)


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.absolute().parents) if one.is_dir())


def _curve(config: MergeConfig, found: Found, t: Curve | None) -> dict[str, tuple[float, ...]]:
    """The t of every layer between two parents; on straight lines and of task vectors it is the second one's weight."""
    if t is None and found.mix and len(found.mix.weights) == 2 and not config.yaml and METHODS[config.method].depth:
        t = found.mix.weights[1]
    if t is None and not found.mix and not config.yaml and METHODS[config.method].depth:
        held = config.vectors
        t = Curve((("self_attn", held.self_attn), ("mlp", held.mlp), ("", (held.rest,))))
    if t is None:
        return {}
    if not config.yaml and (faults := drawn_faults(t, found.layers)):
        raise DataError(faults[0])
    return t.over(found.layers)


def drawn_faults(curve: Curve, layers: int) -> list[str]:
    """What of a curve drawn by hand does not fit; a preset is one of any number of layers."""
    ready = {values for held in PRESETS.values() for values in (held.self_attn, held.mlp)}
    drawn = Curve(tuple(one for one in curve.conditions if one[1] not in ready))
    return curve_faults(drawn, layers)


def _words(start: str, cosines: Mapping[str, float], many: int, found: Found) -> list[str]:
    words = [f"{start}; the study has its general-purpose (instruct) model at t = 0"] if start else []
    if (held := summary(cosines)) is not None:
        words.append(f"cosines between {found.parents[0].name} and {found.parents[1].name}: {held}")
        words.append(
            f"{many} of {len(cosines)} tensors ({many / len(cosines):.0%}) lie so close, |cos| > {LINEAR}, "
            "that mergekit's SLERP is a straight line there"
        )
    if (held := summary(found.measured.task_cosines)) is not None and found.base:
        words.append(f"cosines of their task vectors from {found.base.name}: {held}")
    if zero := len(found.measured.pairs) - len(cosines):
        words.append(f"{zero} tensors are all zero in a parent and have no direction")
    if found.job and found.job.untied:
        words.append("one parent's output layer is its embeddings, the other's is not: the merge has one of its own")
    return words


def _needs(found: Found, asked: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes that are written, and that are held in memory at most."""
    if found.job:
        size = sum(slot.size for slot in found.job.slots)
        return size, (2 * len(found.job.tensors) + 1) * BLOCK * 8
    held = tensors_of(found.parents[0].folder)
    width = 4 if (asked.get("out_dtype") or asked.get("dtype")) == "float32" else 2
    size = sum(one.numel for one in held.values()) * width
    size = size * _stacked(asked, found.layers) // max(found.layers, 1)
    largest = max(one.numel for one in held.values()) * 4
    return size, min(size, SHARD) * 2 + largest * 3 * (len(found.parents) + 1)


def _stacked(document: Mapping[str, Any], layers: int) -> int:
    """How many layers come out: of slices as many as are laid one on another."""
    try:
        ranges = [one["sources"][0]["layer_range"] for one in document.get("slices") or ()]
        return sum(int(end) - int(start) for start, end in ranges) or layers
    except (KeyError, IndexError, TypeError, ValueError):
        return layers  # mergekit will say what is wrong with them


def plan(config: MergeConfig, home: Path) -> MergePlan:
    """What a merge will be; nothing is written but measured cosines and folded adapters.

    Raises:
        UsageError: There is no such model.
        ServiceError: A model is not on this machine.
        DataError: The models cannot be merged, or hold what is no number.
    """
    return prepare(config, home).plan


def check_room(made: MergePlan, disk: Path) -> None:
    """Refuse a merge for which there is no room, before anything is written.

    Raises:
        StorageError: The disk is too full.
        ServiceError: There is too little memory.
    """
    if made.bytes > made.free_bytes:
        raise StorageError(f"{made.name} needs {amount(made.bytes)} of disk; {disk} has {amount(made.free_bytes)} free")
    if made.memory_bytes > made.free_memory_bytes:
        raise ServiceError(
            f"{made.name} needs {amount(made.memory_bytes)} of memory, {amount(made.free_memory_bytes)} are free"
        )
