"""What processes that train say to the one that started them: events of progress, and how they ended."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from training.language.results import RecipeResult
from workspace import errors
from workspace.errors import StudioError, one_line, pydantic_fault
from workspace.progress import Progress, Tell

_LONGEST = 500  # letters of a fault


class Made(BaseModel):
    """A process is done with the recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["made"] = "made"
    result: RecipeResult


class Failed(BaseModel):
    """A process stopped at a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["failed"] = "failed"
    kind: str = Field(description="The fault's class")
    message: str
    hint: str | None = None
    process: int = Field(description="The process' number")


Message = Annotated[Progress | Made | Failed, Field(discriminator="type")]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def failure(kind: type[BaseException], fault: BaseException | None) -> Failed:
    """A fault of this process as a message."""
    words = getattr(fault, "message", None) or (kind.__name__ if fault is None else fault)
    hint = getattr(fault, "hint", None)
    process = int(os.environ.get("RANK", "0"))
    return Failed(kind=kind.__name__, message=one_line(words, _LONGEST), hint=hint, process=process)


def listen(lines: Iterable[str], tell: Tell) -> Made | Failed | None:
    """Pass on events as they come, to the last; return how the processes ended, the first fault before all else.

    Raises:
        StudioError: A line is no message.
    """
    end: Made | Failed | None = None
    for line in lines:
        try:
            message = MESSAGE.validate_json(line)
        except ValidationError as fault:
            raise StudioError(f"a training process sent what is no message: {pydantic_fault(fault)}") from None
        if isinstance(message, Failed):  # the first to fail is why the others do
            end = end if isinstance(end, Failed) else message
        elif isinstance(message, Made):
            end = end or message
        else:
            tell(message)
    return end


def raised(failed: Failed, log: str) -> StudioError:
    """The fault that a process met, to be raised here; one that is not Studio's own names the log."""
    kind = getattr(errors, failed.kind, None)
    if isinstance(kind, type) and issubclass(kind, StudioError):
        return kind(failed.message, hint=failed.hint)
    return StudioError(f"process {failed.process} failed: {failed.kind}: {failed.message}", hint=f"see {log}")
