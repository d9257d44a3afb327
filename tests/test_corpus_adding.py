"""Papers into a library: what becomes of every file, lists that tell of them, other tongues, kills and full disks."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.corpus.converters import convert
from pipelines.corpus.index.adding import AddOptions, LibraryReport, add, update
from pipelines.corpus.index.generation import FOLDER, newest
from pipelines.corpus.index.retrieve import Filters, Shelf, opened
from pipelines.corpus.index.store import Document, Store
from pipelines.corpus.parsing import Parsed
from training import sample
from workspace.errors import DataError, StorageError

SHIPPED = Path(sample.__file__).parent / "papers"
SILK = "Dragline silk holds crystals of alanine in a soft matrix, and spiders spin it from water."
NACRE = "Nacre stops cracks at its platelets, which slide on a thin film of chitin and proteins."
BONE = "Bone bridges its cracks by collagen fibres and turns them aside where osteons begin."


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Papers read in this process, which takes no child process; gives the names of those that were read."""
    seen: list[str] = []

    def parse(paths: Sequence[Path], *_: Any) -> Iterator[Parsed]:
        for path in paths:
            seen.append(path.name)
            yield Parsed(path, tuple(convert(path, "pdfium")))

    monkeypatch.setattr("pipelines.corpus.index.adding.parse", parse)
    return seen


def paper(path: Path, text: str, title: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {title}\n\n{text}\n" if title else f"{text}\n", encoding="utf-8")
    return path


def pdf_of(path: Path, *pages: str, **options: Any) -> Path:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), **options)
    for page in pages:
        words = page.split()
        for number in range(0, len(words), 10):
            canvas.drawString(72, 740 - 1.5 * number, " ".join(words[number : number + 10]))
        canvas.showPage()
    canvas.save()
    return path


def said(count: int) -> list[str]:
    """Sentences of ten words, most of them made up and all of them different."""
    sounds = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "na", "ru"]
    names = ["".join(sounds[int(digit)] for digit in str(number)) for number in range(count)]
    return [f"A{one} of{one} the{one} shell{one} lies across {one} and holds it{one}." for one in names]


