"""A run as one file: a report as Markdown, HTML or PDF, JSON, or a zip of the folder. Makes no design."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.deliver import deliver, is_stream
from studio.runs.exports.making import making
from studio.runs.figures import figures_line, numeral
from studio.runs.record import FILES, json_bytes, open_run, picture_bytes, row_of, state_of
from studio.runs.sources import Sources, where
from workspace.errors import DataError, UsageError, one_line, unknown
from workspace.files import read_inside
from workspace.letters import harmless, whole_data

if TYPE_CHECKING:
    from agents.documents import MaterialDesign
    from studio.runs.record import Design

FORMATS = ("md", "html", "pdf", "json", "zip", "prov")
_SUFFIX = {"prov": "prov.json"}
ZIP_DATE = (2020, 1, 1, 0, 0, 0)


def export(run_id: str, format: str, home: Path, target: Path | None = None) -> Path:
    """Write a run as one file and return its path.

    Args:
        run_id: Which run.
        format: ``md``, ``html``, ``pdf``, ``json``, ``zip``, or ``prov`` for where everything comes from, as W3C
            PROV-JSON.
        home: STUDIO_HOME.
        target: The file, ``RUN.<format>`` in the working directory by default; ``-`` or a pipe is written to as it is.
    """
    content = exported(run_id, format, home)
    name = f"{run_id}.{_SUFFIX.get(format, format)}"
    path = target or Path(name)
    path = path if is_stream(path) and not path.is_dir() else path.absolute()
    if path.is_dir():
        path = path / name
    deliver(path, content)
    return path


def exported(run_id: str, format: str, home: Path) -> bytes:
    """A run as the bytes of one file.

    Args:
        run_id: Which run.
        format: As for `export`.
        home: STUDIO_HOME.

    Raises:
        UsageError: There is no such run or format, or the run goes on.
        DataError: A file of it is damaged.
    """
    if format not in FORMATS:
        raise UsageError(unknown("format", format, FORMATS))
    row = row_of(home, run_id)
    if state_of(home, row) in ("running", "queued"):
        raise UsageError(f"run {run_id} is still {row.status}; export it when it has ended")
    return _WRITERS[format](open_run(run_id, home), home)


_MARKUP = str.maketrans({"<": "&lt;", ">": "&gt;", "[": "\\[", "]": "\\]"})


def _plain(text: str) -> str:
    """A text without HTML, links and pictures for a renderer or anything a terminal obeys; emphasis and lists stay."""
    return harmless(text).translate(_MARKUP)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _linked(_plain(_on_one_line(text)).replace("|", "\\|"))


_MARK = "{}\u2063"
"""A sentence's number until it is linked: no text of a model's holds that sign."""

_NUMBER = re.compile("(\\d+)\u2063")


def _linked(text: str) -> str:
    """A text whose numbers of sentences lead to them."""
    return _NUMBER.sub(r"[\1](#evidence-\1)", text)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _bullets(title: str, items: Iterable[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {_linked(_plain(item))}" for item in items)


def _document(design: MaterialDesign) -> list[str]:
    design = type(design).model_validate_json(design.model_dump_json().replace(_MARK[2:], ""))
    sources = Sources.of(design)
    inspirations = _table(
        ("Inspiration", "Feature", "Principle", "Source"),
        ((one.name, one.feature, one.principle, sources.standing(one.evidence, _MARK)) for one in design.inspirations),
    )
    components = _table(
        ("Component", "Material", "Role"), ((item.name, item.material, item.role) for item in design.components)
    )
    properties = _table(
        ("Property", "Value", "Unit", "Basis", "Source"),
        (
            (item.name, numeral(item.value), item.unit, item.basis, sources.origin(item, _MARK))
            for item in design.properties
        ),
    )
    return [
        f"# {_plain(design.title)}",
        _plain(design.summary),
        f"## Inspirations\n\n{inspirations}",
        f"## Components\n\n{components}",
        f"## Architecture\n\n{design.architecture.scale}: {_plain(design.architecture.description)}",
        f"## Properties\n\n{properties}",
        _bullets("Mechanisms", (f"{one.text} ({sources.standing(one.evidence, _MARK)})" for one in design.mechanisms)),
        _bullets("Fabrication", design.fabrication),
        _bullets("Applications", design.applications),
        _bullets("Risks", design.risks),
        *_sentences(sources),
    ]


def _sentences(sources: Sources) -> list[str]:
    """Every sentence that a claim rests on, under a heading that the claims link to."""
    if not sources.sentences:
        return ["## Evidence", "Nothing that was found bears out a claim of this design."]
    parts = ["## Evidence"]
    for number, one in enumerate(sources.sentences, 1):
        place = _plain(where(one))
        if one.file:
            place += f" <{Path(one.file).absolute().as_uri()}#page={one.page}>"
        cite = f"\n\nTaken from: {_plain(_on_one_line(one.cite))}" if one.cite else ""
        parts.append(f"### Evidence {number}\n\n> {_plain(_on_one_line(one.quotation))}\n\n{place}{cite}")
    return parts


def _parsed(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error


def _read(path: Path) -> bytes:
    return read_inside(path.parent, path.name)


def _pictures(run: Design) -> list[str]:
    parts: list[str] = []
    if run.prompt is not None:
        parts.append(
            f"## Pictures\n\nLong prompt: {_plain(run.prompt.long)}\n\nShort prompt: {_plain(run.prompt.short)}"
        )
    for image in run.images:
        index = image.index
        data = base64.b64encode(picture_bytes(image)).decode("ascii")
        mark = ", the best" if run.best == index and len(run.images) > 1 else ""
        parts.append(
            f"![picture {index + 1}](data:image/png;base64,{data})\n\nPicture {index + 1}{mark}: seed {image.seed}"
        )
    for critique in run.critiques:
        checks = "\n".join(f"- {_plain(check.question)} {_plain(check.answer)}" for check in critique.checks)
        measured = figures_line(critique.measures)
        head = f"### Critique of picture {critique.picture + 1}: {critique.fit} of 10"
        words = [_plain(critique.seen), checks, f"Change: {_plain(critique.change)}"]
        parts.append("\n\n".join([head, *words, *([f"Measured: {measured}"] if measured else [])]))
    return parts


def _makers(run: Design, home: Path) -> str:
    """Which models made a run, by their fingerprints, with which versions, and what makes it again."""
    made = making(run, home)
    rows = ((one.role, one.model, one.adapter, one.fingerprint) for one in made.makers)
    table = _table(("Role", "Model", "Adapter", "Fingerprint"), rows)
    told = f"`studio show {run.run_id} --why` says where each field and picture comes from."
    listed = ", ".join(f"{name} {number}" for name, number in made.versions.items())
    parts = ["## Made by", table, told, f"Versions: {_plain(listed)}.", "This makes it again:"]
    parts.append(f"    {made.command}")
    return "\n\n".join([*parts, *filter(None, [made.remark()])])


def _markdown(run: Design, home: Path) -> bytes:
    brief = _parsed(run.folder / "brief.json")
    if not isinstance(brief, dict) or "text" not in brief:
        raise DataError(f"{run.folder / 'brief.json'} holds no brief")
    parts = _document(run.design) if run.design is not None else [f"# {run.run_id}", "There is no design yet."]
    parts.insert(1, "> " + "\n> ".join(_plain(str(brief["text"])).splitlines()))
    parts += _pictures(run)
    parts.append(_makers(run, home))
    conversation = run.folder / "conversation.md"
    if conversation.is_file():
        text = _plain(_read(conversation).decode("utf-8"))
        parts.append(text.replace("\n## ", "\n### ").replace("# Conversation", "## Conversation", 1))
    parts.append(f"Run `{run.run_id}`, {run.status}, seed {run.seed}, {run.seconds:.1f} s.")
    return ("\n\n".join(part.strip() for part in parts) + "\n").encode()


def _json(run: Design, home: Path) -> bytes:
    found: dict[str, Any] = {}
    for name in ("brief.json", "prompts.json", "manifest.json"):
        path = run.folder / name
        found[path.stem] = _parsed(path) if path.is_file() else None
    conversation = run.folder / "conversation.md"
    text = _read(conversation).decode("utf-8") if conversation.is_file() else None
    made = making(run, home).to_json()
    whole = run.to_json() | {"brief": found["brief"], "prompts": found["prompts"], "conversation": text}
    return (
        json.dumps(whole_data(whole | {"manifest": found["manifest"], "made": made}), indent=2, ensure_ascii=False)
        + "\n"
    ).encode()


def _prov(run: Design, home: Path) -> bytes:
    from studio.runs.provenance import prov_json, provenance

    graph, how = provenance(run.run_id, home), making(run, home)
    graph.add("making", "activity", f"made again by: {how.command}", how.to_json())
    graph.link("making", "brief", "used")
    made = prov_json(graph, run.run_id)
    return (json.dumps(whole_data(made), indent=1, ensure_ascii=False) + "\n").encode()


def _zip(run: Design, home: Path) -> bytes:
    names = [name for name in (*FILES, "manifest.json") if (run.folder / name).is_file()]
    contents = {name: _read(run.folder / name) for name in names}
    contents |= {f"images/{image.path.name}": picture_bytes(image) for image in run.images}
    contents["made.json"] = json_bytes(making(run, home).to_json())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{run.run_id}/{name}", ZIP_DATE), content)
    return buffer.getvalue()


def _html(run: Design, home: Path) -> bytes:
    from studio.runs.exports.html_report import html_report
    from studio.runs.exports.sheet import sheet

    return html_report(sheet(run, home))


def _pdf(run: Design, home: Path) -> bytes:
    from studio.runs.exports.pdf_report import pdf_report
    from studio.runs.exports.sheet import sheet

    return pdf_report(sheet(run, home))


_WRITERS: Mapping[str, Callable[[Design, Path], bytes]] = {
    "md": _markdown,
    "html": _html,
    "pdf": _pdf,
    "json": _json,
    "zip": _zip,
    "prov": _prov,
}
