"""From a role's settings to its chat model, in this process or on a server. Knows where models lie; no roles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workspace.errors import masked
from workspace.settings import RoleCall

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def chat_model(call: RoleCall, home: Path, *, seed: int | None = None) -> BaseChatModel:
    """Return the chat model that a role talks to.

    Args:
        call: The role's model and sampling.
        home: STUDIO_HOME, where fetched models lie.
        seed: Seed of its answers; none: a new one each time.

    Raises:
        ServiceError: The model is not there; the command that fetches it is told.
    """
    if call.chat.server:
        from models.chat.remote import remote

        return remote(call, seed=seed)
    from models.catalogue.fetch import locate
    from models.chat.local import LocalChat
    from models.chat.vision import VisionChat
    from models.encoders.eyes import base_of

    folder = locate(call.chat.model, home)
    if (base := base_of(folder)) is not None:
        return VisionChat(
            folder=locate(base, home, kind="chat"),
            adapter=folder,
            dtype=call.chat.dtype,
            device=call.chat.device,
            sampling=call.sampling,
            seed=seed,
        )
    adapter = locate(call.chat.adapter, home, kind="adapter") if call.chat.adapter else None
    return LocalChat(
        folder=locate(call.chat.model, home, kind="chat"),
        adapter=adapter,
        dtype=call.chat.dtype,
        device=call.chat.device,
        sampling=call.sampling,
        seed=seed,
    )


def describe(call: RoleCall, home: Path) -> dict[str, Any]:
    """Say which model answers, for a run's manifest: its name, and its fingerprint or its server."""
    from models.catalogue.fetch import fingerprint, locate

    if call.chat.server:
        return {"model": call.chat.model, "server": masked(call.chat.server)}
    identity: dict[str, Any] = {"model": call.chat.model, "fingerprint": fingerprint(locate(call.chat.model, home))}
    if call.chat.adapter:
        identity |= {"adapter": call.chat.adapter, "adapter_fingerprint": fingerprint(locate(call.chat.adapter, home))}
    return identity
