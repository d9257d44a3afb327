"""Kill -9 at random moments of a design, then ``studio resume``: is the result that of an uninterrupted run?

The chat model is a scripted local server (profile ``remote``), the painter the embedded one. Every run is a process of
its own, killed at a moment drawn over the whole length of the run. Prints JSON.
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
from pathlib import Path
from typing import Any

from home import environment, fresh_home
from scripted_server import serving

BRIEF = "A tough panel that joins leaf veins and collagen"
SEED = "7"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ui.cli", *words]


def start(env: dict[str, str]) -> subprocess.Popen[str]:
    words = command("design", BRIEF, "--inspiration", "leaf", "--inspiration", "collagen", "--seed", SEED, "--json")
    return subprocess.Popen(
        [*words, "--profile", "remote"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill(home: Path, job_id: str) -> bool:
    """Kill the worker that carries a job out; say whether there was one."""
    from studio.queue.claims import holder, lock_of

    pid = holder(lock_of(home, job_id))
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def runs_of(home: Path) -> set[str]:
    folder = home / "runs"
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()


def started(process: subprocess.Popen[str], home: Path, before: set[str]) -> str:
    """Wait until the process has entered its run and say which it is."""
    while process.poll() is None:
        new = {name for name in runs_of(home) - before if (home / "runs" / name / "events.jsonl").is_file()}
        if new:
            return new.pop()
        time.sleep(0.02)
    raise SystemExit(f"the design ended before it began: {process.stderr.read() if process.stderr else ''}")


def result(home: Path, run_id: str) -> dict[str, Any]:
    """What a run left: design bytes, pixels, ledger."""
    from studio.queue.claims import ledger_of
    from workspace.files import verify

    folder = home / "runs" / run_id
    with ledger_of(home) as ledger:
        row, steps, artifacts = ledger.run(run_id), ledger.keys(run_id), ledger.artifacts(run_id)
    return {
        "status": row.status,
        "design": (folder / "design.json").read_text() if (folder / "design.json").is_file() else None,
        "prompts": (folder / "prompts.json").read_text() if (folder / "prompts.json").is_file() else None,
        "pixels": [(artifact.path, artifact.meta["pixels_sha256"]) for artifact in artifacts],
        "keys": sorted((step.key, step.kind) for step in steps),
        "problems": verify(folder),
    }


def leftovers(home: Path) -> list[str]:
    """Temporary files and locks that nobody holds any more."""
    found = [path for path in home.rglob("*") if "models" not in path.relative_to(home).parts[:1]]
    names = [path for path in found if path.name.startswith(".staging-") or path.suffix in (".tmp", ".lock", ".part")]
    return [str(path.relative_to(home)) for path in names]


def one_kill(
    home: Path, env: dict[str, str], length: float, draw: random.Random, want: dict[str, Any]
) -> dict[str, Any]:
    """Kill one run at a random moment, resume it, compare; a run that ended before its moment is tried again."""
    while True:
        before = runs_of(home)
        process = start(env)
        run_id = started(process, home, before)
        moment = draw.uniform(0, length)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            if kill(home, run_id):
                process.communicate()
                break
        process.communicate()
    kept = len(result(home, run_id)["keys"])
    again = subprocess.run(command("resume", run_id, "--json"), env=env, capture_output=True, text=True, check=False)
    got = result(home, run_id)
    return {
        "moment_seconds": round(moment, 2),
        "steps_kept": kept,
        "resume_exit": again.returncode,
        "same": got == want,
        "differs": [name for name in want if got[name] != want[name]],
        "doubles": len(got["keys"]) - len(want["keys"]),
        "leftovers": leftovers(home),
        "error": again.stderr.strip().splitlines()[-1:] if again.returncode else [],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--delay", type=float, default=0.01, help="seconds a word that the scripted server takes")
    parser.add_argument("--painter", default="studio-micro-flux", help="another painter, such as a tiny one's folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with fresh_home() as home, serving(options.delay) as url:
        env = environment(
            home,
            STUDIO_CHAT__SERVER=url,
            STUDIO_CHAT__MODEL="scripted",
            STUDIO_CHAT__API_KEY_ENV="SCRIPTED_KEY",
            STUDIO_VISION__MODEL="none",
            STUDIO_PAINTER__MODEL=options.painter,
            SCRIPTED_KEY="none",
        )
        process = start(env)
        run_id = started(process, home, set())
        begun = time.perf_counter()
        _, said = process.communicate()
        length = time.perf_counter() - begun
        if process.returncode:
            raise SystemExit(f"the uninterrupted run failed: {said}")
        want = result(home, run_id)
        kills = []
        for _ in range(options.kills):
            kills.append(one_kill(home, env, length, draw, want))
            print(json.dumps(kills[-1]), file=sys.stderr, flush=True)
    good = [kill for kill in kills if kill["same"] and not kill["leftovers"] and kill["resume_exit"] == 0]
    print(
        json.dumps(
            {
                "benchmark": "kill_resume",
                "kills": options.kills,
                "run_seconds": round(length, 2),
                "steps": len(want["keys"]),
                "finished_the_same": len(good),
                "doubles": sum(max(0, kill["doubles"]) for kill in kills),
                "leftovers": sum(len(kill["leftovers"]) for kill in kills),
                "steps_kept_at_kill": sorted(kill["steps_kept"] for kill in kills),
                "failures": [kill for kill in kills if kill not in good],
                "passed": len(good) == options.kills,
            }
        )
    )


if __name__ == "__main__":
    main()
