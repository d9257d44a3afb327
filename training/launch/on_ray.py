"""A recipe on a Ray cluster: every worker of Ray Train runs `training.language.run.main`, and the first one reports.

Knows Ray; not what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from training.language.results import RecipeResult
from training.launch.messages import Failed, Made, failure, listen, raised
from workspace.errors import ServiceError, StudioError, one_line
from workspace.progress import Tell, silent

_LOGS = "Ray's logs: /tmp/ray/session_latest/logs/train"


def train(
    recipe: str,
    home: Path,
    processes: int,
    environment: Mapping[str, str],
    spread: bool,
    tell: Tell = silent,
) -> RecipeResult:
    """Train on the cluster that RAY_ADDRESS names, or on this machine alone.

    Args:
        recipe: A shipped recipe's name, or a file that every worker can read.
        home: STUDIO_HOME, shared by the workers' machines.
        processes: Workers; each has a GPU where there are any.
        environment: Variables that the workers see.
        spread: Whether weights are spread over GPUs.
        tell: Called with events of progress, in a thread of its own.

    Raises:
        ServiceError: No cluster answers, or it has no GPU for what wants some.
        StudioError: As a worker said.
    """
    import ray
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    from training.language.ranks import PATIENCE

    seen = {"env_vars": dict(environment)}
    try:
        ray.init(ignore_reinit_error=True, runtime_env=seen, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as fault:
        raise ServiceError(f"no Ray cluster answers: {one_line(fault)}") from None
    gpus = ray.cluster_resources().get("GPU", 0) > 0
    if spread and not gpus:
        raise ServiceError("weights are spread over GPUs, and the cluster has none", hint="--config ddp")
    messages = Queue()
    file = Path(recipe).expanduser()
    given = {"recipe": str(file.resolve()) if file.is_file() else recipe, "home": str(home), "messages": messages}
    trainer = TorchTrainer(
        work,
        train_loop_config=given | {"folder": str(Path.cwd())},
        scaling_config=ScalingConfig(num_workers=processes, use_gpu=gpus),
        run_config=RunConfig(storage_path=str(home / "training" / "ray")),
        torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
    )
    stopped: BaseException | None = None
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(listen, _until_none(messages), tell)
        try:
            trainer.fit()
        except (ray.exceptions.RayError, TrainingFailedError) as fault:
            stopped = fault
        finally:
            messages.put(None)
            pool.shutdown()
            ray.shutdown()
    return _ended(end.result(), stopped)


def work(given: dict[str, Any]) -> None:
    """What each worker does."""
    from training.language import ranks, run

    os.chdir(given["folder"])
    messages = given["messages"]
    try:
        result = run.main(
            run.open_run(given["recipe"], Path(given["home"])), lambda event: messages.put(event.model_dump_json())
        )
    except StudioError as fault:
        messages.put(failure(type(fault), fault).model_dump_json())
        raise
    if ranks.first():
        messages.put(Made(result=result).model_dump_json())


def _until_none(messages: Any) -> Iterator[str]:
    while (line := messages.get()) is not None:
        yield line


def _ended(end: Made | Failed | None, fault: BaseException | None) -> RecipeResult:
    if isinstance(end, Failed):
        raise raised(end, _LOGS)
    if end is None:
        lines = [line.strip() for line in str(fault or "").split("\n") if line.strip()]
        last = one_line(lines[-1]) if lines else "they reported nothing"
        raise StudioError(f"the workers failed: {last}", hint=f"see {_LOGS}")
    return end.result
