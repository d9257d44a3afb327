"""The fixed prompts of conversations and of judges, rendered strictly from ``prompts/*.yaml``. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from training.evaluation.conversations.shapes import Criterion, Turn, digest
from workspace.errors import UsageError, unknown

_HERE = Path(__file__).parent / "prompts"
_ENVIRONMENT = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@lru_cache(maxsize=8)
def _file(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((_HERE / f"{name}.yaml").read_text(encoding="utf-8")))


def _rendered(template: str, **values: Any) -> str:
    return _ENVIRONMENT.from_string(template).render(values).strip()


def topics() -> tuple[str, ...]:
    """The names of all topics: two materials each."""
    return tuple(_file("conversation")["topics"])


def wanted_keys() -> tuple[str, ...]:
    """What the JSON of the last turn ought to hold."""
    return tuple(_file("conversation")["keys"])


def conversation(topic: str) -> tuple[str, tuple[str, ...]]:
    """What a model is asked about a topic.

    Returns:
        The system prompt and the user's turns.

    Raises:
        UsageError: There is no such topic.
    """
    told = _file("conversation")
    if topic not in told["topics"]:
        raise UsageError(unknown("topic", topic, told["topics"]))
    values = {**told["topics"][topic], "keys": wanted_keys()}
    return str(told["system"]), tuple(_rendered(turn, **values) for turn in told["turns"])


def criterion(name: Criterion) -> dict[str, str]:
    """A criterion's ``title``, and what it is ``about``."""
    return dict(_file("judge")["criteria"][name])


def judge_system() -> str:
    """What a judge is told first."""
    return str(_file("judge")["system"])


def judge_task(
    kind: str, labels: Sequence[str], answers: Sequence[Sequence[Turn]], criteria: Sequence[Criterion]
) -> str:
    """What a judge is asked of answers whose authors are hidden.

    Args:
        kind: ``scores`` or ``remarks``.
        labels: What the answers are called, such as "Answer 1".
        answers: Their turns, in the same order.
        criteria: On what they are judged, in the order of this question.
    """
    asked = [criterion(one) for one in criteria]
    return _rendered(_file("judge")[kind], labels=labels, answers=answers, criteria=asked)


def judge_version() -> str:
    """A fingerprint of all that a judge is told beside the answers."""
    return digest([_file("judge"), _file("names")])


def model_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Patterns of model families and of their makers."""
    told = _file("names")
    return tuple(told["families"]), tuple(told["makers"])


def prompt_words() -> frozenset[str]:
    """Every word of all conversations' prompts, in small letters."""
    texts = [text for topic in topics() for system, turns in [conversation(topic)] for text in (system, *turns)]
    return frozenset(word.strip(".,;:?!") for text in texts for word in text.lower().split())
