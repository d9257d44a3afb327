import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from workspace import event_log
from workspace.errors import DataError, StorageError
from workspace.event_log import EventLog, follow, read, read_good
from workspace.events import EVENT, Notice, RunFinished, StepFinished, Token

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run-1" / "events.jsonl"


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [100.0]
    monkeypatch.setattr(event_log.time, "monotonic", lambda: now[0])
    return now


def _token(text, key="turn/1"):
    return Token(role="scientist", key=key, text=text)


def test_events_are_stamped_and_numbered_on_across_openings(path):
    with EventLog(path, "run-1") as log:
        assert log.emit(Notice(text="one ü\r\n\u2028")).seq == 1
        log.emit(Notice(text="two"))
    with EventLog(path, "run-1") as log:
        third = log.emit(Notice(text="three"))
    events = read(path)
    assert [event.seq for event in events] == [1, 2, 3]
    assert [event.text for event in events] == ["one ü\r\n\u2028", "two", "three"]
    assert events[2] == third
    assert {event.run_id for event in events} == {"run-1"}
    assert events[0].at > 1_000_000_000


def test_fast_tokens_are_joined_in_the_file_and_told_at_once(path, clock):
    heard = []
    with EventLog(path, "run-1", [heard.append]) as log:
        for text in ("The ", "leaf ", "is ", "tough"):
            log.emit(_token(text))
        assert [event.text for event in heard] == ["The ", "leaf ", "is ", "tough"]
        assert [event.text for event in read(path)] == ["The "]
        clock[0] += 0.2
        log.emit(_token("."))
        assert [event.text for event in read(path)] == ["The ", "leaf is tough."]
        log.emit(_token("x" * 39))
        log.emit(_token("y"))
        assert read(path)[-1].text == "x" * 39 + "y"
        log.emit(_token("rest"))
        log.emit(_token("other", key="turn/2"))
        log.emit(StepFinished(role="scientist", key="turn/2", text="all"))
        log.emit(_token("end"))
    events = read(path)
    assert [getattr(event, "text", "") for event in events[-4:]] == ["rest", "other", "all", "end"]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.seq for event in heard if event.type != "token"] == [events[-2].seq]


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(max_size=30), st.floats(0, 0.3)), max_size=30))
@hypothesis_settings(max_examples=50, deadline=None)
def test_joining_tokens_loses_nothing(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch, EventLog(path, "run-1") as log:
        patch.setattr(event_log.time, "monotonic", lambda: now[0])
        for key, text, seconds in tokens:
            now[0] += seconds
            log.emit(_token(text, key))
    events = read(path)
    for wanted in ("a", "b"):
        told = "".join(text for key, text, _ in tokens if key == wanted)
        assert "".join(event.text for event in events if event.key == wanted) == told
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize(
    "torn", [b'{"type":"notice","te', b"\0\0\0\0", b'{"type":"notice"}\n', b"\0\0\n\0\n{", b"\xff\n"]
)
def test_a_torn_end_is_cut_off(path, torn):
    with EventLog(path, "run-1") as log:
        log.emit(Notice(text="one"))
        log.emit(Notice(text="two"))
    with path.open("ab") as file:
        file.write(torn)
    with EventLog(path, "run-1") as log:
        assert log.emit(Notice(text="three")).seq == 3
    assert [event.text for event in read(path)] == ["one", "two", "three"]


def test_a_file_of_nothing_but_rubbish_begins_anew(path):
    path.parent.mkdir()
    path.write_bytes(b"rubbish\n\n\nmore")
    with EventLog(path, "run-1") as log:
        assert log.emit(Notice(text="one")).seq == 1
    assert len(read(path)) == 1


def test_reading_leaves_out_an_unfinished_line_and_names_a_bad_one(path):
    with EventLog(path, "run-1") as log:
        log.emit(Notice(text="one"))
    good = path.read_bytes()
    path.write_bytes(good + good[:20])
    assert len(read(path)) == 1
    path.write_bytes(good + b"{}\n" + good)
    with pytest.raises(DataError, match=r"events\.jsonl, line 2: not an event"):
        read(path)
    with pytest.raises(StorageError, match="there is no event file"):
        read(path.with_name("none"))


def test_threads_write_whole_lines_in_order(path):
    heard = []
    with EventLog(path, "run-1") as log:
        log.listen(heard.append)

        def work(name):
            for number in range(50):
                log.emit(Notice(text=f"{name} {number}"))
                log.emit(_token(f"{number} ", key=str(name)))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read(path)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for name in range(8):
        notices = [event.text for event in events if event.type == "notice" and event.text.startswith(f"{name} ")]
        assert notices == [f"{name} {number}" for number in range(50)]
        text = "".join(event.text for event in events if event.type == "token" and event.key == str(name))
        assert text == "".join(f"{number} " for number in range(50))
    assert len(heard) == 800


def test_a_follower_sees_what_a_writer_writes(path):
    seen, done = [], threading.Event()

    def watch():
        seen.extend(follow(path, stop=done.is_set, poll=0.001))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with EventLog(path, "run-1") as log:
        for number in range(100):
            log.emit(Notice(text=str(number)))
        log.emit(RunFinished(folder="f", seconds=1.0))
    done.set()
    watcher.join()
    assert seen == read(path)
    assert len(seen) == 101
    assert [event.seq for event in follow(path, after_seq=99, stop=lambda: True)] == [100, 101]


def test_a_follower_waits_for_the_end_of_a_line_and_outlives_a_torn_one(path):
    with EventLog(path, "run-1") as log:
        log.emit(Notice(text="one"))
        log.emit(Notice(text="two"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + 10])
    seen = follow(path, poll=0.001)
    assert next(seen).text == "one"
    path.write_bytes(whole)
    assert next(seen).text == "two"
    with path.open("ab") as file:
        file.write(b'{"type":"noti')
    with EventLog(path, "run-1") as log:
        log.emit(Notice(text="three"))
    assert next(seen).text == "three"


def test_a_follower_of_a_file_that_never_comes_can_be_stopped(path):
    assert list(follow(path, stop=lambda: True)) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from workspace.event_log import EventLog
from workspace.events import Notice

log = EventLog(Path(sys.argv[1]), "run-1")
for number in range(30):
    log.emit(Notice(text=str(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_no_written_event(path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", _KILLED, str(path)], env=env, check=False)
    assert len(read(path)) == 30


def test_a_full_disk_leaves_no_half_line(path, monkeypatch):
    with EventLog(path, "run-1") as log:
        log.emit(Notice(text="one"))
        real, calls = os.write, []

        def write(handle, data):
            calls.append(1)
            if len(calls) > 1:
                raise OSError(28, "No space left on device")
            return real(handle, data[:10])

        with monkeypatch.context() as patch:
            patch.setattr(event_log.os, "write", write)
            with pytest.raises(StorageError, match=r"cannot write .*events\.jsonl: no space"):
                log.emit(Notice(text="two"))
        assert log.emit(Notice(text="three")).seq == 2
    assert [event.text for event in read(path)] == ["one", "three"]
    with pytest.raises(StorageError, match="is closed"):
        log.emit(Notice(text="late"))


def test_every_event_type_survives_the_file(path):
    samples = {
        "run_started": {"brief": {"text": "x"}, "profile": "embedded"},
        "step_started": {"role": "engineer", "key": "k", "label": "Engineer"},
        "design_ready": {"design": {"title": "t"}},
        "prompt_ready": {"prompt": {"long": "l"}, "round": 0},
        "picture_progress": {"round": 0, "step": 1, "steps": 2},
        "picture_ready": {"round": 0, "index": 0, "path": "p", "seed": 1, "sha256": "a", "pixels_sha256": "b"},
        "critique_ready": {"critique": {"fit": 3}, "round": 0},
        "decision": {"choice": "finish", "reason": "good", "round": 0},
        "question": {"kind": "before_painting", "text": "go?", "payload": {}},
        "run_stopped": {"status": "failed", "message": "m", "exit_code": 69},
    }
    with EventLog(path, "run-1") as log:
        emitted = [log.emit(EVENT.validate_python({"type": kind, **fields})) for kind, fields in samples.items()]
    assert read(path) == emitted


def test_a_file_larger_than_any_run_is_refused_and_followed_by_pieces(path, monkeypatch):
    path.parent.mkdir()
    line = Token(run_id="run-1", seq=1, role="scientist", key="a", text="x").model_dump_json().encode() + b"\n"
    path.write_bytes(line)
    os.truncate(path, 6_000_000_000)  # a hole: no disk is taken
    with pytest.raises(DataError, match="no file of at most 256,000,000 bytes"):
        read_good(path)
    monkeypatch.setattr(event_log, "MOST_BYTES", 1000)
    assert [event.text for event in follow(path, stop=lambda: True)] == ["x"]
