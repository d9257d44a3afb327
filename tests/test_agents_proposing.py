"""Sources proposed by what they can do: found for a brief that names none, shown, chosen by a person or by fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import studio
from agents.documents import Brief
from agents.evidence.proposing import SHOWN, Candidate, proposed
from agents.roles import director
from pipelines.corpus.index.memory import in_memory
from pipelines.corpus.index.retrieve import Shelf
from pipelines.corpus.index.store import Document, Sentence, passage_of
from studio.runs.shelf import shipped
from ui import cli
from workspace.atlas.statements import statements
from workspace.atlas.table import atlas
from workspace.errors import Interrupted, UsageError
from workspace.events import Event
from workspace.ledger import Ledger

CRACKS = "a panel that stops cracks"
FOG = "a surface that harvests water from fog"
IMPACT = "a helmet liner that absorbs impact"
COLOUR = "a colour without pigment"
WISHES = (
    CRACKS,
    FOG,
    IMPACT,
    COLOUR,
    "a light bridge deck",
    "a glue that sets in water",
    "a wall that damps vibration",
)
FAMILIAR = {"Spider dragline silk", "Trabecular bone", "Morpho butterfly scale", "Abalone nacre", "Spider orb web"}


@pytest.fixture(scope="module")
def library() -> Shelf:
    """What ships, searched by words alone."""
    return Shelf([in_memory(list(shipped()))])


def names(found: list[Candidate]) -> list[str]:
    return [one.name for one in found]


# --- what is found


@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_finds_different_materials_that_can_do_it(library: Shelf, wish: str) -> None:
    found = proposed(library, None, Brief(text=wish))
    assert 3 <= len(found) <= SHOWN
    assert len(set(names(found))) == len(found)
    for one in found:
        [material] = [held for held in atlas().values() if held.name == one.name]
        assert (one.function, one.mechanism) in [(held.function, held.how) for held in material.functions]
        assert one.function in one.why
        said = next(held for held in statements(material) if held.id == one.passage)
        assert one.mechanism in said.text
        assert all(source.cite in one.source for source in material.sources)


@pytest.mark.parametrize(
    ("wish", "does", "least"),
    [
        (CRACKS, ("crack",), 5),
        (FOG, ("water",), 4),
        (IMPACT, ("absorb",), 5),
        (COLOUR, ("colour", "white"), 4),
        ("a glue that sets in water", ("glue", "stick"), 3),
        ("a light bridge deck", ("low weight", "span"), 4),
        ("a quiet wall", ("vibration",), 3),
        ("a roof that insulates against heat", ("insulate", "heat"), 3),
    ],
)
def test_what_is_found_can_do_what_is_wished(library: Shelf, wish: str, does: tuple[str, ...], least: int) -> None:
    found = proposed(library, None, Brief(text=wish))
    assert sum(any(word in one.function for word in does) for one in found) >= least, [one.function for one in found]


def test_familiar_and_unfamiliar_ones_are_found(library: Shelf) -> None:
    found = {name for wish in WISHES for name in names(proposed(library, None, Brief(text=wish)))}
    assert len(found) >= 15  # not the same few for all
    assert len(found & FAMILIAR) >= 2
    assert len(found - FAMILIAR) >= 10


def test_they_are_unlike_each_other(library: Shelf) -> None:
    group = {material.name: material.group for material in atlas().values()}
    for wish in (CRACKS, IMPACT, COLOUR):
        found = proposed(library, None, Brief(text=wish))
        assert len({group[one.name] for one in found}) >= 4
        assert len({one.function for one in found}) >= 3


@pytest.mark.parametrize(
    "wish",
    ["qwertz uiop", "poetry", "the terms of a loan at a bank", "a thing", "ein Klebstoff", "竹", "???", "the and of a"],
)
def test_where_nothing_fits_none_is_proposed(library: Shelf, wish: str) -> None:
    assert proposed(library, None, Brief(text=wish)) == []


def test_a_library_without_the_atlas_proposes_none() -> None:
    document = Document("mine.pdf", "mine.pdf", "", "/mine.pdf", "Cracks")
    like = Document("atlas/no-such-thing", "atlas/no-such-thing", "", "/atlas/no-such-thing", "Cracks")
    said = [Sentence("A shell that stops cracks turns each of them aside at its seams.", 1)]
    for held in ([], [document], [like]):
        library = Shelf([in_memory([passage_of(one, 1, "Results", said) for one in held])])
        assert proposed(library, None, Brief(text=CRACKS)) == []


def test_the_same_wish_finds_the_same(library: Shelf) -> None:
    again = Shelf([in_memory(list(reversed(shipped())))])
    for wish in WISHES:
        first, other, third = (proposed(held, None, Brief(text=wish)) for held in (library, library, again))
        assert first == other == third


def test_fewer_are_shown_where_fewer_are_asked_for(library: Shelf) -> None:
    whole = proposed(library, None, Brief(text=CRACKS))
    for count in (1, 2, 3):
        assert proposed(library, None, Brief(text=CRACKS), count) == whole[:count]


def test_meaning_finds_what_words_do_not_and_leaves_out_what_is_far(library: Shelf) -> None:
    wish = Brief(text="an umbrella for fog")
    near = proposed(library, lambda _, texts: [0.9 if "glare" in one else 0.1 for one in texts], wish)
    none = proposed(library, lambda _, texts: [0.1 for _ in texts], Brief(text="poetry of fogs and cicadas"))
    assert all("fog" in f"{one.function} {one.mechanism}" or "glare" in one.function for one in [*near, *none])
    liked = names(proposed(library, None, Brief(text=CRACKS)))[-1]
    first = proposed(library, lambda _, texts: [float(liked in _marked(one)) for one in texts], Brief(text=CRACKS))[0]
    assert first.name == liked


def _marked(text: str) -> list[str]:
    return [
        material.name
        for material in atlas().values()
        for one in material.functions
        if text == f"{one.function}: {one.how}"
    ]


@given(st.text(min_size=3, max_size=200))
def test_whatever_is_wished_is_taken(library: Shelf, text: str) -> None:
    try:
        wish = Brief(text=text)
    except ValueError:
        return
    found = proposed(library, None, wish)
    assert len(set(names(found))) == len(found) <= SHOWN


# --- the answer

SHOWN_ONES = [{"name": "Conch shell"}, {"name": "Dentin"}, {"name": "Cork"}]


@pytest.mark.parametrize(
    ("answer", "sources"),
    [
        (True, ["Conch shell", "Dentin"]),
        ({"approve": True}, ["Conch shell", "Dentin"]),
        ({"sources": ["3"]}, ["Cork"]),
        ({"sources": [2, " spider silk "]}, ["Dentin", "spider silk"]),
        ({"sources": ["3", "1", "3", "cork", "CORK"]}, ["Cork", "Conch shell"]),
        ({"sources": ["竹", "nacre."]}, ["竹", "nacre"]),
        ({"sources": ("1", "2", "3", "oak", "ash", "yew")}, ["Conch shell", "Dentin", "Cork", "oak", "ash", "yew"]),
    ],
)
def test_a_choice_is_understood(answer: Any, sources: list[str]) -> None:
    found = director.understood("before_designing", answer, SHOWN_ONES)
    assert found == {"choice": "design", "sources": sources}


@pytest.mark.parametrize(
    "answer",
    [None, False, "1", {}, {"approve": False}, {"sources": []}, {"sources": "1"}, {"sources": ["1"] * 7}]
    + [{"prompt": "a plain red square"}, {"choice": "finish"}, {"sources": ["1"], "approve": True}, {"sources": None}]
    + [{"sources": [said]} for said in ("", "  ", "0", "4", "-1", "1,2", "1.5", "x" * 200, "x", "\u200b", "silk (of a")]
    + [{"sources": ["1", "99"]}, {"sources": [None, {}]}, {"sources": [[]]}],
)
def test_other_choices_are_refused_in_one_line(answer: Any) -> None:
    with pytest.raises(UsageError) as told:
        director.understood("before_designing", answer, SHOWN_ONES)
    assert "choices: " in str(told.value) and "\n" not in str(told.value)


# --- in a run


def call(*words: str) -> int:
    return cli.main(list(words))


def stop_at(kind: str, number: int = 1) -> Callable[[Event], None]:
    left = [number]

    def listen(event: Event) -> None:
        left[0] -= event.type == kind
        if event.type == kind and not left[0]:
            raise KeyboardInterrupt

    return listen


def sources_of(run_id: str) -> list[str]:
    made = studio.open_run(run_id).design
    assert made is not None
    return [one.name for one in made.inspirations]


def keys_of(home: Path, run_id: str) -> list[str]:
    with Ledger(home / "ledger.db") as ledger:
        return [row.key for row in ledger.keys(run_id)]


def question_of(run_id: str) -> dict[str, Any]:
    run = studio.open_run(run_id)
    assert run.status == "waiting" and run.question is not None
    return run.question


@pytest.mark.usefixtures("scripted_studio")
class TestRuns:
    def test_a_run_that_does_not_ask_takes_those_that_fit_best(self, home: Path, library: Shelf) -> None:
        run = studio.design(CRACKS, seed=5)
        assert run.status == "finished"
        assert sources_of(run.run_id) == names(proposed(library, None, Brief(text=CRACKS)))[:2]

    @pytest.mark.parametrize(
        "options", [{"inspirations": ["nacre", "bone"]}, {"choose": True, "inspirations": ["nacre"]}]
    )
    def test_sources_that_a_person_names_are_taken_and_nothing_is_proposed(
        self, home: Path, options: dict[str, Any]
    ) -> None:
        run = studio.design(CRACKS, seed=5, **options)
        assert "scientist/candidates" not in keys_of(home, run.run_id)
        assert run.question is None or run.question["kind"] == "before_painting"
        assert sources_of(run.run_id) == options["inspirations"]

    @pytest.mark.parametrize("ask", [False, True])
    def test_where_nothing_fits_the_scientist_chooses_and_nobody_is_asked(self, home: Path, ask: bool) -> None:
        run = studio.design("poetry", seed=5, ask=ask, choose=ask)
        assert run.question is None or run.question["kind"] == "before_painting"
        assert sources_of(run.run_id) == ["bone", "bamboo"]

    def test_without_evidence_nothing_is_proposed(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUDIO_EVIDENCE__ENABLED", "false")
        run = studio.design(CRACKS, seed=5, ask=True, choose=True)
        assert run.question is not None and run.question["kind"] == "before_painting"
        assert "scientist/candidates" not in keys_of(home, run.run_id)

    def test_a_person_is_shown_five_with_function_mechanism_source_and_why(
        self, home: Path, library: Shelf, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("design", CRACKS, "--ask", "--choose") == 75
        told = capsys.readouterr().err
        run_id = studio.list_runs()[0].run_id
        asked = question_of(run_id)
        assert asked["kind"] == "before_designing"
        found = proposed(library, None, Brief(text=CRACKS))
        assert asked["payload"]["candidates"] == [one.model_dump(mode="json") for one in found] and len(found) == 5
        for number, one in enumerate(found, 1):
            assert f"{number}. {one.name}: {one.why}. {one.mechanism} ({one.source})" in told
        assert f"studio resume {run_id} --approve" in told and "--source NUMBER|NAME" in told
        assert keys_of(home, run_id) == ["scientist/candidates", "question/before_designing/0"]  # nothing else was done

    def test_a_choice_by_number_and_by_name_goes_on(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run_id = studio.design(CRACKS, seed=5, ask=True, choose=True).run_id
        second = question_of(run_id)["payload"]["candidates"][1]["name"]
        assert call("resume", run_id, "--source", "2", "--source", "spider silk", "--json") == 75
        assert json.loads(capsys.readouterr().out)["question"]["kind"] == "before_painting"
        assert sources_of(run_id) == [second, "spider silk"]
        assert studio.resume(run_id, approve=True).question is not None
        assert studio.resume(run_id, approve=True).status == "finished"

    def test_approval_takes_the_first_two(self, home: Path) -> None:
        run_id = studio.design(CRACKS, seed=5, ask=True, choose=True).run_id
        shown = [one["name"] for one in question_of(run_id)["payload"]["candidates"]]
        studio.resume(run_id, approve=True)
        assert question_of(run_id)["kind"] == "before_painting" and sources_of(run_id) == shown[:2]

    def test_what_is_no_choice_is_refused_and_the_run_still_waits(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run_id = studio.design(CRACKS, seed=5, ask=True, choose=True).run_id
        given: list[tuple[dict[str, Any], str]] = [
            ({"source": ("6",)}, "there is no source '6' .choices: 1 to 5, or a name of your own"),
            ({"source": ("1", "99")}, "there is no source '99'"),
            ({"source": ("",)}, "there is no source ''"),
            ({"choice": "finish"}, "is not understood"),
            ({"source": ("1",), "approve": True}, "not several"),
        ]
        for answer, told in given:
            with pytest.raises(UsageError, match=told):
                studio.resume(run_id, **answer)
            assert question_of(run_id)["kind"] == "before_designing"
        for words in (["--source", "0"], ["--source", " "], ["--prompt", "a plain red square"]):
            capsys.readouterr()
            assert call("resume", run_id, *words) == 2
            errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
            assert len(errors) == 1
            assert question_of(run_id)["kind"] == "before_designing"
        assert not [key for key in keys_of(home, run_id) if key.startswith("answer/")]
        studio.resume(run_id, source=("3",))
        assert question_of(run_id)["kind"] == "before_painting"

    def test_a_person_in_a_terminal_is_asked_until_there_is_a_choice(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said, usual = iter(["7", " , ", "4, spider silk", "approve", "approve"]), []

        def ask(*_: Any, default: str = "", **__: Any) -> str:
            usual.append(default)
            return next(said)

        monkeypatch.setattr("ui.terminal.design.interactive", lambda as_json: True)
        monkeypatch.setattr("rich.prompt.Prompt.ask", ask)
        assert call("design", CRACKS, "--ask", "--choose") == 0
        told = capsys.readouterr().out
        assert "there is no source 7; choices: 1 to 5" in told and usual[0] == "1, 2"
        run_id = studio.list_runs()[0].run_id
        assert sources_of(run_id)[1] == "spider silk" and len(sources_of(run_id)) == 2

    def test_a_person_may_leave_the_choice(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("ui.terminal.design.interactive", lambda as_json: True)
        monkeypatch.setattr("rich.prompt.Prompt.ask", lambda *_, **__: "stop")
        assert call("design", CRACKS, "--ask", "--choose") == 75
        assert question_of(studio.list_runs()[0].run_id)["kind"] == "before_designing"

    @pytest.mark.parametrize(("kind", "number"), [("step_finished", 1), ("token", 3), ("design_ready", 1)])
    def test_a_killed_run_asks_nothing_twice_and_keeps_its_choice(self, home: Path, kind: str, number: int) -> None:
        run_id = studio.design(CRACKS, seed=5, ask=True, choose=True).run_id
        shown = question_of(run_id)["payload"]["candidates"]
        with pytest.raises(Interrupted):
            studio.resume(run_id, source=("2", "spider silk"), listener=stop_at(kind, number))
        again = studio.resume(run_id)
        assert again.question is not None and again.question["kind"] == "before_painting"
        assert sources_of(run_id) == [shown[1]["name"], "spider silk"]
        keys = keys_of(home, run_id)
        assert len(keys) == len(set(keys)) and sum(key.startswith("question/before_designing") for key in keys) == 1
        asked = [event for event in studio.watch(run_id) if event.type == "question"]
        assert [event.kind for event in asked] == ["before_designing", "before_painting"]

    def test_a_run_killed_before_it_asked_asks_once(self, home: Path) -> None:
        for kind in ("step_finished", "question"):
            with pytest.raises(Interrupted):
                studio.design(CRACKS, seed=5, ask=True, choose=True, listener=stop_at(kind))
            run_id = studio.list_runs()[0].run_id
            assert studio.resume(run_id).status == "waiting"
            assert question_of(run_id)["kind"] == "before_designing"
            studio.resume(run_id, source=("3",))
            assert sources_of(run_id) == [question_names(run_id)[2]]

    def test_made_again_it_is_the_same(self, home: Path) -> None:
        run_id = studio.design(CRACKS, seed=5, images=1, ask=True, choose=True).run_id
        for answer in ({"source": ("4", "spider silk")}, {"approve": True}, {"approve": True}):
            done = studio.resume(run_id, **answer)
        assert done.status == "finished"
        made = studio.replay(run_id)
        assert made.identical and sources_of(made.replay_id) == sources_of(run_id)
        assert question_names(made.replay_id) == question_names(run_id)


def question_names(run_id: str) -> list[str]:
    first = next(event for event in studio.watch(run_id) if event.type == "question")
    return [one["name"] for one in first.payload["candidates"]]
