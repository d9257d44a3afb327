"""The Studio page's run without a browser: events folded into a view, views into HTML, read with a cursor."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from studio import Pace
from studio.runs.record import RunSummary
from tests.fixtures_page import ANSWER, DESIGN, FakeDoor, story
from ui.desk.render import TEMPLATES, render
from ui.desk.run import desk as page_desk
from ui.desk.run import results as page_results
from ui.desk.run import status as page_parts
from ui.desk.run.drafts import draft, last_written, listed
from ui.desk.run.estimate import about, left, place
from ui.desk.run.following import observer_of
from ui.desk.run.observing import Observer
from ui.desk.run.offers import Can
from ui.desk.run.view import View
from ui.desk.status import error
from ui.desk.table import ACTIONS, READERS
from workspace.errors import DataError, StorageError, UsageError
from workspace.events import (
    CritiqueReady,
    Decision,
    Notice,
    PicturePreview,
    PictureProgress,
    PromptReady,
    Question,
    RunFinished,
    RunStarted,
    RunStopped,
    StepFinished,
    StepStarted,
    Token,
)

MEASURES = {
    "solid_fraction": 0.61,
    "pitch": 1230.4,
    "pitch_micrometres": 1743.2,
    "thickness": 5.1,
    "thickness_micrometres": 720.0,
    "orientation_degrees": 3.0,
    "anisotropy": 0.31,
    "pores": 412,
    "palette": [{"name": "cream"}],
}
BRIEF = {"text": "A light panel that stops cracks", "inspirations": ["nacre", "leaf"]}
ALL = Can(branch=True, keep=True, rate=True)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FakeDoor]:
    fake = FakeDoor(tmp_path)
    yield fake
    fake.close()


@pytest.fixture
def told() -> View:
    """A finished run."""
    view = View("r1")
    for event in story("r1", BRIEF):
        view.add(event)
    return view


def submitted(door: FakeDoor) -> str:
    return door.submit(BRIEF["text"], inspirations=["nacre", "leaf"])  # type: ignore[arg-type]


def conversation(view: View) -> str:
    return "".join(
        [page_parts.wish(view), *(page_parts.spoken(turn, view.over, can=ALL) for turn in view.turns.values())]
    )


def pictures(view: View, chosen: int | None = None) -> str:
    return "".join(page_results.round_of(view, number, chosen, can=ALL) for number in view.rounds())


class Read:
    """What a reading of a run gave: the head, the parts and steps by name."""

    def __init__(self, door: Any, run_id: str, after: int = 0, chosen: str = "") -> None:
        html = READERS["run"](door, {"run": run_id, "after": str(after), "chosen": chosen})
        self.head = dict(re.findall(r'data-([a-z]+)="([^"]*)"', html.partition(">")[0]))
        found = re.findall(r'<template data-(part|step)="([^"]*)"[^>]*>(.*?)</template>', html, re.DOTALL)
        self.parts = {name: body for kind, name, body in found if kind == "part"}
        self.steps = {name: body for kind, name, body in found if kind == "step"}
        self.seq = int(self.head["seq"])


def settled(door: FakeDoor, run_id: str, after: int = 0) -> Read:
    Read(door, run_id)
    observer_of(door).settle(run_id, 10)
    return Read(door, run_id, after)


# The view


def test_a_whole_story_folds_into_a_finished_view(told: View) -> None:
    assert told.status == "finished" and told.over
    assert told.seconds == 33.0
    assert [turn.role for turn in told.turns.values()] == ["scientist", "scientist", "engineer", "illustrator"]
    assert told.turns["relate"].text == ANSWER and told.turns["relate"].done
    assert told.design == DESIGN
    assert sorted(told.pictures) == ["images/00.png", "images/01.png"]


def test_a_turn_is_rewritten_when_its_step_starts_again() -> None:
    view = View("r1")
    view.add(StepStarted(role="scientist", key="a", label="Relating"))
    view.add(Token(role="scientist", key="a", text="half a sen"))
    view.add(RunStopped(status="interrupted", message="stopped", exit_code=130))
    view.add(RunStarted(brief=BRIEF, profile="p", resumed=True))
    view.add(StepStarted(role="scientist", key="a", label="Relating"))
    view.add(Token(role="scientist", key="a", text="whole"))
    assert view.status == "running" and view.message == ""
    assert [turn.text for turn in view.turns.values()] == ["whole"]
    view.add(StepFinished(role="scientist", key="a", text="whole.", seconds=2))
    assert view.turns["a"].text == "whole."


def test_a_copy_stays_as_it_is(told: View) -> None:
    kept = told.copy()
    told.add(StepStarted(role="critic", key="late", label="Looking", seq=99))
    told.add(Notice(text="late", seq=100))
    assert "late" not in kept.turns and kept.notices == [] and kept.seq < 99


def test_the_observer_follows_a_run_once_and_anew_after_it_ended(door: FakeDoor) -> None:
    observer = Observer(door.watch)
    run_id = door.submit("a panel")
    observer.attach(run_id)
    thread = observer._watches[run_id].thread
    observer.attach(run_id)
    assert observer._watches[run_id].thread is thread
    door.let(run_id)
    observer.settle(run_id, 10)
    assert observer.view(run_id).status == "finished"
    assert not observer.attach_anew(run_id, None)  # its job's row is as it was
    assert observer.attach_anew(run_id, "another")
    observer.settle(run_id, 10)
    assert observer._watches[run_id].thread is not thread
    assert observer.view(run_id).status == "finished"


def test_the_observer_forgets_old_views_that_are_over() -> None:
    observer = Observer(lambda run_id: iter(story(run_id, BRIEF)), keep=2)
    for i in range(6):
        observer.attach(f"r{i}")
        observer.settle(f"r{i}", 10)
    assert len(observer._watches) <= 3
    assert observer.follows("r5") and not observer.follows("r0")


def test_a_part_is_drawn_once_for_all_pages() -> None:
    observer, drawn = Observer(lambda run_id: iter(story(run_id, BRIEF))), list[int]()

    def draw() -> str:
        drawn.append(1)
        return "x"

    assert [observer.drawn("r", "card", mark, draw) for mark in (1, 1, 2)] == ["x"] * 3 and len(drawn) == 2


def test_a_broken_event_log_is_told_in_the_view() -> None:
    def watch(run_id: str) -> Iterator[Any]:
        yield RunStarted(brief=BRIEF, profile="p")
        raise DataError("events.jsonl:7: is not an event")

    observer = Observer(watch)
    observer.attach("r1")
    observer.settle("r1", 10)
    view = observer.view("r1")
    assert (view.status, view.message) == ("failed", "events.jsonl:7: is not an event")


def test_a_watch_that_ends_without_a_word_is_an_interruption() -> None:
    observer = Observer(lambda run_id: iter([RunStarted(brief=BRIEF, profile="p")]))
    observer.attach("r1")
    observer.settle("r1", 10)
    assert observer.view("r1").status == "interrupted"


# HTML


class _Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "![x](http://evil.example/a.png)",
        "[x](javascript:alert(1))",
        "<http://evil.example>",
        "[x]: http://evil.example\n\n[x]",
        "${alert(1)} {{constructor}} `tick`",
        "</pre></article></section></template>",
        "{<b>",
        "|a|b|\n|-|-|\n|<i onclick=x>|2|",
    ]
) | st.text(max_size=60)


def _hostile(text: str) -> View:
    view = View("r1")
    for event in story("r1", {"text": text, "inspirations": [text]}):
        view.add(event)
    design = {
        key: text if isinstance(value, str) else [text] if isinstance(value[0], str) else value
        for key, value in DESIGN.items()
        if key != "architecture"
    }
    for key in ("inspirations", "components", "properties"):
        design[key] = [{k: text if isinstance(v, str) else v for k, v in item.items()} for item in DESIGN[key]]
    view.design = design | {"architecture": {"scale": text, "description": text}}
    view.prompts = {1: {"long": text, "short": text}}
    view.add(StepStarted(role="critic", key="k", label=text))
    view.add(Token(role="critic", key="k", text=text))
    view.add(StepStarted(role="engineer", key="e", label=text))
    view.add(Token(role="engineer", key="e", text=f"title: {text}\nrisks[0]: {text}\n"))
    critique = {"picture": 0, "seen": text, "fit": 3, "checks": [{"question": text, "answer": "no"}], "change": text}
    view.add(CritiqueReady(critique=critique, round=1))
    view.add(Decision(choice=text, reason=text, round=1, best=0))
    view.add(Notice(text=text))
    view.add(Question(kind="before_painting", text=text, payload={"prompt": {"short": text}}))
    view.add(RunStopped(status="waiting", message=text, exit_code=1))
    return view


@settings(deadline=None)
@given(text=HOSTILE)
def test_what_models_and_people_write_stays_text(text: str) -> None:
    whole_page, harmless = _whole(text), _whole("A panel")
    seen = _Tags()
    seen.feed(whole_page)
    assert not seen.tags & {"script", "iframe", "object", "embed", "link", "meta", "style", "template"}
    assert whole_page.count("<svg") == harmless.count("<svg")  # the page's own signs
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert all(link.startswith(("/pictures/r1/", "/export/r1.", "#")) for link in seen.links)


def _whole(text: str) -> str:
    view = _hostile(text)
    drafted = page_results._drafted(draft(f"title: {text}\nrisks[0]: {text}\nproperties[0].value: {text}"))
    return "".join(
        (
            page_parts.status(view),
            conversation(view),
            page_results.card(view, can=ALL),
            pictures(view),
            error(text),
            page_desk.question(view),
            drafted,
        )
    )


@settings(deadline=None)
@given(name=HOSTILE)
def test_names_in_addresses_are_quoted(name: str) -> None:
    view = _hostile("A panel")
    view.run_id = name
    seen = _Tags()
    seen.feed(pictures(view))
    assert seen.links and all(re.fullmatch(r"/pictures/[\w.~%-]*/[\w.~%-]+", link) for link in seen.links)
    run = RunSummary(name, "running", "A panel", 0.0, Path("nowhere"))
    listed_runs = _Tags()
    listed_runs.feed(page_parts.past([run], now=0))
    assert [unquote(link.removeprefix("?run=")) for link in listed_runs.links if "run=" in link] == [name]


MADE = {"html", "drawn", "run.chart", "one.chart"}
"""What other templates rendered, and what `ui.desk.training.charts` drew."""


def test_only_what_was_rendered_passes_a_template_unescaped() -> None:
    found = [
        expression
        for path in TEMPLATES.glob("*.html")
        for expression in re.findall(r"([\w.|]+)\|safe", path.read_text(encoding="utf-8"))
    ]
    assert {one for one in found if not one.endswith("|prose")} == MADE
    assert sorted(one for one in found if one.endswith("|prose")) == ["spec.info.description|prose", "turn.text|prose"]
    with pytest.raises(UndefinedError, match="line"):
        render("error")


def test_markdown_of_a_model_is_rendered_and_json_is_laid_out(told: View) -> None:
    html = conversation(told)
    assert "<strong>making them take a longer way</strong>" in html
    assert "<li>Nacre stacks hard plates in a soft film.</li>" in html
    assert '"title": "Venous nacre laminate"' in unescape(html)


def test_the_card_holds_every_part_of_the_design(told: View) -> None:
    html = page_results.card(told)
    for text in (
        "Venous nacre laminate",
        "chitosan",
        "1,240 J/m²",
        "12.5 %",
        "0.28",
        "micrometre scale",
        "Helmet shells",
    ):
        assert text in html
    for text in [*DESIGN["mechanisms"], *DESIGN["fabrication"], *DESIGN["risks"]]:
        assert text in html
    assert html.count("not supported") >= 4 and "3 assumed" in html  # each claim says how it stands


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1740, "um", "1.74 mm"),
        (0.85, "um", "850 nm"),
        (12.5, "%", "12.5 %"),
        (0.28, "1", "0.28"),
        (1240, "J/m2", "1,240 J/m²"),
    ],
)
def test_figures_read_as_people_write_them(value: float, unit: str, shown: str) -> None:
    assert page_results.figure(value, unit) == shown


def test_the_card_fills_while_it_is_written() -> None:
    view = View("r1")
    view.add(RunStarted(brief=BRIEF, profile="p"))
    view.add(StepStarted(role="engineer", key="e", label="Writing"))
    view.add(
        Token(
            role="engineer",
            key="e",
            text="title: Venous nacre\ncomponents[0].name: Brick layer\nproperties[0].name: Pitch\n",
        )
    )
    view.add(Token(role="engineer", key="e", text="properties[0].value: 1740\nproperties[0].unit: um\nrisks[0]: Water"))
    html = page_results.card(view)
    assert "being written" in html and "Venous nacre" in html and "Brick layer" in html and "1.74 mm" in html
    assert "5 fields are written, the last: Risk 1." in page_parts.spoken(view.turns["e"], over=False)
    assert "properties[0]" not in conversation(view)
    view.add(RunStopped(status="interrupted", message="stopped", exit_code=130))
    assert page_results.card(view) == ""


def test_a_draft_is_read_from_lines_and_from_the_beginning_of_json() -> None:
    made = draft('{"title": "Venous na')
    assert made == {"title": "Venous na"}
    assert draft("{nonsense") == {} and draft("no field here\n") == {}
    made = draft("mechanisms[1]: b\nmechanisms[0]: a\narchitecture.scale: metre\nmechanisms: x")
    assert made["architecture"] == {"scale": "metre"}
    assert listed(draft("mechanisms[1]: b\nmechanisms[0]: a"), "mechanisms") == ["a", "b"]
    assert last_written("components[1].role: holds\n") == "Part 2, role" and last_written("words") == ""


def test_pictures_show_seed_prompt_and_critique(told: View) -> None:
    critique = {"picture": 1, "seen": "Rows of bricks.", "fit": 8, "checks": [{"question": "Bricks?", "answer": "yes"}]}
    told.add(CritiqueReady(critique=critique, round=1))
    html = pictures(told)
    assert html.count("<figure") == 2
    assert "seed 700" in html and "seed 701" in html and "staggered bricks" in html
    assert html.count("fit 8 of 10") == 1 and "1 of 1 questions yes" in html
    assert "<em>Best</em>" not in html


def test_the_picture_that_the_director_holds_for_the_best_is_marked_and_a_person_may_overrule(told: View) -> None:
    for picture, fit in ((0, 6), (1, 8)):
        checks = [{"question": "Bricks?", "answer": "yes"}]
        critique = {"picture": picture, "seen": "Rows of bricks.", "fit": fit, "checks": checks, "measures": MEASURES}
        told.add(CritiqueReady(critique=critique | {"change": "Thicker bricks."}, round=1))
    told.add(Decision(choice="finish", reason="The best picture scores 0.90.", round=1, best=1))
    first, second = pictures(told).split("<figure")[1:]
    assert "<em>Best</em>" in second and "The best picture scores 0.90." in second
    assert "Best" not in first and "Keep this one instead" in first and "Keep this one instead" not in second
    assert "pitch 1,230 px (1.74 mm), thickness 5.1 px (720 µm)" in first
    assert 'data-words="Thicker bricks."' in first and 'data-at="illustrator/prompt-1"' in first
    first, second = pictures(told, chosen=0).split("<figure")[1:]
    assert "<em>Your choice</em>" in first and "<em>" not in second and "Keep this one instead" in second


def test_rounds_have_a_strip_with_their_best_scores(told: View) -> None:
    assert page_results.strip(told) == ""
    told.add(PromptReady(prompt={"short": "again"}, round=2))
    told.add(CritiqueReady(critique={"picture": 0, "fit": 6, "checks": [], "seen": "x"}, round=1))
    told.add(Decision(choice="repaint", reason="", round=1, best=0))
    assert "Round 1<b>6</b><small>repaint</small>" in page_results.strip(
        told
    ) and "Round 2<b>–</b>" in page_results.strip(told)


@pytest.mark.parametrize(
    ("status", "words"),
    [("queued", "Queued"), ("running", "Designing"), ("finished", "Finished"), ("failed", "Failed")],
)
def test_the_status_line_says_what_goes_on(status: str, words: str) -> None:
    view = View("r1", status=status, message="the disk is full")
    html = page_parts.status(view)
    assert f"<b>{words}</b>" in html
    assert ("the disk is full" in html) == (status == "failed")
    assert ("Resume goes on" in html) == (status == "failed")
    assert ('data-do="run/stop"' in html) == (status in ("queued", "running"))
    assert ('data-do="run/resume"' in html) == (status == "failed")


def test_a_place_in_the_queue_and_the_time_left_are_said() -> None:
    assert "third in line" in page_parts.status(View("r1", status="queued", waits_for=2))
    assert place(0) == "next in line" and place(40) == "number 41 in line"
    assert "about 3 minutes left" in page_parts.status(View("r1", status="running"), 190.0)
    assert [about(seconds) for seconds in (4, 43, 600, 7200)] == [
        "a few seconds",
        "about 40 seconds",
        "about 10 minutes",
        "about 2.0 hours",
    ]


def test_what_is_left_is_what_such_steps_took_before(told: View) -> None:
    pace = Pace(runs=3, turn=10, design=30, prompt=2, picture=5, critique=3)
    assert pace.expected(3, 2, 1) == 3 * 10 + 30 + 2 + 2 * 8
    assert Pace().expected(3, 2, 1) is None and left(told, Pace(), 3, 2, 1, 0) is None
    view = View("r1", status="running")
    assert left(view, pace, 3, 2, 1, 0) == pace.expected(3, 2, 1)
    view.add(StepStarted(role="scientist", key="a", label="x", at=100))
    assert left(view, pace, 3, 2, 1, 104) == 74.0
    assert left(view, pace, 3, 2, 1, 900) == 68.0  # longer than before, and still not less than the others take
    view.add(StepFinished(role="scientist", key="a", text="x", seconds=4))
    assert left(view, pace, 3, 2, 1, 900) == 68.0


def test_the_tab_says_how_far_a_run_is(told: View) -> None:
    assert page_parts.title(told) == "✓ Venous nacre laminate · Studio"
    view = View("r1", status="running", brief=BRIEF, phase="Pictures", progress=(4, 8))
    assert page_parts.title(view) == "70% A light panel that stops cracks · Studio"


def test_notices_are_folded_into_one_line(told: View) -> None:
    told.add(Notice(text="the long prompt is longer than its encoder reads"))
    html = page_parts.status(told)
    assert html.index("<summary>1 note</summary>") < html.index("the long prompt is longer")


def test_the_clock_counts_sessions_not_the_pause_between() -> None:
    view = View("r1")
    for event in (
        RunStarted(brief=BRIEF, profile="p", at=100),
        StepStarted(role="scientist", key="a", label="Relating", at=101),
        Token(role="scientist", key="a", text="half", at=102),
        RunStopped(status="interrupted", message="stopped", exit_code=130, at=160),
    ):
        view.add(event)
    assert "writing" not in conversation(view) and "half" in conversation(view) and "broken off" in conversation(view)
    view.add(RunStarted(brief=BRIEF, profile="p", resumed=True, at=1000))
    assert 'data-since="1000.0" data-before="60.0"' in page_parts.status(view)
    assert "writing" in conversation(view)


def test_painting_is_shown_as_progress(told: View, door: FakeDoor) -> None:
    view = View("r1", status="running")
    view.add(PictureProgress(round=1, step=3, steps=8))
    html = page_parts.status(view, skipping=True)
    assert "painting, step 3 of 8" in html and 'data-do="run/skip"' in html
    assert 'aria-valuenow="3"' in page_desk.painting(door, view)
    assert page_desk.painting(door, told) == ""


def test_a_preview_is_shown_while_its_picture_is_painted(door: FakeDoor) -> None:
    folder = door.home / "runs" / "r1" / "previews"
    folder.mkdir(parents=True)
    (folder / "01.jpg").write_bytes(b"\xff\xd8preview")
    (folder / "02.jpg").write_bytes(b"no picture")
    view = View("r1", status="running")
    view.add(PictureProgress(round=1, step=3, steps=8))
    for index, path in enumerate(("previews/01.jpg", "previews/02.jpg", "../../ledger.db")):
        view.add(PicturePreview(round=1, index=index, path=path))
    html = page_desk.painting(door, view)
    assert html.count("data:image/jpeg;base64,") == 1 and "Picture 1, being painted" in html


def test_past_designs_link_to_their_run(door: FakeDoor) -> None:
    assert "will be listed here" in page_parts.past([])
    run_id = door.submit("<b>A panel</b>")
    door.let(run_id)
    html = READERS["run/past"](door, {"run": run_id})
    assert f'href="?run={run_id}" data-run-link aria-current="page"' in html
    assert "&lt;b&gt;A panel" in html and "1 minute ago" in html and "00.png" in html


# A run read with a cursor


def test_a_reading_gives_only_what_changed(door: FakeDoor) -> None:
    run_id = submitted(door)
    door.let_to(run_id, "step_finished")
    first = settled_to(door, run_id, "relate")
    assert set(first.parts) == {"status", "wish", "question"} and list(first.steps) == ["relate"]
    again = Read(door, run_id, first.seq)
    assert set(again.parts) == {"status"} and not again.steps
    door.let(run_id)
    last = settled(door, run_id, first.seq)
    assert {"card", "round-1", "painting"} <= set(last.parts) and "wish" not in last.parts
    assert list(last.steps) == ["design", "json", "picture"] and last.head["state"] == "finished"
    assert int(last.head["wait"]) > int(first.head["wait"])
    assert set(Read(door, run_id, last.seq).parts) == {"status"}
    assert set(Read(door, run_id, 10_000).steps) == {"relate", "design", "json", "picture"}  # a log that began anew


def settled_to(door: FakeDoor, run_id: str, key: str) -> Read:
    """Read until a step is finished."""
    for _ in range(1000):
        found = Read(door, run_id)
        if "is-done" in found.steps.get(key, ""):
            return found
        threading.Event().wait(0.01)
    raise AssertionError(f"{key} was never finished")


def test_a_person_s_choice_of_picture_is_read_at_once(door: FakeDoor) -> None:
    run_id = submitted(door)
    door.let(run_id)
    seen = settled(door, run_id)
    reply = ACTIONS["run/keep"](door, {"run": run_id, "picture": "1"})
    assert "run" in reply.refresh and door.held == {run_id: 1}
    now = Read(door, run_id, seen.seq)
    assert "Your choice" in now.parts["round-1"] and now.head["chosen"] == "1"
    assert "round-1" not in Read(door, run_id, seen.seq, "1").parts
    ACTIONS["run/keep"](door, {"run": run_id, "picture": ""})
    assert "Your choice" not in Read(door, run_id, seen.seq, "1").parts["round-1"] and door.held == {}


def test_without_a_run_the_newest_finished_one_is_shown_or_words(door: FakeDoor) -> None:
    assert "No design on the table yet" in READERS["run"](door, {}) and "data-idea" in READERS["run"](door, {})
    run_id = submitted(door)
    door.let(run_id)
    assert f'data-run="{run_id}"' in READERS["run"](door, {})
    assert "A new design" in READERS["run"](door, {"new": "1"})


@pytest.mark.parametrize("run_id", ["../../etc", "20261121-120000-fake-9999", "<script>", "x" * 500, "%2e%2e", "-"])
def test_an_unknown_run_is_one_line(door: FakeDoor, run_id: str) -> None:
    for name in ("run", "run/step"):
        with pytest.raises(UsageError, match="unknown run"):
            READERS[name](door, {"run": run_id, "how": "edit"})
    for name in ("run/stop", "run/resume", "run/skip", "run/again", "run/answer", "run/keep", "run/branch"):
        with pytest.raises(UsageError, match="unknown run"):
            ACTIONS[name](door, {"run": f"{run_id}/", "choice": "approve", "at": "relate"})


def test_stop_then_resume(door: FakeDoor) -> None:
    run_id = submitted(door)
    door.let_to(run_id, "step_finished")
    Read(door, run_id)
    assert "stops" in ACTIONS["run/stop"](door, {"run": run_id}).say and door.stopped == [run_id]
    stopped = settled(door, run_id)
    assert stopped.head["state"] == "interrupted" and "Resume" in stopped.parts["status"]
    ACTIONS["run/resume"](door, {"run": run_id})
    assert door.resumed == [run_id]
    door.states[run_id] = "queued"
    assert Read(door, run_id).head["state"] == "queued"  # as the queue says, whatever its events said last
    del door.states[run_id]
    door.let(run_id)
    assert settled(door, run_id).head["state"] == "finished"


def test_a_run_that_is_gone_on_with_elsewhere_is_seen_at_work(door: FakeDoor) -> None:
    run_id = submitted(door)
    door.let_to(run_id, "step_finished")
    door.end(run_id, "interrupted", "stopped by the user")
    assert settled(door, run_id).head["state"] == "interrupted"
    door.go_on(run_id)  # in a terminal, say
    now = Read(door, run_id)
    assert now.head["state"] == "running" and "Stop" in now.parts["status"] and "Resume" not in now.parts["status"]
    door.let(run_id)
    assert settled(door, run_id).head["state"] == "finished"


def test_a_run_is_skipped_and_made_again(door: FakeDoor) -> None:
    run_id = submitted(door)
    ACTIONS["run/skip"](door, {"run": run_id})
    assert door.skipped == [run_id]
    reply = ACTIONS["run/again"](door, {"run": run_id})
    assert reply.go.startswith("/?run=") and reply.go != f"/?run={run_id}"


def test_a_press_that_is_refused_says_why(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run_id: str) -> None:
        raise StorageError("the disk is full")

    run_id = submitted(door)
    monkeypatch.setattr(door, "go_on", full)
    with pytest.raises(StorageError, match="the disk is full"):
        ACTIONS["run/resume"](door, {"run": run_id})


def test_a_stop_that_was_gone_on_from_is_not_the_end(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    on = threading.Event()

    def events(run_id: str) -> Iterator[Any]:
        yield RunStarted(brief=BRIEF, profile="p", seq=1)
        yield RunStopped(status="interrupted", message="stopped by the user", exit_code=130, seq=2)
        on.wait(10)  # the run is queued again, and its worker takes long to begin
        yield RunStarted(brief=BRIEF, profile="p", resumed=True, seq=3)
        yield RunFinished(folder="", seconds=1.0, seq=4)

    run_id = door.submit("A panel")
    door.states[run_id] = "queued"
    monkeypatch.setattr(door, "watch", events)
    assert Read(door, run_id).head["state"] == "queued"
    on.set()
    door.states[run_id] = "finished"
    assert settled(door, run_id).head["state"] == "finished"


# What a run waits with


def _waiting(door: FakeDoor, kind: str, payload: dict[str, Any]) -> str:
    run_id = door.submit("A panel")
    asked = Question(run_id=run_id, seq=2, kind=kind, text="Go on?", payload=payload)
    door.stories[run_id] = [
        RunStarted(run_id=run_id, seq=1, brief=BRIEF, profile="p"),
        asked,
        RunStopped(run_id=run_id, seq=3, status="waiting", message="waits for an answer", exit_code=75),
    ]
    door.let(run_id)
    return run_id


def test_sources_are_chosen_in_the_page(door: FakeDoor) -> None:
    one = {
        "name": "Pomelo peel",
        "function": "damp",
        "mechanism": "Liquid is squeezed.",
        "why": "it can damp",
        "source": "F.",
    }
    run_id = _waiting(door, "before_designing", {"candidates": [one, one | {"name": "Cork"}]})
    html = settled(door, run_id).parts["question"]
    assert "Pomelo peel" in html and "Liquid is squeezed." in html and "It can damp. F." in html
    answer = ACTIONS["run/answer"]
    asked = {"run": run_id, "kind": "before_designing", "choice": "sources"}
    answer(door, asked | {"sources": ["1", "2"], "own": "nacre; bone"})
    answer(door, asked | {"sources": "2", "own": ""})
    answer(door, asked | {"choice": "approve"})
    assert [one.get("source", one.get("approve")) for one in door.answers] == [
        ("1", "2", "nacre", "bone"),
        ("2",),
        True,
    ]
    refused = answer(door, asked)
    assert refused.at == "own" and "at least one source" in refused.error


@pytest.mark.parametrize("kind", ["before_painting", "after_critique"])
def test_a_prompt_is_accepted_edited_or_redirected_in_the_page(door: FakeDoor, kind: str) -> None:
    payload = {"prompt": {"short": "bricks, cream", "long": "Rows of bricks"}, "round": 1, "best": 0}
    run_id = _waiting(door, kind, payload)
    read = settled(door, run_id)
    assert "bricks, cream</textarea>" in read.parts["question"] and read.head["state"] == "waiting"
    answer = ACTIONS["run/answer"]
    refused = answer(door, {"run": run_id, "choice": "prompt", "prompt": "short"})
    assert refused.at == "prompt" and "Picture prompt" in refused.error and door.answers == []
    answer(door, {"run": run_id, "choice": "prompt", "prompt": "bricks of cream and moss"})
    answer(door, {"run": run_id, "choice": "rethink", "prompt": "bricks, cream"})
    answer(door, {"run": run_id, "choice": "approve", "prompt": "bricks, cream"})
    assert [{k: v for k, v in one.items() if k != "run_id"} for one in door.answers] == [
        {"prompt": "bricks of cream and moss"},
        {"choice": "rethink"},
        {"approve": True},
    ]


# Other lines of a run


def test_a_step_is_edited_redirected_or_tried_again_in_a_branch(door: FakeDoor) -> None:
    run_id = submitted(door)
    door.let(run_id)
    settled(door, run_id)
    sheet = READERS["run/step"](door, {"run": run_id, "at": "relate", "how": "edit"})
    assert "**making them take a longer way**" in unescape(sheet) and 'data-at="relate"' in sheet
    document = READERS["run/step"](door, {"run": run_id, "at": "json", "how": "edit"})
    assert '"title": "Venous nacre laminate"' in unescape(document)
    words = READERS["run/step"](door, {"run": run_id, "at": "picture", "how": "redirect", "words": "Thicker <b>"})
    assert "Thicker &lt;b&gt;</textarea>" in words
    for query in ({"at": "nothing", "how": "edit"}, {"at": "relate", "how": "otherwise"}):
        with pytest.raises(UsageError, match="unknown"):
            READERS["run/step"](door, {"run": run_id, **query})
    branch = ACTIONS["run/branch"]
    asked = {"run": run_id, "at": "relate"}
    assert branch(door, asked | {"edit": "Other words"}).go.startswith("/?run=")
    branch(door, asked | {"redirect": "Thicker", "seed": "7"})
    branch(door, asked | {"seed": ""})
    kept = [{k: v for k, v in one.items() if k not in ("run_id", "at")} for one in door.branched]
    assert kept[:2] == [{"edit": "Other words"}, {"redirect": "Thicker", "seed": 7}] and set(kept[2]) == {"seed"}
    assert branch(door, asked | {"edit": " "}).at == "edit"
    assert "from 0 to 2147483647, not '2.5'" in branch(door, asked | {"seed": "2.5"}).error
    html = READERS["run/family"](door, {"run": run_id})
    assert "Original" in html and "Branch 1" in html and html.count("aria-current") == 1


def test_an_opinion_is_kept_with_its_reason(door: FakeDoor) -> None:
    run_id = submitted(door)
    sheet = READERS["run/why"](door, {"run": run_id, "about": "picture", "at": "00.png", "value": "down"})
    assert "What is wrong with it?" in sheet and 'data-at="00.png"' in sheet
    thumb = ACTIONS["run/thumb"]
    thumb(door, {"run": run_id, "about": "picture", "at": "00.png", "value": "down", "reason": " no  bricks "})
    thumb(door, {"run": run_id, "about": "design", "value": ""})
    assert door.rated == [(run_id, "picture:00.png", "down", "no bricks"), (run_id, "design", "", "")]
    for wrong in ({"about": "weather", "value": "up"}, {"about": "design", "value": "sideways"}):
        with pytest.raises(UsageError, match="unknown opinion"):
            thumb(door, {"run": run_id, **wrong})


def test_the_past_shows_the_picture_that_is_held_for_the_best(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("01.png", "02.png"):
        (tmp_path / "images" / name).write_bytes(b"x")
    run = RunSummary("r1", "finished", "A panel", 0.0, tmp_path)
    assert "/thumbnails/r1/01.png" in page_parts.past([run], now=0)
    (tmp_path / "manifest.json").write_text('{"best": 1}')
    assert "/thumbnails/r1/02.png" in page_parts.past([run], now=0)
    (tmp_path / "chosen.json").write_text('{"picture": 0}')
    assert "/thumbnails/r1/01.png" in page_parts.past([run], now=0)
