"""Serving as the front door offers it: a model of the catalogue behind an OpenAI-compatible server on this machine.

Knows what is served and by which engine; the processes are `models.serving`'s. Knows no terminal.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from models.serving.gguf_tensors import Precision
from studio.verb import Call, verb
from workspace.errors import DataError, StorageError, UsageError
from workspace.options import setting
from workspace.progress import Remark, waiting
from workspace.settings import ServingEngine, Variable, Words

if TYPE_CHECKING:
    from models.serving.engines import Choice
    from models.serving.plan import Plan, Wanted
    from models.serving.records import Record
    from models.serving.server import Launch, Server
    from workspace.settings import Settings

PORT = 8000
WEIGHTS: Precision = "q8_0"
_SERVED = ("chat", "vision")


class ServeCall(Call):
    """What is served, where, and by which engine."""

    adapter: tuple[Words, ...] = Field(
        (), max_length=16, description="A LoRA adapter, by catalogue id or folder; may be given again"
    )
    engine: ServingEngine | None = setting("serving.engine")
    port: int = Field(PORT, ge=0, le=65535, description="Port on 127.0.0.1; 0: a free one")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] | None = Field(
        None, description="What the server and its model are called; the model's own name if not given"
    )
    in_flight: int | None = Field(
        None, ge=1, le=1024, description="Answers written at the same time; 8 by llama.cpp, 32 or (GPU) 64 by vLLM"
    )
    context: int | None = Field(
        None, ge=64, le=4_194_304, description="Tokens of a conversation; what the model reads, 8192 at most"
    )
    weights: Precision | None = Field(
        None, description=f"llama.cpp: in which numbers the weights are served; {WEIGHTS} if not given"
    )
    gpu_memory: float | None = Field(None, gt=0.05, le=0.99, description="vLLM: share of a GPU's memory; 0.9")
    tensor_parallel: int | None = Field(None, ge=1, le=64, description="vLLM: GPUs that the model is spread over")
    batch_invariant: bool = Field(
        False, description="vLLM on GPUs: an answer does not depend on what else is asked; slower"
    )
    api_key_env: Variable | None = Field(
        None, description="Variable that holds the key clients must send; a file of STUDIO_HOME/servers if not given"
    )
    start_timeout: float = Field(900, gt=0, le=36_000, description="Seconds in which its first token must come")
    show: bool = Field(
        False, description="Show the engine's command and run nothing", json_schema_extra={"option": "--print"}
    )
    profile: str | None = Field(None, description="Whose chat model is served where no model is named")


class ServeCommand(BaseModel):
    """How an engine would be started: nothing runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    version: str
    why: str
    command: tuple[str, ...]
    variables: dict[str, str | None] = Field(description="Set beside this environment's; none: taken out of it")


