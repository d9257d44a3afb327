"""What numba has no words for, as LLVM's vectors: integer products, attention's two products, and threads' counters.

Written for no instruction set: LLVM makes of it what the CPU has (``vpmaddwd`` from AVX2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import binding, ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from models.decoder.step import BLOCK

WIDE = bool(binding.get_host_cpu_features().get("avx512bw"))
"""Whether vectors of 64 bytes suit this CPU, which then has twice as many registers too."""

_LANES = 8
_SUMS = BLOCK if WIDE else _LANES  # lanes of a product's sums
_AHEAD = 4096  # bytes of weights asked for from memory before they are read
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F32 = ir.FloatType()
_FAST = ("fast",)
OPTIONS = {"fastmath": True, "nogil": True, "boundscheck": False, "error_model": "numpy"}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def inner(function: _Function) -> _Function:
    """A part of the kernel, which its code holds whole.

    A call that stayed one would be answered by the part's own code in the process that makes the kernel, and by the
    kernel's copy of it in those that read what is kept; the two differ in a last digit.
    """
    return cast(_Function, njit(forceinline=True, **OPTIONS)(function))


def _number(value: int, kind: Any = _I64) -> Any:
    return ir.Constant(kind, value)


def _at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where an array's element stands."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _read(builder: Any, where: Any, kind: Any, align: int) -> Any:
    read = builder.load(builder.bitcast(where, kind.as_pointer()))
    read.align = align
    return read


def _write(builder: Any, value: Any, where: Any) -> None:
    builder.store(value, builder.bitcast(where, value.type.as_pointer())).align = 4


def _everywhere(builder: Any, value: Any, lanes: int = _LANES) -> Any:
    """A vector of one value."""
    one = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, _number(0, _I32))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def _fetch(builder: Any, where: Any) -> None:
    """Ask for bytes that will be read soon; there need not be any."""
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_read, to_keep, data = (_number(one, _I32) for one in (0, 3, 1))
    builder.call(fetch, [where, to_read, to_keep, data])


def _product(rows: int, blocks: int) -> Any:
    """``into``, neighbouring blocks of outputs, is, or with ``more`` gains, ``weights . given * scales * levels``.

    Weights lie pair of inputs by pair of inputs, each with its `BLOCK` outputs, so that one instruction multiplies and
    adds the pairs of as many outputs as a register has sums; every sum stays within 32 bits, so that the way there
    changes no digit. Several blocks at a time keep the processor busy while one sum waits for its last addition.
    """
    halves = range(blocks * BLOCK // _SUMS)  # of a block, or whole ones where a register takes those

    @intrinsic  # type: ignore[untyped-decorator]
    def product(
        typing: Any, weights: Any, first: Any, given: Any, row: Any, inputs: Any, scales: Any, output: Any,
        levels: Any, into: Any, begin: Any, step: Any, aside: Any, more: Any,
    ) -> Any:  # fmt: skip
        whole = types.intp
        kinds = (weights, whole, given, whole, whole, scales, whole, levels, into, whole, whole, whole, more)

        def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
            k = signature.args
            weights, given = _at(context, b, k[0], a[0], a[1]), _at(context, b, k[2], a[2], b.mul(a[3], a[4]))
            scales, levels = _at(context, b, k[5], a[5], a[6]), _at(context, b, k[7], a[7], a[3])
            into, inputs, step, aside = _at(context, b, k[8], a[8], a[9]), a[4], a[10], a[11]
            sums, pairs = ir.VectorType(_I32, _SUMS), ir.VectorType(_I16, 2 * _SUMS)
            wide, floats = ir.VectorType(_I32, 2 * _SUMS), ir.VectorType(_F32, _SUMS)
            even, odd = (ir.Constant(sums, list(range(lane, 2 * _SUMS, 2))) for lane in (0, 1))
            zero = ir.Constant(sums, [0] * _SUMS)
            kept = [[cgutils.alloca_once_value(b, zero) for _ in halves] for _ in range(rows)]
            lines = [b.bitcast(b.gep(given, [b.mul(inputs, _number(r))]), _I32.as_pointer()) for r in range(rows)]
            apart = [b.gep(weights, [b.mul(inputs, _number(BLOCK * one))]) for one in range(blocks)]
            with cgutils.for_range(b, b.lshr(inputs, _number(1))) as loop:
                there = b.mul(loop.index, _number(2 * BLOCK))
                read = []
                for one in range(blocks):
                    here = b.gep(apart[one], [there])
                    _fetch(b, b.gep(here, [_number(_AHEAD)]))
                    for half in range(BLOCK // _SUMS):
                        held = _read(b, b.gep(here, [_number(2 * _SUMS * half)]), ir.VectorType(_I8, 2 * _SUMS), 1)
                        read.append(b.sext(held, pairs))
                for row in range(rows):
                    pair = _read(b, b.gep(lines[row], [loop.index]), _I32, 2)
                    both = b.sext(b.bitcast(_everywhere(b, pair, _SUMS), pairs), wide)
                    for half in halves:
                        products = b.mul(b.sext(read[half], wide), both)
                        gain = b.add(*(b.shuffle_vector(products, products, part) for part in (even, odd)))
                        b.store(b.add(b.load(kept[row][half]), gain), kept[row][half])
            for half in halves:
                one, part = divmod(half, BLOCK // _SUMS)
                scale = _read(b, b.gep(scales, [_number(_SUMS * half)]), floats, 4)
                for row in range(rows):
                    level = _everywhere(b, b.load(b.gep(levels, [_number(row)])), _SUMS)
                    past = b.add(b.mul(step, _number(row)), b.add(b.mul(aside, _number(one)), _number(_SUMS * part)))
                    where = b.gep(into, [past])
                    value = b.fmul(b.fmul(b.sitofp(b.load(kept[row][half]), floats), scale), level)
                    _write(b, b.select(a[12], b.fadd(_read(b, where, floats, 4), value), value), where)
            return context.get_dummy_value()

        return types.void(*kinds), write

    return product


product_1, product_2, product_3, product_4 = (_product(rows, 1) for rows in (1, 2, 3, 4))
twins_1, twins_2, twins_3, twins_4 = (_product(rows, 2) for rows in (1, 2, 3, 4))
quads_1, quads_2, quads_3, quads_4 = (_product(rows, 4) for rows in (1, 2, 3, 4))


def _lifted(b: Any, kind: Any, where: Any, index: Any, lanes: int = _LANES) -> Any:
    """Read floats of a cache: float32, or bfloat16 as 16-bit integers."""
    if kind.dtype == types.float32:
        return _read(b, b.gep(b.inttoptr(where, _F32.as_pointer()), [index]), ir.VectorType(_F32, lanes), 4)
    short = _read(b, b.gep(b.inttoptr(where, _I16.as_pointer()), [index]), ir.VectorType(_I16, lanes), 2)
    words = ir.VectorType(_I32, lanes)
    return b.bitcast(b.shl(b.zext(short, words), ir.Constant(words, [16] * lanes)), ir.VectorType(_F32, lanes))


def _score(heads: int) -> Any:
    """Products of so many queries with ``count`` keys that stand one behind the other and are read once.

    Query ``h`` is ``wanted[at + h * width:at + (h + 1) * width]``, its products go to ``scores[begin + h * stride:]``.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def score(
        typing: Any, like: Any, keys: Any, count: Any, width: Any, wanted: Any, at: Any, scores: Any, begin: Any,
        stride: Any,
    ) -> Any:  # fmt: skip
        kinds = (like, types.int64, types.intp, types.intp, wanted, types.intp, scores, types.intp, types.intp)

        def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
            query = _at(context, b, signature.args[4], a[4], a[5])
            out = _at(context, b, signature.args[6], a[6], a[7])
            floats = ir.VectorType(_F32, _LANES)
            parts = b.udiv(a[3], _number(2 * _LANES))
            kept = [[cgutils.alloca_once(b, floats) for _ in range(2)] for _ in range(heads)]
            with cgutils.for_range(b, a[2]) as keys:
                for one in (one for pair in kept for one in pair):
                    b.store(ir.Constant(floats, [0.0] * _LANES), one)
                with cgutils.for_range(b, parts) as part:
                    for half in range(2):
                        channel = b.add(b.mul(part.index, _number(2 * _LANES)), _number(_LANES * half))
                        key = _lifted(b, signature.args[0], a[1], b.add(b.mul(keys.index, a[3]), channel))
                        for head in range(heads):
                            where = b.gep(query, [b.add(b.mul(a[3], _number(head)), channel)])
                            product = b.fmul(key, _read(b, where, floats, 4), flags=_FAST)
                            b.store(b.fadd(b.load(kept[head][half]), product, flags=_FAST), kept[head][half])
                for head in range(heads):
                    both = b.fadd(*(b.load(one) for one in kept[head]), flags=_FAST)
                    for reach in (4, 2, 1):
                        lanes = [(lane + reach) % _LANES for lane in range(_LANES)]
                        turned = ir.Constant(ir.VectorType(_I32, _LANES), lanes)
                        both = b.fadd(both, b.shuffle_vector(both, both, turned), flags=_FAST)
                    where = b.gep(out, [b.add(b.mul(a[8], _number(head)), keys.index)])
                    b.store(b.extract_element(both, _number(0, _I32)), where)
            return context.get_dummy_value()

        return types.void(*kinds), write

    return score


