"""vLLM's OpenAI server as a command: what of it is set, and why. Knows its flags (0.32); imports nothing of it.

It lives in an environment of its own (`models.serving.engines.VLLM_FOLDER`). Set explicitly, so that neither a model's
folder nor a new version decides it in silence:

- documents: the backend, and no white space between their parts, which a model may write without end (vllm #38696);
- sampling: OpenAI's defaults, not those that lie beside the model (``--generation-config vllm``);
- adapters: named by their content, since what was computed under a name may be used again (vllm #42125), and loaded at
  the start alone; on a CPU the only one is folded into the weights;
- whether answers depend on what else is asked (``VLLM_BATCH_INVARIANT``);
- on a CPU a prompt is read in one piece: read in several, one whose request names a seed ends the engine of 0.32.0
  ("CPU Generator does not use offset").

The key goes by a variable: a command can be read by all users of a machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from models.serving import engines
from models.serving.engines import Engine
from models.serving.gguf_architecture import FAMILIES
from models.serving.memory import check_fits, free_memory
from models.serving.plan import Plan, Wanted
from workspace.errors import ServiceError, UsageError
from workspace.progress import amount

DOCUMENTS = {"backend": "xgrammar", "disable_any_whitespace": True}
"""How documents are kept to their schema."""

IN_FLIGHT = {"gpu": 64, "cpu": 32}
GPU_MEMORY = 0.9
INVARIANT_FROM = 8.0
"""The compute capability from which answers can be made independent of each other."""

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_CORES = 4  # of fewer it would keep one for itself and write with the rest: with 2 at .72 of the speed
_READ = 2048  # tokens that are read at once, of whatever requests
_GIB = 2**30


def folds(wanted: Wanted, engine: Engine) -> bool:
    """Whether a model is better served with its one adapter in its weights, as one model under the adapter's name.

    A CPU writes with an adapter beside them at a quarter to a third of the speed (two cores, docs/log.md).
    """
    return engine.build == "cpu" and len(wanted.adapters) == 1 and wanted.shape.kind in FAMILIES


def plan(wanted: Wanted, engine: Engine, whole: Path | None = None) -> Plan:
    """Say how vLLM serves a model.

    Args:
        wanted: The model.
        engine: vLLM.
        whole: The folder of the model with its adapter in its weights, where it `folds`.

    Raises:
        UsageError: Something is asked for that this machine does not have, or vLLM not for it.
        ServiceError: The model does not fit.
    """
    on_gpu = engine.build == "gpu"
    _check_asked(wanted, on_gpu)
    in_flight = wanted.in_flight or IN_FLIGHT[engine.build]
    names, folder = (wanted.names[:1], whole) if whole else (wanted.names, wanted.folder)
    flags = [
        *("--model", str(folder.absolute()), "--served-model-name", names[-1], "--host", "127.0.0.1"),
        *("--max-model-len", str(wanted.tokens), "--max-num-seqs", str(in_flight)),
        *("--structured-outputs-config", json.dumps(DOCUMENTS, separators=(",", ":"))),
        *("--generation-config", "vllm", "--enable-prefix-caching", "--disable-uvicorn-access-log"),
        "--enable-prompt-tokens-details",  # answers say how much of a prompt was known
        *(_gpu_flags(wanted) if on_gpu else _cpu_flags(wanted)),
        *(() if whole else _adapter_flags(wanted)),
    ]
    variables: dict[str, str | None] = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_BATCH_INVARIANT": "1" if wanted.batch_invariant else "0",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": None,
    }
    if not on_gpu:
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(_cache_of(wanted, in_flight) // _GIB)
        if len(os.sched_getaffinity(0)) < _CORES and "VLLM_CPU_NUM_OF_RESERVED_CPU" not in os.environ:
            variables["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    return Plan(
        engine=engine,
        command=(str(engines.python_of()), "-m", "vllm.entrypoints.openai.api_server", *flags),
        variables=variables,
        key_variable="VLLM_API_KEY",
        models=names,
        in_flight=in_flight,
        context=wanted.tokens,
        weights="as they lie" if on_gpu else "bfloat16",
    )


def _check_asked(wanted: Wanted, on_gpu: bool) -> None:
    """Refuse what this machine cannot do."""
    here = engines.gpus() if on_gpu else ()
    spread = wanted.tensor_parallel or 1
    if not on_gpu and (wanted.gpu_memory is not None or spread > 1):
        raise UsageError("--gpu-memory and --tensor-parallel are for GPUs, and vLLM here is built for CPUs")
    if on_gpu and spread > len(here):
        raise UsageError(f"--tensor-parallel {spread} is more than the {len(here)} NVIDIA GPUs that are here")
    if wanted.batch_invariant and not (on_gpu and all(gpu.capability >= INVARIANT_FROM for gpu in here[:spread])):
        raise UsageError(f"--batch-invariant wants GPUs of compute capability {INVARIANT_FROM:g} or more")
    if on_gpu:
        share = wanted.gpu_memory or GPU_MEMORY
        held = sum(int(gpu.memory * share) for gpu in here[:spread])
        need = wanted.shape.weights + wanted.shape.token * wanted.tokens
        if need > held:
            words = f"{wanted.name} needs {amount(need)}, and {share:.0%} of {spread} GPU is {amount(held)}"
            raise ServiceError(words, hint="spread it with --tensor-parallel, or lower --context")


def _gpu_flags(wanted: Wanted) -> tuple[str, ...]:
    share, spread = wanted.gpu_memory or GPU_MEMORY, wanted.tensor_parallel or 1
    return "--gpu-memory-utilization", f"{share:g}", "--tensor-parallel-size", str(spread)


def _cpu_flags(wanted: Wanted) -> tuple[str, ...]:
    at_once = str(max(wanted.tokens, _READ))
    return "--dtype", "bfloat16", "--no-enable-chunked-prefill", "--max-num-batched-tokens", at_once


def _adapter_flags(wanted: Wanted) -> tuple[str, ...]:
    """The adapters, all of which may stand in one batch.

    Raises:
        UsageError: One is of a higher rank than vLLM takes.
    """
    if not wanted.adapters:
        return ()
    rank = max(adapter.rank for adapter in wanted.adapters)
    room = next((one for one in _RANKS if one >= rank), None)
    if room is None:
        raise UsageError(f"an adapter has rank {rank}; vLLM takes {_RANKS[-1]} at most")
    named = [json.dumps({"name": one.name, "path": str(one.folder)}) for one in wanted.adapters]
    most = ("--max-loras", str(len(named)), "--max-lora-rank", str(room))
    return "--enable-lora", *most, "--lora-modules", *named


def _cache_of(wanted: Wanted, in_flight: int) -> int:
    """Bytes of main memory for keys and values: all that may be held at once, or what half of the free memory has.

    Raises:
        ServiceError: Not even one conversation fits.
    """
    stream = wanted.shape.token * wanted.tokens
    fixed = 2 * wanted.shape.parameters + 2 * _GIB  # bfloat16, and what vLLM itself takes
    free = free_memory()
    check_fits(wanted.name, fixed, max(stream, _GIB), 1, free)
    room = max((free - fixed) // 2, stream, _GIB)
    return -(-min(stream * in_flight or room, room) // _GIB) * _GIB
