"""What a search varies, as numbers: t at anchors over depth for attention and feed-forward layers, one t for all else.

Knows numbers; not how they are found or merged.
"""

from __future__ import annotations

from collections.abc import Sequence

from training.merging.config import MergeConfig, Vectors
from training.merging.depth import interpolated
from training.merging.search.config import Vector
from workspace.errors import DataError

DIGITS = 4
"""Decimals of t, in a trial's record as in the configuration that it is merged by."""


def size(anchors: int) -> int:
    """Numbers in a vector with so many anchors a part."""
    return 2 * anchors + 1


def vector_of(vectors: Vectors, anchors: int) -> Vector:
    """Curves over depth as a vector, read at other depths where the number of values is another.

    Args:
        vectors: The curves of t.
        anchors: How many values a part has in the vector.
    """
    depths = [place / (anchors - 1) for place in range(anchors)] if anchors > 1 else [0.5]
    parts = (interpolated(part, depth) for part in (vectors.self_attn, vectors.mlp) for depth in depths)
    return tuple(round(value, DIGITS) for value in (*parts, vectors.rest))


def vectors_of(vector: Sequence[float]) -> Vectors:
    """A vector as t over depth.

    Raises:
        DataError: It has not as many values for both parts and one for the rest, or one is not within 0 and 1.
    """
    anchors, left = divmod(len(vector) - 1, 2)
    if left or anchors < 1:
        raise DataError(f"{len(vector)} values are not as many for self_attn as for mlp and one for the rest")
    for place, value in enumerate(vector, 1):
        if not 0 <= value <= 1:
            raise DataError(f"t is {value} in place {place} of {len(vector)}; it is from 0 to 1")
    return Vectors(tuple(vector[:anchors]), tuple(vector[anchors:-1]), vector[-1])


def with_vector(merge: MergeConfig, vector: Sequence[float]) -> MergeConfig:
    """The same merge with another t over depth."""
    found = vectors_of(vector)
    kept = merge.model_dump(exclude_unset=True, exclude={"preset", "t"})
    drawn = {"method": merge.method, "self_attn": found.self_attn, "mlp": found.mlp, "rest": found.rest}
    return MergeConfig.model_validate({**kept, **drawn})
