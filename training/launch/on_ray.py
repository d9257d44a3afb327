"""A recipe on a Ray cluster: every worker of Ray Train runs `training.language.run.main`, and the first one tells.

Knows Ray; not what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from workspace.errors import ServiceError, StudioError

_LOGS = "Ray's logs: /tmp/ray/session_latest/logs/train"

Told = Callable[[dict[str, Any]], None]


def train(
    recipe: str, home: Path, processes: int, environment: dict[str, str], told: Told | None = None
) -> dict[str, Any]:
    """Train on the cluster that RAY_ADDRESS names, or on this machine alone.

    Args:
        recipe: A shipped recipe's name, or a file that every worker can read.
        home: STUDIO_HOME, shared by the workers' machines.
        processes: Workers; each has a GPU where there are any.
        environment: Variables that the workers see.
        told: Called with rows of progress, in a thread of its own.

    Raises:
        ServiceError: No cluster answers, or it has no GPU for what wants some.
        StudioError: As a worker said.
    """
    import ray
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    from training.language.ranks import PATIENCE
    from training.launch.faults import ROOT

    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    seen = {"env_vars": environment | {"PYTHONPATH": path, "STUDIO_HOME": str(home)}}
    try:
        ray.init(ignore_reinit_error=True, runtime_env=seen, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as fault:
        raise ServiceError(f"no Ray cluster answers: {' '.join(str(fault).split())[:200]}") from None
    gpus = ray.cluster_resources().get("GPU", 0) > 0
    if environment and not gpus:
        raise ServiceError("weights are spread over GPUs, and the cluster has none", hint="--config ddp")
    rows = Queue()
    file = Path(recipe).expanduser()
    given = {"recipe": str(file.resolve()) if file.is_file() else recipe, "home": str(home), "rows": rows}
    trainer = TorchTrainer(
        work,
        train_loop_config=given | {"folder": str(Path.cwd())},
        scaling_config=ScalingConfig(num_workers=processes, use_gpu=gpus),
        run_config=RunConfig(storage_path=str(home / "training" / "ray")),
        torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
    )
    ends: dict[str, Any] = {}
    listener = Thread(target=_listen, args=(rows, ends, told), daemon=True)
    listener.start()
    try:
        trainer.fit()
    except (ray.exceptions.RayError, TrainingFailedError) as fault:
        ends.setdefault("fault", fault)
    finally:
        rows.put(None)
        listener.join()
        ray.shutdown()
    return _ended(ends)


def work(given: dict[str, Any]) -> None:
    """What each worker does."""
    from training.language import ranks, run
    from training.launch.faults import failure

    os.chdir(given["folder"])
    try:
        made = run.main(
            run.open_run(given["recipe"], Path(given["home"])), lambda row: given["rows"].put({"told": row})
        )
    except StudioError as fault:
        given["rows"].put(failure(type(fault), fault))
        raise
    if ranks.first():
        given["rows"].put({"made": made})


def _listen(rows: Any, ends: dict[str, Any], told: Told | None) -> None:
    """Pass on the workers' rows until none follows."""
    while (row := rows.get()) is not None:
        if "told" in row and told:
            told(row["told"])
        for key in ("made", "failed"):
            if key in row:
                ends.setdefault(key, row[key])


def _ended(ends: dict[str, Any]) -> dict[str, Any]:
    from training.launch.faults import fault_of

    if "failed" in ends:
        raise fault_of(ends["failed"], _LOGS)
    if "made" not in ends:
        lines = str(ends.get("fault", "")).split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "they told nothing")
        raise StudioError(f"the workers failed: {last[:300]}", hint=f"see {_LOGS}")
    made: dict[str, Any] = ends["made"]
    return made
