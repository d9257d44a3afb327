"""Kill -9 workers and submitters at random moments over many small jobs: is any job lost, or anything done twice? JSON.

Three kinds of job (designs on a scripted local server with the embedded painter, corpora, downloads of what ships) are
submitted by processes of their own, some of which are killed at a random moment. Meanwhile workers are killed at random
moments of their jobs. What is interrupted is taken up again, as a person would. In the end every job that stands in the
ledger has to be finished, each once, and every design's effects are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from home import environment, fresh_home
from scripted_server import serving

PAPER = (
    "Nacre is made of flat tablets of aragonite that lie in thin layers of protein, as bricks do. A crack that enters "
    "it has to wind its way around one tablet after another, which costs most of its energy. Case {number} is one more."
)


def command(number: int, folder: Path) -> list[str]:
    """The command that submits a job, by its number."""
    start = [sys.executable, "-m", "ui.cli"]
    if number % 3 == 0:
        return [*start, "design", f"A tough panel, number {number}", "--inspiration", "leaf", "--seed", str(number)]
    if number % 3 == 1:
        paper = folder / f"paper-{number}.md"
        paper.write_text(f"# On nacre\n\n{PAPER.format(number=number)}\n")
        return [*start, "train", "corpus", str(paper), "--out", str(folder / f"corpus-{number}")]
    return [*start, "models", "fetch", "studio-micro-flux"]


class Queue:
    """The home's queue as an onlooker sees and mends it."""

    def __init__(self, home: Path) -> None:
        from workspace.settings import load_settings

        self.home, self.settings = home, load_settings(overrides={"home": str(home)})
        self.retried = 0

    def jobs(self) -> list[Any]:
        """How all jobs stand."""
        import studio

        return studio.list_jobs(limit=1000, settings=self.settings)

    def kill_a_worker(self, draw: random.Random) -> bool:
        """Kill a process that carries out some job just now; say whether there was one."""
        from studio.queue.claims import holder, lock_of

        running = [job for job in self.jobs() if job.state == "running"]
        if not running:
            return False
        pid = holder(lock_of(self.home, draw.choice(running).job_id))
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def retry(self) -> None:
        """Take up again what was interrupted."""
        import studio

        for job in self.jobs():
            if job.state == "interrupted":
                studio.retry_job(job.job_id, settings=self.settings)
                self.retried += 1


def doubles(home: Path, jobs: list[Any]) -> list[str]:
    """What was done twice: a job that ended twice, a design whose effects are not those of any other."""
    from studio.queue.claims import ledger_of
    from studio.queue.post import folder_of
    from workspace.event_log import read

    found = []
    effects: Counter[tuple[str, ...]] = Counter()
    with ledger_of(home) as ledger:
        for job in jobs:
            events = read(folder_of(home, job.kind, job.job_id) / "events.jsonl")
            ends = sum(event.type in ("run_finished", "job_finished") for event in events)
            found += [f"{job.job_id} ended {ends} times"] if ends != 1 else []
            if job.kind == "design":
                keys = [row.key for row in ledger.keys(job.job_id)]
                found += [f"{job.job_id} repeats an effect"] if len(set(keys)) != len(keys) else []
                effects[tuple(sorted(keys))] += 1
    return found + ([f"designs differ in their effects: {len(effects)} ways"] if len(effects) > 1 else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=20, help="deaths of workers")
    parser.add_argument("--submitters", type=int, default=20, help="deaths of submitters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--painter", default="studio-micro-flux")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    began = time.monotonic()
    with fresh_home() as home, serving(0.005) as url:
        env = environment(
            home,
            STUDIO_PROFILE="remote",
            STUDIO_CHAT__SERVER=url,
            STUDIO_CHAT__MODEL="scripted",
            STUDIO_CHAT__API_KEY_ENV="SCRIPTED_KEY",
            STUDIO_VISION__MODEL="none",
            STUDIO_PAINTER__MODEL=options.painter,
            STUDIO_FLOW__IMAGES="1",
            SCRIPTED_KEY="none",
        )
        os.environ.update({name: env[name] for name in env if name.startswith(("STUDIO_", "SCRIPTED_"))})
        queue = Queue(home)
        folder = home / "inputs"
        folder.mkdir()
        doomed = set(draw.sample(range(options.jobs), options.submitters))
        waiting = list(range(options.jobs))
        alive: dict[subprocess.Popen[bytes], tuple[int, float]] = {}
        deaths = Counter[str]()
        next_death = time.monotonic() + draw.uniform(1, 6)
        while True:
            while waiting and len(alive) < 4:
                number = waiting.pop(0)
                process = subprocess.Popen(
                    command(number, folder), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                moment = time.monotonic() + draw.uniform(0, 4) if number in doomed else float("inf")
                alive[process] = (number, moment)
            for process, (number, moment) in list(alive.items()):
                if process.poll() is not None:
                    del alive[process]
                elif time.monotonic() >= moment:
                    process.kill()
                    process.wait()
                    deaths["submitters"] += 1
                    doomed.discard(number)
                    del alive[process]
            if deaths["workers"] < options.workers and time.monotonic() >= next_death:
                if queue.kill_a_worker(draw):
                    deaths["workers"] += 1
                next_death = time.monotonic() + draw.uniform(1, 6)
            queue.retry()
            jobs = queue.jobs()
            done = [job for job in jobs if job.state in ("finished", "failed")]
            if len(jobs) < options.jobs and not waiting and not alive:
                waiting = [
                    options.jobs + len(jobs)
                ]  # a submitter that died before it had submitted: another in its place
            if len(done) >= options.jobs and len(done) == len(jobs) and not waiting and not alive:
                break
            if time.monotonic() - began > 3000:
                break
            time.sleep(0.2)
        jobs = queue.jobs()
        states = Counter(job.state for job in jobs)
        twice = doubles(home, [job for job in jobs if job.state == "finished"])
        lost = [job.job_id for job in jobs if job.state != "finished"]
        print(
            json.dumps(
                {
                    "benchmark": "kill_queue",
                    "jobs": len(jobs),
                    "kinds": Counter(job.kind for job in jobs),
                    "states": states,
                    "deaths": deaths,
                    "taken_up_again": queue.retried,
                    "lost": lost,
                    "done_twice": twice,
                    "attempts": Counter(str(job.attempts) for job in jobs),
                    "seconds": round(time.monotonic() - began, 1),
                    "passed": not lost and not twice and len(jobs) >= options.jobs,
                }
            )
        )


if __name__ == "__main__":
    main()
