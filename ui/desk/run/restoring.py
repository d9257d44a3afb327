"""What of an earlier design or of a dropped picture fills the form: all, all but the seed, the prompt, the seed.

An address says it: ``from=RUN&take=remix``, or a recipe's own values. What the form has no field for, or what is not
here, is told and left out; nothing is made up in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import studio
from ui.desk.door import Door
from workspace.errors import StudioError, UsageError

MOST_BRIEF = 8000
Check = Callable[[str, str], object]
_SAID = {
    "all": "All of a design: its brief, sources and settings, and its seed is kept.",
    "remix": "A design's brief, sources and settings; the seed is drawn anew.",
    "prompt": "A picture's prompt is the brief; all else is as usual.",
    "seed": "A design's seed is kept; all else is as usual.",
}
"""What the form says of what fills it, by what was taken."""


@dataclass(frozen=True)
class Taken:
    """What fills the form.

    Attributes:
        run: The design whose brief, sources and settings fill it.
        values: What goes over that, by field; empty text clears one.
        note: What is said of it.
    """

    run: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def taken(door: Door, query: Mapping[str, str], check: Check) -> Taken:
    """What an address says shall fill the form; nothing where it says nothing of the kind.

    Args:
        door: Whose designs are known.
        query: The address's.
        check: Raises ``UsageError`` for a number that a field does not take.
    """
    if run_id := query.get("from", "").strip():
        return _of_run(door, run_id, query.get("picture", ""), query.get("take", "all"))
    return _of_recipe(door, query, check) if query.get("recipe") else Taken()


def _of_run(door: Door, run_id: str, picture: str, take: str) -> Taken:
    try:
        asked = door.asked_for(run_id)
        words = _prompt(door, run_id, picture) if take == "prompt" else ""
    except StudioError:
        return Taken(note="That design is not here any more; nothing of it fills the form.")
    said = _SAID.get(take, _SAID["all"])
    if take == "prompt":
        return Taken(values={"brief": words[:MOST_BRIEF]}, note=said)
    if take == "seed":
        return Taken(values={"seed": str(asked.seed), "keep_seed": "1"}, note=said)
    return Taken(run_id, {"seed": ""} if take == "remix" else {"keep_seed": "1"}, said)


def _prompt(door: Door, run_id: str, picture: str) -> str:
    """The words that a picture was painted from.

    Raises:
        UsageError: There is no such picture.
    """
    there = studio.find_pictures(run=run_id, count=200, settings=door.settings).pictures
    found = next((one.prompt for one in there if one.name == picture), "")
    if not found:
        raise UsageError(f"design {run_id[:100]} has no such picture")
    return found


def _of_recipe(door: Door, query: Mapping[str, str], check: Check) -> Taken:
    """What another program, or another home, wrote into a picture."""
    values = {"brief": query.get("brief", "")[:MOST_BRIEF]}
    left = []
    size = query.get("width", "")
    numbers = {"seed": query.get("seed", ""), "steps": query.get("steps", "")}
    if size and size == query.get("height", ""):
        numbers["size"] = size
    elif size:
        left.append(f"its shape of {size[:6]} x {query.get('height', '')[:6]} pixels")
    adapter = query.get("adapter", "")
    if adapter in [one.id for one in door.models() if one.kind == "adapter" and one.here]:
        values["adapter"], numbers["adapter_scale"] = adapter, query.get("adapter_scale", "")
    elif adapter:
        left.append(f"its picture style {adapter[:80]}, which is not here")
    for name, text in numbers.items():
        try:
            if text:
                check(name, text)
                values[name] = text
        except UsageError:
            left.append(f"its {name.replace('_', ' ')} of {text[:20]}, which is out of bounds here")
    if "seed" in values:
        values["keep_seed"] = "1"
    if model := query.get("model", ""):
        left.append(f"its painter {model[:80]}: the painter is chosen in the settings")
    if query.get("negative"):
        left.append("what it was not to show")
    note = "A picture's prompt is the brief" + (", and its seed is kept." if "seed" in values else ".")
    return Taken(values=values, note=note + (f" Left out: {'; '.join(left)}." if left else ""))
