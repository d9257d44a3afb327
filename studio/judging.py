"""Conversations and their judges as the front door offers them. Knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, job
from training.evaluation.conversations.config import DEFAULT_TOPICS, JudgeConfig
from workspace.errors import UsageError
from workspace.options import checked
from workspace.progress import waiting
from workspace.settings import Server, Variable

if TYPE_CHECKING:
    from training.evaluation.conversations.shapes import Conversation, Judgements
    from workspace.settings import ChatSettings

Models = Sequence[str]


class JudgeCall(JudgeConfig, Call):
    """How conversations are had and judged."""

    judges: tuple[str, ...] = Field(
        (), description="Chat model that judges; several for agreement", json_schema_extra={"option": "--judge"}
    )
    judge_server: Server | None = Field(None, description="OpenAI-compatible base URL of the judges; none: in process")
    server: Server | None = Field(None, description="OpenAI-compatible base URL of the models; none: in process")
    api_key_env: Variable | None = Field(None, description="Environment variable that holds the servers' key")
    topics: tuple[str, ...] = Field(
        DEFAULT_TOPICS, description="Pairs of materials to talk about", json_schema_extra={"option": "--topic"}
    )
    conversations: int = Field(1, ge=1, le=100, description="Conversations about each topic, with other seeds")
    max_tokens: int = Field(1024, ge=16, le=16_384, description="Longest turn of a conversation")


class JudgedModel(BaseModel):
    """A model's conversations, measured, and judged where there is a judge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    conversations: tuple[str, ...] = Field(description="Files")
    valid_json: float = Field(description="Share whose last answer is one JSON object")
    total: float | None = Field(None, description="Of 40, mean over judges and repeats")
    total_corrected: tuple[float, float, float] | None = Field(
        None, description="The same by people's labels, where these allow it: value, lower and upper end"
    )


class Judged(BaseModel):
    """What was had and judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[JudgedModel, ...]
    failures: int = Field(description="Verdicts that no judge gave; they are no numbers")
    file: str | None = Field(None, description="All verdicts, for `studio train report --judged`")


def _chat(model: str, server: str | None, options: JudgeCall) -> ChatSettings:
    from workspace.settings import ChatSettings

    own = options.using.chat.model_dump()
    given = {"model": model, "server": server, "adapter": None, "api_key_env": options.api_key_env if server else None}
    return checked(ChatSettings, own | given)


def _judging(models: Models, options: JudgeCall) -> None:
    """Look for the models, the judges and the topics."""
    from models.catalogue.fetch import locate
    from training.evaluation.conversations import prompts
    from training.evaluation.conversations.calibration import read_labels

    for topic in options.topics:
        prompts.conversation(topic)
    names = [Path(model).name for model in models]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two models are called {twice}: tables could not tell them apart")
    if options.judges and options.layout == "pairs" and len(names) * options.conversations < 2:
        raise UsageError("pairs of conversations are judged, and there is one; --layout alone judges it by itself")
    if options.judge_server and not options.judges:
        raise UsageError("--judge-server is for judges, and none is named: --judge NAME")
    if options.api_key_env and options.server and options.judge_server and options.server != options.judge_server:
        raise UsageError("--api-key-env would go to two servers; have the conversations first, and judge them then")
    if options.labels:
        read_labels(options.labels)
    for model in models if options.server is None else ():
        locate(model, options.home, kind="chat")
    for model in options.judges if options.judge_server is None else ():
        locate(model, options.home, kind="chat")


@job(JudgeCall, check=_judging)
def train_judge(models: Models, options: JudgeCall) -> Judged:
    """Have the study's fixed conversations with models, and let judges score them without knowing whose they are.

    The same call goes on where it was stopped. Without a judge conversations are had and measured alone.

    Args:
        models: Names or folders; with a server the names that it knows.
        options: See `training.evaluation.conversations.config.JudgeConfig`.
    """
    with waiting("loading the libraries of the conversations"):
        from training.evaluation.conversations.config import ConversationConfig
        from training.evaluation.conversations.hold import hold
        from training.evaluation.conversations.judge import judge
        from workspace.files import publish
    talk = ConversationConfig(topics=options.topics, repeats=options.conversations, seed=options.seed)
    talk = talk.model_copy(update={"sampling": talk.sampling.model_copy(update={"max_tokens": options.max_tokens})})
    held: list[Conversation] = []
    for model in models:
        held += hold(_chat(model, options.server, options), talk, options.home, options.tell)
    judgements, file = None, None
    if options.judges:
        judges = [_chat(name, options.judge_server, options) for name in options.judges]
        judgements = judge(held, judges, _judge_config(options), options.home, options.tell)
        file = options.home / "judgements" / f"{_name_of(held, options)}.json"
        publish(file, judgements.model_dump_json(indent=1) + "\n")
    return _judged(held, judgements, file, options.home)


def _judge_config(options: JudgeCall) -> JudgeConfig:
    return JudgeConfig(**{name: getattr(options, name) for name in JudgeConfig.model_fields})


def _name_of(held: Sequence[Conversation], options: JudgeCall) -> str:
    from training.evaluation.conversations.shapes import digest

    how = _judge_config(options).model_dump(mode="json")
    return f"judged-{digest([[one.fingerprint for one in held], list(options.judges), options.judge_server, how])}"


def _judged(held: Sequence[Conversation], judgements: Judgements | None, file: Path | None, home: Path) -> Judged:
    from training.evaluation.conversations.automatic import measure
    from training.evaluation.conversations.calibration import TOTAL
    from training.evaluation.conversations.kept import conversation_path
    from training.evaluation.conversations.scores import score
    from training.evaluation.conversations.shapes import Failure

    scored = {} if judgements is None else {one.model: one for one in score(judgements).rows}
    rows = []
    for name in dict.fromkeys(one.model for one in held):
        own = [one for one in held if one.model == name]
        rows.append(
            JudgedModel(
                model=name,
                conversations=tuple(str(conversation_path(home, one.topic, one.fingerprint)) for one in own),
                valid_json=sum(measure(one).valid_json for one in own) / len(own),
                total=scored[name].total.value if name in scored else None,
                total_corrected=scored[name].corrected.get(TOTAL) if name in scored else None,
            )
        )
    failures = 0 if judgements is None else sum(isinstance(row, Failure) for row in judgements.rows)
    return Judged(models=tuple(rows), failures=failures, file=None if file is None else str(file))
