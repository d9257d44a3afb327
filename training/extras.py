"""What training needs beside the studio's own packages, and how it is had. Imports none of it."""

from __future__ import annotations

import importlib.util

from workspace.errors import ServiceError


def require(*packages: str) -> None:
    """Refuse to begin where a package is missing.

    Raises:
        ServiceError: It names the packages and the command that installs them.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        raise ServiceError(
            f"{', '.join(absent)} {verb} not installed", hint="pip install -c constraints.txt '.[train]'"
        )
