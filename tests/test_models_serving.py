"""Engines chosen and told what to serve; servers, by a fake engine, started, watched, started again and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from models.serving import engines, llama_cpp, process, records, vllm
from models.serving.adapters import find_adapter
from models.serving.engines import Engine, Gpu, choose
from models.serving.memory import check_fits, shape_of
from models.serving.plan import Wanted
from models.serving.records import Record
from models.serving.server import Launch, Limits, Server, free_port
from tests.fake_vllm import MODULE
from tests.fixtures_serving import FakeVllm, runs, until
from workspace.errors import DataError, ServiceError, StorageError, UsageError
from workspace.progress import Remark

KEY = "studio-0123456789abcdef"
QUICK = Limits(start=60, every=0.05, hang=0.2, grace=20, restarts=2, pause=0.01, longest_pause=0.02)


# Processes


def launch(fake: FakeVllm, tmp_path: Path, port: int | None = None) -> Launch:
    port = port or free_port()
    flags = ("--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port))
    return Launch(
        title="vllm with tiny",
        command=(str(fake.python), "-m", MODULE, *flags),
        environment={**os.environ, "VLLM_API_KEY": KEY},
        port=port,
        model="tiny",
        key=KEY,
        log=tmp_path / "logs" / "serve-tiny.log",
    )


def ask(port: int, text: str, key: str = KEY) -> httpx2.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": text}]}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers=headers, timeout=30)


class Told(list[str]):
    """The remarks of a server."""

    def __call__(self, event: Any) -> None:
        assert isinstance(event, Remark)
        self.append(event.text)


def test_a_server_answers_with_its_key_and_leaves_nothing_behind(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    fake_vllm.order(children=True)
    how = launch(fake_vllm, tmp_path)
    changes: list[tuple[int, int]] = []
    with Server(how, limits=QUICK, changed=lambda pid, restarts: changes.append((pid, restarts))) as server:
        assert ask(how.port, "hello").json()["choices"][0]["message"]["content"] == "ok"
        assert ask(how.port, "hello", key="another-key-altogether").status_code == 401
        assert changes == [(server.pid, 0)] and fake_vllm.starts[0]["pid"] == server.pid
        assert os.getsid(server.pid) == server.pid != os.getsid(0)
        pid, child = server.pid, fake_vllm.child
        assert runs(child)
    assert server.pid == 0 and not runs(pid) and not runs(child)
    assert MODULE in how.log.read_text()
    server.wait()  # says at once that it is over


def test_a_server_that_dies_is_started_again_and_its_children_end(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    fake_vllm.order(children=True)
    how, told = launch(fake_vllm, tmp_path), Told()
    changes: list[tuple[int, int]] = []
    with Server(how, told, QUICK, changed=lambda pid, restarts: changes.append((pid, restarts))) as server:
        first, orphan = server.pid, fake_vllm.child
        with pytest.raises(httpx2.TransportError):
            ask(how.port, "die")
        until(lambda: changes[1:], "a second process answers")
        assert changes == [(first, 0), (server.pid, 1)] and server.restarts == 1
        assert not runs(orphan), "what the dead engine had started lives on"
        assert ask(how.port, "hello").status_code == 200
        until(lambda: len(told) == 2, "both remarks came")
    assert "ended with exit code 3: RuntimeError: CUDA error: an illegal memory access" in told[0]
    assert told[0].endswith("(1 of 2)") and told[1] == "vllm with tiny answers again"


def test_a_server_that_is_killed_is_started_again(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    how, told = launch(fake_vllm, tmp_path), Told()
    with Server(how, told, QUICK) as server:
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: len(told) == 2, "it answers again")
        assert "was killed by SIGKILL (out of memory?)" in told[0]


def test_a_server_that_hangs_is_started_again(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    how, told = launch(fake_vllm, tmp_path), Told()
    with Server(how, told, QUICK) as server:
        first = server.pid
        ask(how.port, "hang")
        until(lambda: len(told) == 2, "it answers again")
        assert "has not answered for" in told[0] and not runs(first)
        assert ask(how.port, "hello").status_code == 200


def test_a_server_that_cannot_be_kept_up_is_given_up(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    how, told = launch(fake_vllm, tmp_path), Told()
    with Server(how, told, QUICK) as server:
        fake_vllm.order(words="ValueError: no room for the cache")
        with pytest.raises(httpx2.TransportError):
            ask(how.port, "die")
        with pytest.raises(ServiceError, match=r"no room for the cache; it was started again 2 times") as fault:
            server.wait()
        assert str(how.log) in str(fault.value)
    assert [text.rpartition("(")[2] for text in told] == ["1 of 2)", "2 of 2)"]
    assert len(fake_vllm.starts) == 3


def test_what_does_not_start_is_told_by_its_own_words_and_not_tried_again(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    fake_vllm.order(words="torch.OutOfMemoryError: 3 GiB were not there\nRuntimeError: See root cause above")
    with pytest.raises(ServiceError, match=r"did not start: it ended with exit code 1: torch.OutOfMemoryError: 3 GiB"):
        Server(launch(fake_vllm, tmp_path), limits=QUICK).start()
    assert len(fake_vllm.starts) == 1


def test_what_never_answers_is_given_up_and_ended(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    fake_vllm.order(silent=True, stubborn=True)
    with pytest.raises(ServiceError, match=r"has not answered within 1 s"):
        Server(launch(fake_vllm, tmp_path), limits=replace(QUICK, start=1, grace=0.2)).start()
    assert not [start for start in fake_vllm.starts if runs(start["pid"])]


def test_what_refuses_the_canary_is_told(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    fake_vllm.order(refuse=[400, f"the tokenizer has no chat template, {KEY}"])
    with pytest.raises(ServiceError, match=r"refuses to answer: .*no chat template") as fault:
        Server(launch(fake_vllm, tmp_path), limits=QUICK).start()
    assert KEY not in str(fault.value)


def test_a_server_that_will_not_stop_is_killed(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    fake_vllm.order(stubborn=True, children=True)
    with Server(launch(fake_vllm, tmp_path), limits=replace(QUICK, grace=0.2)) as server:
        pid = server.pid
    assert not runs(pid) and not runs(fake_vllm.child)


def test_a_port_in_use_is_refused_before_anything_starts(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} of 127.0.0.1 is in use"):
            Server(launch(fake_vllm, tmp_path, port), limits=QUICK).start()
    assert not fake_vllm.starts


def test_a_program_that_is_not_there_is_told(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    how = replace(launch(fake_vllm, tmp_path), command=("/nowhere/python", "-m", MODULE))
    with pytest.raises(ServiceError, match="there is no program /nowhere/python"):
        Server(how, limits=QUICK).start()


def test_an_engine_ends_with_the_process_that_started_it(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    how = launch(fake_vllm, tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom models.serving.server import Launch, Server\n"
        f"import os\nServer(Launch({how.title!r}, {how.command!r}, dict(os.environ), {how.port}, 'tiny', {KEY!r}, "
        f"Path({str(how.log)!r}))).start()\nprint('up', flush=True)\nsys.stdin.read()\n"
    )
    run = [sys.executable, "-c", code]
    root = str(Path(__file__).resolve().parents[1])
    variables = {**os.environ, "PYTHONPATH": root, "VLLM_API_KEY": KEY}
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "up\n"
        pid = fake_vllm.starts[0]["pid"]
        assert runs(pid)
        owner.kill()
        owner.wait()
        until(lambda: not runs(pid), "the engine ends")


def test_a_log_that_grows_large_is_put_aside(
    fake_vllm: FakeVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = launch(fake_vllm, tmp_path)
    monkeypatch.setattr(process, "MOST_LOG", 2000)
    with Server(how, limits=QUICK):
        with how.log.open("a") as log:
            log.write("word " * 1000)
        aside = how.log.with_name("serve-tiny.log.1")
        until(lambda: aside.exists() and how.log.stat().st_size == 0, "the log is put aside")
        assert "word word" in aside.read_text()


# Which engine


@contextmanager
def machine(
    monkeypatch: pytest.MonkeyPatch, *, gpu: bool, wide: bool, small: bool, large: str | None
) -> Iterator[None]:
    found = (Gpu("NVIDIA H200", 140 * 10**9, 9.0),) if gpu else ()
    monkeypatch.setattr(engines, "gpus", lambda: found)
    monkeypatch.setattr(engines, "has_avx512", lambda: wide)
    monkeypatch.setattr(engines, "llama_cpp", lambda: Engine("llama.cpp", "2026.10" if small else None))
    there = Engine("vllm", "0.32.0" if large else None, "gpu" if large == "gpu" else "cpu")
    monkeypatch.setattr(engines, "vllm", lambda: there)
    yield


@pytest.mark.parametrize(
    ("gpu", "wide", "small", "large", "name", "why"),
    [
        (True, True, True, "gpu", "vllm", "an NVIDIA GPU is here"),
        (True, True, True, None, "llama.cpp", "an NVIDIA GPU is here, but vLLM is not installed (make vllm)"),
        (True, True, True, "cpu", "llama.cpp", "an NVIDIA GPU is here, but vLLM here is built for CPUs"),
        (False, True, True, "cpu", "vllm", "the CPU has AVX-512"),
        (False, True, True, None, "llama.cpp", "AVX-512, but vLLM is not installed (make vllm VLLM=cpu)"),
        (False, False, True, "cpu", "llama.cpp", "no NVIDIA GPU is here, and the CPU has no AVX-512"),
        (False, False, False, "cpu", "vllm", "llama.cpp is not installed"),
    ],
)
def test_the_engine_that_suits_the_machine(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, wide: bool, small: bool, large: str | None, name: str, why: str
) -> None:
    with machine(monkeypatch, gpu=gpu, wide=wide, small=small, large=large):
        choice = choose("auto")
        assert choice.engine.name == name and why in choice.why
        told = {row[0]: row for row in engines.table()}
        assert told[name][2] == f"serves: {choice.why}"
        if small and large == "cpu":
            for wish in ("llama.cpp", "vllm"):
                told = {row[0]: row for row in engines.table(wish)}  # type: ignore[arg-type]
                assert [name for name in told if told[name][2]] == [wish]
                assert told[wish][2] == "serves: it was asked for"


def test_an_engine_that_is_missing_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with machine(monkeypatch, gpu=False, wide=False, small=False, large=None):
        for wish, hint in (("auto", r"\.\[serve\]"), ("llama.cpp", r"\.\[serve\]"), ("vllm", "make vllm VLLM=cpu")):
            with pytest.raises(ServiceError, match=hint):
                choose(wish)  # type: ignore[arg-type]
        assert [row[1] for row in engines.table()] == ["not installed", "not installed"]
    with machine(monkeypatch, gpu=False, wide=True, small=True, large="gpu"):
        with pytest.raises(ServiceError, match="built for GPUs, and no NVIDIA GPU is here"):
            choose("vllm")
        assert choose("auto").engine.name == "llama.cpp"


def test_a_model_that_llama_cpp_cannot_read_goes_to_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    beyond = "eyes is of the architecture idefics3"
    with machine(monkeypatch, gpu=False, wide=False, small=True, large="cpu"):
        assert choose("auto", beyond).engine.name == "vllm"
        with pytest.raises(DataError, match=r"idefics3 .*--engine vllm"):
            choose("llama.cpp", beyond)
    with (
        machine(monkeypatch, gpu=False, wide=False, small=True, large=None),
        pytest.raises(ServiceError, match="idefics3, and vLLM is not installed"),
    ):
        choose("auto", beyond)


def test_vllm_is_found_by_what_is_installed_in_its_environment(fake_vllm: FakeVllm) -> None:
    assert engines.vllm() == Engine("vllm", "0.32.0", "cpu")
    fake_vllm.python.unlink()
    assert engines.vllm().version is None


# What they are told


def wanted(folder: Path, home: Path, **given: Any) -> Wanted:
    return Wanted(name="tiny", folder=folder, shape=shape_of(folder), home=home, **given)


def flag(command: tuple[str, ...], name: str) -> str:
    return command[command.index(name) + 1]


def test_vllm_is_told_what_it_might_decide_in_silence(
    fake_vllm: FakeVllm, tiny_llama: Path, turning_adapter: Path, tmp_path: Path
) -> None:
    adapter = find_adapter(str(turning_adapter), tiny_llama, tmp_path)
    plan = vllm.plan(wanted(tiny_llama, tmp_path, adapters=(adapter,)), engines.vllm())
    assert json.loads(flag(plan.command, "--structured-outputs-config")) == {
        "backend": "xgrammar",
        "disable_any_whitespace": True,
    }
    assert flag(plan.command, "--generation-config") == "vllm" and "--enable-prefix-caching" in plan.command
    assert json.loads(flag(plan.command, "--lora-modules")) == {"name": adapter.name, "path": str(turning_adapter)}
    assert flag(plan.command, "--max-lora-rank") == "8" and plan.models == (adapter.name, "tiny")
    assert flag(plan.command, "--max-model-len") == "1024" and plan.context == 1024
    assert flag(plan.command, "--max-num-seqs") == "32" and plan.in_flight == 32
    assert "--no-enable-chunked-prefill" in plan.command  # on a CPU, where a seed and a split prompt end the engine
    assert int(flag(plan.command, "--max-num-batched-tokens")) >= plan.context
    assert plan.variables["VLLM_BATCH_INVARIANT"] == "0" and plan.variables["PYTHONPATH"] is None
    assert not any("key" in part.lower() for part in plan.command)


@pytest.mark.parametrize(("cores", "kept"), [(2, "0"), (16, None)])
def test_a_cpu_of_few_cores_keeps_none_from_the_work(
    fake_vllm: FakeVllm, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, kept: str | None
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    given = vllm.plan(wanted(tiny_llama, tmp_path), engines.vllm()).variables
    assert given.get("VLLM_CPU_NUM_OF_RESERVED_CPU") == kept


def test_on_a_cpu_the_only_adapter_is_folded_in(
    fake_vllm: FakeVllm, tiny_llama: Path, turning_adapter: Path, tmp_path: Path
) -> None:
    adapter, here = find_adapter(str(turning_adapter), tiny_llama, tmp_path), engines.vllm()
    one = wanted(tiny_llama, tmp_path, adapters=(adapter,))
    assert vllm.folds(one, here) and not vllm.folds(one, Engine("vllm", "0.32.0", "gpu"))
    assert not vllm.folds(wanted(tiny_llama, tmp_path), here)
    assert not vllm.folds(wanted(tiny_llama, tmp_path, adapters=(adapter, adapter)), here)
    plan = vllm.plan(one, here, tmp_path / "whole")
    assert plan.models == (adapter.name,) and flag(plan.command, "--served-model-name") == adapter.name
    assert flag(plan.command, "--model") == str(tmp_path / "whole") and "--enable-lora" not in plan.command


def test_what_a_machine_lacks_is_refused(
    fake_vllm: FakeVllm, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given, words in (
        ({"gpu_memory": 0.5}, "built for CPUs"),
        ({"batch_invariant": True}, "compute capability 8"),
        ({"context": 4096}, "--context 4096 is more than the 1024 tokens that tiny reads"),
    ):
        with pytest.raises(UsageError, match=words):
            vllm.plan(wanted(tiny_llama, tmp_path, **given), engines.vllm())
    gpu = Engine("vllm", "0.32.0", "gpu")
    monkeypatch.setattr(engines, "gpus", lambda: (Gpu("A100", 40 * 10**9, 8.0),))
    plan = vllm.plan(wanted(tiny_llama, tmp_path, batch_invariant=True, gpu_memory=0.5), gpu)
    assert "--no-enable-chunked-prefill" not in plan.command
    assert plan.variables["VLLM_BATCH_INVARIANT"] == "1" and flag(plan.command, "--gpu-memory-utilization") == "0.5"
    with pytest.raises(UsageError, match="--tensor-parallel 2 is more than the 1 NVIDIA GPUs"):
        vllm.plan(wanted(tiny_llama, tmp_path, tensor_parallel=2), gpu)
    monkeypatch.setattr(engines, "gpus", lambda: (Gpu("toy", 100_000, 8.0),))
    with pytest.raises(ServiceError, match=r"tiny needs .* and 90% of 1 GPU is"):
        vllm.plan(wanted(tiny_llama, tmp_path), gpu)


def test_llama_cpp_refuses_what_only_vllm_does(tiny_llama: Path, turning_adapter: Path, tmp_path: Path) -> None:
    adapter = find_adapter(str(turning_adapter), tiny_llama, tmp_path)
    for given, words in (
        ({"tensor_parallel": 1}, "--tensor-parallel is vLLM's"),
        ({"batch_invariant": True}, "--batch-invariant is vLLM's"),
        ({"adapters": (adapter, adapter)}, "writes all answers with one adapter, and 2 are given"),
    ):
        with pytest.raises(UsageError, match=words):
            llama_cpp.check(wanted(tiny_llama, tmp_path, **given), "q8_0")


def test_a_model_that_does_not_fit_is_told_with_what_would(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServiceError, match=r"big needs .* for 8 answers .* \(--in-flight 2 fits"):
        check_fits("big", fixed=5_000_000, stream=2_000_000, in_flight=8, free=10_000_000)
    check_fits("big", fixed=5_000_000, stream=2_000_000, in_flight=2, free=10_000_000)
    monkeypatch.setattr(llama_cpp, "free_memory", lambda: 1_000_000)
    with pytest.raises(ServiceError, match=r"tiny needs .*take a smaller model") as fault:
        llama_cpp.check(wanted(tiny_llama, tmp_path), "q8_0")
    assert fault.value.exit_code == 69


def test_a_model_says_how_large_it_is(tiny_llama: Path) -> None:
    shape = shape_of(tiny_llama)
    assert (shape.kind, shape.context, shape.words) == ("llama", 1024, 320)
    assert shape.token == 2 * 2 * 2 * 2 * 8  # keys and values, 16 bits, 2 layers, 2 heads of 8
    assert 4 * shape.parameters <= shape.weights < 4 * shape.parameters + 10_000


def test_an_adapter_is_named_by_its_content(tiny_llama: Path, turning_adapter: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    other = tmp_path / "elsewhere" / "loud"
    shutil.copytree(turning_adapter, other)
    first, same = (find_adapter(str(one), tiny_llama, tmp_path) for one in (turning_adapter, other))
    assert first.name == same.name and first.name.startswith("loud-") and first.rank == 4
    weights = load_file(other / "adapter_model.safetensors")
    save_file({name: weight * 2 for name, weight in weights.items()}, other / "adapter_model.safetensors")
    from models.catalogue import folders

    folders._remembered.cache_clear()
    assert find_adapter(str(other), tiny_llama, tmp_path).name != first.name


def test_an_adapter_of_another_base_is_refused(family: Path, turning_adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not for the model .*base: \d+ of 12 of its matrices fit"):
        find_adapter(str(turning_adapter), family / "base", tmp_path)


# Records and keys


def record(home: Path, name: str = "tiny", **given: Any) -> Record:
    usual = {
        **{"name": name, "address": "http://127.0.0.1:1/v1", "model": name, "models": (name,), "engine": "vllm"},
        **{"version": "0.32.0", "folder": home, "fingerprint": "f", "adapters": {}, "weights": "bfloat16"},
        **{"in_flight": 8, "context": 64, "batch_invariant": False, "flags": (), "key_file": None, "engine_pid": 1},
        **{"api_key_env": None, "log": home / "log", "pid": os.getpid(), "began": records.began(os.getpid())},
    }
    return Record.model_validate(usual | given)


def test_servers_that_run_are_found_and_those_that_were_killed_are_not(tmp_path: Path) -> None:
    with records.entry(tmp_path, "tiny"), records.entry(tmp_path, "gone"):
        records.put(tmp_path, record(tmp_path))
        records.put(tmp_path, record(tmp_path, "gone", began=1.0))  # its process's number is another's by now
        (tmp_path / "servers" / "odd.json").write_text("{")
        assert [one.name for one in records.running(tmp_path)] == ["tiny"]
        assert stat.S_IMODE((tmp_path / "servers").stat().st_mode) == 0o700
        with (
            pytest.raises(UsageError, match=r"tiny is being served at http://127.0.0.1:1/v1 .*--name"),
            ExitStack() as stack,
        ):
            stack.enter_context(records.entry(tmp_path, "tiny"))
    assert not records.running(tmp_path)


@pytest.mark.parametrize(
    ("server", "same"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:8000/v1/", True),
        ("http://127.0.0.1:8001/v1", False),
        ("https://127.0.0.1:8000/v1", False),
        ("http://models.example.org:8000/v1", False),
    ],
)
def test_a_server_is_known_by_its_address(tmp_path: Path, server: str, same: bool) -> None:
    assert record(tmp_path, address="http://127.0.0.1:8000/v1").is_at(server) == same


def test_a_key_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    with records.entry(tmp_path, "tiny"):
        key, file = records.key_in(tmp_path, "tiny")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(key) > 40
        assert records.key_in(tmp_path, "tiny") == (key, file)
        assert record(tmp_path, key_file=file).key == key
        file.chmod(0o644)
        with pytest.raises(StorageError, match="others may read the key"):
            records.key_in(tmp_path, "tiny")
        file.chmod(0o600)
        file.write_text("short")
        assert records.key_in(tmp_path, "tiny")[0] not in (key, "short")


def test_a_key_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UsageError, match="MY_KEY, which should hold the server's key, is not set"):
        records.key_from("MY_KEY")
    monkeypatch.setenv("MY_KEY", "too short")
    with pytest.raises(UsageError, match="must hold 16 to 200"):
        records.key_from("MY_KEY")
    monkeypatch.setenv("MY_KEY", KEY)
    assert records.key_from("MY_KEY") == KEY == record(tmp_path, api_key_env="MY_KEY").key
