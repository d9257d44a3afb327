"""The front door: what a program, the command line and the page call. Knows runs and jobs; nothing of widgets.

Importing this package is cheap: every function imports what it needs when it is called.

    import studio

    design = studio.design("a tough panel inspired by nacre and leaves", images=2)
    print(design.design.title, design.folder)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

if TYPE_CHECKING:
    from agents.documents import Brief
    from studio.runs.record import Design, RunSummary
    from studio.runs.repeat import Replay
    from studio.runs.request import Options
    from workspace.events import Event
    from workspace.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "design",
    "export",
    "list_runs",
    "open_run",
    "replay",
    "resume",
    "stream",
    "submit",
    "train_corpus",
    "train_distil",
    "train_image_lora",
    "train_recipe",
    "watch",
]


def _settings(given: Settings | None) -> Settings:
    from workspace.settings import load_settings

    return load_settings() if given is None else given


def design(
    brief: str | Brief,
    *,
    inspirations: Sequence[str] = (),
    program: str = "relate-and-design",
    images: int | None = None,
    rounds: int | None = None,
    seed: int | None = None,
    size: int | None = None,
    model: str | None = None,
    adapter: str | None = None,
    profile: str | None = None,
    ask: bool = False,
    settings: Settings | None = None,
    listener: Callable[[Event], None] | None = None,
) -> Design:
    """Make one design and return it when it is done.

    Args:
        brief: The wish in plain words (3 to 8000 characters), or a ready ``Brief``.
        inspirations: Biological materials to draw on.
        program: A shipped program's name or the path of a program file.
        images: Pictures a round, 1 to 64. ``None`` takes the profile's number, as for the other options.
        rounds: Rounds of pictures, 1 to 10.
        seed: The one number all randomness comes from; drawn at random and recorded when ``None``.
        size: Edge of the pictures in pixels, a multiple of 16.
        model: Chat model for all roles.
        adapter: LoRA adapter of the painter, a catalogue id or a file; ``none`` for no adapter.
        profile: ``embedded``, ``gpu``, ``remote`` or the path of a profile file.
        ask: Stop for approval before painting and after the critique (then ``status`` is ``waiting``).
        settings: Ready settings; ``profile``, ``model``, ``adapter``, ``size``, ``images``, ``rounds`` still go first.
        listener: Called with every event as it happens.

    Raises:
        StudioError: One clear line; what was made is kept and ``resume`` goes on from it.
    """
    from studio.runs.execute import execute
    from studio.runs.request import Request, prepare

    asked = Request(brief, inspirations, program, images, rounds, seed, size, model, adapter, profile, ask)
    prepared = prepare(asked, settings)
    return execute(prepared.run_id, prepared.settings, listener=listener)


def submit(brief: str | Brief, *, settings: Settings | None = None, **options: Unpack[Options]) -> str:
    """Queue a design as a job in a worker process and return its run id at once (options as for ``design``)."""
    from studio.jobs import start
    from studio.runs.request import Request, prepare

    prepared = prepare(Request(brief, **options), settings, status="queued")
    start(prepared.run_id, prepared.settings)
    return prepared.run_id


def stream(brief: str | Brief, *, settings: Settings | None = None, **options: Unpack[Options]) -> Iterator[Event]:
    """Make one design in a worker process and yield its events until it ends (options as for ``design``)."""
    yield from watch(submit(brief, settings=settings, **options), settings=settings)


def watch(run_id: str, *, after_seq: int = 0, settings: Settings | None = None) -> Iterator[Event]:
    """Yield the events of a run from ``after_seq`` on, live, until it ends, waits, or its worker dies."""
    from studio.jobs import watch as follow_run

    yield from follow_run(run_id, _settings(settings), after_seq=after_seq)


def open_run(run_id: str, *, settings: Settings | None = None) -> Design:
    """Read a run, finished or not, without doing anything to it."""
    from studio.runs.record import open_run as read_run

    return read_run(run_id, _settings(settings))


def list_runs(limit: int = 50, *, settings: Settings | None = None) -> list[RunSummary]:
    """List the newest runs first."""
    from studio.runs.record import summaries

    return summaries(_settings(settings), limit)


def resume(
    run_id: str,
    answers: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    listener: Callable[[Event], None] | None = None,
) -> Design:
    """Go on with a run that was stopped, killed or waits for an answer; a finished one is read again.

    Args:
        run_id: Which run.
        answers: What a person says to the question the run waits with, such as ``{"choice": "approve"}``.
        settings: Where the home is; all else comes from the run's own record.
        listener: Called with every event as it happens.
    """
    from studio.runs.execute import execute

    return execute(run_id, _settings(settings), answers=answers, listener=listener)


def replay(run_id: str, *, settings: Settings | None = None, listener: Callable[[Event], None] | None = None) -> Replay:
    """Make a finished run again from its record and say what came out identical."""
    from studio.runs.repeat import replay as make_again

    return make_again(run_id, _settings(settings), listener=listener)


def export(
    run_id: str, format: str = "md", target: Path | str | None = None, *, settings: Settings | None = None
) -> Path:
    """Write a run as one file, ``md``, ``json`` or ``zip``, and return its path."""
    from studio.runs.report import export as write_export

    return write_export(run_id, format, _settings(settings), None if target is None else Path(target))


def train_corpus(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    settings: Settings | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Turn papers into clean passages with their sources; the same call goes on where it was stopped.

    Args:
        inputs: PDF, Markdown and text files, folders of them, or lists of references.
        out: Folder for the passages and the report.
        settings: Where the home is.
        listener: Takes a dictionary for every document read.
        options: Further fields of `pipelines.corpus.build.CorpusConfig`.

    Returns:
        The report: documents, passages, words, and what was dropped by which gate.
    """
    from studio.training import corpus

    return corpus([Path(one) for one in inputs], Path(out), options, _settings(settings), listener)


