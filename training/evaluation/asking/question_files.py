"""Benchmarks as people keep them: CSV, TSV, JSON or JSONL, read as questions; a row that is none is refused.

Columns are found by their usual names, or named. Options stand in a list, in columns A to H, or within the question, a
line each; an answer is a letter or an option's text. Knows rows and their words; not what a question is about.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.corpus.delimited import decoded, table
from training.evaluation.asking.questions import KINDS, LETTERS, Question
from workspace.errors import DataError, UsageError, one_line, pydantic_fault, unknown

FORMS = "a benchmark is CSV, TSV, JSON or JSONL with the columns question, options (or A, B, C, D) and answer"
FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "question_id", "qid", "uid"),
    "kind": ("kind", "type", "question_type", "format"),
    "question": ("question", "statement", "prompt", "query"),
    "options": ("options", "choices"),
    "answer": ("answer", "correct_answer", "answer_key", "answerkey", "correct", "target", "label", "solution"),
    "passage": ("passage", "source", "doi", "document"),
    "subset": ("subset", "category", "level", "topic", "group", "subject", "difficulty"),
}
"""Ours, and what else such a column is called."""

_KINDS = {
    "choice": ("choice", "multiple choice", "multiplechoice", "mc", "mcq", "mcqa"),
    "truth": ("truth", "true/false", "true false", "truefalse", "true or false", "tf", "t/f", "boolean", "bool"),
}
_SUBSETS = ("basic", "advanced", "general", "specific", "numerical", "non-biological", "non biological")
"""The study's, which a column ``type`` may hold."""
_LEADS = ("", "option_", "choice_")
_TRUTHS = {"true": "true", "t": "true", "false": "false", "f": "false"}
_INLINE = re.compile(r"^\s*\(?([A-H])[.):]\s+(\S.*?)\s*$", re.M)
_SPACE = re.compile(r"\s+")

Row = Mapping[str, Any]


