"""A recipe by many processes: under accelerate's launcher, or on Ray. Each of them runs `training.language.run.main`.

The processes send messages (`training.launch.messages`) as lines of JSON on standard output, each after a record
separator (RFC 7464); all else that they print goes to a log. Knows how processes are started; not what they train.

python -m training.launch.start RECIPE HOME      (one process; `studio train run RECIPE \
    --launch accelerate` starts them)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import yaml
from pydantic import BaseModel

from training.language import ranks, run
from training.language.plan import Layout, usual
from training.language.results import RecipeResult
from training.launch.messages import Failed, Made, failure, listen, raised
from training.launch.options import Launcher, RunOptions
from workspace.errors import DataError, Interrupted, ServiceError, StudioError, UsageError, one_line, unknown
from workspace.extras import require, surroundings
from workspace.progress import Tell, silent

FOLDER = Path(__file__).parent
DEFAULTS = RunOptions()
MARK = "\x1e"
_LONGEST_END = 60.0  # seconds that the processes have after Ctrl-C


def train(recipe: str | Path, home: Path, options: RunOptions = DEFAULTS, tell: Tell = silent) -> RecipeResult:
    """Run a recipe, see `training.language.run.main`, in this process or in many.

    Args:
        recipe: A shipped recipe's name, or a file.
        home: STUDIO_HOME; several machines share it.
        options: Who starts the processes, by which configuration, and how many.
        tell: Called with events of progress.

    Raises:
        UsageError: An unknown configuration.
        ServiceError: Ray or DeepSpeed is not installed, or there is no GPU for what wants some.
        Interrupted: Ctrl-C; the processes have ended.
        StudioError: As a process said, or the end of a process that said nothing.
    """
    opened = run.open_run(recipe, home)  # a fault of the recipe is raised here, once
    try:
        return LAUNCHERS[options.launch](opened, str(recipe), options, tell)
    except KeyboardInterrupt:
        raise Interrupted("stopped", hint="the same command goes on") from None


def configs() -> list[str]:
    """The names of the configurations that come with Studio."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def config_file(name: str) -> Path:
    """A configuration's file, by its path or the name of a shipped one."""
    own, shipped = Path(name).expanduser(), FOLDER / f"{name}.yaml"
    if not own.is_file() and not shipped.is_file():
        raise UsageError(unknown("config", name, configs()))
    return (own if own.is_file() else shipped).resolve()


def layout(opened: run.Run, options: RunOptions, *, starting: bool = False) -> Layout:
    """How processes share the work of a recipe, by these options; starts nothing.

    Args:
        opened: The recipe.
        options: Who starts them, by which configuration, and how many.
        starting: They are about to be started: what does so has to be installed.
    """
    if options.launch == "none":
        return usual(opened)
    require("accelerate")
    if starting and options.launch == "ray":
        require("ray", extra="cluster")
    settings = _settings(config_file(options.config or "ddp"), starting=starting)
    many = options.processes or settings.num_processes
    zero = (
        (settings.deepspeed_config or {}).get("zero_stage") == 3 if settings.distributed_type == "DEEPSPEED" else False
    )
    named = f"--launch {options.launch} --config {options.config or 'ddp'} --processes {many}"
    return Layout(many, zero or settings.distributed_type == "FSDP", settings.num_machines, named)


def _here(opened: run.Run, recipe: str, options: RunOptions, tell: Tell) -> RecipeResult:
    return run.main(opened, tell)


