"""A model's chat template, rendered within bounds. Knows turns; no tokens.

What a template refuses, a system turn or turns that do not alternate, is said in another form. What it may do at all
stands in `models.decoder.template_bounds`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from models.decoder.template_bounds import Bounded
from models.decoder.turns import Turn, alternating, neighbours_joined, without_system
from workspace.errors import DataError, one_line

MOST_SOURCE = 200_000
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
            self.environment = Bounded(len(source))
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
