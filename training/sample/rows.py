"""The sample corpus as training rows and as a benchmark; `training/sample/README.md` says what it is."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_FILES = ("silk", "mineral", "plant", "principle")

Row = dict[str, Any]


@lru_cache(maxsize=1)
def passages() -> tuple[Row, ...]:
    """Every passage with its questions, preference pair and held-out tests."""
    return tuple(row for name in _FILES for row in json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def asked(question: Row) -> str:
    """A question as it is put; a statement is put with its two answers."""
    return f"True or false? {question['question']}" if question["kind"] == "truth" else str(question["question"])


def sample_rows(stage: str) -> list[Row]:
    """The sample's rows for a stage: cpt, sft, dpo or orpo."""
    made: list[Row] = []
    for one in passages():
        if stage == "cpt":
            made += [{"text": f"{one['title']}\n\n{text}"} for text in (one["text"], *one["retold"])]
        elif stage == "sft":
            made += [
                {
                    "messages": [
                        {"role": "user", "content": asked(question)},
                        {"role": "assistant", "content": question["answer"]},
                    ]
                }
                for question in one["questions"]
            ]
        else:
            pair = one["preference"]
            made.append(
                {
                    "prompt": [{"role": "user", "content": pair["prompt"]}],
                    "chosen": [{"role": "assistant", "content": pair["chosen"]}],
                    "rejected": [{"role": "assistant", "content": pair["rejected"]}],
                }
            )
    return made


def benchmark() -> list[Row]:
    """The held-out questions, multiple choice and true or false, each with its passage's id."""
    return [{**question, "passage": one["id"]} for one in passages() for question in one["tests"]]
