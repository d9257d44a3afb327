"""The page in Debian's Chromium: on a fake front door that the test moves on, and once on the embedded models."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_page import FakeDoor

ROOT = Path(__file__).resolve().parent.parent
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000
HOSTILE = (
    "A panel <script>document.title='owned'</script> <img src=x onerror=\"document.title='owned'\"> ${1+1} {{1+1}}"
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDoor]:
    fake = FakeDoor(tmp_path_factory.mktemp("home"))
    yield fake
    fake.close()


@pytest.fixture
def door(house: FakeDoor) -> FakeDoor:
    """The fake door, without any run."""
    house.forget()
    return house


@pytest.fixture(scope="module")
def address(house: FakeDoor) -> Iterator[str]:
    """The page on the fake door, served from a thread."""
    pytest.importorskip("gradio")
    import uvicorn

    from ui.app import application
    from ui.pages.server import listen

    up = threading.Event()
    server: list[uvicorn.Server] = []
    sock = listen("127.0.0.1", 0)

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            up.set()

    def run() -> None:
        config = uvicorn.Config(application(house), log_level="warning", timeout_graceful_shutdown=1)
        server.append(Server(config))
        server[0].run(sockets=[sock])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(PATIENCE / 1000), "the page did not come up"
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
    server[0].should_exit = True
    thread.join(20)
    sock.close()


@pytest.fixture
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A desktop page; a script error or a request to another address fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
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


def _submit(page: Any, address: str, brief: str) -> str:
    """Fill in the form, press Design, and return the run's id from the page's address."""
    page.goto(address)
    page.get_by_label("Brief").fill(brief)
    page.get_by_label("Inspirations").fill("nacre, leaf")
    page.get_by_role("button", name="Design").click()
    page.wait_for_url(re.compile(r"\?run="))
    return str(page.url).rsplit("=", 1)[-1]


def _see(page: Any, selector: str, text: str) -> None:
    page.locator(selector, has_text=text).first.wait_for()


@pytest.mark.slow
def test_a_design_streams_survives_a_refresh_and_ends(page: Any, address: str, door: FakeDoor) -> None:
    run_id = _submit(page, address, "A panel that stops cracks")
    assert door.asked[0]["inspirations"] == ["nacre", "leaf"]
    assert door.asked[0]["seed"] is None
    door.let(run_id, 4)
    _see(page, "#talk .turn.scientist.live", "Both materials stop cracks")
    page.reload()
    _see(page, "#talk .turn.scientist.live", "Both materials stop cracks")
    assert page.get_by_label("Brief").input_value() == "A panel that stops cracks"
    door.let_to(run_id, "design_ready")
    _see(page, "#card h2", "Venous nacre laminate")
    door.let_to(run_id, "picture_progress")
    _see(page, "#status", "painting, step 1 of 8")
    door.let(run_id)
    _see(page, "#status .is-finished", "2 pictures in 0:33")
    assert page.locator("#pictures figure").count() == 2
    page.wait_for_function("[...document.querySelectorAll('#pictures img')].every(i => i.naturalWidth === 128)")
    _see(page, "#past a[aria-current=page]", "A panel that stops cracks")


@pytest.mark.slow
def test_stop_and_resume(page: Any, address: str, door: FakeDoor) -> None:
    run_id = _submit(page, address, "A panel")
    door.let_to(run_id, "step_finished")
    page.get_by_role("button", name="Stop").click()
    _see(page, "#status .is-interrupted", "stopped by the user")
    page.get_by_role("button", name="Resume").click()
    _see(page, "#status .is-running", "Designing")
    door.let(run_id)
    _see(page, "#status .is-finished", "Finished")
    assert (door.stopped, door.resumed) == ([run_id], [run_id])
    page.get_by_role("button", name="Resume").wait_for(state="hidden")


@pytest.mark.slow
def test_what_a_person_or_a_model_writes_is_shown_as_text(page: Any, address: str, door: FakeDoor) -> None:
    run_id = _submit(page, address, HOSTILE)
    door.let(run_id)
    _see(page, "#status .is-finished", "Finished")
    assert HOSTILE in page.locator("#talk .turn.you").inner_text()
    assert "<script>" in page.locator("#past").inner_text()
    assert page.title() == "Studio"
    assert page.locator("#talk script, #past script, #talk img").count() == 0


@pytest.mark.slow
def test_bad_requests_are_one_line(page: Any, address: str, door: FakeDoor) -> None:
    page.goto(address)
    _see(page, "#status", "No design on the table yet")
    _see(page, "#past", "will be listed here")
    page.get_by_role("button", name="Design").click()
    _see(page, "#form-error [role=alert]", "The brief is empty")
    page.get_by_label("Brief").fill("A panel")
    page.get_by_label("Seed").fill("abc")
    page.get_by_role("button", name="Design").click()
    _see(page, "#form-error [role=alert]", "seed must be a whole number")
    assert door.asked == []
    for garbage in ("../../etc", "%3Cscript%3E", "20261121-120000-nothing-0000"):
        page.goto(f"{address}?run={garbage}")
        _see(page, "#status [role=alert]", "Unknown run")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, address: str, door: FakeDoor, scheme: str) -> None:
    run_id = door.submit("A-panel-in-one-endless-word" * 8)
    door.let(run_id)
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    for query, sign in (("", "#status .empty"), (f"?run={run_id}", "#card h2")):
        page.goto(f"{address}{query}")
        page.locator(sign).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).overflowX") != "scroll"
    context.close()


@pytest.mark.slow
def test_every_field_has_a_name_and_pictures_have_words(page: Any, address: str, door: FakeDoor) -> None:
    run_id = door.submit("A panel")
    door.let(run_id)
    page.goto(f"{address}?run={run_id}")
    page.locator("#card h2").wait_for()
    for label in ("Brief", "Inspirations", "Program", "Pictures", "Rounds", "Seed"):
        assert page.locator("#ask").get_by_label(label).count() == 1
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["Studio"]
    assert page.locator("#masthead").get_by_role("link", name="Studio").get_attribute("href") == "./"
    words = page.locator("#pictures img").evaluate_all("images => images.map(image => image.alt)")
    assert words[0].startswith("Picture 1: staggered bricks")
    page.locator("#pictures a[data-zoom]").first.click()
    page.locator("dialog.zoom[open]").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog.zoom").wait_for(state="detached")


PAGE = """
from ui.app import application
from ui.pages.server import run
run(application(), "127.0.0.1", 0, open_browser=False)
"""


@pytest.fixture
def embedded(embedded_home: Path) -> Iterator[tuple[str, Path]]:
    """The page as a user starts it, on the embedded models, in a process of its own."""
    pytest.importorskip("gradio")
    said = embedded_home / "server.log"
    with said.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", PAGE],
            cwd=ROOT,
            env=os.environ | {"STUDIO_HOME": str(embedded_home), "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=log,
        )
    until = time.monotonic() + 120
    while not (found := re.search(r"Studio is at (http://\S+)", said.read_text(encoding="utf-8"))):
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            pytest.fail(f"the page did not come up: {said.read_text(encoding='utf-8')}")
        threading.Event().wait(0.2)
    yield found[1], embedded_home
    server.terminate()
    server.wait(20)


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.timeout(2400)
def test_an_embedded_design_is_watched_to_its_end_through_a_refresh(page: Any, embedded: tuple[str, Path]) -> None:
    address, home = embedded
    run_id = _submit(page, address, "A tough panel inspired by nacre and leaves")
    page.locator("#talk .turn.scientist").first.wait_for(timeout=300_000)
    page.reload()
    page.locator("#talk .turn.scientist").first.wait_for()
    assert run_id in page.url
    page.locator("#status .is-finished, #status .is-failed, #status .is-interrupted").wait_for(timeout=900_000)
    logs = [home / "server.log", home / "logs" / f"{run_id}.log"]
    shown = page.locator("#status").inner_text() + "".join(log.read_text(encoding="utf-8")[-2000:] for log in logs)
    assert page.locator("#status .is-finished").count() == 1, shown
    assert page.locator("#card h2").inner_text().strip()
    assert page.locator("#pictures figure").count() >= 1
    page.wait_for_function("[...document.querySelectorAll('#pictures img')].every(i => i.naturalWidth >= 64)")
