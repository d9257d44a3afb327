"""Which models a design will need, and whether they are there. Knows settings and the catalogue; loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workspace.errors import StudioError

if TYPE_CHECKING:
    from workspace.settings import Settings


@dataclass(frozen=True)
class Need:
    """One model that the settings name: what for, which, and the folder or what is wrong with it."""

    purpose: str
    model: str
    folder: Path | None
    problem: StudioError | None = None


def named_models(settings: Settings) -> list[tuple[str, str]]:
    """List every local model that the settings name as ``(purpose, model)``, each model once a purpose."""
    from models.catalogue.table import MODELS
    from workspace.settings import ROLES, resolved

    named: dict[str, str] = {}
    for role in ROLES:
        if role == "critic" and not settings.sees:
            continue
        chat = resolved(settings, role).chat
        if chat.server is None:
            named.setdefault(chat.model, "vision" if role == "critic" else "chat")
            if chat.model in MODELS and (base := MODELS[chat.model].base):
                named.setdefault(base, "chat")
            if chat.adapter:
                named.setdefault(chat.adapter, "chat adapter")
    named.setdefault(settings.painter.model, "painter")
    if settings.painter.adapter:
        named.setdefault(settings.painter.adapter, "painter adapter")
    return [(purpose, model) for model, purpose in named.items()]


def needs(settings: Settings) -> list[Need]:
    """Look for every local model that the settings name."""
    from models.catalogue.fetch import locate

    found = []
    for purpose, model in named_models(settings):
        try:
            folder = locate(model, settings.home, kind="chat" if purpose == "chat" else None)
            found.append(Need(purpose, model, folder))
        except StudioError as error:
            found.append(Need(purpose, model, None, error))
    return found


def check_models(settings: Settings) -> None:
    """Raise the first missing or broken model's error before any work is done."""
    for need in needs(settings):
        if need.problem is not None:
            raise need.problem
