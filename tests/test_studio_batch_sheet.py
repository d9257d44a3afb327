"""The contact sheet in Debian's Chromium, opened as a file: filters, a closer look, keys, small screens, print."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.batching.reports import write_reports
from studio.batching.shapes import Fault, Item
from studio.runs.request import DesignOptions
from tests.fixtures_browser import PATIENCE, SWITCHES
from tests.test_studio_batch_results import HOSTILE, RIGHT_TO_LEFT, batch, design, finish, make, manifest

COUNT = 150


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sheet of 150 items: two hostile ones, three that failed, one that waits."""
    folder = tmp_path_factory.mktemp("batch") / "panels"
    found: list[Item | Fault] = [
        Item(
            id=f"item-{at}",
            brief=f"Panel {at}",
            source="b.csv",
            line=at + 1,
            options=DesignOptions(inspirations=("cork",)),
        )
        for at in range(1, COUNT + 1)
    ]
    found.append(Fault(source="b.csv", line=400, reason="no brief"))
    with batch(folder, found) as store:
        for row in store.take(COUNT):
            if row.seq in (7, 8, 9):
                finish(store, row, reason=f"no answer within {row.seq} s", retryable=True)
            elif row.seq == 10:
                store.give_back(row.seq)
            else:
                title = {1: HOSTILE, 2: RIGHT_TO_LEFT, 3: "endless" * 30}.get(row.seq, f"Laminate {row.seq}")
                make(folder, row, design(row.seq, title=title), pictures=1 + row.seq % 2)
                finish(store, row)
        write_reports(store, manifest(store))
    return (folder / "index.html").as_uri()


@pytest.fixture
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, sheet: str) -> Iterator[Any]:
    """The sheet; a script error, a refused load or a request for anything but a file fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith("file:") else faults.append(request.url))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.goto(sheet)
    yield page
    context.close()
    assert faults == []


def titles(page: Any) -> list[str]:
    return [str(text) for text in page.locator("#grid .open").all_inner_texts()]


def until(page: Any, expression: str) -> None:
    """Wait until something is true of the page, asked from without: its policy lets no text be run within."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def tally(page: Any, text: str) -> None:
    page.locator("#tally").filter(has_text=re.compile(rf"^\s*{re.escape(text)}\s*$")).wait_for()


@pytest.mark.slow
def test_all_items_come_as_one_scrolls(page: Any) -> None:
    tally(page, "150 items")
    assert len(titles(page)) < COUNT
    until(page, "document.querySelector('#grid img').naturalWidth > 0")
    end = "scrollTo(0, document.documentElement.scrollHeight)"
    until(page, f"() => {{ {end}; return document.getElementById('fence').hidden; }}")
    assert len(titles(page)) == COUNT


@pytest.mark.slow
def test_filters_and_order(page: Any) -> None:
    page.get_by_label("Search").fill("laminate 14")
    tally(page, "12 of 150 items")
    page.get_by_role("button", name="Show all").click()
    tally(page, "150 items")
    page.get_by_label("State").select_option("failed")
    tally(page, "3 of 150 items")
    until(page, "document.querySelector('#grid').innerText.includes('no answer within 7 s')")
    page.reload()
    tally(page, "3 of 150 items")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Inspiration").select_option("bone")
    tally(page, "73 of 150 items")
    page.locator("select[name=fit]").select_option("6")
    tally(page, "0 of 150 items")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Order").select_option(label="Most Toughness, MJ/m³")
    until(page, "document.querySelector('#grid .open').textContent === 'Laminate 150'")
    page.get_by_label("Search").fill("nothing of the kind")
    page.get_by_text("Nothing fits these filters").wait_for()


@pytest.mark.slow
def test_what_a_person_or_a_model_writes_is_shown_as_text(page: Any) -> None:
    assert titles(page)[0].split() == HOSTILE.split()
    assert page.title() == "panels: contact sheet"
    assert page.evaluate("getComputedStyle(document.querySelectorAll('#grid .open')[1]).direction") == "rtl"
    page.locator("#grid .open").first.click()
    dialog = page.locator("dialog[open]")
    assert dialog.locator("h2").inner_text().split() == HOSTILE.split()
    assert dialog.locator("script").count() == 0


@pytest.mark.slow
def test_a_closer_look_by_keys_alone(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("laminate")
    tally(page, "143 of 150 items")
    page.locator("#grid .open").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("heading", name="Laminate 5").wait_for()
    until(page, "document.querySelector('dialog .views img').naturalWidth === 64")
    assert dialog.locator(".strip button").count() == 2
    page.keyboard.press("ArrowRight")
    dialog.get_by_role("heading", name="Laminate 6").wait_for()
    assert "2 of 143" not in dialog.inner_text() and "3 of 143" in dialog.inner_text()
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog[open]')")
    assert page.evaluate("document.activeElement.textContent") == "Laminate 6"


@pytest.mark.slow
def test_failures_lead_to_their_items(page: Any) -> None:
    page.locator("a[href='#reasons']").click()  # all cards are drawn then, and nothing moves below them
    table = page.locator(".reasons")
    assert "no answer within … s" in table.inner_text() and "may succeed" in table.inner_text()
    assert "b.csv, line 400" in table.inner_text()
    table.get_by_role("button", name="item-8").click()
    page.locator("dialog[open]").get_by_text("no answer within 8 s").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, sheet: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(sheet)
    page.locator("#grid .open").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("State").select_option("done")
    page.locator("#grid .open").nth(2).click()
    page.locator("dialog[open] h2").wait_for()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 390
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (sum(map(int, ink[4:-1].split(","))) > sum(map(int, paper[4:-1].split(",")))) == (scheme == "dark")
    context.close()


@pytest.mark.slow
def test_every_item_is_printed(page: Any, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(titles(page)) == COUNT
    assert not page.locator(".filters").is_visible()
    assert page.pdf(path=tmp_path / "sheet.pdf")[:5] == b"%PDF-"
