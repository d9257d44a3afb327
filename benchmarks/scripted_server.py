"""A small local server that speaks the OpenAI chat protocol and answers from a script, the same every time.

    python benchmarks/scripted_server.py --port 8123        # or: with serving() as url: ...

An answer depends on the request alone (its messages, its seed, its schema), so runs can be compared. Plain answers are
streamed word by word when the request says so; a request with a ``json_schema`` gets a document of that name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("429", "500", "half", "length", "hang")
"""How a server goes wrong: busy, out of order, breaks off midway, ends at its limit of tokens, says nothing."""

COLOURS = ("amber", "cobalt", "ivory", "jade", "ochre", "pearl", "ruby", "slate")


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def colour(request: dict[str, Any]) -> str:
    told = [text_of(message) for message in request["messages"]]
    digest = hashlib.sha256(json.dumps([told, request.get("seed")]).encode()).digest()
    return COLOURS[digest[0] % len(COLOURS)]


def prose(request: dict[str, Any]) -> str:
    turn = sum(message["role"] == "user" for message in request["messages"])
    return (
        f"Answer {turn} begins with {colour(request)} fibres that branch and close into loops. Loops carry load around "
        "a gap when one strand is cut. Wavy fibres straighten before they break, so the panel takes up energy slowly."
    )


def material_design(request: dict[str, Any]) -> dict[str, Any]:
    told = "\n".join(text_of(message) for message in request["messages"])
    found = re.search(r"^Inspirations: (.+)$", told, re.MULTILINE)
    names = [name.strip(" .") for name in found.group(1).split(", ")] if found else ["collagen", "leaves"]
    return {
        "title": f"{colour(request).capitalize()} weave laminate",
        "summary": "A laminate that joins wavy fibres with a branching mesh so that cracks turn aside.",
        "inspirations": [
            {"name": name, "feature": "branching mesh", "principle": "Loops carry load around damage when one is cut."}
            for name in names[:4]
        ],
        "components": [
            {"name": "fibre layer", "material": "silk protein", "role": "It stretches and carries tension."},
            {"name": "mesh layer", "material": "cellulose", "role": "It spreads load sideways around cracks."},
        ],
        "architecture": {"scale": "micrometre", "description": "Wavy fibres lie between two branching meshes."},
        "mechanisms": ["Fibres uncrimp before they break and so take up energy."],
        "properties": [
            {"name": "toughness", "value": 12.5, "unit": "MJ/m3", "basis": "It lies between tendon and leaf tissue."}
        ],
        "fabrication": ["Spin the fibres and press them between printed meshes."],
        "applications": ["protective panels"],
        "risks": ["The layers may part when they are wet for long."],
    }


def critique(request: dict[str, Any]) -> dict[str, Any]:
    questions = re.findall(r"^\d+\. (.+)$", text_of(request["messages"][-1]), re.MULTILINE)
    return {
        "sees": {
            "pattern": "lines",
            "second": "none",
            "density": "open",
            "palette": f"{colour(request)} on white",
            "gradient": "even",
        },
        "seen": f"A {colour(request)} picture of lines.",
        "checks": [{"question": question, "answer": "yes"} for question in questions or ["Are there lines?"]],
        "fit": 9,
        "change": "Make the lines thinner.",
    }


def document(name: str, request: dict[str, Any]) -> dict[str, Any]:
    tint = colour(request)
    fixed: dict[str, dict[str, Any]] = {
        "ImagePrompt": {
            "long": f"Fine {tint} lines that branch and close into small cells over slow parallel waves.",
            "short": f"fine {tint} lines over waves",
            "motifs": ["branching lines", "parallel waves"],
            "palette": f"{tint} on white",
        },
        "Sources": {"names": ["bone", "bamboo"]},
        "Review": {"verdict": "approve", "comments": "The draft answers the brief well and names its parts."},
    }
    if name == "MaterialDesign":
        return material_design(request)
    return critique(request) if name == "Verdict" else fixed[name]


def answer(request: dict[str, Any]) -> str:
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps(document(str(wanted["json_schema"]["name"]), request))
    return prose(request)


def usage(request: dict[str, Any], text: str) -> dict[str, int]:
    """Tokens as words: those of the conversation, and those of the answer."""
    read = sum(len(text_of(message).split()) for message in request["messages"])
    wrote = len(text.split())
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


class Faults:
    """Which requests go wrong, and how often any did.

    Args:
        share: How many of them.
        seed: Of the choice.
        hang: Seconds for which one that says nothing holds its connection.
    """

    def __init__(self, share: float, seed: int = 1, hang: float = 30.0) -> None:
        self.share, self.hang, self.over = share, hang, threading.Event()
        self.seen: Counter[str] = Counter()
        self._draw, self._lock = random.Random(seed), threading.Lock()

    def next(self) -> str:
        """The fault of the next request; empty for none."""
        with self._lock:
            kind = self._draw.choice(FAULTS) if self._draw.random() < self.share else ""
            self.seen[kind or "well"] += 1
            return kind


class Handler(BaseHTTPRequestHandler):
    """One chat completion a request."""

    protocol_version = "HTTP/1.1"
    delay = pause = 0.0
    faults: Faults | None = None
    heard: Callable[[dict[str, Any]], object] | None = None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List the one model."""
        self._json({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        """Answer a chat."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.heard is not None:
            self.heard(request)
        fault = self.faults.next() if self.faults is not None else ""
        if fault in ("429", "500"):
            words = {"429": "busy; try again", "500": "out of order"}[fault]
            self._send(int(fault), json.dumps({"error": {"message": words}}).encode())
            return
        if fault == "hang" and self.faults is not None:
            self.faults.over.wait(self.faults.hang)
            self.close_connection = True
            return
        time.sleep(self.pause)
        text = answer(request)
        finish = "length" if fault == "length" else "stop"
        text = text[: len(text) // 2] if fault == "length" else text
        if request.get("stream"):
            self._stream(request, text, finish, broken=fault == "half")
            return
        time.sleep(self.delay * len(text.split()))
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        told = {"choices": [choice], "usage": usage(request, text)}
        self._json(self._head(request, "chat.completion") | told, broken=fault == "half")

    def _head(self, request: dict[str, Any], kind: str) -> dict[str, Any]:
        return {"id": "scripted", "object": kind, "created": 0, "model": request.get("model", "scripted")}

    def _json(self, data: dict[str, Any], *, broken: bool = False) -> None:
        self._send(200, json.dumps(data).encode(), broken=broken)

    def _send(self, status: int, body: bytes, *, broken: bool = False) -> None:
        self.close_connection = self.close_connection or broken
        with suppress(BrokenPipeError, ConnectionResetError):  # the caller was killed
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if broken else body)

    def _stream(self, request: dict[str, Any], text: str, finish: str, *, broken: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        head = self._head(request, "chat.completion.chunk")
        words: list[str | None] = [*re.findall(r"\S+\s*", text), None]
        with suppress(BrokenPipeError, ConnectionResetError):
            for word in words[: len(words) // 2] if broken else words:
                delta = {} if word is None else {"role": "assistant", "content": word}
                choice = {"index": 0, "delta": delta, "finish_reason": finish if word is None else None}
                self._event(head | {"choices": [choice]})
                time.sleep(self.delay)
            if not broken and (request.get("stream_options") or {}).get("include_usage"):
                self._event(head | {"choices": [], "usage": usage(request, text)})
            if not broken:
                self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """A server that many may call at once."""

    daemon_threads = True
    request_queue_size = 256


@contextmanager
def serving(
    delay: float = 0.0,
    port: int = 0,
    faults: Faults | None = None,
    heard: Callable[[dict[str, Any]], object] | None = None,
    pause: float = 0.0,
) -> Iterator[str]:
    """Serve in a thread; gives the base URL, which ends in ``/v1``.

    Args:
        delay: Seconds a word.
        port: Where; any that is free for 0.
        faults: What goes wrong.
        heard: Called with every request before it is answered.
        pause: Seconds before an answer.
    """
    told = None if heard is None else staticmethod(heard)
    handler = type("Delayed", (Handler,), {"delay": delay, "pause": pause, "faults": faults, "heard": told})
    server = Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        if faults is not None:
            faults.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds a word")
    options = parser.parse_args()
    with serving(options.delay, options.port) as url:
        print(url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
