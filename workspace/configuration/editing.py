"""A person's own settings file, edited in place: comments, order and what is not changed stay. Knows TOML's lines.

Whatever the edit made is read back and compared with what was meant, so a file in an unusual spelling is refused and
left as it is, never damaged.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workspace.errors import StorageError, UsageError, one_line
from workspace.files import publish

FILE = "studio.toml"
_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_.\"' -]+?)\s*\]\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\"'-]+)\s*=")
_MOST_BYTES = 1_000_000


def change(home: Path, changes: Mapping[str, Any]) -> Path:
    """Write changes into the home's settings file, which is made if it is not there.

    Args:
        home: STUDIO_HOME.
        changes: Plain values by dotted key; ``None`` takes a key out.

    Raises:
        UsageError: The file is no TOML, or written in a way that is not edited safely.
        StorageError: The disk refuses.
    """
    path = home / FILE
    try:
        data = path.read_bytes()[:_MOST_BYTES] if path.is_file() else b""
        text = data.decode()
    except (OSError, UnicodeDecodeError) as fault:
        raise StorageError(f"cannot read {FILE}: {one_line(fault)}") from None
    publish(path, edited(text, changes).encode())
    return path


def edited(text: str, changes: Mapping[str, Any]) -> str:
    """A settings file's text with changes made, each where its section stands.

    Raises:
        UsageError: It is no TOML, or what the edit makes is not what was meant.
    """
    try:
        meant = tomllib.loads(text)
    except ValueError as fault:
        raise UsageError(f"{FILE} is not TOML: {one_line(fault)}", hint="mend it in an editor") from None
    lines = text.splitlines()
    for key, value in changes.items():
        _set(meant, key, value)
        lines = _changed(lines, key, value)
    made = "\n".join(lines).strip("\n") + "\n"
    with suppress(ValueError):
        if _plain(tomllib.loads(made)) == _plain(meant):
            return made
    raise UsageError(f"{FILE} is written in a way that is not edited here", hint="change it in an editor")


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    inner = values
    for section in sections:
        inner = inner.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{FILE}: {section} is set both as a value and as a section")
    if value is None:
        inner.pop(name, None)
    else:
        inner[name] = value


def _plain(values: Any) -> Any:
    """Values without empty sections, lists for tuples."""
    if isinstance(values, dict):
        made = {name: _plain(value) for name, value in values.items()}
        return {name: value for name, value in made.items() if value != {}}
    return [_plain(one) for one in values] if isinstance(values, list | tuple) else values


def _changed(lines: list[str], key: str, value: Any) -> list[str]:
    section, _, name = key.rpartition(".")
    start, end = _section(lines, section)
    if start is None:
        return lines if value is None else [*lines, *([""] if lines else []), f"[{section}]", _line(name, value)]
    for place in range(start, end):
        found = _KEY.match(lines[place])
        if found and found[1].strip("\"'") == name:
            if value is None:
                return [*lines[:place], *lines[place + 1 :]]
            return [*lines[:place], _line(name, value) + _comment(lines[place]), *lines[place + 1 :]]
    if value is None:
        return lines
    while end > start and not lines[end - 1].strip():
        end -= 1
    return [*lines[:end], _line(name, value), *lines[end:]]


def _section(lines: list[str], section: str) -> tuple[int | None, int]:
    """The lines of a section behind its header, and where it ends; of the top without a header."""
    heads = [(place, _words(found[1])) for place, one in enumerate(lines) if (found := _HEADER.match(one))]
    ends = [*(place for place, _ in heads), len(lines)]
    if not section:
        return 0, ends[0]
    return next(
        ((place + 1, ends[number + 1]) for number, (place, name) in enumerate(heads) if name == section), (None, 0)
    )


def _words(header: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in header.split("."))


def _line(name: str, value: Any) -> str:
    return f"{name} = {_written(value)}"


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _comment(line: str) -> str:
    """The comment behind a value of one line, with a blank before it."""
    for place in (at for at, sign in enumerate(line) if sign == "#"):
        with suppress(ValueError):
            tomllib.loads(line[:place])
            return f"  {line[place:]}"
    return ""
