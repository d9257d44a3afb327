"""What training needs beside the studio's own packages, and how it is had. Imports none of it."""

from __future__ import annotations

import importlib.util

from workspace.errors import ServiceError


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
