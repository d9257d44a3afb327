"""A run as a PDF: the design with its evidence, then a page for each picture. Knows reportlab; not where a run lies."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from studio.runs.exports.fonts import BOLD, MONO, PLAIN, Letters

if TYPE_CHECKING:
    from studio.runs.exports.sheet import Part, Picture, Sheet, Standing

_INK, _SOFT, _LINE, _LEAF = "#23211e", "#605b54", "#ddd6cb", "#0b6b4f"
_MARGIN, _PADDING = 54.0, 12.0
_WIDTHS = {3: (0.2, 0.3, 0.5), 4: (0.18, 0.2, 0.42, 0.2), 5: (0.18, 0.12, 0.1, 0.38, 0.22)}
"""Shares of a table's columns, by their number."""


def pdf_report(sheet: Sheet) -> bytes:
    """Write a report as a PDF.

    Args:
        sheet: What it says.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    made, buffer = _Report(sheet, A4[0] - 2 * _MARGIN - _PADDING, A4[1] - 2 * _MARGIN), io.BytesIO()
    flow = list(made.flow())
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=sheet.title,
        author="Studio",
        subject=sheet.run_id,
        lang="en",
        invariant=1,
        pageCompression=1,
    )

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont(PLAIN, 7.5)
        canvas.setFillColor(_SOFT)
        canvas.drawString(_MARGIN + _PADDING / 2, 30, sheet.run_id)
        canvas.drawRightString(A4[0] - _MARGIN - _PADDING / 2, 30, str(page.page))

    document.build(flow, onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


class _Report:
    """The paragraphs, tables and pictures of a report."""

    def __init__(self, sheet: Sheet, width: float, height: float) -> None:
        from reportlab.lib.styles import ParagraphStyle

        def style(name: str, font: str, size: float, **more: Any) -> Any:
            return ParagraphStyle(name, fontName=font, fontSize=size, leading=1.4 * size, **{"textColor": _INK, **more})

        self.sheet, self.width, self.height, self.letters = sheet, width, height, Letters()
        self.text = style("text", PLAIN, 9.5, spaceAfter=5)
        self.cell = style("cell", PLAIN, 8.5)
        self.head = style("head", BOLD, 8.5, textColor=_SOFT)
        self.soft = style("soft", PLAIN, 8.5, spaceAfter=4, textColor=_SOFT)
        self.title = style("title", BOLD, 18, spaceAfter=8)
        self.heading = style("heading", BOLD, 12, spaceBefore=12, spaceAfter=5, keepWithNext=1)
        self.quoted = style("quoted", PLAIN, 9.5, spaceBefore=4, spaceAfter=6, leftIndent=12, textColor=_SOFT)
        self.code = style("code", MONO, 8, spaceAfter=6, leftIndent=6, splitLongWords=1)

    def flow(self) -> Iterator[Any]:
        """All of it, in order; what the fonts lack is said last."""
        sheet = self.sheet
        yield self.say(sheet.title, self.title)
        yield self.say(sheet.brief, self.quoted)
        yield self.say(sheet.summary)
        for part in sheet.parts:
            yield self.say(part.heading, self.heading)
            yield from self.part(part)
        if sheet.parts:
            yield from self.evidence()
        yield from self.made_by()
        if sheet.prompt:
            yield self.say("Picture prompts", self.heading)
            yield from (self.say(f"{name}: {text}") for name, text in sheet.prompt)
        for picture in sheet.pictures:
            yield from self.picture(picture)
        yield from self.conversation()
        if remark := self.letters.remark():
            yield self.say("Letters", self.heading)
            yield self.say(remark)

    def say(self, text: str, style: Any = None, *, anchor: str = "") -> Any:
        """A paragraph of plain text."""
        return self.raw((f'<a name="{anchor}"/>' if anchor else "") + self.letters.shown(text), style)

    def raw(self, markup: str, style: Any = None) -> Any:
        """A paragraph of reportlab's markup, whose texts are escaped."""
        from reportlab.platypus import Paragraph

        return Paragraph(markup, style or self.text)

    def stands(self, one: Standing) -> str:
        """How a claim is borne out, its number a link to the sentence."""
        number = f'<a href="#evidence-{one.number}" color="{_LEAF}">[{one.number}]</a>' if one.number else ""
        return self.letters.shown(one.before) + number + self.letters.shown(one.after)

    def part(self, part: Part) -> Iterator[Any]:
        """A part of the design, as a table or as a list."""
        claims = any(row.standing for row in part.rows)
        if not part.columns:
            alone = len(part.rows) == 1 and not claims
            for row in part.rows:
                told = f" ({self.stands(row.standing)})" if row.standing else ""
                yield self.raw(("" if alone else "\u2022 ") + self.letters.shown(row.cells[0]) + told)
            return
        rows = [
            [self.raw(self.letters.shown(cell), self.cell) for cell in row.cells]
            + ([self.raw(self.stands(row.standing), self.cell)] if row.standing else [])
            for row in part.rows
        ]
        yield self.table([*part.columns, *(["Source"] if claims else [])], rows)

    def table(self, columns: Sequence[str], rows: list[list[Any]]) -> Any:
        """A table over the whole width; a row may go on on the next page."""
        from reportlab.platypus import Table, TableStyle

        shares = _WIDTHS.get(len(columns), (1 / len(columns),) * len(columns))
        cells = [[self.say(name, self.head) for name in columns], *rows]
        rule = TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ]
        )
        return Table(cells, [self.width * one for one in shares], repeatRows=1, splitInRow=1, style=rule, spaceAfter=8)

    def evidence(self) -> Iterator[Any]:
        """Every sentence that a claim rests on, with a link to its DOI."""
        yield self.say("Evidence", self.heading)
        if not self.sheet.sentences:
            yield self.say("Nothing that was found bears out a claim of this design.")
        for one in self.sheet.sentences:
            yield self.say(f"[{one.number}] \u201c{one.quotation}\u201d", anchor=f"evidence-{one.number}")
            told = self.letters.shown(one.place)
            if one.doi:
                named = self.letters.shown(f"doi {one.doi}")
                told += f', <a href="{one.link}" color="{_LEAF}">{named}</a>' if one.link else f", {named}"
                told += " (as it is given there; not looked up)"
            told += self.letters.shown(f". Taken from: {one.cite}") if one.cite else ""
            yield self.raw(told, self.soft)

    def made_by(self) -> Iterator[Any]:
        """Models, seed, versions and the command that makes it again."""
        making, sheet = self.sheet.making, self.sheet
        yield self.say("Made by", self.heading)
        if making.makers:
            rows = [
                [self.say(text, self.cell) for text in (one.role, one.model, one.adapter, one.fingerprint)]
                for one in making.makers
            ]
            yield self.table(["Role", "Model", "Adapter", "Fingerprint"], rows)
        yield self.say(
            f"Run {sheet.run_id}, {sheet.status}, seed {making.seed}, program {making.program}, "
            f"profile {making.profile}, {sheet.seconds:.1f} s."
        )
        listed = ", ".join(f"{name} {number}" for name, number in making.versions.items())
        yield self.say(f"Versions: {listed}.", self.soft)
        yield self.say("This makes it again:")
        yield self.say(making.command, self.code)
        if remark := making.remark():
            yield self.say(remark)

    def picture(self, one: Picture) -> Iterator[Any]:
        """A page with a picture and what was said of it."""
        from PIL import Image as Pixels
        from reportlab.platypus import Image, PageBreak

        yield PageBreak()
        best = ", the best" if one.best else ""
        yield self.say(f"Picture {one.number}{best}", self.heading)
        with Pixels.open(io.BytesIO(one.content), formats=["PNG"]) as found:
            pixels = found.convert("RGB")
        share = min(self.width / pixels.width, 0.62 * self.height / pixels.height)
        buffer = io.BytesIO()
        pixels.save(buffer, "PNG")
        buffer.seek(0)
        yield Image(buffer, pixels.width * share, pixels.height * share, hAlign="LEFT")
        yield self.say(f"Round {one.round}, seed {one.seed}, sha256 {one.sha256[:12]}", self.soft)
        for critic in one.critics:
            yield self.say(f"Critique: {critic.fit} of 10", self.heading)
            yield self.say(critic.seen)
            yield from (self.say(f"\u2022 {check}") for check in critic.checks)
            if critic.change:
                yield self.say(f"Change: {critic.change}")
            if critic.measured:
                yield self.say(f"Measured: {critic.measured}", self.soft)

    def conversation(self) -> Iterator[Any]:
        """What the roles said, paragraph by paragraph."""
        from reportlab.platypus import PageBreak

        paragraphs = [one.strip() for one in self.sheet.conversation.split("\n\n") if one.strip()]
        if not paragraphs:
            return
        yield PageBreak()
        yield self.say("Conversation", self.heading)
        for one in paragraphs:
            if one == "# Conversation":
                continue
            heading = one.startswith("#") and "\n" not in one
            yield self.say(one.lstrip("# ") if heading else one, self.heading if heading else self.text)
