"""The evidence part of a report: every claim has its number or says that it has none, and every link leads there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import studio
from agents.documents import MaterialDesign
from studio.runs.sources import Sources, read_design, where

pytestmark = pytest.mark.usefixtures("scripted_studio")

HOSTILE = "![x](http://127.0.0.1:9/x.png) [l](javascript:1) <script>alert(1)</script> | a\n\n# Risks\n\n[1](#risks)"


def evidence(passage: str, quotation: str, verdict: str = "supports", **more: Any) -> dict[str, Any]:
    return {"passage": passage, "quotation": quotation, "verdict": verdict, "document": "paper.pdf", "page": 7} | more


SLIDE = evidence("a", "Tablets slide before they part.", title="On nacre", doi="10.1/x", file="/papers/a b#c.pdf")
CRACK = evidence(
    "b", "Cracks turn at seams.", "partly", document="atlas/nacre", title="Nacre", cite="Smith 2001, J. Shells 3, 1-9"
)
WET = evidence("c", "Wet seams are soft.", "contradicts")


def design(**change: Any) -> dict[str, Any]:
    basis = "It lies near that of the shell."
    plain = {
        "title": "Seam panel",
        "summary": "A panel whose plates slide within soft seams.",
        "inspirations": [
            {"name": "nacre", "feature": "wall", "principle": "Tablets slide over each other.", "evidence": SLIDE},
            {"name": "bone", "feature": "lamellae", "principle": "Lamellae turn a crack aside.", "evidence": None},
        ],
        "components": [
            {"name": "plates", "material": "porcelain", "role": "They carry the pressing load."},
            {"name": "seams", "material": "cork", "role": "They yield and hold the plates."},
        ],
        "architecture": {"scale": "micrometre", "description": "Plates lie in staggered rows with thin seams."},
        "mechanisms": [
            {"text": "Plates slide before they break apart.", "evidence": SLIDE},
            {"text": "Cracks turn aside at each of the seams.", "evidence": CRACK},
            {"text": "Wet seams stay as hard as the dry ones.", "evidence": WET},
            {"text": "The panel warns before it fails.", "evidence": None},
        ],
        "properties": [
            {"name": "strength", "value": 90, "unit": "MPa", "basis": basis, "status": "verified", "evidence": SLIDE},
            {
                "name": "toughness", "value": 2.5, "unit": "MJ/m3", "basis": basis, "status": "overridden",
                "evidence": CRACK, "claimed": {"value": 40, "unit": "MJ/m3"},
            },
            {
                "name": "density", "value": 2400, "unit": "kg/m3", "basis": basis, "status": "computed",
                "claimed": {"value": 9000, "unit": "kg/m3"},
            },
            {"name": "stiffness", "value": 20, "unit": "GPa", "basis": basis, "status": "computed"},
            {"name": "thickness", "value": 4, "unit": "mm", "basis": basis},
        ],
        "fabrication": ["Cast the plates and press them with the seams."],
        "applications": ["wall panels"],
        "risks": ["The seams may dry out and part."],
    }  # fmt: skip
    return plain | change


NONE: dict[str, Any] = {
    "inspirations": [{"name": "nacre", "feature": "wall", "principle": "Tablets slide over each other."}],
    "properties": [{"name": "thickness", "value": 4, "unit": "mm", "basis": "It is chosen for the wall."}],
}


def report(held: dict[str, Any], folder: Path) -> str:
    run = studio.design("a tough panel", seed=5)
    (run.folder / "design.json").write_text(json.dumps(held), encoding="utf-8")
    return studio.export(run.run_id, format="md", out=folder / "report.md").read_text(encoding="utf-8")


def rendered(text: str) -> str:
    """The report as HTML, links to files and all."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda _: True  # type: ignore[method-assign]
    return renderer.render(text)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of a section's table, or its bullets as rows of one cell."""
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if line.startswith("|")
    ]
    return table[2:] or [[line[2:]] for line in part.splitlines() if line.startswith("- ")]


def test_every_claim_has_its_number_or_says_that_it_has_none(home: Path, tmp_path: Path) -> None:
    text = report(design(), tmp_path)
    one, two, three = (f"[{number}](#evidence-{number})" for number in (1, 2, 3))
    assert [row[-1] for row in rows(text, "Inspirations")] == [one, "not supported"]
    assert rows(text, "Mechanisms")[0][0].rsplit(" (", 1)[0] == "Plates slide before they break apart."
    ends = [re.sub(r"^.*?\. \(", "(", row[0]) for row in rows(text, "Mechanisms")]
    assert ends == [f"({one})", f"(in part {two})", f"(contradicted by {three})", "(not supported)"]
    assert [row[-1] for row in rows(text, "Properties")] == [
        f"verified {one}",
        f"overridden {two}, instead of 40 MJ/m3",
        "overridden by the parts' own, instead of 9,000 kg/m3",
        "computed",
        "assumed",
    ]


