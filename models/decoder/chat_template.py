"""A model's chat template, rendered within bounds. Knows Jinja and turns; no tokens.

A template is a program from a stranger. It runs in Jinja's sandbox with transformers' own filters and functions, and
besides may neither loop without end nor grow text without end: steps, letters and numbers are counted. What it refuses,
a system turn or turns that do not alternate, is said in another form.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping, Sequence, Sized
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.decoder.turns import Turn, alternating, neighbours_joined, without_system
from workspace.errors import DataError, one_line

MOST_SOURCE = 200_000
_STEPS = 200_000
_WRITTEN = 400_000_000  # letters of the template itself that all its loops may write
_LETTERS = 4_000_000
_NUMBER = 1_000
_BITS = 4_096
_FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class ChatTemplate:
    """A template ready to render.

    Args:
        source: The template.
        tokens: The special tokens by name, which it may write.
        name: How the model is called in errors.

    Raises:
        DataError: It is no template, or leaves out what a user says.
    """

    def __init__(self, source: str, tokens: Mapping[str, Any], name: str) -> None:
        self.tokens, self.name = dict(tokens), name
        if len(source) > MOST_SOURCE:
            raise DataError(f"the chat template of {name} has {len(source)} letters; at most {MOST_SOURCE} are read")
        self.lock = threading.Lock()
        try:
            self.environment = _Bounded(len(source))
            self.template = self.environment.from_string(source)
        except (*_FAULTS, SyntaxError) as fault:
            raise DataError(f"the chat template of {name} cannot be read: {one_line(fault)}") from fault
        self.forms = _FORMS
        said = [{"role": "system", "content": "SYSTEM-SAYS"}, {"role": "user", "content": "USER-SAYS"}]
        try:
            taken = "SYSTEM-SAYS" in self._rendered(said)
        except SecurityError as unsafe:
            raise self._refused(unsafe) from unsafe
        except _FAULTS:
            taken = False
        if not taken:
            self.forms = _FORMS[-1:]
        if "USER-SAYS" not in self.render(said):
            raise DataError(f"the chat template of {name} leaves out what the user says")

    def render(self, turns: Sequence[Turn]) -> str:
        """The conversation up to where the assistant's answer begins, in the first form that the template takes.

        Raises:
            DataError: It takes none.
        """
        fault: Exception | None = None
        for form in self.forms:
            try:
                return self._rendered(form(turns))
            except SecurityError as unsafe:
                fault = unsafe
                break
            except _FAULTS as refused:
                fault = fault or refused
        assert fault is not None  # there is at least one form
        raise self._refused(fault) from fault

    def _refused(self, fault: Exception) -> DataError:
        return DataError(f"the chat template of {self.name} cannot render a conversation: {one_line(fault)}")

    def _rendered(self, turns: Sequence[Turn]) -> str:
        with self.lock:
            self.environment.begin()
            return self.template.render(
                messages=[dict(turn) for turn in turns],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self.tokens,
            )


_FORMS: tuple[Callable[[Sequence[Turn]], list[Turn]], ...] = (
    neighbours_joined,
    alternating,
    lambda turns: alternating(without_system(turns)),
)


class _Generation(Extension):
    """Takes ``{% generation %}``, by which training marks answers, as plain text."""

    tags = {"generation"}  # noqa: RUF012 # Jinja's own attribute

    def parse(self, parser: Any) -> list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


class _Bounded(ImmutableSandboxedEnvironment):
    """Transformers' template environment, in which steps, letters and numbers are counted."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, source: int) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, "jinja2.ext.loopcontrols"],
            finalize=self._write,
        )
        self.most_steps = min(_STEPS, _WRITTEN // max(1, source))
        self.begin()
        self.filters["tojson"] = _tojson
        self.filters = {name: self._guarded(name, one) for name, one in self.filters.items()}
        self.filters["counted"] = self._counted
        self.filters["bounded"] = self._sized
        self.globals.pop("lipsum")
        self.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}

    def begin(self) -> None:
        """Count from nothing."""
        self.steps = self.letters = 0

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = _through("counted", loop.iter)
        for parent in list(tree.find_all(nodes.Node)):
            for field, value in list(parent.iter_fields()):
                if isinstance(value, nodes.Concat):
                    setattr(parent, field, _through("bounded", value))
                elif isinstance(value, list):
                    value[:] = [_through("bounded", one) if isinstance(one, nodes.Concat) else one for one in value]
        return tree

    def _step(self, count: int = 1) -> None:
        self.steps += count
        if self.steps > self.most_steps:
            raise SecurityError(f"it takes more than {self.most_steps} steps")

    def _write(self, value: Any) -> Any:
        self._step()
        self.letters += len(value) if isinstance(value, str) else 0
        if self.letters > _LETTERS:
            raise SecurityError(f"it writes more than {_LETTERS} letters")
        return value

    @staticmethod
    def _sized(value: Any) -> Any:
        if isinstance(value, Sized) and len(value) > _LETTERS:
            raise SecurityError(f"it makes text of more than {_LETTERS} letters")
        return value

    def _counted(self, value: Any) -> Any:
        if isinstance(value, Sized):
            self._step(len(value))
            return value
        return self._one_by_one(value)

    def _one_by_one(self, value: Any) -> Any:
        for one in value:
            self._step()
            yield one

    def _guarded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def guarded(*args: Any, **more: Any) -> Any:
            given = args[1:] if hasattr(call, "jinja_pass_arg") else args
            self._check(name, given, more)
            self._step(max((len(one) for one in given if isinstance(one, Sized)), default=0) // 64)
            return self._sized(call(*args, **more))

        return guarded

    def _check(self, name: str, given: Sequence[Any], more: Mapping[str, Any]) -> None:
        self._step()
        for one in (*given, *more.values()):
            if isinstance(one, int) and abs(one) > _NUMBER and name != "safe_range" and one is not given[0]:
                raise SecurityError(f"{name} is given a number above {_NUMBER}")
        sized = [len(one) for one in (*given, *more.values()) if isinstance(one, str | list | tuple)]
        if name in ("replace", "join", "indent") and sum(sized) > 0:
            grown = sized[0] * max((size for size in sized[1:]), default=1)
            if grown > 100 * _LETTERS:
                raise SecurityError(f"{name} makes text of more than {_LETTERS} letters")
        if name == "format" and given and isinstance(given[0], str):
            _check_widths(given[0])

    def call(self, context: Any, obj: Any, *args: Any, **more: Any) -> Any:
        """Call what a template calls, counted."""
        name = getattr(obj, "__name__", "a call")
        owner = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)
        self._check(name, (owner, *args) if isinstance(owner, str) else (None, *args), more)
        return self._sized(super().call(context, obj, *args, **more))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute what could grow, if it does not grow too far."""
        self._step()
        if operator == "*" and (isinstance(left, Sized) or isinstance(right, Sized)):
            many, times = (left, right) if isinstance(left, Sized) else (right, left)
            if isinstance(times, int) and len(many) * times > _LETTERS:
                raise SecurityError(f"it makes text of more than {_LETTERS} letters")
        elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * (right if operator == "**" else 1) + right.bit_length()
            if bits > _BITS:
                raise SecurityError("it computes with numbers that are too large")
        elif operator == "%" and isinstance(left, str):
            _check_widths(left)
        return self._sized(super().call_binop(context, operator, left, right))


def _check_widths(form: str) -> None:
    digits = 0
    for letter in form:
        digits = digits + 1 if letter.isdigit() else 0
        if digits > 3 or letter == "*":
            raise SecurityError("a format asks for a width that is too large")


def _through(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
