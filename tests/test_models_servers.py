"""Servers: who gets which key, through which proxy, how long is waited, and how each fault of an answer is told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, Field

import studio
from models.chat import dialects, exchange
from models.chat.addresses import address, proxy_for
from models.chat.answers import THOUGHTS, BrokenOff, Speech, pieces, spoken
from models.chat.documents import in_words, written
from models.chat.refusals import clean, reason
from models.chat.remote import RemoteChat, remote
from models.chat.structured import structured
from models.chat.tracing import trace
from tests.fixtures_dialects import TEXT, THOUGHT, DialectServer, Quirk, Refusal, refused
from workspace.errors import DataError, ServiceError, UsageError, masked
from workspace.layers import PROFILES
from workspace.settings import ChatSettings, RoleCall, SamplingSettings, load_settings, resolved

TALK = [SystemMessage("You are brief."), HumanMessage("How is it?")]


class Part(BaseModel):
    """One part of a material."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=2, max_length=40, description="What it is called")
    count: int = Field(ge=1, le=9)
    kinds: list[str] = Field(default_factory=list, max_length=3)


def model(url: str, *, sampling: SamplingSettings | None = None, **chat: Any) -> RemoteChat:
    settings = ChatSettings(server=url, **{"model": "tiny", "timeout": 60, "retries": 1, **chat})
    return remote(RoleCall(chat=settings, sampling=sampling or SamplingSettings(max_tokens=64)))


def streamed(of: RemoteChat) -> str:
    return "".join(str(piece.text) for piece in of.stream(TALK))


# What an answer says


