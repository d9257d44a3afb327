"""A fake of vLLM's OpenAI server, run as a process: takes its flags, answers "ok" to everything, and dies on command.

What it does wrong stands in the JSON file that FAKE_VLLM names, read at every start: ``words`` (it ends at once with
them), ``silent`` (it listens to nobody), ``refuse`` (status and words for every question), ``stubborn`` (it ignores
SIGTERM), ``children`` (it starts a process of its own, and writes its id into ``FAKE_VLLM.child``). A message "die"
ends it with exit code 3; after "hang" it answers nothing any more.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

MODULE = "vllm.entrypoints.openai.api_server"
VALUED = (
    "model", "served-model-name", "host", "max-model-len", "max-num-seqs", "structured-outputs-config", "dtype",
    "generation-config", "gpu-memory-utilization", "tensor-parallel-size", "max-loras", "max-lora-rank",
    "max-num-batched-tokens",
)  # fmt: skip
BARE = (
    "enable-prefix-caching",
    "disable-uvicorn-access-log",
    "enable-lora",
    "no-enable-chunked-prefill",
    "enable-prompt-tokens-details",
)


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=MODULE, allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lora-modules", nargs="+", type=json.loads, default=[])
    for name in VALUED:
        parser.add_argument(f"--{name}")
    for name in BARE:
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args(given)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    names: tuple[str, ...] = ()
    orders: ClassVar[dict[str, Any]] = {}
    key = ""
    hung = threading.Event()

    def do_GET(self) -> None:
        if self.hung.is_set():
            threading.Event().wait()
        if self.path != "/v1/models":
            return self.answer(404, {"error": {"message": "Not Found"}})
        if self.allowed():
            self.answer(200, {"data": [{"id": name} for name in self.names]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.hung.is_set():
            threading.Event().wait()
        if not self.allowed():
            return
        if refusal := self.orders.get("refuse"):
            return self.answer(refusal[0], {"error": {"message": refusal[1]}})
        said = asked["messages"][-1]["content"]
        if said == "die":
            before = "(APIServer pid=7) ERROR 11-30 16:48:36 [async_llm.py:906]"
            sys.stderr.write(f"{before} RuntimeError: CUDA error: an illegal memory access was encountered\n")
            sys.stderr.write(f"{before} raise self._format_exception(outputs) from None\n")
            sys.stderr.write(f"{before} EngineDeadError: EngineCore failed. See stack trace (above)\nits last line\n")
            sys.stderr.flush()
            os._exit(3)
        if said == "hang":
            self.hung.set()
        message = {"role": "assistant", "content": "ok"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        self.answer(200, {"id": "1", "object": "chat.completion", "model": asked["model"], "choices": choices})

    def allowed(self) -> bool:
        if self.headers["authorization"] == f"Bearer {self.key}":
            return True
        self.answer(401, {"error": {"message": "Unauthorized"}})
        return False

    def answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    given = sys.argv[1:]
    if given[:2] != ["-m", MODULE]:
        raise SystemExit(f"fake vLLM runs {MODULE} alone, not {given[:2]}")
    found = arguments(given[2:])
    file = Path(os.environ["FAKE_VLLM"])
    orders: dict[str, Any] = json.loads(file.read_text())
    with file.with_suffix(".starts").open("a") as starts:
        told = {name: os.environ.get(name) for name in ("PYTHONPATH", "VLLM_BATCH_INVARIANT", "HF_HUB_OFFLINE")}
        starts.write(json.dumps({"pid": os.getpid(), "arguments": given[2:], "environment": told}) + "\n")
    if orders.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if orders.get("children"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        file.with_suffix(".child").write_text(str(child.pid))
    if words := orders.get("words"):
        sys.stderr.write(f"{words}\n")
        raise SystemExit(1)
    if orders.get("silent"):
        threading.Event().wait()
    Handler.names = (found.served_model_name, *(one["name"] for one in found.lora_modules))
    Handler.orders, Handler.key = orders, os.environ["VLLM_API_KEY"]
    ThreadingHTTPServer((found.host, found.port), Handler).serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
