"""Opinions as rows to train on: TRL's preferences and KTO's labels for words, pairs with their noise for pictures.

Rows of words are conversations: one message of what was asked, one of what was answered. Knows opinions; no files but
where a picture lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from studio.runs.record import folder_of
from workspace.keeping.opinions import Opinion

Json = dict[str, Any]
Way = Literal["preference", "kto", "pictures"]
WAYS: Mapping[str, str] = {
    "preference": "prompt, chosen, rejected, from votes, edits and what was made again",
    "kto": "prompt, completion, label, from thumbs",
    "pictures": "two pictures of a vote, each with its prompt, seed and noise",
}
_CHANGES = frozenset({"edit", "redirect", "retry"})


def rows_of(opinion: Opinion, way: Way, home: Path) -> list[Json]:
    """The rows that an opinion makes; none where it makes none of this kind.

    Args:
        opinion: What somebody thinks.
        way: Which rows are wanted.
        home: STUDIO_HOME, where pictures lie.
    """
    try:
        made = _MADE[way](opinion, home)
    except (KeyError, TypeError, AttributeError):  # it was entered without what a row needs
        return []
    return [] if made is None else [made]


def _said(role: str, text: Any) -> list[Json]:
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"no text of {role}")
    return [{"role": role, "content": text}]


def _preference(opinion: Opinion, home: Path) -> Json | None:
    data = opinion.data
    if opinion.kind in _CHANGES and "after" in data:
        return _pair(data["prompt"], data["after"], data["before"])
    if opinion.kind == "vote":
        chosen, rejected = data["chosen"], data["rejected"]
        if chosen["prompt"] == rejected["prompt"]:
            return _pair(chosen["prompt"], chosen["completion"], rejected["completion"])
    return None


def _pair(prompt: Any, chosen: Any, rejected: Any) -> Json | None:
    if chosen == rejected:
        return None
    return {
        "prompt": _said("user", prompt),
        "chosen": _said("assistant", chosen),
        "rejected": _said("assistant", rejected),
    }


def _kto(opinion: Opinion, home: Path) -> Json | None:
    if opinion.kind != "thumb":
        return None
    return {
        "prompt": _said("user", opinion.data["prompt"]),
        "completion": _said("assistant", opinion.data["completion"]),
        "label": opinion.value == "up",
    }


def _pictures(opinion: Opinion, home: Path) -> Json | None:
    if opinion.kind != "vote":
        return None
    chosen = opinion.data["chosen"] | {"provenance": opinion.provenance}
    less = opinion.data["rejected"]
    return {
        "chosen": _painted(chosen, opinion.run_id, home),
        "rejected": _painted(less, less["run"], home),
        "same_prompt": chosen["long_prompt"] == less["long_prompt"],
        "blind": opinion.value == "blind",
        "feedback_id": opinion.feedback_id,
    }


def _painted(data: Mapping[str, Any], run_id: str, home: Path) -> Json:
    spec, made = data["spec"], data.get("provenance") or {}
    return {
        "file": str(folder_of(home, run_id) / data["file"]),
        "sha256": data["sha256"],
        "prompt": data["prompt"],
        "long_prompt": data["long_prompt"],
        "seed": data["seed"],
        "noise": data["noise"],
        **{name: spec.get(name) for name in ("width", "height", "steps", "guidance", "true_cfg")},
        **{name: made.get(name) for name in ("model", "model_fingerprint", "adapter", "adapter_scale")},
        "run": run_id,
    }


_MADE = {"preference": _preference, "kto": _kto, "pictures": _pictures}
