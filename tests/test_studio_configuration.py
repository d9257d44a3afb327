"""Settings changed, servers tried, keys kept: through the front door."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import studio
from models.chat.addresses import address
from workspace.errors import UsageError
from workspace.settings import ChatSettings, load_settings


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            body = b'{"data": [{"id": "tiny"}]}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}/v1", asked
        made.shutdown()
        thread.join()


def test_a_change_holds_and_says_where_it_comes_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.change_settings({"flow.images": "3", "sampling.temperature": "none", "sampling.avoid": "a, b"})
    settings = load_settings()
    assert (settings.flow.images, settings.sampling.temperature, settings.sampling.avoid) == (3, None, ("a", "b"))
    rows = {row.key: row for row in studio.list_settings().settings}
    assert rows["flow.images"].origin == "your settings, line 2" and rows["flow.images"].mine
    assert rows["chat.model"].origin == "profile embedded" and not rows["chat.model"].mine
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "5")
    row = next(row for row in studio.list_settings().settings if row.key == "flow.images")
    assert (row.value, row.origin, row.fixed) == ("5", "environment: STUDIO_FLOW__IMAGES", True)
    studio.change_settings(["flow.images=", "sampling.avoid="])
    assert "images" not in (home / "studio.toml").read_text()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"flow.images": 99}, "1 to 64"),
        ({"flow.image": 1}, "did you mean 'flow.images'"),
        ({"home": "/x"}, "unknown setting 'home'"),
        ({"profile": "nothing"}, "unknown profile"),
        ({"chat.server": "ftp://x"}, "must begin with http"),
        (["flow.images"], "KEY=VALUE"),
    ],
)
def test_what_cannot_be_set_changes_nothing(home: Path, changes: dict[str, object], why: str) -> None:
    (home / "studio.toml").write_text("# mine\n")
    with pytest.raises(UsageError, match=why):
        studio.change_settings(changes)
    assert (home / "studio.toml").read_text() == "# mine\n"


def test_a_server_of_the_working_folder_is_not_taken_by_the_page(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "studio.toml").write_text('[chat]\nserver = "http://elsewhere/v1"\napi_key_env = "SECRET"\n')
    monkeypatch.chdir(folder)
    from ui.desk.door import FrontDoor

    with pytest.raises(UsageError, match="not taken from the working folder"):
        FrontDoor()


def test_a_server_is_tried_once_with_its_kept_key(home: Path, server: tuple[str, list[str]]) -> None:
    url, asked = server
    with pytest.raises(UsageError, match="no server is set"):
        studio.try_server("chat")
    studio.change_settings({"chat.server": url, "chat.api_key_env": "STUDIO_TEST_KEY", "chat.model": "tiny"})
    lacking = studio.try_server("chat")
    assert not lacking.well and "STUDIO_TEST_KEY" in lacking.told and asked == []
    studio.keep_key("STUDIO_TEST_KEY", value="s3cret")
    found = studio.try_server("chat")
    assert found.well and found.models == ("tiny",) and asked == ["Bearer s3cret"]
    assert "s3cret" not in repr(studio.list_keys()) + repr(studio.list_settings()) + repr(found)
    [row] = studio.list_keys().keys
    assert (row.place, row.used_by) == ("kept", ("chat",))
    with pytest.raises(UsageError, match="unknown place"):
        studio.try_server("elsewhere")
    assert studio.forget_key("STUDIO_TEST_KEY") and not studio.forget_key("STUDIO_TEST_KEY")


def test_the_environment_s_key_goes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_settings()
    chat = ChatSettings(model="x", server="http://127.0.0.1:9/v1", api_key_env="STUDIO_TEST_KEY")
    with pytest.raises(UsageError, match="is not set"):
        address(chat)
    studio.keep_key("STUDIO_TEST_KEY", value="kept")
    assert address(chat).headers["Authorization"] == "Bearer kept"
    monkeypatch.setenv("STUDIO_TEST_KEY", "outside")
    assert address(chat).headers["Authorization"] == "Bearer outside"
    assert "kept" not in repr(address(chat))
