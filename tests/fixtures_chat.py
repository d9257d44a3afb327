"""A tiny random chat model in a folder, and a local HTTP server that speaks the OpenAI protocol by a script.

Nothing here leaves the machine: the weights are made on the spot and the server listens on the loopback address.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SAID = [
    "user assistant system",
    "A tough material joins wavy collagen fibres and a branching leaf mesh.",
    "The name is 1, 2, 3. Describe the structure of bone, silk and leaves in one sentence.",
]


def chat_tokenizer() -> Any:
    """A byte-level BPE tokenizer of some three hundred words with ChatML's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(SAID, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
    )


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a chat model: a random Llama of two layers that reads 1,024 tokens, saved as safetensors."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    save_llama(folder)
    return folder


def save_llama(folder: Path, **more: Any) -> None:
    """Save a random Llama of two layers that reads 1,024 tokens, with more of its configuration."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = chat_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **more,
    )
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Fault:
    """A way in which the server goes wrong instead of answering.

    ``kind`` is one of: ``hang`` (accepts and says nothing), ``drip`` (bytes come, the end does not), ``endless``
    (bytes as fast as they are read), ``status`` (``status`` and ``body``), ``body`` (200 and ``body`` as it
    stands), ``drop`` (closes without a word), ``cut`` (a stream that breaks off), ``stall`` (a stream that stops).
    """

    kind: str
    status: int = 500
    body: str | bytes = '{"error": {"message": "out of order"}}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ScriptedServer:
    """What the server says next and what it was asked.

    Args:
        url: The base URL, ending in ``/v1``.
        script: Answers in turn, the last one stays: a text, a document (sent as JSON), or a `Fault`.
        models: The ids that ``/v1/models`` lists; any other model is answered by 404. None: there is no such page.
        key: When set, requests with another key are answered by 401.
        looks: The headers of each request for the list of models.
    """

    url: str = ""
    script: list[str | dict[str, Any] | Fault] = field(default_factory=lambda: ["All is well."])
    models: list[str] | None = field(default_factory=lambda: ["tiny", "other"])
    key: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    looks: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> str | dict[str, Any] | Fault:
        with self.lock:
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on the terminal."""

    def do_GET(self) -> None:
        told = self.server.told
        told.looks.append({name.lower(): value for name, value in self.headers.items()})
        if self.path != "/v1/models" or told.models is None:
            return self._send(404, json.dumps({"detail": "Not Found"}))
        if told.key is not None and self.headers["authorization"] != f"Bearer {told.key}":
            return self._send(401, json.dumps({"error": {"message": "wrong key"}}))
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in told.models]
        self._send(200, json.dumps({"object": "list", "data": entries}))

    def do_POST(self) -> None:
        told = self.server.told
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with told.lock:
            told.requests.append(asked)
            told.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path != "/v1/chat/completions":
            return self._send(404, json.dumps({"detail": "Not Found"}))
        if told.key is not None and self.headers["authorization"] != f"Bearer {told.key}":
            sent = str(self.headers["authorization"]).removeprefix("Bearer ")
            return self._send(401, json.dumps({"error": {"message": f"wrong key {sent}"}}))
        if told.models is None or asked["model"] not in told.models:
            return self._send(404, json.dumps({"error": {"message": "no such model"}}))
        answer = told.next()
        if isinstance(answer, Fault):
            return self._fail(answer)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        if asked.get("stream"):
            return self._stream(text)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        self._send(200, json.dumps(completion("chat.completion", [choice])))

    def _send(self, status: int, body: str | bytes, headers: Mapping[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _open(self, kind: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _event(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self._chunk(b"data: " + json.dumps(completion("chat.completion.chunk", [choice])).encode() + b"\n\n")

    def _stream(self, text: str) -> None:
        self._open()
        self._event({"role": "assistant", "content": ""})
        for word in text.split(" "):
            self._event({"content": word if text.startswith(word) else " " + word})
        self._event({}, finish="stop")
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _fail(self, fault: Fault) -> None:
        self.close_connection = True
        over = self.server.told.over
        try:
            if fault.kind == "status":
                self._send(fault.status, fault.body, fault.headers)
            elif fault.kind == "body":
                self._send(200, fault.body, fault.headers)
            elif fault.kind == "hang":
                over.wait(60)
            elif fault.kind in ("drip", "endless"):
                self._open("application/json")
                while not over.wait(0.05 if fault.kind == "drip" else 0):
                    self._chunk(b" " * (1 if fault.kind == "drip" else 4096))
            elif fault.kind in ("cut", "stall"):
                self._open()
                self._event({"role": "assistant", "content": "The first"})
                if fault.kind == "stall":
                    over.wait(60)
        except OSError:
            return  # the client went away, as it should


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    told: ScriptedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of the server's."""


def completion(kind: str, choices: list[dict[str, Any]] | None) -> dict[str, Any]:
    """The envelope of an answer or of a piece of one."""
    return {"id": "c-1", "object": kind, "created": 0, "model": "tiny", "choices": choices}


@pytest.fixture
def openai_server() -> Iterator[ScriptedServer]:
    """A running scripted server; set ``script``, ``models`` and ``key`` as a test needs them."""
    from models.chat.remote import forget

    forget()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.told = told = ScriptedServer(url=f"http://127.0.0.1:{server.server_address[1]}/v1")
    _Handler.timeout = 5
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    told.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed_url() -> str:
    """The base URL of a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"
