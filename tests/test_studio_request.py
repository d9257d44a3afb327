from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.runs.request import SEED_LIMIT, DesignOptions, connection, prepare, recorded, renewed
from workspace.bounds import bounds
from workspace.errors import StudioError, UsageError
from workspace.ledger import Ledger
from workspace.options import checked, overrides
from workspace.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("options", "figure"),
    [
        ({"brief": ""}, "empty"),
        ({"brief": "  \n "}, "empty"),
        ({"brief": "\u200b\u200b\u200b\u200b"}, "empty"),
        ({"brief": "caf\udce9 wall"}, "not UTF-8"),
        ({"brief": "ab"}, "shorter than 3 characters, not 'ab'"),
        ({"brief": "x" * 20_000}, "20000 characters"),
        ({"images": 0}, "not 0"),
        ({"images": 1000}, "1 to 64, not 1000"),
        ({"rounds": 11}, "1 to 10, not 11"),
        ({"size": 100}, "96 or 112"),
        ({"size": 32}, "64 to 2048, not 32"),
        ({"size": 4096}, "not 4096"),
        ({"seed": -1}, "not -1"),
        ({"seed": SEED_LIMIT}, f"not {SEED_LIMIT}"),
        ({"inspirations": ["leaf"] * 7}, "7 inspirations"),
        ({"inspirations": ["x"]}, "shorter than 2 characters, not 'x'"),
        ({"inspirations": ["silk (dragline"]}, "unclosed bracket"),
        ({"inspirations": ["\u200b\u200b"]}, "empty"),
    ],
)
def test_what_is_out_of_range_is_refused_with_the_figure(options: dict[str, Any], figure: str) -> None:
    with pytest.raises(UsageError, match=figure):
        prepare(options.pop("brief", "a tough panel"), checked(DesignOptions, options))


@pytest.mark.usefixtures("scripted_studio")
def test_the_bounds_themselves_are_allowed(home: Path) -> None:
    names = ["竹子", "蜘蛛丝", "عرق اللؤلؤ", "паутина", "μετάξι", "クモの糸"]
    small = prepare("abc", DesignOptions(images=1, rounds=1, size=64, seed=0))
    named = prepare("竹板", DesignOptions(inspirations=names))
    large = prepare("x" * 8000, DesignOptions(images=64, rounds=10, size=2048, seed=SEED_LIMIT - 1))
    with Ledger(home / "ledger.db") as ledger:
        rows = [ledger.run(one.run_id) for one in (small, named, large)]
    assert (rows[0].seed, rows[2].seed) == (0, SEED_LIMIT - 1)
    assert rows[1].brief["inspirations"] == names and rows[2].brief["text"] == "x" * 8000


def test_nothing_is_entered_for_a_bad_request(home: Path) -> None:
    for brief, options in (("ab", {}), ("ok brief", {"program": "nope"}), ("ok brief", {"profile": "no"})):
        with pytest.raises(StudioError):
            prepare(brief, DesignOptions(**options))
    assert list(home.iterdir()) == []


def test_a_missing_model_is_told_before_anything_is_made(home: Path) -> None:
    with pytest.raises(StudioError, match="studio models fetch smollm2-135m-instruct"):
        prepare("a tough panel", DesignOptions())
    assert not (home / "runs").exists()


@pytest.mark.usefixtures("scripted_studio")
def test_a_run_is_entered_with_everything_settled(home: Path) -> None:
    made = prepare("a tough panel", DesignOptions(inspirations=["nacre"], images=3, size=128, seed=9, ask=True))
    with Ledger(home / "ledger.db") as ledger:
        row = ledger.run(made.run_id)
    assert (row.status, row.seed, row.brief["inspirations"]) == ("queued", 9, ["nacre"])
    assert row.settings["settings"]["flow"]["images"] == 3
    assert row.settings["settings"]["painter"]["size"] == 128
    assert row.settings["ask"] is True
    assert (home / "runs" / made.run_id / "brief.json").is_file()


@pytest.mark.usefixtures("scripted_studio")
def test_given_settings_are_kept_and_options_go_first(home: Path) -> None:
    given = load_settings(overrides={"flow.images": 5, "flow.rounds": 2})
    made = prepare("a tough panel", DesignOptions(images=1), given)
    assert (made.settings.flow.images, made.settings.flow.rounds) == (1, 2)


@pytest.mark.usefixtures("scripted_studio")
def test_a_seed_is_drawn_when_none_is_given(home: Path) -> None:
    seeds = set()
    for _ in range(3):
        made = prepare("a tough panel", DesignOptions())
        with Ledger(home / "ledger.db") as ledger:
            seeds.add(ledger.run(made.run_id).seed)
    assert len(seeds) == 3


def test_recorded_settings_do_not_listen_to_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_settings().model_dump(mode="json", exclude={"home"})
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "9")
    monkeypatch.setenv("STUDIO_ROLES__CRITIC__MODEL", "other")
    assert recorded(data, home).model_dump(mode="json", exclude={"home"}) == data
    with pytest.raises(UsageError, match=r"flow\.images"):
        recorded(data | {"flow": {"images": 0}}, home)


def test_an_adapter_is_asked_for_by_name() -> None:
    assert overrides(DesignOptions(adapter="leaf-micro-lora")) == {"painter.adapter": "leaf-micro-lora"}
    assert load_settings(overrides=overrides(DesignOptions(adapter="none"))).painter.adapter is None


def test_an_options_bounds_and_words_are_the_settings(home: Path) -> None:
    for name, key in (("images", "flow.images"), ("size", "painter.size"), ("model", "chat.model")):
        section, field = key.split(".")
        annotation = Settings.model_fields[section].annotation
        assert annotation is not None
        ours, theirs = DesignOptions.model_fields[name], annotation.model_fields[field]  # type: ignore[attr-defined]
        assert (ours.description, bounds(ours)) == (theirs.description, bounds(theirs))


def test_what_is_set_by_hand_of_servers_goes_before_the_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_settings().model_dump(mode="json", exclude={"home"})
    assert connection(load_settings()) == {}  # a profile's words are the record's
    monkeypatch.setenv("STUDIO_CHAT__TIMEOUT", "600")
    monkeypatch.setenv("STUDIO_ROLES__ENGINEER__MAX_TOKENS", "4000")
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "9")
    now = connection(load_settings())
    assert now == {"chat.timeout": 600.0, "roles.engineer.max_tokens": 4000}
    made = recorded(renewed(data, now), home)
    assert (made.chat.timeout, made.roles["engineer"].max_tokens, made.flow.images) == (
        600,
        4000,
        data["flow"]["images"],
    )


def test_a_recorded_key_does_not_go_to_another_server() -> None:
    data = {"chat": {"server": "https://one.example/v1", "api_key_env": "ONE_KEY"}}
    moved = renewed(data, {"chat.server": "https://other.example/v1"})
    assert moved["chat"] == {"server": "https://other.example/v1", "api_key_env": None}
    assert renewed(data, {"chat.server": "https://one.example/v2"})["chat"]["api_key_env"] == "ONE_KEY"
    keyed = renewed(data, {"chat.api_key_env": "OTHER_KEY", "chat.server": "https://other.example/v1"})
    assert keyed["chat"]["api_key_env"] == "OTHER_KEY"
    assert data["chat"]["api_key_env"] == "ONE_KEY"
