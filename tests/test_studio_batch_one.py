"""One design of a batch: whole, the same after any stop, each effect once; how its faults are told apart."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.batching import one
from studio.batching.one import Halted, Tally, Workshop
from studio.batching.shapes import DESIGNS, Item, ItemRow, Outcome
from studio.runs.request import DesignOptions
from tests.fixtures_dialects import QUIRKS, DialectServer, Quirk, Refusal
from tests.fixtures_run import InstantPainter, ScriptedChat, scripted_structured
from workspace.errors import DataError, ServiceError, StorageError
from workspace.event_log import read
from workspace.files import verify
from workspace.ledger import Ledger
from workspace.settings import Settings, load_settings

FILES = {"brief.json", "conversation.md", "design.json", "prompts.json", "critiques.json", "events.jsonl"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "out" / "ledger.db") as opened:
        yield opened


@pytest.fixture
def settings(scripted_studio: InstantPainter, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    return load_settings("embedded", {"vision.model": "none", "flow.images": 2, "flow.rounds": 1})


@pytest.fixture
def served(settings: Settings) -> Settings:
    """Scripted models, as if they were a server's."""
    return load_settings(
        "embedded", {"chat.server": "http://127.0.0.1:1/v1", "chat.model": "tiny", "vision.model": "none"}
    )


Shop = Callable[..., Workshop]


@pytest.fixture
def shop(tmp_path: Path, settings: Settings, ledger: Ledger) -> Shop:
    def made(using: Settings = settings, deadline: float | None = None) -> Workshop:
        return Workshop(tmp_path / "out", using, ledger, Tally(), deadline)

    return made


def row(name: str = "first", attempts: int = 1, before: Outcome | None = None, **options: Any) -> ItemRow:
    wanted = {"inspirations": ["leaf", "web"], "seed": 4} | options
    item = Item(id=name, brief="a tough panel", options=DesignOptions(**wanted))
    return ItemRow(1, item, item.hash, "running", attempts, before or Outcome(), 0.0)


def essence(folder: Path) -> dict[str, bytes]:
    names = ("brief.json", "design.json", "prompts.json", "conversation.md", "critiques.json")
    pictures = {path.name: path.read_bytes() for path in sorted((folder / "images").iterdir())}
    return {name: (folder / name).read_bytes() for name in names} | pictures


def effects(ledger: Ledger, name: str) -> list[tuple[str, str]]:
    return [(each.key, each.kind) for each in ledger.keys(name)]


def test_a_design_leaves_a_whole_folder_and_says_what_came_of_it(shop: Shop, ledger: Ledger, tmp_path: Path) -> None:
    workshop = shop()
    outcome = workshop.make(row())
    folder = tmp_path / "out" / DESIGNS / "first"
    assert (outcome.reason, outcome.retryable, outcome.run_id, outcome.pictures) == ("", False, "first", 2)
    assert outcome.seconds > 0 and workshop.tally.pictures == 2
    assert {path.name for path in folder.iterdir()} == FILES | {"images", "manifest.json"}
    assert verify(folder) == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["run_id"], manifest["seed"], manifest["status"]) == ("first", 4, "finished")
    assert manifest["program"]["name"] == "relate-and-design" and manifest["settings"]["flow"]["images"] == 2
    events = read(folder / "events.jsonl")
    assert events[0].type == "run_started" and events[-1].type == "run_finished"
    assert [kind for _, kind in effects(ledger, "first")].count("picture") == 2


def test_it_is_the_design_that_studio_design_makes(shop: Shop, home: Path, tmp_path: Path) -> None:
    import studio

    shop().make(row(images=1))
    single = studio.design("a tough panel", inspirations=["leaf", "web"], seed=4, images=1, settings=shop().settings)
    assert essence(single.folder) == essence(tmp_path / "out" / DESIGNS / "first")


def test_an_items_own_options_go_before_the_batchs(shop: Shop, tmp_path: Path) -> None:
    shop().make(row(images=1, program="architecture", size=96))
    manifest = json.loads((tmp_path / "out" / DESIGNS / "first" / "manifest.json").read_text())
    assert manifest["settings"]["flow"]["images"] == 1 and len(manifest["image_seeds"]) == 1
    assert manifest["program"]["name"] == "architecture" and manifest["settings"]["painter"]["size"] == 96


