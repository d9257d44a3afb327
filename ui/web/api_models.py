"""What the API takes and gives, as pydantic models: options are those of the verbs' own classes, by name and bounds."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

import studio
from studio import Critique, MaterialDesign, Progress
from studio.runs.request import DesignOptions
from studio.sharing.exporting import Format
from studio.verb import named

if TYPE_CHECKING:
    from studio import Design, JobSummary

T = TypeVar("T")
Formats = Format


def _by_name(value: T) -> T:
    """A thing by its name; a path of the serving machine is none."""
    if isinstance(value, str) and (value.startswith((".", "~")) or set("/\\") & set(value) or value.endswith(".toml")):
        raise ValueError("name it; a path is not taken here")
    return value


def derived(kind: type[BaseModel], name: str, about: str, *, by_name: Collection[str] = (), **more: Any) -> Any:
    """A model with the options of a verb's class.

    Args:
        kind: The class.
        name: What the model is called.
        about: What it says of itself.
        by_name: Options that may not be paths.
        more: Further fields, as `pydantic.create_model` takes them; they go first.
    """
    fields: dict[str, Any] = dict(more)
    for option in named(kind):
        info = kind.model_fields[option]
        wanted = info.annotation
        fields[option] = (Annotated[wanted, AfterValidator(_by_name)] if option in by_name else wanted, info)
    return create_model(name, __config__=ConfigDict(extra="forbid", frozen=True), __doc__=about, **fields)


_BRIEF = (str, Field(min_length=3, max_length=8000, description="The wish, in plain words"))

if TYPE_CHECKING:
    NewDesign = DesignOptions
    Answer = BaseModel
else:
    NewDesign = derived(
        DesignOptions,
        "NewDesign",
        "What is to be designed.",
        by_name=("program", "model", "adapter", "profile"),
        brief=_BRIEF,
    )
    Answer = derived(studio.resume.kind, "Answer", "What a person says to the question that a run waits with.")


class Fault(BaseModel):
    """What was wrong, in one line."""

    error: str
    at: str = Field("", description="The field that is wrong, if one is")


class Listed(BaseModel):
    """A design in a list."""

    run_id: str
    status: str
    brief: str
    created: float = Field(description="Unix seconds")
    message: str = ""


class Listing(BaseModel):
    """Designs, newest first."""

    designs: list[Listed]


class State(BaseModel):
    """How a design stands."""

    run_id: str
    state: Literal["queued", "running", "waiting", "finished", "failed", "interrupted"] | str
    message: str
    before: int | None = Field(description="How many queued jobs go first")
    attempts: int
    created: float = Field(description="Unix seconds")
    updated: float = Field(description="Unix seconds")
    progress: Progress | None = Field(None, description="How far it is, while it is at work")

    @classmethod
    def of(cls, job: JobSummary, progress: Progress | None = None) -> State:
        """From how a job stands."""
        names = ("state", "message", "before", "attempts", "created", "updated")
        return cls(run_id=job.job_id, progress=progress, **{name: getattr(job, name) for name in names})


class Picture(BaseModel):
    """A picture of a design."""

    name: str
    address: str = Field(description="Where its PNG is")
    seed: int
    round: int
    best: bool
    sha256: str
    pixels_sha256: str


class Result(BaseModel):
    """What a design came to, as far as it is."""

    run_id: str
    status: str
    seed: int
    design: MaterialDesign | None
    prompt: dict[str, Any] | None
    pictures: list[Picture]
    critiques: list[Critique]
    rounds: int
    seconds: float
    message: str
    question: dict[str, Any] | None = Field(description="What it waits with, while it waits")

    @classmethod
    def of(cls, run: Design, at: str) -> Result:
        """From a run; where files lie on the serving machine is left out.

        Args:
            run: The run.
            at: The address of its pictures.
        """
        told = cast("dict[str, Any]", _without_files(run.to_json()))
        names = (
            "run_id",
            "status",
            "seed",
            "design",
            "prompt",
            "critiques",
            "rounds",
            "seconds",
            "message",
            "question",
        )
        pictures = [
            Picture(
                name=one.path.name,
                address=f"{at}/{one.path.name}",
                seed=one.seed,
                round=one.round,
                best=one.index == run.best,
                sha256=one.sha256,
                pixels_sha256=one.pixels_sha256,
            )
            for one in run.images
        ]
        return cls(pictures=pictures, **{name: told[name] for name in names})


class Stopped(BaseModel):
    """What became of a wish to stop."""

    stopped: bool = Field(description="Whether there was anything to stop")


def _without_files(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: "" if key == "file" and isinstance(one, str) else _without_files(one) for key, one in data.items()}
    return [_without_files(one) for one in data] if isinstance(data, list) else data
