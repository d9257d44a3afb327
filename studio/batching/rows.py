"""One row, from whatever file, as an item: a text, an object of columns, a line of OpenAI's batches.

What is empty is not given and left to the batch's defaults. A row that cannot be an item is a fault with its line; a
column that is not known is a fault of the whole file, since every row would go without what it says.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from agents.documents import Brief
from agents.programs import load_program
from studio.batching.shapes import COLUMNS, LONGEST_ID, OPTIONS, WHOLE, Fault, Item, content_id, slug
from studio.runs.request import DesignOptions
from training.language.reading.fields import as_json
from training.yaml_text import read_yaml
from workspace.bounds import bounds
from workspace.errors import DataError, StudioError, one_line, pydantic_fault, unknown
from workspace.letters import visible
from workspace.progress import Remark, Tell

PARTED = ";"
"""What parts names in a text of inspirations."""

_NUMBERS = tuple(name for name in OPTIONS if int in get_args(DesignOptions.model_fields[name].annotation))
_WORDS = tuple(name for name in OPTIONS if name not in (*_NUMBERS, "inspirations"))
_KNOWN = frozenset(COLUMNS)
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:[.,]0{1,2})?")
_HALF = re.compile("[\ud800-\udfff]")
_LINE_OF_OPENAI = frozenset({"custom_id", "method", "url", "body"})
_TEXT_PARTS = ("text", "input_text")
_LONGEST_LIST = 2000
_NAMELESS = "a column has no name, as an index that pandas saves has none (index=False saves none)"
_LABEL = 32
_BOUNDS, _START = bounds(Brief.model_fields["text"]), 40
_SHOWN = 60
_MOST_NAMES = 1000


class RowReader:
    """Makes items of one source's rows.

    Args:
        source: Where they stand.
        defaults: Options of rows that do not give them. Its seed, profile and ask are not an item's and not taken.
        ignore_columns: Whether columns that are not known are passed over, each told once, and not refused.
        tell: Takes remarks.
    """

    def __init__(self, source: str, defaults: DesignOptions, *, ignore_columns: bool, tell: Tell) -> None:
        self.source = source
        self._defaults = defaults.model_dump(exclude_unset=True, exclude={"seed", "inspirations", *WHOLE})
        self._sources = tuple(defaults.inspirations)
        self._ignore, self._tell = ignore_columns, tell
        self._passed: set[str] = set()
        self._unused: Counter[str] = Counter()
        self._programs: dict[str, str] = {}

    def check_columns(self, names: Iterable[str], line: int) -> None:
        """Refuse columns that are not known, or tell of each once.

        Raises:
            DataError: There is one, with the nearest name that is known.
        """
        strange = [name for name in names if name not in _KNOWN and name not in self._passed]
        if not strange:
            return
        told = [unknown("column", name[:_SHOWN], COLUMNS) if name else _NAMELESS for name in strange]
        if not self._ignore:
            hint = "correct it, or pass over such columns: --ignore-columns"
            if strange[0] in WHOLE:
                hint = f"{strange[0]} is the whole batch's: say it on the command line"
            more = f" (and {len(strange) - 1} more: {', '.join(map(repr, strange[1:5]))})" if strange[1:] else ""
            raise DataError(f"{self.source}, line {line}: {one_line(told[0] + more, 400)}", hint=hint)
        for name, words in zip(strange, told, strict=True):
            if len(self._passed) == _MOST_NAMES:
                words = "more columns, which are not told one by one"
            if len(self._passed) <= _MOST_NAMES:
                self._passed.add(name)
                self._tell(Remark(text=f"{self.source}, line {line}: not used: {words}"))

    def item(self, line: int, row: Any, label: str = "") -> Item | Fault:
        """Make an item of a row.

        Args:
            line: Where it begins.
            row: A text, or an object of columns.
            label: What an id that is drawn begins with, as `slug` makes it; the brief's first words if not given.

        Raises:
            DataError: It has a column that is not known.
        """
        name = ""
        try:
            columns = self._columns(row)
            name = _id(columns.get("id"))
        except (ValueError, RecursionError) as fault:
            return self.fault(line, one_line(fault, 300))
        self.check_columns(columns, line)
        try:
            return self._made(line, columns, name, label)
        except (ValueError, RecursionError, StudioError) as fault:
            return self.fault(line, one_line(fault, 300), name)

    def fault(self, line: int, reason: str, name: str = "") -> Fault:
        """A row that cannot be read."""
        return Fault(source=self.source, line=line, reason=reason, id=name)

    def tell_unused(self) -> None:
        """Tell what of OpenAI's lines was not used, and how often it stood there."""
        if self._unused:
            names = ", ".join(f"{name} ({count:,})" for name, count in self._unused.most_common(12))
            self._tell(Remark(text=f"{self.source}: of OpenAI's lines these are not used: {names}"))

    def _columns(self, row: Any) -> Mapping[str, Any]:
        """A row's columns by our names."""
        if isinstance(row, str):
            return {"brief": row}
        if not isinstance(row, dict):
            raise ValueError(f"it is {as_json(row)}, neither a text nor an object")
        if row.keys() <= _KNOWN:
            return row
        columns: dict[str, Any] = {}
        openai = isinstance(row.get("body"), dict)
        for name, value in row.items():
            key = name if openai and name in _LINE_OF_OPENAI else column_name(name)
            if key in columns:
                raise ValueError(f"the column {key[:_SHOWN]!r} stands twice")
            columns[key] = value
        return self._of_openai(columns) if openai else columns

    def _of_openai(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a line of OpenAI's batches: the brief is what the user said last."""
        body = row["body"]
        columns = {name: value for name, value in row.items() if name not in _LINE_OF_OPENAI}
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
            raise ValueError(f"body.messages: it is {as_json(messages)}, no list of messages")
        users = [at for at, one in enumerate(messages) if one.get("role") == "user"]
        if not users:
            raise ValueError("body.messages: none is the user's")
        found = {"brief": _content(messages[users[-1]].get("content")), "id": row.get("custom_id")}
        found |= {"seed": body["seed"]} if "seed" in body else {}
        twice = next((name for name in found if name in columns), None)
        if twice:
            raise ValueError(f"the column {twice!r} stands beside what OpenAI's line says of it")
        unused = [f"body.{name[:_SHOWN]}" for name in body if name not in ("messages", "seed")]
        unused += ["messages beside the user's last"] if len(messages) > 1 else []
        self._unused.update(name for name in unused if name in self._unused or len(self._unused) < _MOST_NAMES)
        return columns | found

    def _made(self, line: int, columns: Mapping[str, Any], name: str, label: str) -> Item:
        brief = _text("brief", columns.get("brief"))
        if brief is None:
            raise ValueError("the brief is empty" if "brief" in columns else "there is no brief")
        given: dict[str, Any] = {one: _whole_number(one, columns.get(one)) for one in _NUMBERS}
        given |= {one: _text(one, columns.get(one)) for one in _WORDS}
        given = {one: value for one, value in given.items() if value is not None}
        names = _names(columns.get("inspirations"))
        try:
            text = _sound_text(brief)
            sources = _sound(tuple(names))
        except ValidationError as fault:
            raise ValueError(f"the brief's {pydantic_fault(fault, Brief)}") from None
        try:
            options = DesignOptions(**(self._defaults | given))
        except ValidationError as fault:
            raise ValueError(pydantic_fault(fault, DesignOptions)) from None
        options = options.model_copy(update={"inspirations": sources or self._sources})
        given |= {"inspirations": sources} if sources else {}
        self._check_program(options.program)
        known = name or content_id(label or slug(text, _LABEL), {"brief": text} | given)
        return Item(id=known, brief=text, options=options, source=self.source, line=line)

    def _check_program(self, name: str | None) -> None:
        if name is None:
            return
        if name not in self._programs:
            if len(self._programs) >= _MOST_NAMES:
                self._programs.clear()
            try:
                load_program(name)
                self._programs[name] = ""
            except StudioError as fault:
                self._programs[name] = fault.message
        if self._programs[name]:
            raise ValueError(self._programs[name])


def column_name(name: str) -> str:
    """A column's name without case and blanks around it."""
    return name.strip("\ufeff \t\r\n").casefold()


def _checked(name: str, text: str) -> str:
    if not text.isascii() and _HALF.search(text):
        raise ValueError(f"{name}: it holds half a character, which no text has")
    if "\0" in text:
        raise ValueError(f"{name}: letter {text.index(chr(0)) + 1} is NUL, which no text has")
    return text


def _text(name: str, value: Any) -> str | None:
    """A text without blanks around it; none where it is empty."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name}: it is {as_json(value)}, not text")
    return _checked(name, value).strip() or None


def _whole_number(name: str, value: Any) -> int | None:
    """A whole number, also as programs write it that know no others: 7.0, or "7" in a table."""
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if _WHOLE_NUMBER.fullmatch(text):
            return int(re.split("[.,]", text)[0])
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    raise ValueError(f"{name}: it is {as_json(value)}, not a whole number")


def _names(value: Any) -> list[str]:
    """The inspirations of a list, or of a text that has them parted by semicolons or in brackets."""
    if value is None:
        return []
    names: Any = value
    if isinstance(value, str):
        text = _checked("inspirations", value).strip()
        names = _bracketed(text) if text.startswith("[") else text.split(PARTED)
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise ValueError(f"inspirations: it is {as_json(value)}, neither a text nor a list of texts")
    return [name for one in names if (name := _checked("inspirations", one).strip())]


def _sound_text(text: str) -> str:
    """A text as a brief has it; where its beginning is one, so is the whole unless it is too long: a look is costly."""
    if len(text) <= (_BOUNDS.max_length or 0):
        with suppress(ValidationError):
            Brief(text=text[:_START])
            return text
    return Brief(text=text).text


@lru_cache(maxsize=4096)
def _sound(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as a brief has them; the same ones stand in many rows."""
    return tuple(Brief(text="any brief", inspirations=list(names)).inspirations)


def _bracketed(text: str) -> Any:
    """A list that was written into a cell, as JSON or Python writes it; none where it is no such list."""
    try:
        return read_yaml(text) if len(text) <= _LONGEST_LIST else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _id(value: Any) -> str:
    """An id as it was given; empty where it is none. A number is taken as it is written."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"id: it is {as_json(value)}, neither a text nor a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"id: it is {value}, no number")
    name = _checked("id", value if isinstance(value, str) else str(value))
    if len(name) > LONGEST_ID:
        raise ValueError(f"id: it has {len(name):,} letters; it may have {LONGEST_ID:,}")
    return name if visible(name) else ""


def _content(content: Any) -> Any:
    """A message's text; of parts those of text, one below another."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else ""
        if kind not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            raise ValueError(f"content: a part is {as_json(part)}; a brief is made of text alone")
        texts.append(part["text"])
    return "\n".join(texts)