class Serving:
    """A server that answers, and is kept up until it is stopped: at the end of a ``with``, or by `stop`."""

    def __init__(self, record: Record, why: str, server: Server, hold: ExitStack) -> None:
        self._record, self.why, self._server, self._hold = record, why, server, hold

    @property
    def record(self) -> Record:
        """All there is to know of it, its process as it is now."""
        return self._record.model_copy(update={"engine_pid": self._server.pid, "restarts": self._server.restarts})

    @property
    def address(self) -> str:
        """Its base URL."""
        return self._record.address

    @property
    def model(self) -> str:
        """The name to ask for."""
        return self._record.model

    @property
    def key(self) -> str:
        """The key it wants."""
        return self._record.key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Return when it is stopped.

        Raises:
            ServiceError: Its engine died more often than it is started again.
        """
        self._server.wait()

    def stop(self) -> None:
        """End it with every process that it started; its record goes away, its key stays."""
        self._hold.close()


@verb(ServeCall)
def serve(model: str | None, options: ServeCall) -> Serving | ServeCommand:
    """Serve a model, and its adapters, to any OpenAI-compatible client on this machine.

    It returns when the server has written its first token. A thread keeps the server up: it is started again when it
    dies, five times at most, each time told as a remark.

    Args:
        model: A catalogue id, a variant trained here, or a model folder; none: the profile's chat model with its
            adapter.
        options: See `ServeCall`.
    """
    with waiting("looking at the model and the engines"):
        from models.serving.engines import choose

        settings = options.using
        wanted = _wanted(model, options, settings)
        choice = choose(options.engine or settings.serving.engine, _beyond(wanted))
    if options.show:
        return _shown(_plan(wanted, choice, options, write=False), choice, options.port)
    return _started(wanted, choice, options)


def _wanted(model: str | None, options: ServeCall, settings: Settings) -> Wanted:
    """What is to be served: the model and adapters found, and seen to belong together."""
    from models.serving.adapters import find_adapter, plain_name
    from models.serving.memory import shape_of
    from models.serving.plan import Wanted

    named, adapters = _named(model, options, settings)
    folder = _folder(named, settings.home)
    return Wanted(
        name=options.name or plain_name(folder.name),
        folder=folder,
        shape=shape_of(folder),
        home=settings.home,
        adapters=tuple(find_adapter(one, folder, settings.home) for one in adapters),
        in_flight=options.in_flight,
        context=options.context,
        gpu_memory=options.gpu_memory,
        tensor_parallel=options.tensor_parallel,
        batch_invariant=options.batch_invariant,
    )


def _named(model: str | None, options: ServeCall, settings: Settings) -> tuple[str, tuple[str, ...]]:
    """The model and adapters by name; an adapter that a profile sets belongs to its own model."""
    if model is not None:
        return model, options.adapter
    own = (settings.chat.adapter,) if settings.chat.adapter else ()
    return settings.chat.model, options.adapter or own


def _folder(named: str, home: Path) -> Path:
    """The folder of a model that can be served.

    Raises:
        UsageError: It is no language model.
        DataError: It is an adapter, or eyes that only this process looks through.
    """
    from models.catalogue.fetch import locate
    from models.catalogue.folders import read_json
    from models.catalogue.table import MODELS

    entry = MODELS.get(named)
    if entry is not None and entry.kind not in _SERVED:
        raise UsageError(f"model {named!r} is of kind {entry.kind}; served are {' and '.join(_SERVED)} models")
    folder = locate(named, home, kind="vision" if entry is not None and entry.kind == "vision" else None).absolute()
    if (folder / "model_index.json").is_file():
        raise UsageError(f"{folder} holds a painter; served are {' and '.join(_SERVED)} models")
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if config.get("model_type") == "studio-eyes":
        raise DataError(f"{named} holds eyes for {config.get('base')}, through which only this process looks")
    return folder if config else locate(named, home, kind="chat").absolute()


def _beyond(wanted: Wanted) -> str | None:
    """Why llama.cpp cannot serve a model, if it cannot."""
    from models.serving.gguf_architecture import FAMILIES

    if wanted.shape.kind in FAMILIES:
        return None
    return f"{wanted.name} is of the architecture {wanted.shape.kind}; llama.cpp serves {', '.join(FAMILIES)} here"


def _plan(wanted: Wanted, choice: Choice, options: ServeCall, *, write: bool) -> Plan:
    """How the chosen engine is started; a model that it reads in another form is written first."""
    from models.serving import llama_cpp, vllm

    if choice.engine.name == "vllm":
        if options.weights is not None:
            raise UsageError("--weights is llama.cpp's; vLLM serves here", hint="--engine llama.cpp")
        return vllm.plan(
            wanted, choice.engine, _whole(wanted, options, write) if vllm.folds(wanted, choice.engine) else None
        )
    weights: Precision = options.weights or WEIGHTS
    llama_cpp.check(wanted, weights)
    adapter = wanted.adapters[0].folder if wanted.adapters else None
    from models.serving.gguf_writing import adapter_file, model_file, write_adapter, write_model

    if write:
        gguf = write_model(wanted.folder, wanted.home, weights, options.tell)
        lora = write_adapter(adapter, wanted.folder, wanted.home, options.tell) if adapter else None
    else:
        gguf = model_file(wanted.folder, wanted.home, weights)
        lora = adapter_file(adapter, wanted.folder, wanted.home) if adapter else None
    return llama_cpp.plan(wanted, choice.engine, weights, gguf, lora)


def _whole(wanted: Wanted, options: ServeCall, write: bool) -> Path:
    """The model with its only adapter in its weights, written where it is wanted and not there."""
    from training.adapted import folded, place_of

    name, adapter = wanted.adapters[0].name, wanted.adapters[0].folder
    options.tell(Remark(text=f"on a CPU {name} is folded into the weights, and {wanted.name} without it is not served"))
    if write:
        return folded(adapter, wanted.home, wanted.folder)[0]
    return place_of(adapter, wanted.folder, wanted.home)


def _shown(plan: Plan, choice: Choice, port: int) -> ServeCommand:
    from models.serving.server import free_port

    return ServeCommand(
        engine=plan.engine.name,
        version=str(plan.engine.version),
        why=choice.why,
        command=(*plan.command, "--port", str(port or free_port())),
        variables={**plan.variables, plan.key_variable: "***"},
    )


def _started(wanted: Wanted, choice: Choice, options: ServeCall) -> Serving:
    """Start the server under its name, and write its record."""
    from models.serving.records import entry, put
    from models.serving.server import Launch, Limits, Server, check_free, free_port

    home, title = wanted.home, f"{choice.engine.name} with {wanted.name}"
    stack = ExitStack()
    try:
        stack.enter_context(entry(home, wanted.name))
        port = options.port or free_port()
        check_free(port)
        key, where = _key(options, home, wanted.name)
        plan = _plan(wanted, choice, options, write=True)
        options.tell(Remark(text=f"{choice.engine.words} serves {wanted.name}: {choice.why}"))
        command = (*plan.command, "--port", str(port))
        variables = {**os.environ, **plan.variables, plan.key_variable: key}
        launch = Launch(
            title=title,
            command=command,
            environment={name: value for name, value in variables.items() if value is not None},
            port=port,
            model=plan.models[0],
            key=key,
            log=home / "logs" / f"serve-{wanted.name}.log",
        )
        record = _record(wanted, plan, launch, where, options)

        def changed(pid: int, restarts: int) -> None:
            try:
                put(home, record.model_copy(update={"engine_pid": pid, "restarts": restarts}))
            except StorageError as fault:  # no reason to end a server that answers
                options.tell(Remark(text=fault.message))

        server = Server(launch, options.tell, Limits(start=options.start_timeout), changed)
        stack.callback(server.stop)
        server.start()
    except BaseException:
        stack.close()
        raise
    return Serving(record, choice.why, server, stack)


def _key(options: ServeCall, home: Path, name: str) -> tuple[str, Path | None]:
    """The key that clients must send, and the file it stands in, where it is no variable's."""
    from models.serving.records import key_from, key_in

    if options.api_key_env is not None:
        return key_from(options.api_key_env), None
    return key_in(home, name)


def _record(wanted: Wanted, plan: Plan, launch: Launch, key_file: Path | None, options: ServeCall) -> Record:
    from models.catalogue.fetch import fingerprint
    from models.serving.records import Record, began
    from models.serving.server import HOST

    return Record(
        name=wanted.name,
        address=f"http://{HOST}:{launch.port}/v1",
        model=plan.models[0],
        models=plan.models,
        engine=plan.engine.name,
        version=str(plan.engine.version),
        folder=wanted.folder,
        fingerprint=fingerprint(wanted.folder),
        adapters={adapter.name: adapter.sha256 for adapter in wanted.adapters},
        weights=plan.weights,
        in_flight=plan.in_flight,
        context=plan.context,
        batch_invariant=wanted.batch_invariant,
        flags=launch.command,
        key_file=key_file,
        api_key_env=options.api_key_env,
        log=launch.log,
        pid=os.getpid(),
        began=began(os.getpid()),
        engine_pid=0,
    )
