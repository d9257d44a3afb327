"""Run a recipe: its stages in order, papers to rows to variants, none twice. Killed at any moment, it goes on.

A stage is done when its variant's card carries the key of what made it: arguments, data, parent. Every process of
several runs the same; the first one decides, writes and reports. Knows recipes; how a stage trains is
`training.language.stage`'s business.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.catalogue.fetch import VARIANTS, locate
from models.catalogue.table import MODELS, Kind
from training.gpus import Machine, machine
from training.language import data_stages, identity, ranks
from training.language.estimate import GB, crowd, memory, size_of
from training.language.precision import incapable
from training.language.recipe import BASE, DATA, Data, Recipe, Stage, load_recipe, order, parents, resolved
from training.language.results import RecipeResult, StageResult
from training.language.rows import Row, digest, mixed, parted, read_rows
from training.loadable import check_loads
from training.merging.parents import check_parents, config_of, refuse_quantised
from training.merging.slerp import merge, slerp_faults
from training.sample.rows import sample_rows
from workspace.errors import DataError, ServiceError, StorageError, StudioError
from workspace.extras import require
from workspace.progress import Remark, StageFinished, StageStarted, Tell, in_stage, progress_to, silent, waiting
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

SAMPLE = "sample"
_TRIED = 1000  # rows of each stage, spread over all, that are tokenised before the first one is trained
_MANY = 64 << 20  # bytes of rows that are read when their turn comes
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

    def rows(self, stage: Stage, tell: Tell = silent) -> list[Row]:
        """A stage's rows, checked and mixed by weight; ``tell`` is called with what of its files is not used."""
        made = mixed([(self._rows(one, stage.stage, tell), one.weight) for one in stage.data], stage.args.seed)
        if not made:
            raise DataError(f"{stage.name}: the weights of its data leave no row")
        return made

    def _rows(self, one: Data, kind: str, tell: Tell) -> list[Row]:
        if one.path == SAMPLE:
            return sample_rows(kind)
        if one.path:
            return read_rows(self.folder / os.path.expanduser(one.path), kind, tell)
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


def check(run: Run) -> None:
    """Look, before anything is queued, at what a recipe names: models and files; rows of small files are read.

    Raises:
        StudioError: A model is not there, a file is not, or its rows are not such as the stage's kind learns.
    """
    for fault in run.absent.values():
        raise fault
    for stage in run.recipe.stages:
        if stage.corpus is not None:
            data_stages.check_corpus(stage.corpus, run.folder)
        for one in stage.data:
            path = run.folder / os.path.expanduser(one.path)
            if one.path and one.path != SAMPLE and not (path.is_file() and path.stat().st_size > _MANY):
                read_rows(path, stage.stage)


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
    if any(_in_bits(stage) for stage in run.recipe.stages):
        require("bitsandbytes", extra="gpu")
    if any(stage.args.attn_implementation == "flash_attention_2" for stage in run.recipe.stages):
        require("flash_attn", install="flash-attn")
    if ranks.first() and any(stage.stage in DATA and not run.done(stage.name) for stage in run.recipe.stages):
        _ready(run)
    data: list[StageResult] = []
    variants: list[StageResult] = []
    for stage in order(run.recipe):
        tell_stage = in_stage(tell if ranks.first() else silent, stage.name)
        if stage.stage in DATA:
            with progress_to(tell_stage):
                data.append(_data(run, stage, tell_stage))
        else:
            checked = any(one.made for one in variants)
            with progress_to(tell_stage):
                variants.append(_variant(run, stage, checked, tell_stage))
    return RecipeResult(recipe=run.recipe.name, data=tuple(data), variants=tuple(variants))


def _in_bits(stage: Stage) -> bool:
    """Whether a stage holds weights, or what an optimizer remembers, in four or eight bits."""
    return (stage.adapter is not None and stage.adapter.type == "qlora") or stage.args.optim.endswith("8bit")


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
    with waiting("reading the rows"):
        rows = run.rows(stage, tell) if ranks.first() and stage.stage != "slerp" else []
    work = ranks.agreed(_work(run, stage, rows) if ranks.first() else identity.NONE)
    made = ranks.agreed(ranks.first() and not _done(folder, work))
    if made:
        if ranks.first() and not checked:
            with waiting("looking whether every stage can be done"):
                _ready(run)
        tell(StageStarted(doing="merging" if stage.stage == "slerp" else "training"))
        if ranks.first() and (remark := identity.keep_variant(folder, work.key)):
            tell(Remark(text=remark))
        if stage.stage == "slerp":
            _merge(run, stage, work.key, tell)
        else:
            _train(run, stage, rows or run.rows(stage), work, tell)
        ranks.wait()
    tell(StageFinished(made=made))
    figures = identity.card(folder).get("figures", {})
    return StageResult(name=folder.name, folder=folder, made=made, figures=figures)


def _work(run: Run, stage: Stage, rows: list[Row]) -> identity.Work:
    """What a stage's work is made of."""
    folders = [run.model(name) for name in parents(run.recipe, stage)]
    made_of = identity.made_of(stage, rows, folders, run.recipe.chat_template)
    return identity.work_of(made_of, resolved(stage), identity.card(run.variant(stage.name)))


def _call(run: Run, stage: Stage) -> RoleCall:
    """The model that a distil stage asks: its own, or the base."""
    return stage.distil.call(ChatSettings(model=run.recipe.base), SamplingSettings())


