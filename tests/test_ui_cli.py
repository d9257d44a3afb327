from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import studio
from ui import cli
from workspace.errors import ServiceError

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    ("design",),
    ("resume",),
    ("list",),
    ("show",),
    ("replay",),
    ("export",),
    ("programs",),
    ("doctor",),
    ("ui",),
    ("models",),
    ("models", "list"),
    ("models", "fetch"),
    ("models", "verify"),
)


def call(*words: str) -> int:
    return cli.main(list(words))


def one_object(text: str) -> dict[str, Any]:
    assert text.count("\n") == 1
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words, "--help") == 0
    told = capsys.readouterr().out
    assert "Usage: studio" in told
    assert "Examples:" in told
    assert f"studio {' '.join(words)}" in told


def test_help_lists_every_command_and_no_word_shows_help_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    told = capsys.readouterr().out
    for words in COMMANDS:
        assert words[0] in told
    assert call() == 0
    assert "Usage: studio" in capsys.readouterr().out
    assert call("--version") == 0
    assert capsys.readouterr().out == f"studio {studio.__version__}\n"


def test_the_way_in_loads_nothing_heavy() -> None:
    heavy = ("torch", "gradio", "langgraph", "transformers", "diffusers", "pydantic", "numpy", "PIL")
    check = f"import sys, ui.cli, studio; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["design", ""], 2, "the brief is empty"),
        (["design", "x" * 20_000], 2, "20000 characters"),
        (["design", "a panel", "--images", "0"], 2, "not 0"),
        (["design", "a panel", "--images", "1000"], 2, "1 to 64"),
        (["design", "a panel", "--images", "two"], 2, "--images"),
        (["design", "a panel", "--size", "100"], 2, "multiple of 16"),
        (["design", "a panel", "--seed", "-1"], 2, "not -1"),
        (["design", "a panel", "--rounds", "0"], 2, "not 0"),
        (["design", "a panel", "--program", "microstructur"], 2, "did you mean 'microstructure'"),
        (["design", "a panel", "--profile", "embeded"], 2, "did you mean 'embedded'"),
        (["design", "a panel", "--model", "smollm2-135m-instrct"], 2, "did you mean 'smollm2-135m-instruct'"),
        (["design", "a panel"], 69, "studio models fetch smollm2-135m-instruct"),
        (["design"], 2, "BRIEF"),
        (["design", "a panel", "--imags", "2"], 2, "--imags"),
        (["desing", "a panel"], 2, "design"),
        (["show", "nothing"], 2, "unknown run 'nothing'"),
        (["resume", "nothing"], 2, "unknown run 'nothing'"),
        (["resume", "nothing", "--approve", "--choice", "paint"], 2, "not several"),
        (["replay", "nothing"], 2, "unknown run 'nothing'"),
        (["export", "nothing", "--format", "docx"], 2, "html, json, md, pdf, prov, zip"),
        (["models", "fetch", "nothing"], 2, "unknown model 'nothing'"),
        (["models", "fetch"], 2, "--embedded"),
        (["models", "list", "--kind", "audio"], 2, "unknown kind 'audio'"),
        (["programs", "nothing"], 2, "unknown program 'nothing'"),
    ],
)
def test_bad_input_is_one_clear_line_and_its_exit_code(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    assert call(*words) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert told in said.err


def test_a_broken_settings_file_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio.toml").write_text("[flow]\nimages = 0\n")
    assert call("design", "a panel") == 2
    said = capsys.readouterr().err
    assert "studio.toml" in said
    assert "flow.images" in said


def test_a_broken_program_file_is_named_with_its_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "mine.yaml"
    program.write_text(
        "name: mine\ndescription: my own\nsystem: You think.\nturns:\n  - label: one\n    text: Say {{ nope }}\n"
    )
    assert call("design", "a panel", "--program", str(program)) == 65
    assert f"{program}:6" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scripted_studio: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "file" / "home"))
    assert call("design", "a panel") == 74
    assert capsys.readouterr().err.startswith("error: cannot write")


