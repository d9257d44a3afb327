"""The design card and the tables of the command line. Knows Rich; nothing of how a design is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from studio.runs.figures import figures_line, numeral
from studio.runs.sources import Sources, where

if TYPE_CHECKING:
    from studio import Design, MaterialDesign, RunSummary

STATUS_STYLE = {
    "finished": "green",
    "running": "cyan",
    "queued": "cyan",
    "waiting": "yellow",
    "interrupted": "yellow",
    "failed": "red",
}


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, title: str | None = None, whole: int = 0) -> Table:
    """Make a plain table; cells are text, never markup, and of the column ``whole`` on one line."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        made.add_column(column, header_style="dim", no_wrap=index == whole, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def _list(title: str, items: Iterable[str]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for item in items:
        grid.add_row(Text("•"), Text(item))
    return Group(Text(title, style="bold"), grid)


def figure(value: float, unit: str) -> str:
    """Write a property's value with its unit."""
    return numeral(value) if unit == "1" else f"{numeral(value)} {unit}"


def _document(design: MaterialDesign) -> list[RenderableType]:
    sources = Sources.of(design)
    return [
        Text(design.summary),
        table(
            ("inspiration", "feature", "principle"),
            (
                (item.name, item.feature, f"{item.principle} {sources.standing(item.evidence)}")
                for item in design.inspirations
            ),
        ),
        table(("component", "material", "role"), ((item.name, item.material, item.role) for item in design.components)),
        Text.assemble(
            ("architecture  ", "dim"), (design.architecture.scale, "bold"), "  ", design.architecture.description
        ),
        table(
            ("property", "value", "basis"),
            (
                (item.name, figure(item.value, item.unit), f"{item.basis} {sources.origin(item)}")
                for item in design.properties
            ),
            whole=1,
        ),
        _list("Mechanisms", [f"{one.text}  {sources.standing(one.evidence)}" for one in design.mechanisms]),
        _list("Fabrication", design.fabrication),
        _list("Applications", design.applications),
        _list("Risks", design.risks),
        *_sentences(sources),
    ]


def _sentences(sources: Sources) -> list[RenderableType]:
    """Every sentence that a claim rests on, by number."""
    parts: list[RenderableType] = []
    for number, one in enumerate(sources.sentences, 1):
        cite = f"\n    {one.cite.partition('; ')[0]}" if one.cite else ""
        parts.append(
            Text.assemble((f"[{number}] ", "bold"), f"\u201c{one.quotation}\u201d ", (where(one) + cite, "dim"))
        )
    return parts


def _pictures(run: Design) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if run.prompt is not None:
        parts.append(Text.assemble(("long prompt   ", "dim"), run.prompt.long))
        parts.append(Text.assemble(("short prompt  ", "dim"), run.prompt.short))
    if run.images:
        rows = (
            (
                f"images/{image.path.name}" + ("  *" if image.index == run.best else ""),
                str(image.seed),
                image.pixels_sha256[:12],
            )
            for image in run.images
        )
        parts.append(table(("picture", "seed", "pixels"), rows))
    for critique in run.critiques:
        words = f"picture {critique.picture + 1}: fit {critique.fit} of 10. {critique.seen} {critique.change}"
        parts.append(Text.assemble(("critique  ", "dim"), words))
        if measured := figures_line(critique.measures):
            parts.append(Text.assemble(("measured  ", "dim"), measured))
    return parts


def card(run: Design) -> RenderableType:
    """Draw a run as one panel: the design, its prompts and pictures, and how the run stands."""
    parts: list[RenderableType] = []
    if run.design is not None:
        parts += _document(run.design)
    else:
        parts.append(Text("no design yet", style="dim"))
    parts += _pictures(run)
    style = STATUS_STYLE.get(run.status, "")
    tail = Text.assemble((run.status, style), f"  {run.seconds:.1f} s  seed {run.seed}  {run.run_id}")
    if run.message:
        tail.append(f"\n{run.message}", style="yellow")
    parts.append(tail)
    spaced = [Padding(part, (0, 0, 1, 0)) for part in parts[:-1]] + [parts[-1]]
    title = run.design.title if run.design is not None else run.run_id
    return Panel(Group(*spaced), title=Text(title, style="bold"), padding=(1, 2), border_style=style or "none")


def runs_table(rows: Iterable[RunSummary]) -> RenderableType:
    """Draw the list of runs; a run's id begins with when it was made."""
    listed = list(rows)
    widest = max((len(row.run_id) for row in listed), default=0)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column("run", header_style="dim", no_wrap=True, min_width=widest)
    made.add_column("status", header_style="dim", no_wrap=True, min_width=11)
    made.add_column("brief", header_style="dim", no_wrap=True, overflow="ellipsis")
    for row in listed:
        made.add_row(
            Text(row.run_id),
            Text(row.status, style=STATUS_STYLE.get(row.status, "")),
            Text(" ".join(row.brief.split())),
        )
    return made


def show(console: Console, run: Design) -> None:
    """Print the card, and under it the folder on one unwrapped line, so that it can be copied."""
    console.print(card(run))
    console.print(Text(str(run.folder)), soft_wrap=True)