def train_distil(
    corpus: Path | str,
    out: Path | str,
    *,
    model: str | None = None,
    server: str | None = None,
    adapter: str | None = None,
    settings: Settings | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Turn a corpus into rows for CPT, SFT and preference training; the same call goes on where it was stopped.

    Args:
        corpus: A folder that ``train_corpus`` made, or its ``passages.jsonl``.
        out: Folder for the model's answers (``ledger``) and the rows (``data``).
        model: Chat model; that of the settings if ``None``.
        server: OpenAI-compatible base URL; ``"none"`` for a model in this process.
        adapter: LoRA adapter; none if ``None``, whatever the profile says.
        settings: Where the home is, and the model.
        listener: Takes a dictionary for every passage.
        options: Further fields of `training.distil.documents.DistilConfig`.

    Returns:
        The report: rows by file and kind, and what was dropped by which check.
    """
    from studio.training import distil

    using = {"model": model, "server": server, "adapter": adapter}
    return distil(Path(corpus), Path(out), using, options, _settings(settings), listener)


def train_image_lora(
    config: Path | str,
    out: Path | str | None = None,
    *,
    plan: bool = False,
    settings: Settings | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a LoRA adapter of a painter on a folder of captioned pictures; the same call resumes.

    Args:
        config: The YAML file; `training.images.config.ImageLoraConfig` is its shape.
        out: Folder for everything; ``STUDIO_HOME/training/NAME`` if ``None``.
        plan: Only check the files and return the settings.
        settings: Where the home is.
        listener: Takes a dictionary at every logged step.

    Returns:
        Where the adapter, the metrics and the loss plot lie.
    """
    from studio.training import image_lora

    return image_lora(Path(config), None if out is None else Path(out), plan, _settings(settings), listener)


def train_recipe(
    recipe: Path | str,
    *,
    plan: bool = False,
    launch: str = "none",
    config: str | None = None,
    processes: int | None = None,
    settings: Settings | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train language models by a recipe; the same call goes on where it was stopped.

    Args:
        recipe: The YAML file (`training.language.recipe.Recipe` is its shape), or the name of a shipped one.
        plan: Only say what would be trained, with which arguments, memory and time.
        launch: ``none`` trains in this process; ``accelerate`` and ``ray`` start several.
        config: accelerate's: ``ddp`` (if ``None``), ``fsdp2``, ``zero3``, ``multi-node``, or a file of one's own.
        processes: How many; the configuration's number if ``None``.
        settings: Where the home is.
        listener: Takes a dictionary at every step that is logged.

    Returns:
        The variants, each ready as a model: ``studio.design(..., model=NAME)``.
    """
    from studio.training import recipe as work

    by = {"launch": launch, "config": config, "processes": processes}
    return work(recipe, plan, by, _settings(settings), listener)


def __getattr__(name: str) -> Any:
    if name in ("Design", "ImageInfo", "RunSummary"):
        from studio.runs import record as module

        return getattr(module, name)
    if name in ("Brief", "MaterialDesign", "ImagePrompt", "Critique"):
        from agents import documents

        return getattr(documents, name)
    if name == "Replay":
        from studio.runs.repeat import Replay

        return Replay
    raise AttributeError(f"module 'studio' has no attribute {name!r}")
