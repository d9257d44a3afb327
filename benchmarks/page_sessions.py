"""Part `sessions` of `page.py`: many who look and press at once, and many submits in a burst.

A session reads as open pages do (the queue, a finished run, the library) and presses what the Library has (stars,
ratings, boards), with a pause between, all over its own connection. The burst finds the queue's one place taken, as by
a design at work, so that every submit has to wait.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from home import environment, fresh_home
from page_served import Client, Served, share
from shelf import A_RUN, fill

BAR_MS = 300
LOOK_SECONDS = 8
RUNS = 100
"""Finished designs of the home, each of four pictures."""

Step = tuple[str, Callable[[Client, str, str], tuple[int, Any]]]
"""What a session does, by its kind: given its client, a run and one of the run's pictures."""

STATUS: tuple[Step, ...] = (
    ("status run", lambda client, run, _: client.read("run", run=run)),
    ("status jobs", lambda client, *_: client.read("jobs")),
    ("status past", lambda client, *_: client.read("run/past")),
)
LIBRARY: tuple[Step, ...] = (
    ("library designs", lambda client, *_: client.read("library")),
    ("library pictures", lambda client, *_: client.read("library", view="pictures")),
    ("library search", lambda client, *_: client.read("library", search="coral cracks")),
    ("library sheet", lambda client, run, picture: client.read("library/sheet", run=run, picture=picture)),
    ("library star", lambda client, run, picture: client.act("library/star", run=run, picture=picture, star="1")),
    ("library unstar", lambda client, run, picture: client.act("library/star", run=run, picture=picture, star="")),
    ("library rate", lambda client, run, picture: client.act("library/rate", run=run, picture=picture, rating="4")),
    ("library board", lambda client, run, _: client.act("library/board", run=run, board="Panels")),
    ("library off", lambda client, run, _: client.act("library/board", run=run, board="Panels", off="1")),
)
SHARED = (f"20261101-000000-a-panel-{0:06d}",)
"""The run that all look at, as teams do."""


def events_of(home: Path, run_id: str) -> None:
    """Give a run the events of a short design, with pictures and conversation."""
    from tests.fixtures_page import story
    from workspace.event_log import EventLog

    with EventLog(home / "runs" / run_id / "events.jsonl", run_id) as log:
        for event in story(run_id, {"text": "a tough panel", "inspirations": ["nacre"]}):
            log.emit(event)


