"""Where a benchmark works: a home of its own that shares the models fetched already. Makes the project importable."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def fetched_models() -> Path:
    """Where ``make setup`` puts the models."""
    return Path(os.environ.get("STUDIO_HOME", "~/.studio")).expanduser() / "models"


@contextmanager
def fresh_home() -> Iterator[Path]:
    """A temporary STUDIO_HOME with the fetched models linked in."""
    models = fetched_models()
    with tempfile.TemporaryDirectory(prefix="studio-benchmark-") as name:
        home = Path(name)
        if models.is_dir():
            (home / "models").symlink_to(models)
        yield home


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a studio process: this home, no settings from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_")}
    return kept | {"STUDIO_HOME": str(home), "PYTHONPATH": str(ROOT)} | more
