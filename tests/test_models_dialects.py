"""A whole design on every kind of server: refusals are understood, and answers read as a person would."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import studio
from studio.runs.record import Design
from tests.fixtures_dialects import (
    QUIRKS,
    TEXT,
    THOUGHT,
    Body,
    DialectServer,
    Quirk,
    Refusal,
    is_document,
    kind_of,
    refused,
)
from tests.fixtures_refusals import REFUSALS
from workspace.settings import load_settings

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def served(dialect_server: DialectServer, workers_in_threads: object, monkeypatch: pytest.MonkeyPatch) -> DialectServer:
    """The studio with all models on the server but the painter, which paints at once."""
    from tests.fixtures_run import InstantPainter

    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", lambda settings, home: InstantPainter())
    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    return dialect_server


def designed(url: str) -> Design:
    overrides = {"chat.server": url, "chat.model": "tiny", "vision.server": url, "vision.model": "seeing"}
    wanted = load_settings("remote", {**overrides, "chat.timeout": 60, "flow.images": 1, "flow.rounds": 1})
    with warnings.catch_warnings(record=True) as noise:
        run = studio.design("a tough panel", inspirations=["leaf", "web"], seed=4, settings=wanted)
    assert not noise
    return run


@pytest.mark.parametrize("name", [*QUIRKS, *REFUSALS])
def test_a_design_on_every_server(served: DialectServer, name: str) -> None:
    served.quirk = (QUIRKS | REFUSALS)[name]
    run = designed(served.url)
    assert run.status == "finished" and run.design is not None and len(run.critiques) == 1
    files = {path.name: path.read_text() for path in run.folder.iterdir() if path.is_file()}
    everything = "".join(files.values())
    assert THOUGHT not in everything and "think" not in files["events.jsonl"].lower()
    assert not {"\x00", "\x1b", "\x9b"} & set(everything) and "\\u001b" not in everything
    assert THOUGHT not in json.dumps(served.requests)
    if name not in ("lone_surrogate", "nul_and_escape_in_text"):
        assert files["conversation.md"].count(TEXT + "\n") >= 2
    assert json.loads(files["manifest.json"])["repairs"] == 0


def test_what_a_server_refuses_is_remembered(served: DialectServer) -> None:
    served.quirk = QUIRKS["system_refused"]
    designed(served.url)
    first = len(served.requests)
    designed(served.url)
    again = served.requests[first:]
    assert not [request for request in again if request["messages"][0]["role"] == "system"]
    assert len(again) == first - 2  # one of each model was refused once


@pytest.mark.parametrize("kind", ["MaterialDesign", None])
def test_an_answer_that_the_server_could_not_read_is_asked_for_again(served: DialectServer, kind: str | None) -> None:
    failed: list[Body] = []

    def refuses(body: Body) -> Refusal | None:
        if failed or kind_of(body) != kind:
            return None
        failed.append(body)
        return refused(500, "The model produced output that does not match the expected peg-native format")

    served.quirk = Quirk(refuses)
    run = designed(served.url)
    assert run.status == "finished" and run.design is not None
    again = served.requests[served.requests.index(failed[0]) + 1]
    if kind is None:  # a turn
        assert again == failed[0]
    else:
        assert again["seed"] == failed[0]["seed"] + 1  # another answer, and not the same one
        assert "does not match the expected peg-native format" in again["messages"][-1]["content"]
    documents = [request for request in served.requests if is_document(request)]
    assert {request["response_format"]["type"] for request in documents} == {"json_schema"}
    assert json.loads((run.folder / "manifest.json").read_text())["repairs"] == int(kind is not None)


def test_a_prompt_for_a_document_names_its_fields(served: DialectServer) -> None:
    designed(served.url)
    asked = next(json.dumps(one["messages"]) for one in served.requests if "MaterialDesign" in json.dumps(one))
    for name in ("title", "inspirations", "feature", "scale", "fabrication"):
        assert f"- {name}: " in asked
    assert "- scale: one of" in asked and "The length scale" in asked


def test_the_home_holds_no_more_than_the_run(served: DialectServer, home: Path) -> None:
    designed(served.url)
    assert {path.name for path in (home / "runs").iterdir()} == {run.run_id for run in studio.list_runs()}


def test_a_design_is_traced_by_nobody(served: DialectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import langsmith
    from langsmith.utils import get_env_var, tracing_is_enabled

    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_HANDLER"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", served.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "ls-key")
    get_env_var.cache_clear()
    try:
        assert designed(served.url).status == "finished"
        assert not tracing_is_enabled()
        assert set(served.paths) == {"/v1/chat/completions"}
    finally:
        langsmith.configure(enabled=None)
        get_env_var.cache_clear()
