"""Every page in Debian's Chromium: read by axe-core in both themes, on a phone, by keyboard alone; screenshots kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.batching.shapes import Item, Outcome
from studio.batching.store import open_store
from tests.fixtures_browser import axe, see, settled, shot, sideways, theme
from workspace.event_log import EventLog
from workspace.events import JobStarted
from workspace.ledger import Ledger
from workspace.progress import TrainingStep

pytestmark = pytest.mark.slow
BRIEF = "A panel that stops cracks"
LONG = "Überlangeswort" * 12
NAME = """(() => {
  const at = document.activeElement;
  return at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText || "";
})()"""
"""What the element that has the focus is called."""


@dataclass(frozen=True)
class Sight:
    """A page in a state: its address, a sign that it is there, and what is pressed before it is looked at."""

    name: str
    at: str
    sign: str
    press: Callable[[Any], None] | None = None


def _open_sheet(page: Any) -> None:
    page.get_by_role("button", name=re.compile("^More:")).first.click()
    page.locator("#library-sheet[open] .said h2").wait_for()


def _open_step(page: Any) -> None:
    page.locator('[data-key="scientist/turn-1"]').get_by_role("button", name="Edit").click()
    page.locator("#sheet[open] textarea").wait_for()


def _open_menus(page: Any) -> None:
    page.locator("details.menu > summary").click()
    page.get_by_text("More choices").click()


def _open_log(page: Any) -> None:
    page.get_by_role("button", name=re.compile("^Log of")).first.click()
    page.locator(".job-log").wait_for()


def _wrong(page: Any) -> None:
    page.get_by_role("button", name="Design", exact=True).click()
    page.locator("[data-error]").wait_for()


def _open_sections(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


def _furnish(home: Path) -> dict[str, str]:
    """A home with something on every page; the ids that addresses need."""
    first = studio.design(BRIEF, inspirations=["nacre", "leaf"], images=2, rounds=1, seed=7)
    other = studio.design(f"A hinge {LONG}", inspirations=["nacre"], images=1, rounds=1, seed=8)
    asked = studio.design.queue(BRIEF, studio.design.kind(ask=True, images=1))
    with open_store(home / "batches" / "tiles", 7) as store:
        store.fill(Item(id=f"tile-{n}", brief=f"a roof tile {n} {LONG if n == 1 else ''}") for n in range(30))
        one, two, _ = store.take(3)
        store.finish(one.seq, Outcome(reason="the server does not answer"))
        store.finish(two.seq, Outcome(seconds=38.2))
    with Ledger(home / "ledger.db") as ledger:
        ledger.jobs.add(
            "tiles", "batch", "tiles.txt", {"cwd": str(home), "options": {"out": "batches/tiles"}}, state="interrupted"
        )
        ledger.jobs.add("tiny-1", "train_recipe", "tiny", {}, state="queued")
        ledger.jobs.set_state("tiny-1", "failed", f"the loss is no number {LONG}")
    with EventLog(home / "jobs" / "tiny-1" / "events.jsonl", "tiny-1") as log:
        log.emit(JobStarted(kind="train_recipe", attempt=1))
        for step in range(1, 9):
            log.emit(TrainingStep(stage="sft", step=step, of=8, loss=2 / step, left_s=70))
    folder = home / "variants" / "tuned"
    folder.mkdir(parents=True)
    (folder / "variant.json").write_text(
        json.dumps({"name": "tuned", "parent": "smollm2-135m-instruct", "stage": "sft"})
    )
    return {"first": first.run_id, "other": other.run_id, "asked": asked}


def _sights(ids: dict[str, str]) -> list[Sight]:
    first, other = ids["first"], ids["other"]
    return [
        Sight("studio-empty", "?new", "#run-status .empty"),
        Sight("studio-wrong", "?new", "#run-status .empty", _wrong),
        Sight("studio-finished", f"?run={first}", "#run-card h2"),
        Sight("studio-menus", f"?run={first}", "#run-card h2", _open_menus),
        Sight("studio-step", f"?run={first}", "#run-card h2", _open_step),
        Sight("studio-question", f"?run={ids['asked']}", "#run-question textarea"),
        Sight("studio-unknown", "?run=nobody", "#run-error [role=alert]"),
        Sight("library", "library", ".tile"),
        Sight("library-sheet", "library", ".tile", _open_sheet),
        Sight("library-filters", "library?view=pictures&min_score=1", ".tile"),
        Sight("compare-choose", "compare", ".choices"),
        Sight("compare", f"compare?runs={first},{other}&every=1", "[data-slider]"),
        Sight("models", "models", ".models table"),
        Sight("training", "training?stage=merge", ".trained svg", _open_sections),
        Sight("training-log", "training", ".trained svg", _open_log),
        Sight("batch", "batch?job=tiles", ".batch-rows tbody", _open_sections),
        Sight("jobs", "jobs", ".jobs tbody"),
        Sight("settings", "settings", ".settings .section", _open_sections),
    ]  # fmt: skip


def _look(page: Any, address: str, sight: Sight) -> list[str]:
    """What is wrong with a page: what axe-core finds in either theme, and what is too wide for a phone."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{address}{sight.at}")
    page.locator(sight.sign).first.wait_for()
    settled(page)
    if sight.press:
        sight.press(page)
    faults: list[str] = []
    for name in ("light", "dark"):
        theme(page, name)
        shot(page, f"{sight.name}-{name}", whole=not page.locator("dialog[open], .job-log").count())
        faults += [f"{name}: {one}" for one in axe(page)]
    theme(page, "light")
    page.set_viewport_size({"width": 390, "height": 844})
    shot(page, f"{sight.name}-phone", whole=not page.locator("dialog[open], .job-log").count())
    if (over := sideways(page)) > 0:
        faults.append(f"{over} pixels wider than a phone")
    return faults


