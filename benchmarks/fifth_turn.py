"""Time to the first token of a conversation's fifth turn, with what was read of it before and without. Prints JSON.

Its system prompt and questions are those of the shipped programs; the model writes its first four answers, each as long
as it takes for the history to come to ``--history`` tokens. In this process the conversation then goes on once behind
what was read and written of it, and once with a model that has read nothing; beside these, how long all of it takes in
one piece, which is how a model reads that keeps nothing. The ratio is to the quicker of the two. By the server, which
`studio serve` starts, the same conversation without reuse begins with another word. How many tokens were read
anew is told.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from decoding import cpu
from home import fresh_home

MODEL = "smollm2-135m-instruct"
PARTS = ("process", "server")
LIMIT = 1 / 8
ENDS = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")  # which the model may not write before an answer's time
Turns = list[dict[str, str]]


def questions() -> tuple[str, list[str]]:
    """A system prompt and five questions, as the shipped programs ask them of a design."""
    from agents.documents import Brief
    from agents.programs import load_program, render

    names = ["nacre", "leaf"]
    brief = Brief(text="A tough, light panel that stops cracks", inspirations=names)
    first, second = (render(load_program(name), brief, names) for name in ("relate-and-design", "microstructure"))
    return first.system, [*first.turns, *second.turns[1:]]


def conversation(begins: str, answers: list[str]) -> Turns:
    """The conversation with so many answers, up to the question after the last."""
    system, asked = questions()
    turns = [{"role": "system", "content": f"{begins} {system}".strip()}]
    for question, answer in zip(asked, answers, strict=False):
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return [*turns, {"role": "user", "content": asked[len(answers)]}]


def lengths(llm: Any, history: int) -> dict[str, int]:
    """Tokens of the conversation's parts, and of each of four answers with which its history is so long."""
    system, asked = questions()
    empty = len(llm.encode(llm.prompt(conversation("", [""] * 4)[:-1])))
    return {
        "history": history,
        "system": len(llm.encode(system)),
        "questions": sum(len(llm.encode(question)) for question in asked[:4]),
        "fifth_question": len(llm.encode(asked[4])),
        "answer": (history - empty) // 4,
    }


def milliseconds(took: list[float]) -> float:
    """The median of so many seconds, in milliseconds."""
    return round(1000 * statistics.median(took), 1)


def summary(reused: list[float], fresh: list[float]) -> dict[str, Any]:
    """Medians of the times to the first token, and their ratio."""
    ratio = statistics.median(reused) / statistics.median(fresh)
    return {
        "with_reuse_ms": milliseconds(reused),
        "without_ms": milliseconds(fresh),
        "ratio": math.ceil(1000 * ratio) / 1000,
        "limit": LIMIT,
        "passed": ratio <= LIMIT,
    }


def process(home: Path, llm: Any, answer: int, times: int) -> dict[str, Any]:
    """In this process."""
    from langchain_core.messages import convert_to_messages

    from models.catalogue.fetch import locate
    from models.chat.local import LocalChat
    from models.decoder.engine import Tape
    from models.decoder.recall import Recall, recall_of
    from workspace.settings import SamplingSettings

    sampling = SamplingSettings(avoid=ENDS, max_tokens=2)
    chat = LocalChat(folder=locate(MODEL, home), sampling=sampling, seed=1)

    def spoken(turns: Turns) -> list[tuple[str, str]]:
        return [(turn["role"], turn["content"]) for turn in turns]

    def first() -> float:
        begun = time.perf_counter()
        stream = chat.stream(fifth)
        next(stream)
        took = time.perf_counter() - begun
        list(stream)  # what was read is kept when the answer is whole
        return took

    answers = list[str]()
    for _ in range(4):
        answers.append(str(chat.invoke(spoken(conversation("", answers)), max_tokens=answer).text))
    fifth = spoken(conversation("", answers))
    ids, pieces, _ = chat.fit(convert_to_messages(fifth), sampling.max_tokens)
    written, reused, fresh, at_once = recall_of(llm), list[float](), list[float](), list[float]()
    known = len(written.begun(llm, ids, pieces).ids)
    for number in range(times + 1):
        llm.recalled = written
        reused.append(first())
        llm.recalled = Recall()
        fresh.append(first())
        begun = time.perf_counter()
        Tape(llm).read(ids)
        at_once.append(time.perf_counter() - begun)
        if not number:  # which is no measurement
            reused, fresh, at_once = [], [], []
    slow = {"nothing_read_ms": milliseconds(fresh), "in_one_piece_ms": milliseconds(at_once)}
    quicker = min(fresh, at_once, key=statistics.median)
    return {"tokens": len(ids), "new_tokens": len(ids) - known, **slow, **summary(reused, quicker)}


