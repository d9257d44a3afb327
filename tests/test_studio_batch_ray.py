"""A batch on Ray: the same designs as without it, whatever is killed, each effect once, and faults in one line.

One Ray for all. In its processes stand-ins hold, put there by `stand_in`; tests tell them by files what is to die.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from benchmarks import ray_stand_ins
from benchmarks.scripted_server import serving
from studio.batches import batch
from studio.batching import drive
from studio.batching.cluster import connection, pool
from studio.batching.cluster.messages import Failed
from studio.batching.cluster.pool import Pool
from studio.batching.cluster.processes import DesignWorker, Painting
from studio.batching.shapes import LEDGER
from studio.batching.store import read_store
from studio.runs.folder import versions
from tests.fixtures_run import InstantPainter
from ui import cli
from workspace.errors import Interrupted, Unfinished, UsageError
from workspace.files import verify
from workspace.ledger import Ledger
from workspace.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
VARYING = ("events.jsonl", "manifest.json")


def stand_in() -> None:
    """In a process of Ray's: the benchmark's stand-ins, and death where a test has put a file that says so."""
    ray_stand_ins.stand_in()
    from agents.kit import Kit
    from pipelines.pictures.painter import Painter

    document, load = Kit.document, Painter.load

    def written(kit: Kit, role: str, key: str, schema: Any, messages: Any, *more: Any, **named: Any) -> Any:
        text = str(messages[-1].content)
        if "which nobody foresaw" in text:
            raise ZeroDivisionError("by zero")
        if schema.__name__ == "MaterialDesign" and "kills" in text:
            die("every")
        if role == "critic":
            die("worker")
        return document(kit, role, key, schema, messages, *more, **named)

    def loaded(settings: Any, home: Path) -> Any:
        painter = load(settings, home)
        paint = painter.paint

        def painted(*given: Any) -> Any:
            die("painter")
            return paint(*given)

        patch.object(painter, "paint", painted).start()
        return painter

    patch.object(Kit, "document", written).start()
    patch.object(Painter, "load", loaded).start()


def die(what: str) -> None:
    """End this process as kill -9 does, if there is a file that wants it; that is spent, unless it says every time."""
    seen = Path(os.environ[ray_stand_ins.SEEN])
    for file in sorted(seen.glob(f"kill-{what}-*")):
        if what != "every":
            file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="module")
def address(seen: Path) -> Iterator[str]:
    """Where the Ray of these tests is."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install -c constraints.txt '.[cluster]'")
    import ray

    with ray_stand_ins.cluster(ROOT, seen, 0.0, 3, f"{__name__}.stand_in"):
        yield ray.get_runtime_context().gcs_address


@dataclass
class Run:
    """Makes a batch with models on a scripted server; this process has the same painter as those of Ray."""

    url: str
    asked: list[dict[str, Any]]

    def __call__(self, file: Path, out: Path, **options: Any) -> Any:
        more = {"workers": 1, "painters": 1} if options.get("engine") == "ray" else {}
        return batch([file], out=out, **({"images": 1, "in_flight": 3} | more | options))


