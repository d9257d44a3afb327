"""What other processes and packages Studio's work needs: extras that are installed, and the Python of a child process.

Imports none of them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace.errors import ServiceError

ROOT = Path(__file__).resolve().parents[1]
_NO_WORKING_FOLDER = {"PYTHONSAFEPATH": "1"}
"""Python would else look for modules in the working folder first, where anybody's ``torch.py`` may lie."""


def surroundings(home: Path) -> dict[str, str]:
    """The variables by which a Python of Studio's own finds home and project, and no module of the working folder."""
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {"STUDIO_HOME": str(home), "PYTHONPATH": os.pathsep.join(paths), **_NO_WORKING_FOLDER}


@contextmanager
def no_working_folder() -> Iterator[None]:
    """Within it, a Python that a library starts imports nothing from the working folder."""
    before = {name: os.environ.get(name) for name in _NO_WORKING_FOLDER}
    os.environ.update(_NO_WORKING_FOLDER)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def require(*packages: str, extra: str = "train", install: str = "") -> None:
    """Refuse to begin where a package is missing.

    Args:
        packages: Names as they are imported.
        extra: Studio's extra that brings them.
        install: What pip installs instead, if they are in no extra.

    Raises:
        ServiceError: It names the packages and the command that installs them.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        wanted = install or f"-c constraints.txt '.[{extra}]'"
        raise ServiceError(f"{', '.join(absent)} {verb} not installed", hint=f"pip install {wanted}")
