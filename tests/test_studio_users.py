"""Users of a shared Studio: their file, passwords, sessions; by the front door and the command line."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import studio
from studio.sharing import users as accounts
from studio.sharing.sessions import MOST, SECONDS, Sessions
from studio.sharing.users import Users, fits, hashed
from ui.cli import main
from workspace.errors import UsageError

PASSWORD = "a long walk"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost little here."""
    monkeypatch.setattr(hashed, "__kwdefaults__", {"cost": 10})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.txt"


def test_a_password_is_kept_as_a_salted_hash(home: Path, file: Path) -> None:
    assert studio.user_add("ada", password=PASSWORD, file=file).new
    assert studio.user_add("bob", password=PASSWORD, file=file).new
    text = file.read_text()
    lines = [line.split(":") for line in text.splitlines()]
    assert [line[0] for line in lines] == ["ada", "bob"]
    assert lines[0][1].startswith("scrypt$") and lines[0][1] != lines[1][1]
    assert PASSWORD not in text and stat.S_IMODE(file.stat().st_mode) == 0o600
    users = Users(file)
    assert users.check("ada", PASSWORD) is not None
    assert users.check("ada", PASSWORD + " ") is None and users.check("nobody", PASSWORD) is None


def test_the_cost_is_that_of_a_password_store() -> None:
    assert (accounts.COST, accounts.BLOCK, accounts.LANES) == (15, 8, 3)
    secret = hashed(PASSWORD, cost=15)
    assert fits(PASSWORD, secret) and not fits("another one", secret)


def test_an_unknown_name_costs_as_much_as_a_known_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.put(file, "ada", PASSWORD)
    users, asked = Users(file), []
    whole = accounts._scrypt
    monkeypatch.setattr(accounts, "_scrypt", lambda *given: (asked.append(given[2:]), whole(*given))[1])
    users.check("ada", "wrong one")
    users.check("nobody", "wrong one")
    assert len(asked) == 2 and asked[0] == asked[1]


def test_two_spellings_of_a_letter_are_one_password(file: Path) -> None:
    accounts.put(file, "ada", "caf\u00e9 au lait")
    assert Users(file).check("ada", "cafe\u0301 au lait") is not None


@pytest.mark.parametrize("name", ["", "a:b", "a b", "-a", "a\n", "x" * 65, "\u00e4da", "../a"])
def test_a_name_is_plain(home: Path, file: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name is letters"):
        studio.user_add(name, password=PASSWORD, file=file)
    assert not file.exists()


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_a_password_has_a_length(home: Path, file: Path, password: str) -> None:
    with pytest.raises(UsageError, match="a password has 8 to 1,024 letters"):
        studio.user_add("ada", password=password, file=file)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o606])
def test_a_file_that_others_may_read_is_refused(home: Path, file: Path, mode: int) -> None:
    accounts.put(file, "ada", PASSWORD)
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"chmod 600 {file}"):
        studio.user_list(file=file)


@pytest.mark.parametrize(
    "line", ["ada", "ada:plain", "ada:scrypt$15$8$3$x$y", "a b:scrypt", "ada:scrypt$99$8$3$AAAA$BBBB"]
)
def test_a_broken_line_is_named_and_not_shown(home: Path, file: Path, line: str) -> None:
    accounts.put(file, "bob", PASSWORD)
    file.write_text(f"{file.read_text()}# those of the lab\n\n{line}\n")
    with pytest.raises(UsageError, match="line 4") as told:
        studio.user_list(file=file)
    assert "plain" not in str(told.value)


def test_users_are_listed_and_removed(home: Path, file: Path) -> None:
    studio.user_add("ada", password=PASSWORD, file=file)
    token = studio.user_token("ada", file=file).token
    assert [(one.name, one.token) for one in studio.user_list(file=file)] == [("ada", True)]
    assert token not in file.read_text()
    users = Users(file)
    assert (found := users.of_token(token)) and found.name == "ada"
    assert users.of_token(token[:-1]) is None and users.of_token("") is None
    second = studio.user_token("ada", file=file).token
    assert users.of_token(token) is None and users.of_token(second) is not None
    studio.user_remove("ada", file=file)
    assert users.of_token(second) is None and studio.user_list(file=file) == []
    with pytest.raises(UsageError, match="unknown user 'ada'"):
        studio.user_remove("ada", file=file)


