"""Designs an hour through a served model beside one at a time in this process, and the server's own limit. Prints JSON.

``alone``: the embedded writer in this process, one design after the other.
``batch``: the same model and adapter behind a server that `studio serve` starts, and `studio batch` with many designs
in flight. A design has to have a picture: the painter, in whose words prompts are composed, paints plain grey at once.
``raw``: the very requests of that batch, in the same order and as many in flight, sent to the same server, started
anew, by threads that do nothing else.

A 135M model writes hardly any whole design that passes its checks. So a server is asked for each document once, and
where its answer is no valid one, a scripted document stands in for it; how often, is told.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from batch import briefs
from decoding import cpu
from home import fresh_home

MODEL, ADAPTER = "smollm2-135m-instruct", "studio-writer"
FASTER, SHARE = {"llama.cpp": 3.0, "vllm": 8.0}, 0.85
"""How many times the designs an hour they have to be, by engine; which share of the server's own tokens a second."""

DOCUMENT = 1024  # tokens of one at most, as profiles for servers have it
PLAIN = {"vision.model": "none", "flow.images": 1, "flow.rounds": 1}
KEY = "STUDIO_BENCHMARK_KEY"
_KEPT = re.compile(rb'"cached_tokens":\s*(\d+)')  # where a server says how much of a prompt it had read before


@dataclass(frozen=True)
class Call:
    """A request that was answered whole.

    Attributes:
        body: What was sent.
        began: When, in seconds of one clock.
        ended: When the answer was there.
        answer: Its bytes.
    """

    body: Mapping[str, Any]
    began: float
    ended: float
    answer: bytes


def told(event: Any) -> None:
    """Write how a batch stands, and what it remarks, to standard error."""
    if event.type in ("batch_progress", "remark"):
        print(event.model_dump_json(exclude={"run_id", "seq", "at", "stage"}), file=sys.stderr, flush=True)


@contextmanager
def stand_ins() -> Iterator[Counter[str]]:
    """Pictures at once, and documents that a server is asked for once; counts these by whether they were valid."""
    from PIL import Image

    from models.chat import structured as documents
    from models.chat.remote import RemoteChat
    from tests.fixtures_run import MAKERS
    from workspace.errors import DataError

    real, seen, lock = documents.structured, Counter[str](), threading.Lock()

    def paint(painter: Any, specs: Any, on_step: Any = None, on_notice: Any = None) -> list[Any]:
        return [Image.new("RGB", (spec.width, spec.height), "grey") for spec in specs]

    def once(model: Any, schema: Any, messages: Any, *, seed: int, **more: Any) -> Any:
        if not isinstance(model, RemoteChat):
            return real(model, schema, messages, seed=seed, **more)
        try:
            made, kind = real(model, schema, messages, seed=seed, **more), "valid"
        except DataError:
            value = schema.model_validate(MAKERS[schema.__name__](messages, seed))
            made, kind = documents.Structured(value, 0), "stand-in"
        with lock:
            seen[f"{schema.__name__}, {kind}"] += 1
        return made

    with (
        patch("pipelines.pictures.painter.Painter.paint", paint),
        patch.object(documents, "_REPAIRS", 0),
        patch.object(documents, "structured", once),
    ):
        yield seen


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Every request to a chat server that is answered whole, as it goes out and comes back."""
    from models.chat import exchange

    real, calls = exchange.exchange, list[Call]()

    @contextmanager
    def recording(where: Any, path: str, body: Any, *more: Any) -> Iterator[Iterator[bytes]]:
        began, parts = time.perf_counter(), list[bytes]()
        with real(where, path, body, *more) as chunks:
            yield (parts.append(chunk) or chunk for chunk in chunks)  # type: ignore[func-returns-value]
        if body is not None:
            calls.append(Call(body, began, time.perf_counter(), b"".join(parts)))

    with patch.object(exchange, "exchange", recording):
        yield calls


def figures(calls: list[Call], seconds: float) -> dict[str, Any]:
    """What so many calls in so many seconds come to."""
    from models.chat.answers import Piece, pieces

    read = wrote = kept = 0
    for call in calls:
        answer = Piece()
        for piece in pieces([call.answer]):
            answer.add(piece)
        read, wrote = read + answer.tokens_in, wrote + answer.tokens_out
        kept += max([*map(int, _KEPT.findall(call.answer))], default=0)
    return {
        "calls": len(calls),
        "seconds": round(seconds, 1),
        "tokens": wrote,
        "tokens_s": round(wrote / seconds, 2),
        "prompt_tokens": read,
        "prompt_tokens_known_before": kept,
        "mean_calls_in_flight": round(sum(call.ended - call.began for call in calls) / seconds, 2),
    }


def one_batch(file: Path, settings: Any, in_flight: int) -> Any:
    """Make a file's designs, and say how it went."""
    from studio.batches import batch

    made: Any = batch([file], out=file.with_suffix(""), settings=settings, in_flight=in_flight, listener=told)
    return made


