"""How long a run may still take, by what such steps took here before. Knows views and paces; nothing of HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.desk.run.view import View

if TYPE_CHECKING:
    from studio import Pace

KINDS = {
    "scientist": "turn",
    "reviewer": "turn",
    "engineer": "design",
    "illustrator": "prompt",
    "painter": "picture",
    "critic": "critique",
}


def left(view: View, pace: Pace, turns: int, images: int, rounds: int, now: float) -> float | None:
    """Seconds that a run may still take at most; ``None`` where that is not known.

    Args:
        view: What it has done by now.
        pace: What steps took here before.
        turns: What its program asks of the Scientist.
        images: Pictures a round.
        rounds: Rounds of pictures at most.
        now: Unix seconds.
    """
    if pace.turn is None or pace.picture is None:
        return None
    painted = images * rounds
    wanted = {"turn": turns, "design": 1, "prompt": rounds, "picture": painted, "critique": painted}
    done, under_way = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0.0)
    for turn in view.turns.values():
        kind = KINDS.get(turn.role)
        if kind is None or "/evidence" in turn.key:
            continue
        if turn.done:
            done[kind] += 1
        elif turn.began:
            under_way[kind] = max(0.0, now - turn.began)
    total = 0.0
    for kind, count in wanted.items():
        each = getattr(pace, kind) or 0.0
        rest = max(0, count - done[kind]) * each
        total += max(0.0, rest - min(under_way[kind], each))
    return total


def about(seconds: float) -> str:
    """A span of time as people say it: ``some 20 seconds``, ``about 3 minutes``."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds / 10) * 10} seconds"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"


def place(before: int) -> str:
    """A place in the queue in words."""
    words = ("next in line", "second in line", "third in line", "fourth in line", "fifth in line", "sixth in line")
    return words[before] if 0 <= before < len(words) else f"number {before + 1} in line"
