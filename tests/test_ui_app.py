"""The web application without a browser: what is served, to whom, and what is refused; a fake door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_page import FakeDoor


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FakeDoor]:
    fake = FakeDoor(tmp_path)
    yield fake
    fake.close()


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
    assert config["dependencies"] == []  # all that the page asks goes by routes of our own


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
    from ui.web.server import listen
    from workspace.errors import ServiceError

    with listen("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ServiceError, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)
