"""llama.cpp's server as a command, and the program that the command runs: ``python -m models.serving.llama_cpp``.

The program is a process of its own that holds one model and, if there is one, the adapter that all its answers are
written with. Set explicitly, so that no default of llama.cpp decides it in silence: OpenAI's sampling where a request
says nothing, no answer longer than its conversation may be, and a bounded memory for prompts.

The key goes by a variable: a command can be read by all users of a machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from models.serving.engines import Engine
from models.serving.memory import check_fits, free_memory
from models.serving.plan import Plan, Wanted
from workspace.errors import UsageError
from workspace.extras import surroundings

IN_FLIGHT = 8
KEY_VARIABLE = "STUDIO_SERVER_KEY"
BYTES = {"q8_0": 34 / 32, "f16": 2.0, "bf16": 2.0, "f32": 4.0}
"""Bytes that a number of the weights takes."""

_READ_AT_ONCE = 512  # tokens of prompts
_OWN = 200_000_000  # bytes that the process takes without a model
_MIB = 2**20
_MOST_PROMPTS = 2048 * _MIB


def check(wanted: Wanted, weights: str) -> None:
    """Refuse what llama.cpp does not do, and a model that does not fit, before anything is written for it.

    Raises:
        UsageError: Something is asked for that it does not do.
        ServiceError: The model does not fit.
    """
    for option, value in (("--gpu-memory", wanted.gpu_memory), ("--tensor-parallel", wanted.tensor_parallel)):
        if value is not None:
            raise UsageError(f"{option} is vLLM's; llama.cpp serves here", hint="--engine vllm")
    if wanted.batch_invariant:
        raise UsageError("--batch-invariant is vLLM's; llama.cpp serves here", hint="--engine vllm")
    if len(wanted.adapters) > 1:
        raise UsageError(
            f"llama.cpp writes all answers with one adapter, and {len(wanted.adapters)} are given",
            hint="--engine vllm, or a server for each, with a --name and --port of its own",
        )
    shape = wanted.shape
    fixed = int(shape.parameters * BYTES[weights]) + _OWN + 4 * _READ_AT_ONCE * shape.words
    check_fits(wanted.name, fixed, shape.token * wanted.tokens, wanted.in_flight or IN_FLIGHT, free_memory())


def plan(wanted: Wanted, engine: Engine, weights: str, gguf: Path, adapter: Path | None) -> Plan:
    """Say how llama.cpp serves a model.

    Args:
        wanted: What is to be served, as `check` let it pass.
        engine: llama.cpp.
        weights: In which numbers.
        gguf: The model.
        adapter: The adapter, if there is one.
    """
    in_flight = wanted.in_flight or IN_FLIGHT
    name = wanted.names[0]
    prompts = min(free_memory() // 10, _MOST_PROMPTS) // _MIB
    flags = [
        *("--model", str(gguf), "--name", name, "--context", str(wanted.tokens), "--in-flight", str(in_flight)),
        *("--threads", str(threads()), "--prompts-mib", str(prompts)),
        *(("--adapter", str(adapter)) if adapter else ()),
    ]
    return Plan(
        engine=engine,
        command=(sys.executable, "-P", "-m", "models.serving.llama_cpp", *flags),
        variables=dict(surroundings(wanted.home)),
        key_variable=KEY_VARIABLE,
        models=(name,),
        in_flight=in_flight,
        context=wanted.tokens,
        weights=weights,
    )


def threads() -> int:
    """Threads that compute: as many as ``OMP_NUM_THREADS`` says, or one for each core that this process may use."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0))
    return min(int(said), cores) if said.isdigit() and int(said) > 0 else cores


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.serving.llama_cpp", description="Serve a GGUF file.")
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--name", required=True, help="the name that clients ask for")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of a conversation")
    parser.add_argument("--in-flight", type=int, required=True, help="answers at the same time")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prompts-mib", type=int, required=True, help="memory for prompts that were read before")
    parser.add_argument("--adapter", help="a GGUF adapter that all answers are written with")
    return parser


def _parameters(given: argparse.Namespace, key: str) -> object:
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path, wanted.model_alias = given.model, {given.name}
    wanted.hostnames, wanted.port, wanted.api_keys = ["127.0.0.1"], given.port, [key]
    wanted.n_parallel, wanted.n_ctx = given.in_flight, given.in_flight * given.context
    wanted.n_predict = given.context  # an answer for which no bound is asked ends here
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = given.threads
    wanted.n_threads_http = 4 * given.in_flight + 8  # a look whether it is well must not wait for answers
    wanted.cache_ram_mib = given.prompts_mib
    wanted.fit_params = False  # else sizes are lowered to what fits
    wanted.endpoint_slots = wanted.ui = False
    sampling = wanted.sampling
    sampling.temp, sampling.top_p, sampling.min_p, sampling.top_k = 1.0, 1.0, 0.0, 0
    if given.adapter:
        wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(given.adapter, 1.0)]
    return wanted


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until this process is ended, or the one that started it is."""
    given = _arguments().parse_args(arguments)
    key = os.environ.pop(KEY_VARIABLE, "")
    if not key:
        sys.stderr.write(f"error: {KEY_VARIABLE} holds no key\n")
        return 2
    parent = os.getppid()
    import xllamacpp

    try:
        server = xllamacpp.Server(_parameters(given, key))
    except RuntimeError as fault:
        sys.stderr.write(f"error: {fault}\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):  # the library has put handlers of its own there, which do not end it
        signal.signal(number, signal.SIG_DFL)
    while os.getppid() == parent:
        time.sleep(1)
    del server
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
