"""The README's pictures: the real page on a home with real designs, made where they are not there yet.

    make test-ui PICTURES=docs/pictures

The home stands under the folder of the screenshots and is kept, so that a second time takes seconds.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import FETCHED
from tests.fixtures_browser import ROOT, SHOTS, settled, started
from workspace.ledger import Ledger

FOLDER = os.environ.get("STUDIO_TEST_PICTURES", "")
MOST = 60_000
"""Bytes that a picture may have."""
BRIEF = "A tough, light panel that stops cracks and lets air through"
SOURCES = ("--inspiration", "spider silk", "--inspiration", "leaf venation")
LINES = "A helmet shell that stops cracks, after nacre\nA filter that lets air through, after leaf venation\n"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.embedded,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not FOLDER, reason="only with a folder for the README's pictures (make test-ui PICTURES=...)"),
]


def _studio(home: Path, *words: str) -> None:
    """Run a command on the home."""
    program = [sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())", *words]
    given = os.environ | {"STUDIO_HOME": str(home)}
    subprocess.run(program, cwd=ROOT, env=given, check=True)


def _jobs(home: Path, kind: str) -> list[str]:
    """The finished jobs of a kind, the first of them first."""
    if not (home / "ledger.db").exists():
        return []
    with Ledger(home / "ledger.db", reading=True) as ledger:
        return [one.job_id for one in reversed(ledger.jobs.listed(states=("finished",), kinds=(kind,)))]


@pytest.fixture(scope="module")
def furnished() -> tuple[Path, dict[str, list[str]]]:
    """A home with two designs of one brief, a batch and a training, and their ids; what is there is not made again."""
    home = SHOTS / "home"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to(FETCHED)
    for seed in (7, 8)[len(_jobs(home, "design")) :]:
        _studio(home, "design", BRIEF, *SOURCES, "--images", "2", "--rounds", "1", "--seed", str(seed))
    if not _jobs(home, "batch"):
        (home / "helmets.txt").write_text(LINES)
        options = ("--images", "1", "--rounds", "1", "--seed", "7")
        _studio(home, "batch", str(home / "helmets.txt"), "--out", str(home / "batches" / "helmets"), *options)
    if not _jobs(home, "train_recipe"):
        _studio(home, "train", "run", "tiny")
    return home, {kind: _jobs(home, kind) for kind in ("design", "batch", "train_recipe")}


def _keep(page: Any, name: str) -> None:
    """Keep what is in sight as a small WebP."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in range(80, 20, -10):
        small = io.BytesIO()
        image.save(small, "WEBP", quality=quality, method=6)
        if small.tell() <= MOST:
            break
    folder = ROOT / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.webp").write_bytes(small.getvalue())
    assert small.tell() <= MOST


def test_the_readme_s_pictures_are_made(browser: Any, furnished: tuple[Path, dict[str, list[str]]]) -> None:
    home, ids = furnished
    first, second = ids["design"][:2]
    with started(home) as address, browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        page = context.new_page()
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        for name, at, sign in (
            ("studio", f"?run={first}", "#run-card h2"),
            ("library", "library", ".tile img"),
            ("compare", f"compare?runs={first},{second}", "[data-slider] img"),
            ("training", f"training?job={ids['train_recipe'][-1]}", ".trained svg"),
            ("batch", f"batch?job={ids['batch'][-1]}", ".batch-rows tbody"),
        ):
            page.goto(f"{address}{at}")
            page.locator(sign).first.wait_for()
            settled(page)
            page.wait_for_function("[...document.images].every(one => one.loading === 'lazy' || one.naturalWidth > 0)")
            if name == "training":
                page.locator(".trained").scroll_into_view_if_needed()
            _keep(page, name)
