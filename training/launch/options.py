"""What a recipe's run can be asked for: every option once, and the list of launchers. Imports nothing that trains."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Launcher = Literal["none", "accelerate", "ray"]


class RunOptions(BaseModel):
    """How a recipe is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: bool = Field(False, description="Print arguments, memory and time; train nothing")
    launch: Launcher = Field("none", description="Who starts the processes; none: this one trains")
    config: str | None = Field(
        None,
        min_length=1,
        description="accelerate's configuration: ddp (if not given), fsdp2, zero3, multi-node, or a file",
    )
    processes: int | None = Field(
        None, ge=1, le=100_000, description="How many, on all machines; the configuration's number if not given"
    )

    @model_validator(mode="after")
    def _launched(self) -> RunOptions:
        if self.launch == "none" and (self.config is not None or self.processes is not None):
            raise ValueError("a config and a number of processes need a launcher: --launch accelerate, or ray")
        return self