def test_every_page_is_fit_to_be_shown(page: Any, shop: Any, subtests: Any) -> None:
    ids = _furnish(shop.home)
    page.emulate_media(reduced_motion="reduce")
    for sight in _sights(ids):
        with subtests.test(sight.name):
            found = _look(page, shop.address, sight)
            assert found == [], "\n".join(found)


def test_the_theme_is_the_browser_s(browser: Any, shop: Any) -> None:
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{shop.address}?new")
            page.locator("#run-status .empty").wait_for()
            assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")


def test_the_bar_of_pages_shows_the_open_one_on_a_phone(browser: Any, shop: Any) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True) as context:
        page = context.new_page()
        page.goto(f"{shop.address}settings")
        page.wait_for_function(
            "(() => { const at = document.querySelector('nav.fillable a.active')?.getBoundingClientRect();"
            " return at && at.left >= 0 && at.right <= innerWidth; })()"
        )


def _tab_to(page: Any, words: str, most: int = 80) -> None:
    """Press Tab until an element with a text or name has the focus; it must be seen to have it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        told = " ".join(page.evaluate(NAME).split())
        if told.startswith(words):
            ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", f"{words} does not show its focus"
            return
    pytest.fail(f"Tab never reached {words}")


def test_a_design_is_made_compared_and_taken_away_by_keyboard_alone(page: Any, shop: Any) -> None:
    page.goto(f"{shop.address}?new")
    page.get_by_label("Brief").wait_for()
    _tab_to(page, "Brief")
    page.keyboard.type(BRIEF)
    _tab_to(page, "Inspirations")
    page.keyboard.type("nacre, leaf")
    _tab_to(page, "Design")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?run="))
    see(page, "#run-status .is-finished", "Finished")
    page.evaluate("document.activeElement.blur()")
    _tab_to(page, "Take away")
    page.keyboard.press("Enter")
    _tab_to(page, "Report, one HTML file", 3)
    page.keyboard.press("Escape")
    assert not page.locator("details.menu").evaluate("menu => menu.open")
    _tab_to(page, "Again, another seed")
    page.keyboard.press("Enter")
    page.wait_for_function("run => !location.search.includes(run)", arg=page.url.rsplit("=", 1)[-1])
    see(page, "#run-status .is-finished", "Finished")
    page.goto(f"{shop.address}library")
    page.locator(".tile").first.wait_for()
    settled(page)
    _tab_to(page, "More:")
    page.keyboard.press("Enter")
    page.locator("#library-sheet[open] .said h2").wait_for()
    page.keyboard.press("Escape")
    page.locator("#library-sheet").wait_for(state="hidden")
    assert str(page.evaluate("document.activeElement.getAttribute('aria-label')")).startswith("More:")
    for _ in range(2):
        _tab_to(page, "Compare ")  # and a title
        page.keyboard.press("Space")
    _tab_to(page, "Compare 2")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/compare"))
    _tab_to(page, "How much of the first picture is shown")
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-slider]").evaluate("one => one.style.getPropertyValue('--share')") == "51%"
