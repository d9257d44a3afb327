"""What a model answered, one file a passage, written whole after every answer. Knows files; asks nobody.

A file's name holds the passage's sha256 and the maker's: model, sampling and seed. Each answer carries the version of
its prompt and schema. What a model could not write stands there with its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.corpus.passages import Passage, digest
from training.distil.asking import version
from training.distil.config import Kind
from training.distil.documents import KINDS, Document
from workspace.errors import DataError, one_line, pydantic_fault
from workspace.files import publish


def maker(depends: Mapping[str, Any]) -> str:
    """A short name for all that an answer depends on beside its passage and its prompt."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:12]


@dataclass
class Kept:
    """The answers to one passage."""

    path: Path
    passage: Passage
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, passage: Passage, made_by: str) -> Kept:
        """What is kept of a passage; nothing yet, most often.

        Raises:
            DataError: The file is damaged.
        """
        name = digest(passage.text)
        path = folder / name[:2] / f"{name[:40]}-{made_by}.json"
        try:
            answers = json.loads(path.read_text(encoding="utf-8"))["answers"] if path.is_file() else {}
            return cls(path, passage, {str(kind): dict(answer) for kind, answer in answers.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            why = f"cannot read {path}: {one_line(fault)}"
            raise DataError(why, hint="remove it, and its passage is asked again") from None

    def _answer(self, kind: Kind) -> dict[str, Any] | None:
        answer = self.answers.get(kind)
        return answer if answer and answer.get("version") == version(kind) else None

    def open(self, kind: Kind, retry: bool) -> bool:
        """Whether a kind has to be asked for: it was not, or with ``retry`` it was in vain."""
        answer = self._answer(kind)
        return answer is None or (retry and "refused" in answer)

    def tries(self, kind: Kind) -> int:
        """How often it was asked for in vain."""
        return int((self._answer(kind) or {}).get("tries", 0))

    def document(self, kind: Kind) -> Document | None:
        """A kind's document, if there is one.

        Raises:
            DataError: It is not as its class wants it.
        """
        answer = self._answer(kind)
        if answer is None or "document" not in answer:
            return None
        try:
            return KINDS[kind].model_validate(answer["document"])
        except ValidationError as fault:
            why = pydantic_fault(fault, KINDS[kind])
            raise DataError(f"cannot read {self.path}: {kind}: {why}", hint="remove it to ask again") from None

    def refused(self, kind: Kind) -> str | None:
        """Why a kind could not be written, if so."""
        return (self._answer(kind) or {}).get("refused")

    def keep(self, kind: Kind, answer: Document | str) -> None:
        """Put down a document, or why there is none."""
        refused = isinstance(answer, str)
        row: dict[str, Any] = {"version": version(kind), "tries": self.tries(kind) + refused}
        row |= {"refused": answer} if isinstance(answer, str) else {"document": answer.model_dump(mode="json")}
        self.answers[kind] = row
        file = {"passage": self.passage.id, "sha256": digest(self.passage.text), "answers": self.answers}
        publish(self.path, json.dumps(file, ensure_ascii=False, indent=1) + "\n")
