"""Designs in Debian's Chromium, on the real front door with scripted models: answered, branched, compared, kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import studio
from tests.fixtures_browser import see, settled, submit
from tests.fixtures_run import ScriptedChat
from workspace.errors import ServiceError

pytestmark = pytest.mark.slow
BRIEF = "A panel that stops cracks"
EDITED = "Layers of chitin slide over one another. The panel bends and does not break."


def finished(page: Any) -> None:
    """Wait until the design on the page is finished."""
    see(page, "#run-status .is-finished", "Finished")


def made(seed: int = 7, brief: str = BRIEF) -> studio.Design:
    return studio.design(brief, inspirations=["nacre", "leaf"], images=2, rounds=1, seed=seed)


def run_of(page: Any) -> str:
    return str(page.evaluate("new URLSearchParams(location.search).get('run')"))


def test_a_first_visit_shows_the_design_that_comes_with_studio(page: Any, shop: Any) -> None:
    page.goto(shop.address)
    page.locator("#run-status .is-finished").first.wait_for()
    page.locator("#run-card h2").wait_for()
    page.wait_for_function("[...document.querySelectorAll('#run-rounds img')].some(one => one.naturalWidth > 0)")
    page.get_by_role("link", name="Library", exact=True).first.click()
    page.locator(".tile img").first.wait_for()


def test_a_first_visit_without_it_is_honest_on_every_page(
    page: Any, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.wishes.sample.FILE", tmp_path / "nothing.zip")
    page.goto(shop.address)
    page.locator("#run-status .empty h2").first.wait_for()
    for name, words in (
        ("library", "No design yet"),
        ("compare", "Nothing to compare yet"),
        ("training", "Nothing was trained here yet"),
        ("batch", "No batch was asked for yet"),
        ("jobs", "Nothing was asked for yet"),
        ("models", "On this machine:"),
        ("settings", "is missing"),
    ):
        page.get_by_role("link", name=name.capitalize(), exact=True).first.click()
        page.wait_for_url(re.compile(f"/{name}"))
        page.get_by_text(words).first.wait_for()
        assert page.locator("main .error:visible, .piece .error:visible").count() == 0
    page.get_by_role("link", name="Studio", exact=True).first.click()
    page.locator("#run-status .chips button").first.click()
    assert len(page.get_by_label("Brief").input_value()) > 20
    assert page.locator("[data-chosen] .chip").count() >= 1


def test_a_person_approves_words_a_prompt_and_finishes(page: Any, shop: Any, scripted_studio: Any) -> None:
    page.goto(f"{shop.address}?new")
    page.get_by_label("Brief").fill(BRIEF)
    page.get_by_label("Ask me before painting and after the critique").check()
    page.get_by_label("Brief").press("Control+Enter")
    words = page.get_by_label("Picture prompt")
    words.wait_for()
    assert page.title().startswith("?") or "waits" in page.locator("#run-status").inner_text().lower()
    page.reload()
    words.fill("wavy thin green lines on a gold ground")
    page.get_by_role("button", name="Paint with my wording").click()
    page.get_by_role("button", name="Keep the best and finish").click()
    finished(page)
    assert {spec.prompt for spec in scripted_studio.painted} == {"wavy thin green lines on a gold ground"}
    see(page, "#run-rounds details.prompt", "wavy thin green lines")
    page.wait_for_function("[...document.querySelectorAll('#run-rounds img')].every(i => i.naturalWidth > 0)")


def test_a_step_is_edited_into_a_branch_and_both_are_compared(page: Any, shop: Any) -> None:
    first = made()
    page.goto(f"{shop.address}?run={first.run_id}")
    finished(page)
    step = page.locator('[data-key="scientist/turn-2"]')
    step.get_by_role("button", name="Edit").click()
    page.locator("#step-edit").fill(EDITED)
    page.get_by_role("button", name="Begin the branch").click()
    page.wait_for_function("run => !location.search.includes(run)", arg=first.run_id)
    finished(page)
    assert EDITED in (shop.home / "runs" / run_of(page) / "conversation.md").read_text()
    see(page, '[data-key="scientist/turn-2"] .text', "Layers of chitin slide")
    assert page.locator("#run-family li").count() == 2
    page.get_by_role("link", name="Original", exact=True).click()
    page.wait_for_url(re.compile(first.run_id))
    page.go_back()
    page.get_by_role("link", name="Compare with the original").click()
    page.wait_for_url(re.compile("/compare"))
    slider = page.get_by_label("How much of the first picture is shown")
    slider.focus()
    for _ in range(5):
        slider.press("ArrowLeft")
    assert page.locator("[data-slider]").evaluate("one => one.style.getPropertyValue('--share')") == "45%"
    every = page.locator("tbody tr").count()
    page.get_by_role("link", name="Every field").click()
    page.get_by_role("link", name="Differences only").wait_for()
    assert page.locator("tbody tr").count() >= every


def test_a_step_is_tried_again_and_a_change_of_the_critic_applied(page: Any, shop: Any) -> None:
    first = made()
    page.goto(f"{shop.address}?run={first.run_id}")
    finished(page)
    page.locator('[data-key="scientist/turn-1"]').get_by_role("button", name="Try again").click()
    page.locator("#step-seed").fill("99")
    page.keyboard.press("Escape")
    page.locator("#sheet").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == "Try again"
    page.keyboard.press("Enter")
    page.locator("#step-seed").fill("99")
    page.keyboard.press("Enter")
    page.wait_for_function("run => !location.search.includes(run)", arg=first.run_id)
    finished(page)
    assert len(studio.family(first.run_id)) == 2


def test_a_design_whose_server_fails_says_so_and_is_taken_up_again(
    page: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(call: Any, home: Path, *, seed: int | None = None) -> Any:
        raise ServiceError("the server http://127.0.0.1:9/v1 does not answer", hint="start it, then resume")

    with monkeypatch.context() as patch:
        patch.setattr("models.chat.choose.chat_model", broken)
        submit(page, shop.address, BRIEF)
        see(page, "#run-status .is-failed", "does not answer")
        see(page, "#run-status .hint", "Nothing is lost")
        page.goto(f"{shop.address}jobs?show=stopped")
        see(page, ".jobs td", "does not answer")
    monkeypatch.setattr("models.chat.choose.chat_model", lambda call, home, *, seed=None: ScriptedChat(seed=seed or 0))
    page.get_by_role("button", name=re.compile("^Take .* up again$")).click()
    page.goto(f"{shop.address}jobs?show=finished")
    page.locator(".jobs tbody a").click()
    finished(page)


def test_an_opinion_is_kept_and_the_design_taken_away(page: Any, shop: Any, tmp_path: Path) -> None:
    run = made()
    page.goto(f"{shop.address}?run={run.run_id}")
    finished(page)
    down = page.get_by_role("button", name="Not good: picture 1")
    down.click()
    page.locator("#sheet textarea, #sheet input[type=text]").first.fill("The lines are too thick")
    page.locator("#sheet button.primary").click()
    page.locator("#sheet").wait_for(state="hidden")
    page.reload()
    page.locator('[aria-label="Not good: picture 1"][aria-pressed="true"]').wait_for()
    kept = studio.feedback_list(run=run.run_id, kind=("thumb",))
    assert [(one.value, one.reason) for one in kept][:1] == [("down", "The lines are too thick")]
    title = run.design.title if run.design else ""
    for link, suffix in (("Report, one HTML file", "html"), ("Data, JSON", "json"), ("Everything, ZIP", "zip")):
        page.locator("details.menu > summary").click()
        with page.expect_download() as download:
            page.get_by_role("link", name=link).click()
        file = tmp_path / f"taken.{suffix}"
        download.value.save_as(file)
        assert download.value.suggested_filename.endswith(suffix)
        page.keyboard.press("Escape")
        if suffix == "json":
            assert title in file.read_text() and json.loads(file.read_text())
        assert file.stat().st_size > 500


def test_a_dropped_picture_fills_the_form(page: Any, shop: Any) -> None:
    run = made()
    page.goto(f"{shop.address}library")
    settled(page)
    data = run.images[0].path.read_bytes()
    page.evaluate(
        """bytes => {
          const held = new DataTransfer();
          held.items.add(new File([new Uint8Array(bytes)], "01.png", {type: "image/png"}));
          for (const kind of ["dragenter", "dragover", "drop"])
            document.getElementById("library-drop").dispatchEvent(
              new DragEvent(kind, {dataTransfer: held, bubbles: true, cancelable: true}));
        }""",
        list(data),
    )
    page.wait_for_url(re.compile(r"\?.*new="))
    page.wait_for_function("document.querySelector('#ask-brief')?.value")
    assert page.get_by_label("Brief").input_value() == BRIEF
    page.goto(f"{shop.address}library")
    settled(page)
    wrong = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    page.locator("#library-file").set_input_files(wrong)
    see(page, "#library-drop .error", "no PNG")
    assert "/library" in page.url


def test_the_library_is_searched_starred_and_a_design_binned_and_brought_back(page: Any, shop: Any) -> None:
    first, other = made(), made(8, "A soft hinge after a bivalve")
    page.goto(f"{shop.address}library")
    settled(page)
    assert page.locator(".tile").count() == 2
    page.get_by_label("Search").fill("hinge")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.tile').length === 1")
    tile = page.locator(f'.tile[data-of="{other.run_id}"]')
    tile.get_by_role("button", name=re.compile("^Star:")).click()
    tile.locator('.star[aria-pressed="true"]').wait_for()
    page.goto(f"{shop.address}library?star=1")
    settled(page)
    assert page.locator(".tile").count() == 1
    page.get_by_role("button", name=re.compile("^More:")).click()
    page.locator("#library-sheet").get_by_role("button", name="Delete").click()
    page.goto(f"{shop.address}library?view=bin")
    page.get_by_role("button", name=re.compile("^Restore:")).click()
    see(page, ".found .empty h2", "The bin is empty")
    page.goto(f"{shop.address}library")
    settled(page)
    for run in (first, other):
        page.locator(f'[data-pick="{run.run_id}"]').check()
    page.get_by_role("button", name="Compare 2").click()
    page.wait_for_url(re.compile("/compare"))
    see(page, ".compare tr.differs th", "brief")
