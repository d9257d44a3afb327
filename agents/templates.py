"""Text templates, rendered strictly. Knows Jinja and where the prompt files lie; nothing of what they ask.

Programs are written by users, so every template runs in Jinja's sandbox. A missing variable is named with its line.
"""

from __future__ import annotations

import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.nodes import Name
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workspace.errors import one_line

PROMPTS = Path(__file__).parent / "prompts"


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without the operators and functions by which a short template takes all time or memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        raise SecurityError(f"the operator {operator!r} is not allowed")


_ENVIRONMENT = _Sandbox(
    undefined=StrictUndefined, loader=FileSystemLoader(PROMPTS), trim_blocks=True, lstrip_blocks=True
)
_ENVIRONMENT.globals.clear()
_FAULTS = (
    TemplateError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    MemoryError,
)
_BUILT_IN = frozenset({"loop", "self", "varargs", "kwargs", "caller"})


class TemplateFault(Exception):
    """A template that cannot be used: what is wrong and on which of its lines, counted from one."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)


@lru_cache(maxsize=64)
def _prompt(name: str) -> Template:
    return _ENVIRONMENT.get_template(f"{name}.j2")


def prompt(name: str, **values: Any) -> str:
    """Render the prompt file ``prompts/NAME.j2``."""
    return _prompt(name).render(values).strip()


def check(text: str, allowed: frozenset[str]) -> None:
    """Refuse a template with a syntax error or a variable that is not ``allowed``.

    Raises:
        TemplateFault: With the message and the line in the template.
    """
    try:
        tree = _ENVIRONMENT.parse(text)
        _compiled(text)
    except TemplateSyntaxError as error:
        raise TemplateFault(error.message or "is no valid template", error.lineno) from error
    except _FAULTS as error:
        raise TemplateFault(f"is no valid template: {one_line(error)}", 1) from error
    own = {name.name for name in tree.find_all(Name) if name.ctx in ("store", "param")}
    for name in tree.find_all(Name):
        if name.ctx == "load" and name.name not in allowed | own | _BUILT_IN:
            choices = ", ".join(sorted(allowed))
            raise TemplateFault(f"undefined variable {name.name!r}; choices: {choices}", name.lineno)


def fill(text: str, values: dict[str, Any]) -> str:
    """Render a template given as text.

    Raises:
        TemplateFault: With the message and the line in the template.
    """
    try:
        return _compiled(text).render(values).strip()
    except _FAULTS as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        raise TemplateFault(one_line(error), (lines or [1])[-1] or 1) from error
