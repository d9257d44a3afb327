"""What an evaluation is: which benchmarks, how they are put and scored, here or on a server. Asks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.evaluation.asking.question_files import FIELDS
from training.evaluation.results import Protocol
from workspace.errors import unknown
from workspace.settings import Server, Variable

Rule = Literal["plain", "pmi", "letters"]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class EvaluateConfig(BaseModel):
    """How models are evaluated."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tasks: tuple[Name, ...] = Field(
        ("sample",),
        min_length=1,
        max_length=100,
        description="Benchmarks: sample, forgetting, spider-silk, bioinspired, a hub id, a CSV, JSON or JSONL file, "
        "lm-eval's task YAML",
        json_schema_extra={"option": "--task"},
    )
    protocol: Protocol = Field("likelihood", description="By answers' likelihood, or by what the model writes")
    rule: Rule = Field(
        "plain", description="likelihood: by likelihood a byte, less that without the question (pmi), or by letter"
    )
    template: bool = Field(
        True,
        description="Put questions in the model's chat template, where it has one",
        json_schema_extra={"option": "--template/--no-template"},
    )
    limit: int | None = Field(None, ge=1, description="So many questions of each benchmark, from its beginning")
    subsets: tuple[Name, ...] = Field(
        (), description="Parts of the benchmarks, and kinds: choice, truth", json_schema_extra={"option": "--subset"}
    )
    columns: dict[str, Name] = Field(
        {},
        description="What a file's columns are called, such as question=Frage, where it is none of the usual",
        json_schema_extra={"option": "--column"},
    )
    server: Server | None = Field(None, description="OpenAI-compatible base URL; none: in this process")
    api_key_env: Variable | None = Field(None, description="Environment variable that holds the server's key")
    at_once: int = Field(16, ge=1, le=256, description="Questions that a server has at a time")
    timeout: float = Field(120, gt=0, le=3600, description="Seconds in which a server must answer")
    max_tokens: int = Field(32, ge=1, le=8192, description="written: longest answer")
    base: str | None = Field(None, min_length=1, max_length=500, description="Of a LoRA folder: the model under it")
    training: tuple[Path, ...] = Field((), description="Files that the model was trained on, to look for questions in")
    allow_contamination: bool = Field(False, description="Go on where questions were found in training rows")

    @model_validator(mode="after")
    def _fits(self) -> EvaluateConfig:
        if self.server and self.protocol == "likelihood":
            raise ValueError("a chat server tells no answers' likelihood; take protocol: written")
        if self.server and not self.template:
            raise ValueError("a chat server puts questions in its model's template; template: false is for a folder")
        if self.server and self.base:
            raise ValueError("base: is for a LoRA folder in this process, not for a server's model")
        if self.rule != "plain" and self.protocol == "written":
            raise ValueError("rule: is for protocol likelihood; what is written is read as it stands")
        if twice := next((name for name in self.tasks if self.tasks.count(name) > 1), None):
            raise ValueError(f"tasks: {twice!r} stands twice")
        for field in self.columns:
            if field not in FIELDS:
                raise ValueError(f"columns: {unknown('field', field, FIELDS)}")
        return self
