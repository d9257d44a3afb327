"""The page without a browser: events folded into a view, views into HTML, requests into sheets; a fake door."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from studio.runs.record import RunSummary
from tests.fixtures_page import ANSWER, DESIGN, FakeDoor, story
from ui.pages import results as page_results
from ui.pages import status as page_parts
from ui.pages.design import STILL, TICK, _clock
from ui.pages.desk import Desk, Sheet, split, whole
from ui.pages.render import TEMPLATES, render
from ui.pages.view import Observer, View
from workspace.errors import DataError, StorageError, UsageError
from workspace.events import (
    CritiqueReady,
    Decision,
    Notice,
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


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FakeDoor]:
    fake = FakeDoor(tmp_path)
    yield fake
    fake.close()


@pytest.fixture
def desk(door: FakeDoor) -> Desk:
    return Desk(door)


@pytest.fixture
def told() -> View:
    """A finished run."""
    view = View("r1")
    for event in story("r1", BRIEF):
        view.add(event)
    return view


def begin(desk: Desk, text: str = BRIEF["text"]) -> Sheet:  # type: ignore[assignment]
    return desk.begin(text, "nacre, leaf", "relate-and-design", 2, 1, "7")


def settled(desk: Desk, sheet: Sheet) -> Sheet:
    assert sheet.run_id
    desk._observer.settle(sheet.run_id, 10)
    return desk.tick(sheet.run_id, sheet.shown)


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
    observer.attach(run_id)
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
        self.open = 0

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
        "</pre></article></section>",
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
    critique = {"picture": 0, "seen": text, "fit": 3, "checks": [{"question": text, "answer": "no"}], "change": text}
    view.add(CritiqueReady(critique=critique, round=1))
    view.add(Notice(text=text))
    view.add(RunStopped(status="failed", message=text, exit_code=1))
    return view


@settings(deadline=None)
@given(text=HOSTILE)
def test_what_models_and_people_write_stays_text(text: str) -> None:
    view = _hostile(text)
    whole_page = "".join(
        (
            page_parts.status(view),
            page_parts.conversation(view),
            page_results.card(view),
            page_results.pictures(view),
            page_parts.error(text),
        )
    )
    seen = _Tags()
    seen.feed(whole_page)
    assert not seen.tags & {"script", "iframe", "object", "embed", "form", "input", "link", "meta", "style", "svg"}
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert all(link.startswith("pictures/r1/") for link in seen.links)


@settings(deadline=None)
@given(name=HOSTILE)
def test_names_in_addresses_are_quoted(name: str) -> None:
    view = _hostile("A panel")
    view.run_id = name
    seen = _Tags()
    seen.feed(page_results.pictures(view))
    assert seen.links and all(re.fullmatch(r"pictures/[\w.~%-]*/[\w.~%-]+", link) for link in seen.links)
    run = RunSummary(name, "running", "A panel", 0.0, Path("nowhere"))
    listed = _Tags()
    listed.feed(page_parts.past([run], now=0))
    assert [unquote(link.removeprefix("?run=")) for link in listed.links] == [name]
    assert listed.attributes <= {"class", "aria-label", "aria-current", "href", "title"}


def test_only_rendered_markdown_passes_a_template_unescaped() -> None:
    texts = [path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html")]
    assert sum(text.count("safe") for text in texts) == 1
    assert sum(text.count("|prose|safe") for text in texts) == 1
    with pytest.raises(UndefinedError, match="line"):
        render("error")


def test_markdown_of_a_model_is_rendered_and_json_is_laid_out(told: View) -> None:
    html = page_parts.conversation(told)
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


def test_pictures_show_seed_prompt_and_critique(told: View) -> None:
    critique = {"picture": 1, "seen": "Rows of bricks.", "fit": 8, "checks": [{"question": "Bricks?", "answer": "yes"}]}
    told.add(CritiqueReady(critique=critique, round=1))
    html = page_results.pictures(told)
    assert html.count("<figure>") == 2
    assert "seed 700" in html and "seed 701" in html and "staggered bricks" in html
    assert html.count("fit 8 of 10") == 1
    assert "best" not in html.lower()


def test_the_picture_that_the_director_holds_for_the_best_is_marked(told: View) -> None:
    for picture, fit in ((0, 6), (1, 8)):
        checks = [{"question": "Bricks?", "answer": "yes"}]
        critique = {"picture": picture, "seen": "Rows of bricks.", "fit": fit, "checks": checks, "measures": MEASURES}
        told.add(CritiqueReady(critique=critique, round=1))
    told.add(Decision(choice="finish", reason="The best picture scores 0.90.", round=1, best=1))
    first, second = page_results.pictures(told).split("<figure>")[1:]
    assert "fit 8 of 10, the best" in second and "<em>Best</em>" in second
    assert "fit 6 of 10</summary>" in first and "Best" not in first
    assert "pitch 1,230 px (1.74 mm), thickness 5.1 px (720 µm)" in first


@pytest.mark.parametrize(
    ("status", "words"),
    [("queued", "Starting"), ("running", "Designing"), ("finished", "Finished"), ("failed", "Failed")],
)
def test_the_status_line_says_what_goes_on(status: str, words: str) -> None:
    view = View("r1", status=status, message="the disk is full")
    html = page_parts.status(view, now=10)
    assert f"<b>{words}</b>" in html
    assert ("the disk is full" in html) == (status == "failed")
    assert ("Resume goes on" in html) == (status == "failed")


def test_notices_are_folded_away_when_the_run_is_over(told: View) -> None:
    view = View("r1")
    view.add(RunStarted(brief=BRIEF, profile="p"))
    view.add(Notice(text="waiting for another design to end"))
    assert "waiting for another design" in page_parts.status(view)
    view.add(StepStarted(role="scientist", key="a", label="Relating"))
    assert "waiting for another design" not in page_parts.status(view)
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
    assert "live" not in page_parts.conversation(view) and "half" in page_parts.conversation(view)
    view.add(RunStarted(brief=BRIEF, profile="p", resumed=True, at=1000))
    assert ">1:05<" in page_parts.status(view, now=1005)
    assert "live" in page_parts.conversation(view)


def test_a_waiting_run_shows_its_question() -> None:
    view = View("r1")
    view.add(Question(kind="before_painting", text="Paint this?", payload={}))
    view.add(RunStopped(status="waiting", message="waits for an answer", exit_code=75))
    html = page_parts.status(view)
    assert "Paint this?" in html and "studio resume r1" in html


def test_painting_is_shown_as_progress() -> None:
    view = View("r1")
    for event in story("r1", BRIEF):
        if event.type == "picture_ready":
            break
        view.add(event)
    html = page_parts.status(view)
    assert 'aria-valuenow="8"' in html and "painting, step 8 of 8" in html


def test_past_designs_link_to_their_run(door: FakeDoor) -> None:
    assert "will be listed here" in page_parts.past([])
    run_id = door.submit("<b>A panel</b>")
    door.let(run_id)
    html = page_parts.past(door.runs(), run_id)
    assert f'href="?run={run_id}" aria-current="page"' in html
    assert "&lt;b&gt;A panel" in html and "1 minute ago" in html and "00.png" in html


# What people do


def test_fields_are_read_leniently() -> None:
    assert split(" nacre, spider silk;leaf\n,") == ["nacre", "spider silk", "leaf"]
    assert [whole("seed", value) for value in (None, "", " 7 ", 7.0, 7, "-1")] == [None, None, 7, 7, 7, -1]
    for value in ("a", "1.5", 2.5, "1e9", "9" * 30):
        with pytest.raises(UsageError, match="seed must be a whole number"):
            whole("seed", value)


def test_design_submits_what_was_filled_in(desk: Desk, door: FakeDoor) -> None:
    sheet = begin(desk)
    assert sheet.running and sheet.run_id in door.stories
    assert door.asked == [
        {
            "brief": BRIEF["text"],
            "inspirations": ["nacre", "leaf"],
            "program": "relate-and-design",
            "images": 2,
            "rounds": 1,
            "seed": 7,
        }
    ]


@pytest.mark.parametrize(("brief", "seed", "line"), [("  ", "7", "brief is empty"), ("A panel", "x", "whole number")])
def test_a_refused_request_is_one_line_and_leaves_the_page(desk: Desk, brief: str, seed: str, line: str) -> None:
    sheet = desk.begin(brief, "", "relate-and-design", 2, 1, seed)
    assert sheet.run_id is None and sheet.pieces == {}
    assert line in sheet.error and sheet.error.count("<p") == 1


def test_a_tick_sends_only_what_changed(desk: Desk, door: FakeDoor) -> None:
    first = begin(desk)
    assert first.run_id
    door.let(first.run_id)
    last = settled(desk, first)
    assert not last.running
    assert set(last.pieces) == {"status", "pictures", "card", "talk", "past"}
    again = desk.tick(first.run_id, last.shown)
    assert again.pieces == {}


def test_opening_a_run_shows_it_and_fills_the_form(desk: Desk, door: FakeDoor) -> None:
    run_id = door.submit("A panel", inspirations=["nacre"])
    door.let(run_id)
    sheet = desk.open(run_id)
    assert "Venous nacre laminate" in sheet.pieces["card"] and not sheet.running
    assert (sheet.brief, sheet.inspirations) == ("A panel", "nacre")


def test_opening_nothing_shows_words(desk: Desk) -> None:
    sheet = desk.open("")
    assert "No design on the table yet" in sheet.pieces["status"] and sheet.run_id == ""


@pytest.mark.parametrize("run_id", ["../../etc", "20261121-120000-fake-9999", "<script>", "x" * 500, "%2e%2e", "-"])
def test_an_unknown_run_is_one_line(desk: Desk, run_id: str) -> None:
    sheet = desk.open(run_id)
    assert sheet.run_id == "" and not sheet.running
    assert "Unknown run" in sheet.pieces["status"] and "<script>" not in sheet.pieces["status"]
    assert desk.tick(run_id, {}).run_id == ""


def test_stop_then_resume(desk: Desk, door: FakeDoor) -> None:
    sheet = begin(desk)
    assert sheet.run_id
    door.let_to(sheet.run_id, "step_finished")
    asked = desk.stop(sheet.run_id, sheet.shown)
    assert asked.stopping and door.stopped == [sheet.run_id]
    stopped = settled(desk, asked)
    assert stopped.resumable and not stopped.running
    resumed = desk.resume(sheet.run_id, stopped.shown)
    assert resumed.stopping is False and door.resumed == [sheet.run_id]
    door.let(sheet.run_id)
    assert "Finished" in settled(desk, resumed).pieces["status"]


def test_a_second_page_learns_of_a_resume(door: FakeDoor) -> None:
    one, other = Desk(door), Desk(door)
    run_id = begin(one).run_id or ""
    door.let_to(run_id, "step_finished")
    other.open(run_id)
    one.stop(run_id, {})
    for desk in (one, other):
        desk._observer.settle(run_id, 5)
        still = desk.tick(run_id, {})
        assert not still.running and still.resumable
    one.resume(run_id, {})
    learnt = other.tick(run_id, {})
    assert learnt.running and not learnt.resumable
    door.let(run_id)
    other._observer.settle(run_id, 5)
    assert not other.tick(run_id, {}).resumable


@pytest.mark.parametrize(
    ("sheet", "clock"),
    [
        (Sheet(run_id="r", running=True), {"active": True, "value": TICK}),
        (Sheet(run_id="r", resumable=True), {"active": True, "value": STILL}),
        (Sheet(run_id="r"), {"active": False, "value": STILL}),
    ],
)
def test_the_clock_goes_on_where_somebody_may_resume(sheet: Sheet, clock: dict[str, Any]) -> None:
    assert _clock(SimpleNamespace(update=dict), sheet) == clock


def test_a_resume_that_is_refused_is_one_line(desk: Desk, door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run_id: str) -> None:
        raise StorageError("the disk is full")

    sheet = begin(desk)
    assert sheet.run_id
    door.end(sheet.run_id, "failed", "the painter is gone")
    monkeypatch.setattr(door, "go_on", full)
    refused = desk.resume(sheet.run_id, sheet.shown)
    assert "The disk is full" in refused.error


def test_a_stop_that_was_gone_on_from_is_not_the_end(door: FakeDoor) -> None:
    on = threading.Event()

    def events(run_id: str) -> Iterator[Any]:
        yield RunStarted(brief=BRIEF, profile="p")
        yield RunStopped(status="interrupted", message="stopped by the user", exit_code=130)
        on.wait(10)  # the run is queued again, and its worker takes long to begin
        yield RunStarted(brief=BRIEF, profile="p", resumed=True)
        yield RunFinished(folder="", seconds=1.0)

    desk = Desk(door)
    run_id = door.submit("A panel")
    desk._observer = Observer(events)
    desk._observer.attach(run_id)
    assert desk.tick(run_id, {}).running
    on.set()
    desk._observer.settle(run_id, 10)
    assert not desk.tick(run_id, {}).running


# The web application


@pytest.fixture
def client(door: FakeDoor) -> Iterator[Any]:
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    from ui.app import application

    with TestClient(application(door), base_url="http://127.0.0.1:7860") as client:
        yield client


def test_pictures_come_from_listed_files_alone(client: Any, door: FakeDoor) -> None:
    run_id = door.submit("A panel")
    path = f"/pictures/{run_id}/00.png"
    assert client.get(path).status_code == 404
    door.let(run_id)
    answer = client.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert answer.content == (door.home / "runs" / run_id / "images" / "00.png").read_bytes()
    (door.home / "runs" / run_id / "images" / "secret.png").write_bytes(b"x")
    for name in ("secret.png", "..%2f..%2fledger.db", "events.jsonl", "99.png"):
        assert client.get(f"/pictures/{run_id}/{name}").status_code in (404, 405)
    assert client.get("/pictures/..%2f..%2fetc/passwd").status_code in (404, 405)


def test_the_file_route_gives_nothing_of_the_home_away(client: Any, door: FakeDoor) -> None:
    run_id = door.submit("A panel")
    door.let(run_id)
    target = door.home / "runs" / run_id / "images" / "00.png"
    for prefix in ("/gradio_api/file=", "/file="):
        assert client.get(f"{prefix}{target}").status_code in (403, 404)


def test_the_page_is_fenced_and_names_no_other_address(client: Any) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "fonts.googleapis.com" not in answer.text and "cdn" not in answer.text.lower()
    config = client.get("/config").json()
    assert not [item for item in config["dependencies"] if item["api_visibility"] == "public"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "192.168.1.7"])
def test_the_page_answers_to_addresses_and_localhost(client: Any, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
def test_another_name_is_not_served(client: Any, host: str) -> None:
    for path in ("/", "/config", "/pictures/r1/00.png"):
        assert client.get(path, headers={"host": host}).status_code == 421


def test_a_name_can_be_allowed(door: FakeDoor) -> None:
    from fastapi.testclient import TestClient

    from ui.app import application

    with TestClient(application(door, ["Studio.lan"]), base_url="http://studio.lan") as client:
        assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_may_not_post(client: Any, headers: dict[str, str]) -> None:
    for path in ("/gradio_api/run/predict", "/gradio_api/queue/join", "/gradio_api/upload"):
        assert client.post(path, json={"data": []}, headers=headers).status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:3000", "http://evil.example", "null"])
def test_a_page_of_another_port_reads_nothing(client: Any, origin: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    for answer in (client.get("/config", headers=asked), client.options("/gradio_api/run/predict", headers=asked)):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    own = client.get("/config", headers={"origin": str(client.base_url).rstrip("/")})
    assert own.status_code == 200 and own.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_request_is_bounded(client: Any) -> None:
    assert client.get(f"/?run={'a' * 8_000}").status_code == 414
    assert client.post("/gradio_api/run/predict", content=b"x" * 1_000_001).status_code == 413
    assert client.post("/gradio_api/run/predict", content=iter([b"x"] * 10)).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/upload",
        "/login",
        *(
            f"/gradio_api/{name}"
            for name in (
                "upload",
                "dev/reload",
                "component_server",
                "call/v2/began",
                "profiling/clear",
                "run-history/connect",
                "run-history/records",
                "runs",
                "process_recording",
                "undo-vibe-edit",
                "custom_component/1/client/component/x.js",
            )
        ),
    ],
)
def test_what_gradio_leaves_open_is_closed(client: Any, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.post(path, json={}).status_code == 404


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"5",
    b"null",
    b"{}",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"data":' + b"[" * 3000 + b"]" * 3000 + b',"fn_index":3}',
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": ["x"]}',
    b'{"data": [], "fn_index": 3}',
    b'{"data": ["x", "y", "z"], "fn_index": 4}',
    b'{"data": ["x"], "fn_index": 99}',
    b'{"data": ["x"], "fn_index": -1}',
    b'{"data": ["x"], "fn_index": "x"}',
    b'{"data": ["x"], "fn_index": true}',
    b'{"data": ["x"], "fn_index": 3, "session_hash": {}}',
    b'{"data": ["x"], "fn_index": 3, "session_hash": ""}',
    b'{"data": ["x"], "fn_index": 3, "trigger_id": "\\ud800"}',
    b'{"data": ["x"], "fn_index": 3, "batched": "\\ud800"}',
    b'{"data": [{}], "fn_index": 3}',
    b'{"data": [5], "fn_index": 3}',
    b'{"data": ["x", "y"], "fn_index": 4}',
    b'{"data": ["x", []], "fn_index": 4}',
    b'{"data": ["a", "b", "nope", 1, 2, ""], "fn_index": 7}',
    b'{"data": ["a", "b", "city", "x", {}, ""], "fn_index": 7}',
    b'{"data": ["a", "b", "city", 1e999, 1, ""], "fn_index": 7}',
    b'{"data": ["a", "b", "city", NaN, 1, ""], "fn_index": 7}',
]


@pytest.mark.parametrize(
    "path", ["run/predict", "api/predict", "run/nope", "queue/join", "call/ticked", "reset", "cancel"]
)
def test_a_malformed_call_is_a_mistake_of_who_calls(client: Any, path: str) -> None:
    for body in MALFORMED:
        told = client.post(f"/gradio_api/{path}", content=body, headers={"content-type": "application/json"})
        if path in ("reset", "cancel"):
            assert told.status_code < 500, body
        else:
            assert 400 <= told.status_code < 500, body
    for body in (b'{"data": [null, null], "fn_index": 4}', b'{"data": ["\\ud800", {"a": []}], "fn_index": 4}'):
        assert client.post("/gradio_api/run/predict", content=body).status_code < 500


def test_a_picture_that_was_exchanged_is_not_served(client: Any, door: FakeDoor) -> None:
    run_id = door.submit("A panel")
    door.let(run_id)
    picture = door.home / "runs" / run_id / "images" / "00.png"
    picture.write_bytes(b"another")
    assert client.get(f"/pictures/{run_id}/00.png").status_code == 404
    picture.unlink()
    picture.symlink_to("/etc/hostname")
    assert client.get(f"/pictures/{run_id}/00.png").status_code == 404


def test_a_taken_port_is_a_clear_error() -> None:
    from ui.pages.server import listen
    from workspace.errors import ServiceError

    with listen("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ServiceError, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)
