"""The log-in before the page: nothing answers to strangers, guesses are slowed, sessions are kept and ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio.sharing.users import Users, hashed, new_token, put
from tests.fixtures_page import FakeDoor
from ui.cli import main
from ui.web.login import WRONG, inside
from ui.web.patience import FREE, LONGEST_OF_NAME, MOST, Patience, neighbourhood

PASSWORD = "a long walk"
HOST = "http://127.0.0.1:7860"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost little here."""
    monkeypatch.setattr(hashed, "__kwdefaults__", {"cost": 10})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    put(tmp_path / "users.txt", "ada", PASSWORD)
    return tmp_path / "users.txt"


class Clock:
    """A clock that is moved by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("ui.web.login.Login.__init__.__defaults__", (made,))
    return made


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Any]:
    fake: Any = FakeDoor(tmp_path)
    fake.settings = SimpleNamespace(home=tmp_path)
    yield fake
    fake.close()


@pytest.fixture
def serve(door: Any, file: Path, clock: Clock) -> Iterator[Callable[..., Any]]:
    """Starts the page anew, as after a restart."""
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    from ui.app import application

    opened = []

    def start(base: str = HOST, **more: Any) -> Any:
        client = TestClient(application(door, users=Users(file), **more), base_url=base, follow_redirects=False)
        opened.append(client)
        return client.__enter__()

    yield start
    for client in opened:
        client.__exit__(None, None, None)


def log_in(client: Any, name: str = "ada", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/log-in", data={"name": name, "password": password, "next": "/", **more})


PATHS = (
    "/",
    "/library",
    "/config",
    "/theme.css",
    "/assets/index.js",
    "/static/img/logo.svg",
    "/gradio_api/startup-events",
    "/gradio_api/queue/data?session_hash=a",
    "/gradio_api/heartbeat/a",
    "/desk/jobs",
    "/pictures/r1/01.png",
    "/thumbnails/r1/01.png",
    "/export/r1.html",
    "/batches/r1/index.html",
    "/report",
    "/favicon.ico",
    "/log-in/",
    "/log-inx",
    "//log-in",
    "/api/v1/designs",
    "/nowhere",
)


def test_nothing_answers_to_a_stranger(serve: Any) -> None:
    client = serve(api=True)
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code in (401, 404) and "Studio" not in answer.text, path
        for method in ("post", "put", "delete", "options", "head", "patch"):
            headers = {"content-type": "application/json"}
            assert getattr(client, method)(path, headers=headers).status_code in (401, 404, 415), (method, path)
    assert client.get("/gradio_api/queue/data?session_hash=a").status_code == 401


def test_a_browser_is_led_to_the_log_in_and_back(serve: Any) -> None:
    client = serve()
    answer = client.get("/library?search=a&b=%C3%A4", headers={"accept": "text/html,*/*"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/log-in?next=%2Flibrary%3Fsearch%3Da%26b%3D%25C3%25A4"
    page = client.get(answer.headers["location"])
    assert page.status_code == 200 and "<script" not in page.text and page.headers["cache-control"] == "no-store"
    assert not re.findall(r'(?:src|href)="(?!/)', page.text)
    assert 'value="/library?search=a&amp;b=%C3%A4"' in page.text
    went = log_in(client, next="/library?search=a&b=%C3%A4")
    assert went.status_code == 303 and went.headers["location"] == "/library?search=a&b=%C3%A4"
    assert client.get("/library").status_code == 200
    assert client.get("/log-in").headers["location"] == "/"


def test_the_cookie_is_for_this_address_alone(serve: Any) -> None:
    told = log_in(serve()).headers["set-cookie"]
    assert told.startswith("studio-7860=") and "HttpOnly" in told and "samesite=strict" in told.lower()
    assert "Path=/" in told and "Secure" not in told and "Domain" not in told
    safe = log_in(serve("https://127.0.0.1")).headers["set-cookie"]
    assert safe.startswith("__Host-studio=") and "Secure" in safe


def test_a_session_survives_a_restart_and_ends_by_log_out(serve: Any, clock: Clock) -> None:
    first = serve()
    log_in(first)
    second = serve()
    second.cookies = first.cookies
    assert second.get("/").status_code == 200 and 'href="/log-out"' in str(second.get("/config").text).replace("\\", "")
    kept = dict(second.cookies)
    assert "Log out" in second.get("/log-out").text
    form = {"content-type": "application/x-www-form-urlencoded"}
    left = second.post("/log-out", headers=form)
    assert left.status_code == 303 and "Max-Age=0" in left.headers["set-cookie"]
    third = serve()
    for name, value in kept.items():
        third.cookies.set(name, value)
    assert third.get("/").status_code == 401
    log_in(third)
    clock.now += 8 * 24 * 3600
    assert third.get("/").status_code == 401


@pytest.mark.parametrize(
    "cookie",
    ["x", "", '"', "a" * 5_000, "\u00e9", "studio-7860", "studio-7860=", "studio-7860=x; studio-7860=y",
     "studio-80=KEPT", "studio-7860=KEPTx", "studio-7860= KEPT2", "__Host-studio=KEPT", "studio-7860=x; Path=/"],
)  # fmt: skip
def test_a_forged_cookie_is_none(serve: Any, cookie: str) -> None:
    client = serve()
    log_in(client)
    kept = client.cookies.get("studio-7860")
    client.cookies.clear()
    headers = {"cookie": cookie.replace("KEPT", kept[:-1]).encode("latin-1")}
    assert client.get("/", headers=headers).status_code == 401
    assert client.get("/", headers={"cookie": f"other=1; studio-7860={kept}"}).status_code == 200


def test_a_wrong_name_and_a_wrong_password_sound_the_same(serve: Any, clock: Clock) -> None:
    client = serve()
    answers = [log_in(client, "ada", "wrong one"), log_in(client, "eve", PASSWORD), log_in(client, "", "")]
    assert [one.status_code for one in answers] == [401, 401, 401]
    assert all(WRONG in one.text for one in answers) and not client.cookies
    pages = [one.text.replace('value="ada"', "").replace('value="eve"', "").replace('value=""', "") for one in answers]
    assert pages[0] == pages[1] == pages[2]


def test_guesses_are_slowed_by_address_and_by_name(serve: Any, clock: Clock) -> None:
    client = serve()
    for name in ("ada", "eve"):  # a name that nobody has is slowed as well
        clock.now += 7200
        for _ in range(FREE):
            assert log_in(client, name, "wrong one").status_code == 401
        slow = log_in(client, name, PASSWORD)
        assert slow.status_code == 429 and int(slow.headers["retry-after"]) >= 1 and not client.cookies
        clock.now += int(slow.headers["retry-after"])
        assert log_in(client, name, "wrong one").status_code == 401
        longer = log_in(client, name, "wrong one")
        assert int(longer.headers["retry-after"]) > int(slow.headers["retry-after"])
    clock.now += 120
    assert log_in(client).status_code == 303


def test_a_right_password_forgets_the_wrong_ones_before_it(serve: Any, clock: Clock) -> None:
    client = serve()
    for _ in range(3):
        for _ in range(2):
            log_in(client, "ada", "wrong one")
        assert log_in(client).status_code == 303
        client.cookies.clear()
        clock.now += 4000


def test_waits_grow_are_bounded_and_take_bounded_memory() -> None:
    patience = Patience(LONGEST_OF_NAME)
    waits = []
    for _ in range(20):
        patience.tried("ada", 0.0)
        waits.append(patience.wait("ada", 0.0))
    assert waits[:4] == [0, 0, 0, 0] and waits[4:7] == [2.0, 4.0, 8.0] and max(waits) == LONGEST_OF_NAME
    for number in range(MOST + 500):
        patience.tried(f"n{number}", 1.0)
    assert len(patience) == MOST
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff") != neighbourhood("2001:db8:0:1::1")
    assert neighbourhood("::ffff:10.0.0.1") == neighbourhood("10.0.0.1") != neighbourhood("10.0.0.2")


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:1", "", "/a\nb", "/log-out",
     "evil", "/" + "a" * 3000, "/\t/evil.example"],
)  # fmt: skip
def test_after_the_log_in_nobody_is_led_elsewhere(address: str) -> None:
    assert inside(address) == "/"


def test_a_hostile_name_is_text(serve: Any) -> None:
    answer = log_in(serve(), '"><script>alert(1)</script>', "wrong one")
    assert "<script" not in answer.text and "&lt;script&gt;" in answer.text


def test_the_form_alone_is_taken_and_from_this_page_alone(serve: Any) -> None:
    client = serve()
    assert client.post("/log-in", json={"name": "ada", "password": PASSWORD}).status_code == 415
    assert client.put("/log-in").status_code == 405
    body = {"name": "ada", "password": PASSWORD}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert client.post("/log-in", data=body, headers=headers).status_code == 403
        assert client.post("/log-out", data=body, headers=headers).status_code == 403
    assert client.post("/log-in", data=body, headers={"host": "evil.example"}).status_code == 421
    assert log_in(client, password="x" * 9_000).status_code == 401
    form = {"content-type": "application/x-www-form-urlencoded"}
    for content in (b"\xff\xfe", b"a=" * 100, b"&" * 50, b"name=%ff%00&password=%ed%a0%80"):
        assert client.post("/log-in", content=content, headers=form).status_code in (401, 429)


def test_sockets_are_shut_too(serve: Any) -> None:
    from starlette.websockets import WebSocketDisconnect

    client = serve()
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/queue/join"):
        pass


def test_a_users_file_that_is_opened_to_others_lets_nobody_in(serve: Any, file: Path) -> None:
    client = serve()
    log_in(client)
    file.chmod(0o644)
    told = client.get("/")
    assert told.status_code == 503 and "chmod 600" in told.text


def test_a_token_opens_the_api_and_nothing_else(serve: Any, file: Path) -> None:
    client = serve(api=True)
    token = new_token(file, "ada")
    bearer = {"authorization": f"Bearer {token}"}
    assert client.get("/api/v1/docs", headers=bearer).status_code == 200
    for headers in ({}, {"authorization": f"Bearer {token}x"}, {"authorization": token}, {"authorization": "Bearer "}):
        told = client.get("/api/v1/docs", headers=headers)
        assert told.status_code == 401 and told.headers["www-authenticate"] == "Bearer"
    for path in ("/", "/desk/jobs", "/pictures/a/b.png"):
        assert client.get(path, headers=bearer).status_code == 401


def test_without_users_nobody_logs_in(door: Any) -> None:
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    from ui.app import application

    with TestClient(application(door), base_url=HOST) as client:
        assert client.get("/").status_code == 200 and client.get("/log-in").status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "studio.lan"])
def test_another_address_refuses_to_start_without_a_log_in(home: Path, capsys: Any, host: str) -> None:
    assert main(["ui", "--host", host]) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told and f"studio ui --host {host} --auth users.txt" in told and "studio users add" in told


def test_a_log_in_that_nobody_has_refuses_to_start(home: Path, tmp_path: Path, capsys: Any, file: Path) -> None:
    assert main(["ui", "--auth", str(tmp_path / "none.txt")]) == 2
    assert "studio users add NAME --file" in capsys.readouterr().err
    file.chmod(0o644)
    assert main(["ui", "--host", "0.0.0.0", "--auth", str(file)]) == 2
    assert f"chmod 600 {file}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_this_machine_needs_no_log_in(host: str) -> None:
    from ui.web.server import refuse_strangers

    refuse_strangers(host, None)
