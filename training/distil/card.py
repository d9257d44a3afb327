"""Distilled rows as files: JSONL and Parquet, what was dropped, the report, a data card. Asks and checks nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.distil.report import DistilReport
from training.distil.rows import Distilled, Row

SERVES = {"text": "cpt", "messages": "sft", "preferences": "dpo or orpo"}


def lay(folder: Path, made: Distilled, report: DistilReport) -> None:
    """Write everything into a folder; `workspace.files.publish` adds the manifest.

    Args:
        folder: To be made.
        made: The rows and what was dropped; a file without rows is not written.
        report: How many there are, and how they were made.
    """
    folder.mkdir()
    for name, rows in made.rows.items():
        if rows:
            (folder / f"{name}.jsonl").write_text(_lines(rows), encoding="utf-8")
            _parquet(folder / f"{name}.parquet", name, rows)
    (folder / "dropped.jsonl").write_text(_lines(made.dropped), encoding="utf-8")
    figures = json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(figures + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(report), encoding="utf-8")


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _parquet(path: Path, name: str, rows: list[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    text = pa.string()
    talk = pa.list_(pa.struct([("role", text), ("content", text)]))
    columns: dict[str, list[tuple[str, Any]]] = {
        "text": [("text", text)],
        "messages": [("messages", talk)],
        "preferences": [("prompt", talk), ("chosen", talk), ("rejected", talk)],
    }
    source = pa.struct([("document", text), ("title", text), ("heading", text), ("doi", text), ("page", pa.int32())])
    schema = pa.schema([*columns[name], ("kind", text), ("passage", text), ("source", source)])
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def card(report: DistilReport) -> str:
    """The data card, as a data set's README."""
    model = report.model
    named = [f"- {key}: {value}" for key, value in model.items() if key != "sampling"]
    counts = {
        "Rows": {f"{name}.jsonl, for {SERVES[name]}": count for name, count in report.rows.items() if count},
        "By kind": report.kinds,
        "Dropped, by check": report.dropped or {"nothing": 0},
    }
    lines = [
        "---\nlicense: other\nlanguage: en\n---\n",
        "# Questions from a corpus\n",
        f"Written by a model from {report.passages} passages of {report.documents} documents, and checked "
        "against them; not read by a person. Every row names its passage, document, page and DOI.\n",
    ]
    for title, table in counts.items():
        lines += [f"## {title}\n", *(f"- {name}: {count}" for name, count in table.items()), ""]
    if report.refused:
        lines += [f"{len(report.refused)} times the model wrote nothing valid; `report.json` says where and why.\n"]
    lines += ["## Made with\n", *named]
    lines += [f"- {key}: {value}" for key, value in model["sampling"].items() if key != "avoid"]
    lines += [
        f"- {key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in report.config.items()
    ]
    lines += [f"- {report.corpus}: sha256 {report.corpus_sha256}\n"]
    lines += [
        "## Licence\n",
        "The passages stay under the rights of their documents, and the rows hold their content: settle these rights "
        f"before you pass them on. The model's licence ({model['licence']}) may say more on what its answers may be "
        "used for.\n",
        "## Checks\n",
        "Each figure and name of an answer stands in its passage; enough of its words do; no answer is an echo of its "
        "question, short, or speaks of the passage; options differ; a wrong answer is neither the right one nor a "
        "sentence of the passage; questions that are the same or nearly so appear once. What was dropped is in "
        "`dropped.jsonl`. The checks cannot tell that an answer is true, nor that a wrong one is wrong.\n",
    ]
    return "\n".join(lines)
