"""Part `survive` of `page.py`: what becomes of a job when the page is refreshed or closed, its server or worker killed.

Every job is the same small design (a scripted chat server, the embedded painter), submitted as the page's form does and
looked at in Chromium. A mishap falls on a random moment of it; in the end it has to be, byte for byte and pixel for
pixel, what it is undisturbed: nothing lost, nothing made twice, no job more than were asked for.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from home import environment, fresh_home
from kill_queue import doubles
from kill_resume import kill, leftovers, result
from page_served import PATIENCE, Client, Served, browsing, visiting
from scripted_server import serving

FORM = {
    "brief": "A tough panel that joins leaf veins and collagen",
    "inspirations": "leaf, collagen",
    "images": "1",
    "rounds": "1",
    "seed": "7",
    "keep_seed": "1",
}
SHOWN = "#run-status .status.is-finished"
LIVE = ("queued", "running")


class Bench:
    """A served page, a browser, and the jobs that were asked for.

    Args:
        home: STUDIO_HOME.
        env: The environment of the page's process.
        browser: Chromium.
        steps: Painting steps of a picture.
    """

    def __init__(self, home: Path, env: dict[str, str], browser: Any, steps: int) -> None:
        from workspace.settings import load_settings

        self.home, self.env, self.browser = home, env, browser
        self.settings = load_settings(overrides={"home": str(home)})
        self.form = FORM | {"steps": str(steps)}
        self.asked: list[str] = []
        self.server = Served(env)
        self.server.answered()

    def submit(self) -> str:
        """Ask for the design as the form does; return its run."""
        client = Client(self.server.port)
        status, told = client.act("run/design", **self.form)
        client.close()
        if status != 200 or not told["go"]:
            raise SystemExit(f"the form was refused: {told}")
        self.asked.append(told["go"].rpartition("=")[2])
        return self.asked[-1]

    def press(self, name: str, run_id: str) -> None:
        """Press a button of a run."""
        client = Client(self.server.port)
        client.act(name, run=run_id)
        client.close()

    def state(self, run_id: str) -> str:
        """How a run stands, by the queue."""
        import studio

        return studio.open_job(run_id, settings=self.settings).state

    def until(self, run_id: str, states: Sequence[str]) -> str:
        """Wait until a run stands so; return how it stands after `PATIENCE` at most."""
        began = time.monotonic()
        while (now := self.state(run_id)) not in states and time.monotonic() - began < PATIENCE:
            time.sleep(0.05)
        return now

    def left(self) -> list[str]:
        """What lies about when the last worker has gone."""
        began = time.monotonic()
        while (found := leftovers(self.home)) and time.monotonic() - began < 20:
            time.sleep(0.2)
        return found

    def restart(self) -> None:
        """Kill the page's process and start it anew at the same address."""
        self.server.kill()
        self.server = Served(self.env, port=self.server.port)
        self.server.answered()


def refresh(bench: Bench, page: Any, run_id: str) -> Any:
    """The page is read anew."""
    page.reload()
    return page


def close(bench: Bench, page: Any, run_id: str) -> Any:
    """The tab is closed; another opens when the job is over."""
    context = page.context
    page.close()
    bench.until(run_id, ("finished", "failed", "interrupted"))
    other = context.new_page()
    other.goto(f"{bench.server.address}?run={run_id}")
    return other


def restart(bench: Bench, page: Any, run_id: str) -> Any:
    """The page's process is killed and started anew; the open page has to find it again by itself."""
    bench.restart()
    return page


def kill_worker(bench: Bench, page: Any, run_id: str) -> Any:
    """The worker is killed; the open page's Resume is pressed."""
    kill(bench.home, run_id)
    if bench.until(run_id, ("interrupted", "finished")) == "interrupted":
        page.get_by_role("button", name="Resume", exact=True).click()
    return page