class Client:
    """Asks a server and looks when its first word comes.

    Args:
        server: The server.
    """

    def __init__(self, server: Any) -> None:
        self._place, self._model = urlsplit(server.address), server.model
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"}

    def ask(self, turns: Turns, tokens: int, **more: Any) -> tuple[float, str, dict[str, Any]]:
        """Seconds to the first word of an answer, its text, and its usage."""
        body = {"model": self._model, "messages": turns, "max_tokens": tokens, "temperature": 0.3, "top_p": 0.9}
        body |= {"seed": 1, "stream": True, "stream_options": {"include_usage": True}, **more}
        first, words, usage = 0.0, list[str](), dict[str, Any]()
        connection = http.client.HTTPConnection(str(self._place.hostname), self._place.port)
        begun = time.perf_counter()
        connection.request("POST", f"{self._place.path}/chat/completions", json.dumps(body), self._headers)
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"the server answered HTTP {response.status}: {response.read()[:300]!r}")
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            told = json.loads(line[6:])
            usage = told.get("usage") or usage
            if "choices" not in told:
                raise SystemExit(f"the server broke off: {line[6:306]!r}")
            for choice in told["choices"]:
                if piece := choice["delta"].get("content"):
                    first = first or time.perf_counter() - begun
                    words.append(piece)
        connection.close()
        return first, "".join(words), usage


def served(home: Path, engine: str, answer: int, times: int) -> dict[str, Any]:
    """By the server."""
    import studio
    from workspace.settings import load_settings

    settings = load_settings("embedded", {"home": str(home)})
    reused, fresh, tokens, known = list[float](), list[float](), list[int](), list[dict[str, Any]]()
    serving: Any = studio.serve(MODEL, settings=settings, engine=cast(Any, engine), port=0)
    with serving as server:
        client, record = Client(server), server.record
        for number in range(times + 1):
            answers = list[str]()
            for _ in range(4):
                answers.append(client.ask(conversation(f"Panel {number}.", answers), answer, ignore_eos=True)[1])
            took, _, usage = client.ask(conversation(f"Panel {number}.", answers), 2)
            without, _, other = client.ask(conversation(f"Another panel {number}.", answers), 2)
            if number:  # the first time is no measurement
                reused, fresh = [*reused, took], [*fresh, without]
                tokens.append(usage["prompt_tokens"])
                known.append({"with": new(usage), "without": new(other)})
            print(json.dumps({"with": took, "without": without, "usage": [usage, other]}), file=sys.stderr, flush=True)
    anew = {f"new_tokens_{kind}": [one[kind] for one in known] for kind in ("with", "without")}
    which = {"engine": record.engine, "version": record.version, "weights": record.weights}
    return {**which, "tokens": tokens, **anew, **summary(reused, fresh)}


def new(usage: dict[str, Any]) -> int | None:
    """How many tokens of a prompt a server read anew; nothing where it does not tell."""
    known = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return None if known is None else int(usage["prompt_tokens"]) - int(known)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--history", type=int, default=2000, help="tokens before the fifth question")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--engine", choices=("auto", "llama.cpp", "vllm"), default="auto")
    options = parser.parse_args()
    import studio  # noqa: F401  its libraries' environment
    from models.catalogue.fetch import locate
    from models.decoder.engine import engine

    found: dict[str, Any] = {"benchmark": "fifth_turn", "cpu": cpu(), "cores": len(os.sched_getaffinity(0))}
    with fresh_home() as home:
        llm = engine(locate(MODEL, home))
        found["tokens"] = lengths(llm, options.history)
        for part in options.parts:
            if part == "process":
                found[part] = process(home, llm, found["tokens"]["answer"], options.times)
            else:
                found[part] = served(home, options.engine, found["tokens"]["answer"], options.times)
            print(json.dumps({part: found[part]}), file=sys.stderr, flush=True)
    print(json.dumps({**found, "passed": all(found[part]["passed"] for part in options.parts)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
