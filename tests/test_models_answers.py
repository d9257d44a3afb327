"""Answers as a person reads them: reasoning of every form, JSON not strict, what a refusal says, when to wait."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, ConfigDict, Field

from models.chat import dialects, exchange
from models.chat.answers import Speech, spoken
from models.chat.documents import written
from models.chat.lenient_json import lenient
from models.chat.refusals import reason
from models.chat.remote import remote
from models.chat.structured import structured
from tests.fixtures_dialects import TEXT, THOUGHT, DialectServer, Quirk, Refusal, refused
from tests.fixtures_refusals import error
from workspace.errors import DataError, ServiceError
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

ASKED = [HumanMessage("How is it?")]
HARMONY, FINAL = "<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>"
FORMS = {
    "channels": f"{HARMONY}{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}<|return|>",
    "the first role too": f"<|start|>assistant{HARMONY}{THOUGHT}<|end|>\n{FINAL}{TEXT}",
    "a form beside the channel": f"{HARMONY}{THOUGHT}<|end|><|start|>assistant<|channel|>final json<|message|>{TEXT}",
    "a preamble": f"{HARMONY}{THOUGHT}<|channel|>commentary<|message|>{THOUGHT}<|channel|>final<|message|>{TEXT}",
    "an answer outside channels": f"{HARMONY}{THOUGHT}<|end|>{TEXT}",
    "the last channel alone": f"<|channel|>final<|message|>{TEXT}",
    "twice": f"<think>{THOUGHT}</think>{TEXT}<think>{THOUGHT}</think>",
    "capitals": f"<Thinking>{THOUGHT}</THINKING>{TEXT}",
    "a box": f"<think>{THOUGHT}</think><|begin_of_box|>{TEXT}<|end_of_box|>",
    "an end at the head": f"</s>{TEXT}</s> more",
    "a role at the head": f"<|im_start|>assistant\n{TEXT}<|im_end|>\n<|im_start|>user",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2, 5, 11, 1000])
@pytest.mark.parametrize("wait", [True, False])
def test_a_form_of_reasoning(form: str, size: int, wait: bool) -> None:
    whole, speech = FORMS[form], Speech(wait=wait)
    said = "".join(speech.heard(whole[place : place + size]) for place in range(0, len(whole), size))
    assert (said + speech.heard("", last=True)).strip() == TEXT == spoken(whole)


class Part(BaseModel):
    """One part of a material."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=2)
    count: int = Field(ge=1, le=9)


GOOD = '{"name": "fibre", "count": 3}'


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "fibre", "count": 3,} as you wished',
        '{"name": "fibre", // of silk\n "count": 3 /* or 4 */}',
        '{"name": "fibre", # of silk\n "count": 3}',
        "{'name': 'fibre', 'count': 3}",
        "{“name”: “fibre”, “count”: 3}",
        "{„name“: „fibre“, „count“: 3}",
        "{«name»: «fibre», «count»: 3}",
        "{name: 'fibre', count: +3}",
        '{"name": "fibre"\n "count": 3}',
        '{"name"： "fibre"， "count"： 3}',
        f"So: {json.dumps(GOOD)}, that is it",
        "> {\n> 'name': 'fibre',\n> 'count': 3\n> }",
        f'```json\n{{"name": "draft"}}\n```\nno, better\n```json\n{GOOD}\n```',
        f"- an answer\n  - {GOOD}\n- done",
    ],
)
def test_a_document_that_is_not_strict(answer: str) -> None:
    assert (written(answer, Part).name, written(answer, Part).count) == ("fibre", 3)


def test_marks_within_a_text_are_its_letters() -> None:
    assert written("{'name': 'a spider's web', 'count': 3}", Part).name == "a spider's web"
    assert written('{"name": "so "soft" a fibre", "count": 3}', Part).name == 'so "soft" a fibre'
    assert written("{'name': '\\\\mu \\u00b5', 'count': 3}", Part).name == "\\mu µ"


