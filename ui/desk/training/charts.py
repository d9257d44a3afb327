"""Charts as SVG made here: a loss over steps, t over depth. Knows events and numbers; loads nothing that draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ui.desk.render import render
from ui.desk.status import clock

WIDTH, HEIGHT, LEFT, BOTTOM = 560, 180, 46, 26
MOST_POINTS = 400
_PARTS = {"self_attn": "attention", "mlp": "feed-forward", "rest": "all else"}


def loss_chart(events: Iterable[Any], *, live: bool = False) -> str:
    """The losses that trainings told, a line a stage; empty where there are none.

    Args:
        events: What the job told.
        live: Whether it is at work, so that there is time left.
    """
    stages: dict[str, list[tuple[int, float]]] = {}
    held: dict[str, list[tuple[int, float]]] = {}
    last: Any = None
    for event in events:
        if event.type == "training_step" and _finite(event.loss):
            stages.setdefault(event.stage or "training", []).append((event.step, event.loss))
            if event.held_out is not None and _finite(event.held_out):
                held.setdefault(event.stage or "training", []).append((event.step, event.held_out))
            last = event
    if last is None:
        return ""
    name = last.stage or "training"
    points, kept = thinned(_last_attempt(stages[name])), thinned(_last_attempt(held.get(name, [])))
    return _drawn(name, points, kept, last, live=live)


def _finite(value: float) -> bool:
    return abs(value) < 1e12  # false for what is no number


def _last_attempt(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Of steps that were taken again after a stop, the last time alone."""
    return sorted(dict(points).items())


def thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """So many points that a line can show; the last one stays."""
    every = max(1, len(points) // MOST_POINTS)
    return [*points[:-1:every], *points[-1:]]


def _drawn(name: str, points: list[tuple[int, float]], held: list[tuple[int, float]], last: Any, *, live: bool) -> str:
    values = [value for _, value in [*points, *held]]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or max(abs(high) * 0.08, 0.01)
    low, high = low - room, high + room
    most = max(last.of, points[-1][0], 1)

    def at(step: int, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - 8) * step / most
        y = 8 + (HEIGHT - 8 - BOTTOM) * (high - value) / (high - low)
        return f"{x:.1f},{y:.1f}"

    told = [f"loss {last.loss:.4g} after step {last.step} of {last.of}"]
    told += [f"held out {held[-1][1]:.4g}"] if held else []
    told += [f"{last.of - last.step} steps left"] if last.step < last.of else []
    told += [f"about {clock(last.left_s)}"] if live and last.left_s and last.step < last.of else []
    return render(
        "loss",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        base=HEIGHT - BOTTOM,
        stage=name,
        line=" ".join(at(*point) for point in points),
        dot=at(*points[-1]).split(","),
        held=" ".join(at(*point) for point in held),
        marks=[(f"{value:.3g}", at(0, value).split(",")[1]) for value in (high - room, (low + high) / 2, low + room)],
        of=last.of,
        told=", ".join(told),
    )


def depth_chart(curve: Mapping[str, Sequence[float]], start: str = "") -> str:
    """T of every layer of a merge, a line a part; empty where a merge has none.

    Args:
        curve: t of every layer, by part.
        start: In words which parent t = 0 stands for, and which t = 1.
    """
    kept = {part: list(values) for part, values in curve.items() if values}
    if not kept:
        return ""
    layers = max(len(values) for values in kept.values())

    def at(layer: int, value: float, of: int) -> str:
        x = 34 + (WIDTH - 34 - 8) * layer / max(of - 1, 1)
        return f"{x:.1f},{8 + 96 * (1 - value):.1f}"

    lines = []
    for number, (part, values) in enumerate(kept.items()):
        points = values if len(values) > 1 else values * 2
        drawn = " ".join(at(place, min(1.0, max(0.0, value)), len(points)) for place, value in enumerate(points))
        lines.append((_PARTS.get(part, part), drawn, number % 4))
    told = "; ".join(f"{_PARTS.get(part, part)} {values[0]:.2g} to {values[-1]:.2g}" for part, values in kept.items())
    return render("depth", width=WIDTH, lines=lines, layers=layers, told=told, start=start)
