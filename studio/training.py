"""Training as the front door offers it: a corpus from papers, rows from it, recipes, adapters. Knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from pipelines.corpus.config import CorpusConfig, CorpusOptions
from studio.verb import Call, job, query
from training.distil.config import DistilConfig
from training.language.results import RecipeResult
from training.launch.options import RunOptions
from workspace.errors import UsageError, pydantic_fault
from workspace.options import checked
from workspace.progress import waiting

if TYPE_CHECKING:
    from pipelines.corpus.report import CorpusReport
    from training.distil.report import DistilResult
    from training.images.config import ImageLoraPlan, TrainedImageLora
    from training.language.plan import Plan
    from workspace.settings import RoleCall


class CorpusCall(CorpusOptions, Call):
    """How a corpus is made."""

    out: Path = Field(description="Folder for passages.jsonl, dropped.jsonl and report.json")


def _corpus_config(inputs: Sequence[Path | str], options: CorpusCall) -> CorpusConfig:
    own = options.model_dump(include=set(CorpusOptions.model_fields))
    return checked(CorpusConfig, own | {"inputs": tuple(inputs)})


def _corpus(inputs: Sequence[Path | str], options: CorpusCall) -> None:
    """Find the papers: what is not there is told before anything is queued."""
    with waiting("looking for the papers"):
        from pipelines.corpus.build import check

        check(_corpus_config(inputs, options), options.out.expanduser(), options.home)


@job(CorpusCall, check=_corpus)
def train_corpus(inputs: Sequence[Path | str], options: CorpusCall) -> CorpusReport:
    """Turn papers into clean passages, each with its source, and say what was dropped and why.

    The same call goes on where it was stopped.

    Args:
        inputs: PDF, Markdown and text files, folders of them, or lists of references.
        options: See `pipelines.corpus.config.CorpusOptions`.
    """
    with waiting("loading the libraries of the corpus"):
        from pipelines.corpus.build import main
    config = _corpus_config(inputs, options)
    if config.topic:
        _quiet()
    return main(config, options.out.expanduser(), options.home, options.tell)


class DistilCall(DistilConfig, Call):
    """How a corpus is distilled."""

    out: Path = Field(description="Folder for answers (ledger) and rows (data)")


def _distil_config(options: DistilCall) -> tuple[DistilConfig, RoleCall]:
    """What is distilled, and the call of the model that writes."""
    from workspace.settings import ChatSettings

    settings = options.using
    config = DistilConfig(**{name: getattr(options, name) for name in DistilConfig.model_fields})
    try:
        return config, config.call(settings.chat, settings.sampling)
    except ValidationError as error:
        raise UsageError(pydantic_fault(error, ChatSettings)) from None


def _distil(corpus: Path | str, options: DistilCall) -> None:
    """Read the corpus and look for the model: what is not there is told before anything is queued."""
    with waiting("reading the corpus"):
        from training.distil.stage import check, check_maker

        config, call = _distil_config(options)
        check(Path(corpus).expanduser(), config, options.out.expanduser())
        check_maker(call, options.home)


@job(DistilCall, check=_distil)
def train_distil(corpus: Path | str, options: DistilCall) -> DistilResult:
    """Turn passages into questions, answers, prose and preference pairs, each with its source.

    The same call goes on where it was stopped; nothing is asked twice.

    Args:
        corpus: A folder that ``train_corpus`` made, or its ``passages.jsonl``.
        options: See `training.distil.config.DistilConfig`; the model is that of the settings if none is named.
    """
    with waiting("loading the libraries of the distilling"):
        from training.distil.stage import main, open_maker

    config, call = _distil_config(options)
    if call.chat.server is None:
        _quiet()
    maker = open_maker(call, options.home)
    return main(Path(corpus).expanduser(), config, maker, options.out.expanduser(), options.tell)


class ImageLoraCall(Call):
    """How an adapter of a painter is trained; all else stands in its file."""

    out: Path | None = Field(None, description="Folder for cache, checkpoint, samples and adapter")
    plan: bool = Field(False, description="Check everything, print the settings, train nothing")


def _config(config: Path | str, options: ImageLoraCall) -> None:
    """Read a training file and look for what it names: its faults are told before anything is queued."""
    with waiting("reading the configuration"):
        from training.images.config import load_config
        from training.images.folder import check

        check(load_config(Path(config).expanduser()), options.home)


@job(ImageLoraCall, check=_config, at_once=lambda options: options.plan)
def train_image_lora(config: Path | str, options: ImageLoraCall) -> TrainedImageLora | ImageLoraPlan:
    """Train a LoRA adapter of a painter on a folder of captioned pictures.

    The same call goes on where it was stopped.

    Args:
        config: The YAML file; `training.images.config.ImageLoraConfig` is its shape.
        options: Where everything goes; ``STUDIO_HOME/training/NAME`` if nothing is said.
    """
    from training.images.config import load_config

    wanted = load_config(Path(config).expanduser())
    folder = (options.out or options.home / "training" / wanted.name).expanduser()
    if options.plan:
        with waiting("looking at the pictures"):
            from training.images.folder import plan

            return plan(wanted, folder, options.home)
    with waiting("loading the libraries of the training"):
        from training.images.lora import main
    return main(wanted, options.home, folder, options.tell)


@query(Call)
def recipes(options: Call) -> list[str]:
    """List the recipes that ship with Studio."""
    from training.language.recipe import shipped

    return shipped()


class RecipeCall(RunOptions, Call):
    """How a recipe is run."""


def _recipe(recipe: Path | str, options: RecipeCall) -> None:
    """Read a recipe and look for what it names: its faults are told before anything is queued."""
    with waiting("reading the recipe"):
        from training.language.run import check, open_run
        from training.launch.start import layout

        opened = open_run(recipe, options.home)
        layout(opened, options, starting=not options.plan)
        check(opened)


@job(RecipeCall, check=_recipe, at_once=lambda options: options.plan)
def train_recipe(recipe: Path | str, options: RecipeCall) -> RecipeResult | Plan:
    """Train language models by a recipe: papers to rows, continued pretraining, SFT, DPO, ORPO, merges.

    The same call goes on where it was stopped; a stage whose inputs did not change is not run again. Each variant is a
    model: ``studio.design(..., model=NAME)``.

    Args:
        recipe: The YAML file (`training.language.recipe.Recipe` is its shape), or the name of a shipped one.
        options: See `training.launch.options.RunOptions`.
    """
    own = RunOptions(**{name: getattr(options, name) for name in RunOptions.model_fields})
    with waiting("loading the libraries of the training"):
        from training.language.plan import plan
        from training.language.run import open_run
        from training.launch.start import layout, train
    if options.plan:
        with waiting("reading the recipe and its rows"):
            opened = open_run(recipe, options.home)
            return plan(opened, layout(opened, own))
    return train(recipe, options.home, own, options.tell)


def _quiet() -> None:
    from studio.runs.assemble import quiet

    quiet()