def test_a_session_outlives_the_server_and_not_its_time(home: Path, file: Path) -> None:
    accounts.put(file, "ada", PASSWORD)
    user = Users(file).all()["ada"]
    token = Sessions(home, Users(file)).begin(user, 1000.0)
    kept = home / "sessions.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and token not in kept.read_text()
    again = Sessions(home, Users(file))
    assert (found := again.user(token, 1001.0)) and found.name == "ada"
    assert again.user(token, 1000.0 + SECONDS) is None
    assert again.user(token[:-1] + "x", 1001.0) is None and again.user("", 1001.0) is None
    again.end(token)
    assert Sessions(home, Users(file)).user(token, 1001.0) is None


def test_a_session_ends_with_its_user_and_with_another_password(home: Path, file: Path) -> None:
    accounts.put(file, "ada", PASSWORD)
    accounts.put(file, "bob", PASSWORD)
    users = Users(file)
    sessions = Sessions(home, users)
    ada, bob = (sessions.begin(users.all()[name], 0.0) for name in ("ada", "bob"))
    accounts.put(file, "ada", "another long walk")
    accounts.remove(file, "bob")
    assert sessions.user(ada, 1.0) is None and sessions.user(bob, 1.0) is None


def test_sessions_are_bounded(home: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 1_000
    monkeypatch.setattr("studio.sharing.sessions.MOST", 3)
    accounts.put(file, "ada", PASSWORD)
    users = Users(file)
    sessions = Sessions(home, users)
    tokens = [sessions.begin(users.all()["ada"], float(at)) for at in range(5)]
    assert [sessions.user(one, 5.0) is not None for one in tokens] == [False, False, True, True, True]


@pytest.mark.parametrize("content", ["", "{half", "[]", '{"a": 5}', "[" * 100_000, '{"a": {"name": "x"}}'])
def test_a_damaged_file_of_sessions_ends_them_and_nothing_else(home: Path, file: Path, content: str) -> None:
    accounts.put(file, "ada", PASSWORD)
    users = Users(file)
    (home / "sessions.json").write_text(content)
    (home / "sessions.json").chmod(0o600)
    sessions = Sessions(home, users)
    assert sessions.user("x", 1.0) is None
    assert sessions.user(sessions.begin(users.all()["ada"], 0.0), 1.0) is not None


def _type(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text), isatty=lambda: False))


def test_the_command_line_adds_lists_and_removes(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    _type(monkeypatch, PASSWORD.encode() + b"\n")
    assert main(["users", "add", "ada", "--file", str(file)]) == 0
    assert "ada may log in now" in capsys.readouterr().out
    assert Users(file).check("ada", PASSWORD) is not None
    assert main(["users", "list", "--file", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"users": [{"name": "ada", "token": False}]}
    assert main(["users", "token", "ada", "--file", str(file)]) == 0
    assert Users(file).of_token(capsys.readouterr().out.strip()) is not None
    assert main(["users", "remove", "ada", "--file", str(file)]) == 0
    assert Users(file).all() == {}


def test_a_password_is_typed_twice_and_unseen(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    typed = iter([PASSWORD, "another one", PASSWORD, PASSWORD])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    assert main(["users", "add", "ada", "--file", str(file)]) == 2
    assert "the two passwords differ" in capsys.readouterr().err and not file.exists()
    assert main(["users", "add", "ada", "--file", str(file)]) == 0
    assert PASSWORD not in "".join(capsys.readouterr())


def test_without_a_file_named_it_is_that_of_the_home(home: Path) -> None:
    studio.user_add("ada", password=PASSWORD)
    assert (home / "users.txt").is_file() and [one.name for one in studio.user_list()] == ["ada"]
