"""Where conversations and judgements lie: whole files, written after every turn and every answer. Asks nobody.

conversations/TOPIC/FINGERPRINT.json and .md    a conversation, as far as it has come
judgements/JUDGE/FINGERPRINT[-FINGERPRINT].jsonl    what a judge said of one conversation, or of two side by side
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from training.evaluation.conversations.shapes import ROW, Conversation, Question, Row
from workspace.errors import DataError, one_line, pydantic_fault
from workspace.files import publish, publish_all

CONVERSATIONS, JUDGEMENTS = "conversations", "judgements"


def conversation_path(home: Path, topic: str, fingerprint: str) -> Path:
    """Where a conversation's JSON lies; its Markdown lies beside it."""
    return home / CONVERSATIONS / topic / f"{fingerprint}.json"


def read_conversation(path: Path) -> Conversation | None:
    """A conversation as far as it is kept; none if nothing is.

    Raises:
        DataError: The file is damaged.
    """
    try:
        return Conversation.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, UnicodeDecodeError) as fault:
        why = pydantic_fault(fault, Conversation) if isinstance(fault, ValidationError) else one_line(fault)
        raise DataError(f"cannot read {path}: {why}", hint="remove it, and the conversation is had again") from None


def keep_conversation(path: Path, conversation: Conversation) -> None:
    """Put down a conversation as JSON and as Markdown."""
    text = conversation.model_dump_json(indent=1) + "\n"
    publish_all(path.parent, {path.name: text, path.with_suffix(".md").name: markdown(conversation)})


def markdown(conversation: Conversation) -> str:
    """A conversation for people."""
    one, sampling = conversation, conversation.sampling
    identity = ", ".join(f"{key} {value}" for key, value in one.maker.items())
    drawn = ", ".join(f"{key} {value}" for key, value in sampling.items() if key != "avoid" or value)
    lines = [f"# {one.model} about {one.topic}", f"- Model: {identity}", f"- Conversation: {one.fingerprint}"]
    lines += [f"- Repeat {one.repeat}; sampling: {drawn}"]
    lines += [f"- The server was not told: {', '.join(one.not_taken)}"] if one.not_taken else []
    lines += [f"\n## System\n\n{one.system}"]
    for number, turn in enumerate(one.turns, 1):
        lines += [f"\n## Question {number}\n\n{turn.asked}", f"\n## Answer {number}\n\n{turn.said or '(nothing)'}"]
        lines += [f"\n*Cut off after {sampling['max_tokens']} tokens.*"] if turn.finish == "length" else []
        lines += [f"\n*Note: {notice}.*" for notice in turn.notices]
    lines += [] if one.whole else [f"\n*Not whole yet: {len(one.turns)} of {one.wanted} turns.*"]
    return "\n".join(lines) + "\n"


class Ledger:
    """What one judge has said, by question.

    Args:
        folder: The judge's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._groups: dict[Path, dict[str, Row]] = {}

    def _path(self, shown: Sequence[str]) -> Path:
        return self.folder / f"{'-'.join(sorted(shown))}.jsonl"

    def _group(self, question: Question) -> dict[str, Row]:
        path = self._path(question.shown)
        if path not in self._groups:
            self._groups[path] = _read_rows(path)
        return self._groups[path]

    def of(self, question: Question) -> Row | None:
        """What is kept of a question.

        Raises:
            DataError: The file is damaged.
        """
        return self._group(question).get(question.key)

    def keep(self, row: Row) -> None:
        """Put down an answer or a failure."""
        group = self._group(row.question)
        group[row.question.key] = row
        publish(self._path(row.question.shown), "".join(f"{one.model_dump_json()}\n" for one in group.values()))


def _read_rows(path: Path) -> dict[str, Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"cannot read {path}: {one_line(fault)}") from None
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = ROW.validate_json(line)
        except ValidationError as fault:
            why = f"{path}:{number}: {pydantic_fault(fault)}"
            raise DataError(why, hint="remove the file, and its questions are asked again") from None
        rows[row.question.key] = row
    return rows
