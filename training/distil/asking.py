"""Asks a model for one kind of document from one passage. Knows prompts, examples and seeds; not what is kept.

A served model reads the prompt and the whole passage. A small local model continues worked examples and reads a few
sentences at a time, another few for each kind.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from models.chat.structured import structured
from models.filling.shots import Shots
from pipelines.corpus.cleaning import sentences
from pipelines.corpus.passages import Passage
from training.distil.config import Kind
from training.distil.documents import KINDS, Document

_HERE = Path(__file__).parent
_WORDS = 100  # that a small model reads at a time
_ENVIRONMENT = Environment(
    undefined=StrictUndefined, loader=FileSystemLoader(_HERE / "prompts"), trim_blocks=True, lstrip_blocks=True
)


def ask(model: BaseChatModel, kind: Kind, passage: Passage, seed: int) -> Document:
    """Have a model write a kind's document.

    Args:
        model: Local or served.
        kind: A key of `KINDS`.
        passage: What it is written from.
        seed: Of the writing.

    Raises:
        DataError: No valid document came about.
        ServiceError: The server failed.
    """
    return structured(model, KINDS[kind], messages(kind, passage), seed=seed, shots=_shots(kind, passage.text)).value


def messages(kind: Kind, passage: Passage) -> list[BaseMessage]:
    """What a model is asked."""
    source = passage.source
    task = _rendered(kind, passage=passage.text, title=source.title, heading=source.heading)
    return [SystemMessage(_rendered("system")), HumanMessage(task)]


def _rendered(name: str, **values: Any) -> str:
    return _ENVIRONMENT.get_template(f"{name}.j2").render(values).strip()


@lru_cache(maxsize=1)
def _examples() -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load((_HERE / "examples.yaml").read_text(encoding="utf-8")))


def _shots(kind: Kind, text: str) -> Shots:
    shown = tuple((f"Passage: {one['passage']}", one[kind]) for one in _examples())
    return Shots(f"Passage: {excerpt(text, list(KINDS).index(kind))}", shown, copies=True)


def excerpt(text: str, number: int) -> str:
    """Some of a passage's sentences in a row; another number begins further on, and after the last from the first."""
    every = sentences(text)
    ends = max(1, len(every) - 2)
    held: list[str] = []
    for one in every[2 * number % ends :]:
        if held and len(" ".join([*held, one]).split()) > _WORDS:
            break
        held.append(one)
    return " ".join(held)


@lru_cache(maxsize=len(KINDS))
def version(kind: Kind) -> str:
    """What an answer of a kind depends on beside model and passage: prompts, examples, schema."""
    prompts = [(_HERE / "prompts" / f"{name}.j2").read_text(encoding="utf-8") for name in ("system", "passage", kind)]
    shown = [[one["passage"], one[kind]] for one in _examples()]
    depends = json.dumps([prompts, shown, KINDS[kind].model_json_schema()], sort_keys=True)
    return hashlib.sha256(depends.encode()).hexdigest()[:12]