FAULTS: dict[str, tuple[Quirk, str]] = {
    "all_spent_on_reasoning": (
        Quirk(message=lambda text, body: {"content": "", "reasoning_content": THOUGHT}, finish="length"),
        r"all of sampling\.max_tokens \(64\) went into reasoning",
    ),
    "unclosed thinking": (
        Quirk(message=lambda text, body: {"content": f"<think>{THOUGHT}"}, finish="length"),
        r"all of sampling\.max_tokens \(64\) went into reasoning",
    ),
    "cut before a word": (Quirk(message=lambda text, body: {"content": ""}, finish="length"), "before its first word"),
    "refusal": (
        Quirk(message=lambda text, body: {"content": None, "refusal": "I cannot help with that."}),
        "the model refused: I cannot help with that.",
    ),
    "filter": (Quirk(finish="content_filter"), "content filter"),
    "finish_error": (Quirk(finish="error"), "broke off midway"),
    "aborted": (Quirk(finish="abort"), "broke off midway"),
    "a tool": (
        Quirk(
            message=lambda text, body: {
                "content": None,
                "tool_calls": [{"function": {"name": "paint", "arguments": "{}"}}],
            }
        ),
        "a call of the tool 'paint'",
    ),
    "reasoning alone": (
        Quirk(message=lambda text, body: {"content": None, "reasoning_content": THOUGHT}),
        "stands in its reasoning",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_answer_is_said_in_those_words(dialect_server: DialectServer, name: str) -> None:
    dialect_server.quirk, words = FAULTS[name]
    for ask in (streamed, lambda of: of.invoke(TALK)):
        with pytest.raises(ServiceError, match=words) as caught:
            ask(model(dialect_server.url))
        assert dialect_server.url in str(caught.value)
        if "max_tokens" in words:
            assert "raise sampling.max_tokens" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("quirk", "words", "asked"),
    [
        (FAULTS["all_spent_on_reasoning"][0], r"all of sampling\.max_tokens \(64\) went into reasoning", 1),
        (FAULTS["refusal"][0], "the model refused", 1),
        (FAULTS["filter"][0], "content filter", 1),
        (Quirk(message=lambda text, body: {"content": '{"name": "fib'}, finish="length"), "cut off at sampling.max", 3),
        (Quirk(message=lambda text, body: {"content": "I would rather not."}), "no whole JSON object", 3),
    ],
)
def test_why_a_document_is_none(dialect_server: DialectServer, quirk: Quirk, words: str, asked: int) -> None:
    dialect_server.quirk = quirk
    with pytest.raises(DataError, match=words) as caught:
        structured(model(dialect_server.url), Part, TALK, seed=1)
    assert THOUGHT not in str(caught.value)
    assert len(dialect_server.requests) == asked  # not again where the same would be said again


def test_a_draft_in_reasoning_that_was_cut_off_is_no_answer(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(
        message=lambda text, body: {"content": None, "reasoning_content": f"A draft: {GOOD}. But"}, finish="length"
    )
    with pytest.raises(DataError, match="went into reasoning"):
        structured(model(dialect_server.url), Part, TALK, seed=1)


def test_an_error_in_the_middle_of_a_stream(dialect_server: DialectServer) -> None:
    error = json.dumps({"error": {"message": "provider\nwent away", "code": 502}})
    dialect_server.quirk = Quirk(events=lambda events: [*events[:3], error])
    with pytest.raises(ServiceError, match="provider went away"):
        streamed(model(dialect_server.url))


def test_half_a_stream_is_no_answer(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(events=lambda events: events[:3])
    with pytest.raises(ServiceError, match="broke off"):
        streamed(model(dialect_server.url))


def test_a_model_that_thinks_unannounced_is_heard_out(dialect_server: DialectServer) -> None:
    of = model(dialect_server.url)
    assert [str(piece.text) for piece in of.stream(TALK) if piece.text] == [TEXT]
    assert len([piece for piece in of.stream(TALK) if piece.text]) > 3
    dialect_server.quirk = Quirk(message=lambda text, body: {"content": f"{THOUGHT}\n</think>\n\n{text}"})
    other = model(dialect_server.url, model="seeing")
    for _ in range(2):
        assert streamed(other).strip() == TEXT


@given(st.text(), st.sampled_from(THOUGHTS), st.lists(st.integers(1, 9), max_size=30), st.booleans())
def test_reasoning_is_cut_off_wherever_the_pieces_end(
    text: str, marks: tuple[str, str], sizes: list[int], announced: bool
) -> None:
    wanted = spoken(text)
    whole = f"{marks[0] if announced else ''}{THOUGHT}{marks[1]}{wanted}"
    speech, said, place = Speech(wait=not announced), "", 0
    for size in sizes:
        said += speech.heard(whole[place : place + size])
        place += size
    said += speech.heard(whole[place:]) + speech.heard("", last=True)
    assert said == wanted == spoken(whole)


def test_half_a_pair_waits_for_the_other() -> None:
    speech = Speech()
    assert speech.heard("fine \ud83d") == "fine "
    assert speech.heard("\ude00!") == "😀!"
    assert clean("\ud83d alone \udc00") == "\ufffd alone \ufffd"
    assert clean("a\x00b\x1b[31m\tc\r\nd\x9b") == "a\ufffdb\ufffd[31m\tc\nd\ufffd"


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_an_answer_or_a_plain_fault(data: bytes, size: int) -> None:
    chunks = [data[place : place + size] for place in range(0, len(data), size)]
    for form in (chunks, [b"data: ", *chunks, b"\n\ndata: [DONE]\n\n"]):
        try:
            list(pieces(form))
        except (ValueError, BrokenOff, exchange.Refused, TypeError, KeyError, AttributeError):
            continue


GOOD = '{"name": "fibre", "count": 3}'


@pytest.mark.parametrize(
    "answer",
    [
        f"Sure. {{Here}} it is:\n~~~json\n{GOOD}\n~~~ done {{}}",
        f'<think>{{"name": "draft", "count": 1}}</think>{GOOD}</s>',
        f'First {{"name": "x", "count": 0}}, then better: {GOOD}',
        json.dumps(GOOD),
        json.dumps({"Part": {"name": "fibre", "count": 3}}),
        json.dumps({"type": "object", "properties": {"name": "fibre", "count": 3}}),
        json.dumps({"name": "Part", "arguments": GOOD}),
        f"```JSON {GOOD}",
        '{"name": "fibre", "count": 3, "kinds": ["a", "b",],}',
        '{"name": "fibre", "count": 3, "kinds": ["a\nb"]}',
    ],
)
def test_a_document_is_found(answer: str) -> None:
    assert (written(answer, Part).name, written(answer, Part).count) == ("fibre", 3)


@given(st.text(alphabet='{}[]":,ab1\\ \n`'))
def test_whatever_comes_is_a_document_or_a_fault(text: str) -> None:
    with pytest.raises((DataError, ValueError)):
        written(text, Part)


def test_the_fields_in_words() -> None:
    told = in_words(Part).splitlines()[1:]
    assert told == [
        "- name: text of 2 to 40 characters. What it is called",
        "- count: whole number of 1 to 9",
        "- kinds: list of at most 3 of text",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "too\\nlong"}}', "too long"),
        ('{"error": "plain"}', "plain"),
        (
            '{"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs", "input": {"top_p": 1}}]}',
            "body.seed: Extra inputs",
        ),
        ('{"error": {"message": "Provider error", "metadata": {"raw": "no seed"}}}', "Provider error; no seed"),
        ("<html><title>502 Bad\nGateway</title></html>", "502 Bad Gateway"),
        ("out of\nmemory", "out of memory"),
        ("{}", ""),
    ],
)
def test_the_words_of_a_refusal(body: str, words: str) -> None:
    assert reason(body) == words


