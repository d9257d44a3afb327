"""Threads that ask at the same time: each gets what it would have got alone, whatever becomes of the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decoder.step.together import Together
from models.decoder.turnstile import Turnstile
from tests.fixtures_threads import PATIENCE, until


class Doubler:
    """Answers numbers with their doubles; a negative one is a fault of whoever asks with it."""

    def __init__(self, most: int = 100) -> None:
        self.turnstile = Turnstile()
        self.together = Together(self.answer, abs, most, self.turnstile)
        self.groups: list[list[int]] = []

    def answer(self, asked: Sequence[int]) -> list[int]:
        self.groups.append(list(asked))
        if wrong := [one for one in asked if one < 0]:
            raise ValueError(f"no {wrong[0]}")
        return [2 * one for one in asked]

    def held(self, asked: Sequence[int]) -> list[Any]:
        """What comes of requests, each of its own thread, that come one after the other while nobody may go in."""
        found: list[Any] = [None] * len(asked)

        def ask(place: int) -> None:
            try:
                found[place] = self.together.ask(asked[place])
            except BaseException as fault:
                found[place] = fault

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(asked))]
        with self.turnstile:
            for number, thread in enumerate(threads):
                thread.start()
                until(lambda count=number + 1: len(self.together._waiting) == count)
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not self.together._waiting
        return found


class TestTurnstile:
    def test_one_is_in_at_a_time_and_who_came_first_goes_first(self) -> None:
        gate, came, inside = Turnstile(), [], []

        def go(number: int) -> None:
            with gate:
                inside.append(number)
                assert len(inside) == 1
                came.append(number)
                inside.clear()

        threads = [threading.Thread(target=go, args=(number,)) for number in range(6)]
        with gate:
            for number, thread in enumerate(threads):
                thread.start()
                until(lambda count=number + 2: len(gate._line) == count)
            assert came == []
        for thread in threads:
            thread.join(PATIENCE)
        assert came == list(range(6))

    def test_many_come_and_go(self) -> None:
        gate, count = Turnstile(), [0]

        def go() -> None:
            for _ in range(300):
                with gate:
                    before = count[0]
                    if before % 7 == 0:
                        os.sched_yield()
                    count[0] = before + 1

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(go) for _ in range(8)]:
                done.result(PATIENCE)
        assert count == [2400] and not gate._line

    def test_who_fails_inside_or_is_stopped_in_line_leaves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Turnstile()
        with pytest.raises(ValueError, match="inside"), gate:
            raise ValueError("inside")
        inside, leave = threading.Event(), threading.Event()

        def stay() -> None:
            with gate:
                inside.set()
                assert leave.wait(PATIENCE)

        other = threading.Thread(target=stay)
        other.start()
        assert inside.wait(PATIENCE)
        plain = threading.Lock

        class Stopped:
            """A lock for which nobody waits in peace."""

            def __init__(self) -> None:
                self.lock = plain()
                self.locked, self.release = self.lock.locked, self.lock.release

            def acquire(self, timeout: float | None = None) -> bool:
                if timeout is not None:
                    raise KeyboardInterrupt
                return self.lock.acquire()

        with monkeypatch.context() as patched:
            patched.setattr("models.decoder.turnstile.threading.Lock", Stopped)
            with pytest.raises(KeyboardInterrupt), gate:
                pytest.fail("another is in")
        leave.set()
        other.join(PATIENCE)
        with gate:
            assert len(gate._line) == 1


class TestTogether:
    def test_those_who_come_while_nobody_may_go_in_go_together(self) -> None:
        doubler = Doubler()
        assert doubler.held([1, 2, 3, 4]) == [2, 4, 6, 8]
        assert doubler.groups == [[1, 2, 3, 4]]

    def test_no_more_go_in_at_once_than_may_but_one_always_may(self) -> None:
        doubler = Doubler(most=5)
        assert doubler.held([2, 2, 9, 1, 4, 1]) == [4, 4, 18, 2, 8, 2]
        assert doubler.groups == [[2, 2], [9], [1, 4], [1]]

    def test_a_fault_is_that_of_whoever_asked_for_it(self) -> None:
        doubler = Doubler()
        first, wrong, last = doubler.held([1, -2, 3])
        assert (first, last) == (2, 6) and str(wrong) == "no -2"
        leads, second = doubler.held([-4, 5])
        assert str(leads) == "no -4" and second == 10
        assert doubler.held([7]) == [14]

    def test_who_is_stopped_while_it_leads_leaves_the_others_their_answers(self) -> None:
        doubler, plain = Doubler(), Doubler.answer
        leader = []

        def stopped(asked: Sequence[int]) -> list[int]:
            leader.append(threading.get_ident())
            if len(leader) == 1:
                raise SystemExit
            return plain(doubler, asked)

        doubler.together._answer = stopped
        left, *others = doubler.held([1, 2, 3])
        assert isinstance(left, SystemExit) and others == [4, 6]
        assert len(set(leader)) == 3  # the others, each by itself
        assert doubler.held([4, 5]) == [8, 10]

    def test_the_main_thread_answers_for_nobody_else(self) -> None:
        doubler = Doubler()
        with ThreadPoolExecutor(1) as pool:
            with doubler.turnstile:
                asked = pool.submit(doubler.together.ask, 1)
                until(lambda: doubler.together._waiting)
            assert doubler.together.ask(2) == 4
            assert asked.result(PATIENCE) == 2
        assert sorted(doubler.groups) == [[1], [2]]

    def test_a_forked_process_begins_anew(self) -> None:
        doubler = Doubler()
        with ThreadPoolExecutor(2) as pool, doubler.turnstile:
            asked = [pool.submit(doubler.together.ask, one) for one in (1, 2)]
            until(lambda: len(doubler.together._waiting) == 2)
            doubler.turnstile.anew, anew = (lambda: None), doubler.turnstile.anew
            child = os.fork()
            if child == 0:
                try:
                    anew()  # which `turnstile` has done for those that it makes
                    found: list[int] = []
                    thread = threading.Thread(target=lambda: found.append(doubler.together.ask(4)))
                    thread.start()
                    thread.join(PATIENCE)
                    os._exit(0 if found == [8] else 1)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [one.result(PATIENCE) for one in asked] == [2, 4]

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.lists(st.integers(-3, 6), max_size=12), min_size=1, max_size=9),
        st.integers(1, 12),
    )
    def test_however_many_come_and_go_each_gets_its_own(self, threads: list[list[int]], most: int) -> None:
        doubler = Doubler(most)

        def ask(numbers: list[int]) -> list[Any]:
            found: list[Any] = []
            for number in numbers:
                try:
                    found.append(doubler.together.ask(number))
                except ValueError as fault:
                    found.append(str(fault))
            return found

        with ThreadPoolExecutor(len(threads)) as pool:
            made = [pool.submit(ask, numbers) for numbers in threads]
            for done, numbers in zip(made, threads, strict=True):
                assert done.result(PATIENCE) == [2 * one if one >= 0 else f"no {one}" for one in numbers]
        assert not doubler.together._waiting and not doubler.turnstile._line
        for group in doubler.groups:
            assert len(group) == 1 or sum(map(abs, group)) <= most