def _accelerate(opened: run.Run, recipe: str, options: RunOptions, tell: Tell) -> RecipeResult:
    """Start accelerate's launcher and pass on what the processes report, and Ctrl-C to them."""
    import torch

    require("datasets", "mergekit", "trl")
    command = [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    file = config_file(options.config or "ddp")
    settings = _settings(file)
    if settings.distributed_type in ("DEEPSPEED", "FSDP") and not torch.cuda.is_available():
        # accelerate would train the whole model in every process and say nothing
        raise ServiceError(f"{file.stem} spreads weights over GPUs, and there is none here", hint="--config ddp")
    command += ["--config_file", str(file)]
    command += [] if options.processes is None else ["--num_processes", str(options.processes)]
    if not settings.main_process_port and settings.num_machines == 1:
        command += ["--main_process_port", "0"]  # any that is free
    command += ["--module", "training.launch.start", recipe, str(opened.home)]
    place = f"-{settings.machine_rank}" if settings.machine_rank else ""
    log = opened.home / "training" / f"{opened.recipe.name}-launch{place}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as rest,
        subprocess.Popen(
            command,
            env=os.environ | surroundings(opened.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=rest,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches them through this process alone
        ) as child,
    ):
        try:
            assert child.stdout is not None
            end = listen(_messages(child.stdout, rest), tell)
            code = child.wait()
        except BaseException:
            _stop(child)
            raise
    return _ended(end, code, log)


def _settings(file: Path, starting: bool = True) -> Any:
    """A configuration, read by accelerate itself, and to start processes by it checked against what there is."""
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    try:
        settings = load_config_from_file(str(file))
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as fault:
        raise DataError(f"{file} is no configuration of accelerate: {one_line(fault)}") from None
    if not isinstance(settings, ClusterConfig):
        raise DataError(f"{file}: compute_environment must be LOCAL_MACHINE")
    if settings.distributed_type == "DEEPSPEED" and starting:
        require("deepspeed", install="deepspeed")
    return settings


def _messages(lines: IO[str], log: IO[str]) -> Iterator[str]:
    """The processes' messages as they come; what else they print goes to the log."""
    for line in lines:
        if line.startswith(MARK):
            yield line.removeprefix(MARK)
        else:
            log.write(line)
            log.flush()


def _stop(child: subprocess.Popen[str]) -> None:
    """End the launcher and, through it, the processes."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(_LONGEST_END)
            return
        except ProcessLookupError:
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue  # they would not end, or a second Ctrl-C


def _ended(end: Made | Failed | None, code: int, log: Path) -> RecipeResult:
    """What was made, or the fault that a process met."""
    if isinstance(end, Failed):
        raise raised(end, str(log))
    if code or end is None:
        fault = StudioError(f"the training processes ended with exit code {code}", hint=f"see {log}")
        fault.exit_code = code if code > 0 else 1
        raise fault
    return end.result


def _ray(opened: run.Run, recipe: str, options: RunOptions, tell: Tell) -> RecipeResult:
    """Start workers on Ray, with a configuration's FSDP in their environment."""
    require("ray", extra="cluster")
    require("datasets", "mergekit", "trl")
    from training.launch.on_ray import train as on_ray

    file = config_file(options.config or "ddp")
    settings = _settings(file)
    if settings.distributed_type == "DEEPSPEED":
        raise UsageError(f"{file.stem} is for accelerate's launcher", hint="on Ray: ddp, or fsdp2")
    spread = environment(settings)
    workers = options.processes or settings.num_processes
    return on_ray(recipe, opened.home, workers, surroundings(opened.home) | spread, bool(spread), tell)


def environment(settings: Any) -> dict[str, str]:
    """What accelerate's launcher would say to each process of a configuration's FSDP."""
    if settings.distributed_type != "FSDP":
        return {}
    variables = {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_MIXED_PRECISION": str(settings.mixed_precision or "no")}
    for key, value in settings.fsdp_config.items():
        name = key.upper() if key.startswith("fsdp_") else f"FSDP_{key.upper()}"
        name = name.replace("TRANSFORMER_LAYER_CLS", "TRANSFORMER_CLS")
        variables[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return variables


LAUNCHERS: Mapping[Launcher, Callable[[run.Run, str, RunOptions, Tell], RecipeResult]] = {
    "none": _here,
    "accelerate": _accelerate,
    "ray": _ray,
}
"""Who may start the processes."""


def _send(message: BaseModel) -> None:
    sys.stdout.write(f"{MARK}{message.model_dump_json()}\n")
    sys.stdout.flush()


def _fail(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """Send the fault that ends this process, then let Python print it."""
    if not issubclass(kind, KeyboardInterrupt | BrokenPipeError):
        _send(failure(kind, fault))
    sys.__excepthook__(kind, fault, trace)


def main(recipe: str, home: Path) -> None:
    """Run a recipe as one of several processes."""
    result = run.main(run.open_run(recipe, home), _send)
    if os.environ.get("LOCAL_RANK", "0") == "0":  # on every machine there is one who waits for it
        _send(Made(result=result))
    ranks.leave()


if __name__ == "__main__":
    sys.excepthook = _fail
    main(sys.argv[1], Path(sys.argv[2]))
