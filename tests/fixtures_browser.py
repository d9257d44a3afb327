"""The page in Debian's Chromium: served from a thread of the test, opened by Playwright, looked at by axe-core."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.fixtures_page import FakeDoor

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "build" / "browser"
"""Where screenshots are kept; git ignores it."""
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 30_000
"""Milliseconds that an element may take to come."""


@contextmanager
def served(door: Any) -> Iterator[str]:
    """Serve the page on a door from a thread, and yield its address."""
    pytest.importorskip("gradio")
    import uvicorn

    from ui.app import application
    from ui.web.server import listen

    up = threading.Event()
    server: list[uvicorn.Server] = []
    sock = listen("127.0.0.1", 0)

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            up.set()

    def run() -> None:
        config = uvicorn.Config(application(door), log_level="warning", timeout_graceful_shutdown=1)
        server.append(Server(config))
        server[0].run(sockets=[sock])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(PATIENCE / 1000), "the page did not come up"
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
    server[0].should_exit = True
    thread.join(20)
    sock.close()


PAGE = """
from ui.app import application
from ui.web.server import run
run(application(), "127.0.0.1", 0, open_browser=False)
"""


@contextmanager
def started(home: Path) -> Iterator[str]:
    """Start the page on a home as a user does, in a process of its own, and yield its address."""
    pytest.importorskip("gradio")
    said = home / "server.log"
    with said.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", PAGE],
            cwd=ROOT,
            env=os.environ | {"STUDIO_HOME": str(home), "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=log,
        )
    until = time.monotonic() + 120
    while not (found := re.search(r"Studio is at (http://\S+)", said.read_text(encoding="utf-8"))):
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            pytest.fail(f"the page did not come up: {said.read_text(encoding='utf-8')}")
        threading.Event().wait(0.2)
    yield found[1]
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def fake_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDoor]:
    """A door that only pretends, for all tests of a file."""
    from tests.fixtures_page import FakeDoor

    fake = FakeDoor(tmp_path_factory.mktemp("home"))
    yield fake
    fake.close()


@pytest.fixture
def fake_door(fake_house: FakeDoor) -> FakeDoor:
    """The fake door, without any run."""
    fake_house.forget()
    return fake_house


@pytest.fixture(scope="module")
def fake_address(fake_house: FakeDoor) -> Iterator[str]:
    """The page on the fake door."""
    with served(fake_house) as address:
        yield address


@pytest.fixture(scope="module")
def _front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """The real front door and the address of the page on it; each test gives it a home of its own."""
    from ui.desk.door import FrontDoor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        door = FrontDoor()
    with served(door) as address:
        yield door, address


@pytest.fixture
def shop(
    _front: tuple[Any, str], home: Path, scripted_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimpleNamespace]:
    """The page on the real front door and a home of its own, with scripted models: its address, door and home.

    What the page does by a command is done by that command's code in this process, where the scripts hold.
    """
    from ui import cli
    from workspace.errors import UsageError

    door, address = _front

    def command(self: Any, args: Sequence[str], seconds: float, *, also: Sequence[int] = ()) -> str:
        told, wrong = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(wrong):
            code = cli.main(list(args))
        if code and code not in also:
            raise UsageError(wrong.getvalue().strip().removeprefix("error: ") or f"it ended with code {code}")
        return told.getvalue()

    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    monkeypatch.setattr(cli, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=15))  # not from a thread
    monkeypatch.setattr("ui.desk.door.FrontDoor.command", command)
    door.reread()
    yield SimpleNamespace(address=address, door=door, home=home)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """Chromium, for all tests of a file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A desktop page; a script error or a request to another address fails the test."""
    if "shop" in request.fixturenames:  # it stands until the page is closed
        request.getfixturevalue("shop")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if _outside(request.url) else None)
    yield page
    context.close()
    assert faults == []


def _outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def see(page: Any, selector: str, text: str) -> None:
    """Wait until an element with a text is there."""
    page.locator(selector, has_text=text).first.wait_for()


def submit(page: Any, address: str, brief: str, sources: str = "nacre, leaf") -> str:
    """Fill in the form, press Design, and return the run's id from the page's address."""
    page.goto(f"{address}?new")
    page.get_by_label("Brief").fill(brief)
    page.get_by_label("Inspirations").fill(sources)
    page.get_by_role("button", name="Design", exact=True).click()
    page.wait_for_url(re.compile(r"\?run="))
    return str(page.url).rsplit("=", 1)[-1]


def settled(page: Any) -> None:
    """Wait until every piece of the page has come."""
    page.locator("main, .gradio-container").first.wait_for()
    page.wait_for_function(
        "document.querySelector('[data-read]') && !document.querySelector('[data-read][aria-busy], .loading')"
    )


def theme(page: Any, name: str) -> None:
    """Show the page in its ``light`` or ``dark`` theme."""
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", name == "dark")


def shot(page: Any, name: str, *, whole: bool = True) -> None:
    """Keep a screenshot."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"), full_page=whole)


def axe(page: Any) -> list[str]:
    """What axe-core finds serious or critical on a page, a line a rule."""
    from axe_playwright_python.base import AXE_SCRIPT

    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}), {len(one['nodes'])} times: {one['nodes'][0]['html'][:160]} "
        + " ".join(one["nodes"][0]["failureSummary"].split())[:300]
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def sideways(page: Any) -> int:
    """How many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
