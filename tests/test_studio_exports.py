"""A run as HTML and as PDF, read back: whole, loading nothing, every claim led to its sentence, odd letters said."""

from __future__ import annotations

import base64
import io
import json
import shlex
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import studio
from studio.runs.exports.making import making
from studio.runs.exports.sheet import Row, Sentence, Sheet, Standing, sheet
from workspace.errors import UsageError

pytestmark = pytest.mark.usefixtures("scripted_studio")
HOSTILE = (
    "a <script>alert(1)</script> <img src=http://evil.example/x.png> ![x](http://evil.example/x.png) "
    "[link](javascript:1) \u0007 panel of 5 \u00b5m\u00b3 at 20 \u00b0 \u2013 \u86db\u7f51 \U0001f578 \u0639"
)


class Page(HTMLParser):
    """What a page of HTML loads, links to and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "action", "background"):
                self.loaded.append(value or "")
            elif name == "href":
                (self.links if tag == "a" else self.loaded).append(value or "")
            elif name == "id":
                self.ids.append(value or "")
            assert not name.startswith("on"), (tag, name)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def pdf_text(content: bytes) -> tuple[str, int]:
    import pypdfium2

    document = pypdfium2.PdfDocument(content)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in document), len(document)
    finally:
        document.close()


def evidenced(made: Sheet) -> Sheet:
    """A report in which a claim rests on a sentence with a DOI."""
    from dataclasses import replace

    part = replace(made.parts[4], rows=(Row(("Fibres uncrimp.",), Standing("in part ", 1)),))
    said = Sentence(1, "Tendon uncrimps & stretches.", "Tendon (paper.pdf), page 3", "", "10.1000/x<y>", "")
    linked = replace(said, number=2, doi="10.1000/abc", link="https://doi.org/10.1000/abc")
    return replace(made, parts=(*made.parts[:4], part, *made.parts[5:]), sentences=(said, linked))


def test_the_html_is_one_file_that_loads_nothing(home: Path, tmp_path: Path) -> None:
    run = studio.design(HOSTILE, seed=5, images=2)
    path = studio.export(run.run_id, format="html", out=tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert [one for one in page.loaded if not one.startswith("data:image/png;base64,")] == []
    assert all(one.startswith("#") for one in page.links)
    assert "url(" not in text and "@import" not in text
    pictures = [base64.b64decode(one.partition(",")[2]) for one in page.loaded]
    assert pictures == [image.path.read_bytes() for image in run.images]
    said = " ".join(page.words)
    assert run.design is not None
    assert "alert(1)" in said and run.design.risks[0] in said and "\u86db\u7f51 \U0001f578" in said
    assert "\u0007" not in text


@pytest.mark.parametrize("format", ["md", "html", "pdf", "json", "zip", "prov"])
def test_every_format_states_how_it_was_made(home: Path, tmp_path: Path, format: Any) -> None:
    run = studio.design("a tough panel", inspirations=["bone"], seed=5, images=1)
    content = studio.export(run.run_id, format=format, out=tmp_path / "out").read_bytes()
    if format == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = archive.read(f"{run.run_id}/made.json").decode()
    elif format == "pdf":
        text = " ".join(pdf_text(content)[0].split())
    else:
        text = content.decode()
    told = making(run, home)
    assert told.makers and told.versions["bio-studio"]
    plain = "".join(text.replace("\\", "").replace("&#39;", "'").replace("&#34;", '"').split())
    for word in (told.command, told.makers[0].model, told.versions["python"], "seed"):
        assert "".join(word.split()) in plain, word


def test_the_pdf_is_whole_and_says_what_its_fonts_lack(home: Path, tmp_path: Path) -> None:
    run = studio.design(HOSTILE, seed=5, images=2)
    content = studio.export(run.run_id, format="pdf", out=tmp_path / "report.pdf").read_bytes()
    text, pages = pdf_text(content)
    assert run.design is not None
    assert run.design.title in text and run.design.risks[0] in text
    assert "5 \u00b5m\u00b3 at 20 \u00b0 \u2013" in " ".join(text.split())
    assert pages >= 4 and "Picture 2" in text
    assert "lack" in text and "U+86DB" in text and "U+1F578" in text and "\u25a1" in text
    assert studio.export(run.run_id, format="pdf", out=tmp_path / "again.pdf").read_bytes() == content


def test_claims_lead_to_their_sentences(home: Path) -> None:
    from studio.runs.exports.html_report import html_report
    from studio.runs.exports.pdf_report import pdf_report

    run = studio.design("a tough panel", seed=5)
    made = evidenced(sheet(run, home))
    page = Page(html_report(made).decode())
    assert "#evidence-1" in page.links and "evidence-1" in page.ids
    assert [one for one in page.links if not one.startswith("#")] == ["https://doi.org/10.1000/abc"]
    import pypdfium2
    from pypdfium2 import raw

    content = pdf_report(made)
    assert "Tendon uncrimps & stretches." in pdf_text(content)[0]
    document = pypdfium2.PdfDocument(content)
    kinds = []
    for page_of in document:
        place, link = raw.c_int(0), raw.FPDF_LINK()
        while raw.FPDFLink_Enumerate(page_of.raw, place, link):
            action = raw.FPDFLink_GetAction(link)
            kinds.append("web" if action and raw.FPDFAction_GetType(action) == raw.PDFACTION_URI else "inside")
        page_of.close()
    document.close()
    assert "web" in kinds and "inside" in kinds


@pytest.mark.parametrize(
    "text",
    [
        "a plain panel",
        'it\'s "quoted" $HOME `id` \\ panel',
        "- a list\n- of wishes\tand more",
        "a panel \u0007 with a bell \u202e turned",
    ],
)
def test_the_command_gives_the_same_words_to_a_shell(home: Path, text: str, tmp_path: Path) -> None:
    import subprocess

    run = studio.design(text, seed=5, images=1)
    told = making(run, home).command
    assert told.isprintable()
    tool = tmp_path / "studio"
    tool.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    tool.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", told],
        capture_output=True,
        check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    words = done.stdout.decode().split("\0")
    assert json.loads((run.folder / "brief.json").read_text())["text"] in words
    assert words[words.index("--seed") + 1] == "5" and words[words.index("--images") + 1] == "1"


def test_settings_that_differ_from_the_profile_stand_in_the_command(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_PAINTER__STEPS", "3")
    run = studio.design("a tough panel", seed=5, rounds=1)
    told = shlex.split(making(run, home).command)
    assert "STUDIO_PAINTER__STEPS=3" in told and told[told.index("--rounds") + 1] == "1"
    assert not [one for one in told if one.startswith("STUDIO_QUEUE")]


def test_an_unfinished_run_is_reported_as_far_as_it_is(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    for format in ("html", "pdf"):
        content = studio.export(run.run_id, format=format, out=tmp_path / format).read_bytes()
        assert "waiting" in (content.decode() if format == "html" else pdf_text(content)[0])


def test_too_many_pictures_for_a_report_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.design("a tough panel", seed=5)
    monkeypatch.setattr("studio.runs.exports.sheet.MOST_PICTURE_BYTES", 10)
    with pytest.raises(UsageError, match="--format zip"):
        studio.export(run.run_id, format="html")


def test_a_large_picture_and_a_long_text_fit_the_page(home: Path) -> None:
    from dataclasses import replace

    from studio.runs.exports.pdf_report import pdf_report

    run = studio.design("a tough panel", seed=5)
    made = sheet(run, home)
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 4000), "green").save(buffer, "PNG")
    long = Row(("x" * 4000, "word " * 3000, "y"))
    part = replace(made.parts[1], rows=(long,))
    tall = replace(made.pictures[0], content=buffer.getvalue())
    shown = pdf_report(replace(made, parts=(part,), pictures=(tall,), conversation="a" * 20_000, title="<b>&x"))
    assert "<b>&x" in pdf_text(shown)[0]
