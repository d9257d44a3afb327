"""Bad input to training: hostile papers, folders, lists, rows and recipes are named in one line; all else goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpus.build import main
from pipelines.corpus.cleaning import sections, spans
from pipelines.corpus.config import CorpusConfig
from pipelines.corpus.parsing import Limits, parse
from pipelines.corpus.report import CorpusReport
from studio import train_corpus
from tests.fixtures_local import without_waits
from training.sample import papers as sample_papers
from ui.cli import main as cli
from workspace.errors import DataError, ServiceError, StorageError, UsageError
from workspace.progress import Progress

PROSE = sample_papers.contents(0)[0]["text"]
FONT = b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
CATALOGUE, TREE = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"


def pdf(*parts: bytes) -> bytes:
    """A PDF of these objects; the first is its catalogue."""
    made, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(parts) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\n" % (size, table, size)
    return made + head + b"startxref\n%d\n%%%%EOF\n" % len(made)


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), more, data)


def page(box: bytes = b"[0 0 600 800]", more: bytes = FONT) -> bytes:
    return b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents 4 0 R %s >>" % (box, more)


def words() -> bytes:
    told = PROSE.split()
    lines = [" ".join(told[place : place + 10]).encode("ascii", "ignore") for place in range(0, len(told), 10)]
    return b"BT /F1 10 Tf 72 700 Td 12 TL " + b" ".join(b"(%s) Tj T*" % line for line in lines) + b" ET"


def run(tmp_path: Path, *inputs: Path, **options: Any) -> CorpusReport:
    return main(CorpusConfig(inputs=inputs, **options), tmp_path / "out", tmp_path)


def documents(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "out" / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["source"]["document"] for line in lines]


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


class TestPapers:
    def test_a_password_to_open_is_named_and_one_to_change_is_no_matter(self, papers: Path, tmp_path: Path) -> None:
        from reportlab.lib.pdfencrypt import StandardEncryption
        from reportlab.pdfgen.canvas import Canvas

        for name, password in (("locked.pdf", "secret"), ("owned.pdf", "")):
            canvas = Canvas(str(papers / name), encrypt=StandardEncryption(password, "owner", canCopy=0))
            for number, line in enumerate(PROSE.split(". ")):
                canvas.drawString(20, 700 - 14 * number, f"{line}.")
            canvas.save()
        report = run(tmp_path, papers)
        assert documents(tmp_path) == ["owned.pdf"]
        why = "it is encrypted and opens by a password alone; save a copy without one"
        assert report.skipped == {str(papers / "locked.pdf"): why}

    @pytest.mark.parametrize("converter", ["pdfium", "pdftext"])
    def test_hostile_papers_are_named_and_the_good_one_is_read(
        self, converter: str, papers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        form = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X %d 0 R >> >>"
        does = stream(b"/X Do /X Do")
        drawn = [stream(b"/X Do /X Do", form % number) for number in range(6, 40)]
        letters = stream(zlib.compress(b"BT /F1 9 Tf " + b"(much ado) Tj " * 10**6 + b" ET"), b"/Filter /FlateDecode")
        good = pdf(CATALOGUE, TREE, page(b"[0 0 1e30 1e30]"), stream(words()))  # a page of huge size hurts nobody
        files = {
            "good.pdf": good,
            "circle.pdf": pdf(CATALOGUE, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 /Parent 2 0 R >>"),
            "cut.pdf": good[: len(good) // 2],
            "empty.pdf": b"",
            "forms.pdf": pdf(CATALOGUE, TREE, page(more=b"/Resources << /XObject << /X 5 0 R >> >>"), does, *drawn),
            "letters.pdf": pdf(CATALOGUE, TREE, page(), letters),
            "page.pdf": b"<!DOCTYPE html><html>You must log in",
            "pages.pdf": pdf(CATALOGUE, TREE.replace(b"Count 1", b"Count 2"), page(), stream(words())),
            "text.pdf": b"Silk is strong.",
        }
        for name, content in files.items():
            (papers / name).write_bytes(content)
        report = run(tmp_path, papers, pdf=converter, memory_mb=512)
        told = {Path(name).name: why for name, why in report.skipped.items()}
        assert documents(tmp_path) == ["good.pdf"] and set(told) == set(files) - {"good.pdf"}
        assert "page cannot be read" in told["circle.pdf"] and "page cannot be read" in told["pages.pdf"]
        assert told["cut.pdf"] == "it is damaged or cut off; get it anew"
        assert told["empty.pdf"] == "it is empty (0 bytes)"
        assert "more than 512 MB (--memory-mb)" in told["letters.pdf"] and "512 MB" in told["forms.pdf"]
        assert told["page.pdf"] == "it is no PDF; it begins with '<!DOCTYPE html><html>You must log in'"
        assert told["text.pdf"] == "it is no PDF; it begins with 'Silk is strong.'"
        assert "Traceback" not in capfd.readouterr().err

    def test_the_most_pages_are_a_setting(
        self, papers: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        kids = b" ".join(b"3 0 R" for _ in range(30))
        tree = b"<< /Type /Pages /Kids [%s] /Count 30 >>" % kids
        (papers / "long.pdf").write_bytes(pdf(CATALOGUE, tree, page(), stream(words())))
        asked = ["train", "corpus", str(papers), "--out", str(tmp_path / "out"), "--near", "1"]
        assert cli(asked) == 0
        capsys.readouterr()
        assert cli([*asked, "--most-pages", "29"]) == 65  # though its pages were kept
        why = "it has 30 pages; at most 29 are read (--most-pages)"
        skipped, error = without_waits(capsys.readouterr().err).splitlines()
        assert skipped == f"skipped {papers / 'long.pdf'}: {why}"
        assert error == f"error: none of 1 documents can be read: long.pdf: {why}"

    def test_a_converter_of_its_own_is_stopped_with_its_reader(
        self, papers: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (papers / "a.pdf").write_bytes(pdf(CATALOGUE, TREE, page(), stream(words())))
        os.mkfifo(tmp_path / "line")
        fake = tmp_path / "marker_single"
        fake.write_text(f"#!/bin/sh\nexec 3>{tmp_path}/line\necho begun >&3\nsleep 30\necho left >&3\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        command = [sys.executable, "-m", "ui.cli", "train", "corpus", str(papers), "--out", "out", "--pdf", "marker"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as studio:
            with (tmp_path / "line").open() as line:
                assert line.readline() == "begun\n"
                os.killpg(studio.pid, signal.SIGINT)  # as a terminal's Ctrl-C does
                assert line.read() == ""
            _, told = studio.communicate()
        assert studio.returncode == 130 and without_waits(told) == "error: stopped (the same command goes on)\n"

    def test_a_fault_of_a_package_is_no_end(self, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from pipelines.corpus import parsing

        def broken(*_: Any) -> list[str]:
            raise IndexError("list index\nout of range")

        monkeypatch.setattr(parsing, "convert", broken)
        told = parsing._read(papers / "a.pdf", "pdfium", 9)
        assert told == ("problem", "its reader failed: IndexError: list index out of range")


class TestFolders:
    def test_links_and_files_that_cannot_be_read(self, papers: Path, tmp_path: Path) -> None:
        (papers / "good.txt").write_text(PROSE)
        for name, place in {"gone.pdf": "nowhere.pdf", "round.txt": "round.txt", "loop": "../papers"}.items():
            (papers / name).symlink_to(place)
        (papers / "fault.txt").symlink_to("/proc/self/mem")  # opens, but its first byte cannot be read
        (papers / "folder.pdf").mkdir()
        os.mkfifo(papers / "pipe.txt")
        report = run(tmp_path, papers)
        assert {Path(name).name: why.removeprefix("it cannot be read: ") for name, why in report.skipped.items()} == {
            "gone.pdf": "No such file or directory",
            "round.txt": "Too many levels of symbolic links",
            "fault.txt": "Input/output error",
        }

    def test_a_folder_that_is_closed_is_named(
        self, papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (papers / "closed").mkdir()
        honest = os.scandir

        def refusing(path: Any) -> Any:  # permissions do not stop root
            if str(path).endswith("closed"):
                raise PermissionError(13, "Permission denied", str(path))
            return honest(path)

        monkeypatch.setattr(os, "scandir", refusing)
        with pytest.raises(DataError, match=r"no papers in .*closed is passed over: it cannot be read: Permission"):
            run(tmp_path, papers)
        (papers / "good.txt").write_text(PROSE)
        assert run(tmp_path, papers).skipped == {str(papers / "closed"): "it cannot be read: Permission denied"}

    def test_a_file_that_vanishes_is_named(self, papers: Path, tmp_path: Path) -> None:
        (papers / "a.txt").write_text(PROSE)
        (papers / "b.pdf").write_bytes(pdf(CATALOGUE, TREE, page(), stream(words())))
        (papers / "c.txt").symlink_to("nowhere")
        (papers / "d.txt").write_text(PROSE + " And so on and on.")

        def tell(event: Progress) -> None:  # of the link, when the files before it are hashed
            (papers / "a.txt").unlink(missing_ok=True)
            (papers / "b.pdf").unlink(missing_ok=True)

        report = main(CorpusConfig(inputs=(papers,)), tmp_path / "out", tmp_path, tell)
        assert {Path(name).name for name in report.skipped} == {"a.txt", "b.pdf", "c.txt"}
        assert set(report.skipped.values()) == {"it cannot be read: No such file or directory"}

    def test_odd_names_are_kept_apart_and_can_be_printed(
        self, papers: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = (
            b"bad\xff.txt",
            b"two\nlines.txt",
            b"\x1b[31mred.txt",
            b"[b]:cat:.txt",
            "ü 論文.TXT".encode(),
            b"-o.md",
        )
        texts = [part["text"] for number in (0, 1) for part in sample_papers.contents(number)]
        for name, text in zip(names, texts, strict=False):
            Path(os.fsdecode(os.fsencode(papers) + b"/" + name)).write_text(text)
        Path(os.fsdecode(os.fsencode(papers) + b"/\xff\x1b\n:cat:.pdf")).write_bytes(b"")
        assert cli(["train", "corpus", str(papers), "--out", str(tmp_path / "out"), "--json"]) == 0
        out, err = capsys.readouterr()
        assert without_waits(err) == f"skipped {papers}/\\udcff\\x1b\\n:cat:.pdf: it is empty (0 bytes)\n"
        assert json.loads(out)["documents"] == 6
        assert {"bad\\udcff.txt", "two\\nlines.txt", "\\x1b[31mred.txt", "ü 論文.TXT"} <= set(documents(tmp_path))

    def test_two_of_the_same_name_are_told_apart(self, papers: Path, tmp_path: Path) -> None:
        for name, part in zip("ab", sample_papers.contents(0), strict=False):
            (papers / name).mkdir()
            (papers / name / "paper.txt").write_text(part["text"])
        run(tmp_path, papers)
        assert documents(tmp_path) == ["a/paper.txt", "b/paper.txt"]

    def test_texts_that_are_none(self, papers: Path, tmp_path: Path) -> None:
        texts = {
            "latin.txt": "größer".encode("latin-1"),
            "wide.txt": PROSE.encode("utf-16-le"),
            "bom.md": b"\xff\xfea\0",
        }
        for name, content in texts.items():
            (papers / name).write_bytes(content)
        with pytest.raises(
            DataError, match=r"none of 3 documents can be read: bom.md: it is not UTF-8 \(byte 0\); save"
        ):
            run(tmp_path, papers)
        assert not (tmp_path / "out" / "passages.jsonl").exists()
        (papers / "line.txt").write_bytes(b"word and more words " * 2_500_000)
        told = {one.path.name: one.problem for one in parse(sorted(papers.iterdir()), "pdfium", Limits())}
        assert told["line.txt"] == "its text has 50,000,000 letters; at most 20,000,000 are read"
        assert told["wide.txt"] == "it is no UTF-8 text: letter 2 is NUL; save it as UTF-8"

    def test_a_sentence_without_an_end_is_dropped(self, papers: Path, tmp_path: Path) -> None:
        (papers / "endless.txt").write_text(
            " ".join(part["text"].replace(".", "") for part in sample_papers.contents(0))
        )
        with pytest.raises(DataError, match="1 documents: 1 dropped by long"):
            run(tmp_path, papers)

    def test_empty_files_are_no_corpus(self, papers: Path, tmp_path: Path) -> None:
        (papers / "a.txt").write_text("")
        with pytest.raises(DataError, match=r"no passage is left of 1 documents: they hold no prose$"):
            run(tmp_path, papers)

    def test_a_folder_for_results_that_is_a_file_is_said_first(self, papers: Path, tmp_path: Path) -> None:
        (papers / "a.txt").write_text(PROSE)
        (tmp_path / "out").write_text("")
        with pytest.raises(StorageError, match="part of the path is a file"):
            run(tmp_path, papers)

    def test_a_converter_that_there_is_not(self, papers: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="unknown pdf 'marke'; did you mean 'marker'"):
            train_corpus([papers], out=tmp_path / "out", pdf="marke")

    def test_an_input_that_cannot_be_one(self, papers: Path, tmp_path: Path) -> None:
        os.mkfifo(papers / "pipe")
        with pytest.raises(DataError, match="pipe is neither a file nor a folder"):
            run(tmp_path, papers / "pipe")
        with pytest.raises(DataError, match="cannot be read: File name too long"):
            run(tmp_path, papers / ("x" * 300))

    def test_a_model_for_the_topic_is_missed_before_anything_is_read(self, papers: Path, tmp_path: Path) -> None:
        (papers / "a.txt").write_text(PROSE)
        with pytest.raises(ServiceError, match="studio models fetch all-minilm-l6-v2"):
            run(tmp_path, papers, topic="silk")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["ab-\n" * 60_000 + "end", "and so it goes on\n\n" * 60_000, "Word A. " * 60_000])
def test_time_to_clean_a_text_grows_as_the_text(text: str) -> None:
    begun = time.process_time()
    assert list(spans(sections([text])))
    assert time.process_time() - begun < 5


class TestBenchmarks:
    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("a.jsonl", '{"q": "x"}\n\n{"q"\n', "line 3: Expecting ':' delimiter, column 5"),
            ("a.json", "[" * 100_000, "maximum recursion depth"),
            ("a.json", "", "Expecting value"),
            ("a.json", '{"q": "too short"}', "tells nothing: no text in it has 8 words"),
        ],
    )
    def test_one_that_is_none(self, name: str, text: str, why: str, papers: Path, tmp_path: Path) -> None:
        (papers / "a.txt").write_text(PROSE)
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=why):
            run(tmp_path, papers, benchmarks=(tmp_path / name,))
        with pytest.raises(DataError, match=r"cannot read the benchmark .*none.json: .*No such file"):
            run(tmp_path, papers, benchmarks=(tmp_path / "none.json",))

    def test_two_of_the_same_name_both_count(self, papers: Path, tmp_path: Path) -> None:
        (papers / "a.txt").write_text(PROSE)
        for name, text in (("a", PROSE), ("b", "one two three four five six\u2028seven eight nine ten")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "test.jsonl").write_text("\ufeff" + json.dumps({"q": text}, ensure_ascii=False) + "\n")
        with pytest.raises(DataError, match="dropped by contamination"):
            run(tmp_path, papers, benchmarks=tuple(tmp_path / name / "test.jsonl" for name in "ab"))


def test_a_list_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("title,doi\nGröße,\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"list.csv is not UTF-8 \(byte 12\) \(save it as UTF-8\)"):
        run(tmp_path, tmp_path / "list.csv")
