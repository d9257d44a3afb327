"""Before a batch is begun: whether it can be, how many designs at a time, what it will take as far as that is known.

Knows settings, servers' lists of models, and a batch's record; makes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.batching.shapes import DATABASE, MANIFEST, BatchManifest, Counts, Fault
from studio.batching.store import open_store, read_store
from studio.runs.folder import shown
from studio.runs.preflight import check_models
from studio.runs.request import NOT_RECORDED, DesignOptions, dotted, is_connection, with_options
from workspace.errors import DataError, ServiceError, StudioError, UsageError, masked, pydantic_fault
from workspace.files import read_inside
from workspace.settings import ROLES, resolved

if TYPE_CHECKING:
    from studio.batching.shapes import Item
    from workspace.progress import Tell
    from workspace.settings import Settings

IN_FLIGHT, IN_PROCESS, MOST_IN_FLIGHT = 16, 4, 256
"""Designs at a time where servers answer: usually, and at most."""

_FREE = frozenset({"tracing.langsmith"})
"""Settings that may change between two times of a batch, beside those of servers."""


class Estimate(BaseModel):
    """What a batch will take, found without making anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    engine: str = Field(description="Who answers")
    in_flight: int = Field(description="Designs at a time")
    counts: Counts = Field(description="How the batch would stand before it goes on")
    tokens_in: int | None = Field(description="Tokens to be read, as the designs made so far have it; null: not known")
    tokens_out: int | None = Field(description="Tokens to be written, likewise")
    pictures: int | None = Field(description="Pictures to be painted, likewise")
    seconds: float | None = Field(description="How long it would go on, likewise")


def in_flight(settings: Settings, wanted: int | None, *, cluster: bool = False) -> int:
    """How many designs may be made at a time.

    A model in this process writes for several in the same passes, of which a few already keep it busy.

    Args:
        settings: The batch's.
        wanted: How many are wanted, if that is said.
        cluster: Whether they are made on a cluster.

    Raises:
        UsageError: More are wanted than may be, or every worker of a cluster would load a model.
    """
    local = sorted(role for role in ROLES if role != "critic" and not resolved(settings, role).chat.server)
    if not local:
        return wanted or IN_FLIGHT
    if cluster:
        raise UsageError(
            f"--engine ray, and {_listed(local)} in this process: every worker would load it",
            hint="set chat.server to one that all machines reach: studio serve starts one",
        )
    return wanted or IN_PROCESS


def _listed(roles: list[str]) -> str:
    return "the roles' model runs" if len(roles) == len(ROLES) - 1 else f"the model of the {roles[0]} runs"


def engine(settings: Settings, made: str = "") -> str:
    """Who answers, in words, and where designs are made if it is not here."""
    servers = {resolved(settings, role).chat.server for role in ROLES if role != "critic"}
    answers = sorted(masked(server) if server else "in this process" for server in servers)
    return ", ".join([*answers, *filter(None, [made])])


def check(settings: Settings) -> None:
    """See that every model is there, and that every server answers and has the model it is asked for.

    Raises:
        StudioError: One is not; the first fault is told.
    """
    from models.chat.servers import look

    check_models(settings)
    roles = [role for role in ROLES if role != "critic" or settings.sees]
    chats = [resolved(settings, role).chat for role in roles]
    for chat in {(chat.server, chat.model): chat for chat in chats if chat.server}.values():
        seen = look(chat)
        if seen.problem is not None:
            raise ServiceError(seen.problem, hint=seen.mend)
        if seen.lacks(chat.model):
            raise ServiceError(
                f"{seen.server} has no model {chat.model!r}; it has: {', '.join((seen.models or ())[:8]) or 'none'}"
            )


