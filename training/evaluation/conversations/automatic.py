"""Measures of a conversation that no judge takes: JSON, quantities, variety, repetition, relevance, length.

They say how a text is made, not whether it is right. Variety (distinct-n, Li et al. 2016, arXiv 1510.03055) falls as a
text grows longer, so it stands beside the number of words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from models.chat.documents import objects
from training.evaluation.conversations.quantities import quantities
from training.evaluation.conversations.shapes import Conversation

if TYPE_CHECKING:
    from models.encoders.embeddings import Embedder

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_FENCED = re.compile(r"\s*(?:```|~~~)[ \t]*\w*[ \t]*\n(.*?)\n?[ \t]*(?:```|~~~)\s*", re.DOTALL)
_GRAM = 4  # words in a row that are a repetition when they come again
_PART = 120  # words that are embedded at a time; about what the encoder reads


class Automatic(BaseModel):
    """Measures of one conversation; what cannot be measured is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    fingerprint: str
    valid_json: bool = Field(description="Whether the last answer is one JSON object and nothing else but a fence")
    some_json: bool = Field(description="Whether a JSON object stands in it, however it is surrounded")
    keys: float = Field(ge=0, le=1, description="Share of the wanted keys in that object that hold something")
    words: int = Field(ge=0, description="Of all answers")
    quantities: int = Field(ge=0, description="Numbers with units in all answers")
    quantities_per_100: float | None = Field(description="The same a hundred words")
    distinct: tuple[float | None, float | None, float | None] = Field(
        description="Share of different ones among words, pairs and triples of words"
    )
    repetition: float | None = Field(ge=0, le=1, description="Share of runs of four words that came before")
    relevance: float | None = Field(None, description="Mean cosine between each answer and its question")
    cut: int = Field(ge=0, description="Answers that were cut off")
    empty: int = Field(ge=0, description="Answers without a word")


def measure(conversation: Conversation, embedder: Embedder | None = None) -> Automatic:
    """Measure a conversation.

    Args:
        conversation: A whole one.
        embedder: Sentence embeddings; without it there is no relevance.
    """
    said = [turn.said for turn in conversation.turns]
    words = [[word.lower() for word in _WORD.findall(text)] for text in said]
    total = sum(map(len, words))
    found = sum(len(quantities(text)) for text in said)
    last = said[-1] if said else ""
    valid, held = _json(last)
    filled = [key for key in conversation.keys if held.get(key) not in (None, "", [], {})]
    return Automatic(
        model=conversation.model,
        fingerprint=conversation.fingerprint,
        valid_json=valid,
        some_json=bool(held) or valid,
        keys=len(filled) / len(conversation.keys) if conversation.keys else 0.0,
        words=total,
        quantities=found,
        quantities_per_100=100 * found / total if total else None,
        distinct=(_distinct(words, 1), _distinct(words, 2), _distinct(words, 3)),
        repetition=None if (fresh := _distinct(words, _GRAM)) is None else 1 - fresh,
        relevance=None if embedder is None else _relevance(conversation, embedder),
        cut=sum(turn.finish == "length" for turn in conversation.turns),
        empty=sum(not text.strip() for text in said),
    )


def _json(text: str) -> tuple[bool, dict[str, object]]:
    """Whether a text is a JSON object, strictly; and the fullest object that stands in it."""
    fenced = _FENCED.fullmatch(text)
    try:
        whole = json.loads(fenced[1] if fenced else text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        return True, whole
    return False, max(objects(text), key=len, default={})


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _distinct(texts: Sequence[Sequence[str]], size: int) -> float | None:
    """Share of different runs of ``size`` words among all of them, none across two texts; none where there is none."""
    runs = [tuple(words[at : at + size]) for words in texts for at in range(len(words) - size + 1)]
    return len(set(runs)) / len(runs) if runs else None


def _relevance(conversation: Conversation, embedder: Embedder) -> float | None:
    """Mean over the turns of the cosine between question and answer, a long answer being the mean of its parts."""
    turns = [turn for turn in conversation.turns if turn.said.strip()]
    if not turns:
        return None
    cosines = []
    for turn in turns:
        words = turn.said.split()
        parts = [" ".join(words[at : at + _PART]) for at in range(0, len(words), _PART)]
        asked, *answers = embedder.encode([turn.asked, *parts])
        mean = sum(answers) / len(answers)
        length = float((mean @ mean) ** 0.5)
        if length == 0:
            return None
        cosines.append(float(asked @ mean) / length)
    return sum(cosines) / len(cosines)
