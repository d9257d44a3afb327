"""What a person writes in a step's place, read and checked as the roles' documents are. Knows documents; runs nothing.

A document may be given in part: what is not given stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.filling.text_kinds import SHORT, weight
from workspace.errors import UsageError, pydantic_fault
from workspace.letters import visible, whole_letters

if TYPE_CHECKING:
    from studio.runs.branching.steps import RunStep
    from workspace.settings import Settings

D = TypeVar("D", bound=BaseModel)
Json = dict[str, Any]
Given = str | Mapping[str, Any]

MOST_LETTERS = 20_000
_OF_EVIDENCE = ("evidence", "status", "claimed")


def read_edit(step: RunStep, given: Given, before: Any, settings: Settings) -> Any:
    """What stands in a step's place from now on, as the ledger holds it.

    Args:
        step: The step.
        given: What a person wrote: text, or a document as plain data or JSON.
        before: What stood there; ``None`` if nothing did yet.
        settings: Those of the run that goes on from it.

    Raises:
        UsageError: Such a step cannot be edited, or what was written will not do; the field is named.
    """
    if step.edit == "text":
        return _text(given)
    if step.edit == "review":
        return _review(_plain(given), before or {})
    if step.edit == "design":
        return {"design": _design(_plain(given), (before or {}).get("design") or {}), "repairs": 0}
    if step.edit == "prompt":
        return _prompt(given, before or {}, trigger_of(settings))
    raise UsageError(f"step {step.key} cannot be edited, only made anew", hint="leave out the edit")


def trigger_of(settings: Settings) -> str | None:
    """The words that wake the adapter which a run paints with, if it has one that needs them."""
    from pipelines.pictures.adapters import find_adapter

    name = settings.painter.adapter
    return find_adapter(name, settings.home).trigger if name else None


def _text(given: Given) -> str:
    if not isinstance(given, str):
        raise UsageError("the edit of a turn is text, no document")
    text = whole_letters(given.strip())
    if not visible(text):
        raise UsageError("the edit is empty; say what the turn shall be")
    if len(text) > MOST_LETTERS:
        raise UsageError(f"the edit has {len(text)} characters; it may have {MOST_LETTERS} at most")
    return text


def _plain(given: Given) -> Json:
    """A document as plain data.

    Raises:
        UsageError: It is no JSON, or no table.
    """
    if not isinstance(given, str):
        return dict(given)
    try:
        found = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the edit is no JSON: {error}", hint='such as {"title": "A panel of nacre"}') from None
    if not isinstance(found, dict):
        raise UsageError('the edit is no document, such as {"title": "A panel of nacre"}')
    return found


def _checked(kind: type[D], data: Mapping[str, Any]) -> D:
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise UsageError(f"the edit's {pydantic_fault(error, kind)}") from None


def _review(given: Json, before: Json) -> Json:
    from agents.documents import Review

    return _checked(Review, before | given).model_dump(mode="json")


def _design(given: Json, before: Json) -> Json:
    """A design as edited: what a person changed is borne out by nothing, what is as it was keeps its evidence."""
    from agents.documents import MaterialDesign

    made = _checked(MaterialDesign, before | given).model_dump(mode="json")
    other_parts = made["components"] != before.get("components")
    for name in ("inspirations", "mechanisms", "properties"):
        held = {_bare(one): one for one in before.get(name, ())}
        made[name] = [_as_it_was(one, held.get(_bare(one)), other_parts) for one in made[name]]
    return made


def _bare(one: Any) -> str:
    """A part of a design without what bears it out."""
    plain = one if isinstance(one, Mapping) else {"text": one}
    return json.dumps({key: value for key, value in plain.items() if key not in _OF_EVIDENCE}, sort_keys=True)


def _as_it_was(one: Json, before: Any, other_parts: bool) -> Json:
    """A part with the evidence that it had; a figure that followed from other components follows from none."""
    held = before if isinstance(before, Mapping) else {}
    unsupported = {"evidence": None, "status": "assumed", "claimed": None}
    kept = {key: held.get(key, none) for key, none in unsupported.items() if key in one}
    if other_parts and kept.get("status") == "computed":
        kept["status"] = "assumed"
    return one | kept


def _prompt(given: Given, before: Json, trigger: str | None) -> Json:
    """A prompt as edited: a person's own words for the whole of it, or a document; the adapter's words stay in it."""
    from agents.documents import ImagePrompt
    from agents.roles.illustrator import reworded

    if isinstance(given, str) and not given.lstrip().startswith("{"):
        text = whole_letters(given.strip())
        if weight(visible(text)) < SHORT[0]:
            raise UsageError(f"the edit is shorter than {SHORT[0]} characters")
        if not before:
            raise UsageError("there is no prompt yet to be worded anew", hint="give all of its fields, as JSON")
        return reworded(before, text, trigger)
    made = _checked(ImagePrompt, before | _plain(given)).model_dump(mode="json")
    for name in ("short", "long"):
        if trigger and trigger not in made[name]:
            made[name] = f"{trigger} {made[name]}"
    return made
