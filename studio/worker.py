"""The worker process: ``python -m studio.worker RUN_ID [ANSWER]`` carries one queued run on. Knows nothing else."""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType

from workspace.errors import Interrupted, StudioError, UsageError


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Execute the run named on the command line and return the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        if len(arguments) not in (1, 2):
            raise UsageError("python -m studio.worker takes a run id and perhaps an answer as JSON")
        from studio.runs.execute import execute
        from workspace.settings import load_settings

        answers = json.loads(arguments[1]) if len(arguments) == 2 else None
        execute(arguments[0], load_settings(), answers=answers)
    except StudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