class Shelved:
    """A library that is added to, and what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, *inputs: Path, **options: Any) -> LibraryReport:
        with Store(self.folder, writing=True) as store:
            return add(store, inputs, AddOptions(**options))

    def update(self, *, forget: bool = False) -> LibraryReport:
        with Store(self.folder, writing=True) as store:
            return update(store, AddOptions(), forget=forget)

    def documents(self) -> dict[str, Document]:
        with Store(self.folder) as store:
            return {one.name: one for one in store.documents()}

    def texts(self) -> list[str]:
        with Store(self.folder) as store:
            return sorted(one.text for held in store.documents() for one in store.of_document(held.id))

    def found(self, question: str, **filters: Any) -> list[str]:
        shelf = Shelf([opened(self.folder)])
        hits = shelf.search(question, filters=Filters(**filters))
        shelf.close()
        return [hit.passage.document.name for hit in hits]


@pytest.fixture
def library(tmp_path: Path) -> Shelved:
    return Shelved(tmp_path / "library")


class TestFiles:
    def test_new_ones_are_added_and_known_ones_are_not_read_again(
        self, papers: Path, library: Shelved, quick: list[str]
    ) -> None:
        paper(papers / "silk.txt", SILK, "Silks of spiders")
        first = library.add(papers)
        assert (first.added, first.unchanged, first.documents, first.passages, first.vectors) == (
            ["silk.txt"],
            0,
            1,
            1,
            0,
        )
        assert first.bytes > (newest(library.folder) or papers).joinpath("keys.npy").stat().st_size
        paper(papers / "sub" / "nacre.md", NACRE)
        second = library.add(papers)
        assert (second.added, second.unchanged, second.documents, second.skipped) == (["nacre.md"], 1, 2, {})
        assert quick == ["silk.txt", "nacre.md"] and library.found("platelets") == ["nacre.md"]
        held = library.documents()["silk.txt"]
        assert held.title == "Silks of spiders" and held.path == str(papers / "silk.txt") and held.pages == 1

    @pytest.mark.usefixtures("quick")
    def test_a_changed_one_takes_the_place_of_what_it_was(self, papers: Path, library: Shelved) -> None:
        path = paper(papers / "a.txt", SILK)
        paper(papers / "b.txt", BONE)
        library.add(papers)
        paper(path, NACRE)
        told = library.add(papers)
        assert (told.added, told.updated, told.unchanged, told.documents) == ([], ["a.txt"], 1, 2)
        assert library.found("platelets") == ["a.txt"] and library.found("alanine") == []

    @pytest.mark.usefixtures("quick")
    def test_update_reads_what_changed_and_names_what_is_gone(self, papers: Path, library: Shelved) -> None:
        for name, text in (("a.txt", SILK), ("b.txt", BONE), ("c.txt", NACRE)):
            paper(papers / name, text)
        library.add(papers)
        paper(papers / "a.txt", "Wood holds water in its rays and swells across the grain.")
        (papers / "b.txt").unlink()
        told = library.update()
        assert (told.updated, told.missing, told.removed, told.unchanged) == (["a.txt"], ["b.txt"], [], 1)
        assert library.found("osteons") == ["b.txt"] and library.found("swells") == ["a.txt"]
        told = library.update(forget=True)
        assert (told.updated, told.missing, told.removed, told.documents) == ([], [], ["b.txt"], 2)
        assert library.found("osteons") == []

    @pytest.mark.usefixtures("quick")
    def test_one_that_changed_and_cannot_be_read_stays_as_it_was(self, papers: Path, library: Shelved) -> None:
        paper(papers / "a.txt", SILK)
        library.add(papers)
        paper(papers / "a.txt", "Too short.")
        assert "no passage of it is kept" in library.update().skipped[str(papers / "a.txt")]
        assert library.found("alanine") == ["a.txt"]

    @pytest.mark.usefixtures("quick")
    def test_a_moved_one_keeps_its_name_and_is_found_where_it_is(self, papers: Path, library: Shelved) -> None:
        old = paper(papers / "a.txt", SILK)
        library.add(papers)
        new = papers / "sub" / "named anew.txt"
        new.parent.mkdir()
        old.rename(new)
        told = library.add(papers)
        assert (told.moved, told.unchanged, told.added) == ({"a.txt": str(new)}, 1, [])
        assert library.documents()["a.txt"].path == str(new) and library.update().missing == []

    @pytest.mark.usefixtures("quick")
    def test_a_copy_elsewhere_is_no_move(self, papers: Path, library: Shelved, tmp_path: Path) -> None:
        paper(papers / "a.txt", SILK)
        library.add(papers)
        shutil.copytree(papers, tmp_path / "copy")
        told = library.add(tmp_path / "copy")
        assert (told.moved, told.unchanged) == ({}, 1)
        assert library.documents()["a.txt"].path == str(papers / "a.txt")

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.usefixtures("quick")
    def test_another_in_the_place_of_a_moved_one_loses_neither(
        self, papers: Path, library: Shelved, together: bool
    ) -> None:
        one = paper(papers / "a.txt", SILK)
        library.add(papers)
        one.rename(papers / "b.txt")
        paper(papers / "a.txt", NACRE)
        told = library.add(papers) if together else library.add(papers / "b.txt")
        assert told.moved == {"a.txt": str(papers / "b.txt")} and told.documents == 1 + together
        assert library.update().documents == 1 + together and library.found("alanine") == ["a.txt"]
        assert library.add(papers).documents == 2
        assert len(library.found("alanine")) == len(library.found("platelets")) == 1

    @pytest.mark.usefixtures("quick")
    def test_two_that_change_places_are_both_moved(self, papers: Path, library: Shelved) -> None:
        one, two = paper(papers / "a.txt", SILK), paper(papers / "b.txt", NACRE)
        library.add(papers)
        one.rename(papers / "c")
        two.rename(one)
        (papers / "c").rename(two)
        told = library.update()
        assert told.moved == {"a.txt": str(two), "b.txt": str(one)} and told.unchanged == 2 and not told.updated
        assert library.found("alanine") == ["a.txt"]

    @pytest.mark.usefixtures("quick")
    def test_the_same_content_twice_is_added_once_and_named(self, papers: Path, library: Shelved) -> None:
        paper(papers / "a.txt", SILK)
        paper(papers / "copy of a.txt", SILK)
        told = library.add(papers)
        assert told.added == ["a.txt"] and told.documents == 1
        assert told.skipped == {str(papers / "copy of a.txt"): f"it is the same as {papers / 'a.txt'}"}

    @pytest.mark.usefixtures("quick")
    def test_two_of_one_name_are_told_apart(self, papers: Path, library: Shelved, tmp_path: Path) -> None:
        paper(papers / "one" / "paper.txt", SILK)
        paper(papers / "two" / "paper.txt", NACRE)
        assert sorted(library.add(papers).added) == ["one/paper.txt", "two/paper.txt"]
        paper(tmp_path / "more" / "paper.txt", BONE)
        paper(tmp_path / "again" / "paper.txt", "Wood holds water in its rays and swells across the grain.")
        assert library.add(tmp_path / "more").added == ["paper.txt"]
        assert library.add(tmp_path / "again").added == ["paper.txt (2)"]
        assert library.found("swells") == ["paper.txt (2)"]

    def test_what_is_not_there_or_cannot_be_read_at_all_is_one_line(self, papers: Path, library: Shelved) -> None:
        with pytest.raises(DataError, match=r"nothing is not there"):
            library.add(papers / "nothing")
        with pytest.raises(DataError, match="no papers in"):
            library.add(papers)
        (papers / "a.pdf").write_bytes(b"")
        with pytest.raises(DataError, match=r"none of 1 papers can be read: .*a.pdf: it is empty"):
            library.add(papers)
        with Store(library.folder) as store:
            assert store.documents() == []


def test_pdfs_that_cannot_be_read_are_named_and_the_rest_goes_on(papers: Path, library: Shelved) -> None:
    shutil.copy(SHIPPED / "02-two-columns.pdf", papers / "good.pdf")
    pdf_of(papers / "locked.pdf", SILK, encrypt="secret")
    Image.new("L", (400, 400), 200).save(papers / "scan.pdf")
    pdf_of(papers / "long.pdf", *["A page."] * 6)
    pdf_of(papers / "short.pdf", "Only five words are here.")
    (papers / "empty.pdf").write_bytes(b"")
    (papers / "page.pdf").write_bytes(b"<!DOCTYPE html><html>You must log in")
    (papers / "cut.pdf").write_bytes((papers / "good.pdf").read_bytes()[:4000])
    (papers / "latin.txt").write_bytes("Festigkeit größer".encode("latin-1"))
    (papers / "gone.pdf").symlink_to(papers / "nothing")
    (papers / "word.docx").write_bytes(b"PK")
    Image.new("L", (300, 400), 200).save(papers / "scan.png")
    with_scan(papers / "cover.pdf", papers / "scan.png")
    told = library.add(papers, most_pages=5)
    why = {Path(name).name: reason for name, reason in told.skipped.items()}
    assert sorted(told.added) == ["cover.pdf", "good.pdf"] and told.dropped == {}
    assert {Path(name).name for name in told.unread} == {"cover.pdf"} and "(2)" in next(iter(told.unread.values()))
    expected = {
        "locked.pdf": "encrypted",
        "scan.pdf": "marker reads scans",
        "long.pdf": "it has 6 pages; at most 5 are read (--most-pages)",
        "short.pdf": "no passage of it is kept: 1 too short",
        "empty.pdf": "it is empty (0 bytes)",
        "page.pdf": "it is no PDF; it begins with '<!DOCTYPE html>",
        "cut.pdf": "it is damaged or cut off",
        "latin.txt": "it is not UTF-8",
        "gone.pdf": "it cannot be read: No such file",
        "papers": "1 .docx, which are not read",
    }
    assert set(why) == set(expected)
    assert [name for name, part in expected.items() if part not in why[name]] == []
    assert library.add(papers, most_pages=9).unchanged == 2  # the same ones are named again, and nothing is lost


def with_scan(path: Path, picture: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path))
    for number, part in enumerate(BONE.split(", ")):
        canvas.drawString(72, 700 - 14 * number, part)
    canvas.showPage()
    canvas.drawImage(str(picture), 0, 0, 595, 842)
    canvas.save()


class TestPages:
    def test_a_sentence_says_the_page_it_begins_on(self, papers: Path, library: Shelved) -> None:
        shutil.copy(SHIPPED / "01-one-column.pdf", papers)
        library.add(papers)
        plain = [" ".join(page.split()) for page in convert(papers / "01-one-column.pdf", "pdfium")]
        with Store(library.folder) as store:
            [document] = store.documents()
            said = [one for passage in store.of_document(document.id) for one in passage.sentences]
        assert document.pages == len(plain) == 4 and {one.page for one in said} == {1, 2, 3}
        wrong = [one for one in said if one.text[:25] not in plain[one.page - 1]]
        assert len(said) > 60 and wrong == []

    @pytest.mark.usefixtures("quick")
    def test_form_feeds_part_a_texts_pages(self, papers: Path, library: Shelved) -> None:
        paper(
            papers / "a.txt",
            f"{SILK} The beak of a squid grows\fsofter towards the muscle. It holds chitin.\f\n\n{BONE}",
        )
        library.add(papers)
        with Store(library.folder) as store:
            [document] = store.documents()
            said = [(one.page, one.text) for held in store.of_document(document.id) for one in held.sentences]
        assert said == [
            (1, SILK),
            (1, "The beak of a squid grows softer towards the muscle."),
            (1, "It holds chitin."),  # the paragraph began on page 1
            (3, BONE),
        ]

    @pytest.mark.usefixtures("quick")
    def test_passages_are_of_like_length_and_lose_no_sentence(self, papers: Path, library: Shelved) -> None:
        told = said(80)
        paper(papers / "a.txt", " ".join(told))
        library.add(papers)
        with Store(library.folder) as store:
            [document] = store.documents()
            held = store.of_document(document.id)
        assert [one.text for passage in held for one in passage.sentences] == told
        sizes = [len(one.text.split()) for one in held]
        assert len(sizes) == 3 and max(sizes) <= 300 and max(sizes) - min(sizes) <= 24


@pytest.mark.usefixtures("quick")
class TestKnown:
    @pytest.mark.parametrize(
        ("page", "title", "doi"),
        [
            (f"# Abstract\n\n{SILK}\n\n## Silks of spiders\n\n{SILK}", "Silks of spiders", ""),
            (
                f"# Tough \x1b[31m nacre\u00ad ﬁlms\n\n{SILK} (doi: 10.1038/Nmat1234)",
                "Tough [31m nacre films",
                "10.1038/nmat1234",
            ),
            (f"{SILK} See https://doi.org/10.1016/0022-5193(75)90012-3.", "", "10.1016/0022-5193(75)90012-3"),
            (
                f"{SILK} {BONE} {NACRE} 10.1002/(SICI)1097-4636(199806)40:3<343::AID-JBM1>3.0.CO;2-H",
                "",
                "10.1002/(sici)1097-4636(199806)40:3<343::aid-jbm1>3.0.co;2-h",
            ),
            (f"{SILK} {BONE} 10.1/x is none, [10.1000/a](https://doi.org/10.1000/a), 10.1000/A.", "", "10.1000/a"),
            (f"{SILK} 10.1000/one and 10.1000/two", "", ""),  # which of them is its own?
            (f"{SILK}\f10.1000/later\n\n# A later heading\n\n{SILK}", "", ""),
        ],
    )
    def test_title_and_doi_stand_on_the_first_page(
        self, papers: Path, library: Shelved, page: str, title: str, doi: str
    ) -> None:
        paper(papers / "a.txt", page)
        library.add(papers)
        [document] = library.documents().values()
        assert (document.title, document.doi, document.year) == (title, doi, None)

    def test_a_list_gives_titles_years_and_dois(self, papers: Path, library: Shelved) -> None:
        paper(papers / "files" / "one.txt", SILK)
        paper(papers / "two.md", NACRE, "Why nacre is tough")
        paper(papers / "three.txt", f"{BONE} doi:10.1000/Bone.3")
        paper(papers / "four.txt", "Wood holds water in its rays and swells across the grain.")
        (papers / "list.bib").write_text(
            "@article{a, title={Silks {\\'a} la carte}, year={1917}, file={:files/one.txt:text}, doi={10.1000/silk}}\n"
            "@article{b, title={Why Nacre Is Tough}, year={2001}}\n"
            "@article{c, title={Another title}, year={2015}, doi={https://doi.org/10.1000/BONE.3}}\n"
        )
        (papers / "files.csv").write_text("title,year,doi,file\nSilks à la carte,1917,10.1000/silk,files/one.txt\n")
        told = library.add(papers)
        assert told.documents == 4 and told.skipped == {}
        known = {name: (one.title, one.year, one.doi) for name, one in library.documents().items()}
        assert known == {
            "one.txt": ("Silks à la carte", 1917, "10.1000/silk"),
            "two.md": ("Why Nacre Is Tough", 2001, ""),
            "three.txt": ("Another title", 2015, "10.1000/bone.3"),
            "four.txt": ("", None, ""),
        }
        assert library.found("water osteons platelets alanine", since=1900, until=2001) == ["one.txt", "two.md"]

    def test_a_list_that_comes_later_tells_of_what_is_in(self, papers: Path, library: Shelved) -> None:
        paper(papers / "nacre.md", NACRE, "Why nacre is tough")
        paper(papers / "bone.txt", f"{BONE} doi:10.1000/bone.3")
        library.add(papers)
        (papers / "list.bib").write_text(
            "@article{b, title={Why Nacre is Tough}, year={2001}, doi={10.1000/nacre}}\n"
            "@article{c, title={How bone resists}, year={2015}, doi={10.1000/bone.3}}\n"
        )
        told = library.add(papers)
        assert (told.unchanged, told.moved, told.added) == (2, {}, [])
        known = {name: (one.title, one.year, one.doi) for name, one in library.documents().items()}
        assert known["nacre.md"] == ("Why Nacre is Tough", 2001, "10.1000/nacre")
        assert known["bone.txt"] == ("How bone resists", 2015, "10.1000/bone.3")

    def test_what_a_list_said_stays_with_a_paper_that_is_that_paper_still(self, papers: Path, library: Shelved) -> None:
        (papers / "list.bib").write_text("@article{b, title={Why Nacre Is Tough}, year={2001}, doi={10.1000/nacre}}\n")
        path = paper(papers / "nacre.md", NACRE, "Why nacre is tough")
        library.add(papers)
        paper(path, f"{NACRE} With notes in its margin.", "Why nacre is tough")
        assert library.update().updated == ["nacre.md"]
        held = library.documents()["nacre.md"]
        assert (held.title, held.year, held.doi) == ("Why Nacre Is Tough", 2001, "10.1000/nacre")
        paper(path, BONE, "How bone resists")  # another paper: no year and no DOI of the one before
        assert library.update().updated == ["nacre.md"]
        held = library.documents()["nacre.md"]
        assert (held.title, held.year, held.doi) == ("How bone resists", None, "")

    def test_a_storage_folder_of_zotero(self, papers: Path, library: Shelved) -> None:
        storage = papers / "storage"
        paper(storage / "ABCD1234" / "Vollrath - 2001 - Silk.txt", SILK)
        paper(storage / "EFGH5678" / "Jackson - 1988 - Nacre.txt", NACRE)
        (storage / "ABCD1234" / ".zotero-ft-cache").write_text("cache")
        (storage / "EFGH5678" / "snapshot.html").write_text("<html>")
        (papers / "My Library.bib").write_text(
            "@article{vollrath, title={Liquid crystalline spinning}, date={2001-03-29}, doi={10.1038/35069000},\n"
            "  file={Full Text:storage/ABCD1234/Vollrath - 2001 - Silk.txt:text/plain}}\n"
        )
        told = library.add(papers)
        assert sorted(told.added) == ["Jackson - 1988 - Nacre.txt", "Vollrath - 2001 - Silk.txt"]
        assert [why for why in told.skipped.values()] == [
            "of other kinds of file it holds 1 .html, which are not read; save them as PDF"
        ]

    def test_pdfs_of_a_zotero_list_are_known_by_their_file(self, papers: Path, library: Shelved) -> None:
        storage = papers / "storage" / "ABCD1234"
        storage.mkdir(parents=True)
        pdf_of(storage / "Vollrath - 2001 - Silk.pdf", f"{SILK} {NACRE}")
        (papers / "My Library.bib").write_text(
            "@article{vollrath, title={Liquid crystalline spinning}, date={2001-03-29}, doi={10.1038/35069000},\n"
            "  file={Full Text PDF:storage/ABCD1234/Vollrath - 2001 - Silk.pdf:application/pdf}}\n"
        )
        told = library.add(papers / "My Library.bib")  # the list alone names its files
        held = library.documents()["Vollrath - 2001 - Silk.pdf"]
        assert told.added == ["Vollrath - 2001 - Silk.pdf"] and held.path == str(storage / "Vollrath - 2001 - Silk.pdf")
        assert (held.title, held.year, held.doi) == ("Liquid crystalline spinning", 2001, "10.1038/35069000")


@pytest.mark.usefixtures("quick")
class TestTongues:
    def test_german_is_kept_and_found_by_its_words(self, papers: Path, library: Shelved) -> None:
        text = "Der Faden der Spinne besteht aus Kristallen. Sie liegen in einer Matrix, die größere Lasten trägt."
        paper(papers / "de.txt", text, "Über die Festigkeit der Seide")
        paper(papers / "en.txt", SILK)
        library.add(papers)
        assert library.found("Kristallen größere Lasten") == ["de.txt"] == library.found("festigkeit")
        assert library.documents()["de.txt"].title == "Über die Festigkeit der Seide" and text in library.texts()

    def test_chinese_with_spaces_is_kept_and_found_by_its_words(self, papers: Path, library: Shelved) -> None:
        text = "蜘蛛丝的强度约为 1.1 GPa ，密度约为 1300 kg/m3 ，由小的晶体组成，晶体位于柔软的基质中."
        paper(papers / "zh.txt", text, "蜘蛛丝的结构与力学性能")
        paper(papers / "en.txt", BONE)
        library.add(papers)
        for question in ("晶体", "柔软的基质", "强度", "丝"):
            assert library.found(question)[0] == "zh.txt", question
        assert library.found("晶体", organism="蜘蛛丝", quantity="强度") == ["zh.txt"]
        assert library.found("光合作用") == []

    def test_chinese_without_spaces_is_kept_sentence_by_sentence(self, papers: Path, library: Shelved) -> None:
        said = [
            "蜘蛛丝由小的晶体组成,晶体位于柔软的基质中。",
            "他说“很强。”",
            "蜘蛛丝的强度约为一千兆帕!",
            "为什么它很坚韧?",
        ]
        paper(
            papers / "zh.txt",
            "".join(said) + "\n\n" + "贝壳由文石片和有机质组成,裂纹在其中偏转。" * 2,
            "蜘蛛丝的结构与力学性能",
        )
        library.add(papers)
        with Store(library.folder) as store:
            [document] = store.documents()
            held = [one.text for passage in store.of_document(document.id) for one in passage.sentences]
        assert held[:4] == said and library.found("裂纹") == ["zh.txt"]


def child(code: str, *arguments: object, wait: bool = True) -> Any:
    begin = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom pipelines.corpus.index.adding import AddOptions, add\n"
    )
    begin += "from pipelines.corpus.index.store import Store\nlibrary, papers = map(Path, sys.argv[1:3])\n"
    code = f"{begin}if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in code.splitlines())
    call = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return (*process.communicate(timeout=60), process.returncode) if wait else process


def six(papers: Path) -> list[str]:
    texts = [
        f"Layer {number} of the shell holds {number + 1} sheets of chitin, one across the other." for number in range(6)
    ]
    for number, text in enumerate(texts):
        paper(papers / f"{number}.txt", text)
    return texts


AFTER_TWO = """
told = []
def tell(event):
    told.append(event)
    if sum(event.type == "document_read" for event in told) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
