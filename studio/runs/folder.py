"""A run's folder: which files it has and what is in them. Knows the graph's final state as plain JSON; runs nothing."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.record import json_bytes
from workspace.errors import masked
from workspace.files import hashes, publish, publish_all
from workspace.letters import whole_letters

if TYPE_CHECKING:
    from workspace.ledger import Ledger, RunRow
    from workspace.settings import Settings

Json = dict[str, Any]
_OF_A_SERVER = {
    "engine", "version", "fingerprint", "models", "adapters", "weights", "in_flight", "context", "batch_invariant",
    "flags",
}  # fmt: skip
"""What a manifest holds of a server's record; the rest says where its process and its key are."""

PACKAGES = ("bio-studio", "torch", "transformers", "diffusers", "langgraph", "langchain-core", "pydantic", "llguidance")


def conversation(messages: list[Json]) -> str:
    """Write what was said as Markdown, one heading a speaker."""
    parts = ["# Conversation\n"]
    for message in messages:
        parts.append(f"## {str(message['name']).capitalize()}\n\n{str(message['content']).strip()}\n")
    return "\n".join(parts)


def write_documents(folder: Path, state: Json) -> None:
    """Publish what the state holds so far: the conversation, and the documents that exist."""
    contents: dict[str, bytes] = {
        "conversation.md": whole_letters(conversation(state.get("messages") or [])).encode(),
        "prompts.json": json_bytes(state.get("prompts") or []),
        "critiques.json": json_bytes(state.get("critiques") or []),
    }
    if state.get("design"):
        contents["design.json"] = json_bytes(state["design"])
    publish_all(folder, contents)


@cache
def versions() -> dict[str, str]:
    """The versions of what makes a design."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def shown(settings: Json) -> Json:
    """Settings as they may be handed on: without the passwords of servers' addresses."""
    return {
        key: shown(value)
        if isinstance(value, dict)
        else masked(value)
        if key == "server" and isinstance(value, str)
        else value
        for key, value in settings.items()
    }


def roles_used(settings: Settings) -> Json:
    """Which chat model answers for each role, with its fingerprint."""
    from models.chat.choose import describe
    from workspace.settings import ROLES, resolved

    roles = [role for role in ROLES if role != "critic" or settings.sees]
    return {role: describe(resolved(settings, role), settings.home) for role in roles}


def servers_used(roles: Json, home: Path) -> Json:
    """What `studio serve` says of the servers that answer for roles and that it runs here, by their addresses.

    Args:
        roles: See `roles_used`.
        home: STUDIO_HOME.
    """
    from models.serving.records import running

    asked = {(used["server"], used["model"]) for used in roles.values() if used.get("server")}
    there = running(home) if asked else []
    return {
        server: record.model_dump(mode="json", include=_OF_A_SERVER)
        for server, model in sorted(asked)
        for record in there
        if record.is_at(server) and model in record.models
    }


def painter_used(specs: list[Json]) -> Json:
    """Which painter made a run's pictures, as they say."""
    names = ("model", "model_fingerprint", "adapter", "adapter_scale", "adapter_fingerprint")
    return {"painter": {name: specs[0].get(name) for name in names}} if specs else {}


def write_manifest(
    folder: Path, row: RunRow, ledger: Ledger, roles: Json, servers: Json, state: Json, seconds: float
) -> None:
    """Publish the manifest, the last file: what was made, from what, by what, and every file's hash.

    Args:
        folder: The run's.
        row: What was asked.
        ledger: What the run did.
        roles: Which models answered, see `roles_used`.
        servers: What served them, see `servers_used`.
        state: The graph's last.
        seconds: How long it took.
    """
    pictures = [artifact for artifact in ledger.artifacts(row.run_id) if artifact.kind == "picture"]
    steps = ledger.keys(row.run_id)
    answers: list[Json] = [
        ledger.once(row.run_id, step.key, dict, kind="answer")[0] for step in steps if step.kind == "answer"
    ]
    publish(
        folder / "manifest.json",
        json_bytes(
            {
                "run_id": row.run_id,
                "status": "finished",
                "replay_of": row.settings.get("replay_of"),
                "branch": row.settings.get("branch"),
                "seed": row.seed,
                "image_seeds": [artifact.meta["seed"] for artifact in pictures],
                "rounds": state.get("round", 1),
                "best": state.get("best"),
                "repairs": state.get("repairs", 0),
                "seconds": round(seconds, 3),
                "steps": [{"key": step.key, "kind": step.kind, "seconds": round(step.seconds, 3)} for step in steps],
                "answers": answers,
                "ask": row.settings.get("ask", False),
                "choose": row.settings.get("choose", False),
                "program": row.settings["program"],
                "settings": shown(row.settings["settings"]),
                "models": roles | painter_used([artifact.meta["spec"] for artifact in pictures]),
                "servers": servers,
                "versions": versions(),
                "files": hashes(folder),
            }
        ),
    )
