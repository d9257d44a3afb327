"""A run as one file: a Markdown report with its pictures inside, JSON, or a zip of the folder. Makes no design."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.claims import true_status
from studio.runs.figures import figures_line, plain
from studio.runs.record import FILES, open_run, row_of
from workspace.errors import DataError, UsageError, unknown
from workspace.files import publish

if TYPE_CHECKING:
    from agents.documents import MaterialDesign
    from studio.runs.record import Design
    from workspace.settings import Settings

FORMATS = ("md", "json", "zip")
ZIP_DATE = (2020, 1, 1, 0, 0, 0)


def export(run_id: str, format: str, settings: Settings, target: Path | None = None) -> Path:
    """Write a run as one file and return its path.

    Args:
        run_id: Which run.
        format: ``md``, ``json`` or ``zip``.
        settings: Where the home is.
        target: The file; ``RUN.<format>`` in the working directory by default.
    """
    if format not in FORMATS:
        raise UsageError(unknown("format", format, FORMATS))
    row = row_of(settings.home, run_id)
    if true_status(settings.home, row) in ("running", "queued"):
        raise UsageError(f"run {run_id} is still {row.status}; export it when it has ended")
    path = (target or Path(f"{run_id}.{format}")).absolute()
    if path.is_dir():
        path = path / f"{run_id}.{format}"
    write = {"md": _markdown, "json": _json, "zip": _zip}[format]
    publish(path, write(open_run(run_id, settings)))
    return path


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _bullets(title: str, items: Iterable[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {item}" for item in items)


def _document(design: MaterialDesign) -> list[str]:
    inspirations = _table(
        ("Inspiration", "Feature", "Principle"),
        ((item.name, item.feature, item.principle) for item in design.inspirations),
    )
    components = _table(
        ("Component", "Material", "Role"), ((item.name, item.material, item.role) for item in design.components)
    )
    properties = _table(
        ("Property", "Value", "Unit", "Basis"),
        ((item.name, plain(item.value), item.unit, item.basis) for item in design.properties),
    )
    return [
        f"# {design.title}",
        design.summary,
        f"## Inspirations\n\n{inspirations}",
        f"## Components\n\n{components}",
        f"## Architecture\n\n{design.architecture.scale}: {design.architecture.description}",
        f"## Properties\n\n{properties}",
        _bullets("Mechanisms", design.mechanisms),
        _bullets("Fabrication", design.fabrication),
        _bullets("Applications", design.applications),
        _bullets("Risks", design.risks),
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _pictures(run: Design) -> list[str]:
    parts = []
    if run.prompt is not None:
        parts.append(f"## Pictures\n\nLong prompt: {run.prompt.long}\n\nShort prompt: {run.prompt.short}")
    for index, image in enumerate(run.images):
        data = base64.b64encode(_read(image.path)).decode("ascii")
        mark = ", the best" if run.best == index and len(run.images) > 1 else ""
        parts.append(
            f"![picture {index + 1}](data:image/png;base64,{data})\n\nPicture {index + 1}{mark}: seed {image.seed}"
        )
    for critique in run.critiques:
        checks = "\n".join(f"- {check.question} {check.answer}" for check in critique.checks)
        measured = figures_line(critique.measures)
        parts.append(
            f"### Critique of picture {critique.picture + 1}: {critique.fit} of 10\n\n{critique.seen}\n\n{checks}"
            f"\n\nChange: {critique.change}" + (f"\n\nMeasured: {measured}" if measured else "")
        )
    return parts


def _markdown(run: Design) -> bytes:
    brief = json.loads(_read(run.folder / "brief.json"))
    parts = _document(run.design) if run.design is not None else [f"# {run.run_id}", "There is no design yet."]
    parts.insert(1, "> " + "\n> ".join(str(brief["text"]).splitlines()))
    parts += _pictures(run)
    conversation = run.folder / "conversation.md"
    if conversation.is_file():
        parts.append(
            _read(conversation)
            .decode("utf-8")
            .replace("\n## ", "\n### ")
            .replace("# Conversation", "## Conversation", 1)
        )
    parts.append(f"Run `{run.run_id}`, {run.status}, seed {run.seed}, {run.seconds:.1f} s.")
    return ("\n\n".join(part.strip() for part in parts) + "\n").encode()


def _json(run: Design) -> bytes:
    found: dict[str, Any] = {}
    for name in ("brief.json", "prompts.json", "manifest.json"):
        path = run.folder / name
        found[path.stem] = json.loads(_read(path)) if path.is_file() else None
    conversation = run.folder / "conversation.md"
    text = _read(conversation).decode("utf-8") if conversation.is_file() else None
    whole = run.to_json() | {"brief": found["brief"], "prompts": found["prompts"], "conversation": text}
    return (json.dumps(whole | {"manifest": found["manifest"]}, indent=2, ensure_ascii=False) + "\n").encode()


def _zip(run: Design) -> bytes:
    names = [name for name in (*FILES, "manifest.json") if (run.folder / name).is_file()]
    names += [f"images/{image.path.name}" for image in run.images]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(f"{run.run_id}/{name}", ZIP_DATE), _read(run.folder / name))
    return buffer.getvalue()
