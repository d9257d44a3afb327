"""What a chat template may do: Jinja in a sandbox in which steps, letters and numbers are counted.

A template is a program from a stranger. It runs with transformers' own filters and functions, and besides may neither
loop without end nor make more text or data than a conversation is long: whatever is taken by a filter, a test, a call,
an operator or the output is weighed before, with all that is in it as often as it is in it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

_STEPS = 200_000
_WRITTEN = 400_000_000  # letters of the template itself that all its loops may write
_LETTERS = 4_000_000
_TAKEN = 200_000_000  # letters that all filters, tests, calls and operators may take
_AN_ITEM = 16  # letters: what an item of a list weighs itself
_NUMBER = 1_000
_BITS = 4_096
_UNTAKEN = frozenset({"xmlattr", "pprint", "striptags", "urlize", "wordwrap"})
"""Filters that no conversation needs, and that take far longer than their text is long."""

_UNCALLED = frozenset({"translate", "expandtabs"})
_SHALLOW = frozenset({"length", "count", "first", "last", "default", "d", "attr"})
_COMPARING = frozenset(
    {"!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lt", "ne"}
)


class _Generation(Extension):
    """Takes ``{% generation %}``, by which training marks answers, as plain text."""

    tags = {"generation"}  # noqa: RUF012 # Jinja's own attribute

    def parse(self, parser: Any) -> list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


class Bounded(ImmutableSandboxedEnvironment):
    """Transformers' template environment, in which steps, letters and numbers are counted.

    Args:
        source: Letters of the template.
    """

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
        self.filters = {name: self._guarded(name, one) for name, one in self.filters.items() if name not in _UNTAKEN}
        self.filters["counted"] = self._counted
        self.filters["bounded"] = self._weighed
        tests: Mapping[str, Any] = self.tests
        self.tests = {name: self._guarded(name, one) if name in _COMPARING else one for name, one in tests.items()}
        self.globals.pop("lipsum")
        self.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}

    def begin(self) -> None:
        """Count from nothing."""
        self.steps = self.letters = self.taken = 0

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for one in list(tree.find_all(nodes.Node)):
            if isinstance(one, nodes.For):
                one.iter = _through("counted", one.iter)
            elif isinstance(one, nodes.Concat):
                one.nodes = [_through("bounded", part) for part in one.nodes]
            elif isinstance(one, nodes.Compare):
                one.expr = _through("bounded", one.expr)
                for operand in one.ops:
                    operand.expr = _through("bounded", operand.expr)
            elif isinstance(one, nodes.Getitem) and isinstance(one.arg, nodes.Slice):
                one.node = _through("counted", one.node)
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
        self.letters += len(value) if isinstance(value, str) else self._take(value)
        if self.letters > _LETTERS:
            raise SecurityError(f"it writes more than {_LETTERS} letters")
        return value

    def _take(self, *values: Any) -> int:
        """The letters in some values, of which no more than so many may be taken at once, and in all."""
        weight = _weight(values)
        self.taken += weight
        if self.taken > _TAKEN:
            raise SecurityError(f"it takes more than {_TAKEN} letters")
        return weight

    def _weighed(self, value: Any) -> Any:
        self._take(value)
        return value

    def _counted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._weighed(value)
        if isinstance(value, Collection):
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
            if name in _SHALLOW:
                self._step()
                return call(*args, **more)
            self._check(name, args[1:] if hasattr(call, "jinja_pass_arg") else args, more)
            return self._weighed(call(*args, **more))

        return guarded

    def _check(self, name: str, given: Sequence[Any], more: Mapping[str, Any]) -> None:
        """See that what a filter or call is given is not too much, and that what it makes will not be."""
        self._step()
        for one in (*given, *more.values()):
            if isinstance(one, int) and abs(one) > _NUMBER and name != "safe_range" and one is not given[0]:
                raise SecurityError(f"{name} is given a number above {_NUMBER}")
        self._take(*given, *more.values())
        first, rest = given[0] if given else None, (*given[1:], *more.values())
        if name in ("format", "format_map") and isinstance(first, str):
            _check_form(first, _weight(rest))
        elif name == "join":
            _check_joined(first, rest)
        elif name in ("replace", "indent") and isinstance(first, str):
            _check_grown(name, first, rest)
        elif name == "sum" and not all(one is None or isinstance(one, int | float | str) for one in rest):
            raise SecurityError("sum begins with what is no number")

    def call(self, context: Any, obj: Any, *args: Any, **more: Any) -> Any:
        """Call what a template calls, counted."""
        name = getattr(obj, "__name__", "a call")
        owner = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)
        if isinstance(owner, str) and name in _UNCALLED:
            raise SecurityError(f"it calls {name}")
        self._check(name, (owner if isinstance(owner, Collection) else None, *args), more)
        return self._weighed(super().call(context, obj, *args, **more))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute what could grow, if it does not grow too far."""
        self._step()
        weight = self._take(left, right)
        if operator == "*" and (isinstance(left, Collection) or isinstance(right, Collection)):
            times = right if isinstance(left, Collection) else left
            if isinstance(times, int) and weight * times > _LETTERS:
                raise SecurityError(f"it makes text of more than {_LETTERS} letters")
        elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * (right if operator == "**" else 1) + right.bit_length()
            if bits > _BITS:
                raise SecurityError("it computes with numbers that are too large")
        elif operator == "%" and isinstance(left, str):
            _check_form(left, _weight((right,)))
        return self._weighed(super().call_binop(context, operator, left, right))


