"""A library's store and index: what is found and in what order, filters, several libraries, vectors, damage, copies."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.index import retrieve
from pipelines.corpus.index.adding import fill_vectors, vectors_of
from pipelines.corpus.index.generation import FOLDER, K1, WIDTH, WINDOW, B, build, load, newest, packed, windows
from pipelines.corpus.index.memory import in_memory
from pipelines.corpus.index.retrieve import WORDS, Filters, Hit, Shelf, opened
from pipelines.corpus.index.store import FILE, Document, Passage, Sentence, Store, passage_of
from pipelines.corpus.index.terms import length, terms, words
from workspace.errors import DataError, StorageError, UsageError

SILK = "Dragline silk holds crystals of alanine in a soft matrix."
NACRE = "Nacre stops cracks at its platelets, which slide on a thin organic film."
BONE = "Bone bridges cracks by collagen and turns them at osteons."
BEAK = "The beak of a squid grows softer towards the muscle."


def embed(texts: list[str]) -> Any:
    """Hashed bags of words, of length 1."""
    rows = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in words(text):
            row[zlib.crc32(word.encode()) % WIDTH] += 1
    return rows / np.maximum(1e-9, np.linalg.norm(rows, axis=1, keepdims=True))


def paper(name: str, *texts: str, title: str = "", year: int | None = None) -> tuple[Document, list[Passage]]:
    digest = hashlib.sha256("\0".join([name, *texts]).encode()).hexdigest()
    document = Document(digest[:16], name, f"/papers/{name}", digest, title, year)
    return document, [
        passage_of(document, number, "", [Sentence(text, number + 1)]) for number, text in enumerate(texts)
    ]


def put(store: Store, name: str, *texts: str, **known: Any) -> Document:
    document, passages = paper(name, *texts, **known)
    assert store.put(document, passages, 0.0)
    return document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library of four papers, indexed by words."""
    with Store(tmp_path / "library", writing=True) as store:
        put(store, "silk.pdf", SILK, title="Silks of spiders", year=2005)
        put(store, "nacre.pdf", NACRE, title="Nacre", year=1999)
        put(store, "bone.pdf", BONE, title="How bone resists", year=2015)
        put(store, "beak.pdf", BEAK)
        build(store)
    return tmp_path / "library"


@pytest.fixture
def shelf(folder: Path) -> Iterator[Shelf]:
    held = Shelf([opened(folder)])
    yield held
    held.close()


def names(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.document.name for hit in hits]


class TestTerms:
    def test_words_are_brought_to_their_stems_and_figures_stay(self) -> None:
        assert terms("The cracks of 2.5 GPa were bridged, a 1,000 times") == [
            "crack",
            "2.5",
            "gpa",
            "bridg",
            "1,000",
            "time",
        ]
        assert terms("Ｎａｃｒｅ ﬁbre") == terms("nacre fibre")

    def test_wide_scripts_are_signs_and_pairs_apart_from_what_stands_between(self) -> None:
        assert words("蜘蛛丝") == ["蜘", "蛛", "丝", "蜘蛛", "蛛丝"]
        assert words("强度150MPa的silk很强") == ["强", "度", "强度", "150mpa", "的", "silk", "很", "强", "很强"]
        assert set(terms("蛛丝")) <= set(terms("蜘蛛丝的结构"))
        assert (length("a web of silk"), length("蜘蛛丝的"), length("")) == (4, 3, 0)

    @given(st.text(max_size=80), st.text(max_size=80))
    def test_a_text_has_the_terms_of_its_parts_in_order(self, one: str, other: str) -> None:
        assert terms(f"{one} \n {other}") == terms(one) + terms(other)
        assert all(term and term == term.strip() for term in terms(one))


