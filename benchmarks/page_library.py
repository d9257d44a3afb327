"""Part `library` of `page.py`: the library's first page with many pictures beside few, and scrolling through many.

Both homes are made by `shelf.py` and served at the same time, their rows and small copies made before. A first page is
opened as a new visitor does, until its designs and the pictures in sight are there.
"""

from __future__ import annotations

import io
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from home import environment
from page_served import Client, Served, browsing, ratio, visiting
from shelf import fill

BAR, STALL_MS = 1.5, 200
FEW = 100
DRAWINGS = 120
"""Different pictures; the others are these again."""

READY = """() => {
  const tiles = document.querySelectorAll("#library .tile");
  const faces = [...document.querySelectorAll("#library .tile .face img")];
  const seen = faces.filter((one) => one.getBoundingClientRect().top < innerHeight);
  return tiles.length > 0 && seen.length > 0 && seen.every((one) => one.complete && one.naturalWidth > 0);
}"""
HERE = """() => {
  const faces = [...document.querySelectorAll("#library .face img")];
  return faces.filter((one) => one.complete && one.naturalWidth > 0).length;
}"""
WATCH = """() => {
  window.stalls = []; window.gaps = [];
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.stalls.push(one.duration); })
    .observe({ entryTypes: ["longtask"] });
  let last = performance.now();
  const beat = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(beat); };
  requestAnimationFrame(beat);
}"""
TAKE = "() => { const told = [window.stalls, window.gaps]; window.stalls = []; window.gaps = []; return told; }"


@cache
def _drawing(number: int) -> bytes:
    """A small picture of lines and patches, in colours of its own."""
    from PIL import Image, ImageDraw

    draw = random.Random(number)
    picture = Image.new("RGB", (256, 256), tuple(draw.randrange(256) for _ in range(3)))
    brush = ImageDraw.Draw(picture)
    for _ in range(120):
        left, top = draw.randrange(256), draw.randrange(256)
        colour = tuple(draw.randrange(256) for _ in range(3))
        brush.ellipse((left, top, left + draw.randrange(4, 50), top + draw.randrange(4, 50)), fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def drawn(number: int, place: int) -> bytes:
    """The picture of a run at a place."""
    return _drawing((4 * number + place) % DRAWINGS)


def entered(home: Path) -> float:
    """Have the rows of a home made, as the first visits do; the seconds it took."""
    import studio
    from workspace.settings import load_settings

    settings, began = load_settings(overrides={"home": str(home)}), time.perf_counter()
    while studio.find_runs(settings=settings, count=1).pending:
        pass
    return round(time.perf_counter() - began, 2)


def copies(home: Path, most: int) -> None:
    """Have the small copies of the newest pictures made."""
    import studio
    from workspace.settings import load_settings

    settings, after = load_settings(overrides={"home": str(home)}), ""
    while most > 0:
        page = studio.find_pictures(settings=settings, after=after, count=200)
        for one in page.pictures:
            studio.thumbnail(one.run_id, picture=one.name, settings=settings)
        most, after = most - len(page.pictures), page.next
        if not after:
            return


def opened(browser: Any, server: Served) -> float:
    """Seconds from a new visitor's asking for the library until it is to be seen."""
    with visiting(browser) as page:
        began = time.perf_counter()
        page.goto(f"{server.address}library", wait_until="commit")
        page.wait_for_function(READY)
        return time.perf_counter() - began


def piece(server: Served, **query: str) -> float:
    """Seconds that the first page's HTML takes."""
    client = Client(server.port)
    began = time.perf_counter()
    status, _ = client.read("library", **query)
    took = time.perf_counter() - began
    client.close()
    if status != 200:
        raise SystemExit(f"the library answers {status}")
    return took


def compared(browser: Any, many: Served, few: Served, rounds: int) -> dict[str, Any]:
    """The first page of both, in turns, after a round that is not counted."""
    ways: dict[str, Callable[[Served], float]] = {
        "page_s": lambda server: opened(browser, server),
        "designs_html_s": lambda server: piece(server),
        "pictures_html_s": lambda server: piece(server, view="pictures"),
    }
    told: dict[str, Any] = {}
    for name, way in ways.items():
        took: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds + 1):
            for which in (True, False) if number % 2 else (False, True):
                seconds = way(many if which else few)
                if number:
                    took[which].append(seconds)
        middle = {which: round(statistics.median(own), 4) for which, own in took.items()}
        told[name] = {"many": middle[True], "few": middle[False], "ratio": ratio(took[True], took[False])}
    return told


def scrolled(browser: Any, server: Served, wanted: int) -> dict[str, Any]:
    """Bring pictures page by page, then scroll through them all; the longest stalls of the page's one thread."""
    with visiting(browser) as page:
        page.goto(f"{server.address}library?view=pictures")
        page.wait_for_function(READY)
        page.evaluate(WATCH)
        page.evaluate(
            "() => setTimeout(() => { for (const end = performance.now() + 300; performance.now() < end; ) {} })"
        )
        page.wait_for_timeout(1000)
        if max(page.evaluate(TAKE)[0], default=0) < 250:
            raise SystemExit("the browser does not tell of a stall that was made: its longtask observer is of no use")
        there = 0
        while there < wanted and page.locator("a[data-more]").count():
            page.locator("a[data-more]").click()
            page.wait_for_function("(before) => document.querySelectorAll('#library .tile').length > before", arg=there)
            page.wait_for_function("() => !document.querySelector('a[data-more][aria-busy]')")
            there = page.locator("#library .tile").count()
        coming, _ = page.evaluate(TAKE)
        page.evaluate("() => scrollTo(0, 0)")
        page.wait_for_timeout(500)
        page.evaluate(TAKE)
        began = time.perf_counter()
        page.mouse.move(640, 500)
        while page.evaluate("() => innerHeight + scrollY < document.documentElement.scrollHeight - 2"):
            page.mouse.wheel(0, 600)
            page.wait_for_timeout(60)
        page.wait_for_timeout(500)
        seconds = time.perf_counter() - began
        stalls, gaps = page.evaluate(TAKE)
        shown = page.evaluate(HERE)
    return {
        "thumbnails": there,
        "shown": shown,
        "seconds": round(seconds, 1),
        "long_tasks": len(stalls),
        "longest_task_ms": round(max(stalls, default=0)),
        "longest_frame_ms": round(max(gaps, default=0)),
        "longest_task_while_more_came_ms": round(max(coming, default=0)),
    }


def figures(pictures: int = 10_000, rounds: int = 15, scroll: int = 1000) -> dict[str, Any]:
    """Measure homes of many and of few pictures.

    Args:
        pictures: Of the one; the other has a hundred.
        rounds: How often each first page is opened.
        scroll: Thumbnails that are scrolled through.
    """
    with ExitStack() as stack:
        homes = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="studio-page-"))) for _ in range(2)]
        for home, count in zip(homes, (pictures, FEW), strict=True):
            fill(home, count, drawn)
        made = [entered(home) for home in homes]
        for home in homes:
            copies(home, scroll + 100)
        many, few = [stack.enter_context(Served(environment(home))) for home in homes]
        many.answered(), few.answered()
        browser = stack.enter_context(browsing())
        told = compared(browser, many, few, rounds)
        scrolling = scrolled(browser, many, scroll)
    return {
        "pictures": {"many": pictures, "few": FEW},
        "rounds": rounds,
        "rows_made_s": made,
        **told,
        "bar": BAR,
        "scroll": scrolling,
        "stall_bar_ms": STALL_MS,
        "passed": told["page_s"]["ratio"] <= BAR and scrolling["longest_task_ms"] <= STALL_MS,
    }