def test_an_error_with_json_is_still_one_object(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("design", "a panel", "--images", "0", "--json") == 2
    told = one_object(capsys.readouterr().out)
    assert told == {"error": "images must be 1 to 64, not 0", "exit_code": 2, "run_id": None}


def test_the_traceback_is_shown_on_request(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDIO_DEBUG", "1")
    assert call("design", "") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("scripted_studio")
class TestDesigning:
    def test_a_design_is_shown_as_a_card(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("design", "a tough panel", "--inspiration", "leaf", "--seed", "5") == 0
        said = capsys.readouterr()
        run = studio.list_runs()[0]
        assert str(run.folder) in said.out.splitlines()
        for word in ("weave laminate", "Mechanisms", "toughness", "12.5 MJ/m3", "images/02.png", "seed 5"):
            assert word in said.out
        assert "scientist: " in said.err
        assert "\x1b" not in said.out + said.err

    def test_json_is_one_object_and_the_rest_goes_elsewhere(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("design", "a tough panel", "--images", "3", "--json") == 0
        said = capsys.readouterr()
        told = one_object(said.out)
        assert told["status"] == "finished"
        assert len(told["images"]) == 3
        assert "painter: " in said.err

    def test_a_brief_may_come_through_a_pipe(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import io

        def pipe(content: bytes) -> None:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))

        pipe("\ufeffa panel from a pipe, 竹\n".encode())
        assert call("design", "-", "--json") == 0
        assert studio.list_runs()[0].brief == "a panel from a pipe, 竹"
        for content in (b"a caf\xe9 wall", "a panel".encode("utf-16")):
            pipe(content)
            capsys.readouterr()
            assert call("design", "-") == 65
            told = capsys.readouterr().err
            assert told.startswith("error: the brief on stdin is not UTF-8 text: byte 0x") and told.count("\n") == 1
        assert len(studio.list_runs()) == 1

    def test_past_runs_are_listed_shown_resumed_and_exported(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert call("list") == 0
        assert "no runs yet" in capsys.readouterr().err
        assert call("design", "a tough panel", "--seed", "5", "--json") == 0
        told = one_object(capsys.readouterr().out)
        run = told["run_id"]
        assert call("list") == 0
        assert f"{run}  finished" in capsys.readouterr().out
        assert call("list", "--json") == 0
        assert one_object(capsys.readouterr().out)["runs"][0]["run_id"] == run
        for command in ("show", "resume"):
            assert call(command, run, "--json") == 0
            assert one_object(capsys.readouterr().out) == told
            assert call(command, run) == 0
            assert "weave laminate" in capsys.readouterr().out
        assert call("export", run, "--format", "zip") == 0
        assert capsys.readouterr().out == f"{tmp_path / run}.zip\n"

    def test_replay_says_so_and_its_code_is_for_scripts(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert call("design", "a tough panel", "--seed", "5", "--json") == 0
        run = one_object(capsys.readouterr().out)["run_id"]
        assert call("replay", run) == 0
        assert "images/01.png  identical" in capsys.readouterr().out
        assert call("replay", run, "--json") == 0
        assert one_object(capsys.readouterr().out)["identical"] is True
        monkeypatch.setattr("agents.kit.derive", lambda seed, key: 1)
        assert call("replay", run) == 1
        assert "DIFFERENT" in capsys.readouterr().out

    def test_ctrl_c_leaves_a_run_that_can_be_resumed(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("models.chat.structured.structured", stop)
            assert call("design", "a tough panel", "--inspiration", "leaf", "--json") == 130
        said = capsys.readouterr()
        run = studio.list_runs()[0]
        assert run.status == "interrupted"
        assert said.err.splitlines()[-1] == f"studio resume {run.run_id}"
        assert one_object(said.out)["run_id"] == run.run_id
        assert call("resume", run.run_id, "--json") == 0
        assert one_object(capsys.readouterr().out)["status"] == "finished"

    def test_a_fault_midway_says_how_to_go_on(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> Any:
            raise ServiceError("the server at http://127.0.0.1:1/v1 refuses")

        monkeypatch.setattr("models.chat.structured.structured", refuse)
        assert call("design", "a tough panel", "--inspiration", "leaf") == 69
        last = capsys.readouterr().err.splitlines()[-1]
        again = f"studio resume {studio.list_runs()[0].run_id}"
        assert last == f"error: the server at http://127.0.0.1:1/v1 refuses; go on with: {again}"

    def test_without_a_terminal_a_question_ends_the_call(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert call("design", "a tough panel", "--ask", "--json") == 75
        said = capsys.readouterr()
        told = one_object(said.out)
        run = told["run_id"]
        assert told["status"] == "waiting"
        assert told["question"]["kind"] == "before_painting"
        assert f"studio resume {run} --approve" in said.err
        assert call("resume", run, "--choice", "perhaps") == 2
        assert call("resume", run, "--approve", "--json") == 75
        told = one_object(capsys.readouterr().out)
        assert told["question"]["kind"] == "after_critique"
        assert call("resume", run, "--approve", "--json") == 0
        capsys.readouterr()
        assert studio.open_run(run).status == "finished"

    def test_in_a_terminal_a_person_is_asked(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = iter(["edit", "wavy thin green lines on a gold ground", "approve"])
        monkeypatch.setattr("ui.terminal.design.interactive", lambda as_json: True)
        monkeypatch.setattr("rich.prompt.Prompt.ask", lambda *_, **__: next(given))
        assert call("design", "a tough panel", "--ask") == 0
        assert "wavy thin green lines" in capsys.readouterr().out

    def test_a_person_may_leave_it_waiting(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ui.terminal.design.interactive", lambda as_json: True)
        monkeypatch.setattr("rich.prompt.Prompt.ask", lambda *_, **__: "stop")
        assert call("design", "a tough panel", "--ask") == 75
        assert studio.list_runs()[0].status == "waiting"
        assert "--approve" in capsys.readouterr().err

    def test_the_live_view_streams_words_and_draws_a_bar(self, home: Path) -> None:
        import io

        from rich.console import Console

        from ui.terminal.live import Live

        screen = Console(file=io.StringIO(), force_terminal=True, width=100)
        with Live(screen) as show:
            studio.design("a tough panel", listener=show)
        text = screen.file.getvalue()  # type: ignore[attr-defined]
        assert "The material joins fibres and a mesh." in text
        assert "painting" in text


def test_programs_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("programs") == 0
    assert "relate-and-design" in capsys.readouterr().out
    assert call("programs", "city") == 0
    assert "1. " in capsys.readouterr().out
    assert call("programs", "--json") == 0
    assert len(one_object(capsys.readouterr().out)["programs"]) == 4


def test_models_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("models", "list", "--json") == 0
    rows = {row["id"]: row for row in one_object(capsys.readouterr().out)["models"]}
    assert rows["smollm2-135m-instruct"]["here"] is False
    assert call("models", "list", "--kind", "painter") == 0
    assert "flux.1-dev" in capsys.readouterr().out
    assert call("models", "verify", "smollm2-135m-instruct") == 69


def test_the_doctor_fails_when_something_is_missing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("doctor", "--json") == 69
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[0])["missing"]
    assert call("doctor") == 69
    assert "studio models fetch smollm2-135m-instruct" in " ".join(capsys.readouterr().out.split())


def test_another_package_named_agents_is_noticed(tmp_path: Path) -> None:
    other = tmp_path / "agents"
    other.mkdir()
    (other / "__init__.py").write_text("")
    environment = dict(os.environ, PYTHONPATH=f"{tmp_path}:{ROOT}")
    script = "import sys; from ui.cli import main; sys.exit(main(['list']))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 69
    assert "another package of that name" in done.stderr


EVIL = "a \x1b]0;owned\x07 \x1b[31mred\x1b[0m \x9b31m panel \x7f"


@pytest.mark.usefixtures("scripted_studio")
def test_no_control_character_of_a_brief_reaches_the_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("design", EVIL, "--seed", "3") == 0
    run = studio.list_runs()[0].run_id
    for words in (["list"], ["show", run], ["jobs", "list"], ["jobs", "show", run], ["jobs", "watch", run]):
        assert call(*words) == 0
        assert call(*words, *(["--json"] if words[1:2] != ["watch"] else [])) == 0
    assert call("show", EVIL) == 2
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not [
            letter for letter in text if (ord(letter) < 32 and letter not in "\n\t") or 127 <= ord(letter) < 160
        ]