@pytest.mark.parametrize("stop", range(1, 46, 4))
def test_a_stopped_design_goes_on_to_the_same_end(
    shop: Shop,
    ledger: Ledger,
    tmp_path: Path,
    scripted_studio: InstantPainter,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    asked: Counter[str] = Counter()

    class Counted(ScriptedChat):
        def _stream(self, messages: Any, *rest: Any, **more: Any) -> Any:
            yield from super()._stream(messages, *rest, **more)
            asked[f"turn {len(messages)}"] += 1

    monkeypatch.setattr("models.chat.choose.chat_model", lambda call, home, *, seed=None: Counted(seed=seed or 0))
    whole = tmp_path / "out" / DESIGNS / "whole"
    shop().make(row("whole"))
    asked.clear()
    scripted_studio.painted.clear()
    workshop, seen = shop(), Counter[str]()
    emit = one._Log.emit

    def counted(log: Any, event: Any) -> Any:
        seen["events"] += 1
        if seen["events"] == stop:
            workshop.halt.set()
        return emit(log, event)

    with monkeypatch.context() as patch:
        patch.setattr(one._Log, "emit", counted)
        with pytest.raises(Halted):
            workshop.make(row())
    outcome = shop().make(row(attempts=2))
    assert outcome.reason == "" and outcome.pictures == 2
    folder = tmp_path / "out" / DESIGNS / "first"
    assert essence(folder) == essence(whole) and verify(folder) == []
    assert effects(ledger, "first") == effects(ledger, "whole")
    assert all(count == 1 for count in asked.values()), asked
    assert Counter(spec.seed for spec in scripted_studio.painted).most_common(1)[0][1] <= 2  # one may be halted midway
    assert not list((tmp_path / "out").rglob(".staging-*"))


def test_a_design_that_was_made_is_not_made_again(
    shop: Shop, tmp_path: Path, scripted_studio: InstantPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop().make(row())
    before = essence(tmp_path / "out" / DESIGNS / "first")
    painted = len(scripted_studio.painted)

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("asked again")

    monkeypatch.setattr("models.chat.choose.chat_model", refused)
    workshop = shop()
    outcome = workshop.make(row(attempts=2, before=Outcome(seconds=5.0, tokens_out=3)))
    assert outcome.reason == "" and outcome.pictures == 2 and outcome.seconds > 5 and outcome.tokens_out == 3
    assert essence(tmp_path / "out" / DESIGNS / "first") == before and len(scripted_studio.painted) == painted
    assert workshop.tally.pictures == 0


def test_one_that_takes_too_long_is_told_so_and_may_be_tried_again(shop: Shop, tmp_path: Path) -> None:
    outcome = shop(deadline=1e-9).make(row())
    assert outcome.retryable and outcome.reason.startswith("it took longer than 1e-09 s (--deadline)")
    assert shop().make(row(attempts=2, before=outcome)).reason == ""


def test_a_halted_batch_ends_a_design_at_its_next_word(shop: Shop) -> None:
    workshop = shop()
    workshop.halt.set()
    with pytest.raises(Halted):
        workshop.make(row())


def raising(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    def structured(model: Any, schema: Any, *rest: Any, **more: Any) -> Any:
        if schema.__name__ == "MaterialDesign":
            raise fault
        return scripted_structured(model, schema, *rest, **more)

    monkeypatch.setattr("models.chat.structured.structured", structured)


def test_faults_are_told_apart(
    shop: Shop,
    settings: Settings,
    served: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(monkeypatch, ServiceError("the server answered HTTP 503", hint="try later"))
    outcome = shop(served).make(row())
    assert (outcome.reason, outcome.retryable) == ("the server answered HTTP 503 (try later)", True)
    raising(monkeypatch, DataError("the answer is no valid MaterialDesign"))
    assert shop(served).make(row()).retryable  # another answer may be one
    outcome = shop(settings).make(row("second"))
    assert (outcome.reason, outcome.retryable) == ("the answer is no valid MaterialDesign", False)
    raising(monkeypatch, ZeroDivisionError("by zero"))
    outcome = shop().make(row("third"))
    assert "ZeroDivisionError: by zero" in outcome.reason and not outcome.retryable
    assert "Traceback" in capsys.readouterr().err
    raising(monkeypatch, StorageError("cannot write x: no space is left on the disk"))
    with pytest.raises(StorageError):
        shop().make(row("fourth"))


def test_what_an_item_asks_for_and_is_not_there_is_its_own_fault(shop: Shop) -> None:
    outcome = shop().make(row(program="no-such-program"))
    assert "unknown program 'no-such-program'" in outcome.reason and not outcome.retryable


def test_items_of_the_same_settings_share_what_they_need(
    shop: Shop, scripted_studio: InstantPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []

    def load(settings: Any, home: Path) -> Any:
        loaded.append(settings)
        return scripted_studio

    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", load)
    workshop = shop()
    for name in ("a", "b", "c"):
        assert workshop.make(row(name, seed=len(name), images=1)).reason == ""
    assert len(loaded) == 1
    workshop.make(row("d", images=1, size=96))
    assert len(loaded) == 2 and loaded[1].size == 96


@pytest.mark.parametrize("where", ["here", "there"])
def test_models_here_write_one_text_at_a_time_and_served_ones_many(
    shop: Shop, settings: Settings, served: Settings, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    lock, both = threading.Lock(), threading.Barrier(2)
    now: Counter[str] = Counter()

    class Watched(ScriptedChat):
        def _stream(self, messages: Any, *rest: Any, **more: Any) -> Any:
            with lock:
                now["writing"] += 1
                now["most"] = max(now["most"], now["writing"])
            if where == "there" and len(messages) == 2:
                both.wait(10)  # nobody gets on alone
            yield from super()._stream(messages, *rest, **more)
            with lock:
                now["writing"] -= 1

    monkeypatch.setattr("models.chat.choose.chat_model", lambda call, home, *, seed=None: Watched(seed=seed or 0))
    workshop = shop(settings if where == "here" else served)
    found: dict[str, Outcome] = {}

    def work(name: str) -> None:
        found[name] = workshop.make(row(name, images=1))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {name: outcome.reason for name, outcome in found.items()} == {"one": "", "two": ""}
    assert now["most"] == (1 if where == "here" else 2)


@pytest.fixture
def on_server(
    dialect_server: DialectServer, home: Path, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[DialectServer, Shop]]:
    """A workshop whose models are really asked on a server; only the painter is a stand-in."""
    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", lambda settings, home: InstantPainter())
    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    url = dialect_server.url
    overrides = {"chat.server": url, "chat.model": "tiny", "vision.server": url, "vision.model": "seeing"}

    def made(deadline: float | None = None, **more: Any) -> Workshop:
        settings = load_settings("remote", {**overrides, "chat.timeout": 60, "chat.retries": 0, **more})
        return Workshop(tmp_path / "out", settings, ledger, Tally(), deadline)

    yield dialect_server, made


def test_the_tokens_that_servers_tell_are_counted(on_server: tuple[DialectServer, Shop]) -> None:
    server, shop = on_server
    plain = shop().make(row("plain", images=1, rounds=1))
    assert plain.reason == "" and (plain.tokens_in, plain.tokens_out) == (0, 0)  # it does not say
    server.requests.clear()
    usage = '{"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 7}}'
    server.quirk = Quirk(events=lambda events: [*events[:-1], usage, events[-1]])
    workshop = shop()
    told = workshop.make(row("told", images=1, rounds=1))
    streamed = [request for request in server.requests if request.get("stream")]
    assert told.reason == "" and streamed
    assert (told.tokens_in, told.tokens_out) == (100 * len(streamed), 7 * len(streamed))
    assert (workshop.tally.tokens_in, workshop.tally.tokens_out) == (told.tokens_in, told.tokens_out)
    assert all(request["stream_options"] == {"include_usage": True} for request in streamed)
    again = workshop.make(replace(row("told", 2, told, images=1, rounds=1)))
    assert (again.tokens_in, again.tokens_out) == (told.tokens_in, told.tokens_out)  # nothing was asked again


def test_a_server_that_takes_no_stream_options_is_asked_without(on_server: tuple[DialectServer, Shop]) -> None:
    server, shop = on_server
    detail = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
    server.quirk = Quirk(
        lambda body: Refusal(422, {"detail": [detail]}) if body.get("stream_options") is not None else None
    )
    assert shop().make(row(images=1, rounds=1)).reason == ""
    assert "stream_options" not in server.requests[-1] and server.requests[-1]["messages"]


def test_a_servers_patience_is_what_is_left_for_the_design(
    on_server: tuple[DialectServer, Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.chat import exchange

    _, shop = on_server
    waits: list[float] = []
    sent = exchange._sent

    def noted(where: Any, path: str, body: Any, deadline: float) -> Any:
        waits.append(deadline - exchange.clock())
        return sent(where, path, body, deadline)

    monkeypatch.setattr(exchange, "_sent", noted)
    assert shop(deadline=30.0).make(row(images=1, rounds=1)).reason == ""
    assert waits and max(waits) <= 30
    waits.clear()
    assert shop().make(row("second", images=1, rounds=1)).reason == ""
    assert max(waits) > 50


def test_a_refusal_is_a_fault_that_may_pass(on_server: tuple[DialectServer, Shop]) -> None:
    server, shop = on_server
    server.quirk = Quirk(lambda body: Refusal(429, {"error": {"message": "too many"}}))
    outcome = shop().make(row(images=1))
    assert outcome.retryable and "HTTP 429: too many" in outcome.reason
    server.quirk = QUIRKS["empty_choices_chunk"]
    assert shop().make(row(attempts=2, before=outcome, images=1)).reason == ""
