"""What a report of a run says, in the order in which it is read; the same for HTML and PDF. Knows no format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from studio.runs.exports.making import Making, making
from studio.runs.figures import figures_line, numeral
from studio.runs.record import picture_bytes
from studio.runs.sources import Sources
from workspace.errors import DataError, UsageError, one_line
from workspace.files import read_inside
from workspace.letters import harmless, whole_data

if TYPE_CHECKING:
    from agents.documents import Critique, Evidence, MaterialDesign
    from studio.runs.record import Design, ImageInfo

MOST_PICTURE_BYTES = 200_000_000
"""Of all pictures in one report; a run with more is taken away as a zip."""

_DOI = re.compile(r"10\.[0-9]{4,9}/\S{1,200}")
_SPLIT = "\x00"


@dataclass(frozen=True)
class Standing:
    """How a claim is borne out: words before the number of its sentence, the number if there is one, words after."""

    before: str
    number: int | None = None
    after: str = ""

    @classmethod
    def of(cls, text: str) -> Standing:
        """Read what `Sources` says with a NUL on both sides of the number."""
        parts = text.split(_SPLIT)
        return cls(text) if len(parts) != 3 else cls(parts[0], int(parts[1]), parts[2])


@dataclass(frozen=True)
class Row:
    """A line of a list with how its claim stands; ``standing`` is ``None`` where nothing is claimed."""

    cells: tuple[str, ...]
    standing: Standing | None = None


@dataclass(frozen=True)
class Part:
    """A part of the design: its heading, the columns of its lines (none for a plain list), the lines."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Sentence:
    """A sentence that claims rest on, by number."""

    number: int
    quotation: str
    place: str
    cite: str
    doi: str
    link: str


@dataclass(frozen=True)
class Critic:
    """What was said of a picture."""

    fit: int
    seen: str
    checks: tuple[str, ...]
    change: str
    measured: str


@dataclass(frozen=True)
class Picture:
    """A picture, as it was made."""

    number: int
    seed: int
    round: int
    best: bool
    content: bytes
    sha256: str
    critics: tuple[Critic, ...]


@dataclass(frozen=True)
class Sheet:
    """A report of a run."""

    run_id: str
    status: str
    seconds: float
    title: str
    brief: str
    summary: str
    parts: tuple[Part, ...]
    sentences: tuple[Sentence, ...]
    prompt: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    conversation: str
    making: Making


def sheet(run: Design, home: Path) -> Sheet:
    """Gather what a report of a run says.

    Args:
        run: The run.
        home: STUDIO_HOME.

    Raises:
        DataError: A file of it is damaged.
        UsageError: Its pictures are too many for one file.
    """
    _check_size(run)
    design = None if run.design is None else _clean(run.design)
    sources = None if design is None else Sources.of(design)
    prompt = run.prompt
    words = () if prompt is None else (("Long prompt", harmless(prompt.long)), ("Short prompt", harmless(prompt.short)))
    return Sheet(
        run_id=run.run_id,
        status=run.status,
        seconds=run.seconds,
        title=run.run_id if design is None else design.title,
        brief=brief_of(run),
        summary="There is no design yet." if design is None else design.summary,
        parts=() if design is None or sources is None else tuple(_parts(design, sources)),
        sentences=() if sources is None else tuple(_sentence(*pair) for pair in enumerate(sources.sentences, 1)),
        prompt=words,
        pictures=tuple(_picture(run, image) for image in run.images),
        conversation=conversation_of(run),
        making=making(run, home),
    )


def brief_of(run: Design) -> str:
    """A run's brief, as it was asked.

    Raises:
        DataError: It cannot be read.
    """
    path = run.folder / "brief.json"
    try:
        found = json.loads(read_inside(run.folder, path.name))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error
    if not isinstance(found, dict) or "text" not in found:
        raise DataError(f"{path} holds no brief")
    return harmless(str(found["text"]))


def conversation_of(run: Design) -> str:
    """What the roles said, as Markdown; empty where nothing is kept yet."""
    path = run.folder / "conversation.md"
    if not path.is_file():
        return ""
    return harmless(read_inside(run.folder, path.name).decode("utf-8", "replace"))


def _check_size(run: Design) -> None:
    size = sum(image.path.stat().st_size for image in run.images if image.path.is_file())
    if size > MOST_PICTURE_BYTES:
        raise UsageError(
            f"the pictures of {run.run_id} have {size:,} bytes, and a report takes {MOST_PICTURE_BYTES:,}",
            hint=f"studio export {run.run_id} --format zip",
        )


def _clean(design: MaterialDesign) -> MaterialDesign:
    """A design without anything in its texts that a reader or a terminal would obey."""

    def cleaned(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: cleaned(value) for key, value in data.items()}
        if isinstance(data, list):
            return [cleaned(one) for one in data]
        return harmless(data) if isinstance(data, str) else data

    return type(design).model_validate(cleaned(whole_data(design.model_dump(mode="json"))))


def _parts(design: MaterialDesign, sources: Sources) -> Iterator[Part]:
    mark = f"{_SPLIT}{{}}{_SPLIT}"
    yield Part(
        "Inspirations",
        ("Inspiration", "Feature", "Principle"),
        tuple(
            Row((one.name, one.feature, one.principle), Standing.of(sources.standing(one.evidence, mark)))
            for one in design.inspirations
        ),
    )
    yield Part(
        "Components",
        ("Component", "Material", "Role"),
        tuple(Row((one.name, one.material, one.role)) for one in design.components),
    )
    yield Part("Architecture", (), (Row((f"{design.architecture.scale}: {design.architecture.description}",)),))
    yield Part(
        "Properties",
        ("Property", "Value", "Unit", "Basis"),
        tuple(
            Row((one.name, numeral(one.value), one.unit, one.basis), Standing.of(sources.origin(one, mark)))
            for one in design.properties
        ),
    )
    yield Part(
        "Mechanisms",
        (),
        tuple(Row((one.text,), Standing.of(sources.standing(one.evidence, mark))) for one in design.mechanisms),
    )
    for heading in ("Fabrication", "Applications", "Risks"):
        yield Part(heading, (), tuple(Row((text,)) for text in getattr(design, heading.lower())))


def _sentence(number: int, one: Evidence) -> Sentence:
    named = f"{one.title} ({one.document})" if one.title and one.title != one.document else one.document
    page = f", page {one.page}" if one.file else ""
    link = f"https://doi.org/{quote(one.doi, safe='/().;:-_')}" if _DOI.fullmatch(one.doi) else ""
    place = " ".join(f"{named}{page}".split())
    return Sentence(number, " ".join(one.quotation.split()), place, " ".join(one.cite.split()), one.doi, link)


def _picture(run: Design, image: ImageInfo) -> Picture:
    critics = tuple(_critic(one) for one in run.critiques if one.picture == image.index)
    best = run.best == image.index and len(run.images) > 1
    return Picture(image.index + 1, image.seed, image.round, best, picture_bytes(image), image.sha256, critics)


def _critic(one: Critique) -> Critic:
    checks = tuple(harmless(f"{check.question} {check.answer}") for check in one.checks)
    return Critic(one.fit, harmless(one.seen), checks, harmless(one.change), figures_line(one.measures))