def test_a_value_out_of_range_is_told_and_not_left_out(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(lambda body: refused(400, "max_tokens is too large: 64, at most 32"))
    with pytest.raises(ServiceError, match="at most 32"):
        model(dialect_server.url).invoke(TALK)
    assert len(dialect_server.requests) == 1


def test_what_did_not_help_is_not_remembered(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(lambda body: refused(400, "unknown field: seed, top_p"))
    of = model(dialect_server.url)
    with pytest.raises(ServiceError, match="unknown field"):
        of.invoke(TALK, seed=3)
    assert not dialects.known((dialect_server.url, "tiny"))


def test_values_can_be_left_out(dialect_server: DialectServer) -> None:
    wanted = {"sampling.temperature": "none", "roles.engineer.top_p": "none", "chat.server": dialect_server.url}
    call = resolved(load_settings("remote", wanted), "engineer")
    assert (call.sampling.temperature, call.sampling.top_p) == (None, None)
    remote(call).invoke(TALK)
    assert not {"temperature", "top_p", "seed"} & set(dialect_server.requests[0])


# Patience


class Clock:
    """Time that passes only where it is slept."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(exchange, "clock", made)
    monkeypatch.setattr(exchange, "sleep", made.sleep)
    return made


def busy(times: int, refusal: Refusal) -> Quirk:
    left = iter([refusal] * times)
    return Quirk(lambda body: next(left, None))


def after(value: str, status: int = 429) -> Refusal:
    return Refusal(status, {"error": {"message": "slow down"}}, {"retry-after": value})


def test_a_server_that_says_how_long_is_waited_for(dialect_server: DialectServer, clock: Clock) -> None:
    dialect_server.quirk = busy(4, after("3"))
    assert streamed(model(dialect_server.url, retries=0)) == TEXT
    assert clock.slept == [3.0] * 4


def test_a_server_may_name_a_date(dialect_server: DialectServer, clock: Clock) -> None:
    dialect_server.quirk = busy(1, after(format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)))
    assert streamed(model(dialect_server.url, retries=0)) == TEXT
    assert 10 < clock.slept[0] <= 20


def test_nobody_waits_beyond_the_timeout(dialect_server: DialectServer, clock: Clock) -> None:
    dialect_server.quirk = busy(99, after("3600"))
    with pytest.raises(ServiceError, match=r"HTTP 429: slow down; it asks to be left alone for 3600 s") as caught:
        model(dialect_server.url).invoke(TALK)
    assert "chat.timeout" in str(caught.value.hint)
    assert not clock.slept
    dialect_server.quirk = busy(10_000, after("1"))
    with pytest.raises(ServiceError, match="HTTP 429"):
        model(dialect_server.url).invoke(TALK)
    assert 50 < clock.now <= 60


def test_a_model_that_is_being_loaded_is_waited_for(dialect_server: DialectServer, clock: Clock) -> None:
    dialect_server.quirk = busy(6, refused(503, "Loading model"))
    assert model(dialect_server.url, retries=0).invoke(TALK).content == TEXT
    assert sum(clock.slept) < 60


@pytest.mark.parametrize("status", [520, 522, 524, 529])
def test_a_gateway_that_recovers(dialect_server: DialectServer, clock: Clock, status: int) -> None:
    dialect_server.quirk = busy(2, Refusal(status, "<html><title>Web server is down</title></html>"))
    assert model(dialect_server.url, retries=2).invoke(TALK).content == TEXT
    dialect_server.quirk = busy(2, Refusal(status, "<html><title>Web server is down</title></html>"))
    with pytest.raises(ServiceError, match=f"HTTP {status}: Web server is down"):
        model(dialect_server.url, retries=1).invoke(TALK)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_named_and_not_followed(
    dialect_server: DialectServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-right")
    there = dialect_server.url.replace("//", "//a:s3cret@") + "/elsewhere"
    dialect_server.quirk = Quirk(lambda body: Refusal(status, "", {"location": there}))
    with pytest.raises(ServiceError, match=rf"points to http://\*\*\*@127.* \(HTTP {status}\)") as caught:
        model(dialect_server.url, api_key_env="A_KEY").invoke(TALK)
    assert "s3cret" not in str(caught.value) and len(dialect_server.paths) == 1


# Keys and addresses


@pytest.fixture(autouse=True)
def _own_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OPENAI_", "LANGCHAIN_", "LANGSMITH_")):
            monkeypatch.delenv(name)
    yield


def test_openais_key_stays_at_openai(dialect_server: DialectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, f"sk-live-{name}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/elsewhere")
    usual = load_settings("remote")
    where = address(resolved(usual, "engineer").chat)
    assert where.headers["Authorization"] == "Bearer sk-live-OPENAI_API_KEY"
    assert where.headers["OpenAI-Organization"] == "sk-live-OPENAI_ORG_ID"
    assert str(where.url) == "https://api.openai.com/v1"
    own = load_settings("remote", {"chat.server": dialect_server.url, "chat.model": "tiny"})
    role = load_settings("remote", {"roles.reviewer.server": dialect_server.url, "roles.reviewer.model": "tiny"})
    for call in (resolved(own, "engineer"), resolved(role, "reviewer")):
        assert call.chat.api_key_env is None
        remote(call).invoke(TALK)
    assert "sk-live" not in json.dumps(dialect_server.headers)
    assert resolved(role, "engineer").chat.api_key_env == "OPENAI_API_KEY"
    meant = load_settings("remote", {"chat.server": dialect_server.url, "chat.api_key_env": "OPENAI_API_KEY"})
    remote(resolved(meant, "engineer")).invoke(TALK)
    assert dialect_server.headers[-1]["authorization"] == "Bearer sk-live-OPENAI_API_KEY"
    assert "openai-organization" not in dialect_server.headers[-1]


def test_a_key_belongs_to_the_server_it_was_set_beside(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "studio.toml").write_text(
        'profile = "remote"\n[chat]\nserver = "http://a.example/v1"\napi_key_env = "A"\n'
        '[roles.critic]\nserver = "http://a.example:80/v1/"\nmodel = "eye"\n'
        '[roles.engineer]\nserver = "http://b.example/v1"\napi_key_env = "B"\n'
    )
    here = load_settings()
    assert [resolved(here, role).chat.api_key_env for role in ("scientist", "critic", "engineer")] == ["A", "A", "B"]
    monkeypatch.setenv("STUDIO_CHAT__SERVER", "http://c.example/v1")
    assert load_settings().chat.api_key_env is None
    assert load_settings().origins["chat.api_key_env"] == "another server at STUDIO_CHAT__SERVER"
    monkeypatch.setenv("STUDIO_CHAT__API_KEY_ENV", "C")
    assert load_settings().chat.api_key_env == "C"
    elsewhere = load_settings(overrides={"roles.engineer.server": "http://d.example/v1"})
    assert resolved(elsewhere, "engineer").chat.api_key_env is None


def test_a_key_is_not_sent_to_the_server_of_a_distillation() -> None:
    from training.distil.config import DistilConfig

    usual = load_settings("remote")
    there = DistilConfig(server="http://127.0.0.1:9/v1").call(usual.chat, usual.sampling)
    assert (there.chat.server, there.chat.api_key_env) == ("http://127.0.0.1:9/v1", None)
    assert DistilConfig().call(usual.chat, usual.sampling).chat.api_key_env == "OPENAI_API_KEY"
    mine = load_settings(overrides={"chat.api_key_env": "MINE"})
    assert DistilConfig(server="http://127.0.0.1:9/v1").call(mine.chat, mine.sampling).chat.api_key_env == "MINE"


def test_a_working_folder_does_not_switch_tracing_on(home: Path, tmp_path: Path) -> None:
    (tmp_path / "studio.toml").write_text("[tracing]\nlangsmith = true\n")
    with pytest.raises(UsageError, match=r"tracing\.langsmith is not taken from the working folder"):
        load_settings(cwd=tmp_path)
    (tmp_path / "studio.toml").write_text("[tracing]\nlangsmith = false\n")
    assert not load_settings(cwd=tmp_path).tracing.langsmith


def test_a_shipped_profile_is_trusted_wherever_one_stands(home: Path) -> None:
    (home / "studio.toml").write_text('profile = "remote"\n')
    assert load_settings(cwd=PROFILES.parent.parent).chat.server == "https://api.openai.com/v1"


def test_a_query_stays_where_it_belongs(dialect_server: DialectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-azure")
    url = f"{dialect_server.url}/deployments/d/?api-version=2024-10-21"
    model(load_settings("remote", {"chat.server": url}).chat.server or "", api_key_env="A_KEY").invoke(TALK)
    assert dialect_server.paths == ["/v1/deployments/d/chat/completions?api-version=2024-10-21"]
    assert dialect_server.headers[0]["api-key"] == "sk-azure"
    model(f"{dialect_server.url}/chat/completions").invoke(TALK)
    assert dialect_server.paths[-1] == "/v1/chat/completions"
    with pytest.raises(UsageError, match="after #"):
        model(f"{dialect_server.url}#v1")


def test_a_password_in_a_url_is_sent_and_never_shown(dialect_server: DialectServer, closed_url: str) -> None:
    of = model(dialect_server.url.replace("//", "//me:s3%40cret@"))
    of.invoke(TALK)
    assert dialect_server.headers[0]["authorization"] == "Basic bWU6czNAY3JldA=="
    assert "s3" not in of.server and "s3" not in repr(of._where)
    dialect_server.quirk = Quirk(lambda body: refused(400, "you sent bWU6czNAY3JldA== or s3@cret"))
    for ask in (of, model(closed_url.replace("//", "//me:s3%40cret@"))):
        with pytest.raises(ServiceError) as caught:
            ask.invoke(TALK)
        assert "s3" not in str(caught.value) and "bWU6" not in str(caught.value) and "***" in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://me:s3cret@h/v1", "me:s3cret@h/v1", "http://me:s3/cret@h/v1"])
def test_a_wrong_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises((UsageError, ServiceError)) as caught:
        remote(resolved(load_settings("remote", {"chat.server": url, "chat.retries": 0}), "engineer")).invoke(TALK)
    assert "s3" not in str(caught.value) and "cret" not in str(caught.value)


def test_a_key_in_a_query_is_masked_wherever_it_is_repeated(dialect_server: DialectServer) -> None:
    for name in ("key", "auth", "access_token", "subscription-key", "X-Amz-Signature", "pwd"):
        of = model(f"{dialect_server.url}?api-version=1&{name}=topsecret9")
        dialect_server.quirk = Quirk(lambda body: refused(400, "the value topsecret9 is not known"))
        with pytest.raises(ServiceError, match=r"the value \*\*\* is not known") as caught:
            of.invoke(TALK)
        assert "topsecret9" not in f"{caught.value}{of.server}{of._where!r}"
        assert dialect_server.paths[-1].endswith(f"?api-version=1&{name}=topsecret9")


def test_what_is_masked() -> None:
    assert masked("at https://me:p@ss@h.example:1/v1?api-version=1&key=abc#x") == (
        "at https://***@h.example:1/v1?api-version=1&key=***#x"
    )
    assert masked("see https://h.example/@scope/x, 10:30 @ noon") == "see https://h.example/@scope/x, 10:30 @ noon"


def test_no_file_of_a_run_holds_a_password(
    dialect_server: DialectServer, workers_in_threads: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fixtures_run import InstantPainter

    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    monkeypatch.setattr("pipelines.pictures.painter.Painter.load", lambda settings, home: InstantPainter())
    url = dialect_server.url.replace("//", "//me:s3cret@")
    wanted = load_settings(
        "remote", {"chat.server": url, "chat.model": "tiny", "flow.images": 1, "vision.model": "none"}
    )
    run = studio.design("a tough panel", seed=4, settings=wanted)
    dialect_server.quirk = Quirk(lambda body: refused(400, "no"))
    with pytest.raises(ServiceError):
        studio.design("a tough panel", seed=5, settings=wanted)
    held = [path for path in (home / "runs").rglob("*") if path.is_file()]
    assert not [path for path in held if b"s3cret" in path.read_bytes()]
    assert b"***@" in (run.folder / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    ("url", "listed", "taken"),
    [
        ("https://models.example/v1", "", "http://proxy.example:3128"),
        ("http://models.example/v1", "", "http://plain.example:3128"),
        ("http://127.0.0.1:8000/v1", "", None),
        ("http://localhost:8000/v1", "", None),
        ("http://[::1]:8000/v1", "", None),
        ("https://models.example/v1", "example", None),
        ("https://models.example/v1", "other.org, models.example", None),
        ("https://10.1.2.3/v1", "10.0.0.0/8", None),
        ("https://models.example/v1", "*", None),
    ],
)
def test_which_proxy_is_taken(url: str, listed: str, taken: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "plain.example:3128")
    monkeypatch.setenv("NO_PROXY", listed)
    assert proxy_for(httpx2.URL(url)) == taken


def test_a_proxy_is_used(dialect_server: DialectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    here = dialect_server.url.removesuffix("/v1")
    monkeypatch.setenv("HTTP_PROXY", here)
    monkeypatch.setenv("http_proxy", here)
    monkeypatch.setenv("HTTPS_PROXY", here.replace("//", "//me:s3cret@"))
    assert model("http://models.invalid/v1").invoke(TALK).content == TEXT
    assert dialect_server.paths == ["http://models.invalid/v1/chat/completions"]
    with pytest.raises(ServiceError, match=r"through the proxy http://\*\*\*@127\.0\.0\.1") as caught:
        model("https://models.invalid/v1").invoke(TALK)
    assert dialect_server.paths[-1] == "models.invalid:443" and "NO_PROXY" in str(caught.value.hint)


# Tracing


def test_nobody_is_told_of_what_is_said(dialect_server: DialectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import langsmith
    from langsmith.utils import get_env_var, tracing_is_enabled

    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_HANDLER"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", dialect_server.url)
    get_env_var.cache_clear()
    try:
        assert tracing_is_enabled()
        trace(load_settings("remote").tracing.langsmith)
        assert not tracing_is_enabled()
        model(dialect_server.url).invoke(TALK)
        assert dialect_server.paths == ["/v1/chat/completions"]
        trace(load_settings("remote", {"tracing.langsmith": True}).tracing.langsmith)
        assert tracing_is_enabled()
    finally:
        langsmith.configure(enabled=None)
        get_env_var.cache_clear()
