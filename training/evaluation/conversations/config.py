"""What conversations and their judging can be asked for: every option once. Imports no model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from workspace.settings import SamplingSettings

DEFAULT_TOPICS = ("collagen-leaves",)
"""The study's own two materials."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConversationConfig(_Options):
    """Which conversations are had with every model. The sampling's defaults are the study's."""

    topics: tuple[str, ...] = Field(
        DEFAULT_TOPICS, min_length=1, description="Pairs of materials, as prompts/conversation.yaml names them"
    )
    repeats: int = Field(1, ge=1, le=100, description="Conversations about each topic, with other seeds")
    seed: int = Field(42, ge=0, lt=2**31, description="Of all of them; the same for every model")
    sampling: SamplingSettings = Field(SamplingSettings(), description="How tokens are drawn")


class JudgeConfig(_Options):
    """How conversations are judged."""

    layout: Literal["pairs", "alone"] = Field(
        "pairs",
        description="pairs: two conversations side by side, in both orders; alone: one, the criteria in both orders",
    )
    repeats: int = Field(2, ge=1, le=100, description="How often all is judged again, with other partners and seeds")
    attempts: int = Field(
        3, ge=1, le=20, description="Tries at an answer, each with a new seed, before it is a failure"
    )
    remarks: bool = Field(
        True,
        description="Also strengths, weaknesses and observations of a conversation a topic",
        json_schema_extra={"option": "--remarks/--no-remarks"},
    )
    seed: int = Field(42, ge=0, lt=2**31, description="Of orders, partners and the judges' sampling")
    workers: int = Field(4, ge=1, le=256, description="Questions put to a served judge at once")
    sampling: SamplingSettings = Field(
        SamplingSettings(temperature=0.3, repetition_penalty=1.0, max_tokens=2048),
        description="Of the judges",
        json_schema_extra={"hidden": True},
    )
    labels: Path | None = Field(
        None, description="People's scores, CSV or JSONL: conversation (fingerprint), criterion, score"
    )
