"""What an opinion is about: a step, a design or a picture, with what was asked and what made it, as it was then.

An opinion keeps these, so that it can be trained on whatever becomes of the run. What was asked is the brief and what
the team had said before, in one message: words of people and models, without the roles' own instructions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.runs.record import PICTURE, folder_of
from workspace.errors import StudioError, UsageError, unknown
from workspace.files import read_inside
from workspace.ledger import Effect, Ledger, RunRow

Json = dict[str, Any]
SPOKEN = frozenset({"turn", "review", "design", "prompt", "sources", "critique"})
"""The kinds of effect that are words of a role."""
_NOT_SAID = frozenset({"picture", "answer", "question", "notice"})
MOST_LETTERS = 60_000


@dataclass(frozen=True)
class Subject:
    """What an opinion is about, as plain data, and what made it."""

    data: Json
    provenance: Json


def subject_of(home: Path, ledger: Ledger, run_id: str, about: str) -> Subject:
    """What ``about`` names in a run, as it is now.

    Args:
        home: STUDIO_HOME.
        ledger: The home's.
        run_id: The run.
        about: ``run``, ``design``, ``turn:KEY`` or ``picture:NAME``.

    Raises:
        UsageError: The run has no such thing.
        DataError: The run is damaged.
    """
    row = ledger.run(run_id)
    kind, _, name = about.partition(":")
    if kind == "picture" and name:
        return _picture(ledger, row, name)
    if kind == "turn" and name:
        return _step(home, row, [one for one in ledger.effects(run_id) if one.kind not in _NOT_SAID], name)
    if about in ("run", "design"):
        return _design(home, row, spoken(ledger.effects(run_id)))
    choices = ("run", "design", "turn:STEP", "picture:NAME")
    raise UsageError(f"nothing of a run is called {about[:100]!r}; choices: {', '.join(choices)}")


def spoken(effects: Sequence[Effect]) -> list[Effect]:
    """The effects that are words of a role."""
    return [one for one in effects if one.kind in SPOKEN and one.key.count("/") == 1]


def _step(home: Path, row: RunRow, effects: Sequence[Effect], key: str) -> Subject:
    place = next((place for place, one in enumerate(effects) if one.key == key), None)
    if place is None:
        raise UsageError(unknown("step", key[:100], [one.key for one in effects]))
    prompt = asked(row, spoken(effects[:place]))
    return Subject({"prompt": prompt, "completion": words(effects[place].value)}, _made_by(home, row, key, prompt))


def _design(home: Path, row: RunRow, effects: Sequence[Effect]) -> Subject:
    found = [one for one in effects if one.kind == "design"]
    if not found:
        raise UsageError(f"run {row.run_id} has no design yet")
    prompt = asked(row, ())
    return Subject({"prompt": prompt, "completion": words(found[-1].value)}, _made_by(home, row, found[-1].key, prompt))


def _picture(ledger: Ledger, row: RunRow, name: str) -> Subject:
    there = [one for one in ledger.artifacts(row.run_id) if one.kind == "picture" and PICTURE.fullmatch(one.path)]
    found = next((one for one in there if one.path == f"images/{name}"), None)
    if found is None:
        raise UsageError(unknown("picture", name[:100], [one.path.removeprefix("images/") for one in there]))
    spec = found.meta.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    data = {
        "file": found.path,
        "sha256": found.sha256,
        "prompt": spec.get("prompt", ""),
        "long_prompt": spec.get("long_prompt", ""),
        "seed": found.meta.get("seed"),
        "noise": noise_of(found.meta),
        "spec": spec,
    }
    names = ("model", "model_fingerprint", "adapter", "adapter_scale", "adapter_fingerprint", "studio_version")
    made = {key: spec.get(key) for key in names}
    asked_with = f"{spec.get('prompt', '')}\n{spec.get('long_prompt', '')}"
    return Subject(data, {"run": row.run_id, "run_seed": row.seed, **made, "prompt_sha256": _sha256(asked_with)})


def noise_of(meta: Mapping[str, Any]) -> Json:
    """How the noise that a picture began with is drawn again; of one painted before this was kept, its seed alone."""
    found = meta.get("noise")
    return dict(found) if isinstance(found, dict) else {"seeds": [meta.get("seed")], "shape": None, "dtype": None}


def asked(row: RunRow, before: Sequence[Effect]) -> str:
    """What a role had before it: the brief with its sources, and what the team had said.

    Args:
        row: The run's.
        before: The team's earlier steps, in order.
    """
    parts = [f"Brief: {row.brief.get('text', '')}"]
    if sources := row.brief.get("inspirations"):
        parts.append(f"Inspirations: {', '.join(map(str, sources))}")
    parts += [f"{one.key.partition('/')[0].capitalize()}: {words(one.value)}" for one in before]
    text = "\n\n".join(parts)
    return text if len(text) <= MOST_LETTERS else f"{parts[0]}\n\n[...]\n\n{text[-MOST_LETTERS:]}"


def words(value: Any) -> str:
    """A step's value as it is written: text, names, or a document as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("design"), dict):
        value = value["design"]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _made_by(home: Path, row: RunRow, key: str, prompt: str) -> Json:
    """Which model made a step, from what; its seed comes from the run's and the step's name."""
    role = key.partition("/")[0]
    settings = row.settings.get("settings") or {}
    used = _models(home, row.run_id).get(role)
    if not isinstance(used, dict):
        mine = {name: one for name, one in ((settings.get("roles") or {}).get(role) or {}).items() if one is not None}
        used = (settings.get("chat") or {}) | mine
    names = ("model", "fingerprint", "adapter", "adapter_fingerprint")
    return {
        "run": row.run_id,
        "step": key,
        "run_seed": row.seed,
        "program": (row.settings.get("program") or {}).get("name", ""),
        **{name: used[name] for name in names if used.get(name)},
        "prompt_sha256": _sha256(prompt),
    }


def _models(home: Path, run_id: str) -> Mapping[str, Any]:
    try:
        found = json.loads(read_inside(folder_of(home, run_id), "manifest.json"))["models"]
    except (StudioError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
