"""Batches through the front door: files in, designs out, exit codes, a second time, kills, servers that go wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import studio
from benchmarks.scripted_server import Faults, serving
from models.serving.records import put
from studio.batches import batch
from studio.batching import drive, plan, reports
from studio.batching.results import Failure, Result, results
from studio.batching.shapes import LEDGER
from studio.batching.store import open_store, read_store
from tests.fixtures_run import InstantPainter, scripted_structured
from tests.test_models_serving import record
from ui import cli
from workspace.errors import DataError, Interrupted, ServiceError, StorageError, Unfinished, UsageError
from workspace.files import verify
from workspace.ledger import Ledger

ROOT = Path(__file__).resolve().parent.parent
OUTPUTS = {"batch.json", "results.jsonl", "failures.jsonl", "index.html"}


@pytest.fixture(autouse=True)
def front_door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(studio, "batch", batch)
    monkeypatch.setattr(drive, "_POLL", 0.01)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def here(scripted_studio: InstantPainter, home: Path, monkeypatch: pytest.MonkeyPatch) -> InstantPainter:
    """Scripted models in this process, without a critic."""
    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    monkeypatch.setenv("STUDIO_VISION__MODEL", "none")
    return scripted_studio


@pytest.fixture
def there(here: InstantPainter, monkeypatch: pytest.MonkeyPatch) -> InstantPainter:
    """Scripted models, as if they were a server's."""
    from models.chat.servers import Look

    monkeypatch.setenv("STUDIO_CHAT__SERVER", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("STUDIO_CHAT__MODEL", "tiny")
    monkeypatch.setattr("models.chat.servers.look", lambda chat: Look("http://127.0.0.1:1/v1", ("tiny", "other")))
    return here


def briefs(path: Path, count: int, **more: Any) -> Path:
    rows = [
        {"id": f"b{number}", "brief": f"A tough panel, number {number}", "inspirations": ["leaf", "web"]} | more
        for number in range(1, count + 1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in sorted((out / "designs").rglob("*")) if path.is_file()
    }


def states(out: Path) -> dict[str, str]:
    with read_store(out) as store:
        return {row.item.id: row.state for row in store.rows()}


def made(*sources: Any, **options: Any) -> Any:
    return batch(list(sources), out=Path("out"), images=1, **options)


def test_a_file_of_briefs_becomes_designs(there: InstantPainter, tmp_path: Path) -> None:
    events: list[Any] = []
    summary = made(briefs(tmp_path / "b.jsonl", 6), listener=events.append)
    assert (summary.done, summary.failed, summary.waiting, summary.faults, summary.pictures) == (6, 0, 0, 0, 6)
    assert summary.whole and summary.again == "" and summary.in_flight == 16
    assert summary.engine == "http://127.0.0.1:1/v1"
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} >= OUTPUTS
    lines = list(results(out))
    assert [line.id for line in lines] == [f"b{number}" for number in range(1, 7)]
    assert all(line.design and len(line.pictures) == 1 for line in lines)
    assert len({line.seed for line in lines}) == 6
    assert all(verify(out / line.folder) == [] for line in lines)
    record = json.loads((out / "batch.json").read_text())
    assert record["counts"]["done"] == 6 and record["whole"] and record["in_flight"] == 16
    assert record["defaults"] == {"images": 1} and record["settings"]["flow"]["images"] == 1
    kinds = [event.type for event in events]
    assert kinds[0] == "job_started" and kinds[-1] == "job_finished" and "batch_progress" in kinds
    assert events[-1].result["done"] == 6


def test_designs_say_how_their_server_runs(
    there: InstantPainter, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"model", "server"}
    monkeypatch.setattr("models.chat.choose.describe", lambda call, home: call.chat.model_dump(include=asked))
    put(home, record(home, "tiny", weights="q8_0"))  # at http://127.0.0.1:1/v1
    made(briefs(tmp_path / "b.jsonl", 1))
    manifest = json.loads((tmp_path / "out" / "designs" / "b1" / "manifest.json").read_text())
    assert manifest["servers"]["http://127.0.0.1:1/v1"]["weights"] == "q8_0"


def test_a_second_time_touches_only_what_is_not_done(there: InstantPainter, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 5)
    first = made(file, stop_after=2)
    assert (first.done, first.waiting) == (2, 3)
    assert first.again == ("3 items wait (2 items were begun, as many as may (--stop-after)): the same command goes on")
    before = files(tmp_path / "out")
    second = made(file)
    assert second.whole and second.done == 5
    after = files(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    painted = len(there.painted)
    third = made(file)
    assert third.whole and len(there.painted) == painted == 5 and files(tmp_path / "out") == after


def test_the_same_seed_gives_the_same_designs(there: InstantPainter, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 3)
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        batch([file], out=tmp_path / name, images=1, seed=seed)
    one, two, three = (
        [(line.seed, line.design, [picture.sha256 for picture in line.pictures]) for line in results(tmp_path / name)]
        for name in ("one", "two", "three")
    )
    assert one == two != three


def test_what_fails_is_told_and_tried_again_when_asked_for(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True

    def structured(model: Any, schema: Any, messages: Any, **more: Any) -> Any:
        if broken and schema.__name__ == "MaterialDesign" and "number 2" in str(messages[-1].content):
            raise UsageError("this brief is refused")
        return scripted_structured(model, schema, messages, **more)

    monkeypatch.setattr("models.chat.structured.structured", structured)
    file = briefs(tmp_path / "b.jsonl", 4)
    first = made(file)
    assert (first.done, first.failed) == (3, 1) and not first.whole
    assert first.again == "1 failed: --retry-failed tries again what failed"
    assert [(kind.reason, kind.count, kind.retryable) for kind in first.reasons] == [
        ("this brief is refused", 1, False)
    ]
    failed = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in failed] == ["b2"]
    assert made(file).failed == 1
    broken = False
    again = made(file, retry_failed=True)
    assert again.whole and again.done == 4
    assert (tmp_path / "out" / "failures.jsonl").read_text() == ""


def test_a_broken_line_costs_itself_alone(there: InstantPainter, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 2)
    file.write_text(file.read_text() + '{"brief": \n{"brief": "A bridge deck", "images": 0}\n')
    told: list[Any] = []
    summary = made(file, listener=told.append)
    assert (summary.done, summary.faults) == (2, 2) and not summary.whole
    assert summary.again == "2 lines gave no item: mend the lines that failures.jsonl tells"
    said = " ".join(event.text for event in told if event.type == "remark")
    assert f"{file}, line 3: " in said and f"{file}, line 4: " in said and "images" in said


def test_an_item_whose_model_is_not_there_is_a_fault_of_its_line(there: InstantPainter, tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    rows = [{"brief": "A tough panel", "model": model} for model in ("tiny", "another", "other", "another")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told: list[Any] = []
    summary = made(file, listener=told.append)
    assert summary.done == 2 and summary.faults == 2
    said = [event.text for event in told if event.type == "remark"]
    assert any("line 2: " in text and "has no model 'another'; it has: tiny, other" in text for text in said)
    assert {line.models["scientist"]["model"] for line in results(tmp_path / "out")}


def test_nothing_to_do_is_told(there: InstantPainter, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"brief": ""}\n')
    with pytest.raises(DataError, match=r"no line of .*b\.jsonl is a brief"):
        made("b.jsonl")
    with pytest.raises(DataError, match="is not there"):
        made("c.jsonl")


def test_a_batch_goes_on_with_its_own_settings_but_those_of_servers(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = briefs(tmp_path / "b.jsonl", 2)
    made(file, stop_after=1)
    monkeypatch.setenv("STUDIO_SAMPLING__TEMPERATURE", "0.9")
    with pytest.raises(UsageError, match=r"begun with sampling.temperature = 0.3, and now it is 0.9"):
        made(file)
    monkeypatch.delenv("STUDIO_SAMPLING__TEMPERATURE")
    monkeypatch.setenv("STUDIO_CHAT__SERVER", "http://127.0.0.1:2/v1")
    monkeypatch.setenv("STUDIO_CHAT__TIMEOUT", "5")
    assert made(file).whole


def test_two_batches_do_not_share_a_folder(there: InstantPainter, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 1)
    with open_store(tmp_path / "out"), pytest.raises(Unfinished, match="another batch works here"):
        made(file)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.jsonl").write_text("mine")
    with pytest.raises(DataError, match=r"holds results\.jsonl and no batch"):
        batch([file], out=tmp_path / "mine")
    assert (tmp_path / "mine" / "results.jsonl").read_text() == "mine"


def test_models_here_write_for_a_few_designs_at_a_time(here: InstantPainter, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 6)
    summary = made(file, seed=5)
    assert summary.whole and (summary.in_flight, summary.engine) == (4, "in this process")
    alone: Any = batch([file], out=tmp_path / "alone", images=1, seed=5, in_flight=1)
    assert alone.whole and alone.in_flight == 1
    both = [(tmp_path / name / "results.jsonl").read_text().splitlines() for name in ("out", "alone")]
    kept = [[{key: json.loads(line)[key] for key in ("id", "design", "prompts")} for line in lines] for lines in both]
    assert kept[0] == kept[1]


def test_a_critic_here_does_not_keep_a_served_batch_from_many(
    there: InstantPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workspace.settings import load_settings

    settings = load_settings(overrides={"vision.model": "studio-critic"})
    assert plan.in_flight(settings, None) == plan.IN_FLIGHT and plan.in_flight(settings, 3) == 3


def test_a_server_that_is_not_there_or_lacks_the_model_is_told_at_once(
    here: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_url: str
) -> None:
    file = briefs(tmp_path / "b.jsonl", 1)
    monkeypatch.setenv("STUDIO_CHAT__SERVER", closed_url)
    monkeypatch.setenv("STUDIO_CHAT__MODEL", "tiny")
    with pytest.raises(ServiceError, match="cannot be reached"):
        made(file)
    with serving() as url:
        monkeypatch.setenv("STUDIO_CHAT__SERVER", url)
        with pytest.raises(ServiceError, match="has no model 'tiny'; it has: scripted"):
            made(file)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_and_leaves_everything_as_it_is(there: InstantPainter, tmp_path: Path) -> None:
    file = briefs(tmp_path / "b.jsonl", 6)
    file.write_text(file.read_text() + "no brief\n" + file.read_text().splitlines()[0] + "\n")
    found = made(file, dry_run=True)
    assert (found.counts.waiting, found.counts.faults, found.counts.repeats) == (6, 1, 1)
    assert (found.tokens_in, found.pictures, found.seconds) == (None, None, None)
    assert not (tmp_path / "out").exists()
    made(file, stop_after=2)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    found = made(file, dry_run=True)
    assert (found.counts.waiting, found.counts.done) == (4, 2)
    assert found.pictures == 4 and found.seconds > 0
    assert found.tokens_in is None  # scripted models do not say
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {path.name for path in after} - {"batch.db-shm", "batch.db-wal"} == {path.name for path in before} - {
        "batch.db-shm",
        "batch.db-wal",
    }


def test_results_can_be_had_as_they_come(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def structured(model: Any, schema: Any, messages: Any, **more: Any) -> Any:
        if schema.__name__ == "MaterialDesign" and "number 3" in str(messages[-1].content):
            raise UsageError("this brief is refused")
        return scripted_structured(model, schema, messages, **more)

    monkeypatch.setattr("models.chat.structured.structured", structured)
    file = briefs(tmp_path / "b.jsonl", 5)
    found = list(batch.stream([file], out=tmp_path / "out", images=1))
    assert [one.id for one in found] == ["b1", "b2", "b3", "b4", "b5"]
    assert [type(one) for one in found] == [Result, Result, Failure, Result, Result]
    assert list(batch.stream([file], out=tmp_path / "out", images=1, stop_after=1)) == found


def test_a_batch_can_be_queued_and_followed(there: InstantPainter, tmp_path: Path) -> None:
    job_id = batch.submit([briefs(tmp_path / "b.jsonl", 3)], out=tmp_path / "out", images=1)
    events = list(studio.watch_job(job_id))
    assert events[-1].type == "job_finished"
    job = studio.open_job(job_id)
    assert (job.kind, job.state, job.result["done"]) == ("batch", "finished", 3)
    assert job.title == f"{tmp_path / 'b.jsonl'}" or job.title == "b.jsonl"


def test_ctrl_c_leaves_the_rest_for_the_next_time(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "_OFTEN", 0.0)
    file = briefs(tmp_path / "b.jsonl", 8)

    def stop(event: Any) -> None:
        if event.type == "batch_progress" and event.done:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        made(file, in_flight=2, listener=stop)
    found = states(tmp_path / "out")
    assert "running" not in found.values() and "waiting" in found.values() and "done" in found.values()
    job = studio.list_jobs()[0]
    assert (job.state, job.message) == ("interrupted", "stopped by the user")
    assert made(file).whole


def test_a_full_disk_ends_it_and_nothing_is_lost(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.pictures import picture

    file, full, publish = briefs(tmp_path / "b.jsonl", 6), threading.Event(), picture.publish

    def refuse(target: Path, content: Any) -> Any:
        if full.is_set():
            raise StorageError(f"cannot write {target}: no space is left on the disk")
        full.set()
        return publish(target, content)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="no space"):
        patch.setattr(picture, "publish", refuse)
        made(file, in_flight=2)
    assert "running" not in states(tmp_path / "out").values()
    assert made(file).whole


def test_what_a_killed_process_left_half_written_goes_away(there: InstantPainter, tmp_path: Path) -> None:
    file, out = briefs(tmp_path / "b.jsonl", 2), tmp_path / "out"
    made(file, stop_after=1)
    (out / ".staging-0123456789ab").write_text('{"version": ')  # as a killed publish of batch.json leaves it
    (out / ".staging-ba9876543210" / "thumbs").mkdir(parents=True)
    assert made(file).whole
    assert not list(out.glob(".staging-*"))


def test_what_cannot_be_written_is_told_once(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        asked.append(name)
        raise ServiceError(f"{name} is not installed")

    asked: list[str] = []
    told: list[Any] = []
    monkeypatch.setattr("studio.batching.table.require", missing)
    for name in ("OFTEN", "_SHARE"):
        monkeypatch.setattr(reports, name, 0)
    assert made(briefs(tmp_path / "b.jsonl", 3), listener=told.append).whole
    assert len(asked) > 1  # the results were written now and then
    said = [event.text for event in told if event.type == "remark" and "results.parquet" in event.text]
    assert said == ["results.parquet is not written: pyarrow is not installed"]


def call(*words: str) -> int:
    return cli.main(["batch", *words, "--images", "1"])


def test_the_command_says_what_came_of_it(
    there: InstantPainter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    briefs(tmp_path / "b.jsonl", 3)
    assert call("b.jsonl", "--out", "out", "--stop-after", "2") == 75
    said = capsys.readouterr()
    assert "2 done, 0 failed, 1 wait" in said.out and "http://127.0.0.1:1/v1" in said.out
    assert said.err.rstrip().splitlines()[-1].endswith("the same command goes on")
    assert call("b.jsonl", "--out", "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["waiting"], told["failed"]) == (3, 0, 0)
    assert call("b.jsonl", "--out", "out", "--dry-run") == 0
    said = capsys.readouterr()
    assert "0 designs" in said.out and "3 done" in said.out
    assert call("b.jsonl", "--out", "new", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["waiting"] == 3
    assert call("b.jsonl", "--out", "new", "--dry-run") == 0
    assert "not known: nothing of this batch is made yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["none.jsonl", "--out", "out"], 65, "none.jsonl is not there"),
        (["b.jsonl"], 2, "--out"),
        (["--out", "out"], 2, "FILE"),
        (["b.jsonl", "--out", "out", "--in-flight", "0"], 2, "not 0"),
        (["b.jsonl", "--out", "out", "--engine", "rey"], 2, "auto"),
        (["b.jsonl", "--out", "out", "--deadline", "0"], 2, "deadline"),
        (["b.jsonl", "--out", "b.jsonl"], 74, "part of the path is a file"),
        (["odd.csv", "--out", "out"], 65, "did you mean 'breif'?"),
        (["b.jsonl", "--out", "out", "--model", "nothing"], 69, "has no model 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    there: InstantPainter,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    told: str,
) -> None:
    briefs(tmp_path / "b.jsonl", 1)
    (tmp_path / "odd.csv").write_text("breif\nA panel\n")
    assert call(*words) == code
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert said.out == "" and len(errors) == 1 and told in errors[0]


def test_briefs_come_by_standard_input(
    there: InstantPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"brief": "A tough panel"}\n')))
    assert call("-", "--out", "out") == 0
    assert "1 done" in capsys.readouterr().out


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Models that are really asked on a scripted server, which the test starts; only the painter is a stand-in."""
    from models.chat.remote import forget

    forget()
    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    monkeypatch.setattr("studio.runs.assemble.ranker", lambda home: None)
    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", lambda settings, home: InstantPainter())
    monkeypatch.setattr("models.chat.exchange.PAUSE", 0.001)

    def batch_on(url: str, file: Path, out: Path, timeout: str = "60", **options: Any) -> Any:
        told = {"CHAT__SERVER": url, "CHAT__MODEL": "scripted", "VISION__MODEL": "none", "CHAT__TIMEOUT": timeout}
        for name, value in (told | {"FLOW__ROUNDS": "1"}).items():
            monkeypatch.setenv(f"STUDIO_{name}", value)
        return batch([file], out=out, images=1, **options)

    yield batch_on


def child(file: Path, out: Path, home: Path, url: str) -> subprocess.Popen[bytes]:
    """A process that works on a batch: models on a scripted server, an instant painter."""
    words = [str(file), str(out), str(home), url, "3"]
    return subprocess.Popen([sys.executable, str(ROOT / "benchmarks" / "batch.py"), "--child", *words], cwd=ROOT)


def test_a_killed_batch_goes_on_and_does_nothing_twice(home: Path, tmp_path: Path, served: Callable[..., Any]) -> None:
    """Each process is killed while a request of its is being answered, at other requests each time."""
    file, out = briefs(tmp_path / "b.jsonl", 8, seed=3), tmp_path / "killed"
    asked: list[dict[str, Any]] = []
    lock, state = threading.Lock(), {"left": 0, "pid": 0}

    def heard(request: dict[str, Any]) -> None:
        with lock:
            asked.append(request)
            state["left"] -= 1
            if state["left"] == 0 and state["pid"]:
                os.kill(state["pid"], signal.SIGKILL)

    with serving(heard=heard) as url:
        assert served(url, file, tmp_path / "whole").whole
        calls, codes = len(asked), []
        for requests in (3, 17):
            with lock:
                state["left"] = requests
                process = child(file, out, home, url)
                state["pid"] = process.pid
            codes.append(process.wait())
            state["pid"] = 0
        assert codes == [-signal.SIGKILL] * 2
        kept = files(out)
        assert child(file, out, home, url).wait() == 0
    whole, killed = (
        {name: data for name, data in files(folder).items() if not name.endswith(("events.jsonl", "manifest.json"))}
        for folder in (tmp_path / "whole", out)
    )
    assert killed == whole
    assert {name: killed[name] for name in kept if name in killed} == {
        name: kept[name] for name in kept if name in killed
    }
    with Ledger(tmp_path / "whole" / LEDGER) as one, Ledger(out / LEDGER) as other:
        for name in states(out):
            assert [(row.key, row.kind) for row in one.keys(name)] == [(row.key, row.kind) for row in other.keys(name)]
            assert len(one.artifacts(name)) == len(other.artifacts(name)) == 1
    assert set(states(out).values()) == {"done"} and len(list(results(out))) == 8
    assert all(verify(out / "designs" / name) == [] for name in states(out))
    assert not list(out.rglob(".staging-*"))
    assert len(asked) - calls <= calls + 2 * 3  # only what was being answered at a kill is asked again


def test_a_server_that_often_goes_wrong_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Callable[..., Any]
) -> None:
    """A fifth of all calls: busy, out of order, half an answer, an end at the limit, silence."""
    monkeypatch.setattr(drive, "_PAUSE", 0.01)
    wrong = Faults(0.2, seed=5)
    with serving(faults=wrong) as url:
        summary = served(url, briefs(tmp_path / "b.jsonl", 24), tmp_path / "out", timeout="0.5", in_flight=8)
        wrong.over.set()
    assert sum(wrong.seen.values()) >= 100 and len(wrong.seen) == 6
    assert summary.done >= 23 and summary.done + summary.failed == 24
    assert all(kind.retryable for kind in summary.reasons)
    assert summary.tokens_out > 0 and summary.tokens_in > 0
