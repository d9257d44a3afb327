"""The corpus stage: papers in every layout read right, faults named, duplicates and leaks dropped, kills survived."""

from __future__ import annotations

import json
import os
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, get_args
from urllib.parse import parse_qs, urlparse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from pipelines.corpus.build import main
from pipelines.corpus.characters import plain
from pipelines.corpus.cleaning import joined, mended, sections, sentences, spans, vocabulary
from pipelines.corpus.config import PAGES, Converter, CorpusConfig
from pipelines.corpus.converters import PDF, convert
from pipelines.corpus.duplicates import Duplicates
from pipelines.corpus.gates import refused
from pipelines.corpus.leaks import Leaks
from pipelines.corpus.parsing import Limits, parse
from pipelines.corpus.references.crossref import look_up
from pipelines.corpus.references.lists import read_references
from pipelines.corpus.references.matching import match
from pipelines.corpus.report import CorpusReport
from training.sample import papers as sample_papers
from ui.cli import app
from workspace.errors import DataError, ServiceError, UsageError
from workspace.extras import require

WORDS = "the fibre is made of small crystals that lie in a soft matrix and share the load between them"


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    sample_papers.main(folder)
    return folder


def pdf_of(path: Path, lines: list[str], **options: Any) -> Path:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), **options)
    for number, line in enumerate(lines):
        canvas.drawString(72, 760 - 14 * (number % 50), line)
        if number % 50 == 49:
            canvas.showPage()
    canvas.save()
    return path


def run(tmp_path: Path, *inputs: Path, **options: Any) -> CorpusReport:
    return main(CorpusConfig(inputs=inputs, **options), tmp_path / "out", tmp_path)


def rows(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "out" / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("converter", ["pdfium", "pdftext"])
@pytest.mark.parametrize("number", range(6), ids=list(sample_papers.STYLES)[:6])
def test_a_paper_is_read_as_it_was_written(papers: Path, number: int, converter: str) -> None:
    [path] = papers.glob(f"{number + 1:02d}-*.pdf")
    read = {part.heading: " ".join(text for _, text in part.paragraphs) for part in sections(convert(path, converter))}
    for passage in sample_papers.contents(number):
        assert read[passage["title"]] == passage["text"]
    assert "References" not in read and not any("Journal of Sample" in text for text in read.values())


def test_the_shipped_papers_are_what_the_script_writes(papers: Path) -> None:
    shipped = Path(sample_papers.SAMPLE) / "papers"
    assert sorted(path.name for path in shipped.glob("*.pdf")) == sorted(path.name for path in papers.glob("*.pdf"))
    for path in shipped.glob("*.pdf"):
        assert convert(path, "pdfium") == convert(papers / path.name, "pdfium")


def test_a_corpus_of_papers_with_faults(papers: Path, tmp_path: Path) -> None:
    report = run(tmp_path, papers)
    dropped = report.dropped
    assert report.documents == 10 and report.skipped == {} and report.passages > 50
    assert dropped["symbols"] == 8 and dropped["near duplicate"] >= 6 and dropped["language"] == 1
    kept = rows(tmp_path, "passages.jsonl")
    assert {row["source"]["page"] for row in kept} > {1, 2} and all(row["source"]["heading"] for row in kept)
    assert not [row for row in kept if "\ufffd" in row["text"] or "Zusammenfassung" in row["text"]]
    why = {row["gate"]: row["why"] for row in rows(tmp_path, "dropped.jsonl")}
    assert "unknown symbols" in why["symbols"] and "'de'" in why["language"]


def test_the_converters_are_those_that_can_be_asked_for() -> None:
    assert tuple(PDF) == get_args(Converter)


def test_a_report_of_an_earlier_version_is_read() -> None:
    config = {"inputs": ["papers"], "pdf": "pdfium", "crossref": "https://api.crossref.org", "gone": 1}
    figures = {"documents": 1, "pages": 2, "skipped": {"a.pdf": "it is empty"}, "passages": 3, "words": 4}
    held = {**figures, "dropped": {"short": 1}, "config": config}
    assert CorpusReport.model_validate_json(json.dumps(held)).model_dump(mode="json") == {**held, "unread": {}}


def test_hostile_papers_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "good.txt").write_text(sample_papers.contents(0)[0]["text"])
    pdf_of(folder / "locked.pdf", [WORDS], encrypt="secret")
    Image.new("L", (400, 400), 200).save(folder / "scan.pdf")
    (folder / "corrupt.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00\xff" * 500)
    pdf_of(folder / "long.pdf", ["x"] * (50 * (PAGES + 1)))
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "latin.txt").write_bytes("Festigkeit größer".encode("latin-1"))
    (folder / "bomb.pdf").write_bytes(bomb(600))
    report = run(tmp_path, folder, memory_mb=700, fewest=20)
    told = {Path(name).name: why for name, why in report.skipped.items()}
    assert report.documents == 1 and report.passages == 1
    assert "encrypted" in told["locked.pdf"] and "marker" in told["scan.pdf"] and "at most" in told["long.pdf"]
    assert "damaged or cut off" in told["corrupt.pdf"] and "empty" in told["empty.pdf"]
    assert "UTF-8" in told["latin.txt"] and "bomb.pdf" in told


