"""The worker process: ``python -m studio.worker LANE`` takes a lane's next job, does it, starts the next."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from workspace.errors import DataError, Interrupted, StudioError, UsageError, unknown

if TYPE_CHECKING:
    from workspace.jobs import JobRow
    from workspace.settings import Settings


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Do one job of the lane named on the command line and return the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        from studio.queue.post import next_job
        from studio.queue.workers import LANES, start_workers
        from workspace.settings import load_settings

        if len(arguments) != 1 or arguments[0] not in LANES:
            raise UsageError(unknown("lane", " ".join(arguments), LANES))
        settings = load_settings()
        lane = next(one for one in LANES if one == arguments[0])
        code = 0
        with next_job(settings.home, lane, settings.queue) as row:
            if row is None:
                return 0
            _into_log(settings.home, row)
            code = _do(settings, row)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a stop that comes late was for the job that is done
        start_workers(settings.home, settings.queue)
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    return code


def _do(settings: Settings, row: JobRow) -> int:
    """Do a job; whatever ends it stands in its row and its log already."""
    try:
        carry(settings.home, row)
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def carry(home: Path, row: JobRow) -> None:
    """Do a begun job by its kind's verb, in the folder in which it was asked for."""
    import studio
    from studio.queue.post import at_work

    folder = row.payload.get("cwd")
    if row.kind not in studio.JOBS or (folder and not os.path.isdir(folder)):
        with at_work(home, row):
            if row.kind not in studio.JOBS:
                raise DataError(unknown("kind of job", row.kind, studio.JOBS))
            raise DataError(f"the folder {folder}, in which {row.job_id} was asked for, is gone")
    if folder:
        os.chdir(folder)
    getattr(studio, row.kind).carry(home, row)


def _into_log(home: Path, row: JobRow) -> None:
    """Let what libraries print go to the job's own log."""
    handle = os.open(home / "logs" / f"{row.job_id}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
