"""Run a recipe: its stages in order, papers to rows to variants, none twice. Killed at any moment, it goes on.

A stage is done when its variant's card carries the key of what made it: arguments, data, parent. Every process of
several runs the same; the first one decides, writes and reports. Knows recipes; how a stage trains is
`training.language.stage`'s business.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.fetch import VARIANTS, fingerprint, locate
from models.catalogue.table import MODELS, Kind
from training.language import data_stages, ranks
from training.language.estimate import GB, machine, memory, size_of
from training.language.recipe import BASE, DATA, Data, Recipe, Stage, load_recipe, order, parents, resolved
from training.language.results import RecipeResult, StageResult
from training.language.rows import Row, digest, mixed, read_rows
from training.sample.rows import sample_rows
from workspace.errors import DataError, ServiceError, StorageError, StudioError
from workspace.extras import require
from workspace.files import publish
from workspace.progress import Remark, StageFinished, StageStarted, Tell, in_stage, silent
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

SAMPLE = "sample"
_FIGURES = {"documents", "pages", "passages", "words", "rows", "dropped"}  # of a report, that a result repeats


@dataclass(frozen=True)
class Run:
    """A recipe with all that it stands on, found once.

    Attributes:
        recipe: What is done.
        folder: Where its data's paths start.
        home: STUDIO_HOME.
        models: The folder of every model that the recipe names.
        absent: What is wrong with those that are not ready.
    """

    recipe: Recipe
    folder: Path
    home: Path
    models: Mapping[str, Path]
    absent: Mapping[str, StudioError]

    def name(self, stage: str) -> str:
        """What a stage's variant is called."""
        return f"{self.recipe.name}-{stage}"

    def variant(self, stage: str) -> Path:
        """Where a stage's variant lies."""
        return self.home / VARIANTS / self.name(stage)

    def model(self, name: str) -> Path:
        """The folder of a stage's variant, of the base, or of another model that the recipe names.

        Raises:
            StudioError: The model was not there, or not sound, when the run was opened.
        """
        if name in {stage.name for stage in self.recipe.stages}:
            return self.variant(name)
        return self._found(self.recipe.base if name == BASE else name)

    def _found(self, name: str) -> Path:
        if name in self.absent:
            raise self.absent[name]
        return self.models[name]

    @property
    def template(self) -> Path | None:
        """The folder of the model whose chat template is used; the base's own if none."""
        return self._found(self.recipe.chat_template) if self.recipe.chat_template else None

    def rows(self, stage: Stage) -> list[Row]:
        """A stage's rows, checked and mixed by weight."""
        made = mixed([(self._rows(one, stage.stage), one.weight) for one in stage.data], stage.args.seed)
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
    """Read a recipe, shipped or a file, and find the models that it names."""
    path = Path(os.path.expanduser(recipe))
    read = load_recipe(recipe)
    stages = {stage.name for stage in read.stages}
    parent_names = [name for stage in read.stages if stage.stage == "slerp" for name in parents(read, stage)]
    named: dict[str, Kind | None] = {} if read.chat_template is None else {read.chat_template: None}
    named |= dict.fromkeys([read.base, *(name for name in parent_names if name not in {*stages, BASE})], "chat")
    models: dict[str, Path] = {}
    absent: dict[str, StudioError] = {}
    for name, kind in named.items():
        try:
            models[name] = locate(name, home, kind=kind)
        except StudioError as fault:
            absent[name] = fault
    return Run(read, path.parent if os.path.isfile(path) else Path.cwd(), home, models, absent)


def main(run: Run, tell: Tell = silent) -> RecipeResult:
    """Do every stage that is not done.

    Args:
        run: From `open_run`.
        tell: Called with events of progress, each with its stage's name.

    Raises:
        DataError: Rows or a base are not as they must be; too little memory.
        ServiceError: A model is not there.
    """
    require("datasets", "mergekit", "trl")
    require(*sorted({name for stage in run.recipe.stages for name in stage.args.report_to}), extra="metrics")
    if any(stage.adapter and stage.adapter.type == "qlora" for stage in run.recipe.stages):
        require("bitsandbytes", extra="gpu")
    if ranks.first() and any(stage.stage in DATA and not run.done(stage.name) for stage in run.recipe.stages):
        _ready(run)
    data: list[StageResult] = []
    variants: list[StageResult] = []
    for stage in order(run.recipe):
        tell_stage = in_stage(tell if ranks.first() else silent, stage.name)
        if stage.stage in DATA:
            data.append(_data(run, stage, tell_stage))
        else:
            checked = any(one.made for one in variants)
            variants.append(_variant(run, stage, checked, tell_stage))
    return RecipeResult(recipe=run.recipe.name, data=tuple(data), variants=tuple(variants))


def _data(run: Run, stage: Stage, tell: Tell) -> StageResult:
    """Make a corpus or distil one: the first process does, and tells the others what came of it."""
    work = run.work(stage.name)
    made, figures = False, {}
    if ranks.first():
        tell(StageStarted(doing="reading" if stage.stage == "corpus" else "distilling"))
        if stage.corpus is not None:
            corpus, made = data_stages.make_corpus(stage.corpus, run.folder, work, run.home, tell)
            figures = corpus.model_dump(mode="json", include=_FIGURES)
        else:
            source = run.work(parents(run.recipe, stage)[0])
            with ranks.alone():
                rows, made = data_stages.make_rows(
                    stage.distil, _call(run, stage), source, run.folder, work, run.home, tell
                )
            figures = rows.model_dump(mode="json", include=_FIGURES)
    made, figures = ranks.agreed((made, figures))
    tell(StageFinished(made=made))
    return StageResult(name=run.name(stage.name), folder=work, made=made, figures=figures)


