"""A library through the front door and the command line: added to, listed, searched, kept up to date; its faults."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import studio
from pipelines.corpus.converters import convert
from pipelines.corpus.index.store import FILE
from pipelines.corpus.parsing import Parsed
from studio.runs.shelf import own, shelf, shipped
from ui import cli
from workspace.errors import DataError, StorageError, UsageError

SILK = "Dragline silk holds crystals of alanine in a soft matrix, and spiders spin it from water."
NACRE = "Nacre stops cracks at its platelets, which slide on a thin film of chitin and proteins."
COMMANDS = ("add", "update", "list", "search", "remove")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Papers are read in this process, which takes no child process."""

    def parse(paths: Sequence[Path], *_: Any) -> Iterator[Parsed]:
        for path in paths:
            try:
                yield Parsed(path, tuple(convert(path, "pdfium")))
            except DataError as fault:
                yield Parsed(path, problem=fault.message)

    monkeypatch.setattr("pipelines.corpus.index.adding.parse", parse)


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two papers and a list that tells of one, below the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "silk.txt").write_text(f"# Silks of spiders\n\n{SILK}\n")
    (folder / "nacre.txt").write_text(f"# Why nacre is tough\n\n{NACRE}\n")
    (folder / "list.bib").write_text(
        "@article{n, title={Why nacre is tough}, year={1999}, doi={10.1000/nacre}, file={:nacre.txt:text}}\n"
    )
    return folder


@pytest.fixture
def library(home: Path, papers: Path) -> Path:
    """A person's own library of both papers."""
    assert studio.library_add([papers]).documents == 2
    return own(home)


def call(*words: str) -> int:
    return cli.main(["library", *words])


def one_object(text: str) -> dict[str, Any]:
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


