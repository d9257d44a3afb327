"""Convert many files in child processes, with limits: one that hangs or bursts is named, and the rest goes on.

Knows processes; what a file holds is the converters' business.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pipelines.corpus.config import MEMORY_MB, PAGES, SECONDS, Converter
from pipelines.corpus.converters import convert
from workspace.errors import DataError, ServiceError, one_line
from workspace.extras import no_working_folder

_MOST_LETTERS = 20_000_000


@dataclass(frozen=True)
class Limits:
    """What reading one file may take."""

    seconds: float = SECONDS
    memory_mb: int = MEMORY_MB
    pages: int = PAGES


@dataclass(frozen=True)
class Parsed:
    """A file and its pages as Markdown, or what is wrong with it."""

    path: Path
    pages: tuple[str, ...] = ()
    problem: str | None = None


@dataclass
class _Hand:
    """A child process and the file it reads."""

    process: multiprocessing.process.BaseProcess
    line: Connection
    path: Path
    deadline: float = field(default=0.0)


def parse(paths: Sequence[Path], pdf: Converter, limits: Limits, workers: int | None = None) -> Iterator[Parsed]:
    """Convert files, each as soon as it is done.

    Args:
        paths: PDF, Markdown and text files.
        pdf: The converter of PDFs, a key of `pipelines.corpus.converters.PDF`.
        limits: Of each file.
        workers: Child processes; as many as there are cores if not given.

    Raises:
        ServiceError: The converter is not installed.
    """
    left = deque(paths)
    hands: list[_Hand] = []
    try:
        while left or hands:
            while left and len(hands) < min(workers or os.cpu_count() or 1, len(paths)):
                hands.append(_given(None, left.popleft(), pdf, limits))
            ready = wait([hand.line for hand in hands], timeout=_patience(hands))
            for hand in list(hands):
                if hand.line not in ready and time.monotonic() < hand.deadline:
                    continue
                done = _answer(hand, limits) if hand.line in ready else _overdue(hand, limits)
                hands.remove(hand)
                if hand.process.is_alive() and left:
                    hands.append(_given(hand, left.popleft(), pdf, limits))
                else:
                    _dismiss(hand)
                yield done
    finally:
        for hand in hands:
            _dismiss(hand)


def _patience(hands: Sequence[_Hand]) -> float:
    return max(0.0, min(hand.deadline for hand in hands) - time.monotonic())


def _given(hand: _Hand | None, path: Path, pdf: Converter, limits: Limits) -> _Hand:
    """Hand a file to a child process, a new one if there is none."""
    if hand is None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, pdf, limits), daemon=True)
        with _deaf(), no_working_folder():
            process.start()
        theirs.close()
        hand = _Hand(process, ours, path)
    hand.path, hand.deadline = path, time.monotonic() + limits.seconds
    hand.line.send(path)
    return hand


@contextmanager
def _deaf() -> Iterator[None]:
    """Children that are started within it do not hear a terminal's Ctrl-C; their parent does, and stops them."""
    with no_working_folder():
        resource_tracker.ensure_running()  # starting it would open the ears again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(hand: _Hand, limits: Limits) -> Parsed:
    try:
        kind, answer = hand.line.recv()
    except (EOFError, OSError):
        _stop(hand)
        why = f"a fault in the file, or it needs more than {limits.memory_mb:,} MB (--memory-mb)"
        return Parsed(hand.path, problem=f"its reader broke down: {why}")
    if kind == "missing":
        raise ServiceError(answer[0], hint=answer[1])
    return Parsed(hand.path, pages=tuple(answer)) if kind == "pages" else Parsed(hand.path, problem=answer)


def _overdue(hand: _Hand, limits: Limits) -> Parsed:
    _stop(hand)
    return Parsed(hand.path, problem=f"it was not read within {limits.seconds:g} seconds (--seconds)")


def _stop(hand: _Hand) -> None:
    """End a child process and whatever command it began."""
    if hand.process.pid is not None:
        with suppress(ProcessLookupError):  # it has no group of its own yet
            os.killpg(hand.process.pid, signal.SIGKILL)
    hand.process.kill()
    hand.process.join()


def _dismiss(hand: _Hand) -> None:
    hand.line.close()
    if hand.process.is_alive():
        _stop(hand)
    hand.process.join()


def _work(line: Connection, pdf: Converter, limits: Limits) -> None:
    """Read files until there are no more. Runs in the child."""
    import resource

    os.setpgid(0, 0)
    if pdf != "marker":  # a command of its own, with models of its own
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_mb << 20, limits.memory_mb << 20))
    while True:
        try:
            path = line.recv()
        except (EOFError, OSError):
            return
        line.send(_read(path, pdf, limits.pages))


def _read(path: Path, pdf: Converter, most: int) -> tuple[str, object]:
    try:
        pages = convert(path, pdf, most)
    except DataError as fault:
        return "problem", fault.message
    except ServiceError as fault:
        return "missing", (fault.message, fault.hint)
    except OSError as fault:
        return "problem", f"it cannot be read: {fault.strerror}"
    except MemoryError:
        return "problem", "it needs more memory than it may have (--memory-mb)"
    except Exception as fault:  # whatever else a package's reader meets in a hostile file
        return "problem", f"its reader failed: {type(fault).__name__}: {one_line(fault)}"
    letters = sum(map(len, pages))
    if letters > _MOST_LETTERS:
        return "problem", f"its text has {letters:,} letters; at most {_MOST_LETTERS:,} are read"
    return "pages", pages
