"""What a terminal shows of work while it goes on, and what a pipe gets: every wait named before it begins."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import studio
from ui import cli
from ui.desk.run import status as page_parts
from ui.desk.run.view import View as PageView
from ui.terminal.live import PAUSE, STILL, Live, Plain
from workspace import IDLE
from workspace.events import RunStarted, StepStarted, Token
from workspace.files import LARGE, sha256
from workspace.progress import Downloaded, Progress, StageStarted, Waiting, amount, progress_to, waiting, weighed

READING = "reading the painter, 22 MB"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=80, highlight=False), text


def test_a_wait_is_told_to_whom_it_concerns_before_it_begins_and_when_it_ends() -> None:
    told: list[Progress] = []
    with progress_to(told.append), pytest.raises(ValueError), waiting(READING):
        assert told == [Waiting(doing=READING)]
        raise ValueError
    with waiting("nobody hears of this"):
        pass
    assert told == [Waiting(doing=READING), Waiting(doing=READING, done=True)]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 kB"), (1, "1 kB"), (90_884, "91 kB"), (269_060_552, "269 MB"), (33_700_000_000, "33.7 GB")],
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert amount(count) == words


def test_models_that_are_read_together_are_named_and_weighed(tmp_path: Path) -> None:
    for name in ("writer/a", "writer/b", "adapter/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.safetensors").write_bytes(bytes(1000))
    (tmp_path / "writer" / "config.json").write_text("{}")
    assert weighed(tmp_path / "writer", tmp_path / "adapter") == "writer with adapter, 3 kB"
    assert weighed(tmp_path / "adapter" / "a.safetensors") == "a.safetensors, 1 kB"


def test_a_large_file_is_said_to_be_checked(tmp_path: Path) -> None:
    told: list[Progress] = []
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1")
    with large.open("wb") as stream:
        stream.truncate(LARGE + 1)
    with progress_to(told.append):
        sha256(small)
        assert told == []
        sha256(large)
    assert [event.doing for event in told if event.type == "waiting"] == [f"checking large, {amount(LARGE)}"] * 2


@pytest.mark.parametrize(("name", "words"), IDLE.items())
def test_idle_remarks_of_libraries_are_dropped_and_others_not(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    logger, handler = logging.getLogger(name), logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: told.append(record.getMessage()))
    level = logger.level
    logger.setLevel(logging.WARNING)  # whatever its library made of it
    logger.addHandler(handler)
    try:
        logger.warning("So: %s.", words)
        logger.warning("something else")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert told == ["something else"]


class TestPlain:
    def test_a_wait_is_a_line_and_its_end_none(self) -> None:
        console, text = screen(terminal=False)
        show = Plain(console, Clock())
        show(Waiting(doing=READING))
        show(Waiting(doing=READING, done=True))
        show(Waiting(stage="sft", doing="writing it"))
        assert text.getvalue() == f"{READING} ...\nsft: writing it ...\n"

    def test_silence_is_broken_ever_more_rarely_by_what_still_goes_on(self) -> None:
        console, text = screen(terminal=False)
        clock = Clock()
        show = Plain(console, clock)
        show(StepStarted(role="engineer", key="k", label="Writing"))
        for second in range(1, 75):
            clock.now = float(second)
            show(Token(role="engineer", key="k", text="word "))
            show.tick()
        lines = text.getvalue().splitlines()
        assert lines == ["engineer: Writing ...", *(f"engineer: Writing ... {gone} s" for gone in (10, 30, 70))]
        show(Waiting(doing=READING))
        clock.now += STILL
        show.tick()
        show(Waiting(doing=READING, done=True))
        clock.now += STILL
        show.tick()
        lines = text.getvalue().splitlines()[4:]
        assert lines[:2] == [f"{READING} ...", f"{READING} ... {STILL:.0f} s"]
        assert lines[2:] == []  # twice as long after the first
        clock.now += STILL
        show.tick()
        assert text.getvalue().splitlines()[-1] == f"engineer: Writing ... {3 * STILL:.0f} s"

    def test_a_download_of_known_and_of_unknown_length(self) -> None:
        console, text = screen(terminal=False)
        clock = Clock()
        show = Plain(console, clock)
        show(Downloaded(file="a", bytes=1_000_000, of=2_000_000))
        show(Downloaded(file="a", bytes=1_500_000, of=2_000_000))
        show(Downloaded(file="a", bytes=2_000_000, of=2_000_000))
        show(Downloaded(file="b", bytes=1_000_000, of=0))
        clock.now = STILL
        show.tick()
        assert text.getvalue().splitlines() == [
            "a  1 MB of 2 MB",
            "a  2 MB of 2 MB",
            "b  1 MB (size unknown)",
            "fetching b ... 10 s",
        ]


class TestLive:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def shown(self, clock: Clock) -> Iterator[tuple[Live, io.StringIO]]:
        console, text = screen(terminal=True)
        show = Live(console, clock)
        yield show, text
        show.close()

    def doing(self, show: Live) -> str:
        assert show.progress is not None
        return show.progress.tasks[0].description

    def test_the_line_that_moves_says_what_goes_on(self, shown: tuple[Live, io.StringIO]) -> None:
        show = shown[0]
        show(RunStarted(brief={}, profile="embedded", run_id="r"))
        assert self.doing(show) == "working"
        show(StepStarted(role="painter", key="k", label="Painting"))
        assert self.doing(show) == "painter: Painting"
        show(Waiting(doing=READING))
        assert self.doing(show) == READING
        show(Waiting(doing=READING, done=True))
        assert self.doing(show) == "painter: Painting"
        show(StageStarted(stage="sft", doing="training"))
        assert self.doing(show) == "sft: training"

    def test_a_pause_in_a_text_shows_how_long_it_lasts_and_leaves_nothing(
        self, shown: tuple[Live, io.StringIO], clock: Clock
    ) -> None:
        show, text = shown
        show(Token(role="engineer", key="k", text="Nacre"))
        assert show.progress is None
        show.tick()
        assert text.getvalue().endswith("Nacre")
        clock.now = PAUSE + 1
        show.tick()
        show.tick()
        mark = f" ... {clock.now:.0f} s"
        assert text.getvalue().endswith(f"Nacre{mark}")
        show(Token(role="engineer", key="k", text=" is"))
        back = "\b" * len(mark)
        assert text.getvalue().endswith(f"{mark}{back}{' ' * len(mark)}{back} is")

    def test_no_mark_runs_over_the_edge(self, shown: tuple[Live, io.StringIO], clock: Clock) -> None:
        show, text = shown
        show(Token(role="engineer", key="k", text="x" * 78))
        clock.now = 5.0
        show.tick()
        assert text.getvalue().endswith("x")


class TestCommands:
    def test_the_doctor_says_what_it_waits_for_and_json_stays_alone(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cli.main(["doctor", "--json"])
        told = capsys.readouterr()
        assert "looking at the libraries and devices ..." in told.err
        assert f"measuring {home} ..." in told.err
        assert "missing" in json.loads(told.out.splitlines()[0])

    def test_models_that_are_verified_are_named(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "verify", "studio-writer"]) == 0
        assert "checking studio-writer ..." in capsys.readouterr().err

    def test_what_is_not_here_is_said_with_its_size(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["models", "verify", "flux.1-dev"]) == 69
        assert "flux.1-dev is not on this machine yet: 33.7 GB to fetch" in capsys.readouterr().err

    def test_a_design_in_a_pipe_begins_with_a_line(
        self, home: Path, scripted_studio: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["design", "a tough panel", "--json"]) == 0
        told = capsys.readouterr()
        lines = told.err.splitlines()
        assert "loading the libraries ..." in lines
        assert lines.index("loading the libraries ...") < next(
            number for number, line in enumerate(lines) if line.startswith("scientist: ")
        )
        assert told.out.count("\n") == 1

    def test_a_plan_says_what_it_waits_for(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("trl")
        assert cli.main(["train", "run", "llama-3.1-8b-instruct", "--plan", "--json"]) == 0
        told = capsys.readouterr()
        assert "loading the libraries of the training ..." in told.err
        assert told.out.count("\n") == 1


def test_verbs_tell_their_waits_to_the_listener(home: Path) -> None:
    told: list[Any] = []
    studio.verify_models(["studio-writer"], listener=told.append)
    assert [event.doing for event in told] == ["checking studio-writer"] * 2


def test_the_page_says_what_a_run_waits_for() -> None:
    view = PageView("r")
    view.add(RunStarted(brief={}, profile="embedded", run_id="r"))
    view.add(Waiting(doing=READING))
    assert READING in page_parts.status(view)
    view.add(Waiting(doing=READING, done=True))
    assert READING not in page_parts.status(view)