def bomb(megabytes: int) -> bytes:
    """A small PDF whose page unfolds to so many megabytes."""
    squeeze = zlib.compressobj(9)
    chunk = b"BT ET " * (1 << 18)
    inner = b"".join(squeeze.compress(chunk) for _ in range(megabytes * 10**6 // len(chunk))) + squeeze.flush()
    stream = zlib.compress(inner, 9)
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << >> >>",
        b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    made, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 5\n0000000000 65535 f \n" + table
    return made + head + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(made)


def test_a_reader_that_hangs_is_stopped(tmp_path: Path) -> None:
    slow = tmp_path / "slow.txt"
    os.mkfifo(slow)  # opening it waits for a writer that never comes
    good = tmp_path / "good.txt"
    good.write_text("Silk is strong.")
    told = {one.path.name: one for one in parse([slow, good], "pdfium", Limits(seconds=6.0), workers=1)}
    assert told["slow.txt"].problem == "it was not read within 6 seconds (--seconds)"
    assert told["good.txt"].pages == ("Silk is strong.",)


def test_pages_are_converted_once(papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path, papers / "01-one-column.pdf")

    def never(paths: list[Path], *_: Any) -> Any:
        assert not paths
        return iter(())

    monkeypatch.setattr("pipelines.corpus.build.parse", never)
    second = run(tmp_path, papers / "01-one-column.pdf")
    assert first == second


def test_a_missing_converter_says_how_it_is_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="marker_single") as caught:
        convert(tmp_path / "paper.pdf", "marker")
    assert "pipx install marker-pdf" in str(caught.value.hint)


def test_a_missing_package_says_how_it_is_had() -> None:
    with pytest.raises(ServiceError, match="no_such_package is not installed") as caught:
        require("json", "no_such_package")
    assert "[train]" in str(caught.value.hint)


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    paper = tmp_path / "short.txt"
    paper.write_text("Too short to keep.")
    with pytest.raises(DataError, match="no passage is left of 1 documents: 1 dropped by short"):
        run(tmp_path, paper)
    with pytest.raises(DataError, match="is not there"):
        run(tmp_path, tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="no papers in"):
        run(tmp_path, tmp_path / "void")


def test_words_of_a_benchmark_are_refused_by_default(tmp_path: Path) -> None:
    question = "Which of the three spidroins gives flagelliform silk its spring-like repeats of glycine and proline?"
    paper, bench = tmp_path / "paper.txt", tmp_path / "bench.jsonl"
    paper.write_text(f"{WORDS.capitalize()}. {question} It is the third one, as the review of this year explains.")
    bench.write_text(json.dumps({"question": question, "answer": "Flag"}) + "\n")
    with pytest.raises(DataError, match="1 dropped by contamination"):
        run(tmp_path, paper, benchmarks=(bench,), fewest=20)
    assert run(tmp_path, paper, benchmarks=(bench,), fewest=20, contamination="keep").passages == 1
    assert Leaks({"b": [question]}).found("the three spidroins gives flagelliform") is None
    bench.write_text("{")
    with pytest.raises(DataError, match="cannot read the benchmark"):
        run(tmp_path, paper, benchmarks=(bench,), fewest=20)


class TestCleaning:
    @pytest.mark.parametrize(
        ("lines", "whole"),
        [
            (["strong nano-", "crystals hold"], "strong nanocrystals hold"),
            (["a beta-", "sheet and one beta-sheet more"], "a beta-sheet and one beta-sheet more"),
            (["short-", "and long-term"], "short- and long-term"),
            (["ends with a dash -", "then goes on"], "ends with a dash - then goes on"),
            (["Smith-", "Jones"], "Smith- Jones"),
        ],
    )
    def test_torn_lines(self, lines: list[str], whole: str) -> None:
        assert joined(lines, vocabulary(lines)) == whole

    def test_words_torn_within_a_line(self) -> None:
        assert mended("crys- tals and pre- and post-yield", set()) == "crystals and pre- and post-yield"

    def test_letters_of_old_fonts(self) -> None:
        assert plain("\ufb01bre\u00ad s of 5\u00a0µm\x07") == "fibre s of 5 μm"

    def test_a_sentence_does_not_end_at_a_short_form(self) -> None:
        told = sentences("Grubb et al. Found it so. See Fig. 3 and e.g. Smith. J. Vincent wrote more.")
        assert told == ["Grubb et al. Found it so.", "See Fig. 3 and e.g. Smith.", "J. Vincent wrote more."]

    def test_paragraphs_go_on_over_a_page_and_sources_end_the_paper(self) -> None:
        pages = [
            "## 1. Silk\n\nThe thread of a spider is",
            "spun by the animal.\n\n## References\n\n[1] Vollrath. 2001.",
        ]
        assert [(part.heading, part.paragraphs) for part in sections(pages)] == [
            ("Silk", ((1, "The thread of a spider is spun by the animal."),))
        ]

    @given(st.text(max_size=400))
    def test_any_text_gives_sections_with_its_letters_alone(self, text: str) -> None:
        for part in sections([text]):
            for span in spans([part], 30):
                assert span.text.strip() and span.page == 1

    @given(st.lists(st.integers(3, 60), min_size=1, max_size=12), st.integers(40, 200))
    def test_passages_hold_every_sentence_once(self, sizes: list[int], most: int) -> None:
        told = [f"Word{n} " + "and so on " * (size // 3) + f"end{n}." for n, size in enumerate(sizes)]
        parts = sections([" ".join(told)])
        made = list(spans(parts, most))
        assert " ".join(span.text for span in made).split() == " ".join(told).split()
        longest = max(len(one.split()) for one in told)
        assert all(len(span.text.split()) <= max(most, longest) for span in made)


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        (" ".join([WORDS] * 2) + " " + "z" * 20, "repeats"),
        ("very " * 40, "repeats"),
        (" ".join([WORDS] * 4), "repeats"),
        ("fibre \ufffd\ufffd crystals (cid:12) and some more words of it " + WORDS, "symbols"),
        ("E = 12.5 / 3.4 + 7.7 * 9.9 ( 3 ) [ 4 ] { 5 } 6 7 8 9 10 11 12 13 14 15 = 16 % 17 # 18", "letters"),
        (
            "Le fil de soie est une fibre très solide que l'araignée tisse avec soin pour prendre les mouches",
            "language",
        ),
        ("Vollrath 2001 et al. pp. 5 doi Nature 1999 vol. 3 Gosline 2002 et al. Science 1986 pp. 7", "sources"),
        ("the crys- tals of the pro- tein lie in a mat- rix that is soft and takes up water as it swells", "hyphens"),
        ("too short", "short"),
    ],
)
def test_gates(text: str, gate: str) -> None:
    told = refused(text, 5, ("en",))
    assert told is not None and told[0] == gate and told[1]
    assert refused(WORDS, 5, ("en",)) is None


def test_duplicates_are_told_however_they_are_spaced() -> None:
    seen = Duplicates(0.7)
    text = " ".join(f"{WORDS} number {n}" for n in range(8))
    assert seen.seen("one", text) is None
    assert seen.seen("two", text.upper().replace(" ", "\n")) == ("one", 1.0)
    near = seen.seen("three", text + " and one more line at the end of it")
    assert near is not None and near[0] == "one" and 0.7 <= near[1] < 1
    assert seen.seen("four", "quite another text on wood and how it grows in rings from year to year") is None
    assert Duplicates(1.0).seen("one", text) is None


LISTS = {
    "list.csv": "Article Title;DOI;Publication Year\nSpider silk as rubber;10.1038/303040A0;1983\nNo number;;2001\n",
    "list.bib": "@article{a,\n title = {Spider silk as {R}ubber},\n doi = {10.1038/303040a0},\n year = {1983}\n}\n"
    "@article{b,\n title = {No number},\n year = 2001\n}\n",
    "list.ris": "TY  - JOUR\nTI  - Spider silk as rubber\nDO  - https://doi.org/10.1038/303040a0\nPY  - 1983\n"
    "ER  - \n\nTY  - JOUR\nTI  - No number\nPY  - 2001\nER  - \n",
    "list.ciw": "FN Clarivate\nPT J\nTI Spider silk\n   as rubber\nDI 10.1038/303040a0\nPY 1983\nER\n\n"
    "PT J\nTI No number\nPY 2001\nER\n\nEF\n",
}


class TestReferences:
    @pytest.mark.parametrize("name", LISTS)
    def test_every_kind_of_list(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(LISTS[name])
        told = read_references(tmp_path / name).papers
        assert [(one.title.lower(), one.doi, one.year) for one in told] == [
            ("spider silk as rubber", "10.1038/303040a0", "1983"),
            ("no number", "", "2001"),
        ]

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("a.csv", "name,colour\nx,y\n", "no column title or doi; its columns are name, colour"),
            ("a.bib", "nothing here", "names no papers"),
            ("a.bib", "@article{a, title = {x", "line 1: entry a: it is no whole entry"),
            ("a.csv", "title\n", "names no papers"),
        ],
    )
    def test_a_list_that_is_none(self, name: str, text: str, why: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=why):
            read_references(tmp_path / name)

    def test_papers_are_matched_by_file_doi_or_title(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text(LISTS["list.csv"])
        told = read_references(tmp_path / "list.csv").papers
        assert match(Path("10.1038_303040a0.pdf"), "", told) is told[0]
        assert match(Path("scan1.pdf"), "Spider Silk, as Rubber", told) is told[0]
        assert match(Path("scan1.pdf"), "Wood", told) is None

    def test_missing_dois_are_looked_up_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        class Crossref(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                title = parse_qs(urlparse(self.path).query)["query.bibliographic"][0]
                asked.append(title)
                found = {"10.5555/Wrong": "Wood", "10.5555/Right": title.title()}
                items = [{"DOI": doi, "title": [one]} for doi, one in found.items()]
                body = json.dumps({"message": {"total-results": 2, "items": items}}).encode()
                self.send_response(503 if len(asked) == 1 else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Crossref)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            (tmp_path / "list.csv").write_text(LISTS["list.csv"])
            told = read_references(tmp_path / "list.csv").papers
            monkeypatch.setattr(
                "pipelines.corpus.references.crossref.CROSSREF", f"http://127.0.0.1:{server.server_port}"
            )
            for _ in range(2):
                found = look_up(told, tmp_path / "dois.json", pause=0.001)
                assert [one.doi for one in found] == ["10.1038/303040a0", "10.5555/right"]
            assert asked == ["No number"] * 2  # the first answer was a fault; the second run asked nothing
        finally:
            server.shutdown()
            server.server_close()

    def test_a_crossref_that_is_away_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_text(LISTS["list.csv"])
        with pytest.raises(ServiceError, match="Crossref does not answer"):
            told = read_references(tmp_path / "list.csv").papers
            look_up(told, tmp_path / "d.json", server="http://127.0.0.1:9", pause=0.001)


def test_the_command_reports_and_refuses(papers: Path, tmp_path: Path, home: Path) -> None:
    runner = CliRunner()
    told = runner.invoke(app, ["train", "corpus", str(papers / "03-woven.pdf"), "--out", str(tmp_path / "c"), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["passages"] == 8
    wrong = runner.invoke(app, ["train", "corpus", str(papers), "--out", str(tmp_path / "c"), "--near", "3"])
    assert isinstance(wrong.exception, UsageError) and "near" in str(wrong.exception)