def read_questions(path: Path, columns: Mapping[str, str] | None = None) -> tuple[Question, ...]:
    """A file's questions.

    Args:
        path: CSV, TSV, JSON or JSONL, in UTF-8.
        columns: Of our fields (the keys of `FIELDS`), what the file calls them, where it is none of the usual.

    Raises:
        DataError: It cannot be read, or a row is no question: the file, the row's number and the field are named.
    """
    try:
        text = decoded(path.read_bytes(), str(path))
    except OSError as fault:
        raise DataError(f"cannot read {path}: {fault.strerror or one_line(fault)}", hint=FORMS) from None
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson") or text.lstrip()[:1] in ("{", "["):
        rows = _from_json(text, path)
    else:
        rows = _from_table(text, path)
    return questions_of(rows, str(path), columns)


def questions_of(rows: Iterable[Row], source: str, columns: Mapping[str, str] | None = None) -> tuple[Question, ...]:
    """Rows as questions, counted from one.

    Args:
        rows: Column to value.
        source: What they are called in errors.
        columns: As for `read_questions`.
    """
    given = dict(columns or {})
    for field in given:
        if field not in FIELDS:
            raise UsageError(f"columns: {unknown('field', field, FIELDS)}")
    found: list[Question] = []
    known: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        where = f"{source}, row {number}"
        question = _question(_Cells(row, given, where), number)
        if question.id in known:
            raise DataError(f"{where}, id: {question.id!r} stands in row {known[question.id]} too")
        known[question.id] = number
        found.append(question)
    if not found:
        raise DataError(f"{source} holds no questions", hint=FORMS)
    return tuple(found)


class _Cells:
    """A row's values by our fields; letters' case in the names of columns does not count."""

    def __init__(self, row: Row, columns: Mapping[str, str], where: str) -> None:
        self.where = where
        self.row = {_name(key): value for key, value in row.items()}
        self.names = tuple(map(str, row))
        self.columns = columns
        for field, column in columns.items():
            if _name(column) not in self.row:
                raise DataError(f"{where}: {unknown('column', column, map(str, row))}, named for {field}")

    def held(self, field: str) -> Any:
        """A field's value as it stands, None where there is no such column or it is empty."""
        names = (self.columns[field],) if field in self.columns else FIELDS[field]
        return next((self.row[_name(name)] for name in names if not _absent(self.row.get(_name(name)))), None)

    def text(self, field: str) -> str:
        """A field's text, empty where there is none."""
        return "" if (value := self.held(field)) is None else self.worded(value, field)

    def worded(self, value: Any, field: str) -> str:
        """A value as text."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return f"{value:g}" if isinstance(value, float) else str(value)
        raise self.refusal(field, f"it is {one_line(repr(value), 60)}, no text")

    def refusal(self, field: str, why: str, hint: str | None = None) -> DataError:
        """What is wrong with a field of this row."""
        return DataError(f"{self.where}, {field}: {why}", hint=hint)

    def missing(self, field: str, why: str = "there is none") -> DataError:
        """What is wrong with a field that this row lacks: which columns there are, and how the right one is named."""
        usual = [self.columns[field]] if field in self.columns else FIELDS[field]
        letters = " or columns A to H" if field == "options" else ""
        hint = f"--column {field}=NAME names the right one; the usual names are {', '.join(FIELDS[field])}{letters}"
        if any(_name(name) in self.row for name in usual):
            return self.refusal(field, why)  # the column is there, and empty
        return self.refusal(field, f"{why}; the columns are {one_line(', '.join(self.names), 300)}", hint)


def _question(cells: _Cells, number: int) -> Question:
    text, subset = cells.text("question"), cells.text("subset")
    if not text:
        raise cells.missing("question")
    kind, part = _kind(cells)
    options = _options(cells)
    if not options and kind != "truth" and cells.text("answer").lower() not in _TRUTHS:
        text, options = _inline(text)
    answer = cells.text("answer")
    if not answer:
        raise cells.missing("answer")
    kind = kind or ("choice" if options else "truth" if answer.lower() in _TRUTHS else "")
    if not kind:
        raise cells.missing("options", f"there are none, and the answer {answer!r} is neither true nor false")
    if kind == "truth":
        if answer.lower() not in _TRUTHS:
            raise cells.refusal("answer", f"{answer!r} is neither true nor false")
        options = () if tuple(one.lower() for one in options) in (("true", "false"), ("false", "true")) else options
        answer = _TRUTHS[answer.lower()]
    else:
        answer = _among(cells, answer, options)
    try:
        return Question(
            id=cells.text("id") or str(number),
            kind="truth" if kind == "truth" else "choice",
            question=text,
            options=options,
            answer=answer,
            passage=cells.text("passage"),
            subset=subset or part,
        )
    except ValidationError as fault:
        raise DataError(f"{cells.where}, {pydantic_fault(fault, Question)}") from None


def _kind(cells: _Cells) -> tuple[str, str]:
    """The kind that a row names, and the study's subset where that stands in its place; empty where it names none."""
    said = _SPACE.sub(" ", cells.text("kind").lower().replace("_", " ").replace("-", " "))
    if not said:
        return "", ""
    kind = next((kind for kind, names in _KINDS.items() if said in names), "")
    if not kind and "kind" not in cells.columns and said in [one.replace("-", " ") for one in _SUBSETS]:
        return "", cells.text("kind").lower()
    if not kind:
        raise cells.refusal("kind", unknown("type", cells.text("kind"), [*KINDS, *KINDS.values()]))
    return kind, ""


def _options(cells: _Cells) -> tuple[str, ...]:
    """The options from a list, a list in a text, a table of label and text, or columns A to H."""
    held = cells.held("options")
    if isinstance(held, str):
        held = _unpacked(held)
    if isinstance(held, Mapping):
        held = held["text"] if isinstance(held.get("text"), list) else [held[key] for key in sorted(held, key=str)]
    if held is not None:
        if not isinstance(held, list | tuple):
            raise cells.refusal("options", f"they are {one_line(repr(held), 60)}, no list", FORMS)
        return tuple(_unlettered([cells.worded(one, "options") for one in held]))
    texts = []
    for letter in LETTERS.lower():
        value = next((cells.row[key] for lead in _LEADS if (key := f"{lead}{letter}") in cells.row), None)
        texts.append("" if _absent(value) else cells.worded(value, "options"))
    while texts and not texts[-1]:
        texts.pop()
    return tuple(texts)


def _unpacked(text: str) -> Any:
    """A list that stands in a cell: as JSON, or a line or a part between bars or semicolons each."""
    if text.strip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    for between in ("\n", "|", ";"):
        if between in text:
            return [one.strip() for one in text.split(between) if one.strip()]
    return text


def _unlettered(options: list[str]) -> Iterator[str]:
    """Options without letters before them, where every one has its own."""
    heads = [re.match(r"\(?([A-H])[.):]\s+(?=\S)", one) for one in options]
    own = all(head and head[1] == letter for head, letter in zip(heads, LETTERS, strict=False))
    for head, one in zip(heads, options, strict=True):
        yield one[head.end() :] if own and head else one


def _inline(text: str) -> tuple[str, tuple[str, ...]]:
    """A question without the options that stand in it, a line each, and these; all of it where there are none."""
    found = list(_INLINE.finditer(text))
    if len(found) < 2 or "".join(one[1] for one in found) != LETTERS[: len(found)]:
        return text, ()
    return text[: found[0].start()].strip() or text, tuple(one[2] for one in found)


def _among(cells: _Cells, answer: str, options: tuple[str, ...]) -> str:
    """The option that an answer names, by its text or its letter."""
    plain = [_SPACE.sub(" ", one).casefold() for one in options]
    said = _SPACE.sub(" ", answer).casefold()
    letter = re.fullmatch(r"\(?([a-h])[.):]?", said)
    places = {plain.index(said)} if said in plain else set()
    if letter and LETTERS.lower().index(letter[1]) < len(options):
        places |= {LETTERS.lower().index(letter[1])}
    if not places and (whole := re.match(r"\(?([a-h])[.):]\s*(.+)", said)) and whole[2] in plain:
        places = {plain.index(whole[2])} & {LETTERS.lower().index(whole[1])}
    if len(places) > 1:
        raise cells.refusal("answer", f"{answer!r} is an option's letter and another one's text")
    if not places:
        shown = "; ".join(f"{letter}. {one_line(one, 30)}" for letter, one in zip(LETTERS, options, strict=False))
        raise cells.refusal("answer", f"{one_line(answer, 60)!r} is not among the options: {shown or 'none'}")
    return options[places.pop()]


def _from_json(text: str, path: Path) -> Iterator[Row]:
    if path.suffix.lower() in (".jsonl", ".ndjson") or text.lstrip()[:1] == "{":
        lines = [line for line in text.split("\n") if line.strip()]
        held: Any = [_loaded(line, f"{path}, row {number}") for number, line in enumerate(lines, 1)]
        if len(held) == 1 and isinstance(held[0], dict) and isinstance(held[0].get("data"), list):
            held = held[0]["data"]
    else:
        held = _loaded(text, str(path))
    for number, row in enumerate(held, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: it is {one_line(repr(row), 60)}, no object", hint=FORMS)
        yield row


def _loaded(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"{where} is no JSON: {one_line(fault)}", hint=FORMS) from None


def _from_table(text: str, path: Path) -> Iterator[Row]:
    faults: list[str] = []
    header, rows = table(text, lambda names: len(names) > 1, lambda line, why: faults.append(f"line {line}: {why}"))
    if not header:
        raise DataError(f"{path} is no table with a header", hint=FORMS)
    twice = next((name for name in header if header.count(name) > 1 and name), None)
    if twice:
        raise DataError(f"{path}: the column {twice!r} stands twice")
    for row in rows:
        yield row.cells
        if faults:
            break
    if faults:
        raise DataError(f"{path}, {faults[0]}", hint=FORMS)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def _name(column: object) -> str:
    return _SPACE.sub("_", str(column).strip().lower())
