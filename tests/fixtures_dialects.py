"""A chat server for tests that writes designs, and behaves at every try as one of the servers in use does.

A `Quirk` is what such a server refuses, or how it words what it answers. Nothing leaves the machine.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

Body = dict[str, Any]
MARKS = {
    "ImagePrompt": "- motifs:",
    "Verdict": "- fit:",
    "MaterialDesign": "- components:",
    "Review": "- comments:",
    "Sources": "- names:",
}
THOUGHT = "They want loops. I weigh {bone} against leaves, carefully."
TEXT = "The leaf and the web share branching loops. Loops carry load around damage."


@dataclass(frozen=True)
class Refusal:
    """A status with a body and headers."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def refused(status: int, message: str, **more: Any) -> Refusal:
    return Refusal(status, {"error": {"message": message, "type": "invalid_request_error", **more}})


@dataclass(frozen=True)
class Quirk:
    """How a server differs from the plain one.

    Args:
        refuses: What it answers instead, or nothing where it takes the request.
        message: The message that it makes of a text; by default the text as content.
        finish: Why it says that an answer ended.
        events: The lines it streams instead of a message's own.
        packed: Whether it packs every answer.
    """

    refuses: Callable[[Body], Refusal | None] = lambda body: None
    message: Callable[[str, Body], Body] = lambda text, body: {"content": text}
    finish: str = "stop"
    events: Callable[[list[str]], list[str]] = lambda events: events
    packed: bool = False


def is_document(body: Body) -> bool:
    return kind_of(body) is not None


def kind_of(body: Body) -> str | None:
    """The document that a request is for, by the fields that its words name; none for a turn of a conversation."""
    words = json.dumps(body["messages"])
    marks = {
        "ImagePrompt": "- motifs:",
        "Verdict": "- fit:",
        "MaterialDesign": "- components:",
        "Review": "- comments:",
    }
    found = next((name for name, mark in marks.items() if mark in words), None)
    return found or ("Sources" if "- names:" in words else None)


def has_picture(body: Body) -> bool:
    return '"image_url"' in json.dumps(body["messages"])


def roles(body: Body) -> list[str]:
    return [message["role"] for message in body["messages"]]


def alternates(body: Body) -> bool:
    talk = [role for role in roles(body) if role != "system"]
    return all(role == ("user", "assistant")[place % 2] for place, role in enumerate(talk))


def with_field(name: str, status: int, message: str, **more: Any) -> Quirk:
    """A server that does not take a field of the request."""
    return Quirk(lambda body: refused(status, message, **more) if name in body else None)


def extra(name: str) -> Quirk:
    """A server behind FastAPI that forbids a field."""
    told = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 7}
    return Quirk(lambda body: Refusal(422, {"detail": [told]}) if name in body else None)


def no_schema(status: int, message: str, kinds: tuple[str, ...] = ("json_schema",)) -> Quirk:
    def refuses(body: Body) -> Refusal | None:
        return refused(status, message) if body.get("response_format", {}).get("type") in kinds else None

    return Quirk(refuses)


def documents(message: Callable[[str], Body]) -> Quirk:
    """A server that words documents in a way of its own."""
    return Quirk(message=lambda text, body: message(text) if is_document(body) else {"content": text})


def worded(form: str) -> Quirk:
    return documents(lambda text: {"content": form.replace("JSON", text)})


def texts(form: str) -> Quirk:
    return Quirk(message=lambda text, body: {"content": form.replace("TEXT", text)})


def tool_call(text: str) -> Body:
    call = {"id": "1", "type": "function", "function": {"name": "MaterialDesign", "arguments": text}}
    return {"content": None, "tool_calls": [call]}


def without(*lines: str) -> Callable[[list[str]], list[str]]:
    return lambda events: [event for event in events if event not in lines]


def _unfinished(events: list[str]) -> list[str]:
    return [event.replace('"finish_reason": "stop"', '"finish_reason": null') for event in events]


