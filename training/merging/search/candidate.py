"""One model in memory whose weights are those of whichever merge is asked next; and what a model answers right.

A merge is never written to a disk to be tried: its tensors are copied into the live model as they come. Knows models
and questions; not which merge is tried, nor what its score is for.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from training.evaluation.asking.answering import Told, prompts, right_by
from training.evaluation.asking.config import Rule
from training.evaluation.asking.questions import Question
from training.evaluation.asking.scoring import Scorer
from training.merging.parents import speaker, take_speech
from training.turns import tell_turn_end
from workspace.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 3


def load(into: Path, tuned: Path) -> Scorer:
    """The model for t = 0 in memory, with the tokenizer, template and ends of turns that a merge with it has.

    Args:
        into: Folder of the model for t = 0.
        tuned: Folder of the model for t = 1.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / into.name
        folder.mkdir()
        for file in into.iterdir():
            if file.suffix == ".safetensors":
                (folder / file.name).symlink_to(file.resolve())
            elif file.is_file():
                shutil.copyfile(file, folder / file.name)
        take_speech(speaker(tuned, into), folder)
        tell_turn_end(folder)
        return Scorer.load(folder)


def put(scorer: Scorer, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Copy a merge's tensors into the live model, in place.

    Args:
        scorer: Made by `load`.
        tensors: By name, each once. Where there is no output layer among them, it is the embeddings.

    Raises:
        DataError: They are not the live model's: a name or a shape differs, or some are lacking.
    """
    import torch

    live = scorer.model.state_dict()
    head, embeddings = scorer.model.get_output_embeddings().weight, scorer.model.get_input_embeddings().weight
    heads = {name for name, weight in live.items() if weight.data_ptr() == head.data_ptr()}
    left = set(live)
    with torch.no_grad():
        for name, tensor in tensors:
            if name not in live or live[name].shape != tensor.shape:
                shown = tuple(live[name].shape) if name in live else "not in the model"
                raise DataError(f"the merge's {name} is {tuple(tensor.shape)}, and {shown} where it is to be tried")
            live[name].copy_(tensor)
            left.discard(name)
        if heads <= left:
            head.copy_(embeddings)
            left -= heads
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        raise DataError(f"the merge lacks {', '.join(sorted(left)[:_SHOWN])}{more}")


def answers(scorer: Scorer, questions: Sequence[Question], rule: Rule, template: bool) -> tuple[bool, ...]:
    """Whether each question is answered right, by likelihood; only what the rule looks at is asked.

    Args:
        scorer: The model.
        questions: Of a benchmark.
        rule: How the likeliest answer is told.
        template: Whether questions are put in the chat template; else answers follow after a space.

    Raises:
        DataError: A likelihood is no number.
    """
    looked = {"plain": (0,), "pmi": (0, 1), "letters": (2,)}[rule]
    texts: dict[tuple[str, tuple[str, ...]], int] = {}
    parts: list[dict[int, int]] = []
    for question in questions:
        offered = prompts(question.row())
        own = [part if part < len(offered) else 0 for part in looked]  # a statement has no letters
        parts.append({part: texts.setdefault(_put(scorer, *offered[part], template), len(texts)) for part in own})
    found = scorer.likelihoods(list(texts))
    if not all(map(math.isfinite, chain.from_iterable(found))):
        raise DataError("the model gives an answer no number; its weights are damaged")
    return tuple(
        right_by(rule, question.row(), _told(question, {part: found[place] for part, place in own.items()}))
        for question, own in zip(questions, parts, strict=True)
    )


def _told(question: Question, found: Mapping[int, Sequence[float]]) -> Told:
    """What was told of a question; nothing likelier than anything else where it was not asked."""
    none = [0.0] * len(question.offered)
    asked, unasked = (tuple(found.get(part, none)) for part in (0, 1))
    return Told(asked, unasked, tuple(found.get(2, ())))


def _put(scorer: Scorer, text: str, offered: Sequence[str], template: bool) -> tuple[str, tuple[str, ...]]:
    return (scorer.chat(text), tuple(offered)) if template else (text, tuple(f" {answer}" for answer in offered))
