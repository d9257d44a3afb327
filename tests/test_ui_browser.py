"""The first page in Debian's Chromium, on a fake front door that the test moves on step by step."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.fixtures_browser import PATIENCE, see, submit
from tests.fixtures_page import FakeDoor

pytestmark = pytest.mark.slow
HOSTILE = (
    "A panel <script>document.title='owned'</script> <img src=x onerror=\"document.title='owned'\"> ${1+1} {{1+1}}"
)


def test_a_design_streams_survives_a_refresh_and_ends(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    run_id = submit(page, fake_address, "A panel that stops cracks")
    assert fake_door.asked[0]["inspirations"] == ["nacre", "leaf"]
    assert fake_door.asked[0]["seed"] is None
    fake_door.let(run_id, 4)
    see(page, "#run-steps .turn.scientist.is-now", "Both materials stop cracks")
    page.reload()
    see(page, "#run-steps .turn.scientist.is-now", "Both materials stop cracks")
    assert page.get_by_label("Brief").input_value() == "A panel that stops cracks"
    fake_door.let_to(run_id, "design_ready")
    see(page, "#run-card h2", "Venous nacre laminate")
    fake_door.let_to(run_id, "picture_progress")
    see(page, "#run-status", "painting, step 1 of 8")
    page.get_by_role("button", name="Skip the rest").wait_for()
    assert page.title().startswith("62% ")
    fake_door.let(run_id)
    see(page, "#run-status .is-finished", "2 pictures in 0:33")
    assert page.locator("#run-rounds figure").count() == 2
    page.wait_for_function("[...document.querySelectorAll('#run-rounds img')].every(i => i.naturalWidth === 128)")
    see(page, ".past a[aria-current=page]", "A panel that stops cracks")
    assert page.title() == "✓ Venous nacre laminate · Studio"


def test_stop_and_resume(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    run_id = submit(page, fake_address, "A panel")
    fake_door.let_to(run_id, "step_finished")
    page.get_by_role("button", name="Stop", exact=True).click()
    see(page, "#run-status .is-interrupted", "stopped by the user")
    page.get_by_role("button", name="Resume").click()
    see(page, "#run-status .is-running", "Designing")
    fake_door.let(run_id)
    see(page, "#run-status .is-finished", "Finished")
    assert (fake_door.stopped, fake_door.resumed) == ([run_id], [run_id])
    assert page.get_by_role("button", name="Resume").count() == 0


def test_what_a_person_or_a_model_writes_is_shown_as_text(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    run_id = submit(page, fake_address, HOSTILE)
    fake_door.let(run_id)
    see(page, "#run-status .is-finished", "Finished")
    assert HOSTILE in page.locator("#run-wish").inner_text()
    see(page, ".past", "<script>")
    assert page.title() == "✓ Venous nacre laminate · Studio"
    assert page.locator(".studio script, #run-talk img, .studio [onerror]").count() == 0


def test_a_fault_stands_at_its_field_until_it_is_mended(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    page.goto(fake_address)
    see(page, "#run-status", "No design on the table yet")
    see(page, ".past", "will be listed here")
    page.get_by_role("button", name="Design", exact=True).click()
    see(page, ".field [role=alert]", "Brief is empty")
    assert page.get_by_label("Brief").get_attribute("aria-invalid") == "true"
    page.get_by_label("Brief").fill("A panel")
    assert page.locator(".field [role=alert]").count() == 0
    assert page.get_by_label("Brief").get_attribute("aria-invalid") is None
    page.get_by_text("More choices").click()
    page.locator("#ask").get_by_label("Pictures", exact=True).fill("2.5")
    page.get_by_label("Brief").press("Control+Enter")
    see(page, ".field [role=alert]", "Pictures must be a whole number from 1 to 64, not '2.5'.")
    assert fake_door.asked == []
    for garbage in ("../../etc", "%3Cscript%3E", "20261121-120000-nothing-0000"):
        page.goto(f"{fake_address}?run={garbage}")
        see(page, "#run-error [role=alert]", "Unknown run")


def test_sources_are_suggested_and_chosen_with_the_keyboard(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    page.goto(fake_address)
    box = page.get_by_label("Inspirations")
    box.press_sequentially("stops cracks")
    see(page, "#ask-suggestions [role=option]", "Abalone nacre")
    box.press("ArrowDown")
    box.press("Enter")
    box.press_sequentially("bone,")
    chips = page.locator("[data-chosen] .chip")
    assert chips.count() == 2 and chips.last.get_attribute("data-name") == "bone"
    page.get_by_role("button", name="Remove bone").click()
    page.get_by_label("Brief").fill("A panel")
    page.get_by_label("Brief").press("Control+Enter")
    page.wait_for_url(re.compile(r"\?run="))
    assert len(fake_door.asked[0]["inspirations"]) == 1


def test_keys_lead_through_the_page(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    run_id = fake_door.submit("A panel")
    fake_door.let(run_id)
    page.goto(f"{fake_address}?run={run_id}")
    page.locator("#run-card h2").wait_for()
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    page.keyboard.press("Escape")
    page.locator("#keys[open]").wait_for(state="detached")
    for words in ("Relating the materials", "Designing a material from both"):
        page.keyboard.press("j")
        page.wait_for_function("words => document.activeElement.innerText.includes(words)", arg=words)
    page.locator("a[data-zoom]").first.click()
    page.locator("dialog.zoom[open]").wait_for()
    page.keyboard.press("ArrowRight")
    see(page, "dialog.zoom figcaption", "Picture 2")
    page.get_by_role("button", name="Close").click()
    page.locator("dialog.zoom").wait_for(state="detached")


def test_a_person_keeps_another_picture(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    run_id = fake_door.submit("A panel")
    fake_door.let(run_id)
    page.goto(f"{fake_address}?run={run_id}")
    page.get_by_role("button", name="Keep this one instead").last.click()
    see(page, "#run-rounds figure.best", "Your choice")
    assert fake_door.held == {run_id: 1}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_result_first_and_needs_no_sideways_scrolling(
    browser: Any, fake_address: str, fake_door: FakeDoor, scheme: str
) -> None:
    run_id = fake_door.submit("A-panel-in-one-endless-word" * 8)
    fake_door.let(run_id)
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    for query, sign in (("?new", "#run-status .empty"), (f"?run={run_id}", "#run-card h2")):
        page.goto(f"{fake_address}{query}")
        page.locator(sign).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.locator("#ask").evaluate("form => form.open")
    assert page.locator("#run").bounding_box()["y"] < page.locator("#ask").bounding_box()["y"]
    assert page.evaluate("getComputedStyle(document.body).overflowX") != "scroll"
    context.close()


def test_every_field_has_a_name_and_pictures_have_words(page: Any, fake_address: str, fake_door: FakeDoor) -> None:
    run_id = fake_door.submit("A panel")
    fake_door.let(run_id)
    page.goto(f"{fake_address}?run={run_id}")
    page.locator("#run-card h2").wait_for()
    page.get_by_text("More choices").click()
    for label in ("Brief", "Inspirations", "Program", "Pictures", "Rounds", "Seed", "Language model"):
        assert page.locator("#ask").get_by_label(label, exact=True).count() == 1
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["Studio"]
    words = page.locator("#run-rounds img").evaluate_all("images => images.map(image => image.alt)")
    assert words[0].startswith("Picture 1: staggered bricks")
    unnamed = "buttons => buttons.filter(button => !button.textContent.trim() && !button.ariaLabel).length"
    assert page.locator(".studio button").evaluate_all(unnamed) == 0