def _mix(heads: int) -> Any:
    """Add ``count`` values, which are read once, each times its weight, to what so many heads have seen.

    Weights of head ``h`` begin at ``weights[begin + h * stride]``; its sum is ``into[at + h * width:][:width]``.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def mix(
        typing: Any, like: Any, values: Any, count: Any, width: Any, weights: Any, begin: Any, stride: Any, into: Any,
        at: Any,
    ) -> Any:  # fmt: skip
        kinds = (like, types.int64, types.intp, types.intp, weights, types.intp, types.intp, into, types.intp)

        def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
            weights = _at(context, b, signature.args[4], a[4], a[5])
            out = _at(context, b, signature.args[7], a[7], a[8])
            floats = ir.VectorType(_F32, _LANES)
            kept = [[cgutils.alloca_once(b, floats) for _ in range(2)] for _ in range(heads)]
            with cgutils.for_range(b, b.udiv(a[3], _number(2 * _LANES))) as part:
                first = b.mul(part.index, _number(2 * _LANES))
                channels = [b.add(first, _number(_LANES * half)) for half in range(2)]
                sums = [[b.gep(out, [b.add(b.mul(a[3], _number(h)), c)]) for c in channels] for h in range(heads)]
                for where, one in ((sums[h][half], kept[h][half]) for h in range(heads) for half in range(2)):
                    b.store(_read(b, where, floats, 4), one)
                with cgutils.for_range(b, a[2]) as value:
                    read = [_lifted(b, signature.args[0], a[1], b.add(b.mul(value.index, a[3]), c)) for c in channels]
                    for head in range(heads):
                        place = b.add(b.mul(a[6], _number(head)), value.index)
                        weight = _everywhere(b, b.load(b.gep(weights, [place])))
                        for half, one in enumerate(kept[head]):
                            b.store(b.fadd(b.load(one), b.fmul(read[half], weight, flags=_FAST), flags=_FAST), one)
                for where, one in ((sums[h][half], kept[h][half]) for h in range(heads) for half in range(2)):
                    _write(b, b.load(one), where)
            return context.get_dummy_value()

        return types.void(*kinds), write

    return mix


score_1, score_2, score_3, score_4 = (_score(heads) for heads in (1, 2, 3, 4))
mix_1, mix_2, mix_3, mix_4 = (_mix(heads) for heads in (1, 2, 3, 4))


@intrinsic  # type: ignore[untyped-decorator]
def keep(typing: Any, like: Any, where: Any, index: Any, value: Any) -> Any:
    """Write one float into a cache, rounded to the nearest bfloat16 where it holds those."""

    def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
        if signature.args[0].dtype == types.float32:
            b.store(a[3], b.gep(b.inttoptr(a[1], _F32.as_pointer()), [a[2]]))
        else:
            word = b.bitcast(a[3], _I32)
            odd = b.and_(b.lshr(word, _number(16, _I32)), _number(1, _I32))
            near = b.lshr(b.add(word, b.add(odd, _number(0x7FFF, _I32))), _number(16, _I32))
            b.store(b.trunc(near, _I16), b.gep(b.inttoptr(a[1], _I16.as_pointer()), [a[2]]))
        return context.get_dummy_value()

    return types.void(like, types.int64, types.intp, types.float32), write


@intrinsic  # type: ignore[untyped-decorator]
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2 to a whole number from -126 to 127, as float32."""

    def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
        return b.bitcast(b.shl(b.add(a[0], _number(127, _I32)), _number(23, _I32)), _F32)

    return types.float32(types.int32), write


@intrinsic  # type: ignore[untyped-decorator]
def claim(typing: Any, counters: Any, at: Any) -> Any:
    """Add 1 to a counter that several threads share and return what it was."""

    def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
        return b.atomic_rmw("add", _at(context, b, signature.args[0], a[0], a[1]), _number(1), "acq_rel")

    return types.int64(counters, types.intp), write


@intrinsic  # type: ignore[untyped-decorator]
def look(typing: Any, counters: Any, at: Any) -> Any:
    """Read a counter that several threads share."""

    def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
        return b.load_atomic(_at(context, b, signature.args[0], a[0], a[1]), "acquire", 8)

    return types.int64(counters, types.intp), write


@intrinsic  # type: ignore[untyped-decorator]
def give_way(typing: Any) -> Any:
    """Let the system run another thread."""

    def write(context: Any, b: Any, signature: Any, a: Any) -> Any:
        b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(_I32, []), "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), write
