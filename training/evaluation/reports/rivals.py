"""What each merge has to beat, found among the merges that were measured. Knows records, no answers.

LERP at equal t: method ``lerp`` of the same parents, first and second alike, with the same curve. Task arithmetic: of
the same parents, or of the second onto the first as its base. A soup: a ``linear`` merge that shares a parent with the
merge but is not of the same parents (that would be a LERP); whether it took as much compute is in no record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.evaluation.results import MergeRecord
from training.evaluation.statistics.synergy import Rival

PLAIN = {"lerp", "linear", "task_arithmetic"}
"""Methods of the rivals themselves."""
_CLOSE = 1e-6


def rivals_of(merge: MergeRecord, records: Sequence[MergeRecord], scores: Mapping[str, float]) -> dict[Rival, str]:
    """Names of a merge's rivals other than its best parent; of several that fit, the one that scored highest.

    Args:
        merge: The merge.
        records: Of all merges that were measured.
        scores: Of these, by name.
    """
    if merge.method in PLAIN:
        return {}
    parents = set(merge.parents)
    fitting: dict[Rival, list[str]] = {
        "LERP at equal t": [one.name for one in records if one.method == "lerp" and _same_t(one, merge)],
        "task arithmetic": [one.name for one in records if one.method == "task_arithmetic" and _adds(one, parents)],
        "soup of as much compute": [
            one.name
            for one in records
            if one.method == "linear" and parents & set(one.parents) and set(one.parents) != parents
        ],
    }
    return {rival: max(names, key=lambda name: (scores[name], name)) for rival, names in fitting.items() if names}


def _adds(one: MergeRecord, parents: set[str]) -> bool:
    """Whether task arithmetic is of these parents; of a base and a variant of it, which has one task vector alone."""
    if one.base in parents:
        return parents - {one.base} <= set(one.parents)
    return set(one.parents) == parents


def _same_t(one: MergeRecord, other: MergeRecord) -> bool:
    """Whether two merges go as far from the first parent to the second, in every layer and part."""
    if one.parents != other.parents or not one.curve or set(one.curve) != set(other.curve):
        return False
    return all(
        len(one.curve[part]) == len(other.curve[part])
        and all(abs(a - b) < _CLOSE for a, b in zip(one.curve[part], other.curve[part], strict=True))
        for part in one.curve
    )
