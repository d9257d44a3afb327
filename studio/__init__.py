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
    from studio.configuration.servers import forget_key, keep_key, list_keys, try_server
    from studio.configuration.settings import change_settings, list_settings
    from studio.designs import (
        asked_for,
        branch,
        design,
        explain,
        export,
        family,
        keep_picture,
        list_runs,
        open_run,
        pace,
        replay,
        resume,
        sample_run,
        skip,
        steps,
        stream,
        submit,
        suggest,
        watch,
    )  # fmt: skip
    from studio.doctor import examine
    from studio.evaluation import train_evaluate
    from studio.experiments.batch_rows import batch_folder, batch_rows
    from studio.experiments.previewing import preview_data
    from studio.experiments.variants import list_scores, list_variants
    from studio.jobs import (
        job_events,
        job_log,
        job_progress,
        list_jobs,
        open_job,
        put_first,
        retry_job,
        stop_job,
        watch_job,
    )
    from studio.judging import train_judge
    from studio.keeping.bin import bin_run, empty_bin, list_bin, restore_run
    from studio.keeping.feedback import feedback_add, feedback_export, feedback_list
    from studio.keeping.finding import find_choices, find_pictures, find_runs
    from studio.keeping.marking import boards, mark_picture, mark_run, remove_board
    from studio.keeping.recipe import recipe_of
    from studio.library import library_add, library_list, library_remove, library_search, library_update
    from studio.merging import train_merge
    from studio.queue.progress import Progress
    from studio.queue.submit import JobSummary
    from studio.reporting import train_report
    from studio.runs.record import Design, ImageInfo, RunSummary
    from studio.runs.repeat import Replay
    from studio.serving import Serving, serve
    from studio.sharing.accounts import user_add, user_list, user_remove, user_token
    from studio.sharing.exporting import Exported, exported
    from studio.sharing.following import events_after
    from studio.thumbnails import thumbnail
    from studio.training import recipes, train_corpus, train_distil, train_image_lora, train_recipe
    from studio.wishes.timing import Asked, Pace

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
    "branch": "studio.designs",
    "steps": "studio.designs",
    "family": "studio.designs",
    "sample_run": "studio.designs",
    "skip": "studio.designs",
    "suggest": "studio.designs",
    "keep_picture": "studio.designs",
    "pace": "studio.designs",
    "asked_for": "studio.designs",
    "train_corpus": "studio.training",
    "train_distil": "studio.training",
    "train_image_lora": "studio.training",
    "train_recipe": "studio.training",
    "recipes": "studio.training",
    "train_merge": "studio.merging",
    "train_evaluate": "studio.evaluation",
    "train_judge": "studio.judging",
    "train_report": "studio.reporting",
    "list_variants": "studio.experiments.variants",
    "list_scores": "studio.experiments.variants",
    "preview_data": "studio.experiments.previewing",
    "batch": "studio.batches",
    "batch_folder": "studio.experiments.batch_rows",
    "batch_rows": "studio.experiments.batch_rows",
    "serve": "studio.serving",
    "library_add": "studio.library",
    "library_update": "studio.library",
    "library_list": "studio.library",
    "library_search": "studio.library",
    "library_remove": "studio.library",
    "exported": "studio.sharing.exporting",
    "events_after": "studio.sharing.following",
    "user_add": "studio.sharing.accounts",
    "user_list": "studio.sharing.accounts",
    "user_remove": "studio.sharing.accounts",
    "user_token": "studio.sharing.accounts",
    "list_models": "studio.catalogue",
    "fetch_models": "studio.catalogue",
    "verify_models": "studio.catalogue",
    "programs": "studio.catalogue",
    "open_program": "studio.catalogue",
    "examine": "studio.doctor",
    "list_jobs": "studio.jobs",
    "open_job": "studio.jobs",
    "job_progress": "studio.jobs",
    "job_events": "studio.jobs",
    "job_log": "studio.jobs",
    "list_settings": "studio.configuration.settings",
    "change_settings": "studio.configuration.settings",
    "list_keys": "studio.configuration.servers",
    "keep_key": "studio.configuration.servers",
    "forget_key": "studio.configuration.servers",
    "try_server": "studio.configuration.servers",
    "watch_job": "studio.jobs",
    "stop_job": "studio.jobs",
    "retry_job": "studio.jobs",
    "put_first": "studio.jobs",
    "bin_run": "studio.keeping.bin",
    "empty_bin": "studio.keeping.bin",
    "list_bin": "studio.keeping.bin",
    "restore_run": "studio.keeping.bin",
    "feedback_add": "studio.keeping.feedback",
    "feedback_export": "studio.keeping.feedback",
    "feedback_list": "studio.keeping.feedback",
    "find_choices": "studio.keeping.finding",
    "find_pictures": "studio.keeping.finding",
    "find_runs": "studio.keeping.finding",
    "boards": "studio.keeping.marking",
    "mark_picture": "studio.keeping.marking",
    "mark_run": "studio.keeping.marking",
    "remove_board": "studio.keeping.marking",
    "recipe_of": "studio.keeping.recipe",
    "thumbnail": "studio.thumbnails",
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
    "Asked": "studio.wishes.timing",
    "Pace": "studio.wishes.timing",
    "Design": "studio.runs.record",
    "ImageInfo": "studio.runs.record",
    "RunSummary": "studio.runs.record",
    "Replay": "studio.runs.repeat",
    "JobSummary": "studio.queue.submit",
    "Progress": "studio.queue.progress",
    "Serving": "studio.serving",
    "Exported": "studio.sharing.exporting",
}

