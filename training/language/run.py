"""Run a recipe: its stages in order, papers to rows to variants, none twice. Killed at any moment, it goes on.

A stage is done when its variant's card carries the key of what made it: arguments, data, parent. Every process of
several runs the same; the first one decides, writes and tells. Knows recipes; how a stage trains is
`training.language.stage`'s business.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.fetch import VARIANTS, fingerprint, locate
from models.catalogue.table import MODELS
from training.language import data_stages, ranks
from training.language.estimate import GB, machine, memory, size_of
from training.language.recipe import BASE, DATA, Data, Recipe, Stage, load_recipe, order, parents, resolved
from training.language.rows import Row, digest, mixed, read_rows
from training.sample.rows import sample_rows
from workspace.errors import DataError, ServiceError, StorageError
from workspace.extras import require
from workspace.files import publish
from workspace.settings import RoleCall

SAMPLE = "sample"
Told = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Run:
    """A recipe, the folder its data's paths start from, and STUDIO_HOME."""

    recipe: Recipe
    folder: Path
    home: Path

    def name(self, stage: str) -> str:
        """What a stage's variant is called."""
        return f"{self.recipe.name}-{stage}"

    def variant(self, stage: str) -> Path:
        """Where a stage's variant lies."""
        return self.home / VARIANTS / self.name(stage)

    def model(self, name: str) -> Path:
        """The folder of a stage's variant, of the base, or of another model."""
        if name == BASE:
            return locate(self.recipe.base, self.home, kind="chat")
        if name in {stage.name for stage in self.recipe.stages}:
            return self.variant(name)
        return locate(name, self.home, kind="chat")

    def rows(self, stage: Stage) -> list[Row]:
        """A stage's rows, checked and mixed by weight."""
        made = mixed([(self._rows(one, stage.stage), one.weight) for one in stage.data], int(resolved(stage)["seed"]))
        if not made:
            raise DataError(f"{stage.name}: the weights of its data leave no row")
        return made

    def _rows(self, one: Data, kind: str) -> list[Row]:
        if one.path == SAMPLE:
            return sample_rows(kind)
        if one.path:
            return read_rows(self.folder / os.path.expanduser(one.path), kind)
        maker = next(stage.stage for stage in self.recipe.stages if stage.name == one.source)
        path = self.work(one.source) / (data_stages.PASSAGES if maker == "corpus" else data_stages.FILES[kind])
        if not path.is_file() and self.done(one.source):
            raise DataError(
                f"stage {one.source} made no rows for {kind}", hint="its distil, kinds, names what it makes"
            )
        return read_rows(path, kind)

    def done(self, stage: str) -> bool:
        """Whether a corpus or distil stage has made its rows, of whichever papers."""
        return (self.work(stage) / data_stages.DONE).is_file()

    def work(self, stage: str) -> Path:
        """Where a stage keeps what it works on, and a corpus or distil stage what it makes."""
        return self.home / "training" / self.name(stage)


def open_run(recipe: str | Path, home: Path) -> Run:
    """Read a recipe, shipped or a file."""
    path = Path(os.path.expanduser(recipe))
    return Run(load_recipe(recipe), path.parent if os.path.isfile(path) else Path.cwd(), home)


