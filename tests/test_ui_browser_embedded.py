"""The page as a user starts it, on the embedded models, in Debian's Chromium: a design to its end through a refresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_browser import shot, started, submit

pytestmark = [pytest.mark.slow, pytest.mark.embedded]


@pytest.mark.timeout(2400)
def test_an_embedded_design_is_watched_to_its_end_through_a_refresh(page: Any, embedded_home: Path) -> None:
    home = embedded_home
    with started(home) as address:
        run_id = submit(page, address, "A tough panel inspired by nacre and leaves")
        page.locator("#run-steps .turn.scientist").first.wait_for(timeout=300_000)
        page.reload()
        page.locator("#run-steps .turn.scientist").first.wait_for()
        assert run_id in page.url
        page.locator("#run-status .is-finished, #run-status .is-failed, #run-status .is-interrupted").wait_for(
            timeout=900_000
        )
        logs = [home / "server.log", home / "logs" / f"{run_id}.log"]
        shown = page.locator("#run-status").inner_text() + "".join(
            log.read_text(encoding="utf-8")[-2000:] for log in logs
        )
        assert page.locator("#run-status .is-finished").count() == 1, shown
        assert page.locator("#run-card h2").inner_text().strip()
        assert page.locator("#run-rounds figure").count() >= 1
        page.wait_for_function("[...document.querySelectorAll('#run-rounds img')].every(i => i.naturalWidth >= 64)")
        shot(page, "studio-embedded")
