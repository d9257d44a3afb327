"""Programs: a system prompt and the user turns of a conversation, as YAML files. Knows no model and no graph.

The shipped programs lie in ``agents/library``; a user's own file is read the same way. A broken file is reported with
its name and line. Templates may use ``brief``, ``inspirations``, ``first``, ``second``, ``target`` and ``known``
(facts, a line each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.documents import Brief
from agents.knowledge import facts
from agents.templates import TemplateFault, check, fill
from workspace.errors import DataError, StorageError, UsageError, first_fault, pydantic_fault, unknown
from workspace.settings import FlowSettings

DEFAULT = FlowSettings().program
LIBRARY = Path(__file__).parent / "library"
VARIABLES = frozenset({"brief", "inspirations", "first", "second", "target", "known"})
_MAX_BYTES = 100_000

Text = Annotated[str, Field(min_length=3, max_length=4000, pattern=r"\S")]


class Turn(BaseModel):
    """One thing asked of the Scientist."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str = Field(min_length=2, max_length=60, description="What people see while it is answered")
    text: Text = Field(description="What is asked, a template")


class Program(BaseModel):
    """A conversation that leads to a design."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}$", description="Lower case, digits and hyphens")
    description: str = Field(min_length=3, max_length=300, description="One line for people")
    target: str = Field(default="material microstructure", min_length=3, max_length=200)
    picture: str = Field(default="", max_length=300, description="How a picture of the target looks")
    system: Text = Field(description="The Scientist's system prompt, a template")
    turns: tuple[Turn, ...] = Field(min_length=1, max_length=12, description="What is asked, in order")


@dataclass(frozen=True)
class Script:
    """A program rendered for one brief."""

    system: str
    turns: tuple[str, ...]


def shipped() -> dict[str, Program]:
    """The programs that come with Studio, by name."""
    return {path.stem: _read(path, path.stat().st_mtime_ns) for path in sorted(LIBRARY.glob("*.yaml"))}


def load_program(name_or_path: str) -> Program:
    """Find a program by its name, or read a user's own file.

    Raises:
        UsageError: If there is no such program or file.
        DataError: If the file is broken; the message names file and line.
    """
    names = {path.stem for path in LIBRARY.glob("*.yaml")}
    if len(name_or_path) > 1000:
        raise UsageError(unknown("program", f"{name_or_path[:40]}...", names))
    if name_or_path in names:
        name_or_path = str(LIBRARY / f"{name_or_path}.yaml")
    path = Path(name_or_path)
    try:
        if path.suffix not in (".yaml", ".yml") and not path.is_file():
            raise UsageError(unknown("program", name_or_path, names), hint="or give the path of a .yaml file")
        return _read(path, path.stat().st_mtime_ns)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UsageError(f"program file {name_or_path!r} is not there") from error
    except OSError as error:
        raise StorageError(f"program file {name_or_path!r} cannot be read: {error.strerror}") from error


def render(program: Program, brief: Brief, inspirations: Sequence[str], known: Sequence[str] | None = None) -> Script:
    """Render a program's system prompt and turns for a brief.

    Args:
        program: The program.
        brief: The wish.
        inspirations: Its sources.
        known: What is known, a line each; ``None``: what the atlas says of the sources.

    Raises:
        DataError: If a template fails on these values.
    """
    values = _values(brief.text, list(inspirations), brief.target, known)
    try:
        return Script(
            system=fill(program.system, values), turns=tuple(fill(turn.text, values) for turn in program.turns)
        )
    except TemplateFault as fault:
        raise DataError(f"program {program.name!r}, template line {fault.line}: {fault.message}") from fault


def _values(brief: str, inspirations: list[str], target: str, known: Sequence[str] | None = None) -> dict[str, Any]:
    return {
        "brief": brief,
        "inspirations": inspirations,
        "first": inspirations[0],
        "second": inspirations[1] if len(inspirations) > 1 else inspirations[0],
        "target": target,
        "known": facts(inspirations) if known is None else list(known),
    }


@lru_cache(maxsize=32)
def _read(path: Path, _changed: int) -> Program:
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}:1: is larger than {_MAX_BYTES} bytes")
    return parse(path.read_bytes(), str(path))


def parse(data: bytes, source: str) -> Program:
    """Read a program from bytes; ``source`` names it in errors.

    Raises:
        DataError: For anything that is no program, with the source and the line.
    """
    node = _compose(data, source)
    try:
        program = Program.model_validate(_plain(node, source))
    except RecursionError as error:
        raise DataError(f"{source}:1: is nested too deeply") from error
    except ValidationError as error:
        line = _at(node, first_fault(error)["loc"]).start_mark.line + 1
        raise DataError(f"{source}:{line}: {pydantic_fault(error, Program)}") from error
    _check_templates(program, node, source)
    return program


def _compose(data: bytes, source: str) -> yaml.Node:
    """The YAML tree of a file, whose nodes know their lines; aliases could unfold to gigabytes and are refused."""
    try:
        text = data.decode("utf-8-sig")
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):
                raise DataError(f"{source}:{_line(event.start_mark)}: YAML aliases are not allowed")
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{source}:{line}: is not UTF-8 text") from error
    except RecursionError as error:
        raise DataError(f"{source}:1: is nested too deeply") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DataError(f"{source}:{line}: holds a character that YAML does not allow") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "is not YAML"
        raise DataError(f"{source}:{_line(mark)}: {problem}") from error
    if not isinstance(node, yaml.MappingNode):
        raise DataError(f"{source}:1: is not a table of keys and values")
    return node


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark else 1


def _plain(node: yaml.Node, source: str) -> Any:
    """The node as text, lists and tables; a key given twice is refused."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, source) for item in node.value]
    table: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise DataError(f"{source}:{line}: a key must be a word")
        if key.value in table:
            raise DataError(f"{source}:{line}: the key {key.value!r} stands twice")
        table[key.value] = _plain(value, source)
    return table


def _at(node: yaml.Node, path: Sequence[str | int]) -> yaml.Node:
    """The node that a pydantic location names, or its nearest parent."""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == part]
            if not found:
                return node
            node = found[0]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return node
    return node


def _check_templates(program: Program, node: yaml.Node, source: str) -> None:
    """Check every template's syntax and variables, then try it on a brief with one and with two inspirations."""
    templates: list[tuple[tuple[str | int, ...], str]] = [(("system",), program.system)]
    templates += [(("turns", i, "text"), turn.text) for i, turn in enumerate(program.turns)]
    for path, text in templates:
        try:
            check(text, VARIABLES)
            for inspirations in (["collagen", "leaves"], ["collagen"]):
                if not fill(text, _values("a tough panel", inspirations, program.target)):
                    raise TemplateFault("comes out empty", 1)
        except TemplateFault as fault:
            scalar = _at(node, path)
            block = isinstance(scalar, yaml.ScalarNode) and scalar.style in ("|", ">")
            line = scalar.start_mark.line + fault.line + (1 if block else 0)
            where = ".".join(str(part) for part in path)
            raise DataError(f"{source}:{line}: {where}: {fault.message}") from fault
