"""Attention of one token's query heads over keys that several of them share. A part of `models.decoder.step.kernel`.

What a head adds up, and in which order, depends on no other head and no other row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.decoder.step import vectors as v
from models.decoder.step.vectors import inner

_LOG2E = np.float32(1.4426950408889634)
_NEVER = np.float32(-1e30)


@inner
def exp(x: Any) -> Any:
    """The exponential of a float32, to 4e-6 of itself; what is below 2^-126 is that."""
    y = min(max(x * _LOG2E, np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(y)
    f = (y - whole) * np.float32(0.6931471805599453)
    p = np.float32(1 / 5040)
    p = p * f + np.float32(1 / 720)
    p = p * f + np.float32(1 / 120)
    p = p * f + np.float32(1 / 24)
    p = p * f + np.float32(1 / 6)
    p = p * f + np.float32(0.5)
    p = p * f + np.float32(1.0)
    p = p * f + np.float32(1.0)
    return p * v.power_of_two(np.int32(whole))


@inner
def _score(
    group: int, like: Any, keys: int, count: int, width: int, heads: Any, query: int, scores: Any, begin: int,
    stride: int,
) -> None:  # fmt: skip
    """Products of a group's queries with keys that it shares."""
    one = 0
    while one < group:
        left, at, to = group - one, query + one * width, begin + one * stride
        if left >= 4:
            v.score_4(like, keys, count, width, heads, at, scores, to, stride)
        elif left == 3:
            v.score_3(like, keys, count, width, heads, at, scores, to, stride)
        elif left == 2:
            v.score_2(like, keys, count, width, heads, at, scores, to, stride)
        else:
            v.score_1(like, keys, count, width, heads, at, scores, to, stride)
        one += 4


@inner
def _mix(
    group: int, like: Any, values: int, count: int, width: int, scores: Any, begin: int, stride: int, into: Any,
    out: int,
) -> None:  # fmt: skip
    """Values that a group shares, added by each query's weights."""
    one = 0
    while one < group:
        left, at, to = group - one, begin + one * stride, out + one * width
        if left >= 4:
            v.mix_4(like, values, count, width, scores, at, stride, into, to)
        elif left == 3:
            v.mix_3(like, values, count, width, scores, at, stride, into, to)
        elif left == 2:
            v.mix_2(like, values, count, width, scores, at, stride, into, to)
        else:
            v.mix_1(like, values, count, width, scores, at, stride, into, to)
        one += 4


@inner
def _weigh(far: int, own: int, counts: Any, counted: int, scores: Any, at: int) -> Any:
    """One query's scores become weights, which are 0 for own keys that do not count; returns their sum."""
    for t in range(own):
        if not counts[counted + t]:
            scores[at + far + t] = _NEVER
    most = _NEVER
    for t in range(far + own):
        most = max(most, scores[at + t])
    total = np.float32(0.0)
    for t in range(far + own):
        scores[at + t] = exp(scores[at + t] - most)
    for t in range(own):
        if not counts[counted + t]:
            scores[at + far + t] = np.float32(0.0)
    for t in range(far + own):
        total += scores[at + t]
    return total


@inner
def attend(
    group: int, like: Any, query: int, heads: Any, into: Any, out: int, width: int, far_keys: int, far_values: int,
    far: int, keys: int, values: int, own: int, counts: Any, counted: int, scores: Any, stride: int,
) -> None:  # fmt: skip
    """The queries that share a key head over a prefix's keys and their row's own that count."""
    if far:
        _score(group, like, far_keys, far, width, heads, query, scores, 0, stride)
    _score(group, like, keys, own, width, heads, query, scores, far, stride)
    for one in range(group):
        scores[one * stride + far + own] = _weigh(far, own, counts, counted, scores, one * stride)
    for i in range(group * width):
        into[out + i] = np.float32(0.0)
    if far:
        _mix(group, like, far_values, far, width, scores, 0, stride, into, out)
    _mix(group, like, values, own, width, scores, far, stride, into, out)
    for one in range(group):
        for i in range(width):
            into[out + one * width + i] /= scores[one * stride + far + own]
