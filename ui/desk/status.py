"""What is said of runs and jobs everywhere: states in words, times, faults. Knows nothing of a page."""

from __future__ import annotations

from ui.desk.render import render

STATUS_WORDS = {
    "queued": "Queued",
    "running": "Designing",
    "waiting": "Waiting for you",
    "finished": "Finished",
    "failed": "Failed",
    "interrupted": "Interrupted",
}


def clock(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def error(message: str) -> str:
    """One clear line about what went wrong."""
    line = " ".join(message.split()).rstrip(".")
    return render("error", line=line[:1].upper() + line[1:])


def age(created: float, now: float) -> str:
    """Say how long ago something was."""
    gone = max(0, int(now - created))
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if gone >= size:
            return f"{gone // size} {word}{'' if gone < 2 * size else 's'} ago"
    return "just now"
