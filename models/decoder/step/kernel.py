"""A whole token through all layers as one compiled function that several threads run side by side.

The work of a layer is cut into phases and these into pieces; every thread takes the next piece until none is left, then
waits for those that others still work at. A thread that comes late, or never, costs nothing but its help. Which
thread computes a piece changes no digit of it, nor does the number of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from models.decoder import step
from models.decoder.step import BLOCK, SPANS, attention
from models.decoder.step import vectors as v
from models.decoder.step.attention import attend, exp
from models.decoder.step.vectors import inner

SOURCES = (str(step.__file__), __file__, attention.__file__, v.__file__)
PHASES = 5  # of a layer; one more for the words
_PATIENCE = 2000  # looks before another program is let run
_WORDS_AT_ONCE = 32  # blocks
_MOST = np.float32(2**31 - 1)


@inner
def _wait(done: Any, phase: int, pieces: int) -> None:
    looks = 0
    while v.look(done, phase) < pieces:
        looks += 1
        if looks > _PATIENCE:
            v.give_way()


@inner
def _single(
    weights: Any, at: int, inputs: int, given: Any, rows: int, scales: Any, output: int, levels: Any, into: Any,
    begin: int, step: int, aside: int, more: bool,
) -> None:  # fmt: skip
    """One block of outputs for all rows."""
    row = 0
    while row < rows:
        left, where = rows - row, begin + row * step
        if left >= 4:
            v.product_4(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        elif left == 3:
            v.product_3(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        elif left == 2:
            v.product_2(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        else:
            v.product_1(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        row += 4


@inner
def _twins(
    weights: Any, at: int, inputs: int, given: Any, rows: int, scales: Any, output: int, levels: Any, into: Any,
    begin: int, step: int, aside: int, more: bool,
) -> None:  # fmt: skip
    """Two neighbouring blocks."""
    row = 0
    while row < rows:
        left, where = rows - row, begin + row * step
        if left >= 4:
            v.twins_4(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        elif left == 3:
            v.twins_3(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        elif left == 2:
            v.twins_2(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        else:
            v.twins_1(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        row += 4


@inner
def _quads(
    weights: Any, at: int, inputs: int, given: Any, rows: int, scales: Any, output: int, levels: Any, into: Any,
    begin: int, step: int, aside: int, more: bool,
) -> None:  # fmt: skip
    """Four neighbouring blocks."""
    row = 0
    while row < rows:
        left, where = rows - row, begin + row * step
        if left >= 4:
            v.quads_4(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        elif left == 3:
            v.quads_3(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        elif left == 2:
            v.quads_2(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        else:
            v.quads_1(weights, at, given, row, inputs, scales, output, levels, into, where, step, aside, more)
        row += 4


@inner
def _products(
    weights: Any, first: int, inputs: int, block: int, count: int, given: Any, rows: int, scales: Any, output: int,
    levels: Any, into: Any, begin: int, step: int, aside: int, more: bool,
) -> None:  # fmt: skip
    """Neighbouring blocks of outputs for all rows: ``into[begin + row * step + one * aside]`` is set, or added to."""
    one = 0
    while one < count:
        at, to, out = first + (block + one) * BLOCK * inputs, begin + one * aside, output + (block + one) * BLOCK
        if v.WIDE and rows < 4 and one + 4 <= count:
            _quads(weights, at, inputs, given, rows, scales, out, levels, into, to, step, aside, more)
            one += 4
        elif (v.WIDE or rows == 2) and one + 2 <= count:
            _twins(weights, at, inputs, given, rows, scales, out, levels, into, to, step, aside, more)
            one += 2
        else:
            _single(weights, at, inputs, given, rows, scales, out, levels, into, to, step, aside, more)
            one += 1


@inner
def _integers(rows: int, size: int, floats: Any, given: Any, levels: Any) -> None:
    """Rows as 16-bit integers, one scale a row, so that no sum of ``size`` products leaves 32 bits."""
    most = np.float32(min(np.float32(32000.0), _MOST / (np.float32(128.0) * size)))
    for row in range(rows):
        far = np.float32(1e-30)
        for i in range(size):
            far = max(far, abs(floats[row * size + i]))
        by = most / far
        for i in range(size):
            given[row * size + i] = np.int16(np.floor(floats[row * size + i] * by + np.float32(0.5)))
        levels[row] = far / most


@inner
def _normed(which: Any, size: int, states: Any, norm: Any, first: int, eps: Any, room: Any) -> None:
    """Some rows brought to a root mean square of 1, times the norm's weights."""
    for row in range(len(which)):
        at = which[row] * size
        total = np.float32(0.0)
        for i in range(size):
            total += states[at + i] * states[at + i]
        level = np.float32(1.0) / np.sqrt(total / size + eps)
        for i in range(size):
            room[row * size + i] = states[at + i] * level * norm[first + i]


