"""Training as the front door offers it: where results go, what is said of them. Knows no terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workspace.errors import UsageError, pydantic_fault
from workspace.progress import Tell, silent
from workspace.settings import Settings


def image_lora(
    config: Path, out: Path | None, plan: bool, settings: Settings, listener: Callable[[dict[str, Any]], None] | None
) -> dict[str, Any]:
    """Train, or with ``plan`` only check, a LoRA adapter; see `studio.train_image_lora`."""
    from training.images.folder import read_folder
    from training.images.lora import load_config, main

    wanted = load_config(config)
    folder = (out or settings.home / "training" / wanted.name).expanduser()
    if plan:
        count = len(read_folder(wanted.pictures, wanted.trigger))
        shown = wanted.model_dump(mode="json") | {"pictures": str(wanted.pictures)}
        seen = wanted.steps * wanted.batch * wanted.accumulate
        return {**shown, "picture_count": count, "epochs": round(seen / count, 2), "out": str(folder)}
    file = main(wanted, settings.home, folder, listener)
    return {
        "adapter": str(file),
        "trigger": wanted.trigger,
        "loss": str(folder / "loss.png"),
        "metrics": str(folder / "metrics.jsonl"),
        "use": f"painter.adapter = {file.parent}",
    }


def corpus(
    inputs: Sequence[Path],
    out: Path,
    options: Mapping[str, Any],
    settings: Settings,
    listener: Tell | None,
) -> dict[str, Any]:
    """Build a corpus; see `studio.train_corpus`."""
    from pydantic import ValidationError

    from pipelines.corpus.build import main
    from pipelines.corpus.config import CorpusConfig
    from studio.runs.assemble import quiet

    try:
        config = CorpusConfig(inputs=tuple(inputs), **options)
    except ValidationError as fault:
        raise UsageError(pydantic_fault(fault, CorpusConfig)) from None
    if config.topic:
        quiet()
    return main(config, Path(os.path.expanduser(out)), settings.home, listener or silent).model_dump(mode="json")


def distil(
    corpus: Path,
    out: Path,
    using: Mapping[str, str | None],
    options: Mapping[str, Any],
    settings: Settings,
    listener: Tell | None,
) -> dict[str, Any]:
    """Distil a corpus by the model that the settings name, or another; see `studio.train_distil`."""
    from pydantic import ValidationError

    from studio.runs.assemble import quiet
    from training.distil.config import DistilConfig
    from training.distil.stage import main, open_maker

    try:
        config = DistilConfig.model_validate({**using, **options})
    except ValidationError as fault:
        raise UsageError(pydantic_fault(fault, DistilConfig)) from None
    call = config.call(settings.chat, settings.sampling)
    if call.chat.server is None:
        quiet()
    made_by = open_maker(call, settings.home)
    return main(corpus, config, made_by, out.expanduser(), listener or silent).model_dump(mode="json")


def recipe(path: Path | str, by: Mapping[str, Any], settings: Settings, listener: Tell | None) -> dict[str, Any]:
    """Run a recipe, or with ``plan`` only say what would be done; see `studio.train_recipe`."""
    from pydantic import ValidationError

    from training.language.plan import plan as planned
    from training.language.run import open_run
    from training.launch.options import RunOptions
    from training.launch.start import train

    try:
        options = RunOptions.model_validate(dict(by))
    except ValidationError as fault:
        raise UsageError(pydantic_fault(fault, RunOptions)) from None
    if options.plan:
        return planned(open_run(path, settings.home)).model_dump(mode="json")
    return train(path, settings.home, options, listener or silent).model_dump(mode="json")