def _weight(values: Sequence[Any]) -> int:
    """The letters in some values and in all that is in them, each as often as it is there.

    Raises:
        SecurityError: There are too many.
    """
    weight, left = 0, list(values)
    while left:
        one = left.pop()
        weight += _AN_ITEM
        if isinstance(one, str | bytes):
            weight += len(one)
        elif isinstance(one, range):
            weight += _AN_ITEM * len(one)
        elif isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, Collection):
            left += one
        elif isinstance(one, Namespace):
            left.append(object.__getattribute__(one, "_Namespace__attrs"))
        if weight + _AN_ITEM * len(left) > _LETTERS + _AN_ITEM * (len(values) + 1):
            raise SecurityError(f"it makes text of more than {_LETTERS} letters")
    return weight


def _check_joined(first: Any, rest: Sequence[Any]) -> None:
    """See that what a join puts between parts, as often as it does, is not too much; parts yet to come may be many."""
    lists = [len(one) for one in (first, *rest) if isinstance(one, Collection) and not isinstance(one, str)]
    marks = [len(one) for one in (first, *rest) if isinstance(one, str)]
    if not lists:
        lists, marks = ([marks[0]], marks[1:]) if isinstance(first, str) else ([_STEPS], marks)
    if max(lists) * max(marks, default=0) > _LETTERS:
        raise SecurityError(f"join makes text of more than {_LETTERS} letters")


def _check_grown(name: str, text: str, rest: Sequence[Any]) -> None:
    """See that a replacement or an indent, as often as there is a place for it, is not too much."""
    words = [one for one in rest if isinstance(one, str)]
    places = max((text.count(old) for old in (words if name == "replace" else ["\n"])), default=0)
    longest = max((len(one) if isinstance(one, str) else one for one in rest if isinstance(one, str | int)), default=4)
    if places * longest > _LETTERS:
        raise SecurityError(f"{name} makes text of more than {_LETTERS} letters")


def _check_form(form: str, weight: int) -> None:
    """See that a format asks for no great width, takes none from what it is given, and does not repeat too much."""
    digits = 0
    for letter in form:
        digits = digits + 1 if letter.isdigit() else 0
        if digits > 3 or letter == "*":
            raise SecurityError("a format asks for a width that is too large")
    if re.search(r"\{[^{}]*\{", form.replace("{{", "").replace("}}", "")):
        raise SecurityError("a format takes a width from what it is given")
    if (form.count("%") + form.count("{")) * (weight + _NUMBER) > _LETTERS:
        raise SecurityError(f"a format makes text of more than {_LETTERS} letters")


def _through(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    writer = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    parts, letters = [], 0
    for part in writer.iterencode(value):
        parts.append(part)
        letters += len(part)
        if letters > _LETTERS:
            raise SecurityError(f"tojson makes text of more than {_LETTERS} letters")
    return "".join(parts)
