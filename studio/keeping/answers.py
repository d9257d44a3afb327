"""What people changed in runs, entered as opinions: prompts worded anew, rounds asked for again, steps branched from.

An answer of a person, or a branch, says what was preferred over what; each is entered once, whoever looks how often.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from studio.keeping.branches import parent_of
from studio.keeping.subjects import SPOKEN, asked, spoken, words
from workspace.errors import StudioError
from workspace.keeping.opinions import Kind
from workspace.ledger import Effect, Ledger, RunRow

AGAIN = frozenset({"repaint", "rethink"})
_KINDS: Mapping[str, Kind] = {"edited": "edit", "redirected": "redirect"}
_WISH = "redirect"
"""The kind of effect that holds what a person wished of a step that was made anew."""


def enter_answers(ledger: Ledger, run_id: str) -> None:
    """Enter what a person changed in a run, if that is not entered yet.

    Args:
        ledger: The home's, open for writing.
        run_id: The run.
    """
    row = ledger.run(run_id)
    parent = parent_of(row)
    answered = ledger.read("SELECT 1 FROM onces WHERE run_id = ? AND kind = 'answer' LIMIT 1", run_id)
    if not parent and not answered:
        return
    effects = ledger.effects(run_id)
    for place, one in enumerate(effects):
        if one.kind == "answer" and isinstance(one.value, dict):
            _answer(ledger, row, effects[:place], one)
    at = str(parent.get("at") or "")
    mine = next((place for place, one in enumerate(effects) if one.key == at), None)
    if mine is not None:
        _branch(ledger, row, parent, effects[:mine], effects[mine])


def _answer(ledger: Ledger, row: RunRow, before: list[Effect], answer: Effect) -> None:
    prompts = [place for place, one in enumerate(before) if one.kind == "prompt"]
    if not prompts:
        return
    last = before[prompts[-1]]
    given, choice = answer.value.get("prompt"), answer.value.get("choice")
    earlier = asked(row, spoken(before[: prompts[-1]]))
    provenance = {"run": row.run_id, "step": last.key, "run_seed": row.seed}
    if isinstance(given, str):
        long = last.value.get("long") if isinstance(last.value, dict) else None
        data = {"prompt": earlier, "before": str(long or words(last.value)), "after": given}
        _enter(ledger, row, f"turn:{last.key}", "edit", "", data, provenance, answer)
    elif choice in AGAIN:
        data = {"prompt": earlier, "before": words(last.value)}
        _enter(ledger, row, f"turn:{last.key}", "redirect", str(choice), data, provenance, answer)


def _branch(ledger: Ledger, row: RunRow, parent: Any, before: list[Effect], mine: Effect) -> None:
    """A step that was edited, redirected or made again in a branch: this one is preferred over the one before."""
    try:
        theirs = next((one for one in ledger.effects(str(parent["run"])) if one.key == mine.key), None)
    except StudioError:
        return
    if theirs is None or mine.kind not in SPOKEN or words(theirs.value) == words(mine.value):
        return
    kind = _KINDS.get(str(parent.get("how")), "retry")
    data = {"prompt": asked(row, spoken(before)), "before": words(theirs.value), "after": words(mine.value)}
    provenance = {"run": row.run_id, "step": mine.key, "run_seed": row.seed, "branch_of": str(parent["run"])}
    wishes = [str(one.value.get("wish", "")) for one in before if one.kind == _WISH and isinstance(one.value, dict)]
    why = wishes[-1] if wishes and kind == "redirect" else ""
    _enter(ledger, row, f"turn:{mine.key}", kind, why, data, provenance, mine)


def _enter(ledger: Ledger, row: RunRow, subject: str, kind: Kind, why: str, data: Any, made: Any, by: Effect) -> None:
    """Enter it under a name that is the same for a branch which began with the same answer."""
    name = hashlib.sha256(f"{kind}/{by.at!r}/{words(by.value)}".encode("utf-8", "replace")).hexdigest()[:16]
    value, reason = (why, "") if why in AGAIN else ("", why[:1000])
    ledger.opinions.add(
        row.run_id, subject, kind, value, reason=reason, data=data, provenance=made, name=name, at=by.at
    )