class TestVerbs:
    def test_papers_are_added_listed_found_and_taken_out(self, home: Path, papers: Path) -> None:
        told = studio.library_add([papers])
        assert sorted(told.added) == ["nacre.txt", "silk.txt"] and told.folder == home / "library"
        assert studio.library_add([str(papers)]).unchanged == 2
        held = studio.library_list()
        assert [(one.name, one.title, one.year, one.doi, one.passages, one.here) for one in held.documents] == [
            ("nacre.txt", "Why nacre is tough", 1999, "10.1000/nacre", 1, True),
            ("silk.txt", "Silks of spiders", None, "", 1, True),
        ]
        assert (held.passages, held.vectors, held.shipped) == (2, 0, len(shipped())) and held.bytes > 10_000
        [best] = studio.library_search("what stops cracks in nacre", shipped=False).passages
        assert (best.document, best.page, best.text, best.doi) == ("nacre.txt", 1, NACRE, "10.1000/nacre")
        assert best.path == str(papers / "nacre.txt") and 0 < best.score == best.words <= 1 and best.meaning == 0
        assert studio.library_remove(["nacre.txt", best.document]).removed == ("nacre.txt",)
        assert studio.library_search("platelets slide", shipped=False).passages == ()
        assert (papers / "nacre.txt").is_file()
        assert studio.library_remove([held.documents[1].id]).removed == ("silk.txt",)  # the last one
        assert studio.library_search("platelets slide", shipped=False).passages == ()
        assert studio.library_add([papers]).documents == 2

    def test_update_brings_in_what_changed_and_forgets_when_asked(self, library: Path, papers: Path) -> None:
        (papers / "silk.txt").write_text("Wood holds water in its rays and swells across the grain.")
        (papers / "nacre.txt").unlink()
        told = studio.library_update([])
        assert (told.updated, told.missing) == (["silk.txt"], ["nacre.txt"])
        assert [one.here for one in studio.library_list().documents] == [False, True]
        assert studio.library_update([], forget=True).removed == ["nacre.txt"]
        assert [one.document for one in studio.library_search("rays", shipped=False).passages] == ["silk.txt"]

    def test_another_library_is_searched_in_place_of_your_own(
        self, library: Path, papers: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "more.txt").write_text("Platelets of glass stop cracks in a varnish of shellac.")
        other = tmp_path / "other"
        studio.library_add([tmp_path / "more.txt"], library=other)
        found = studio.library_search("platelets", library=other, shipped=False).passages
        assert [one.document for one in found] == ["more.txt"]
        found = studio.library_search("platelets", library=own(tmp_path / "home"), shipped=False).passages
        assert [one.document for one in found] == ["nacre.txt"]
        assert [one.name for one in studio.library_list(library=other).documents] == ["more.txt"]

    def test_the_filters(self, library: Path) -> None:
        def found(**options: Any) -> list[str]:
            passages = studio.library_search("alanine platelets", shipped=False, **options).passages
            return sorted(one.document for one in passages)

        assert found() == ["nacre.txt", "silk.txt"]
        assert found(document=("silks of",)) == ["silk.txt"] and found(since=1990) == ["nacre.txt"]
        assert found(until=1998) == [] and found(organism="spider") == ["silk.txt"]
        assert found(quantity="thin film") == ["nacre.txt"] and len(found(count=1)) == 1

    def test_what_ships_is_searched_from_the_start(self, home: Path) -> None:
        found = studio.library_search("what stops cracks in nacre").passages
        assert found and all(one.document.startswith(("atlas/", "sample/")) for one in found)
        assert any("nacre" in one.text.casefold() for one in found) and any(one.sources for one in found)
        assert studio.library_list().documents == () and not own(home).exists()  # nothing is made by looking

    @pytest.mark.parametrize(
        ("act", "kind", "told"),
        [
            (lambda: studio.library_search(" "), UsageError, "the question is empty"),
            (
                lambda: studio.library_search("a", since=2010, until=2000),
                UsageError,
                "2010 or later and 2000 or earlier",
            ),
            (lambda: studio.library_search("a", since=900), UsageError, "not 900"),
            (lambda: studio.library_search("a", count=0), UsageError, "1 to 100, not 0"),
            (lambda: studio.library_search("a", document=("slik.txt",)), UsageError, "unknown document 'slik.txt'"),
            (lambda: studio.library_search("a", organism="the"), UsageError, "no word that is searched for"),
            (lambda: studio.library_search("a", library=Path("none")), DataError, "none is no library"),
            (lambda: studio.library_list(library=Path("none")), DataError, "studio library add"),
            (lambda: studio.library_update([], library=Path("none")), DataError, "none is no library"),
            (lambda: studio.library_remove(["nacre"]), UsageError, "did you mean 'nacre.txt'"),
            (lambda: studio.library_add(["nothing"]), DataError, "nothing is not there"),
            (lambda: studio.library_add(["papers"], library=Path("papers/silk.txt/x")), StorageError, "cannot write"),
        ],
    )
    def test_bad_input_is_one_line(self, library: Path, act: Any, kind: type[Exception], told: str) -> None:
        with pytest.raises(kind, match=told) as fault:
            act()
        assert "\n" not in str(fault.value)

    def test_a_shelf_holds_each_library_once(self, library: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(home)
        held = shelf(home, [library, Path("library")], ships=False)
        assert [hit.passage.document.name for hit in held.search("platelets")] == ["nacre.txt"]
        held.close()
        with pytest.raises(DataError, match="there is no library"):
            shelf(home, mine=False, ships=False)
        with pytest.raises(DataError, match="none is no library"):
            shelf(home, [home / "none"])


class TestCommands:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_explains_itself(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert call(command, "--help") == 0
        told = capsys.readouterr().out
        assert (
            f"Usage: studio library {command}" in told and "Examples:" in told and f"studio library {command}" in told
        )
        assert "--library" in told and "--json" in told
        assert call("--help") == 0
        assert command in capsys.readouterr().out

    @pytest.mark.usefixtures("home", "workers_in_threads")
    def test_adding_is_a_job_that_tells_what_became_of_every_paper(
        self, papers: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (papers / "broken.pdf").write_bytes(b"")
        assert call("add", "papers", "--json") == 0
        said = capsys.readouterr()
        told = one_object(said.out)
        assert sorted(told["added"]) == ["nacre.txt", "silk.txt"] and told["documents"] == 2
        assert told["skipped"] == {"papers/broken.pdf": "it is empty (0 bytes)"}
        [job] = studio.list_jobs()
        assert (job.kind, job.state) == ("library_add", "finished")
        assert studio.open_job(job.job_id).result == told
        assert call("add", "papers") == 0
        said = capsys.readouterr()
        assert "in already" in said.out and "papers/broken.pdf: it is empty (0 bytes)" in said.out
        assert "2 documents, 2 passages" in said.out and "by their words alone" in said.out
        assert "Traceback" not in said.err

    @pytest.mark.usefixtures("home", "workers_in_threads")
    def test_one_that_is_detached_is_followed_later(self, papers: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("add", "papers", "--library", "mine", "--detach") == 0
        job = capsys.readouterr().out.strip()
        assert list(studio.watch(job))[-1].type == "job_finished"
        assert studio.open_job(job).result["folder"] == "mine" and (Path("mine") / FILE).is_file()
        assert cli.main(["jobs", "list"]) == 0
        assert "library_add" in capsys.readouterr().out.replace("-", "_")

    @pytest.mark.usefixtures("library", "workers_in_threads")
    def test_update_names_what_changed_and_what_is_gone(self, papers: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (papers / "nacre.txt").unlink()
        (papers / "silk.txt").rename(papers / "threads.txt")
        assert call("update") == 0
        assert "nacre.txt (its passages stay; --forget takes them out)" in capsys.readouterr().out
        assert call("add", "papers/threads.txt") == 0
        told = " ".join(capsys.readouterr().out.split())
        assert "moved silk.txt to" in told
        assert call("list") == 0
        assert "studio library update" in capsys.readouterr().err
        assert call("update", "--forget", "--json") == 0
        told = one_object(capsys.readouterr().out)
        assert told["removed"] == ["nacre.txt"] and told["unchanged"] == 1

    def test_a_library_is_listed_and_documents_are_taken_out(
        self, library: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("list") == 0
        told = capsys.readouterr().out
        assert "Why nacre is tough" in told and "1999" in told and "2 documents, 2 passages" in told
        assert str(library) in told.replace("\n", "")
        assert call("remove", "nacre.txt") == 0
        assert "taken out" in capsys.readouterr().out
        assert call("list", "--json") == 0
        assert [one["name"] for one in one_object(capsys.readouterr().out)["documents"]] == ["silk.txt"]
        assert call("remove", "silk.txt", "--json") == 0
        assert one_object(capsys.readouterr().out) == {"removed": ["silk.txt"]}
        assert call("search", "platelets", "--no-shipped") == 0
        assert capsys.readouterr().err.strip() == "nothing was found"

    @pytest.mark.usefixtures("library")
    def test_passages_are_shown_with_where_they_stand(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("search", "cracks at platelets", "--no-shipped") == 0
        told = " ".join(capsys.readouterr().out.split())
        assert told.startswith("[1] Why nacre is tough, 1999, page 1, doi 10.1000/nacre (nacre.txt, fits ")
        assert NACRE in told
        words = ["--no-shipped", "--json", "--document", "nacre", "--since", "1990", "--until", "2000"]
        words += ["--organism", "nacre", "--property", "thin film", "--count", "3", "--words-only"]
        assert call("search", "cracks", *words) == 0
        told_all = one_object(capsys.readouterr().out)
        assert told_all["question"] == "cracks" and [one["document"] for one in told_all["passages"]] == ["nacre.txt"]
        assert call("search", "cracks", "--no-shipped", "--since", "2000", "--json") == 0
        assert one_object(capsys.readouterr().out)["passages"] == []

    @pytest.mark.usefixtures("home")
    def test_a_hostile_title_moves_no_cursor(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "a\x1b[2J.txt").write_text(f"# Evil \x1b]0;title\x07 [bold]name[/bold]\n\n{NACRE} \x1b[31m\n")
        studio.library_add([tmp_path / "a\x1b[2J.txt"])
        assert call("list") == 0 and call("search", "platelets", "--no-shipped") == 0
        told = capsys.readouterr()
        assert "\x1b" not in told.out + told.err and "[bold]name[/bold]" in told.out

    @pytest.mark.parametrize(
        ("words", "code", "told"),
        [
            (["add"], 2, "INPUT"),
            (["add", "nothing"], 65, "nothing is not there"),
            (["add", "papers", "--pdf", "tesseract"], 2, "pdfium"),
            (["add", "papers", "--most-pages", "0"], 2, "not 0"),
            (["add", "papers", "--library", "papers/silk.txt/x"], 74, "cannot write"),
            (["add", "empty"], 65, "no papers in empty"),
            (["ad", "papers"], 2, "ad"),
            (["update", "--library", "none"], 65, "none is no library"),
            (["list", "--library", "none"], 65, "none is no library"),
            (["list", "--library", "damaged"], 65, "cannot be read"),
            (["search", "cracks", "--library", "damaged"], 65, "cannot be read"),
            (["remove", "nothing"], 2, "unknown document 'nothing'"),
            (["remove"], 2, "DOCUMENT"),
            (["search"], 2, "QUESTION"),
            (["search", ""], 2, "the question is empty"),
            (["search", "x", "--since", "soon"], 2, "--since"),
            (["search", "x", "--since", "2010", "--until", "2000"], 2, "2010 or later and 2000 or earlier"),
            (["search", "x", "--count", "1000"], 2, "1 to 100"),
            (["search", "x", "--document", "nacer.txt", "--no-shipped"], 2, "did you mean 'nacre.txt'"),
            (["search", "x", "--property", "of the"], 2, "property 'of the' has no word"),
            (["search", "x", "--organsm", "silk"], 2, "--organsm"),
        ],
    )
    @pytest.mark.usefixtures("library")
    def test_bad_input_is_one_clear_line_and_its_exit_code(
        self, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
    ) -> None:
        Path("empty").mkdir()
        Path("damaged").mkdir()
        (Path("damaged") / FILE).write_bytes(b"no database" * 100)
        assert call(*words) == code
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if line != "looking for the papers ..."]
        assert said.out == "" and len(lines) == 1 and lines[0].startswith("error: ") and told in lines[0]

    @pytest.mark.usefixtures("home", "papers")
    @pytest.mark.parametrize(
        ("words", "code"), [(["search", ""], 2), (["list", "--library", "none"], 65), (["remove", "nothing"], 65)]
    )
    def test_an_error_with_json_is_one_object(
        self, capsys: pytest.CaptureFixture[str], words: list[str], code: int
    ) -> None:
        assert call(*words, "--json") == code
        told = one_object(capsys.readouterr().out)
        assert told["exit_code"] == code and told["error"]

    @pytest.mark.usefixtures("home", "workers_in_threads")
    def test_papers_none_of_which_can_be_read_end_the_job_with_its_code(
        self, papers: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (papers / "broken.pdf").write_bytes(b"")
        assert call("add", "papers/broken.pdf") == 65
        said = capsys.readouterr()
        assert "none of 1 papers can be read: papers/broken.pdf: it is empty" in said.err
        assert "Traceback" not in said.err + said.out

    def test_a_damaged_index_says_what_to_do(self, library: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for path in (library / "index").rglob("keys.npy"):
            path.write_bytes(b"")
        assert call("search", "platelets", "--no-shipped") == 65
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"remove {library / 'index'}" in said
        shutil.rmtree(library / "index")
        assert call("search", "platelets", "--no-shipped") == 0
        assert "nacre.txt" in capsys.readouterr().out


def test_the_job_is_carried_out_by_a_worker_process(home: Path, papers: Path) -> None:
    job = studio.library_add.submit([Path("papers")])
    seen = list(studio.watch(job))
    assert seen[-1].type == "job_finished" and {event.type for event in seen} >= {"document_read"}
    assert sorted(studio.open_job(job).result["added"]) == ["nacre.txt", "silk.txt"]
    assert os.path.isfile(own(home) / FILE)
