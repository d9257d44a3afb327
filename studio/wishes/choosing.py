"""Which picture of a run a person holds for the best, whatever the Director decided. Left in the run's folder."""

from __future__ import annotations

from pathlib import Path

from studio.runs.record import CHOSEN, folder_of, json_bytes, open_run
from workspace.errors import UsageError
from workspace.files import publish


def keep(run_id: str, home: Path, picture: int | None) -> None:
    """Hold a picture of a run for the best; ``None`` leaves it to the Director again.

    Raises:
        UsageError: There is no such run, or no such picture of it.
    """
    run, folder = open_run(run_id, home), folder_of(home, run_id)
    if picture is None:
        (folder / CHOSEN).unlink(missing_ok=True)
        return
    there = sorted(image.index for image in run.images)
    if picture not in there:
        choices = ", ".join(map(str, there)) or "none yet"
        raise UsageError(f"run {run_id} has no picture {picture}; choices: {choices}")
    publish(folder / CHOSEN, json_bytes({"picture": picture}))
