"""Training as the front door offers it: where results go, what is said of them. Knows no terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workspace.errors import UsageError
from workspace.settings import Settings


def image_lora(
    config: Path, out: Path | None, plan: bool, settings: Settings, listener: Callable[[dict[str, Any]], None] | None
) -> dict[str, Any]:
    """Train, or with ``plan`` only check, a LoRA adapter; see `studio.train_image_lora`."""
    from training.images.config import load_config
    from training.images.folder import read_folder
    from training.images.lora import main
    from workspace.progress import Progress, Remark, TrainingStep

    wanted = load_config(config)
    folder = (out or settings.home / "training" / wanted.name).expanduser()
    if plan:
        count = len(read_folder(wanted.pictures, wanted.trigger))
        shown = wanted.model_dump(mode="json") | {"pictures": str(wanted.pictures)}
        seen = wanted.steps * wanted.batch * wanted.accumulate
        return {**shown, "picture_count": count, "epochs": round(seen / count, 2), "out": str(folder)}

    def tell(event: Progress) -> None:
        if listener and isinstance(event, TrainingStep):
            listener(event.model_dump(exclude_none=True))
        elif listener and isinstance(event, Remark):
            listener({"remark": event.text})

    made = main(wanted, settings.home, folder, tell)
    return made.model_dump(mode="json") | {"use": f"painter.adapter = {made.adapter.parent}"}


def corpus(
    inputs: Sequence[Path],
    out: Path,
    options: Mapping[str, Any],
    settings: Settings,
    listener: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """Build a corpus; see `studio.train_corpus`."""
    from pydantic import ValidationError

    from pipelines.corpus.build import CorpusConfig, main
    from studio.runs.assemble import quiet

    try:
        config = CorpusConfig(inputs=tuple(inputs), **options)
    except ValidationError as fault:
        first = fault.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, not {first['input']!r}") from None
    if config.topic:
        quiet()
    return main(config, Path(os.path.expanduser(out)), settings.home, listener)


def distil(
    corpus: Path,
    out: Path,
    using: Mapping[str, str | None],
    options: Mapping[str, Any],
    settings: Settings,
    listener: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """Distil a corpus by the model that the settings name, or another; see `studio.train_distil`."""
    from pydantic import ValidationError

    from studio.runs.assemble import quiet
    from training.distil.documents import DistilConfig
    from training.distil.stage import main, open_maker
    from training.language.data_stages import LONGEST
    from workspace.settings import ChatSettings, RoleCall

    chosen = {key: value for key, value in using.items() if value is not None}
    if "adapter" not in chosen:
        chosen["adapter"] = "none"  # a profile's adapter writes designs
    sampling = settings.sampling
    try:
        config = DistilConfig(**options)
        chat = ChatSettings(**settings.chat.model_dump() | chosen)
    except ValidationError as fault:
        first = fault.errors()[0]
        where, why = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {why}" if "choices" in why else f"{where}: {why}, not {first['input']!r}") from None
    call = RoleCall(chat=chat, sampling=sampling.model_copy(update={"max_tokens": max(LONGEST, sampling.max_tokens)}))
    if chat.server is None:
        quiet()
    return main(corpus, config, open_maker(call, settings.home), out.expanduser(), listener)


def recipe(
    path: Path | str,
    plan: bool,
    by: Mapping[str, Any],
    settings: Settings,
    listener: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """Run a recipe, or with ``plan`` only say what would be done; see `studio.train_recipe`."""
    from training.language.plan import plan as planned
    from training.language.run import open_run
    from training.launch import start as launch

    if plan:
        return planned(open_run(path, settings.home))
    return launch.train(path, settings.home, **by, told=listener)
