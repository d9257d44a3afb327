"""A report as a folder: its numbers, the page, Markdown, and the figures with their data. Knows how a report is set.

The folder appears whole or not at all, with a manifest. Without figures the page takes a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from pydantic import BaseModel, ValidationError

from training.evaluation.reports.figures.drawing import Drawing, files
from training.evaluation.reports.pages import Section, html, markdown
from training.evaluation.reports.pictures import drawings
from training.evaluation.reports.published import STATED, Study, published_drawings, published_left_out, study
from training.evaluation.reports.sections import sections
from training.evaluation.reports.shapes import Picture, Report
from workspace.errors import DataError, UsageError, pydantic_fault
from workspace.files import Published, publish
from workspace.progress import waiting


def write_report(report: Report, folder: Path, *, figures: bool = True) -> Published:
    """Write ``report.json``, ``report.md``, ``report.html`` and ``figures/``, in place of what was there.

    Args:
        report: All its numbers.
        folder: Where it goes.
        figures: Whether figures are drawn; without them the page has its tables alone.

    Raises:
        UsageError: Something other than a report is there.
        StorageError: If the disk refuses.
    """
    drawn: list[Drawing] = []
    if figures:
        drawn = drawings(report)[0]
        drawn += published_drawings() if any(one.mark for one in report.pictures) else []
    else:
        report = report.model_copy(update={"pictures": ()})
    return write_pages(report, report.title, sections(report), drawn, folder)


def write_published(folder: Path, title: str = "The study's own figures") -> Published:
    """Write the study's own figures alone, from the numbers that its tables and text state, each marked.

    Args:
        folder: Where they go.
        title: Of the pages.

    Raises:
        UsageError: Something other than a report is there.
        StorageError: If the disk refuses.
    """
    drawn, left_out = published_drawings(), published_left_out()
    shown = [Picture(name=one.name, title=one.title, caption=one.caption, mark=one.mark) for one in drawn]
    stated = study()
    words = f"{stated.study}, doi {stated.doi}. These are {STATED}. Nothing is read off a picture."
    told = [
        Section("published", "What the study states", [words], pictures=shown),
        Section(
            "left-out",
            "What it does not state",
            points=[f"{one.title.removeprefix('Published: ')}: {one.why}" for one in left_out],
        ),
    ]
    return write_pages(stated, title, told, drawn, folder)


def write_pages(
    kept: BaseModel, title: str, told: Sequence[Section], drawn: Sequence[Drawing], folder: Path
) -> Published:
    """Write numbers, both pages and figures as one folder.

    Args:
        kept: The numbers.
        title: Of the pages.
        told: Their sections.
        drawn: Figures, all of those in the sections.
        folder: Where they go, in place of a report that was there.

    Raises:
        UsageError: Something else is there.
        StorageError: If the disk refuses.
    """
    if folder.exists() and not (folder / "report.json").is_file():
        raise UsageError(f"{folder} is there and holds no report; it would be replaced: name another folder")
    pictures: dict[str, bytes] = {}
    with waiting(f"drawing {len(drawn)} figures") if drawn else nullcontext():
        for one in drawn:
            pictures |= files(one)
    vectors = {one.name: pictures[f"{one.name}.svg"] for one in drawn}
    contents: Mapping[str, bytes] = {
        "report.json": (kept.model_dump_json(indent=1) + "\n").encode(),
        "report.md": markdown(title, told).encode(),
        "report.html": html(title, told, vectors).encode(),
        **{f"figures/{name}": content for name, content in pictures.items()},
    }

    def write(staged: Path) -> None:
        for name, content in contents.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_bytes(content)

    return publish(folder, write)


def read_report(path: Path) -> Report:
    """A report's numbers, from its folder or its ``report.json``.

    Raises:
        DataError: There is none, or it is not a report.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"there is no report at {file}") from error
    try:
        return Report.model_validate_json(content)
    except ValidationError as error:
        if _is_study(content):
            raise DataError(f"{file} holds published numbers alone, no report to compare with: {STATED}") from error
        raise DataError(f"{file} is not a report: {pydantic_fault(error, Report)}") from error


def _is_study(content: bytes) -> bool:
    try:
        Study.model_validate_json(content)
    except ValidationError:
        return False
    return True