class Times:
    """How long each kind of request took in milliseconds, and what went wrong."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def enter(self, kind: str, act: Callable[[], tuple[int, Any]]) -> Any:
        """Time one request and return what it brought."""
        began = time.perf_counter()
        status, told = act()
        milliseconds = 1000 * (time.perf_counter() - began)
        with self._lock:
            self.took[kind].append(milliseconds)
            if status not in (200, 304):
                self.wrong.append(f"{kind}: {status} {str(told)[:200]}")
        return told

    def figures(self) -> dict[str, dict[str, float]]:
        """Middle and p95 of each kind, and of all status reads and library actions."""
        groups = dict(self.took)
        for name in ("status", "library"):
            groups[f"all {name}"] = [one for kind, own in self.took.items() if kind.startswith(name) for one in own]
        return {
            kind: {"n": len(own), "p50_ms": round(statistics.median(own), 1), "p95_ms": round(share(own, 0.95), 1)}
            for kind, own in sorted(groups.items())
            if own
        }


def session(port: int, number: int, runs: list[str], times: Times, until: float, pause: float) -> None:
    """One person's minute: every other request a status read, the others the library's."""
    draw, client = random.Random(number), Client(port)
    time.sleep(draw.uniform(0, pause))
    turn = 0
    while time.perf_counter() < until:
        kind, act = draw.choice(LIBRARY if turn % 2 else STATUS)
        run = SHARED[0] if kind == "status run" else draw.choice(runs)
        times.enter(kind, partial(act, client, run, f"{draw.randrange(A_RUN) + 1:02d}.png"))
        turn += 1
        time.sleep(draw.uniform(0.5, 1.5) * pause)
    client.close()


def at_once(count: int, act: Callable[[int], None]) -> None:
    """Do something in as many threads and wait for all."""
    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def burst(home: Path, port: int, count: int, sessions: int) -> dict[str, Any]:
    """Submit designs from all sessions at once while the queue's place is taken; do all stand in it, each in its place?

    The right place is that of the moment at which the ledger took a job in; every page has to say the same. All pages
    stay open on what they asked for, and look at it as pages do.
    """
    import studio
    from studio.queue.claims import ledger_of, place_claimed
    from workspace.settings import load_settings

    settings, times, runs = load_settings(overrides={"home": str(home)}), Times(), list[str]()

    def submit(number: int) -> None:
        client = Client(port)
        for turn in range(number, count, sessions):
            form = {"brief": f"A tough panel, number {turn}", "inspirations": "leaf", "images": "1", "rounds": "1"}
            told = times.enter("submit", partial(client.act, "run/design", **form))
            runs.append(told.get("go", "").rpartition("=")[2])
        client.close()

    with place_claimed(home, "heavy", 1) as free:
        began = time.perf_counter()
        at_once(sessions, submit)
        seconds = time.perf_counter() - began
        queued = {one.job_id: one.before for one in studio.list_jobs(limit=1000, states=("queued",), settings=settings)}
        with ledger_of(home, reading=True) as ledger:
            rows = ledger.read("SELECT job_id FROM jobs WHERE state = 'queued' ORDER BY queued, rowid")
        right = {str(name): place for place, (name,) in enumerate(rows)}
        shown = watched(port, runs, sessions, times)
        for run in runs:
            studio.stop_job(run, settings=settings)
    said = sum(_says(html, right.get(run, -1)) for run, html in shown.items())
    return {
        "submitted": len(runs),
        "free_place": free,
        "seconds": round(seconds, 2),
        "kinds": times.figures(),
        "wrong": times.wrong[:5],
        "queued": len(queued),
        "places_right": sum(queued.get(run) == right.get(run, -1) for run in runs),
        "pages_say_so": said,
        "passed": len(set(runs)) == count == len(queued) and queued == right and said == count and not times.wrong,
    }


def watched(port: int, runs: list[str], sessions: int, times: Times) -> dict[str, str]:
    """Look at queued runs as their pages do, for a while; what each page says in the end."""
    shown: dict[str, str] = {}

    def look(number: int) -> None:
        client, began = Client(port), time.perf_counter()
        while time.perf_counter() - began < LOOK_SECONDS:
            for run in runs[number::sessions]:
                html = times.enter("status queued", partial(client.read, "run", run=run))
                shown[run] = html or shown[run]  # nothing comes where nothing changed
                time.sleep(0.5)
        client.close()

    at_once(sessions, look)
    return shown


def _says(html: str, before: int) -> bool:
    """Whether a run's page says how many go before it."""
    from ui.desk.run.estimate import place

    return (place(before) if before else "its worker is starting") in html


def figures(sessions: int = 20, seconds: float = 60, submits: int = 100, pause: float = 0.5) -> dict[str, Any]:
    """Measure sessions, then the burst, on one served page.

    Args:
        sessions: How many at once.
        seconds: For how long.
        submits: Designs of the burst.
        pause: Seconds between two requests of a session.
    """
    import studio
    from workspace.settings import load_settings

    with fresh_home() as home:
        fill(home, RUNS * A_RUN)
        events_of(home, SHARED[0])
        settings = load_settings(overrides={"home": str(home)})
        while studio.find_runs(settings=settings, count=1).pending:
            pass
        runs = [one.run_id for one in studio.find_runs(settings=settings, count=RUNS).runs]
        with Served(environment(home, STUDIO_PROFILE="embedded")) as server:
            server.answered()
            for _, act in (*STATUS, *LIBRARY):  # what is read once is read now
                client = Client(server.port)
                act(client, SHARED[0], "01.png")
                client.close()
            times = Times()
            until = time.perf_counter() + seconds
            at_once(sessions, lambda number: session(server.port, number, runs, times, until, pause))
            told = times.figures()
            thrown = burst(home, server.port, submits, sessions)
    worst = {name: told[f"all {name}"]["p95_ms"] for name in ("status", "library")}
    return {
        "sessions": sessions,
        "seconds": seconds,
        "pause_s": pause,
        "requests_a_second": round(sum(map(len, times.took.values())) / seconds, 1),
        "kinds": told,
        "wrong": times.wrong[:5],
        "bar_ms": BAR_MS,
        "burst": thrown,
        "passed": max(worst.values()) <= BAR_MS and not times.wrong and thrown["passed"],
    }
