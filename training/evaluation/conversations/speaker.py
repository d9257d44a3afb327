"""A chat model and what identifies it, in this process or on a server. Knows no prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from workspace.settings import ChatSettings, RoleCall, SamplingSettings

_ONLY_LOCAL = ("top_k", "repetition_penalty", "no_repeat_ngram_size", "avoid")
"""Parts of the sampling that the protocol of servers does not have."""


@dataclass(frozen=True)
class Speaker:
    """A model that talks: its description holds its fingerprint, or its server."""

    name: str
    model: BaseChatModel
    description: Mapping[str, Any]
    sampling: SamplingSettings
    served: bool

    def not_taken(self) -> tuple[str, ...]:
        """The parts of the sampling that its server has not been told so far, because there is no way to."""
        if not self.served:
            return ()
        from models.chat import dialects
        from models.chat.remote import RemoteChat

        unset = SamplingSettings(top_k=0, repetition_penalty=1.0)
        wanted = [name for name in _ONLY_LOCAL if getattr(self.sampling, name) != getattr(unset, name)]
        spoken = dialects.known(self.model._key) if isinstance(self.model, RemoteChat) else frozenset[str]()
        return (*wanted, *sorted(name for name in spoken if name.startswith("no ")))


def open_speaker(chat: ChatSettings, sampling: SamplingSettings, home: Path, name: str = "") -> Speaker:
    """The model that settings name; weights are read at its first word.

    Args:
        chat: A catalogue id, a folder, a variant, or a server and its name for the model.
        sampling: How its tokens are drawn.
        home: STUDIO_HOME.
        name: What tables call it; the settings' name for it if not given.

    Raises:
        StudioError: It is unknown, not fetched, or of another kind.
    """
    from models.chat.choose import chat_model, describe

    call = RoleCall(chat=chat, sampling=sampling)
    own = name or (chat.model if chat.server else Path(chat.model).name)
    return Speaker(own, chat_model(call, home), describe(call, home), sampling, bool(chat.server))
