"""What was trained and measured here, as the front door offers it: variants with their makers, scores. No terminal."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from studio.evaluation import Score, Scores, score_of
from studio.verb import Call, query
from workspace.errors import StudioError

if TYPE_CHECKING:
    from training.evaluation.results import MergeRecord


class VariantRow(BaseModel):
    """A language model that was trained here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    family: str = ""
    stages: tuple[str, ...] = Field((), description="What was done to the base, in order")
    parents: tuple[str, ...] = ()
    bytes: int = Field(0, description="On the disk")
    made: float = Field(0.0, description="When, in Unix seconds")
    method: str = Field("", description="Of a merge: how its parents were merged")
    preset: str = Field("", description="Of a merge: the name of its t over depth")
    curve: dict[str, tuple[float, ...]] = Field({}, description="Of a merge: t of every layer, by part")
    searched: str = Field("", description="Of a merge whose t was searched: what the search tells of it")
    fault: str = Field("", description="Why its card cannot be read")


class Variants(BaseModel):
    """All of them, the newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variants: tuple[VariantRow, ...]


@query(Call)
def list_variants(options: Call) -> Variants:
    """List the models that were trained here: what each was made of, and how."""
    from models.catalogue.fetch import variants

    rows = [_row(name, options.home) for name in variants(options.home)]
    return Variants(variants=tuple(sorted(rows, key=lambda row: (-row.made, row.name))))


def _row(name: str, home: Path) -> VariantRow:
    from models.catalogue.fetch import VARIANTS
    from training.evaluation.lineage import lineage, merge_record

    folder = home / VARIANTS / name
    files = [file for file in folder.iterdir() if file.is_file() and not file.is_symlink()]
    size, made = sum(file.stat().st_size for file in files), (folder / "variant.json").stat().st_mtime
    try:
        came, record = lineage(name, home), merge_record(name, home)
    except StudioError as fault:
        return VariantRow(name=name, bytes=size, made=made, fault=fault.message)
    merged: dict[str, Any] = {} if record is None else _merged(record)
    return VariantRow(
        name=name, family=came.family, stages=came.stages, parents=came.parents, bytes=size, made=made, **merged
    )


def _merged(record: MergeRecord) -> dict[str, Any]:
    found = record.searched
    told = f"{found.test:.1%} of the test questions of {found.task}" if found else ""
    told += f" ({found.low:.1%} to {found.high:.1%})" if found else ""
    return {"method": record.method, "preset": record.preset, "curve": record.curve, "searched": told}


@query(Call)
def list_scores(options: Call) -> Scores:
    """List what was measured: each model's share of right answers to each benchmark, with its interval."""
    from training.evaluation.asking.evaluate import EVALUATIONS

    files = sorted((options.home / EVALUATIONS).glob("*/*.json"))
    return _scores(options.home, tuple((str(file), file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=4)
def _scores(home: Path, stamps: tuple[tuple[str, int], ...]) -> Scores:
    """The scores of the files as they stand; read again when one of them changes."""
    from training.evaluation.asking.evaluate import kept_evaluations

    if not stamps:
        return Scores(scores=())
    found: list[Score] = [score_of(one) for one in kept_evaluations(home)]
    return Scores(scores=tuple(sorted(found, key=lambda one: (one.task, one.protocol, one.rule, -one.right))))