__all__ = [
    "JOBS",
    "VERBS",
    "Asked",
    "Brief",
    "Critique",
    "Design",
    "Exported",
    "ImageInfo",
    "ImagePrompt",
    "JobSummary",
    "MaterialDesign",
    "Pace",
    "Program",
    "Progress",
    "Replay",
    "RunSummary",
    "Serving",
    "asked_for",
    "batch",
    "batch_folder",
    "batch_rows",
    "bin_run",
    "boards",
    "branch",
    "change_settings",
    "design",
    "empty_bin",
    "events_after",
    "examine",
    "explain",
    "export",
    "exported",
    "family",
    "feedback_add",
    "feedback_export",
    "feedback_list",
    "fetch_models",
    "find_choices",
    "find_pictures",
    "find_runs",
    "forget_key",
    "job_events",
    "job_log",
    "job_progress",
    "keep_key",
    "keep_picture",
    "library_add",
    "library_list",
    "library_remove",
    "library_search",
    "library_update",
    "list_bin",
    "list_jobs",
    "list_keys",
    "list_models",
    "list_runs",
    "list_scores",
    "list_settings",
    "list_variants",
    "mark_picture",
    "mark_run",
    "open_job",
    "open_program",
    "open_run",
    "pace",
    "preview_data",
    "programs",
    "put_first",
    "recipe_of",
    "recipes",
    "remove_board",
    "replay",
    "restore_run",
    "resume",
    "retry_job",
    "sample_run",
    "serve",
    "skip",
    "steps",
    "stop_job",
    "stream",
    "submit",
    "suggest",
    "thumbnail",
    "train_corpus",
    "train_distil",
    "train_evaluate",
    "train_image_lora",
    "train_judge",
    "train_merge",
    "train_recipe",
    "train_report",
    "try_server",
    "user_add",
    "user_list",
    "user_remove",
    "user_token",
    "verify_models",
    "watch",
    "watch_job",
]


def summary(name: str) -> str:
    """The first line of what a verb says of itself, read from its source: nothing is imported for it."""
    import ast
    from pathlib import Path

    file = Path(__file__).parent / f"{VERBS[name].removeprefix('studio.').replace('.', '/')}.py"
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