@inner
def _turn(row: int, head: int, width: int, step: int, heads: Any, cos: Any, sin: Any, place: int) -> None:
    """Turn one head by its place: half of the channels with the other half, as in Llama."""
    half, at, angle = width // 2, row * step + head * width, place * (width // 2)
    for i in range(half):
        a, b = heads[at + i], heads[at + half + i]
        heads[at + i] = a * cos[angle + i] - b * sin[angle + i]
        heads[at + half + i] = b * cos[angle + i] + a * sin[angle + i]


@inner
def _heads(
    layer: int, shape: Any, every: Any, weights: Any, at: int, scales: Any, scale: int, norms: Any, eps: Any, cos: Any,
    sin: Any, places: Any, like: Any, caches: Any, spans: Any, states: Any, heads: Any, phase: int, taken: Any,
    done: Any, given: Any, levels: Any, room: Any,
) -> None:  # fmt: skip
    """Queries, keys and values of the new tokens, a head at a time; keys and values go into the cache."""
    rows, layers, hidden, asks, keeps, width = shape[0], shape[1], shape[2], shape[3], shape[4], shape[5]
    blocks, span, pieces = width // BLOCK, (asks + 2 * keeps) * width, asks + 2 * keeps
    softer = np.float32(1.0) / np.sqrt(np.float32(width))
    piece = v.claim(taken, phase)
    if piece < pieces:
        _normed(every, hidden, states, norms, 2 * layer * hidden, eps, room)
        _integers(rows, hidden, room, given, levels)
    while piece < pieces:
        _products(
            weights, at, hidden, piece * blocks, blocks, given, rows, scales, scale, levels, heads, piece * width, span,
            BLOCK, False,
        )  # fmt: skip
        for row in range(rows):
            if piece < asks + keeps:
                _turn(row, piece, width, span, heads, cos, sin, places[row])
            first = row * span + piece * width
            if piece < asks:
                for i in range(width):
                    heads[first + i] *= softer
            else:
                value = piece >= asks + keeps
                held = piece - asks - keeps if value else piece - asks
                cache = caches[(4 * row + (1 if value else 0)) * layers + layer]
                into = (held * spans[SPANS * row + 1] + spans[SPANS * row] - 1) * width
                for i in range(width):
                    v.keep(like, cache, into + i, heads[first + i])
        v.claim(done, phase)
        piece = v.claim(taken, phase)
    _wait(done, phase, pieces)


@inner
def _looks(
    layer: int, shape: Any, like: Any, caches: Any, spans: Any, counts: Any, heads: Any, seen: Any, phase: int,
    taken: Any, done: Any, scores: Any,
) -> None:  # fmt: skip
    """What each query sees; a piece is one row's queries of one key head."""
    rows, layers, asks, keeps, width = shape[0], shape[1], shape[3], shape[4], shape[5]
    group, span, asked, pieces = asks // keeps, (asks + 2 * keeps) * width, asks * width, rows * keeps
    key, stride = width * (2 if like.itemsize == 2 else 4), len(scores) // group  # bytes
    piece = v.claim(taken, phase)
    while piece < pieces:
        row, held = piece // keeps, piece % keeps
        at, first = 4 * row * layers + layer, SPANS * row
        own, size, counted, length, reach = (
            spans[first], spans[first + 1], spans[first + 2], spans[first + 3], spans[first + 4],
        )  # fmt: skip
        near, far = held * size * key, held * reach * key
        attend(
            group, like, row * span + held * group * width, heads, seen, row * asked + held * group * width, width,
            caches[at + 2 * layers] + far, caches[at + 3 * layers] + far, length, caches[at] + near,
            caches[at + layers] + near, own, counts, counted, scores, stride,
        )  # fmt: skip
        v.claim(done, phase)
        piece = v.claim(taken, phase)
    _wait(done, phase, pieces)