def main(run: Run, told: Told | None = None) -> dict[str, Any]:
    """Do every stage that is not done.

    Args:
        run: From `open_run`.
        told: Called with rows of progress: ``stage`` and ``state``, and what the stages tell.

    Returns:
        The variants, and the rows made for them (``data``): name, folder, whether made now, and its figures.

    Raises:
        DataError: Rows or a base are not as they must be; too little memory.
        ServiceError: A model is not there.
    """
    require("datasets", "mergekit", "trl")
    require(*sorted({name for stage in run.recipe.stages for name in resolved(stage)["report_to"]}), extra="metrics")
    if any(stage.adapter and stage.adapter.type == "qlora" for stage in run.recipe.stages):
        require("bitsandbytes", extra="gpu")
    if ranks.first() and any(stage.stage in DATA and not run.done(stage.name) for stage in run.recipe.stages):
        _ready(run)
    made: list[dict[str, Any]] = []
    data: list[dict[str, Any]] = []
    for stage in order(run.recipe):
        tell = _named(told if ranks.first() else None, stage.name)
        if stage.stage in DATA:
            data.append(_data(run, stage, tell))
            continue
        folder, card = run.variant(stage.name), _card(run.variant(stage.name))
        key = ranks.agreed(_key(run, stage) if ranks.first() else "")
        now = ranks.agreed(card.get("key") != key)
        if now and ranks.first() and not any(one["made"] for one in made):
            _ready(run)
        if now:
            tell({"state": "merging" if stage.stage == "slerp" else "training"})
            (_merge if stage.stage == "slerp" else _train)(run, stage, key, tell)
            ranks.wait()
            card = _card(folder)
        tell({"state": "done" if now else "done before"})
        made.append({"name": folder.name, "folder": str(folder), "made": now, "figures": card.get("figures", {})})
    return {"recipe": run.recipe.name, "data": data, "variants": made}


def _data(run: Run, stage: Stage, tell: Told) -> dict[str, Any]:
    """Make a corpus or distil one: the first process does, and tells the others what came of it."""
    report: dict[str, Any] = {}
    now, work = False, run.work(stage.name)
    if ranks.first():
        tell({"state": "reading" if stage.stage == "corpus" else "distilling"})
        if stage.corpus is not None:
            report, now = data_stages.make_corpus(stage.corpus, run.folder, work, run.home, tell)
        else:
            [source] = parents(run.recipe, stage)
            with ranks.alone():
                call = _call(run, stage)
                report, now = data_stages.make_rows(
                    stage.distil, call, run.work(source), run.folder, work, run.home, tell
                )
    report, now = ranks.agreed((report, now))
    tell({"state": "done" if now else "done before"})
    figures = {
        key: report[key] for key in ("documents", "pages", "passages", "words", "rows", "dropped") if key in report
    }
    return {"name": run.name(stage.name), "folder": str(work), "made": now, "figures": figures}


def _call(run: Run, stage: Stage) -> RoleCall:
    """The model that a distil stage asks: its own, or the base."""
    return data_stages.call_of(stage.distil.model or run.recipe.base, stage.distil.server, stage.distil.adapter)


def _ready(run: Run) -> None:
    """Refuse, before anything is trained, what a later stage would stumble over: rows, models, too little room."""
    from training.language import stage as stages

    template = locate(run.recipe.chat_template, run.home) if run.recipe.chat_template else None
    for stage in run.recipe.stages:
        if stage.stage == "slerp":
            run.model(parents(run.recipe, stage)[1])
        elif stage.stage == "distil":
            _call(run, stage)
        elif stage.stage not in DATA:
            _enough(run, stage)
            task = stages.Task(stage.stage, resolved(stage), run.model(BASE), template)
            tokenizer = stages.load_tokenizer(task)
            if all(run.done(one.source) for one in stage.data if one.source):
                stages.encoded(task, tokenizer, run.rows(stage)[0])


def _train(run: Run, stage: Stage, key: str, tell: Told) -> None:
    from training.language import stage as stages

    work = run.work(stage.name)
    if ranks.first():
        _enough(run, stage)
        _claim(work, f"{key} {ranks.way()}".strip())
    ranks.wait()
    [parent] = parents(run.recipe, stage)
    args, rows = resolved(stage), run.rows(stage)
    card = {
        "name": run.name(stage.name),
        "licence": _licence(run.recipe.base),
        "recipe": run.recipe.name,
        "parent": run.recipe.base if parent == BASE else run.name(parent),
        "stage": stage.stage,
        "key": key,
        "arguments": {name: value for name, value in args.items() if value not in (None, ())},
        "data": {
            "rows": len(rows),
            "sha256": digest(rows),
            "files": ", ".join(one.path or one.source for one in stage.data),
        },
    }
    template = locate(run.recipe.chat_template, run.home) if run.recipe.chat_template else None
    cache = run.home / "training" / "cache"
    task = stages.Task(stage.stage, args, run.model(parent), template, stage.adapter, stage.keep_epochs, card, cache)
    stages.main(task, rows, work, run.variant(stage.name), tell)
    if ranks.first():
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
        if stage.stage != "cpt":  # a base model may not know how to answer yet
            with ranks.alone():
                tell({"state": "tried", "says": _said_by(run.variant(stage.name))})


