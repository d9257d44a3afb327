"""The remote chat model against a scripted server: what it sends, what it reads, and each way a server can fail."""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, Field

from models.chat import exchange
from models.chat.choose import chat_model, describe
from models.chat.documents import wire_schema
from models.chat.local import LocalChat
from models.chat.remote import RemoteChat, remote
from models.chat.structured import structured
from tests.fixtures_chat import Fault, ScriptedServer, completion
from workspace.errors import DataError, ServiceError, UsageError
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

TALK = [SystemMessage("You are brief."), HumanMessage("How is it?")]
SHORT = 0.5
BOUND = 20.0  # seconds; far below what the server would take, far above what a busy machine needs


class Part(BaseModel):
    """One part of a material."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=2, max_length=40, json_schema_extra={"x-ask": "Name a part."})
    count: int = Field(ge=1, le=9)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PAUSE", 0.01)


def call(url: str, **chat: Any) -> RoleCall:
    given = {"model": "tiny", "timeout": 60, "retries": 1, "max_bytes": 20_000, **chat}
    sampling = SamplingSettings(temperature=0.2, top_p=0.8, max_tokens=64)
    return RoleCall(chat=ChatSettings(server=url, **given), sampling=sampling)


def fault_of(model: BaseChatModel, *, stream: bool) -> ServiceError:
    """Ask, expect a fault, and check what every fault has in common."""
    start = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        if stream:
            list(model.stream(TALK))
        else:
            model.invoke(TALK)
    assert time.monotonic() - start < BOUND
    assert "\n" not in str(caught.value)
    assert isinstance(model, RemoteChat)
    assert model.server in str(caught.value)
    return caught.value


def test_a_text_and_the_sampling_it_is_asked_with(openai_server: ScriptedServer) -> None:
    answer = remote(call(openai_server.url), seed=7).invoke(TALK)
    assert answer.content == "All is well."
    assert answer.response_metadata["finish_reason"] == "stop"
    asked = openai_server.requests[0]
    assert asked["model"] == "tiny"
    assert asked["messages"] == [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "How is it?"},
    ]
    assert (asked["seed"], asked["temperature"], asked["top_p"]) == (7, 0.2, 0.8)
    assert asked["max_tokens"] == 64  # the older name, which servers of every age read
    assert "max_completion_tokens" not in asked


def test_a_text_streams_piece_by_piece(openai_server: ScriptedServer) -> None:
    model = remote(call(openai_server.url))
    first = [str(piece.text) for piece in model.stream(TALK, seed=5) if piece.text]
    assert first == ["All is well."]  # of a model that nobody has heard yet, the whole: it may be reasoning
    pieces = list(model.stream(TALK, seed=5))
    texts = [str(piece.text) for piece in pieces if piece.text]
    assert texts == ["All", " is", " well."]
    assert any(piece.response_metadata.get("finish_reason") == "stop" for piece in pieces)
    assert openai_server.requests[0]["stream"] is True
    assert openai_server.requests[0]["seed"] == 5


def test_the_seed_of_a_call_goes_before_the_models_own(openai_server: ScriptedServer) -> None:
    model = remote(call(openai_server.url), seed=1)
    model.invoke(TALK, seed=2)
    model.invoke(TALK)
    assert [asked["seed"] for asked in openai_server.requests] == [2, 1]


def test_an_image_arrives_as_a_data_url(openai_server: ScriptedServer) -> None:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    image = {"type": "image_url", "image_url": {"url": url}}
    remote(call(openai_server.url)).invoke([HumanMessage([{"type": "text", "text": "What is this?"}, image])])
    content = openai_server.requests[0]["messages"][0]["content"]
    assert content[0] == {"type": "text", "text": "What is this?"}
    assert content[1]["image_url"]["url"] == url


def test_the_key_comes_from_the_named_variable(openai_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    openai_server.key = "sk-right"
    monkeypatch.setenv("A_KEY", "sk-right\n")
    assert remote(call(openai_server.url, api_key_env="A_KEY")).invoke(TALK).content == "All is well."


@pytest.mark.parametrize("value", ["", "  ", "sk-w\nrong", "sk-wröng"])
def test_a_variable_without_a_usable_key_is_named_and_not_told(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", value)
    with pytest.raises(UsageError, match="A_KEY") as caught:
        remote(call("http://127.0.0.1:9/v1", api_key_env="A_KEY"))
    assert "sk-w" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(UsageError, match="A_KEY"):
        remote(call("http://127.0.0.1:9/v1", api_key_env="A_KEY"))


def test_a_document_is_asked_for_by_schema_without_hints(openai_server: ScriptedServer) -> None:
    openai_server.script = [{"name": "fibre", "count": 3}]
    done = structured(remote(call(openai_server.url)), Part, TALK, seed=4)
    assert done.value == Part(name="fibre", count=3)
    assert done.repairs == 0
    asked = openai_server.requests[0]
    assert asked["seed"] == 4
    assert asked["response_format"]["type"] == "json_schema"
    wanted = asked["response_format"]["json_schema"]
    assert wanted["name"] == "Part"
    assert wanted["schema"] == wire_schema(Part)
    assert wanted["schema"]["additionalProperties"] is False
    assert "x-" not in json.dumps(wanted)
    assert "x-ask" in json.dumps(Part.model_json_schema())


def test_a_property_whose_name_begins_like_a_hint_stays() -> None:
    class Scan(BaseModel):
        ray: str = Field(alias="x-ray", json_schema_extra={"x-ask": "Which?"})

    assert set(wire_schema(Scan)["properties"]) == {"x-ray"}
    assert "x-ask" not in json.dumps(wire_schema(Scan))


def test_a_document_in_a_code_fence_is_read(openai_server: ScriptedServer) -> None:
    openai_server.script = ['```json\n{"name": "fibre", "count": 3}\n```']
    assert structured(remote(call(openai_server.url)), Part, TALK, seed=4).value.count == 3


def test_an_invalid_document_is_sent_back_with_its_faults(openai_server: ScriptedServer) -> None:
    openai_server.script = [{"name": "fibre", "count": 30}, {"name": "fibre", "count": 3}]
    done = structured(remote(call(openai_server.url)), Part, TALK, seed=4)
    assert (done.value.count, done.repairs) == (3, 1)
    first, second = openai_server.requests
    assert second["messages"][: len(first["messages"])] == first["messages"]
    answered, told = second["messages"][-2:]
    assert answered["role"] == "assistant"
    assert json.loads(answered["content"])["count"] == 30
    assert told["role"] == "user"
    assert "count" in told["content"]
    assert "less than or equal to 9" in told["content"]


@pytest.mark.parametrize("answer", ["no JSON at all", '{"name": "fib', '{"name": "fibre", "count": 3, "more": 1}', ""])
def test_a_document_that_stays_invalid_is_a_data_error(openai_server: ScriptedServer, answer: str) -> None:
    openai_server.script = [answer]
    with pytest.raises(DataError, match="valid Part after 2 repairs") as caught:
        structured(remote(call(openai_server.url)), Part, TALK, seed=4)
    assert "\n" not in str(caught.value)
    assert len(openai_server.requests) == 3


def test_structured_output_in_langchains_own_way(openai_server: ScriptedServer) -> None:
    model = remote(call(openai_server.url))
    openai_server.script = [{"name": "fibre", "count": 3}]
    assert model.with_structured_output(Part).invoke(TALK) == Part(name="fibre", count=3)
    told = model.with_structured_output(Part, include_raw=True).invoke(TALK)
    assert told["parsed"] == Part(name="fibre", count=3)
    assert isinstance(told["raw"], AIMessage)
    openai_server.script = [{"name": "fibre", "count": 30}]
    told = model.with_structured_output(Part, include_raw=True).invoke(TALK)
    assert told["parsed"] is None
    assert isinstance(told["parsing_error"], DataError)
    with pytest.raises(DataError, match="count"):
        model.with_structured_output(Part).invoke(TALK)
    with pytest.raises(UsageError, match="pydantic class"):
        model.with_structured_output({"type": "object"})  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_listens(closed_url: str, stream: bool) -> None:
    assert "cannot be reached" in str(fault_of(remote(call(closed_url)), stream=stream))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_an_answer_that_does_not_come_in_time(openai_server: ScriptedServer, kind: str, stream: bool) -> None:
    openai_server.script = [Fault(kind)]
    assert "within 0.5 s" in str(fault_of(remote(call(openai_server.url, timeout=SHORT)), stream=stream))
    assert len(openai_server.requests) <= 1


def test_a_stream_that_stops_in_the_middle(openai_server: ScriptedServer) -> None:
    openai_server.script = [Fault("stall")]
    assert "within 0.5 s" in str(fault_of(remote(call(openai_server.url, timeout=SHORT)), stream=True))


def test_a_stream_that_breaks_off(openai_server: ScriptedServer) -> None:
    openai_server.script = [Fault("cut")]
    assert "broke off" in str(fault_of(remote(call(openai_server.url)), stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_closes_without_a_word(openai_server: ScriptedServer, stream: bool) -> None:
    openai_server.script = [Fault("drop"), "All is well."]
    assert remote(call(openai_server.url)).invoke(TALK).content == "All is well."
    openai_server.script = [Fault("drop")]
    fault_of(remote(call(openai_server.url)), stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_end(openai_server: ScriptedServer, stream: bool) -> None:
    openai_server.script = [Fault("endless")]
    assert "larger than 20000 bytes" in str(fault_of(remote(call(openai_server.url)), stream=stream))


def test_a_long_answer_is_refused_though_it_has_an_end(openai_server: ScriptedServer) -> None:
    openai_server.script = ["a" * 30_000]
    assert "larger than 20000 bytes" in str(fault_of(remote(call(openai_server.url)), stream=False))


@pytest.mark.parametrize("stream", [False, True])
def test_a_packed_answer_is_unpacked_within_the_limit(openai_server: ScriptedServer, stream: bool) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "All is well."}, "finish_reason": "stop"}
    whole = json.dumps(completion("chat.completion", [choice])).encode()
    model = remote(call(openai_server.url))
    for pack, name in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
        openai_server.script = [Fault("body", body=pack(whole), headers={"content-encoding": name})]
        assert model.invoke(TALK).content == "All is well."
        assert "".join(str(piece.text) for piece in model.stream(TALK)) == "All is well."
        openai_server.script = [Fault("body", body=pack(b" " * 30_000_000), headers={"content-encoding": name})]
        told = fault_of(model, stream=stream)
        assert "larger than 20000 bytes" in str(told) and "chat.max_bytes" in str(told.hint)
        openai_server.script = [Fault("body", body=pack(whole)[:-9], headers={"content-encoding": name})]
        fault_of(model, stream=stream)
    assert openai_server.headers[0]["accept-encoding"] == "identity"
    openai_server.script = [Fault("body", body="?", headers={"content-encoding": "br"})]
    told = fault_of(model, stream=stream)
    assert "compressed as br" in str(told) and "chat.max_bytes" not in str(told)


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_is_always_out_of_order(openai_server: ScriptedServer, stream: bool) -> None:
    openai_server.script = [Fault("status")]
    told = str(fault_of(remote(call(openai_server.url, retries=2)), stream=stream))
    assert "HTTP 500" in told
    assert "out of order" in told
    assert len(openai_server.requests) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_recovers(openai_server: ScriptedServer, status: int) -> None:
    openai_server.script = [Fault("status", status), Fault("status", status), "All is well."]
    assert remote(call(openai_server.url, retries=2)).invoke(TALK).content == "All is well."
    assert len(openai_server.requests) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_key(openai_server: ScriptedServer, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    openai_server.key = "sk-right"
    told = fault_of(remote(call(openai_server.url)), stream=stream)
    assert "wants a key (HTTP 401)" in str(told)
    assert "api_key_env" in str(told.hint)
    assert len(openai_server.requests) == 1
    assert "authorization" not in openai_server.headers[0]
    monkeypatch.setenv("A_KEY", "sk-wrong-one")
    told = fault_of(remote(call(openai_server.url, api_key_env="A_KEY")), stream=stream)
    assert "refused the key (HTTP 401): wrong key ***" in str(told)


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_the_server_lacks(openai_server: ScriptedServer, stream: bool) -> None:
    told = str(fault_of(remote(call(openai_server.url, model="absent")), stream=stream))
    assert "'absent'" in told
    assert "tiny, other" in told


def test_a_url_that_is_not_a_chat_servers(openai_server: ScriptedServer) -> None:
    openai_server.models = None
    told = fault_of(remote(call(openai_server.url)), stream=False)
    assert "HTTP 404" in str(told)
    assert "/v1" in str(told.hint)


def test_a_request_the_server_refuses(openai_server: ScriptedServer) -> None:
    body = json.dumps({"error": {"message": "the prompt is\ntoo long"}})
    openai_server.script = [Fault("status", 400, body)]
    assert "the prompt is" in str(fault_of(remote(call(openai_server.url)), stream=False))
    assert len(openai_server.requests) == 1


BODIES = {
    "half": '{"id": "c-1", "choices": [{"index": 0, "mess',
    "page": "<html>\n<body>Welcome</body>\n</html>",
    "list": "[1, 2]",
    "empty": "",
    "no choices": json.dumps(completion("chat.completion", [])),
    "null choices": json.dumps(completion("chat.completion", None)),
    "odd choices": json.dumps({**completion("chat.completion", []), "choices": [{"index": 0}]}),
    "an error": json.dumps({"error": {"message": "out of order"}}),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_an_answer_that_is_none(openai_server: ScriptedServer, body: str, stream: bool, kind: str) -> None:
    openai_server.script = [Fault("body", body=body, headers={"content-type": kind})]
    fault_of(remote(call(openai_server.url)), stream=stream)


STREAMS = ["no choices", "null choices", "half", "an error", "odd choices"]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_something_else(openai_server: ScriptedServer, name: str) -> None:
    body = f"data: {BODIES[name]}\n\ndata: [DONE]\n\n"
    openai_server.script = [Fault("body", body=body, headers={"content-type": "text/event-stream"})]
    fault_of(remote(call(openai_server.url)), stream=True)


@pytest.mark.parametrize("url", ["http://", "http://a b/v1", "http://127.0.0.1:99999/v1", "http://[::1/v1"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises((UsageError, ServiceError)) as caught:
        remote(call(url)).invoke(TALK)
    assert "\n" not in str(caught.value)
    assert url.rstrip("/") in str(caught.value)


def test_the_chat_model_of_a_role_is_local_or_remote(openai_server: ScriptedServer, tiny_llama: Path) -> None:
    far = call(openai_server.url)
    assert isinstance(chat_model(far, Path("nowhere"), seed=3), RemoteChat)
    assert describe(far, Path("nowhere")) == {"model": "tiny", "server": openai_server.url}
    near = RoleCall(chat=ChatSettings(model=str(tiny_llama), dtype="float32", device="cpu"), sampling=far.sampling)
    model = chat_model(near, Path("nowhere"), seed=3)
    assert isinstance(model, LocalChat)
    assert (model.folder, model.seed, model.dtype, model.sampling.max_tokens) == (tiny_llama, 3, "float32", 64)
    told = describe(near, Path("nowhere"))
    assert told["model"] == str(tiny_llama)
    assert len(told["fingerprint"]) == 64


def test_a_local_model_that_is_not_there(home: Path) -> None:
    near = RoleCall(chat=ChatSettings(model="smollm2-135m-instruct"), sampling=SamplingSettings())
    with pytest.raises(ServiceError) as caught:
        chat_model(near, home)
    assert caught.value.hint == "studio models fetch smollm2-135m-instruct"
