"""A settings file that is edited in place, and keys that are kept: what stays, what is refused, who may read."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from workspace.configuration import keys
from workspace.configuration.editing import change, edited
from workspace.errors import StorageError, UsageError

TEXT = """# mine
profile = "embedded"

[flow]   # how far
images = 2  # two # of them
rounds = 1

[ painter ]
steps = 4
"""


def test_what_is_not_changed_stays_as_it_was_written() -> None:
    made = edited(TEXT, {"flow.images": 3, "painter.size": 64, "queue.jobs_at_once": 2, "profile": "gpu"})
    assert "# mine" in made and "[flow]   # how far" in made and "images = 3  # two # of them" in made
    assert tomllib.loads(made) == {
        "profile": "gpu",
        "flow": {"images": 3, "rounds": 1},
        "painter": {"steps": 4, "size": 64},
        "queue": {"jobs_at_once": 2},
    }


@pytest.mark.parametrize(
    ("text", "changes", "meant"),
    [
        ("", {"flow.images": 3}, {"flow": {"images": 3}}),
        (TEXT, {"flow.images": None, "flow.rounds": None, "painter.steps": None}, {"profile": "embedded"}),
        (TEXT, {"flow.none": None, "chat.none": None}, tomllib.loads(TEXT)),
        ("", {"sampling.avoid": ("a", 'b"\\#'), "flow.review": True}, None),
        ("[roles.critic]\ntop_p = 1\n", {"roles.critic.model": "x"}, {"roles": {"critic": {"top_p": 1, "model": "x"}}}),
    ],
)
def test_changes_are_what_is_read_back(text: str, changes: dict[str, Any], meant: dict[str, Any] | None) -> None:
    made = tomllib.loads(edited(text, changes))
    assert {name: value for name, value in made.items() if value} == (
        meant or {"sampling": {"avoid": ["a", 'b"\\#']}, "flow": {"review": True}}
    )


@pytest.mark.parametrize(
    "text",
    ["flow = { images = 2 }\n", "flow.images = 2\n", 'x = """\n[flow]\nimages = 2\n"""\n', "[flow]\nimages = [\n1]\n"],
)
def test_an_unusual_spelling_is_refused_and_left(text: str, tmp_path: Path) -> None:
    (tmp_path / "studio.toml").write_text(text)
    try:
        change(tmp_path, {"flow.images": 3})
    except UsageError as fault:
        assert "edited here" in str(fault)
        assert (tmp_path / "studio.toml").read_text() == text
    else:
        assert tomllib.loads((tmp_path / "studio.toml").read_text())["flow"]["images"] == 3


def test_a_file_that_is_no_toml_is_told() -> None:
    with pytest.raises(UsageError, match="not TOML"):
        edited("a = = 2", {"flow.images": 3})


def test_a_key_is_kept_for_its_owner_alone_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    keys.keep(tmp_path, "MY_KEY", " s3cret\n")
    assert stat.S_IMODE((tmp_path / "keys.toml").stat().st_mode) == 0o600
    assert keys.key("MY_KEY", tmp_path) == "s3cret" and keys.names(tmp_path) == ["MY_KEY"]
    keys.keep(tmp_path, "OTHER", "x")
    monkeypatch.setenv("MY_KEY", "from outside")
    assert keys.key("MY_KEY", tmp_path) == "from outside"  # the environment goes first
    assert keys.forget(tmp_path, "MY_KEY") and not keys.forget(tmp_path, "MY_KEY")
    assert keys.names(tmp_path) == ["OTHER"]
    assert [path.name for path in tmp_path.iterdir()] == ["keys.toml"]


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("KEY", ""), ("KEY", "ä"), ("KEY", "a\nb")])
def test_what_is_no_key_is_refused(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        keys.keep(tmp_path, name, value)
    assert not (tmp_path / "keys.toml").exists()


def test_keys_that_others_may_read_or_that_are_a_link_are_not_used(tmp_path: Path) -> None:
    keys.keep(tmp_path, "KEY", "x")
    (tmp_path / "keys.toml").chmod(0o644)
    with pytest.raises(StorageError, match="others may read"):
        keys.key("KEY", tmp_path)
    (tmp_path / "keys.toml").rename(tmp_path / "there")
    os.chmod(tmp_path / "there", 0o600)
    (tmp_path / "keys.toml").symlink_to(tmp_path / "there")
    with pytest.raises(StorageError, match="cannot read"):
        keys.key("KEY", tmp_path)
