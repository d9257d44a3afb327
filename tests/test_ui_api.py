"""The API at /api/v1: designs submitted, followed, answered, read and taken away; off unless asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import studio

HOST = "http://127.0.0.1:7860"
AT = "/api/v1"


@pytest.fixture
def client(home: Path, scripted_studio: Any) -> Iterator[Any]:
    from fastapi.testclient import TestClient

    from ui.desk.door import FrontDoor
    from ui.desk.run.desk import Desk
    from ui.web.routes import routes

    door = FrontDoor()
    with TestClient(routes(door, Desk(door).picture, {}, {}, api=True), base_url=HOST) as made:
        yield made


def ended(run_id: str) -> None:
    for _ in studio.watch(run_id):
        pass


def test_a_design_is_submitted_followed_and_taken_away(client: Any) -> None:
    wish = {"brief": "a tough panel", "inspirations": ["bone"], "images": 1, "seed": 5}
    told = client.post(f"{AT}/designs", json=wish)
    assert told.status_code == 202, told.text
    run_id = told.json()["run_id"]
    ended(run_id)
    assert client.get(f"{AT}/designs/{run_id}").json()["state"] == "finished"
    assert [one["run_id"] for one in client.get(f"{AT}/designs").json()["designs"]] == [run_id]
    assert client.get(f"{AT}/designs?search=nothing").json() == {"designs": []}
    made = client.get(f"{AT}/designs/{run_id}/result").json()
    assert made["seed"] == 5 and made["design"]["title"] and len(made["pictures"]) == 1
    assert str(studio.open_run(run_id).folder) not in json.dumps(made)
    picture = client.get(made["pictures"][0]["address"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.content == studio.open_run(run_id).images[0].path.read_bytes()
    export = client.get(f"{AT}/designs/{run_id}/export?format=pdf")
    assert export.content.startswith(b"%PDF") and "attachment" in export.headers["content-disposition"]


def test_events_are_read_from_a_cursor(client: Any) -> None:
    run_id = client.post(f"{AT}/designs", json={"brief": "a tough panel", "images": 1}).json()["run_id"]
    ended(run_id)
    after, got = 0, []
    for _ in range(1000):
        part = client.get(f"{AT}/designs/{run_id}/events?after={after}&limit=3").json()
        assert len(part["events"]) <= 3
        got += part["events"]
        after = part["next"]
        if not part["more"]:
            break
    assert part["over"] and part["state"] == "finished"
    assert [one["seq"] for one in got] == sorted({one["seq"] for one in got})
    assert got[0]["type"] == "run_started" and got[-1]["type"] == "run_finished"
    last = client.get(f"{AT}/designs/{run_id}/events?after={after}").json()
    assert last["events"] == [] and last["next"] == after


def test_a_question_is_answered(client: Any) -> None:
    run_id = client.post(f"{AT}/designs", json={"brief": "a tough panel", "images": 1, "ask": True}).json()["run_id"]
    ended(run_id)
    asked = client.get(f"{AT}/designs/{run_id}/result").json()
    assert asked["status"] == "waiting" and asked["question"]["kind"] == "before_painting"
    wrong = client.post(f"{AT}/designs/{run_id}/resume", json={"approve": True, "choice": "finish"})
    assert wrong.status_code == 422 and "not several" in wrong.json()["error"]
    told = client.post(f"{AT}/designs/{run_id}/resume", json={"approve": True})
    assert told.status_code == 202, told.text
    ended(run_id)
    assert client.post(f"{AT}/designs/{run_id}/stop", json={}).json() == {"stopped": False}


@pytest.mark.parametrize(
    ("wish", "at"),
    [
        ({}, "brief"),
        ({"brief": "x"}, "brief"),
        ({"brief": 5}, "brief"),
        ({"brief": "a panel", "images": 0}, "images"),
        ({"brief": "a panel", "seed": -1}, "seed"),
        ({"brief": "a panel", "nope": 1}, "nope"),
        ({"brief": "a panel", "settings": {}}, "settings"),
        ({"brief": "a panel", "listener": 1}, "listener"),
        ({"brief": "a panel", "program": "/etc/passwd"}, "program"),
        ({"brief": "a panel", "profile": "../x.toml"}, "profile"),
        ({"brief": "a panel", "model": "./folder"}, "model"),
        ({"brief": "a panel", "adapter": "~/x"}, "adapter"),
        ({"brief": "a panel", "program": "no-such-program"}, ""),
    ],
)
def test_a_wrong_wish_is_one_line_at_its_field(client: Any, wish: dict[str, Any], at: str) -> None:
    told = client.post(f"{AT}/designs", json=wish)
    assert told.status_code == 422 and told.json()["at"] == at and "\n" not in told.json()["error"]
    assert studio.list_runs() == []


def test_bodies_that_are_none_are_faults_of_who_sends_them(client: Any) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 50_000, b'{"brief": "\\ud800\\ud800\\ud800"}', b'{"brief": NaN}'):
        assert 400 <= client.post(f"{AT}/designs", content=body, headers=headers).status_code < 500, body


@pytest.mark.parametrize("name", ["nope", "..%2f..%2fledger.db", "%00", "%ff", "a" * 300, "-x"])
def test_an_unknown_design_is_not_found(client: Any, name: str) -> None:
    for path in ("", "/events", "/result", "/export", "/pictures/01.png"):
        told = client.get(f"{AT}/designs/{name}{path}")
        assert told.status_code == 404 and (not path or "error" in told.json() or "detail" in told.json()), path
    for path in ("/stop", "/resume"):
        assert client.post(f"{AT}/designs/{name}{path}", json={}).status_code == 404
    assert client.get(f"{AT}/nowhere").status_code == 404


def test_every_option_of_a_design_is_described(client: Any) -> None:
    spec = client.get(f"{AT}/openapi.json").json()
    wish = spec["components"]["schemas"]["NewDesign"]
    kind = studio.design.kind
    own = {name for name in kind.model_fields if name not in ("settings", "listener")}
    assert set(wish["properties"]) == own | {"brief"} and wish["additionalProperties"] is False
    assert all(one.get("description") for one in wish["properties"].values())
    assert spec["servers"] == [{"url": AT}]
    for path, methods in spec["paths"].items():
        for method, one in methods.items():
            assert one["summary"] and "422" in one["responses"], (path, method)
    assert {"brief_token", "file"}.isdisjoint(spec["components"]["schemas"])


class Loads(HTMLParser):
    """What a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "src" or (name == "href" and tag != "a"):
                self.found.append(value or "")
            if name == "href":
                self.links.add(value or "")
            if name == "id":
                self.ids.add(value or "")


