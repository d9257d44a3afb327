"""What the distil stage can be asked for: every option once, and the list of kinds. Imports no model and no prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from workspace.errors import unknown

if TYPE_CHECKING:
    from workspace.settings import ChatSettings, RoleCall, SamplingSettings

Kind = Literal[
    "title", "summary", "insights", "facts", "details", "comparisons", "open", "choice", "truth", "reasoning",
    "conversation", "preference", "style",
]  # fmt: skip
"""What can be distilled; `training.distil.documents.KINDS` holds what each is, ``prompts/KIND.j2`` how it is asked."""

KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "style")
"""What is distilled unless something else is asked for."""

LONGEST = 2048
"""Tokens of a document, at least so many that each kind has room."""


def _address(server: str) -> str:
    if server != "none" and not server.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return server


class DistilConfig(BaseModel):
    """What is distilled, what of it is kept, and which model writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="Model that writes: a catalogue id, a folder, or the server's name for it",
    )
    server: Annotated[str, AfterValidator(_address)] | None = Field(
        None, max_length=500, description="OpenAI-compatible base URL of the model; none: in process"
    )
    adapter: str | None = Field(None, min_length=1, max_length=500, description="LoRA adapter of the model")
    kinds: tuple[Kind, ...] = Field(
        USUAL, min_length=1, description=f"What to distil, by commas: {', '.join(KINDS)}; all but style if not given"
    )
    limit: int | None = Field(None, ge=1, description="Passages, from the first")
    seed: int = Field(42, ge=0, lt=2**31, description="Of the model's writing and of the order of options")
    near: float = Field(0.7, gt=0, le=1, description="Likeness from which questions are the same; 1: exact ones")
    grounding: float = Field(0.4, ge=0, le=1, description="Least share of content words that stand in the passage")
    benchmarks: tuple[Path, ...] = Field(
        (), description="Evaluation set whose words may not be in a row", json_schema_extra={"option": "--benchmark"}
    )
    workers: int = Field(8, ge=1, le=256, description="Passages asked for at once, of a served model")
    retry: bool = Field(False, description="Ask again for what could not be written")

    @field_validator("kinds", mode="before")
    @classmethod
    def _listed(cls, kinds: Any) -> Any:
        """Kinds by commas too, in the table's order; one that there is not with the nearest."""
        if not isinstance(kinds, str | list | tuple) or not all(isinstance(one, str) for one in kinds):
            return kinds
        parts = [one.strip() for part in ([kinds] if isinstance(kinds, str) else kinds) for one in part.split(",")]
        wanted = [one for one in parts if one]
        strange = [one for one in wanted if one not in KINDS]
        if strange:
            raise ValueError(unknown("kind", strange[0], KINDS))
        return tuple(one for one in KINDS if one in wanted)

    def call(self, chat: ChatSettings, sampling: SamplingSettings) -> RoleCall:
        """How the model that writes is called.

        Args:
            chat: What holds where nothing else is asked for; its adapter, which writes designs, is left out.
            sampling: How the model's tokens are drawn; its longest answer is raised to `LONGEST`.

        Raises:
            ValidationError: The model, the server or the adapter is not as the settings take it.
        """
        from workspace.layers import origin
        from workspace.settings import ChatSettings, RoleCall

        given = {"model": self.model, "server": self.server, "adapter": self.adapter or "none"}
        wanted = chat.model_dump() | {key: value for key, value in given.items() if value is not None}
        if chat.server and origin(wanted["server"]) != origin(chat.server):
            wanted["api_key_env"] = None  # a key belongs to one server
        longest = max(LONGEST, sampling.max_tokens)
        return RoleCall(
            chat=ChatSettings.model_validate(wanted), sampling=sampling.model_copy(update={"max_tokens": longest})
        )