with Store(library, writing=True) as store:
    add(store, [papers], AddOptions(), tell)
"""
QUICK = """
from pipelines.corpus.converters import convert
from pipelines.corpus.index import adding
from pipelines.corpus.parsing import Parsed
adding.parse = lambda paths, *_: (Parsed(path, tuple(convert(path, 'pdfium'))) for path in paths)
"""
ADDING = f"""{QUICK}
with Store(library, writing=True) as store:
    print(add(store, list(map(Path, sys.argv[2:])), AddOptions()).model_dump_json())
"""
WHILE_INDEXING = f"""{QUICK}
import numpy
numpy.save = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with Store(library, writing=True) as store:
    add(store, [papers], AddOptions())
"""


class TestKilled:
    def test_the_same_call_goes_on_with_nothing_twice(self, papers: Path, library: Shelved) -> None:
        texts = six(papers)
        assert child(AFTER_TWO, library.folder, papers)[2] == -signal.SIGKILL
        assert len(library.documents()) == 3 and newest(library.folder) is None
        assert len(library.found("chitin")) == 3  # what is in can be searched
        told = library.add(papers)
        assert (told.unchanged, len(told.added), told.documents, told.passages) == (3, 3, 6, 6)
        assert library.texts() == texts and sorted(library.found("chitin")) == sorted(library.documents())

    def test_a_half_made_index_is_nobodys(self, papers: Path, library: Shelved) -> None:
        six(papers)
        assert child(WHILE_INDEXING, library.folder, papers)[2] == -signal.SIGKILL
        assert len(library.documents()) == 6 and newest(library.folder) is None
        assert list((library.folder / FOLDER).glob(".staging-*"))
        assert library.add(papers).unchanged == 6 and len(library.found("chitin")) == 6
        assert list((library.folder / FOLDER).iterdir()) == [newest(library.folder)]


def test_two_processes_add_at_the_same_time(papers: Path, library: Shelved, tmp_path: Path) -> None:
    texts = six(papers)
    more = paper(tmp_path / "more" / "0.txt", SILK).parent
    both = [child(ADDING, library.folder, papers, *others, wait=False) for others in ((), (more,))]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    reports = [LibraryReport.model_validate_json(out) for out, _ in ended]
    added = [name for report in reports for name in report.added]
    assert len(added) == len(set(added)) == 7 and sum(report.unchanged for report in reports) == 6
    assert library.texts() == sorted([*texts, SILK]) and all(report.skipped == {} for report in reports)
    library.add(papers)
    assert len(library.found("chitin")) == 6 and library.found("alanine") != []


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestDisks:
    @pytest.mark.usefixtures("quick")
    def test_a_full_one_is_one_line_and_loses_nothing(self, papers: Path, library: Shelved, tmp_path: Path) -> None:
        paper(papers / "a.txt", SILK)
        library.add(papers)
        long = " ".join(said(2500))
        more = paper(tmp_path / "more" / "long.txt", long)
        with full_disk(150_000), pytest.raises(StorageError, match="library"):
            library.add(more)
        assert list(library.documents()) == ["a.txt"] and library.found("alanine") == ["a.txt"]
        assert library.add(more).added == ["long.txt"]

    @pytest.mark.usefixtures("quick")
    def test_a_full_one_while_indexing_leaves_what_is_in(self, papers: Path, library: Shelved) -> None:
        paper(papers / "a.txt", SILK)
        with Store(library.folder, writing=True) as store, full_disk(64), pytest.raises(StorageError):
            add(store, [papers], AddOptions())
        paper(papers / "b.txt", BONE)
        told = library.add(papers)
        assert told.documents == 2 and library.found("osteons") == ["b.txt"]

    def test_a_folder_that_cannot_be_written_is_one_line(self, papers: Path) -> None:
        paper(papers / "a.txt", SILK)
        for folder in (papers / "a.txt" / "library", Path("/proc/library")):
            with pytest.raises(StorageError, match="cannot write"):
                Shelved(folder).add(papers)