def test_the_docs_load_nothing_and_name_every_route(client: Any) -> None:
    text = client.get(f"{AT}/docs").text
    page = Loads(text)
    assert page.found == [] and "script" not in page.tags and "@import" not in text
    assert {one[1:] for one in page.links if one.startswith("#")} <= page.ids
    for path in client.get(f"{AT}/openapi.json").json()["paths"]:
        assert path in text
    assert "list of" in text and "brief" in text


def test_it_is_off_unless_asked_for(home: Path) -> None:
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    from ui.app import application

    with TestClient(application(), base_url=HOST) as client:
        for path in ("/docs", "/openapi.json", "/designs", "/designs/x"):
            assert client.get(f"{AT}{path}").status_code == 404
        assert client.post(f"{AT}/designs", json={"brief": "a panel"}).status_code in (404, 405)
        for path in ("/gradio_api/info", "/gradio_api/openapi.json", "/info", "/openapi.json", "/docs", "/redoc",
                     "/monitoring", "/gradio_api/monitoring", "/monitoring/summary", "//monitoring/summary",
                     "/gradio_api//info", "/gradio_api/file=/etc/passwd", "/gradio_api/file/x", "/token",
                     "/gradio_api/token", "/gradio_api/user", "/gradio_api/mcp", "/gradio_api/runs"):  # fmt: skip
            assert client.get(path).status_code in (403, 404), path