def with_models(found: Iterable[Item | Fault], settings: Settings) -> Iterator[Item | Fault]:
    """An input in which an item whose own model or adapter is not there is a fault.

    Args:
        found: The input.
        settings: The batch's.
    """
    known: dict[tuple[str | None, str | None], str] = {(None, None): ""}
    for one in found:
        if isinstance(one, Fault):
            yield one
            continue
        named = (one.options.model, one.options.adapter)
        if named not in known:
            known[named] = _wrong(DesignOptions(model=named[0], adapter=named[1]), settings)
        reason = known[named]
        yield Fault(source=one.source, line=one.line, reason=reason, id=one.id) if reason else one


def _wrong(options: DesignOptions, settings: Settings) -> str:
    """Why designs with these options cannot be made; empty where they can."""
    try:
        check(with_options(options, settings))
    except StudioError as fault:
        return str(fault)
    return ""


def manifest_of(folder: Path) -> BatchManifest | None:
    """A batch's record as it was last written; nothing where there is none yet.

    Raises:
        DataError: It cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return None
    try:
        return BatchManifest.model_validate_json(read_inside(folder, MANIFEST))
    except ValidationError as fault:
        raise DataError(
            f"{folder / MANIFEST} is no record of a batch: {pydantic_fault(fault, BatchManifest)}",
            hint="move it away; the batch goes on without it",
        ) from None


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """Settings as a batch's record holds them."""
    return shown(settings.model_dump(mode="json", exclude=NOT_RECORDED))


def check_same(before: BatchManifest | None, settings: Settings, folder: Path) -> None:
    """Refuse to go on with other settings: half of the designs would be made by them. Those of servers may change.

    Raises:
        UsageError: One is another; it is named.
    """
    if before is None:
        return
    old, new = dict(dotted(before.settings)), dict(dotted(recorded_settings(settings)))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key) and key not in _FREE and not is_connection(key):
            raise UsageError(
                f"the batch in {folder} was begun with {key} = {old.get(key)!r}, and now it is {new.get(key)!r}",
                hint="set it back, or choose another folder",
            )


def estimate(
    folder: Path,
    found: Iterable[Item | Fault],
    settings: Settings,
    wanted: int | None,
    *,
    seed: int | None,
    retry_failed: bool,
    made: str = "",
    tell: Tell,
) -> Estimate:
    """What a batch would come to; its folder is left as it is.

    Args:
        folder: The batch's, which need not be there.
        found: The input.
        settings: The batch's.
        wanted: Designs at a time, if that is said.
        seed: The batch's, if that is said.
        retry_failed: Whether what failed is tried again.
        made: Where designs are made if it is not here, in words.
        tell: Takes remarks.
    """
    before = manifest_of(folder)
    check_same(before, settings, folder)
    with TemporaryDirectory(prefix="studio-plan-") as name:
        aside = Path(name)
        if (folder / DATABASE).is_file():
            with read_store(folder) as store:
                store.read("VACUUM INTO ?", str(aside / DATABASE))
        with open_store(aside, seed) as store:
            store.fill(found, tell)
            if retry_failed:
                store.retry_failed()
            counts = store.counts()
    return Estimate(
        folder=str(folder),
        engine=engine(settings, made),
        in_flight=in_flight(settings, wanted, cluster=bool(made)),
        counts=counts,
        **_expected(counts, before),
    )


def _expected(counts: Counts, before: BatchManifest | None) -> Mapping[str, Any]:
    """What is to be made, at the rate of what was; nothing of what was not measured."""
    made = 0 if before is None else before.counts.done + before.counts.failed
    unknown: dict[str, Any] = dict.fromkeys(("tokens_in", "tokens_out", "pictures", "seconds"))
    if before is None or not made:
        return unknown
    share = counts.waiting / made
    known = {
        "tokens_in": round(before.counts.tokens_in * share),
        "tokens_out": round(before.counts.tokens_out * share),
        "pictures": round(before.counts.pictures * share),
        "seconds": round(before.seconds * share, 1),
    }
    return unknown | {name: value for name, value in known.items() if value or not counts.waiting}
