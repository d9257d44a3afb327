"""Parents and merges of them, asked questions: each answers the same questions once, and its answers are kept.

Knows how parents and merges come to be models that can be asked; not which is tried when, nor which questions are for
what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.kept import Kept
from training.evaluation.asking.questions import Question, digest
from training.evaluation.asking.scoring import Scorer
from training.merging.config import MergeConfig
from training.merging.engine import Job, merged_tensors
from training.merging.mergekit_yaml import document_of, mixture
from training.merging.parents import has_template
from training.merging.places import Place
from training.merging.plan import Prepared, prepare
from training.merging.search.candidate import answers, load, put
from workspace.errors import UsageError
from workspace.progress import waiting, weighed


@dataclass(frozen=True)
class Contender:
    """What is measured: a merge of the two parents, or one of these."""

    name: str
    kind: Literal["winner", "rival", "parent"]
    what: MergeConfig | Place

    @property
    def merge(self) -> MergeConfig | None:
        """How it is merged; none of a parent."""
        return self.what if isinstance(self.what, MergeConfig) else None


class Contest:
    """Two parents, and all merges of them.

    Args:
        prepared: Any merge of the parents by the search's method.
        asked: How questions are put and answers told.
        kept: Where answers are kept.
        home: STUDIO_HOME.
    """

    def __init__(self, prepared: Prepared, asked: EvaluateConfig, kept: Kept, home: Path) -> None:
        self.parents, self._asked, self._kept, self._home = prepared.parents, asked, kept, home
        self._jobs = {prepared.job.mixture.method: prepared.job} if prepared.job else {}

    def right(self, one: Contender, questions: Sequence[Question]) -> tuple[bool, ...]:
        """Whether a parent or merge answers each question right; asked once, whatever happens in between."""
        what = one.what
        told = what.fingerprint if isinstance(what, Place) else what.model_dump_json(exclude_unset=True)
        how = [self._asked.rule, self._asked.template, [question.row() for question in questions]]
        key = digest([[place.fingerprint for place in self.parents], told, how])
        if (known := self._kept.get(key)) is not None:
            return tuple(bool(right) for right in known)
        with waiting(f"asking {one.name} {len(questions)} questions"):
            found = self._parent(what, questions) if isinstance(what, Place) else self.tried(what, questions)
        self._kept.add(key, one.name, [int(right) for right in found])
        return found

    def tried(self, merge: MergeConfig, questions: Sequence[Question]) -> tuple[bool, ...]:
        """Whether a merge answers each question right; nothing is kept.

        Raises:
            UsageError: The merge is one that mergekit makes, onto the disk only.
        """
        put(self._live, merged_tensors(self._job(merge)))
        return answers(self._live, questions, self._asked.rule, self._in_template(*self.parents))

    def _job(self, merge: MergeConfig) -> Job:
        """What the engine has to do; files are looked at once a method."""
        mix = mixture(document_of(merge), {})
        if mix is not None and mix.method not in self._jobs and (job := prepare(merge, self._home).job):
            self._jobs[mix.method] = job
        if mix is None or mix.method not in self._jobs:
            raise UsageError(
                f"{merge.method} of these models is made by mergekit, onto the disk only: no search tries it"
            )
        return replace(self._jobs[mix.method], mixture=mix)

    @cached_property
    def _live(self) -> Scorer:
        into, tuned = (place.folder for place in self.parents)
        with waiting(f"reading {weighed(into)}"):
            return load(into, tuned)

    def _parent(self, place: Place, questions: Sequence[Question]) -> tuple[bool, ...]:
        with waiting(f"reading {weighed(place.folder)}"):
            scorer = Scorer.load(place.folder)
        return answers(scorer, questions, self._asked.rule, self._in_template(place))

    def _in_template(self, *places: Place) -> bool:
        """Whether questions are put in a chat template: where that is wanted and one of the models has one."""
        return self._asked.template and any(has_template(place.folder) for place in places)
