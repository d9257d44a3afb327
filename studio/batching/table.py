"""The results as a table that one can filter: ``results.parquet``, a row an item, flat columns.

Properties of designs become columns of numbers where at least two designs name them alike: names without case and
accents, lengths in micrometres, stresses in megapascals. Whatever becomes none stands in the column ``properties``,
and everything in ``design``, as JSON. Reads ``results.jsonl``; knows nothing of stores and folders.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from agents.documents import same
from studio.batching.results import Result, results
from studio.batching.shapes import TABLE
from workspace.errors import ServiceError
from workspace.extras import require
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

ROWS_AT_ONCE = 1000
MOST_COLUMNS = 200
"""Columns of properties; of more names the most frequent have one."""

MEASURED = (
    "solid_fraction",
    "porosity",
    "anisotropy",
    "orientation_degrees",
    "pitch",
    "pitch_micrometres",
    "thickness",
    "thickness_micrometres",
    "pieces",
    "pores",
)
"""Of the measures of the best picture; lengths in pixels where nothing else is said."""

_SCALES = {"nm": ("um", 1e-3), "mm": ("um", 1e3), "GPa": ("MPa", 1e3)}
_MOST_NAMES = 100_000
_TEXT = (
    "id", "title", "summary", "brief", "program", "model", "adapter", "painter", "painter_fingerprint", "scale",
    "palette", "picture", "picture_sha256", "design", "prompts", "critiques", "run_id", "folder", "source", "hash",
)  # fmt: skip
_WHOLE = (
    "seed",
    "picture_seed",
    "images",
    "size",
    "rounds",
    "best",
    "fit",
    "tokens_in",
    "tokens_out",
    "attempts",
    "line",
)


def write_table(folder: Path, tell: Tell = silent) -> Path | None:
    """Write ``results.parquet`` from ``results.jsonl``.

    Args:
        folder: The batch's.
        tell: Takes remarks.

    Returns:
        The file, ``None`` where pyarrow is not installed, which is told.
    """
    target = folder / TABLE
    try:
        require("pyarrow")
    except ServiceError as missing:
        stale = "is left as it was" if target.exists() else "is not written"
        tell(Remark(text=f"{TABLE} {stale}: {missing}"))
        return None
    numbers = _columns(results(folder))
    publish(target, lambda path: _write(path, results(folder), numbers))
    return target


def _columns(found: Iterable[Result]) -> dict[tuple[str, str], str]:
    """The properties that have a column, by name and unit: those that at least two designs have, the commonest first.

    Of very many names those seen once so far are forgotten, so that memory is bounded.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for result in found:
        counts.update(set(_numbers(result)))
        if len(counts) > _MOST_NAMES:
            counts = Counter({key: count for key, count in counts.items() if count > 1})
    common = [key for key, count in counts.most_common(MOST_COLUMNS) if count > 1]
    return {(name, unit): f"{name} ({unit})" for name, unit in common}


def _numbers(result: Result) -> dict[tuple[str, str], float]:
    """A design's properties by comparable name and unit."""
    made = {}
    for one in _properties(result):
        unit, factor = _SCALES.get(one["unit"], (one["unit"], 1.0))
        made[same(one["name"]), unit] = float(f"{one['value'] * factor:.12g}")
    return made


def _properties(result: Result) -> list[dict[str, Any]]:
    return list((result.design or {}).get("properties", []))


def _write(path: Path, found: Iterable[Result], numbers: Mapping[tuple[str, str], str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pa, numbers.values())
    rows = (_row(result, numbers) for result in found)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for page in _pages(rows):
            writer.write_batch(pa.RecordBatch.from_pylist(page, schema=schema))


def _pages(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while page := list(islice(rows, ROWS_AT_ONCE)):
        yield page


def _schema(pa: Any, numbers: Iterable[str]) -> Any:
    text, number, names = pa.string(), pa.float64(), pa.list_(pa.string())
    property_ = pa.struct([("name", text), ("value", number), ("unit", text)])
    picture = pa.struct([("path", text), ("sha256", text), ("seed", pa.int64()), ("round", pa.int64())])
    return pa.schema(
        [
            *((name, text) for name in _TEXT),
            *((name, pa.int64()) for name in _WHOLE),
            ("seconds", number),
            ("finished", pa.timestamp("ms", tz="UTC")),
            *((name, names) for name in ("inspirations", "components", "applications", "motifs")),
            ("properties", pa.list_(property_)),
            ("pictures", pa.list_(picture)),
            *((f"measured_{name}", number) for name in MEASURED),
            *((name, number) for name in numbers),
        ]
    )


def _row(result: Result, numbers: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    design, painter, options = result.design or {}, result.painter or {}, result.options
    prompt = result.prompts[-1] if result.prompts else {}
    critique = result.critique or {}
    best = result.pictures[result.best or 0] if result.pictures else None
    measures = critique.get("measures") or {}
    found = {numbers[key]: value for key, value in _numbers(result).items() if key in numbers}
    shared = ("id", "brief", "model", "run_id", "folder", "source", "hash", "seed", "best", "tokens_in", "tokens_out",
              "attempts", "line", "seconds", "rounds")  # fmt: skip
    return {
        **{name: getattr(result, name) for name in shared},
        **{name: options[name] for name in ("program", "images", "size", "adapter")},
        **{f"measured_{name}": measures.get(name) for name in MEASURED},
        **found,
        "title": design.get("title"),
        "summary": design.get("summary"),
        "scale": design.get("architecture", {}).get("scale"),
        "painter": painter.get("model"),
        "painter_fingerprint": painter.get("model_fingerprint"),
        "palette": prompt.get("palette"),
        "motifs": prompt.get("motifs"),
        "picture": best and best.path,
        "picture_sha256": best and best.sha256,
        "picture_seed": best and best.seed,
        "fit": critique.get("fit"),
        "finished": int(result.finished * 1000),
        "inspirations": [one["name"] for one in design.get("inspirations", [])],
        "components": [one["name"] for one in design.get("components", [])],
        "applications": design.get("applications"),
        "properties": [{name: one[name] for name in ("name", "value", "unit")} for one in _properties(result)],
        "pictures": [picture.model_dump() for picture in result.pictures],
        "design": _json(result.design),
        "prompts": _json(result.prompts),
        "critiques": _json(result.critiques),
    }


def _json(data: Any) -> str | None:
    return None if data is None else json.dumps(data, ensure_ascii=False)