@pytest.mark.parametrize(
    "answer", ['{"name": "fibre", "count": 3', "{'name': 'fib", "{name: see below}", "{the} end", "{"]
)
def test_what_is_cut_off_is_no_document(answer: str) -> None:
    with pytest.raises(DataError, match="no whole JSON object"):
        written(answer, Part)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9)
    | st.text(alphabet="ab é竹{}[]:,/*"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="ab_", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_strict_json_reads_as_it_is(value: Any) -> None:
    text = json.dumps(value)
    assert lenient(text) == (value, len(text))
    assert lenient(json.dumps(value, indent=1, ensure_ascii=False))[0] == value


@given(st.text(alphabet="{}[]\"'“”:,/*#\\ \nab1.-"))
def test_whatever_comes_ends(text: str) -> None:
    with suppress(ValueError):
        assert lenient(text)[1] <= len(text)


def ask(server: DialectServer, **chat: Any) -> Any:
    settings = ChatSettings(server=server.url, **{"model": "tiny", "timeout": 60, "retries": 1, **chat})
    return remote(RoleCall(chat=settings, sampling=SamplingSettings(max_tokens=64)))


@pytest.mark.parametrize(
    ("quirk", "words"),
    [
        (Quirk(finish="sensitive"), r"content filter \(sensitive\)"),
        (Quirk(finish="guardrail_intervened"), "content filter"),
        (Quirk(finish="network_error"), "broke off midway"),
        (Quirk(message=lambda text, body: {"content": GOOD, "refusal": "I cannot."}), "the model refused: I cannot"),
        (
            Quirk(message=lambda text, body: {"content": [{"type": "refusal", "refusal": "I cannot."}]}),
            "the model refused: I cannot",
        ),
        (
            Quirk(message=lambda text, body: {"content": ""}, finish="model_context_window_exceeded"),
            "cut off at sampling",
        ),
    ],
)
def test_what_is_withheld_is_no_answer(dialect_server: DialectServer, quirk: Quirk, words: str) -> None:
    dialect_server.quirk = Quirk(message=lambda text, body: {"content": GOOD}, finish=quirk.finish)
    if quirk.finish in ("stop", "model_context_window_exceeded"):
        dialect_server.quirk = quirk
    with pytest.raises(DataError, match=words):
        structured(ask(dialect_server), Part, ASKED, seed=1)
    with pytest.raises(ServiceError, match=words):
        ask(dialect_server).invoke(ASKED)


def test_an_empty_answer_is_called_so(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(message=lambda text, body: {"content": None})
    with pytest.raises(DataError, match="the answer is empty"):
        structured(ask(dialect_server), Part, ASKED, seed=1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            '{"message": "{\\"detail\\": [{\\"loc\\": [\\"body\\", \\"seed\\"], \\"msg\\": \\"Extra\\"}]}"}',
            "body.seed: Extra",
        ),
        ('{"error_code": 336006, "error_msg": "too many"}', "too many"),
        ('{"base_resp": {"status_code": 1004, "status_msg": "login fail"}}', "login fail"),
        ('{"error": {"message": "", "type": "BadRequestError", "code": null}}', "BadRequestError"),
        ('[{"error": {"message": "no"}}]', "no"),
        ('{"type": "ping"}', ""),
    ],
)
def test_the_words_of_a_refusal(body: str, words: str) -> None:
    assert reason(body) == words


def test_of_several_parts_the_first_that_is_named_counts() -> None:
    body = {"messages": [], "seed": 7, "top_p": 0.9, "temperature": 0.5, "max_tokens": 64, "stream": True}
    listing = "Unsupported parameter: 'temperature'. Supported parameters: seed, top_p, max_tokens, stream"
    assert dialects.understood(400, listing, body, frozenset()) == "no temperature"
    both = "`temperature` and `top_p` cannot both be specified for this model"
    assert dialects.understood(400, both, body, frozenset()) == "no top_p"


@pytest.mark.parametrize("words", ["The system is busy, please try again", "Internal system error", "stream closed"])
def test_a_fault_of_the_server_is_no_refusal(words: str) -> None:
    body = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "stream": True}
    assert dialects.understood(500, words, body, frozenset()) is None


@pytest.mark.parametrize(
    "words",
    [
        "The model produced output that does not match the expected peg-native format",
        'Failed to parse input at pos 12: {"summary": "A system for high temperature, by schema"',
    ],
)
def test_an_answer_that_a_server_cannot_read_is_no_refusal(words: str) -> None:
    body = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
    body |= {"temperature": 0.5, "response_format": {"type": "json_schema"}}  # type: ignore[dict-item]
    assert dialects.understood(500, words, body, frozenset()) is None
    assert dialects.understood(200, words, body, frozenset()) is None


def test_a_404_says_what_the_server_says(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(lambda body: Refusal(404, error("No endpoints found that support image input")))
    with pytest.raises(ServiceError, match="HTTP 404: No endpoints found that support image input"):
        ask(dialect_server).invoke(ASKED)
    with pytest.raises(
        ServiceError, match=r"has no model 'absent' \(HTTP 404\); it has: tiny, seeing; it says: No end"
    ):
        ask(dialect_server, model="absent").invoke(ASKED)


def test_too_long_a_conversation_has_a_hint(dialect_server: DialectServer) -> None:
    dialect_server.quirk = Quirk(lambda body: refused(400, "This model's maximum context length is 4096 tokens."))
    with pytest.raises(ServiceError) as caught:
        ask(dialect_server).invoke(ASKED)
    assert "lower sampling.max_tokens" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("words", "headers", "seconds"),
    [
        ("Please retry in 34.5s.", {}, 34.5),
        ('{"error": {"details": [{"retryDelay": "34s"}]}}', {}, 34.0),
        ("Please try again in 6m0s.", {}, 360.0),
        ("Rate limit reached. Try again in 120ms", {}, 0.12),
        ("Please retry after 26 seconds.", {}, 26.0),
        ("Too many requests, try again later", {}, None),
        ("", {"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ("", {"retry-after": "-3"}, None),
        ("", {"retry-after": "99999999999999"}, 99999999999999.0),
        ("", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ("", {"retry-after": "soon"}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(words: str, headers: dict[str, str], seconds: float | None) -> None:
    assert exchange._asked_pause(exchange.Refused(429, words, headers)) == seconds


def test_deflate_without_its_head_is_unpacked() -> None:
    import zlib

    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = packer.compress(b"so it is" * 100) + packer.flush()
    for form in (data, zlib.compress(b"so it is" * 100)):
        assert b"".join(exchange._unpacked(iter([form[:20], form[20:]]), 10_000)) == b"so it is" * 100
