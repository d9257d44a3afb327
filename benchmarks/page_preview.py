"""Part `preview` of `page.py`: when the first preview of a picture comes and what all cost, by the embedded painter.

The same pictures are painted with and without, in turns; a preview becomes a file of a run as in a design. Beside that,
``own_share`` is the time spent in previews of the painting's: it is told by few pictures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from home import fresh_home
from page_served import ratio

FIRST_BAR, COST_BAR = 0.15, 0.03
PROMPTS = ("staggered bricks with thin lines between them", "a web of looped veins", "open cells with thick walls")


Painting = tuple[float, float, float, int]
"""Seconds, when the first preview came and what previews took as shares of them, how many there were."""


class Easel:
    """The embedded painter, with a clock on its previews; use it in a ``with``.

    Args:
        home: STUDIO_HOME.
        steps: Of a painting; the model's own for 0.
    """

    def __init__(self, home: Path, steps: int) -> None:
        from pipelines.pictures.painter import Painter
        from pipelines.pictures.preview import Foretelling
        from studio.runs.assemble import previewer
        from workspace.settings import load_settings

        self._painter = Painter.load(load_settings("embedded", {"home": str(home)}).painter, home)
        self._keep, self._steps = previewer(home), steps or None
        self._came, self._spent = list[float](), list[float]()
        self._foretell = Foretelling.after
        self._patch = patch.object(Foretelling, "after", lambda *given: self._timed(self._foretell, *given))

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _timed(self, act: Callable[..., Any], *given: Any) -> Any:
        began = time.perf_counter()
        made = act(*given)
        self._spent.append(time.perf_counter() - began)
        return made

    def _shown(self, number: int, image: Any) -> None:
        self._timed(self._keep, image, number)
        self._came.append(time.perf_counter())

    def paint(self, number: int, previews: bool) -> Painting:
        """Paint one picture."""
        spec = self._painter.spec(PROMPTS[number % len(PROMPTS)], seed=number, steps=self._steps)
        self._came.clear()
        self._spent.clear()
        began = time.perf_counter()
        self._painter.paint([spec], on_preview=self._shown if previews else None)
        took = time.perf_counter() - began
        first = (self._came[0] - began) / took if self._came else 1.0
        return took, first, sum(self._spent) / took, len(self._came)


def figures(rounds: int = 8, steps: int = 0) -> dict[str, Any]:
    """Paint in turns, after a picture that is not counted.

    Args:
        rounds: Pairs of paintings.
        steps: Of a painting; the model's own for 0.
    """
    took: dict[bool, list[Painting]] = {True: [], False: []}
    with fresh_home() as home, Easel(home, steps) as easel:
        easel.paint(0, True)
        for number in range(rounds):
            for previews in (True, False) if number % 2 else (False, True):
                took[previews].append(easel.paint(number, previews))
    seconds = {previews: [row[0] for row in rows] for previews, rows in took.items()}
    first = [row[1] for row in took[True]]
    cost = ratio(seconds[True], seconds[False]) - 1
    return {
        "rounds": rounds,
        "seconds_with": round(statistics.median(seconds[True]), 3),
        "seconds_without": round(statistics.median(seconds[False]), 3),
        "previews_a_picture": statistics.median(row[3] for row in took[True]),
        "first_at": round(statistics.median(first), 3),
        "first_latest": round(max(first), 3),
        "cost": round(cost, 3),
        "own_share": round(statistics.median(row[2] for row in took[True]), 3),
        "cost_of_fastest": round(min(seconds[True]) / min(seconds[False]) - 1, 3),
        "bars": {"first_at": FIRST_BAR, "cost": COST_BAR},
        "passed": statistics.median(first) <= FIRST_BAR and cost <= COST_BAR,
    }
