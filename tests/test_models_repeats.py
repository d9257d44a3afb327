"""Runs of tokens that are not said again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.decoder.token_runs import Runs

IDS = st.lists(st.integers(0, 3), max_size=12)


@given(texts=st.lists(IDS, max_size=3), written=IDS, size=st.integers(1, 5))
def test_a_token_is_refused_exactly_if_it_ends_a_known_run(
    texts: list[list[int]], written: list[int], size: int
) -> None:
    refused = Runs(texts, size).after(written)
    known = {tuple(ids[i : i + size]) for ids in texts for i in range(len(ids) - size + 1)}
    for token in range(4):
        run = tuple([*written, token][-size:])
        assert (token in refused) == (len(run) == size and run in known)


def test_a_size_of_nought_refuses_nothing() -> None:
    runs = Runs([[1, 2, 3]], 0)
    runs.add([1, 2, 3])
    assert runs.after([]) == [] and runs.after([1, 2]) == []