def test_every_link_leads_to_a_heading_with_its_sentence(home: Path, tmp_path: Path) -> None:
    text = report(design(), tmp_path)
    links = set(re.findall(r"\[(\d+)\]\(#evidence-(\d+)\)", text))
    assert links == {("1", "1"), ("2", "2"), ("3", "3")}
    for (number, _), held in zip(sorted(links), (SLIDE, CRACK, WET), strict=True):
        assert text.count(f"\n### Evidence {number}\n\n> {held['quotation']}\n") == 1
    assert len(re.findall(r"^### Evidence \d+$", text, re.MULTILINE)) == 3


def test_a_files_link_ends_in_its_page_and_names_it_whole(home: Path, tmp_path: Path) -> None:
    text = report(design(), tmp_path)
    assert "<file:///papers/a%20b%23c.pdf#page=7>" in text
    assert text.count("file://") == 1  # what ships has no file
    assert "On nacre (paper.pdf), page 7, doi 10.1/x (as it is given there; not looked up)" in text
    assert "Nacre (atlas/nacre)\n\nTaken from: Smith 2001, J. Shells 3, 1-9" in text
    assert 'href="file:///papers/a%20b%23c.pdf#page=7"' in rendered(text)


@pytest.mark.parametrize("field", ["title", "document", "doi", "quotation", "cite"])
def test_hostile_texts_of_a_paper_are_told_as_text(home: Path, tmp_path: Path, field: str) -> None:
    text = HOSTILE if field in ("title", "document", "doi") else " ".join(HOSTILE.split())
    held = {**CRACK, field: text, "file": "/papers/a.pdf"}
    html = rendered(
        report(design(mechanisms=[{"text": "Cracks turn aside at seams.", "evidence": held}], **NONE), tmp_path)
    )
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html
    places = set(re.findall(r'(?:src|href)="(?!data:image/png;base64,)([^"]*)"', html))
    assert places == {"#evidence-1", "file:///papers/a.pdf#page=7"}
    assert len(re.findall("<h[1-6]>Risks</h[1-6]>", html)) == 1 and html.count("<h1>") == 1


def test_a_design_without_evidence_says_so(home: Path, tmp_path: Path) -> None:
    bare = design(mechanisms=["Plates slide before they break apart."], **NONE)
    text = report(bare, tmp_path)
    assert "## Evidence\n\nNothing that was found bears out a claim of this design." in text
    assert "#evidence-" not in text and "### Evidence" not in text
    assert rows(text, "Inspirations")[0][-1] == "not supported" and rows(text, "Properties")[0][-1] == "assumed"
    assert rows(text, "Mechanisms") == [["Plates slide before they break apart. (not supported)"]]


def test_a_texts_own_numbers_become_no_links(home: Path, tmp_path: Path) -> None:
    own = design(risks=["The seams may part as in [1] or at [3](#evidence-3) when wet."])
    html = rendered(report(own, tmp_path))
    part = html.split("<h2>Risks</h2>", 1)[1].split("<h2>Evidence</h2>", 1)[0]
    assert "[1]" in part and "href" not in part


def test_a_sentence_is_numbered_once_in_the_order_of_the_document() -> None:
    held = Sources.of(MaterialDesign.model_validate(design()))
    assert [one.passage for one in held.sentences] == ["a", "b", "c"]
    assert [held.number(one) for one in held.sentences] == [1, 2, 3]
    twice = design(
        mechanisms=[{"text": "Plates slide before they break.", "evidence": {**SLIDE, "quotation": "Tablets part."}}]
    )
    assert len(Sources.of(MaterialDesign.model_validate(twice)).sentences) == 3  # another sentence of one passage


def test_where_a_sentence_stands() -> None:
    made = MaterialDesign.model_validate(design())
    told = [where(one.evidence) for one in made.mechanisms if one.evidence]
    assert told[0].startswith("On nacre (paper.pdf), page 7, doi 10.1/x")
    assert told[1:] == ["Nacre (atlas/nacre)", "paper.pdf"]


def test_only_a_design_is_read_as_one() -> None:
    assert read_design(design()) == MaterialDesign.model_validate(design())
    assert read_design({}) is None and read_design({**design(), "more": 1}) is None
    assert read_design(design(mechanisms=["Plates slide before they break apart."])) is not None
