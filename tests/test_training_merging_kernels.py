"""The kernels beside mergekit's and beside double precision: SLERP, the norm-geometric one, task vectors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.fixtures_merging import ulps
from training.merging.kernels import Bench, Sums, norm_slerp_shares, slerp_shares, task_slerp_shares

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what mergekit imports
SIZES = (1, 7, 1024, 65_536, 65_537, 200_001)


def pair(size: int, apart: float, dtype: Any = torch.bfloat16, seed: int = 0) -> tuple[Any, Any]:
    drawn = torch.Generator().manual_seed(seed)
    one = torch.randn(size, generator=drawn)
    return one.to(dtype), (one + apart * torch.randn(size, generator=drawn)).to(dtype)


def merged(one: Any, other: Any, shares: tuple[float, float], dtype: Any = torch.bfloat16) -> Any:
    out = torch.empty(one.shape, dtype=dtype)
    Bench(2).combine([one, other], shares, out)
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("apart", [0.0, 0.001, 0.02, 0.05, 0.5, 5.0])
@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_slerp_is_mergekits_to_one_step(size: int, apart: float, t: float) -> None:
    from mergekit.merge_methods.slerp import slerp

    one, other = pair(size, apart)
    wanted = slerp(torch.tensor([t]), one[None], other[None])[0]
    sums, task = Bench(2).sums(one, other)
    assert task is None
    assert ulps(merged(one, other, slerp_shares(sums, t)), wanted, one, other) <= 1


@pytest.mark.parametrize("given", [(0, 1), (1, 0), (0, 0), (1, -1), (1, 1), (1e-12, 1)])
def test_slerp_is_mergekits_where_there_is_no_angle(given: tuple[float, float]) -> None:
    from mergekit.merge_methods.slerp import slerp

    shape = torch.tensor([0.5, -2.0, 3.0, 0.25])
    one, other = ((scale * shape).to(torch.bfloat16) for scale in given)
    wanted = slerp(torch.tensor([0.3]), one[None], other[None])[0]
    made = merged(one, other, slerp_shares(Bench(2).sums(one, other)[0], 0.3))
    assert ulps(made, wanted, one, other) <= 1


def test_mergekit_is_linear_above_its_threshold() -> None:
    close, apart = Sums(1, 0.99951, 1), Sums(1, 0.99949, 1)
    assert slerp_shares(close, 0.3) == (0.7, 0.3)
    assert slerp_shares(apart, 0.3) != (0.7, 0.3) and sum(slerp_shares(apart, 0.3)) > 1
    assert slerp_shares(Sums(1, -0.99951, 1), 0.3) == (0.7, 0.3)


def reference(one: Any, other: Any, t: float) -> Any:
    """The formula of arXiv 2409.03444 in double precision, the angle from a formula that is exact for small ones."""
    a, b = one.double(), other.double()
    u, v = a / a.norm(), b / b.norm()
    angle = 2 * math.atan2(float((u - v).norm()), float((u + v).norm()))
    arc = (math.sin((1 - t) * angle) * u + math.sin(t * angle) * v) / math.sin(angle)
    return arc * a.norm() ** (1 - t) * b.norm() ** t


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("apart", [1e-3, 0.02, 0.3, 3.0, 30.0])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_norm_geometric_slerp_is_the_formula(dtype: Any, apart: float, t: float) -> None:
    one, other = pair(300_001, apart, dtype, seed=3)
    other = other * 2
    made = merged(one, other, norm_slerp_shares(Bench(2).sums(one, other)[0], t), torch.float32).double()
    wanted = reference(one, other, t)
    assert float((made - wanted).norm() / wanted.norm()) < 1e-6
    assert float((made - wanted).abs().max() / wanted.abs().max()) < 1e-6


def test_the_norm_geometric_slerp_keeps_lengths_where_mergekits_does_not() -> None:
    one, other = pair(50_000, 1.0, torch.float32)
    other = 4 * other
    sums, _ = Bench(2).sums(one, other)
    made = merged(one, other, norm_slerp_shares(sums, 0.5), torch.float32)
    assert float(made.norm()) == pytest.approx(math.sqrt(float(one.norm() * other.norm())), rel=1e-5)
    assert merged(one, other, slerp_shares(sums, 0.5), torch.float32).norm() > 1.05 * made.norm()


def test_the_norm_geometric_slerp_where_no_arc_is_the_shortest() -> None:
    one = torch.tensor([3.0, 4.0])
    at = lambda other, t: merged(  # noqa: E731
        one, other, norm_slerp_shares(Bench(2).sums(one, other)[0], t), torch.float32
    ).tolist()
    assert at(-4 * one, 0.25) == pytest.approx([3 * 2**0.5, 4 * 2**0.5]), "nearer to the first: its direction"
    assert at(-4 * one, 0.5) == pytest.approx([6, 8]), "halfway: the first one's"
    assert at(-4 * one, 0.75) == pytest.approx([-3 * 2**1.5, -4 * 2**1.5])
    assert at(4 * one, 0.5) == pytest.approx([6, 8]), "one direction: only the length changes"
    assert at(one, 0.3) == pytest.approx([3, 4])
    zero = torch.zeros(2)
    assert at(zero, 0.5) == [0, 0] and at(zero, 0.0) == [3, 4] and at(zero, 1.0) == [0, 0]


@pytest.mark.parametrize("apart", [0.0, 0.01, 0.5, 5.0])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_task_vectors_on_the_sphere_are_mergekits(apart: float, t: float) -> None:
    from mergekit.merge_methods.nuslerp import nuslerp

    base = torch.randn(70_000, generator=torch.Generator().manual_seed(9))
    one, other = ((base + 0.01 * one) for one in pair(70_000, apart, torch.float32))
    _, task = Bench(4).sums(one, other, base)
    assert task is not None
    shares = task_slerp_shares(task, t)
    out = torch.empty_like(base)
    Bench(2).combine([one, other, base], [*shares, 1 - sum(shares)], out)
    wanted = base + nuslerp(t, one - base, other - base, flatten=True)
    assert float((out - wanted).abs().max()) < 2e-6


def test_inner_products_are_exact_enough() -> None:
    one, other = pair(1_000_003, 0.1)
    base = pair(1_000_003, 0.0, seed=4)[0]
    a, b, c = (vector.double() for vector in (one, other, base))
    sums, task = Bench(4).sums(one, other, base)
    assert task is not None
    for found, wanted in zip(
        (sums.first, sums.both, sums.second, task.first, task.both, task.second),
        (a @ a, a @ b, b @ b, (a - c) @ (a - c), (a - c) @ (b - c), (b - c) @ (b - c)),
        strict=True,
    ):
        assert found == pytest.approx(float(wanted), rel=3e-7)
    assert sums.cosine == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-7)
    assert Sums(0, 0, 1).cosine is None and Sums(1, 1 + 1e-9, 1).cosine == 1


def test_mergekit_knows_the_norm_geometric_slerp() -> None:
    from mergekit.merge_methods.base import TensorGroup
    from mergekit.merge_methods.registry import get

    from training.merging.by_mergekit import check_method

    check_method("norm_slerp")
    check_method("norm_slerp")  # it is registered once
    one, other = (vector.view(6, 5) for vector in pair(30, 1.0))
    group = TensorGroup.from_tensors([other, one.T.contiguous().T], base_index=1)
    (made,) = get("norm_slerp")([group], parameters={"t": 0.25})
    wanted = reference(one.reshape(-1), other.reshape(-1), 0.25).to(torch.bfloat16).view(6, 5)
    assert ulps(made, wanted, one, other) <= 1