def _claim(work: Path, key: str) -> None:
    """Make a stage's folder its own; what was begun with other data or arguments, or split otherwise, is of no use."""
    noted = work / "key"
    if noted.is_file() and noted.read_text(encoding="utf-8") != key:
        shutil.rmtree(work)
    publish(noted, key)


def _said_by(folder: Path) -> str:
    """A few words of a variant, to see that it loads and speaks."""
    from models.chat.local import LocalChat
    from workspace.settings import SamplingSettings

    chat = LocalChat(folder=folder, sampling=SamplingSettings(max_tokens=24), seed=1)
    return " ".join(str(chat.invoke("What makes spider silk tough?").content).split())


def _licence(base: str) -> str:
    return MODELS[base].licence if base in MODELS else "other"


def _enough(run: Run, stage: Stage) -> None:
    """Refuse a stage that this machine cannot hold, by the estimate."""
    here, size = machine(), size_of(run.recipe.base, run.model(BASE))
    if size is None:
        return
    adapter = stage.adapter.model_dump(mode="json") if stage.adapter else None
    need = memory(size, resolved(stage), stage.stage, adapter, ranks.shares())
    if need > here.memory:
        raise ServiceError(
            f"{stage.name} needs about {need:.1f} GB of memory a process; {here.name} has {here.memory:.1f} GB",
            hint="gradient_checkpointing, a smaller batch, an adapter, or --launch accelerate --config fsdp2",
        )
    run.home.mkdir(parents=True, exist_ok=True)
    room, wanted = shutil.disk_usage(run.home)[2] / GB, (2 + 2 * (0 if adapter else 12)) * size.parameters / GB
    if wanted > room:
        raise StorageError(f"{stage.name} needs about {wanted:.1f} GB of disk; {run.home} has {room:.1f} GB free")


def _merge(run: Run, stage: Stage, key: str, tell: Told) -> None:
    from training.merging.slerp import merge

    if not ranks.first():
        return
    tuned, into = parents(run.recipe, stage)
    card = {
        "name": run.name(stage.name),
        "licence": _licence(run.recipe.base),
        "recipe": run.recipe.name,
        "parents": f"{run.name(tuned)}, {run.recipe.base if into == BASE else into}",
        "stage": stage.stage,
        "key": key,
    }
    with ranks.alone():
        merge(run.model(tuned), run.model(into), stage.slerp, run.variant(stage.name), card)


def _named(told: Told | None, stage: str) -> Told:
    return lambda row: told({"stage": stage, **row}) if told else None


def _card(folder: Path) -> dict[str, Any]:
    file = folder / "variant.json"
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return told


def _key(run: Run, stage: Stage) -> str:
    """What tells a stage's work from any other: its arguments, its rows, and what it starts from."""
    told: dict[str, Any] = {
        "stage": stage.stage,
        "parents": [fingerprint(run.model(name)) for name in parents(run.recipe, stage)],
    }
    if stage.stage == "slerp":
        told["slerp"] = stage.slerp.model_dump(mode="json")
    else:
        told |= {
            "args": {name: value for name, value in resolved(stage).items() if name != "report_to"},
            "adapter": stage.adapter and stage.adapter.model_dump(mode="json"),
            "rows": digest(run.rows(stage)),
            "template": run.recipe.chat_template,
        }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
