"""`studio serve` through its doors: Python and the command line, with a fake vLLM, and with the real llama.cpp."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, ConfigDict, Field

import studio
from models.chat.documents import written
from models.chat.remote import remote
from models.serving import engines, records
from models.serving.engines import Engine
from studio.serving import ServeCommand
from tests.fixtures_chat import save_llama
from tests.fixtures_serving import FakeVllm, runs, turn, until
from ui.cli import main
from workspace.errors import DataError, ServiceError, UsageError
from workspace.settings import ChatSettings, RoleCall, SamplingSettings, load_settings

ROOT = Path(__file__).resolve().parents[1]


class Panel(BaseModel):
    """A panel."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=4, max_length=12)
    layers: int = Field(ge=1, le=9)
    kinds: list[Annotated[str, Field(max_length=8)]] = Field(min_length=1, max_length=2)


@contextmanager
def served(folder: Path, *options: str, **variables: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """`studio serve --json` in a process of its own: what it prints, and the process; it must end by itself."""
    command = [sys.executable, "-P", "-m", "ui.cli", "serve", str(folder), "--json", "--port", "0", *options]
    own = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield json.loads(line), process
        finally:
            process.kill() if process.poll() is None else None


def plain_letters(folder: Path) -> dict[str, int]:
    """A bias against all tokens that are not printable ASCII."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    texts = {number: words.decode([number]) for number in range(len(words))}
    special = set(words.all_special_ids)
    return {
        str(number): -100
        for number, text in texts.items()
        if number not in special and not (text.isascii() and text.isprintable())
    }


def client(record: dict[str, Any], key: str | None = None) -> Any:
    """An ordinary client of another maker."""
    openai = pytest.importorskip("openai")
    key = key or Path(record["key_file"]).read_text().strip()
    return openai.OpenAI(base_url=record["address"], api_key=key, max_retries=0, timeout=60)


SCHEMA = {"type": "json_schema", "json_schema": {"name": "Panel", "schema": Panel.model_json_schema(), "strict": True}}
QUESTION = [{"role": "user", "content": "Describe the structure of bone."}]


# With a fake engine


def test_a_server_in_a_with_block(fake_vllm: FakeVllm, home: Path, tiny_llama: Path, turning_adapter: Path) -> None:
    told: list[Any] = []
    serve = studio.serve
    made = serve(str(tiny_llama), adapter=(str(turning_adapter),), engine="vllm", port=0, listener=told.append)
    assert isinstance(made, studio.Serving)
    with made as server:
        (found,) = records.running(home)
        assert found == server.record and found.engine_pid == fake_vllm.starts[0]["pid"]
        assert found.name == tiny_llama.name and found.models == (server.model,)
        assert found.adapters[server.model] and len(found.fingerprint) == 64
        assert found.flags[-2:] == ("--port", found.address.split(":")[2].removesuffix("/v1"))
        assert server.key == found.key and server.key not in " ".join(found.flags)
        assert fake_vllm.starts[0]["environment"] == {
            "PYTHONPATH": None,
            "VLLM_BATCH_INVARIANT": "0",
            "HF_HUB_OFFLINE": "1",
        }
        with pytest.raises(UsageError, match=rf"{tiny_llama.name} is being served at {server.address}"):
            serve(str(tiny_llama), engine="vllm", port=0)
        report = studio.examine()
        assert (tiny_llama.name, server.address, server.model) in report.serving
        assert report.to_json()["engines"][1]["state"] == "0.32.0 for CPUs"
    assert not records.running(home) and not runs(found.engine_pid)
    texts = [str(getattr(event, "text", "")) for event in told]
    assert any(f"serves {tiny_llama.name}: it was asked for" in text for text in texts)
    assert any(text.endswith(f"and {tiny_llama.name} without it is not served") for text in texts)


def test_the_record_follows_a_restart(fake_vllm: FakeVllm, home: Path, tiny_llama: Path) -> None:
    made = studio.serve(str(tiny_llama), engine="vllm", port=0, name="mine")
    assert isinstance(made, studio.Serving)
    with made as server:
        first = server.record.engine_pid
        os.kill(first, signal.SIGKILL)
        until(lambda: records.running(home)[0].restarts == 1, "the record tells of the restart")
        (found,) = records.running(home)
        assert found.engine_pid not in (0, first) and found.name == found.model == "mine"


@pytest.mark.parametrize(
    ("options", "fault", "words"),
    [
        ({"model": "studio-micro-flux"}, UsageError, "is of kind painter"),
        ({"model": "studio-critic"}, DataError, "holds eyes for smollm2-135m-instruct"),
        ({"model": "leaf-micro-lora"}, UsageError, "is of kind adapter"),
        ({"model": "no-such-model"}, UsageError, "unknown model 'no-such-model'"),
        ({"model": "smollm2-135m-instruct"}, ServiceError, "not on this machine yet"),
        ({"weights": "bf16"}, UsageError, "--weights is llama.cpp's"),
        ({"context": 2048}, UsageError, "more than the 1024 tokens"),
        ({"adapter": ("nowhere",)}, UsageError, "unknown model 'nowhere'"),
        ({"api_key_env": "NO_SUCH_KEY"}, UsageError, "NO_SUCH_KEY, which should hold the server's key, is not set"),
        ({"in_flight": 0}, UsageError, "in_flight must be"),
        ({"name": "../out"}, UsageError, "name"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(
    fake_vllm: FakeVllm, home: Path, tiny_llama: Path, options: dict[str, Any], fault: type[Exception], words: str
) -> None:
    given = {"engine": "vllm", "port": 0, **options}
    with pytest.raises(fault, match=words):
        studio.serve(given.pop("model", str(tiny_llama)), **given)
    assert not fake_vllm.starts and not records.running(home)


def test_the_command_alone_runs_nothing(
    fake_vllm: FakeVllm, home: Path, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tiny_llama), "--engine", "vllm", "--print"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("env -u PYTHONPATH ") and f"--model {tiny_llama}" in told and "--port 8000" in told
    assert "VLLM_API_KEY=***" in told.replace("'", "")
    assert main(["serve", str(tiny_llama), "--engine", "vllm", "--print", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "vllm"
    assert not fake_vllm.starts and not (home / "servers").exists()


def test_the_command_names_the_files_that_are_served(
    home: Path, tiny_llama: Path, turning_adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.serving.gguf_writing import write_adapter, write_model

    monkeypatch.setattr(engines, "llama_cpp", lambda: Engine("llama.cpp", "1"))
    monkeypatch.setattr("models.serving.llama_cpp.free_memory", lambda: 2**40)
    given: dict[str, Any] = {"adapter": (str(turning_adapter),), "engine": "llama.cpp", "weights": "f16", "show": True}
    shown = studio.serve(str(tiny_llama), **given)
    assert isinstance(shown, ServeCommand) and not (home / "gguf").exists()
    files = [shown.command[shown.command.index(flag) + 1] for flag in ("--model", "--adapter")]
    assert files == [
        str(write_model(tiny_llama, home, "f16")),
        str(write_adapter(turning_adapter, tiny_llama, home)),
    ]
    assert studio.serve(str(tiny_llama), **given) == shown


def test_the_engine_is_a_setting_that_an_option_goes_before(
    fake_vllm: FakeVllm,
    home: Path,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engines, "llama_cpp", lambda: Engine("llama.cpp", "1"))
    monkeypatch.setattr(engines, "has_avx512", lambda: True)
    (home / "studio.toml").write_text('[serving]\nengine = "llama.cpp"\n')

    def engine(**given: Any) -> str:
        shown = studio.serve(str(tiny_llama), show=True, **given)
        assert isinstance(shown, ServeCommand)
        return shown.engine

    assert (engine(), engine(engine="vllm"), engine(engine="auto")) == ("llama.cpp", "vllm", "vllm")
    assert engine(settings=load_settings(), engine="vllm") == "vllm"
    report = studio.examine()
    (told,) = [row for row in report.settings if row[0] == "serving.engine"]
    assert told[1] == "llama.cpp" and told[2].startswith(str(home / "studio.toml"))
    assert ("llama.cpp", "1", "serves: it was asked for") in report.engines
    monkeypatch.setenv("STUDIO_SERVING__ENGINE", "lama.cpp")
    assert main(["serve", str(tiny_llama), "--print"]) == 2
    said = capsys.readouterr().err
    assert "STUDIO_SERVING__ENGINE" in said and "'llama.cpp'" in said


@pytest.mark.parametrize(("fault", "code"), [("port", 2), ("engine", 69), ("base", 65), ("room", 69)])
def test_exit_codes(
    fake_vllm: FakeVllm,
    home: Path,
    tiny_llama: Path,
    turning_adapter: Path,
    family: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    code: int,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if fault == "port" else "0"
        folder = family / "base" if fault == "base" else tiny_llama
        adapter = ["--adapter", str(turning_adapter)] if fault == "base" else []
        if fault == "engine":
            monkeypatch.setattr(engines, "vllm", lambda: Engine("vllm", None))
        if fault == "room":
            monkeypatch.setattr("models.serving.vllm.free_memory", lambda: 1000)
        assert main(["serve", str(folder), "--engine", "vllm", "--port", port, *adapter]) == code
    said = capsys.readouterr().err
    assert said.count("error:") == 1 and "Traceback" not in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_all_of_it(fake_vllm: FakeVllm, home: Path, tiny_llama: Path, how: signal.Signals) -> None:
    fake_vllm.order(children=True)
    code = (
        "import sys\nfrom models.serving import engines, vllm\nfrom pathlib import Path\n"
        f"engines.VLLM_FOLDER = Path({str(fake_vllm.folder)!r})\nengines.gpus = lambda: ()\n"
        "vllm.free_memory = lambda: 2**40\nfrom ui.cli import main\nraise SystemExit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "serve", str(tiny_llama), "--engine", "vllm", "--port", "0", "--json"]
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own) as process:
        assert process.stdout is not None and process.stderr is not None
        record = json.loads(process.stdout.readline())
        assert [one.pid for one in records.running(home)] == [process.pid]
        process.send_signal(how)
        said = process.stderr.read()
        assert process.wait() == 130, said
    assert said.rstrip().endswith("error: stopped") and "Traceback" not in said
    assert not runs(record["engine_pid"]) and not runs(fake_vllm.child)
    assert sorted(path.name for path in (home / "servers").iterdir()) == [f"{tiny_llama.name}.key"]


# With the real llama.cpp


@pytest.fixture
def on_llama_cpp(llama_cpp: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], dict[str, Any]]:
    """Options that serve a tiny model with little memory."""
    return lambda home: {"engine": "llama.cpp", "port": 0, "weights": "f32", "in_flight": 2, "context": 256}


@pytest.mark.server
def test_an_ordinary_client_talks_to_a_served_model(llama_cpp: None, home: Path, tiny_llama: Path) -> None:
    pytest.importorskip("openai")
    import openai

    small = ("--engine", "llama.cpp", "--in-flight", "2", "--context", "256", "--weights", "f32")
    with served(tiny_llama, *small) as (record, process):
        asked = client(record)
        assert [one.id for one in asked.models.list()] == [tiny_llama.name] == record["models"]
        told: dict[str, Any] = {"model": record["model"], "messages": QUESTION, "max_tokens": 12, "temperature": 0}
        whole = asked.chat.completions.create(**told)
        assert whole.choices[0].finish_reason in ("stop", "length") and whole.usage.completion_tokens <= 12
        parts = list(asked.chat.completions.create(**told, stream=True))
        assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == (
            whole.choices[0].message.content
        )
        plain = plain_letters(tiny_llama)  # else a model of chance writes bytes that are no letters
        made = asked.chat.completions.create(
            **told | {"max_tokens": 200, "response_format": SCHEMA, "logit_bias": plain}
        )
        assert made.choices[0].finish_reason == "stop"
        written(made.choices[0].message.content, Panel)
        cut = asked.chat.completions.create(**told | {"max_tokens": 3, "response_format": SCHEMA})
        assert cut.choices[0].finish_reason == "length"
        endless = asked.chat.completions.create(
            model=record["model"], messages=QUESTION, logit_bias={"0": -100, "2": -100}
        )
        assert endless.usage.total_tokens <= 256 and endless.choices[0].finish_reason == "length"
        with pytest.raises(openai.AuthenticationError):
            client(record, key="another-key-altogether").chat.completions.create(**told)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert not runs(record["engine_pid"]) and not records.running(home)


@pytest.mark.server
def test_our_own_client_looks_at_how_an_answer_ended(
    on_llama_cpp: Callable[[Path], dict[str, Any]], home: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = studio.serve(str(tiny_llama), **on_llama_cpp(home))
    assert isinstance(made, studio.Serving)
    with made as server:
        monkeypatch.setenv("SERVED_KEY", server.key)
        chat = ChatSettings(server=server.address, model=server.model, api_key_env="SERVED_KEY", timeout=60)

        def model(tokens: int) -> Any:
            return remote(RoleCall(chat=chat, sampling=SamplingSettings(max_tokens=tokens, temperature=0)), seed=1)

        message = [HumanMessage("Describe the structure of bone.")]
        assert model(8).invoke(message).response_metadata["finish_reason"] in ("length", "stop")
        with pytest.raises(DataError, match=r"cut off at sampling.max_tokens \(3\)"):
            model(3).with_structured_output(Panel).invoke(message)


@pytest.mark.server
def test_an_adapter_is_in_every_answer(
    on_llama_cpp: Callable[[Path], dict[str, Any]], home: Path, tiny_llama: Path, turning_adapter: Path
) -> None:
    said = {}
    for adapters in ((), (str(turning_adapter),)):
        made = studio.serve(str(tiny_llama), adapter=adapters, **on_llama_cpp(home))
        assert isinstance(made, studio.Serving)
        with made as server:
            asked = client(server.record.model_dump(mode="json"))
            told: dict[str, Any] = {"model": server.model, "messages": QUESTION, "max_tokens": 16, "temperature": 0}
            said[server.model] = asked.chat.completions.create(**told).choices[0].message.content
    base, loud = said
    assert base == tiny_llama.name and loud.startswith("loud-")
    assert said[base] != said[loud]


@pytest.mark.server
def test_a_killed_llama_cpp_comes_back(
    on_llama_cpp: Callable[[Path], dict[str, Any]], home: Path, tiny_llama: Path
) -> None:
    made = studio.serve(str(tiny_llama), **on_llama_cpp(home))
    assert isinstance(made, studio.Serving)
    with made as server:
        asked = client(server.record.model_dump(mode="json"))
        os.kill(server.record.engine_pid, signal.SIGKILL)
        until(lambda: server.record.restarts == 1 and records.running(home)[0].restarts == 1, "it is back")
        assert asked.chat.completions.create(model=server.model, messages=QUESTION, max_tokens=2).choices


@pytest.mark.server
def test_the_real_vllm_serves(home: Path, tmp_path: Path) -> None:
    if engines.vllm().version is None:
        pytest.skip("vLLM is not in .venv-vllm: make vllm, or make vllm VLLM=cpu")
    base, adapter = tmp_path / "wide", tmp_path / "adapters" / "loud"
    save_llama(base, head_dim=32)  # vLLM attends by no fewer on a CPU
    turn(base, adapter)
    made = studio.serve(str(base), adapter=(str(adapter),), engine="vllm", port=0, in_flight=16, context=1024)
    assert isinstance(made, studio.Serving)
    with made as server:
        asked = client(server.record.model_dump(mode="json"))
        assert [one.id for one in asked.models.list()] == [server.model]  # the adapter is in the weights
        told: dict[str, Any] = {"messages": QUESTION, "max_tokens": 128, "temperature": 0, "response_format": SCHEMA}
        made_one = asked.chat.completions.create(model=server.model, **told)
        assert made_one.choices[0].finish_reason == "stop"
        Panel.model_validate(json.loads(made_one.choices[0].message.content, strict=False))  # a random model's controls

        def long(seed: int) -> str:
            words = [{"role": "user", "content": f"{seed} " + "bone and nacre " * 100}]
            answer = asked.chat.completions.create(model=server.model, messages=words, max_tokens=8, seed=seed)
            assert answer.usage.prompt_tokens > 700  # three of them are more than is read at once
            return str(answer.choices[0].message.content)

        with ThreadPoolExecutor(16) as pool:
            assert len(list(pool.map(long, range(32)))) == 32
        assert server.record.restarts == 0


def test_a_model_is_written_for_llama_cpp_once(llama_cpp: None, home: Path, tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "no-template"
    shutil.copytree(tiny_llama, folder)
    with pytest.raises(UsageError, match="--gpu-memory is vLLM's"):
        studio.serve(str(folder), engine="llama.cpp", gpu_memory=0.5)
    assert not (home / "gguf").exists()
