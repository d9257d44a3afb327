"""What a call of the page has to look like; Gradio would answer another with a server's fault."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workspace.letters import whole_data

POSTS = re.compile(r"(?:/gradio_api)?/(?:(?:run|api|call)/(?P<name>[^/]*)/?|queue/join/?|reset/?|cancel/?)$")
_NOTHING = (type(None),)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "textbox": (str, *_NOTHING),
    "number": (int, float, *_NOTHING),
    "dropdown": (str, *_NOTHING),
    "json": (dict, *_NOTHING),
}


@dataclass(frozen=True)
class _Input:
    """One value that a function takes: of which component, and what may be chosen."""

    kind: str
    choices: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        if self.choices and value is not None:
            return value in self.choices
        return isinstance(value, _KINDS.get(self.kind, (object,))) and not (
            self.kind == "number" and isinstance(value, bool)
        )


class Calls:
    """The functions of a page and what they take.

    Args:
        config: Gradio's description of the page.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        parts = {one["id"]: _input(one) for one in config["components"]}
        self._takes = {one["id"]: [parts[each] for each in one["inputs"]] for one in config["dependencies"]}
        self._named = {one["api_name"]: one["id"] for one in config["dependencies"]}

    def fault(self, path: str, body: bytes) -> tuple[int, str] | None:
        """Say what is wrong with a call: the status and a line; ``None`` for one that is well formed.

        Args:
            path: The route that is asked, one of `POSTS`.
            body: What was sent.
        """
        try:
            call = json.loads(body, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            return 400, "a call is one JSON object"
        if not isinstance(call, dict):
            return 400, "a call is one JSON object"
        found = POSTS.match(path)
        plain = found is None or "reset" in path or "cancel" in path
        around = {key: value for key, value in call.items() if plain or key != "data"}
        if whole_data(around) != around:
            return 400, "a call is one JSON object of whole letters"
        if call.get("session_hash") == "":
            return 422, "session_hash is empty"
        return None if found is None or plain else self._wrong(call, found["name"])

    def _wrong(self, call: dict[str, Any], name: str | None) -> tuple[int, str] | None:
        number = self._named.get(name) if name not in (None, "predict") else call.get("fn_index")
        if isinstance(number, bool) or not isinstance(number, int) or number not in self._takes:
            return 404, "the page has no such function"
        if call.get("fn_index") not in (None, number):
            return 422, "fn_index names another function than the address"
        data, takes = call.get("data"), self._takes[number]
        if not isinstance(data, list) or len(data) != len(takes):
            return 422, f"data is a list of {len(takes)} values"
        for place, (value, one) in enumerate(zip(data, takes, strict=True), 1):
            if not one.takes(value):
                return 422, f"value {place} of data is none that a {one.kind} has"
        return None


def _input(component: Mapping[str, Any]) -> _Input:
    choices: Sequence[Any] = component["props"].get("choices") or ()
    return _Input(
        component["type"], tuple(choice[1] if isinstance(choice, list | tuple) else choice for choice in choices)
    )


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number
