"""A parameter over depth: gradients and filters as mergekit evaluates them, and a picture of them. Knows no weights.

A gradient's values stand at equal distances from the first layer to the last and are interpolated in between. Tensors
outside the layers (embeddings, last norm, output) have depth 0: of a gradient they take the first value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workspace.errors import DataError

_NUMBER = re.compile(r"^(.*?)\.(\d+)\.")
_BARS = "▁▂▃▄▅▆▇█"
REST = "rest"
Condition = tuple[str, tuple[float, ...]]


@dataclass(frozen=True)
class Curve:
    """A parameter's value for every tensor: of several conditions the first one whose filter is in the tensor's name.

    Attributes:
        conditions: Filter (empty for every tensor) and values over depth.
    """

    conditions: tuple[Condition, ...]

    def at(self, name: str, layers: int) -> float:
        """The value for a tensor.

        Raises:
            DataError: No condition is for it.
        """
        depth = depth_of(name, layers)
        for part, values in self.conditions:
            if part in name:
                return interpolated(values, depth)
        raise DataError(f"{name} has no value: a last entry without filter would give one")

    def over(self, layers: int) -> dict[str, tuple[float, ...]]:
        """The value of every layer, by filter."""
        depths = [_depth(layer, layers) for layer in range(layers)]
        return {part or REST: tuple(interpolated(values, at) for at in depths) for part, values in self.conditions}


def read_curve(setting: Any) -> Curve | None:
    """A parameter as mergekit's YAML gives it; none where it is more than numbers, gradients and filters of them."""
    if isinstance(setting, Mapping):
        setting = [setting]
    if not isinstance(setting, list) or not any(isinstance(one, Mapping) for one in setting):
        setting = [{"value": setting}]
    found: list[Condition] = []
    for one in setting:
        if not isinstance(one, Mapping) or not set(one) <= {"filter", "value"}:
            return None
        values = one.get("value")
        listed: list[Any] = values if isinstance(values, list) else [values]
        if not listed or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in listed):
            return None
        part = one.get("filter")
        if part is not None and not isinstance(part, str):
            return None
        found.append(("" if part in (None, "*") else str(part), tuple(float(value) for value in listed)))
    return Curve(tuple(found))


def curve_faults(curve: Curve, layers: int) -> list[str]:
    """What is odd about a curve of t: a gradient with more values than layers, or values that are no shares."""
    found = []
    for part, values in curve.conditions:
        where = f"t of {part or REST}"
        if len(values) > max(layers, 1):
            found.append(f"{where} has {len(values)} values over {layers} layers; 1 to {layers} are allowed")
        found += [f"{where} must be from 0 to 1, not {value:g}" for value in values if not 0 <= value <= 1]
    return found


def interpolated(values: tuple[float, ...], depth: float) -> float:
    """A gradient at a depth from 0 to 1, in mergekit's order of operations."""
    scaled = depth * (len(values) - 1)
    low = int(scaled)
    high = min(len(values) - 1, low + 1)
    part = scaled - low
    return (1 - part) * values[low] + part * values[high]


def depth_of(name: str, layers: int) -> float:
    """How deep a tensor lies: 0 in the first layer and outside of all, 1 in the last (and in the only) one."""
    found = _NUMBER.match(name)
    return _depth(int(found[2]), layers) if found else 0.0


def _depth(layer: int, layers: int) -> float:
    return layer / (layers - 1) if layers > 1 else 1.0


def one_stack(names: Iterable[str], layers: int) -> bool:
    """Whether a model is one stack of so many layers, numbered from 0 under one name."""
    found = {(match[1], int(match[2])) for name in names if (match := _NUMBER.match(name))}
    return {number for _, number in found} == set(range(layers)) and len({place for place, _ in found}) == 1


def picture(curve: Mapping[str, tuple[float, ...]], first: str, second: str) -> str:
    """The curve of t as text: a bar for each layer, as high as t, and the values at both ends.

    Args:
        curve: t of every layer, by part.
        first: Name of the model of t = 0.
        second: Name of the model of t = 1.
    """
    width = max((len(part) for part in curve), default=0)
    many = max((len(values) for values in curve.values()), default=0)
    lines = [f"t over {many} layers, first to last: ▁ is 0 ({first}), █ is 1 ({second})"]
    for part, values in curve.items():
        bars = "".join(_BARS[min(7, int(value * 8))] for value in values)
        lines.append(f"{part:<{width}} {bars} {values[0]:.2f} to {values[-1]:.2f}")
    return "\n".join(lines)