def alone(folder: Path, home: Path, adapter: str, count: int) -> dict[str, Any]:
    """Designs in this process, one after the other."""
    from workspace.settings import load_settings

    settings = load_settings("embedded", {"home": str(home), "chat.model": MODEL, "chat.adapter": adapter, **PLAIN})
    one_batch(briefs(folder / "warm.jsonl", 1), settings, 1)  # everything is read and made before it is timed
    made = one_batch(briefs(folder / "alone.jsonl", count), settings, 1)
    return {
        "designs": made.done,
        "failed": made.failed,
        "seconds": made.seconds,
        "designs_an_hour": round(3600 * made.done / made.seconds, 1),
    }


@contextmanager
def served(home: Path, options: argparse.Namespace) -> Iterator[Any]:
    """A server of the model and its adapter, as `studio serve` starts it."""
    import studio
    from workspace.settings import load_settings

    adapters = () if options.adapter == "none" else (options.adapter,)
    more = {"engine": options.engine, "in_flight": options.streams, "adapter": adapters, "port": 0}
    settings = load_settings("embedded", {"home": str(home)})
    serving: Any = studio.serve(MODEL, settings=settings, listener=told, **more)
    with serving as server:
        yield server


def batched(folder: Path, home: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[Call]]:
    """Designs through a server, and the requests that they took."""
    from workspace.settings import load_settings

    with served(home, options) as server, patch.dict(os.environ, {KEY: server.key}), recorded() as calls:
        where = {"chat.server": server.address, "chat.model": server.model, "chat.api_key_env": KEY}
        long = {f"roles.{role}.max_tokens": DOCUMENT for role in ("engineer", "illustrator")}
        patience = {"home": str(home), "chat.adapter": "none", "chat.timeout": 1800}
        settings = load_settings("embedded", where | long | patience | PLAIN)
        with stand_ins() as documents:
            made = one_batch(briefs(folder / "served.jsonl", options.briefs), settings, options.in_flight)
        record = server.record
    found = {
        "engine": record.engine,
        "version": record.version,
        "weights": record.weights,
        "streams": record.in_flight,
        "restarts": record.restarts,
        "designs": made.done,
        "failed": made.failed,
        "designs_an_hour": round(3600 * made.done / made.seconds, 1),
        "documents": dict(documents),
        **figures(calls, made.seconds),
    }
    return found, sorted(calls, key=lambda call: call.began)


def raw(home: Path, options: argparse.Namespace, asked: list[Call]) -> dict[str, Any]:
    """The same requests by threads that do nothing else."""
    left, calls = SimpleQueue[Call](), list[Call]()
    for call in asked:
        left.put(call)

    with served(home, options) as server:
        place = urlsplit(server.address)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"}

        def load() -> None:
            while True:
                try:
                    body = left.get_nowait().body
                except Empty:
                    return
                began = time.perf_counter()
                connection = http.client.HTTPConnection(str(place.hostname), place.port)
                connection.request("POST", f"{place.path}/chat/completions", json.dumps(body), headers)
                response = connection.getresponse()
                answer = response.read()
                connection.close()
                if response.status == 200:
                    calls.append(Call(body, began, time.perf_counter(), answer))

        threads = [threading.Thread(target=load) for _ in range(options.in_flight)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
    return figures(calls, seconds)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--briefs", type=int, default=16)
    parser.add_argument("--in-flight", type=int, default=16, help="designs at a time")
    parser.add_argument("--streams", type=int, help="answers that the server writes at a time; as many as it likes")
    parser.add_argument("--alone", type=int, default=4, help="designs that are made one at a time in this process")
    parser.add_argument("--engine", choices=("auto", "llama.cpp", "vllm"), default="auto")
    parser.add_argument("--adapter", default=ADAPTER, help="none: the model by itself")
    options = parser.parse_args()
    found: dict[str, Any] = {"benchmark": "served", "cpu": cpu(), "model": MODEL, "adapter": options.adapter}
    found |= {"cores": len(os.sched_getaffinity(0)), "briefs": options.briefs, "in_flight": options.in_flight}
    with fresh_home() as home, tempfile.TemporaryDirectory(prefix="studio-served-") as name:
        folder = Path(name)
        with stand_ins():
            found["alone"] = alone(folder, home, options.adapter, options.alone)
        print(json.dumps({"alone": found["alone"]}), file=sys.stderr, flush=True)
        found["batch"], calls = batched(folder, home, options)
        print(json.dumps({"batch": found["batch"]}), file=sys.stderr, flush=True)
        found["raw"] = raw(home, options, calls)
        print(json.dumps({"raw": found["raw"]}), file=sys.stderr, flush=True)
    faster = found["batch"]["designs_an_hour"] / found["alone"]["designs_an_hour"]
    share = found["batch"]["tokens_s"] / found["raw"]["tokens_s"]
    limit = FASTER[found["batch"]["engine"]]
    whole = found["batch"]["designs"] == options.briefs and found["raw"]["calls"] == found["batch"]["calls"]
    found |= {
        "ratio_designs": math.floor(100 * faster) / 100,
        "limit_designs": limit,
        "ratio_tokens": math.floor(100 * share) / 100,
        "limit_tokens": SHARE,
        "passed": whole and faster >= limit and share >= SHARE,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