class TestStore:
    def test_a_document_comes_back_as_it_was_put(self, tmp_path: Path) -> None:
        document = Document("d1", "a.pdf", "/papers/a.pdf", "f" * 64, "Silk", 2001, "10.1/x", 3, {"short": 2})
        said = [Sentence("Silk is strong.", 2, "Vollrath 2001", "function"), Sentence("“Sehr” 强.", 3)]
        with Store(tmp_path, writing=True) as store:
            assert store.put(document, [passage_of(document, 0, "Threads", said)], 0.0) == "a.pdf"
        with Store(tmp_path) as store:
            assert store.documents() == [document] and store.counts() == {"d1": 1} and store.size() == (1, 0)
            [held] = store.of_document("d1")
            assert held == store.passage(held.id) and held.document == document and held.heading == "Threads"
            assert held.sentences == tuple(said) and held.text == "Silk is strong. “Sehr” 强." and held.page == 2
            assert store.passage("nothing") is None and store.passages([99]) == {}

    def test_the_same_document_is_kept_once_and_one_of_its_name_gets_a_number(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store, Store(tmp_path, writing=True) as other:
            put(store, "a.pdf", SILK)
            before = store.revision
            assert other.put(*paper("a.pdf", SILK), 0.0) == "" and store.size() == (1, 0)
            assert other.put(*paper("a.pdf", NACRE), 0.0) == "a.pdf (2)"  # as two processes meet
            assert store.put(*paper("a.pdf", BONE), 0.0) == "a.pdf (3)"
            assert [one.name for one in store.documents()] == ["a.pdf", "a.pdf (2)", "a.pdf (3)"]
            assert store.revision > before

    def test_one_that_replaces_another_takes_its_name(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store:
            old = put(store, "a.pdf", SILK, NACRE)
            assert store.put(*paper("a.pdf", BONE), 0.0, replaces=old.id) == "a.pdf"
            assert store.size() == (1, 0) and store.of_document(old.id) == []

    def test_a_document_is_there_whole_or_not_at_all(self, tmp_path: Path) -> None:
        document, passages = paper("a.pdf", SILK, NACRE)

        def broken() -> Iterator[Passage]:
            yield passages[0]
            raise KeyboardInterrupt

        with Store(tmp_path, writing=True) as store:
            revision = store.revision
            with pytest.raises(KeyboardInterrupt):
                store.put(document, broken(), 0.0)
            assert store.documents() == [] and store.size() == (0, 0) and store.revision == revision
            assert store.put(document, passages, 0.0)

    def test_taken_out_with_its_passages(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store:
            one, two = put(store, "a.pdf", SILK, NACRE), put(store, "b.pdf", BONE)
            keys = store.keys_where([one.id])
            assert len(keys) == 2 and store.remove([one.id, "nothing"]) == 1
            assert store.documents() == [two] and store.size() == (1, 0) and store.passages(sorted(keys)) == {}
            put(store, "a.pdf", SILK, NACRE)
            assert not keys & store.keys_where([one.id])  # a key is never another passage's

    @pytest.mark.parametrize(
        ("content", "told"),
        [(None, "is no library"), (b"no database " * 99, "cannot be read"), ("newer", "newer Studio")],
    )
    def test_what_is_no_library_is_one_line(self, tmp_path: Path, content: bytes | str | None, told: str) -> None:
        if content == "newer":
            with Store(tmp_path, writing=True) as store:
                store._connection.execute("PRAGMA user_version = 99")
        elif isinstance(content, bytes):
            (tmp_path / FILE).write_bytes(content)
        for act in (lambda: Store(tmp_path), lambda: opened(tmp_path)):
            with pytest.raises(DataError, match=told):
                act()

    def test_where_nothing_can_be_written_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="cannot write"):
            Store(tmp_path / "file" / "library", writing=True)


def bm25(texts: Sequence[str], question: Sequence[str]) -> list[float]:
    """The shares of the best possible by the formula, from scratch."""
    rows = [Counter(terms(text)) for text in texts]
    mean = sum(map(Counter.total, rows)) / len(rows)
    total, most = [0.0] * len(rows), 0.0
    for term in question:
        holding = sum(term in row for row in rows)
        rarity = math.log(1 + (len(rows) - holding + 0.5) / (holding + 0.5))
        gives = [rarity * row[term] / (row[term] + K1 * (1 - B + B * row.total() / mean)) for row in rows]
        total = [one + other for one, other in zip(total, gives, strict=True)]
        most += max(gives)
    return [one / most for one in total]


class TestWords:
    def test_the_scores_are_those_of_the_formula(self, shelf: Shelf) -> None:
        hits = shelf.search("which platelets stop cracks", 4)
        texts = [f". {SILK} Silks of spiders", f". {NACRE} Nacre", f". {BONE} How bone resists", f". {BEAK} "]
        expected = bm25(texts, terms("platelets stop cracks"))
        assert names(hits) == ["nacre.pdf", "bone.pdf"]
        assert [hit.words for hit in hits] == pytest.approx([expected[1], expected[2]], rel=1e-5)
        assert expected[1] > 0.9 and all(hit.score == hit.words and hit.meaning == 0 for hit in hits)

    def test_a_title_is_searched_too_and_what_holds_no_word_is_not_found(self, shelf: Shelf) -> None:
        assert names(shelf.search("spiders")) == ["silk.pdf"]
        assert shelf.search("photosynthesis") == [] and shelf.search("") == [] and shelf.search("the of and") == []

    def test_no_more_than_asked_for(self, shelf: Shelf) -> None:
        assert names(shelf.search("cracks", 1)) == ["nacre.pdf"] or names(shelf.search("cracks", 1)) == ["bone.pdf"]
        assert len(shelf.search("cracks muscle crystals", 100)) == 4

    def test_passages_of_a_document_that_fits_come_before_alike_ones_elsewhere(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store:
            put(store, "apart.pdf", "A resin of phenol is cast.")
            put(store, "about.pdf", "A resin of phenol is cast.", "Sutures of turtles interlock.")
            build(store)
        found = Shelf([opened(tmp_path)]).search("resin phenol sutures turtles interlock")
        assert [(hit.passage.document.name, hit.passage.page) for hit in found] == [
            *[("about.pdf", 2), ("about.pdf", 1), ("apart.pdf", 1)]
        ]

    def test_a_library_of_nothing_finds_nothing(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store:
            build(store)
        assert Shelf([opened(tmp_path)]).search("cracks") == []
        with Store(tmp_path, writing=True) as store:
            put(store, "a.pdf", "... of the and")  # no term at all
            build(store)
        assert Shelf([opened(tmp_path)]).search("cracks", filters=Filters(organism="silk")) == []


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            (Filters(documents=("nacre",)), {"nacre.pdf"}),
            (Filters(documents=("BONE RESISTS", "silk.pdf")), {"bone.pdf", "silk.pdf"}),
            (Filters(since=2005), {"silk.pdf", "bone.pdf"}),
            (Filters(until=2005), {"silk.pdf", "nacre.pdf"}),
            (Filters(since=2000, until=2010), {"silk.pdf"}),
            (Filters(organism="squid"), {"beak.pdf"}),
            (Filters(organism="Bones"), {"bone.pdf"}),
            (Filters(quantity="organic films"), {"nacre.pdf"}),
            (Filters(quantity="organic muscle"), set()),
            (Filters(organism="nacre", since=2000), set()),
            (Filters(), {"silk.pdf", "nacre.pdf", "bone.pdf", "beak.pdf"}),
        ],
    )
    def test_only_what_they_admit_is_found(self, shelf: Shelf, filters: Filters, expected: set[str]) -> None:
        for _ in range(2):  # the second time from memory
            assert set(names(shelf.search("crystals cracks beak", filters=filters))) == expected

    def test_an_id_names_a_document_too(self, shelf: Shelf) -> None:
        [one] = [one for one in shelf.documents() if one.name == "beak.pdf"]
        assert names(shelf.search("beak cracks", filters=Filters(documents=(one.id,)))) == ["beak.pdf"]

    def test_an_unknown_document_and_a_word_that_is_none_are_told(self, shelf: Shelf) -> None:
        with pytest.raises(UsageError, match=r"unknown document 'nacer.pdf'; did you mean 'nacre.pdf'"):
            shelf.search("cracks", filters=Filters(documents=("nacer.pdf",)))
        for filters in (Filters(organism="the"), Filters(quantity="--")):
            with pytest.raises(UsageError, match="has no word that is searched for"):
                shelf.search("cracks", filters=filters)


class TestSeveral:
    def test_hits_of_all_libraries_by_score(self, folder: Path, tmp_path: Path) -> None:
        with Store(tmp_path / "other", writing=True) as store:
            put(store, "wood.pdf", "Wood stops cracks at platelets of film.", "Spruce holds water.")
            build(store)
        shelf = Shelf([opened(folder), opened(tmp_path / "other")])
        hits = shelf.search("cracks at platelets", 3)
        assert len(hits) == 3 and set(names(hits)) == {"nacre.pdf", "wood.pdf"}
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert [one.name for one in shelf.documents()] == ["beak.pdf", "bone.pdf", "nacre.pdf", "silk.pdf", "wood.pdf"]
        for hit in hits:
            assert shelf.passage(hit.passage.id) == hit.passage
        assert shelf.passage("nothing") is None
        assert names(shelf.search("cracks water crystals", filters=Filters(documents=("wood",)))) == ["wood.pdf"] * 2
        shelf.close()

    def test_a_copied_folder_is_a_library_of_its_own(self, folder: Path, tmp_path: Path, shelf: Shelf) -> None:
        shutil.copytree(folder, tmp_path / "copy")
        with Store(tmp_path / "copy", writing=True) as store:
            store.remove([one.id for one in store.documents() if one.name != "nacre.pdf"])
            build(store)
        shutil.move(tmp_path / "copy", tmp_path / "moved")
        assert names(Shelf([opened(tmp_path / "moved")]).search("cracks")) == ["nacre.pdf"]
        assert set(names(shelf.search("cracks"))) == {"nacre.pdf", "bone.pdf"}


class TestChanges:
    def test_what_was_taken_out_meanwhile_is_not_found_and_the_rest_is(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store:
            many = put(store, "many.pdf", *(f"Cracks and cracks, cracks number {number}." for number in range(90)))
            put(store, "one.pdf", BONE)
            build(store)
            shelf = Shelf([opened(tmp_path)])
            assert "one.pdf" not in names(shelf.search("cracks", 5))
            store.remove([many.id])
            assert names(shelf.search("cracks", 5)) == ["one.pdf"]

    def test_an_older_index_is_searched_until_a_newer_takes_its_place(self, folder: Path, shelf: Shelf) -> None:
        with Store(folder, writing=True) as store:
            put(store, "wood.pdf", "Wood stops cracks by its rays.")
            before = newest(folder)
            assert before is not None
            assert "wood.pdf" not in names(Shelf([opened(folder)]).search("cracks"))
            after = build(store)
            assert build(store) == after == newest(folder) and not before.exists()
        assert "wood.pdf" in names(Shelf([opened(folder)]).search("cracks"))
        assert set(names(shelf.search("cracks"))) == {"nacre.pdf", "bone.pdf"}  # one that is open goes on

    def test_an_index_in_the_making_is_left_alone_and_a_dead_ones_rest_goes(self, folder: Path) -> None:
        class Meanwhile(Store):
            def texts(self) -> Iterator[tuple[int, str, str]]:
                with Store(folder, writing=True) as other:
                    put(other, "last.pdf", "Last cracks.")
                    build(other)
                yield from super().texts()

        dead = folder / FOLDER / ".staging-123456789012"
        (dead / "bm25").mkdir(parents=True)
        with Meanwhile(folder, writing=True) as store:
            put(store, "first.pdf", "First cracks.")
            build(store)
        assert {"first.pdf", "last.pdf"} <= set(names(Shelf([opened(folder)]).search("cracks")))
        assert not [path for path in (folder / FOLDER).iterdir() if path.name.startswith(".")]

    @pytest.mark.parametrize("harm", ["gone", "empty", "cut", "other"])
    def test_a_damaged_index_is_one_line_and_is_made_anew(
        self, folder: Path, harm: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        target = newest(folder)
        assert target is not None
        for path in sorted(path for path in target.rglob("*") if path.is_file() and path.name != "manifest.json"):
            whole = path.read_bytes()
            if harm == "gone":
                path.unlink()
            else:
                path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "other": b"[1, 2]"}[harm])
            try:
                assert names(Shelf([opened(folder)]).search("platelets")) == ["nacre.pdf"], path.name
            except DataError as fault:
                assert "the index of" in fault.message and f"remove {folder / FOLDER}" in str(fault)
            path.write_bytes(whole)
        shutil.rmtree(folder / FOLDER)
        assert names(Shelf([opened(folder)]).search("platelets")) == ["nacre.pdf"] and newest(folder) is not None

    def test_without_an_index_it_is_made_or_held_in_memory(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.rmtree(folder / FOLDER)

        def full(_: Store) -> Path:
            raise StorageError("cannot write: no space is left on the disk")

        monkeypatch.setattr(retrieve, "build", full)
        assert names(Shelf([opened(folder)]).search("platelets")) == ["nacre.pdf"] and newest(folder) is None
        monkeypatch.undo()
        assert names(Shelf([opened(folder)]).search("platelets")) == ["nacre.pdf"] and newest(folder) is not None


def vector(text: str) -> Any:
    return embed([text])[0]


class TestVectors:
    def test_they_are_bytes_that_give_the_cosine_again(self, folder: Path) -> None:
        with Store(folder, writing=True) as store:
            assert fill_vectors(store, embed) == 4 and store.size() == (4, 4)
            index = load(build(store))
            blobs = [blob for _, blob in store.vectors()]
        assert index.vectors.dtype == np.int8 and isinstance(index.vectors, np.memmap)
        assert index.starts.tolist() == [0, 1, 2, 3, 4] and blobs[3] == packed(embed([BEAK]))
        question = "softer towards the muscle"
        [best, *_] = Shelf([opened(folder)], vector).search(question, words=0)
        assert names([best]) == ["beak.pdf"] and best.score == best.meaning
        assert best.meaning == pytest.approx(float(vector(question) @ vector(BEAK)), abs=0.01)

    def test_one_is_minus_one_to_one_as_bytes(self) -> None:
        rows = np.zeros((2, WIDTH), np.float32)
        rows[0, :4] = [1, -1, 0.5, 1.0001]
        assert np.frombuffer(packed(rows), np.int8).reshape(2, WIDTH)[0, :5].tolist() == [127, -127, 64, 127, 0]

    def test_words_and_meaning_are_added_by_the_rule(self, folder: Path) -> None:
        with Store(folder, writing=True) as store:
            fill_vectors(store, embed)
            build(store)
        shelf = Shelf([opened(folder)], vector)
        for share in (WORDS, 0.8):
            for hit in shelf.search("which platelets stop cracks", words=share):
                assert hit.score == pytest.approx(share * hit.words + (1 - share) * hit.meaning, abs=1e-6)
        alone = shelf.search("which platelets stop cracks", words=1)
        assert [hit.score for hit in alone] == [hit.words for hit in alone]
        assert names(shelf.search("cracks", filters=Filters(since=2010))) == ["bone.pdf"]

    def test_a_passage_without_one_is_found_by_its_words(self, folder: Path) -> None:
        with Store(folder, writing=True) as store:
            fill_vectors(store, embed)
            put(store, "late.pdf", "Teeth of limpets hold goethite.")
            build(store)
        [hit] = Shelf([opened(folder)], vector).search("goethite")
        assert names([hit]) == ["late.pdf"] and hit.meaning == 0 and hit.words == pytest.approx(1)

    def test_they_go_on_where_they_were_stopped(self, tmp_path: Path) -> None:
        texts = [f"Lamella {number} is glued to lamella {number + 1}." for number in range(150)]
        asked: list[str] = []

        def embedder(given: list[str]) -> Any:
            if len(asked) > 100 and stops:
                raise MemoryError
            asked.extend(given)
            return embed(given)

        stops = True
        with Store(tmp_path, writing=True) as store:
            put(store, "a.pdf", *texts)
            with pytest.raises(MemoryError):
                fill_vectors(store, embedder)
            assert store.size() == (150, 128)
        stops, told = False, []
        with Store(tmp_path, writing=True) as store:
            assert fill_vectors(store, embedder, lambda done, of: told.append((done, of))) == 22
            assert told == [(150, 150)] and sorted(asked) == sorted(texts)  # each once
            assert fill_vectors(store, embedder) == 0
            held = store.passages([key for key, _ in store.vectors()])
            for key, blob in store.vectors():
                assert blob == packed(embed([held[key].text]))

    def test_a_long_passage_has_one_for_every_few_sentences(self, tmp_path: Path) -> None:
        document = Document("d", "a.pdf", "", "", "Silk")
        said = [f"Sentence {number} has just these eight words here." for number in range(9)]
        said += ["word " * (WINDOW + 5) + "end."]
        passage = passage_of(document, 0, "", [Sentence(text, 1) for text in said])
        pieces = windows(passage)
        assert [piece.removeprefix("Silk: ") for piece in pieces] == [" ".join(said[:5]), " ".join(said[5:9]), said[9]]
        [blob] = vectors_of([passage], embed)
        assert len(blob) == 3 * WIDTH
        with Store(tmp_path, writing=True) as store:
            store.put(document, [passage, passage_of(document, 1, "", [Sentence("Glue is wet.", 2)])], 0.0)
            fill_vectors(store, embed)
            build(store)
        library = opened(tmp_path)
        assert library.index.starts.tolist() == [0, 3, 4]
        [best, *_] = Shelf([library], vector).search("sentence 8", words=0)
        nearest = max(float(vector("sentence 8") @ row) for row in embed(pieces))
        assert best.passage.page == 1 and best.meaning == pytest.approx(nearest, abs=0.01)

    def test_a_question_is_embedded_once(self, folder: Path) -> None:
        with Store(folder, writing=True) as store:
            fill_vectors(store, embed)
            build(store)
        asked: list[str] = []

        def counted(text: str) -> Any:
            asked.append(text)
            return vector(text)

        shelf = Shelf([opened(folder)], counted)
        first = shelf.search("platelets")
        assert shelf.search("platelets") == first and asked == ["platelets"]
        shelf.search("osteons", words=1)
        assert asked == ["platelets"]


class TestMemory:
    passages = tuple(
        passage
        for name, text in (("silk", SILK), ("nacre", NACRE), ("bone", BONE))
        for passage in paper(name, text, year=2000)[1]
    )

    def test_it_finds_what_a_library_on_disk_does(self, tmp_path: Path) -> None:
        with Store(tmp_path, writing=True) as store:
            for one in self.passages:
                store.put(one.document, [one], 0.0)
            fill_vectors(store, embed)
            build(store)
        shelves = [Shelf([opened(tmp_path)], vector), Shelf([in_memory(self.passages, tmp_path / "v", embed)], vector)]
        for question in ("cracks at osteons", "alanine"):
            for filters in (Filters(), Filters(documents=("bone", "silk"), since=1990), Filters(organism="nacre")):
                one, other = (shelf.search(question, filters=filters) for shelf in shelves)
                assert names(one) == names(other)
                assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], abs=1e-6)
        assert shelves[0].documents() == shelves[1].documents()
        assert shelves[1].passage(self.passages[1].id) is not None

    def test_vectors_are_made_once_and_kept_by_content(self, tmp_path: Path) -> None:
        def refuse(texts: list[str]) -> Any:
            raise AssertionError(texts)

        first = in_memory(self.passages, tmp_path / "v", embed)
        again = in_memory(self.passages, tmp_path / "v", refuse)
        assert np.array_equal(first.index.vectors, again.index.vectors) and len(again.index.vectors) == 3
        assert len(in_memory(self.passages, tmp_path / "v").index.vectors) == 3
        assert len(in_memory(self.passages[:2], tmp_path / "v").index.vectors) == 0  # others, and no model
        [kept] = (tmp_path / "v").iterdir()
        kept.write_bytes(kept.read_bytes()[:-1])
        assert np.array_equal(in_memory(self.passages, tmp_path / "v", embed).index.vectors, first.index.vectors)

    def test_a_place_that_cannot_be_written_is_no_hindrance(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        held = Shelf([in_memory(self.passages, tmp_path / "file" / "v", embed)], vector)
        assert names(held.search("osteons", words=0))[0] == "bone"
        assert Shelf([in_memory((), tmp_path / "v", embed)], vector).search("osteons") == []


@given(
    st.lists(
        st.lists(st.sampled_from(["crack", "silk", "bone", "web", "glue", "horn"]), min_size=1),
        min_size=1,
        max_size=6,
    )
)
def test_the_best_possible_score_is_one_and_order_is_that_of_the_formula(documents: list[list[str]]) -> None:
    texts = [" ".join(words) for words in documents]
    held = [passage for n, text in enumerate(texts) for passage in paper(f"{n}", text)[1]]
    hits = Shelf([in_memory(held)]).search("crack glue", 10)
    expected = {f"{n}": share for n, share in enumerate(bm25_of(texts)) if share > 0}
    assert {hit.passage.document.name: hit.words for hit in hits} == pytest.approx(expected, rel=1e-4)
    assert all(hit.score <= 1 + 1e-6 for hit in hits)


def bm25_of(texts: list[str]) -> list[float]:
    known = [term for term in terms("crack glue") if any(term in terms(text) for text in texts)]
    return bm25(texts, known) if known else [0.0] * len(texts)


def test_the_manifest_says_what_is_in_it(folder: Path) -> None:
    target = newest(folder)
    assert target is not None
    told = json.loads((target / "index.json").read_text())
    assert told["passages"] == 4 and told["vectors"] == 0 and told["terms"] > 20
