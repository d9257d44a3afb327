"""Fixtures that several test files share."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STRICT = os.environ.get("STUDIO_TEST_STRICT") == "1"
FETCHED = Path(os.environ.get("STUDIO_HOME") or "~/.studio").expanduser().absolute() / "models"
"""Where `make setup` keeps the embedded models; read before any test sets a home of its own."""

pytest_plugins = [f"tests.{path.stem}" for path in sorted((ROOT / "tests").glob("fixtures_*.py"))]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job; a child would never hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _missing(reason: str) -> None:
    if STRICT:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty STUDIO_HOME, and no settings from outside."""
    for name in [name for name in os.environ if name.startswith("STUDIO_") and name != "STUDIO_TEST_STRICT"]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("STUDIO_HOME", str(folder))
    return folder


@pytest.fixture
def embedded_home(home: Path) -> Path:
    """A STUDIO_HOME with the embedded models that `make setup` fetched, shared by a link."""
    if not all((FETCHED / name).is_dir() for name in ("smollm2-135m-instruct", "all-minilm-l6-v2")):
        _missing(f"the embedded models are not in {FETCHED}; run `make setup` with the same STUDIO_HOME")
    (home / "models").symlink_to(FETCHED)
    return home


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None or importlib.util.find_spec("playwright") is None:
        _missing("Chromium or Playwright is not installed")
    assert path is not None
    return path