GEMMA = "System role not supported"
MISTRAL = "Conversation roles must alternate user/assistant/user/assistant/..."
LLAMA = "Prompting with images is incompatible with system messages."
QUIRKS = {
    "plain": Quirk(),
    "think_in_content": texts(f"<think>\n{THOUGHT}\n</think>\n\nTEXT"),
    "think_close_only": texts(f"{THOUGHT}\n</think>\n\nTEXT"),
    "think_in_harmony": texts(
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>TEXT<|return|>"
    ),
    "reasoning_content": Quirk(message=lambda text, body: {"content": text, "reasoning_content": THOUGHT}),
    "json_in_reasoning_content": documents(lambda text: {"content": None, "reasoning_content": text}),
    "content_list": Quirk(
        message=lambda text, body: {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                {"type": "text", "text": text},
            ]
        }
    ),
    "tool_calls_null_content": documents(tool_call),
    "json_schema_refused_deepseek": no_schema(400, "This response_format type is unavailable now"),
    "json_schema_refused_groq": no_schema(400, "This model does not support response format `json_schema`."),
    "json_schema_refused_422": no_schema(
        422,
        "Failed to deserialize the JSON body into the target type: response_format: unknown variant `json_schema`",
        ("json_schema", "json_object"),
    ),
    "json_object_refused_lm_studio": no_schema(
        400, "'response_format.type' must be 'text'", ("json_schema", "json_object")
    ),
    "prose_and_fence": worded("Here is {the} design:\n\n```json\nJSON\n```\nTell me what to change."),
    "fence_then_prose": worded("```\nJSON\n```\nI kept it short; {braces} are mine."),
    "fence_uppercase": documents(lambda text: {"content": f"```JSON\n{text}\n```"}),
    "trailing_special_token": texts("TEXT<|im_end|>"),
    "wrapped_in_class_name": worded('{"MaterialDesign": JSON}'),
    "wrapped_as_arguments": worded('<tool_call>{"name": "answer", "arguments": JSON}</tool_call>'),
    "in_a_list": worded("[JSON]"),
    "system_refused": Quirk(lambda body: refused(400, GEMMA) if "system" in roles(body) else None),
    "system_refused_in_500": Quirk(
        lambda body: (
            refused(500, f"Error rendering prompt with jinja template: {GEMMA}") if "system" in roles(body) else None
        )
    ),
    "alternation_required": Quirk(lambda body: None if alternates(body) else refused(400, MISTRAL)),
    "alternation_without_system": Quirk(
        lambda body: refused(400, MISTRAL) if "system" in roles(body) or not alternates(body) else None
    ),
    "system_beside_picture_refused": Quirk(
        lambda body: refused(400, LLAMA) if has_picture(body) and "system" in roles(body) else None
    ),
    "max_completion_tokens_refused": extra("max_completion_tokens"),
    "max_tokens_refused": with_field(
        "max_tokens",
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        param="max_tokens",
    ),
    "seed_refused": with_field("seed", 400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
    "seed_refused_422": extra("seed"),
    "temperature_and_top_p_refused": Quirk(
        lambda body: (
            refused(400, "`temperature` and `top_p` cannot both be specified for this model.")
            if {"temperature", "top_p"} <= set(body)
            else None
        )
    ),
    "temperature_refused": with_field(
        "temperature",
        400,
        "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) is supported.",
    ),
    "stream_refused": Quirk(
        lambda body: refused(400, "Streaming is not supported for this model") if body.get("stream") else None
    ),
    "all_at_once": Quirk(
        lambda body: next(
            (
                refused(400, f"property '{name}' is unsupported")
                for name in ("seed", "top_p", "temperature", "response_format", "max_tokens")
                if name in body
            ),
            refused(400, GEMMA) if "system" in roles(body) else None,
        )
    ),
    "error_in_200_names_it": Quirk(
        lambda body: Refusal(200, {"error": {"message": "Unknown name seed", "code": 400}}) if "seed" in body else None
    ),
    "gzip_anyway": Quirk(packed=True),
    "lone_surrogate": Quirk(
        message=lambda text, body: {"content": text if is_document(body) else f"{text} Half \ud83d of a pair."}
    ),
    "lone_surrogate_in_document": documents(lambda text: {"content": text.replace("laminate", "laminate \\ud83d")}),
    "nul_and_escape_in_text": Quirk(
        message=lambda text, body: {
            "content": text if is_document(body) else f"{text} \x00\x1b[31mRed\x1b[0m \x9b it is."
        }
    ),
    "empty_choices_chunk": Quirk(
        events=lambda events: ['{"choices": [], "prompt_filter_results": []}', *events, '{"choices": [], "usage": {}}']
    ),
    "keepalive_comments": Quirk(events=lambda events: [line for event in events for line in (":", event)]),
    "stream_without_done": Quirk(events=without("[DONE]")),
    "stream_without_finish_reason": Quirk(events=_unfinished),
}
"""Ways in which servers differ and with which a whole design must come out."""