@inner
def _joins(
    rows: int, inputs: int, hidden: int, weights: Any, at: int, scales: Any, scale: int, read: Any, states: Any,
    phase: int, taken: Any, done: Any, given: Any, levels: Any,
) -> None:  # fmt: skip
    """A product that is added to the states."""
    blocks = hidden // BLOCK
    each = 4 if v.WIDE and rows < 4 else 2
    pieces = (blocks + each - 1) // each
    piece = v.claim(taken, phase)
    if piece < pieces:
        _integers(rows, inputs, read, given, levels)
    while piece < pieces:
        first = piece * each
        _products(
            weights, at, inputs, first, min(each, blocks - first), given, rows, scales, scale, levels, states,
            first * BLOCK, hidden, BLOCK, True,
        )  # fmt: skip
        v.claim(done, phase)
        piece = v.claim(taken, phase)
    _wait(done, phase, pieces)


@inner
def _widens(
    layer: int, shape: Any, every: Any, weights: Any, at: int, scales: Any, scale: int, norms: Any, eps: Any,
    states: Any, middle: Any, phase: int, taken: Any, done: Any, given: Any, levels: Any, room: Any,
) -> None:  # fmt: skip
    """``silu(gate) * up``, a block of each at a time."""
    rows, hidden, inner = shape[0], shape[2], shape[6]
    pieces = inner // BLOCK
    piece = v.claim(taken, phase)
    if piece < pieces:
        _normed(every, hidden, states, norms, (2 * layer + 1) * hidden, eps, room)
        _integers(rows, hidden, room, given, levels)
    while piece < pieces:
        _products(
            weights, at, hidden, 2 * piece, 2, given, rows, scales, scale, levels, middle, piece * BLOCK, inner,
            rows * inner, False,
        )  # fmt: skip
        for row in range(rows):
            first = row * inner + piece * BLOCK
            for i in range(BLOCK):
                gate = middle[first + i]
                middle[first + i] = gate / (np.float32(1.0) + exp(-gate)) * middle[rows * inner + first + i]
        v.claim(done, phase)
        piece = v.claim(taken, phase)
    _wait(done, phase, pieces)


@inner
def _words(
    shape: Any, told: Any, weights: Any, at: int, scales: Any, scale: int, norms: Any, eps: Any, states: Any,
    logits: Any, phase: int, taken: Any, done: Any, given: Any, levels: Any, room: Any,
) -> None:  # fmt: skip
    """The logits of the rows that are ``told``."""
    rows, layers, hidden, words = len(told), shape[1], shape[2], shape[7]
    total = words // BLOCK
    pieces = (total + _WORDS_AT_ONCE - 1) // _WORDS_AT_ONCE
    piece = v.claim(taken, phase)
    if piece < pieces:
        _normed(told, hidden, states, norms, 2 * layers * hidden, eps, room)
        _integers(rows, hidden, room, given, levels)
    while piece < pieces:
        block = piece * _WORDS_AT_ONCE
        _products(
            weights, at, hidden, block, min(_WORDS_AT_ONCE, total - block), given, rows, scales, scale, levels, logits,
            block * BLOCK, words, BLOCK, False,
        )  # fmt: skip
        v.claim(done, phase)
        piece = v.claim(taken, phase)
    _wait(done, phase, pieces)