def _variant(run: Run, stage: Stage, checked: bool, tell: Tell) -> StageResult:
    """Train or merge a stage's variant, unless it is there; ``checked`` says that all later stages were looked at."""
    folder = run.variant(stage.name)
    rows = run.rows(stage) if ranks.first() and stage.stage != "slerp" else []
    key = ranks.agreed(_key(run, stage, rows) if ranks.first() else "")
    made = ranks.agreed(_card(folder).get("key") != key)
    if made:
        if ranks.first() and not checked:
            _ready(run)
        tell(StageStarted(doing="merging" if stage.stage == "slerp" else "training"))
        if stage.stage == "slerp":
            _merge(run, stage, key)
        else:
            _train(run, stage, rows or run.rows(stage), key, tell)
        ranks.wait()
    tell(StageFinished(made=made))
    return StageResult(name=folder.name, folder=folder, made=made, figures=_card(folder).get("figures", {}))


def _call(run: Run, stage: Stage) -> RoleCall:
    """The model that a distil stage asks: its own, or the base."""
    return stage.distil.call(ChatSettings(model=run.recipe.base), SamplingSettings())


def _ready(run: Run) -> None:
    """Refuse, before anything is trained, what a later stage would stumble over: rows, models, too little room."""
    from training.language import stage as stages

    for stage in run.recipe.stages:
        if stage.stage == "slerp":
            run.model(parents(run.recipe, stage)[1])
        elif stage.stage not in DATA:
            _enough(run, stage)
            task = stages.Task(stage.stage, resolved(stage), run.model(BASE), run.template)
            tokenizer = stages.load_tokenizer(task)
            if all(run.done(one.source) for one in stage.data if one.source):
                stages.encoded(task, tokenizer, run.rows(stage)[0])


def _train(run: Run, stage: Stage, rows: list[Row], key: str, tell: Tell) -> None:
    from training.language import stage as stages

    work = run.work(stage.name)
    if ranks.first():
        _enough(run, stage)
        _claim(work, f"{key} {ranks.way()}".strip())
    ranks.wait()
    [parent] = parents(run.recipe, stage)
    args = resolved(stage)
    card = {
        "name": run.name(stage.name),
        "licence": _licence(run.recipe.base),
        "recipe": run.recipe.name,
        "parent": run.recipe.base if parent == BASE else run.name(parent),
        "stage": stage.stage,
        "key": key,
        "arguments": {name: value for name, value in args if value not in (None, ())},
        "data": {
            "rows": len(rows),
            "sha256": digest(rows),
            "files": ", ".join(one.path or one.source for one in stage.data),
        },
    }
    cache = run.home / "training" / "cache"
    base = run.model(parent)
    task = stages.Task(stage.stage, args, base, run.template, stage.adapter, stage.keep_epochs, card, cache)
    stages.main(task, rows, work, run.variant(stage.name), tell)
    if ranks.first():
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
        if stage.stage != "cpt":  # a base model may not know how to answer yet
            with ranks.alone():
                tell(Remark(text=f"tried: {_first_words(run.variant(stage.name))}"))


def _claim(work: Path, key: str) -> None:
    """Make a stage's folder its own; what was begun with other data or arguments, or split otherwise, is of no use."""
    noted = work / "key"
    if noted.is_file() and noted.read_text(encoding="utf-8") != key:
        shutil.rmtree(work)
    publish(noted, key)


def _first_words(folder: Path) -> str:
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
    need = memory(size, resolved(stage), stage.stage, stage.adapter, ranks.shares())
    if need > here.memory:
        raise ServiceError(
            f"{stage.name} needs about {need:.1f} GB of memory a process; {here.name} has {here.memory:.1f} GB",
            hint="gradient_checkpointing, a smaller batch, an adapter, or --launch accelerate --config fsdp2",
        )
    run.home.mkdir(parents=True, exist_ok=True)
    room, wanted = shutil.disk_usage(run.home)[2] / GB, (2 + 2 * (0 if stage.adapter else 12)) * size.parameters / GB
    if wanted > room:
        raise StorageError(f"{stage.name} needs about {wanted:.1f} GB of disk; {run.home} has {room:.1f} GB free")


def _merge(run: Run, stage: Stage, key: str) -> None:
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


def _card(folder: Path) -> dict[str, Any]:
    file = folder / "variant.json"
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return card


def _key(run: Run, stage: Stage, rows: list[Row]) -> str:
    """What tells a stage's work from any other: its arguments, its rows, and what it starts from."""
    depends: dict[str, Any] = {
        "stage": stage.stage,
        "parents": [fingerprint(run.model(name)) for name in parents(run.recipe, stage)],
    }
    if stage.stage == "slerp":
        depends["slerp"] = stage.slerp.model_dump(mode="json")
    else:
        depends |= {
            "args": resolved(stage).model_dump(exclude={"report_to"}),
            "adapter": stage.adapter and stage.adapter.model_dump(mode="json"),
            "rows": digest(rows),
            "template": run.recipe.chat_template,
        }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
