"""The front door: what a program, the command line and the page call. A lazy table of verbs; nothing of widgets.

Importing this package is cheap: a verb's module is imported when the verb is first named.

    import studio

    made = studio.design("a tough panel inspired by nacre and leaves", images=2)
    print(made.design.title, made.folder)

Every verb takes ``settings`` and ``listener`` beside its own options; those that take long have ``submit`` too.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.documents import Brief, Critique, ImagePrompt, MaterialDesign
    from agents.programs import Program
    from studio.batches import batch
    from studio.catalogue import fetch_models, list_models, open_program, programs, verify_models
    from studio.designs import design, explain, export, list_runs, open_run, replay, resume, stream, submit, watch
    from studio.doctor import examine
    from studio.evaluation import train_evaluate
    from studio.jobs import list_jobs, open_job, put_first, retry_job, stop_job, watch_job
    from studio.judging import train_judge
    from studio.library import library_add, library_list, library_remove, library_search, library_update
    from studio.merging import train_merge
    from studio.queue.submit import JobSummary
    from studio.reporting import train_report
    from studio.runs.record import Design, ImageInfo, RunSummary
    from studio.runs.repeat import Replay
    from studio.serving import Serving, serve
    from studio.training import train_corpus, train_distil, train_image_lora, train_recipe

__version__ = "0.1.0"

# Read by libraries when they are first imported: MKL then adds up in one order, so that a replay gives the same digits.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

VERBS = {
    "design": "studio.designs",
    "submit": "studio.designs",
    "stream": "studio.designs",
    "watch": "studio.designs",
    "open_run": "studio.designs",
    "explain": "studio.designs",
    "list_runs": "studio.designs",
    "resume": "studio.designs",
    "replay": "studio.designs",
    "export": "studio.designs",
    "train_corpus": "studio.training",
    "train_distil": "studio.training",
    "train_image_lora": "studio.training",
    "train_recipe": "studio.training",
    "train_merge": "studio.merging",
    "train_evaluate": "studio.evaluation",
    "train_judge": "studio.judging",
    "train_report": "studio.reporting",
    "batch": "studio.batches",
    "serve": "studio.serving",
    "library_add": "studio.library",
    "library_update": "studio.library",
    "library_list": "studio.library",
    "library_search": "studio.library",
    "library_remove": "studio.library",
    "list_models": "studio.catalogue",
    "fetch_models": "studio.catalogue",
    "verify_models": "studio.catalogue",
    "programs": "studio.catalogue",
    "open_program": "studio.catalogue",
    "examine": "studio.doctor",
    "list_jobs": "studio.jobs",
    "open_job": "studio.jobs",
    "watch_job": "studio.jobs",
    "stop_job": "studio.jobs",
    "retry_job": "studio.jobs",
    "put_first": "studio.jobs",
}
"""Every verb, and the module that holds it."""

JOBS = (
    "design", "train_corpus", "train_distil", "train_image_lora", "train_recipe", "train_merge", "train_evaluate",
    "train_judge", "fetch_models", "batch", "library_add", "library_update",
)  # fmt: skip
"""The verbs that can be queued: the kinds of job."""

_TYPES = {
    "Brief": "agents.documents",
    "Critique": "agents.documents",
    "ImagePrompt": "agents.documents",
    "MaterialDesign": "agents.documents",
    "Program": "agents.programs",
    "Design": "studio.runs.record",
    "ImageInfo": "studio.runs.record",
    "RunSummary": "studio.runs.record",
    "Replay": "studio.runs.repeat",
    "JobSummary": "studio.queue.submit",
    "Serving": "studio.serving",
}

__all__ = [
    "JOBS",
    "VERBS",
    "Brief",
    "Critique",
    "Design",
    "ImageInfo",
    "ImagePrompt",
    "JobSummary",
    "MaterialDesign",
    "Program",
    "Replay",
    "RunSummary",
    "Serving",
    "batch",
    "design",
    "examine",
    "explain",
    "export",
    "fetch_models",
    "library_add",
    "library_list",
    "library_remove",
    "library_search",
    "library_update",
    "list_jobs",
    "list_models",
    "list_runs",
    "open_job",
    "open_program",
    "open_run",
    "programs",
    "put_first",
    "replay",
    "resume",
    "retry_job",
    "serve",
    "stop_job",
    "stream",
    "submit",
    "train_corpus",
    "train_distil",
    "train_evaluate",
    "train_image_lora",
    "train_judge",
    "train_merge",
    "train_recipe",
    "train_report",
    "verify_models",
    "watch",
    "watch_job",
]


def summary(name: str) -> str:
    """The first line of what a verb says of itself, read from its source: nothing is imported for it."""
    import ast
    from pathlib import Path

    file = Path(__file__).parent / f"{VERBS[name].removeprefix('studio.')}.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    raise AttributeError(f"{file} defines no {name}")


def __getattr__(name: str) -> Any:
    module = VERBS.get(name) or _TYPES.get(name)
    if module is None:
        raise AttributeError(f"module 'studio' has no attribute {name!r}")
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found