def run(
    shape: Any, weights: Any, scales: Any, norms: Any, eps: float, cos: Any, sin: Any, places: Any, like: Any,
    caches: Any, spans: Any, counts: Any, every: Any, told: Any, states: Any, heads: Any, seen: Any, middle: Any,
    logits: Any, taken: Any, done: Any, given: Any, levels: Any, room: Any, scores: Any,
) -> None:  # fmt: skip
    """Read one token in each row; every array is flat. Rows may be tokens of one text, which then share its cache.

    Args:
        shape: rows, layers, hidden size, query heads, key heads, head width, inner size, words (in whole blocks).
        weights: int8, layer by layer queries with keys and values, outputs, gates with ups block by block, downs; at
            last the words'. Each block by pairs of inputs.
        scales: float32, of each output in the same order.
        norms: float32, two a layer and the last, (2 * layers + 1) * hidden.
        eps: Of the norms.
        cos: float32, (places, width / 2).
        sin: Likewise.
        places: int64, each row's place in its text.
        like: An empty array of the cache's kind: float32, or uint16 for bfloat16.
        caches: int64, (rows, 4, layers), addresses of a row's own keys and values, of its prefix's keys and values.
        spans: int64, (rows, `SPANS`), a row's own keys, how many its cache has room for, where its ``counts`` begin,
            the keys of its prefix, how many that one has room for.
        counts: bool, which of each row's own keys count; a row's last is the new token's.
        every: int64, all rows' numbers.
        told: int64, numbers of the rows whose logits are wanted.
        states: float32, (rows, hidden), the tokens' embeddings; overwritten.
        heads: float32, (rows, (heads + 2 * key heads) * width), room for a result, as are the four that follow.
        seen: (rows, heads * width).
        middle: (2, rows, inner).
        logits: (told rows, words).
        taken: int64, `PHASES` * layers + 1 zeros that all threads share: pieces taken.
        done: Likewise: pieces done.
        given: int16, (rows, widest input), this thread's own, as are the rest.
        levels: float32, (rows,).
        room: float32, (rows, hidden).
        scores: float32, (query heads of a key head, longest prefix with own keys, and one more).
    """
    rows, layers, hidden, inner = shape[0], shape[1], shape[2], shape[6]
    span, asked = (shape[3] + 2 * shape[4]) * shape[5], shape[3] * shape[5]
    small, phase, at, scale = np.float32(eps), 0, 0, 0
    for layer in range(layers):
        _heads(
            layer, shape, every, weights, at, scales, scale, norms, small, cos, sin, places, like, caches, spans,
            states, heads, phase, taken, done, given, levels, room,
        )  # fmt: skip
        at, scale = at + span * hidden, scale + span
        _looks(layer, shape, like, caches, spans, counts, heads, seen, phase + 1, taken, done, scores)
        _joins(rows, asked, hidden, weights, at, scales, scale, seen, states, phase + 2, taken, done, given, levels)
        at, scale = at + hidden * asked, scale + hidden
        _widens(
            layer, shape, every, weights, at, scales, scale, norms, small, states, middle, phase + 3, taken, done,
            given, levels, room,
        )  # fmt: skip
        at, scale = at + 2 * inner * hidden, scale + 2 * inner
        _joins(rows, inner, hidden, weights, at, scales, scale, middle, states, phase + 4, taken, done, given, levels)
        at, scale, phase = at + hidden * inner, scale + hidden, phase + PHASES
    _words(
        shape, told, weights, at, scales, scale, norms, small, states, logits, phase, taken, done, given, levels, room
    )  # fmt: skip


def signature(kind: str) -> Any:
    """The types of `run`'s arguments for caches of float32 or uint16."""
    floats, whole = types.float32[::1], types.int64[::1]
    like = types.Array({"float32": types.float32, "uint16": types.uint16}[kind], 1, "C")
    model = (types.UniTuple(types.int64, 8), types.int8[::1], floats, floats, types.float64, floats, floats)
    rows = (whole, like, whole, whole, types.boolean[::1], whole, whole)
    results = (floats,) * 5
    mine = (types.int16[::1], floats, floats, floats)
    return types.void(*model, *rows, *results, whole, whole, *mine)