@dataclass
class DialectServer:
    """A server that writes designs in a dialect; ``requests`` are all that it was asked."""

    url: str = ""
    quirk: Quirk = field(default_factory=Quirk)
    requests: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on the terminal."""

    def _noted(self) -> None:
        self.server.told.paths.append(self.path)
        self.server.told.headers.append({name.lower(): value for name, value in self.headers.items()})

    def do_GET(self) -> None:
        self._noted()
        self._send(200, {"object": "list", "data": [{"id": "tiny"}, {"id": "seeing"}]})

    def do_CONNECT(self) -> None:
        self._noted()
        self._send(403, {"error": "no way through"})

    def do_POST(self) -> None:
        self._noted()
        told = self.server.told
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told.requests.append(body)
        refusal = told.quirk.refuses(body)
        if refusal is not None:
            return self._send(refusal.status, refusal.body, refusal.headers)
        message = {"role": "assistant", **told.quirk.message(written(body), body)}
        if body.get("stream"):
            return self._stream(message)
        choice = {"index": 0, "message": message, "finish_reason": told.quirk.finish}
        self._send(200, {"id": "c-1", "object": "chat.completion", "choices": [choice]})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(headers or {})}
        if self.server.told.quirk.packed:
            data, sent["content-encoding"] = gzip.compress(data), "gzip"
        self._answer(status, data, sent)

    def _stream(self, message: Body) -> None:
        events = [{**message, "content": ""} if isinstance(message["content"], str) else message]
        if isinstance(message["content"], str):
            events += [{"content": part} for part in re.findall(r"(?s).{1,7}", message["content"])]
        finish = self.server.told.quirk.finish
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in events]
        choices.append({"index": 0, "delta": {}, "finish_reason": finish})
        lines = [json.dumps({"id": "c-1", "choices": [choice]}) for choice in choices]
        lines = self.server.told.quirk.events([*lines, "[DONE]"])
        text = "".join(f"{line}\n\n" if line.startswith(":") else f"data: {line}\n\n" for line in lines)
        data, sent = text.encode(), {"content-type": "text/event-stream"}
        if self.server.told.quirk.packed:
            data, sent["content-encoding"] = gzip.compress(data), "gzip"
        self._answer(200, data, sent)

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def written(body: Body) -> str:
    """What the server's model writes: the document that is asked for, or a turn."""
    from tests.fixtures_run import MAKERS

    kind = kind_of(body)
    if kind is None:
        return TEXT
    parts = [part for message in body["messages"] for part in _parts(message["content"])]
    text = "\n".join(part["text"] for part in parts if "text" in part)
    message = HumanMessage(content=[{"type": "text", "text": text}])
    return json.dumps(MAKERS[kind]([message], int(body.get("seed") or 1)))


def _parts(content: Any) -> list[Body]:
    return [{"text": content}] if isinstance(content, str) else content


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    told: DialectServer


@pytest.fixture
def dialect_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DialectServer]:
    """A running server; set its ``quirk``. Pauses between tries take no time."""
    from models.chat.remote import forget

    forget()
    monkeypatch.setattr("models.chat.exchange.PAUSE", 0.001)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.told = told = DialectServer(url=f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()
