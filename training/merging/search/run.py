"""A search from end to end: benchmark in two, trials on one part, winner and rivals once on the other, a result kept.

Everything stands in ``home/searches/<name>``: ``answers.jsonl`` (what parents, rivals and the winner answered),
``trials.jsonl``, ``winner.json`` (written before any test question is asked; from then on the search is closed) and
``result.json``. A search that was stopped goes on where it was. Knows how the parts go together; each part its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.contamination import check_contamination
from training.evaluation.asking.kept import opened
from training.evaluation.asking.questions import Benchmark, Question, digest
from training.evaluation.asking.tasks import benchmark_of
from training.evaluation.statistics.correction import Corrected
from training.evaluation.statistics.power import detectable_paired
from training.evaluation.statistics.synergy import Beside
from training.merging.config import METHODS, PRESETS, MergeConfig, Vectors
from training.merging.plan import Prepared, prepare
from training.merging.search.config import SearchConfig, Vector
from training.merging.search.contest import Contender, Contest
from training.merging.search.evolution import best, evolve, mean
from training.merging.search.genome import size, vector_of, with_vector
from training.merging.search.items import Items
from training.merging.search.measure import Side, optimism
from training.merging.search.results import BesideOther, SearchResult, Standing
from training.merging.search.split import split
from training.merging.search.trials import Trial
from workspace.errors import DataError, ServiceError, UsageError, one_line
from workspace.files import publish
from workspace.progress import Remark, StageFinished, StageStarted, Tell, amount, progress_to, silent

SEARCHES = "searches"
"""Where searches are kept, within the home."""
RESULT = "result.json"


def search(
    merge: MergeConfig, config: SearchConfig, asked: EvaluateConfig, home: Path, tell: Tell = silent
) -> SearchResult:
    """Look for the t over depth with which two models are best merged, and measure what was found.

    Args:
        merge: What is merged, by a method with t over depth; its own curve is one of those that are tried first.
        config: How long and how wide is looked.
        asked: The benchmark, one, and how it is put, by likelihood.
        home: STUDIO_HOME.
        tell: Called with a `Remark` of what should be known, and after every trial.

    Returns:
        The result; of a search that is over as it is kept. `SearchResult.best` holds the merge to publish.

    Raises:
        DataError: Models do not fit together, questions stand in training rows, or the search of that name was of
            something else.
        ServiceError: A model is not on this machine, or too large for its memory.
        UsageError: The merge has no t, there is no such model or benchmark, or there are more than one.
    """
    check_search(merge, asked)
    folder = home / SEARCHES / merge.name
    kept_before = (folder / RESULT).is_file()
    with progress_to(tell):
        tell(StageStarted(doing="searching"))
        prepared = prepare(with_vector(merge, (0.5,) * size(config.anchors)), home)
        for remark in prepared.plan.remarks:
            tell(Remark(text=remark))
        _check_memory(prepared)
        benchmark = benchmark_of(asked.tasks[0], asked.columns).chosen(asked.subsets, asked.limit)
        check_contamination([benchmark], [place.folder for place in prepared.parents], asked, home, tell)
        identity = _identity(prepared, benchmark, asked)
        with opened(folder / "answers.jsonl", tell) as kept:
            contest = Contest(prepared, asked, kept, home)
            found = _Search(merge, config, benchmark, contest, identity, tell).result(folder)
        tell(StageFinished(made=not kept_before))
    return found


def _identity(prepared: Prepared, benchmark: Benchmark, asked: EvaluateConfig) -> dict[str, str]:
    """What tells a search from any other, beside its own options."""
    return {
        "method": prepared.plan.method,
        "parents": ", ".join(prepared.plan.parents),
        "merge": prepared.plan.key,
        "benchmark": benchmark.name,
        "questions": digest([question.model_dump(mode="json") for question in benchmark.questions]),
        "rule": asked.rule,
        "template": "chat" if asked.template else "plain",
    }


def _check_memory(prepared: Prepared) -> None:
    """Refuse a model that does not fit, before it is read."""
    into, free = prepared.parents[0], prepared.plan.free_memory_bytes
    weights = sum(file.stat().st_size for file in into.folder.glob("*.safetensors"))
    if weights > free:
        raise ServiceError(
            f"a search holds one model in memory: {into.name} takes {amount(weights)}, and {amount(free)} are free"
        )


def check_search(merge: MergeConfig, asked: EvaluateConfig) -> None:
    """Refuse what cannot be searched, before any file is read."""
    depth = [name for name, kind in METHODS.items() if kind.depth]
    if merge.yaml or merge.method not in depth:
        what = "a YAML of one's own" if merge.yaml else merge.method
        raise UsageError(f"t over depth is searched, and {what} has none; methods that have: {', '.join(depth)}")
    if merge.tokenizer:
        raise UsageError("tokenizer: parents of one vocabulary are searched; merge them onto the disk instead")
    if len(asked.tasks) != 1:
        raise UsageError(f"tasks: a search has one benchmark, not {len(asked.tasks)}")
    if asked.protocol != "likelihood":
        raise UsageError(f"protocol: a search asks by likelihood, not {asked.protocol}")


class _Sides(NamedTuple):
    """A benchmark in two."""

    development: tuple[Question, ...]
    test: tuple[Question, ...]


def _divided(benchmark: Benchmark, config: SearchConfig) -> _Sides:
    sides = split(benchmark.questions, config.development, config.seed)
    development, test = (tuple(benchmark.questions[place] for place in side) for side in sides)
    if config.questions is not None and config.questions > len(development):
        raise UsageError(f"questions: {config.questions} a trial, and there are {len(development)} for development")
    return _Sides(development, test)


class _Search:
    def __init__(
        self,
        merge: MergeConfig,
        config: SearchConfig,
        benchmark: Benchmark,
        contest: Contest,
        identity: Mapping[str, str],
        tell: Tell,
    ) -> None:
        self.merge, self.config, self.contest, self.identity, self.tell = merge, config, contest, dict(identity), tell
        self.task, self.sides = benchmark.name, _divided(benchmark, config)
        lerp = MergeConfig(name="lerp", method="lerp", models=merge.models, t=0.5)
        reference = MergeConfig(name="reference", method="slerp", models=merge.models, preset="reference")
        self.others = (
            Contender("LERP at t = 0.5", "rival", lerp),
            Contender("SLERP, reference curve", "rival", reference),
            *(Contender(place.name, "parent", place) for place in contest.parents),
        )

    def result(self, folder: Path) -> SearchResult:
        """The result as it is kept, or the search up to it."""
        file, closed = folder / RESULT, folder / "winner.json"
        held = {"identity": self.identity, "config": self.config.model_dump(mode="json")}
        if closed.is_file():
            _check_closed(closed, held)
        if file.is_file():
            return _read(file)
        self._tell_size()
        asked, overall = self._chosen()
        trials = evolve(
            self._score(asked), self.config, folder / "trials.jsonl", self.identity, self._starts(), overall, self.tell
        )
        winner = best(trials)
        publish(closed, json.dumps({**held, "trial": winner.number, "vector": winner.vector}, indent=1) + "\n")
        made = self._measured(trials, winner, asked)
        publish(file, made.model_dump_json(indent=1) + "\n")
        return made

    def _tell_size(self) -> None:
        """Say before anything is asked what the test split can show."""
        development, test = map(len, self.sides)
        least = 100 * detectable_paired(test, comparisons=len(self.others))
        text = (
            f"{development} development and {test} test questions; the smallest paired difference that these show in "
            f"{len(self.others)} comparisons is about {least:.1f} points, more where they share passages"
        )
        self.tell(Remark(text=text))

    def _chosen(self) -> tuple[tuple[Question, ...], Callable[[Sequence[float]], float]]:
        """The questions of a trial, and how their answers make its score."""
        if self.config.questions is None or self.config.questions == len(self.sides.development):
            return self.sides.development, mean
        items = Items.fit([self.contest.right(one, self.sides.development) for one in self.others])
        places = items.telling(self.config.questions)
        return tuple(self.sides.development[place] for place in places), partial(items.estimate, places)

    def _starts(self) -> tuple[Vector, ...]:
        """Curves that are tried first: halfway everywhere, the merge's own, and the study's."""
        curves = [Vectors((0.5,), (0.5,), 0.5), self.merge.vectors, *filter(None, PRESETS.values())]
        return tuple(dict.fromkeys(vector_of(curve, self.config.anchors) for curve in curves))

    def _score(self, asked: Sequence[Question]) -> Callable[[Vector], Sequence[float]]:
        return lambda vector: [float(right) for right in self.contest.tried(with_vector(self.merge, vector), asked)]

    def _measured(self, trials: Sequence[Trial], winner: Trial, asked: Sequence[Question]) -> SearchResult:
        """Ask winner and others everything, the test questions among it, and sum up."""
        found = Contender(self.merge.name, "winner", with_vector(self.merge, winner.vector))
        field = (found, *self.others)
        known = [bool(right) for right in winner.right] if len(asked) == len(self.sides.development) else None
        chosen = known or self.contest.right(found, self.sides.development)
        plain = [self.contest.right(one, self.sides.development) for one in self.others]
        development = Side([chosen, *plain], _passages(self.sides.development))
        test = Side([self.contest.right(one, self.sides.test) for one in field], _passages(self.sides.test))
        own, beyond = optimism(development, test)
        return SearchResult(
            name=self.merge.name,
            parents=(self.contest.parents[0].name, self.contest.parents[1].name),
            task=self.task,
            config=self.config,
            identity=self.identity,
            development=tuple(question.id for question in self.sides.development),
            test=tuple(question.id for question in self.sides.test),
            asked=tuple(question.id for question in asked),
            trials=tuple(trial.model_copy(update={"right": ()}) for trial in trials),
            winner=winner.number,
            standings=tuple(
                Standing(name=one.name, kind=one.kind, merge=one.merge, development=here, test=there)
                for one, here, there in zip(field, development.shares(), test.shares(), strict=True)
            ),
            beside=tuple(
                BesideOther(other=one.name, verdict=_verdict(comparison), comparison=comparison)
                for one, comparison in zip(self.others, test.beside(), strict=True)
            ),
            optimism=own,
            optimism_beyond=beyond,
        )


def _passages(side: Sequence[Question]) -> tuple[str, ...] | None:
    """What each question is about; none where none shares a passage."""
    told = tuple(question.passage or f"question {question.id}" for question in side)
    return told if len(set(told)) < len(told) else None


def _verdict(one: Corrected) -> Beside:
    return "better" if one.better else "worse" if one.worse else "cannot be told apart"


def _check_closed(file: Path, held: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to search on where the test split was asked already."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        differ = [(part, key) for part in held for key in held[part] if found[part][key] != held[part][key]]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise DataError(f"cannot read {file}: {one_line(fault)}") from None
    if differ:
        part, key = differ[0]
        raise DataError(
            f"{file.parent.name} is over and its test questions were asked; its {key} is {found[part][key]}, not "
            f"{held[part][key]}: another search would choose with the test seen",
            hint="give the search another name, and for an unseen test split another seed",
        )


def _read(file: Path) -> SearchResult:
    try:
        return SearchResult.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as fault:
        raise DataError(f"{file} is damaged: {one_line(fault)}; remove it, and the search is measured again") from None
