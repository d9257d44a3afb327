"""What lm-evaluation-harness calls of ours when it runs `tasks/*.yaml`: rows, and how written answers are read.

Knows both sides' shapes; asks no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.asking.questions import LETTERS
from training.evaluation.asking.tasks import SPLIT, docs, shipped
from training.evaluation.asking.written_answers import read_answer


def sample(**_: Any) -> dict[str, Any]:
    """The sample corpus's held-out questions."""
    return _split("sample")


def forgetting(**_: Any) -> dict[str, Any]:
    """General questions, which a model should not forget."""
    return _split("forgetting")


def spider_silk(**_: Any) -> dict[str, Any]:
    """The study's questions on spider silk, from the model hub."""
    return _split("spider-silk")


def bioinspired(**_: Any) -> dict[str, Any]:
    """The study's questions on bio-inspired materials, from the model hub."""
    return _split("bioinspired")


def _split(name: str) -> dict[str, Any]:
    from datasets import Dataset

    return {SPLIT: Dataset.from_list(docs(shipped(name)))}


def written_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Whether what was written is the right answer, and whether it could be read at all."""
    letters = "TF" if doc["kind"] == "truth" else LETTERS[: len(doc["options"])]
    given = read_answer(results[0], letters, doc["options"])
    return {"acc": float(given == doc["wanted"]), "unparsed": float(not given)}