def _ready(run: Run) -> None:
    """Refuse, before anything is trained, what a later stage would stumble over: rows, models, merges, room."""
    from training.language import stage as stages
    from training.language.tokens.columns import dataset

    if fault := next(faults(run, machine()), None):
        raise fault
    for stage in run.recipe.stages:
        if stage.stage in DATA or stage.stage == "slerp":
            continue
        _enough(run, stage)
        args, must_pack = resolved(stage), bool(stage.args.packing)
        task = stages.Task(stage.stage, args, run.model(BASE), run.template, stage.adapter, must_pack=must_pack)
        tokenizer = stages.load_tokenizer(task)
        stages.check_base(task, tokenizer)
        if all(run.done(one.source) for one in stage.data if one.source):
            rows, _ = parted(run.rows(stage), args.held_out, args.seed)
            dataset(stage.stage, args, tokenizer, rows[:: max(1, len(rows) // _TRIED)])


def faults(run: Run, here: Machine) -> Iterator[StudioError]:
    """What of a recipe cannot be done, though each part of it is sound: from small files, before any weight is read.

    Args:
        run: From `open_run`.
        here: What is trained on.
    """
    base = run.model(BASE)
    try:
        refuse_quantised(config_of(base), run.recipe.base)
    except DataError as fault:
        yield fault
    for stage in run.recipe.stages:
        if stage.stage in DATA:
            continue
        if stage.stage == "slerp":
            yield from _unlike(run, stage, base)
        else:
            yield from incapable(stage, here)


def _unlike(run: Run, stage: Stage, base: Path) -> Iterator[StudioError]:
    """Why a merge's parents do not fit: each is of the base's shape and tokens, or a model that is there already."""
    into = parents(run.recipe, stage)[1]
    for fault in slerp_faults(stage.slerp, base):
        yield DataError(f"{stage.name}: {fault}")
    try:
        other = run.model(into)
        if into != BASE and into not in {one.name for one in run.recipe.stages}:
            check_parents(base, other, (run.recipe.base, into))
    except DataError as fault:
        yield DataError(f"{stage.name}: {fault.message}", hint=fault.hint)
    except StudioError as fault:
        yield fault


def _train(run: Run, stage: Stage, rows: list[Row], made_of: identity.Work, tell: Tell) -> None:
    from training.language import stage as stages

    work = run.work(stage.name)
    if ranks.first():
        _enough(run, stage)
        if remark := identity.claim(work, made_of, ranks.way()):
            tell(Remark(text=remark))
    ranks.wait()
    [parent] = parents(run.recipe, stage)
    args = resolved(stage)
    card = {
        "name": run.name(stage.name),
        "licence": _licence(run.recipe.base),
        "recipe": run.recipe.name,
        "parent": run.recipe.base if parent == BASE else run.name(parent),
        "stage": stage.stage,
        "key": made_of.key,
        **({} if stage.adapter is None else {"adapter": stage.adapter.model_dump(mode="json")}),
        "arguments": {name: value for name, value in args if value not in (None, ())},
        "data": {
            "rows": len(rows),
            "sha256": digest(rows),
            "files": ", ".join(one.path or one.source for one in stage.data),
        },
    }
    cache = run.home / "training" / "cache"
    base = run.model(parent)
    task = stages.Task(
        stage.stage, args, base, run.template, stage.adapter, stage.keep_epochs, card, cache, bool(stage.args.packing)
    )
    stages.main(task, rows, work, run.variant(stage.name), tell)
    if ranks.first():
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
        if stage.stage != "cpt":  # a base model may not know how to answer yet
            with ranks.alone(), waiting("trying it with a question"):
                tell(Remark(text=f"tried: {_first_words(run.variant(stage.name))}"))


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
    many, shares = ranks.count(), ranks.shares()
    need = memory(size, resolved(stage), stage.stage, stage.adapter, shares, many if shares == 1 else 1)
    crowded = crowd(ranks.on_this_machine(), here.gpus)
    if need * crowded > here.memory:
        beside = f", and {crowded} of them share it" if crowded > 1 else ""
        raise ServiceError(
            f"{stage.name} needs about {need:.1f} GB of memory a process; {here.name} has {here.memory:.1f} GB{beside}",
            hint="gradient_checkpointing, a smaller batch, an adapter, or --launch accelerate --config fsdp2",
        )
    run.home.mkdir(parents=True, exist_ok=True)
    room, wanted = shutil.disk_usage(run.home)[2] / GB, (2 + 2 * (0 if stage.adapter else 12)) * size.parameters / GB
    if wanted > room:
        raise StorageError(f"{stage.name} needs about {wanted:.1f} GB of disk; {run.home} has {room:.1f} GB free")


def _merge(run: Run, stage: Stage, key: str, tell: Tell) -> None:
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
    for remark in check_parents(run.model(tuned), run.model(into)):
        tell(Remark(text=remark))
    with ranks.alone():
        merge(run.model(tuned), run.model(into), stage.slerp, run.variant(stage.name), card)


def _done(folder: Path, work: identity.Work) -> bool:
    """Whether a variant was made by this work, and would load."""
    if identity.card(folder).get("key") not in work.keys:
        return False
    try:
        check_loads(folder)
    except DataError:
        return False
    return True
