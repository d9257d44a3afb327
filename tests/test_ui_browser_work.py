"""Work beside designs in Debian's Chromium, on the real front door: a batch, a training, the queue, a lost server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import studio
from tests.fixtures_browser import see, settled
from tests.fixtures_local import sentences

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning"),
]


def test_a_batch_is_planned_started_and_watched_to_its_contact_sheet(
    page: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_VISION__MODEL", "none")
    page.goto(f"{shop.address}batch")
    page.get_by_label("Name").fill("roof tiles")
    page.get_by_label("Briefs", exact=True).fill("A roof tile that survives hail\nA filter that cleans itself")
    page.get_by_role("button", name="Start").click()
    assert page.get_by_label("Name").evaluate("field => document.activeElement === field && !field.checkValidity()")
    page.get_by_label("Name").fill("roof-tiles")
    page.get_by_text("Options of every design").click()
    page.get_by_label("Images").fill("1")
    page.get_by_role("button", name="Plan first").click()
    see(page, "#batch-plan dt", "Designs to make")
    see(page, "#batch-plan pre", "studio batch")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/batch\?job="))
    sheet = page.locator(".batch-rows").get_by_role("link", name="Contact sheet")
    sheet.wait_for()
    assert page.locator(".batch-rows tbody .dot.is-finished").count() == 2
    see(page, ".batches .soft", "2 done, 0 failed")
    with page.context.expect_page() as opened:
        sheet.click()
    opened.value.wait_for_load_state()
    opened.value.wait_for_function("[...document.images].length && [...document.images].every(i => i.naturalWidth > 0)")
    assert "A roof tile that survives hail" in opened.value.content()


def test_a_training_is_planned_launched_and_its_loss_watched(
    page: Any, shop: Any, word_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in sentences()[:6]))
    args = {"max_steps": 4, "max_length": 64, "learning_rate": 1e-3, "bf16": False, "logging_steps": 1}
    stages = [{"name": "cpt", "stage": "cpt", "data": [{"path": "text.jsonl"}], "args": args}]
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(yaml.safe_dump({"name": "mine", "base": str(word_llama), "stages": stages}))
    page.goto(f"{shop.address}training")
    page.get_by_role("button", name="Start").click()
    see(page, ".training [data-error]", "Recipe must be filled in")
    page.locator("#training-subject").fill(str(recipe))
    page.get_by_role("button", name="Plan first").click()
    see(page, "#training-plan", "studio train run")
    page.get_by_role("button", name="Start").click()
    page.locator(".trained li svg polyline").first.wait_for()
    page.locator(".trained .dot.is-finished").wait_for()
    assert re.search("loss [0-9.]+ after step 4 of 4", page.locator(".trained figcaption").first.inner_text())
    page.reload()
    see(page, ".variants li", "mine-cpt")
    page.get_by_role("button", name=re.compile("^Log of")).click()
    see(page, ".job-log", "finished")


def test_the_queue_is_watched_put_in_order_and_stopped(page: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.queue.workers._start", lambda home, lane: None)  # nobody takes them
    jobs = [studio.submit(f"A panel, number {number}") for number in range(3)]
    page.goto(f"{shop.address}jobs")
    settled(page)
    assert page.locator(".jobs tbody tr").count() == 3
    page.get_by_role("button", name="Put A panel, number 2 first").click()
    page.get_by_role("button", name="Stop A panel, number 0").click()
    see(page, ".jobs tbody tr", "stopped")
    page.get_by_label("Show").select_option("open")
    page.wait_for_function("document.querySelectorAll('.jobs tbody tr').length === 2")
    assert "show=open" in page.url
    states = [studio.open_job(job).state for job in jobs]
    assert states == ["interrupted", "queued", "queued"]
    for job, words in ((jobs[2], "its worker is starting"), (jobs[1], "in line")):
        page.goto(f"{shop.address}?run={job}")
        see(page, "#run-status .is-queued", words)


def test_a_server_that_does_not_answer_is_told_in_a_sentence(page: Any, shop: Any) -> None:
    page.goto(f"{shop.address}settings")
    settled(page)
    page.locator("summary", has_text="Writing and reasoning").click()
    form = page.get_by_role("form", name="Writing and reasoning")
    form.get_by_label("Server").fill("ftp://127.0.0.1")
    form.get_by_role("button", name="Save").click()
    see(page, "[data-error]", "must begin with http")
    form.get_by_label("Server").fill("http://127.0.0.1:9/v1")
    form.locator("input[name=model]").fill("tiny")
    form.get_by_role("button", name="Save").click()
    see(page, ".servers .address", "http://127.0.0.1:9/v1")
    page.get_by_role("button", name="Test the server of chat").click()
    told = page.locator("#verdict-chat .error")
    told.wait_for()
    assert "127.0.0.1:9" in told.inner_text() and "Traceback" not in told.inner_text()
    page.get_by_label("Name").fill("MY_KEY")
    page.get_by_label("Key", exact=True).fill("secret-value")
    page.get_by_role("button", name="Keep it").click()
    see(page, ".keys li", "MY_KEY")
    assert "secret-value" not in page.content()


def test_the_page_says_when_studio_is_away(page: Any, shop: Any) -> None:
    page.goto(f"{shop.address}jobs")
    settled(page)
    page.context.set_offline(True)
    page.locator("body.offline").wait_for(timeout=20_000)
    page.context.set_offline(False)
    page.locator("body:not(.offline)").wait_for(timeout=20_000)