@pytest.fixture
def run(home: Path, seen: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", lambda settings, home: InstantPainter())
    monkeypatch.setattr(drive, "_PAUSE", 0.01)
    monkeypatch.setattr(pool, "_PAUSE", 0.01)

    with serving(heard=asked.append) as url:
        told = {"CHAT__SERVER": url, "CHAT__MODEL": "scripted", "VISION__MODEL": "none", "FLOW__ROUNDS": "1"}
        for name, value in (told | {"VISION__SERVER": url}).items():
            monkeypatch.setenv(f"STUDIO_{name}", value)

        yield Run(url, asked)


def briefs(path: Path, count: int, *wishes: str) -> Path:
    rows = [
        {
            "id": f"b{number}",
            "brief": f"A tough panel, number {number}",
            "inspirations": ["leaf", "web"],
            "seed": number,
        }
        for number in range(1, count + 1)
    ]
    rows += [{"id": f"w{number}", "brief": wish, "seed": 7} for number, wish in enumerate(wishes, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def files(out: Path) -> dict[str, bytes]:
    """What designs are, without when and where they were made."""
    found = [path for path in sorted((out / "designs").rglob("*")) if path.is_file() and path.name not in VARYING]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def manifest(out: Path, name: str) -> dict[str, Any]:
    """A design's manifest without seconds."""
    data: dict[str, Any] = json.loads((out / "designs" / name / "manifest.json").read_text())
    data["files"] = sorted(data["files"])
    data["steps"] = [{**step, "seconds": 0} for step in data["steps"]]
    return data | {"seconds": 0}


def kinds(out: Path, name: str) -> list[str]:
    lines = (out / "designs" / name / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["type"] for line in lines]


def rows(out: Path) -> list[Any]:
    with read_store(out) as store:
        return list(store.rows())


def effects(out: Path) -> dict[str, list[tuple[str, str]]]:
    """What each design did, in order, and that each of its pictures is entered."""
    found = {row.item.id: row.item.folder for row in rows(out) if row.state == "done"}
    with Ledger(out / LEDGER, reading=True) as ledger:
        for folder in found.values():
            keys = [one for one in ledger.keys(folder) if one.kind == "picture"]
            assert len(ledger.artifacts(folder)) == len(keys)
        return {name: [(one.key, one.kind) for one in ledger.keys(folder)] for name, folder in found.items()}


def whole(out: Path) -> None:
    assert [problem for folder in (out / "designs").iterdir() for problem in verify(folder)] == []
    assert not list(out.rglob(".staging-*"))


def test_the_designs_are_those_of_this_process(run: Run, address: str, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 4)
    here = run(file, tmp_path / "here", images=2)
    calls = len(run.asked)
    there = run(file, tmp_path / "there", images=2, engine="ray", workers=2)
    assert there.whole and there.engine == f"{run.url}, made on Ray here"
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert effects(tmp_path / "here") == effects(tmp_path / "there")
    whole(tmp_path / "there")
    for name in ("b1", "b4"):
        assert manifest(tmp_path / "here", name) == manifest(tmp_path / "there", name)
        said = [kind for kind in kinds(tmp_path / "here", name) if kind != "picture_progress"]
        assert kinds(tmp_path / "there", name) == said
    assert (there.tokens_in, there.tokens_out, there.pictures) == (here.tokens_in, here.tokens_out, here.pictures)
    assert there.tokens_out > 0 and len(run.asked) == 2 * calls
    record = json.loads((tmp_path / "there" / "batch.json").read_text())
    assert record["engine"] == there.engine and record["in_flight"] == 3


def test_killed_processes_cost_nothing(
    run: Run,
    address: str,
    seen: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STUDIO_VISION__MODEL", "scripted")  # a critic, which looks at pictures that another had painted
    file = briefs(tmp_path / "b.jsonl", 5)
    run(file, tmp_path / "here", images=2)
    calls = len(run.asked)
    for name in ("worker-1", "painter-1"):
        (seen / f"kill-{name}").touch()
    before = painted(seen)
    there = run(file, tmp_path / "there", images=2, engine="ray")
    assert not list(seen.glob("kill-*"))
    assert there.whole and files(tmp_path / "here") == files(tmp_path / "there")
    assert effects(tmp_path / "here") == effects(tmp_path / "there")
    whole(tmp_path / "there")
    again = [
        name for name in ("b1", "b2", "b3", "b4", "b5") if kinds(tmp_path / "there", name).count("run_started") > 1
    ]
    assert 1 <= len(again) <= 5
    assert len(run.asked) - calls <= calls + 3  # what was being asked at the kill
    assert painted(seen) - before == 10  # the painter that was killed had not begun
    assert "raylet" not in capfd.readouterr().out  # Ray's words on what was killed; output is the command's


def painted(seen: Path) -> int:
    file = seen / "painted"
    return len(file.read_text().split()) if file.exists() else 0


def test_what_fails_is_named_and_costs_itself_alone(
    run: Run,
    address: str,
    seen: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(drive, "TRIES", 2)
    wishes = (f"A panel {ray_stand_ins.POISON}", "A panel which nobody foresaw", "A panel that kills")
    file = briefs(tmp_path / "b.jsonl", 3, *wishes)
    (seen / "kill-every-time").touch()
    try:
        there = run(file, tmp_path / "out", engine="ray", in_flight=1)
    finally:
        (seen / "kill-every-time").unlink()
    assert (there.done, there.failed, there.waiting) == (3, 3, 0)
    found = {row.item.id: row.outcome for row in rows(tmp_path / "out") if row.state == "failed"}
    assert (found["w1"].reason, found["w1"].retryable) == ("this brief is refused", False)
    assert found["w2"].reason.endswith("whose traceback the job's log has: ZeroDivisionError: by zero")
    assert re.match(r"its worker on node \S+ was lost: .*worker process has died", found["w3"].reason)
    assert found["w3"].retryable
    assert "ZeroDivisionError: by zero" in capfd.readouterr().err
    assert run(file, tmp_path / "out", retry_failed=True).failed == 0  # here nothing kills


def test_ctrl_c_leaves_the_rest_for_the_next_time(
    run: Run, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "_OFTEN", 0.0)
    file = briefs(tmp_path / "b.jsonl", 6)
    run(file, tmp_path / "here")

    def stop(event: Any) -> None:
        if event.type == "batch_progress" and event.done:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(file, tmp_path / "there", engine="ray", listener=stop)
    states = [row.state for row in rows(tmp_path / "there")]
    assert "running" not in states and "waiting" in states and "done" in states
    assert run(file, tmp_path / "there").whole  # goes on in this process
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert effects(tmp_path / "here") == effects(tmp_path / "there")


def child(file: str, out: str) -> None:
    """A driver of its own process, which somebody kills."""
    stand_in()
    import ray

    hook = {"worker_process_setup_hook": f"{__name__}.stand_in"}
    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="ERROR", runtime_env=hook)
    batch([file], out=Path(out), images=1, in_flight=3, engine="ray", workers=1, painters=1)


def test_a_killed_driver_leaves_what_its_ledger_has(
    run: Run, address: str, seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = briefs(tmp_path / "b.jsonl", 5), tmp_path / "there"
    run(file, tmp_path / "here")
    calls, told, gone = len(run.asked), threading.Event(), threading.Event()

    class Asked(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            if len(self) == 18:  # a fourth design is begun, so that one has a picture
                told.set()
                gone.wait(60)  # the answer that it waits for never comes

    words = f"from {__name__} import child; child({str(file)!r}, {str(out)!r})"
    asked = Asked()
    with serving(heard=asked.append) as url, ExitStack() as hold:
        join = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": ray_stand_ins.TOKEN}
        more = join | {ray_stand_ins.SEEN: str(seen), "STUDIO_CHAT__SERVER": url}
        process = hold.enter_context(subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, env=os.environ | more))
        hold.callback(gone.set)
        hold.callback(process.kill)
        assert told.wait(120)
        living = ray_stand_ins.processes(seen)
        assert len(living) == 2
    for _ in range(600):
        if not set(living) & set(ray_stand_ins.processes(seen)):
            break
        time.sleep(0.1)
    assert not set(living) & set(ray_stand_ins.processes(seen))  # they end by themselves
    kept = len(run.asked)
    monkeypatch.setenv("STUDIO_CHAT__SERVER", run.url)
    assert run(file, out).whole  # in this process
    assert files(tmp_path / "here") == files(out)
    assert effects(tmp_path / "here") == effects(out)
    whole(out)
    assert len(asked) + len(run.asked) - kept <= calls + 3


def test_the_command_needs_ray_and_a_cluster_that_answers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], closed_url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connection, "require", lambda *names, extra: None)
    briefs(tmp_path / "b.jsonl", 1)
    there = closed_url.removeprefix("http://").partition("/")[0]

    def told(code: int, *words: str) -> str:
        assert cli.main(["batch", "b.jsonl", "--out", "out", *words]) == code
        said = capsys.readouterr()
        (line,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
        return line

    assert f"no Ray cluster answers at {there}" in told(69, "--engine", "ray", "--address", there)
    monkeypatch.setenv("RAY_ADDRESS", there)
    assert f"no Ray cluster answers at {there}" in told(69, "--engine", "ray")
    monkeypatch.delenv("RAY_ADDRESS")
    assert "is no address of a Ray cluster (HOST:PORT" in told(2, "--engine", "ray", "--address", "ray://here:1")
    assert "address is for the engine ray" in told(2, "--address", there)
    assert "painters is for the engine ray" in told(2, "--painters", "2")
    monkeypatch.setattr(connection, "require", importlib.import_module("workspace.extras").require)
    honest = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else honest(name, *more))
    assert "ray is not installed (pip install -c constraints.txt '.[cluster]')" in told(69, "--engine", "ray")
    assert not (tmp_path / "out").exists()


def test_models_in_every_worker_are_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDIO_CHAT__SERVER")
    monkeypatch.delenv("STUDIO_CHAT__MODEL")
    with pytest.raises(UsageError, match="--engine ray, and the roles' model runs in this process: every worker would"):
        run(briefs(tmp_path / "b.jsonl", 1), tmp_path / "out", engine="ray")


def test_a_node_that_lacks_something_says_what(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node-7")
    settings = load_settings(overrides={"chat.server": "http://127.0.0.1:1/v1", "chat.model": "tiny"})
    plain, version = settings.model_dump(mode="json", exclude={"home", "queue", "serving"}), versions()["bio-studio"]
    worker = DesignWorker(str(home), 1)
    missing = worker.hello(plain, version)
    assert isinstance(missing, Failed) and missing.kind == "ServiceError"
    assert missing.words.startswith("node node-7: ") and "is not on this machine yet" in missing.words
    other = worker.hello(plain, "0.0.7")
    assert isinstance(other, Failed) and f"node node-7: Studio {version} is installed there, and 0.0.7" in other.words
    homeless = Painting(str(home / "none"), "1").hello(plain["painter"], version)
    assert isinstance(homeless, Failed) and homeless.words == f"node node-7: there is no {home / 'none'}"
    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    assert worker.hello(plain, version) == "node-7"


class Clock:
    """A clock that goes on whenever it is looked at."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_where_no_worker_comes_up_the_batch_ends_for_now(
    run: Run, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PATIENCE", 600.0)
    monkeypatch.setattr(pool, "clock", Clock(50.0))
    told: list[Any] = []
    with pytest.raises(Unfinished, match="no design worker could be had for 10 minutes: the cluster has no room"):
        run(briefs(tmp_path / "b.jsonl", 3), tmp_path / "out", engine="ray", listener=told.append)
    assert [row.state for row in rows(tmp_path / "out")] == ["waiting"] * 3
    said = [event.text for event in told if event.type == "remark"]
    assert any(text.startswith("no design worker is there yet: the cluster has no room") for text in said)


class NoRay(ModuleType):
    """A Ray whose actors die while they come up."""

    class RayError(Exception):
        """What Ray raises."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = self
        self.killed = 0

    def wait(self, calls: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return calls, []

    def get(self, call: Any) -> Any:
        raise self.RayError("The actor died unexpectedly.\n\tpid: 7\nThe actor is dead because it was killed")

    def kill(self, actor: Any) -> None:
        self.killed += 1


def test_what_dies_again_and_again_is_made_anew_after_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    ray, clock = NoRay(), Clock(0.25)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", ray)
    monkeypatch.setattr(pool, "clock", clock)
    monkeypatch.setattr(pool, "_POLL", 0.0)
    monkeypatch.setattr(pool, "PATIENCE", 480.0)
    begun: list[float] = []

    def start() -> tuple[Any, Any]:
        begun.append(clock.now)
        return "actor", "greeting"

    made = Pool("design worker", start, 1)
    told = "no design worker could be had for 8 minutes: the last one was lost: The actor is dead because it was killed"
    with pytest.raises(Unfinished, match=told), made.one(lambda: None):
        raise AssertionError("there is none")
    pauses = [late - soon for soon, late in pairwise(begun)]
    assert pauses[0] < 1 and all(pause >= 2**power for power, pause in enumerate(pauses[1:7]))
    assert all(60 <= pause < 64 for pause in pauses[7:]) and len(pauses) > 9
    assert ray.killed == len(begun) == made.lost