MISHAPS: dict[str, Callable[[Bench, Any, str], Any]] = {
    "refresh": refresh,
    "close": close,
    "restart": restart,
    "kill": kill_worker,
}


def one(bench: Bench, name: str, length: float, draw: random.Random, want: dict[str, Any]) -> dict[str, Any]:
    """One job with a mishap at a random moment; one that was over before it does not count and is done again."""
    from studio.queue.claims import holder, lock_of

    while True:
        with visiting(bench.browser) as page:
            run_id = bench.submit()
            page.goto(f"{bench.server.address}?run={run_id}")
            moment = draw.uniform(0, length)
            time.sleep(moment)
            if name == "kill":
                bench.until(run_id, ("running", "finished"))
            before = bench.state(run_id)
            hit = before in LIVE and (name != "kill" or holder(lock_of(bench.home, run_id)) is not None)
            page = MISHAPS[name](bench, page, run_id) if hit else page
            state = bench.until(run_id, ("finished", "failed"))
            shown = _shown(page)
        if hit:
            got = result(bench.home, run_id)
            return {
                "mishap": name,
                "moment_seconds": round(moment, 2),
                "state_then": before,
                "state": state,
                "page_shows_it": shown,
                "same": got == want,
                "differs": [key for key in want if got[key] != want[key]],
            }


def _shown(page: Any) -> bool:
    """Whether the page comes to show the run as finished, of itself."""
    from playwright.sync_api import TimeoutError as TooLate

    try:
        page.locator(SHOWN).wait_for(timeout=30_000)
    except TooLate:
        return False
    return True


def figures(each: int = 20, only: Sequence[str] | None = None, seed: int = 1, steps: int = 2) -> dict[str, Any]:
    """Let every mishap happen.

    Args:
        each: How often each.
        only: Those of `MISHAPS` that happen; all by default.
        seed: Of the moments.
        steps: Painting steps of a picture.
    """
    import studio

    names, draw, rows = list(only or MISHAPS), random.Random(seed), []
    with fresh_home() as home, serving(0.005) as url, browsing() as browser:
        env = environment(
            home,
            STUDIO_PROFILE="remote",
            STUDIO_CHAT__SERVER=url,
            STUDIO_CHAT__MODEL="scripted",
            STUDIO_CHAT__API_KEY_ENV="SCRIPTED_KEY",
            STUDIO_VISION__MODEL="none",
            STUDIO_PAINTER__MODEL="studio-micro-flux",
            STUDIO_EVIDENCE__ENABLED="false",
            SCRIPTED_KEY="none",
        )
        os.environ.update({name: env[name] for name in env if name.startswith(("STUDIO_", "SCRIPTED_"))})
        bench = Bench(home, env, browser, steps)
        try:
            for _ in range(2):  # the first makes what a home makes once
                began, run_id = time.perf_counter(), bench.submit()
                if bench.until(run_id, ("finished", "failed")) != "finished":
                    raise SystemExit(f"the undisturbed design did not end well: {studio.open_job(run_id).message}")
            length, want = time.perf_counter() - began, result(home, run_id)
            for number in range(each * len(names)):
                rows.append(one(bench, names[number % len(names)], length, draw, want))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            jobs = studio.list_jobs(limit=10_000, settings=bench.settings)
            twice = doubles(home, jobs)
            unasked = sorted({job.job_id for job in jobs} ^ set(bench.asked))
            left = bench.left()
        finally:
            bench.server.kill()
    good = [row for row in rows if row["state"] == "finished" and row["same"] and row["page_shows_it"]]
    return {
        "each": each,
        "job_seconds": round(length, 1),
        "survived": {name: sum(row["mishap"] == name for row in good) for name in names},
        "jobs": len(jobs),
        "lost": [row for row in rows if row not in good],
        "done_twice": twice,
        "unasked": unasked,
        "leftovers": left,
        "passed": len(good) == len(rows) and not twice and not unasked and not left,
    }
