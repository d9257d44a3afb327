"""Batches as the front door offers them: files of briefs into a folder of designs. Knows no terminal.

The input is read into the folder's store by whoever asks; what waits there is made in a job of the queue.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studio.queue.watch import watch
from studio.runs.request import SEED_LIMIT, DesignOptions
from studio.verb import Call, Job
from workspace.errors import DataError, Interrupted, StudioError, Unfinished
from workspace.progress import Remark, Tell, say, waiting

if TYPE_CHECKING:
    from studio.batching.drive import Limits
    from studio.batching.one import Workshop
    from studio.batching.plan import Estimate
    from studio.batching.results import Failure, Reason, Result
    from studio.batching.shapes import BatchManifest, Counts, Fault, Item
    from studio.batching.store import BatchStore
    from workspace.ledger import Ledger

P = ParamSpec("P")
Sources = str | Path | Sequence[str | Path]

AGAIN = "the same command goes on"
_TOLD_LINES = 10


class BatchCall(DesignOptions, Call):
    """The options of a batch; those of a design hold for the items that do not say otherwise."""

    seed: int | None = Field(
        None, ge=0, le=SEED_LIMIT - 1, description="Seeds of items that give none come from it; drawn if not given"
    )
    ask: Literal[False] = Field(False, json_schema_extra={"hidden": True})
    choose: Literal[False] = Field(False, json_schema_extra={"hidden": True})
    out: Path = Field(description="Folder of the batch; the same one goes on with it")
    in_flight: int | None = Field(None, ge=1, le=256, description="Designs at a time; 16 with a server, else 4")
    engine: Literal["auto", "ray"] = Field(
        "auto", description="Who makes designs; auto: threads here, models as the settings say; ray: a Ray cluster"
    )
    address: str | None = Field(
        None, description="The Ray cluster: HOST:PORT, or auto; RAY_ADDRESS if not given, else a Ray started here"
    )
    workers: int | None = Field(
        None, ge=1, le=1024, description="Processes that make designs on Ray; one for every 8 in flight if not given"
    )
    painters: int | None = Field(
        None, ge=1, le=1024, description="Processes that paint on Ray; one for every GPU if not given, else 1"
    )
    deadline: float | None = Field(None, gt=0, le=86_400, description="Seconds that one design may take at a time")
    stop_after: int | None = Field(None, ge=1, description="Begin so many items this time, and leave the rest")
    max_failures: int | None = Field(None, ge=1, description="Begin no more when so many have failed this time")
    retry_failed: bool = Field(False, description="Make what failed anew too")
    dry_run: bool = Field(False, description="Read the input, say what is to be made and what it will take")
    ignore_columns: bool = Field(False, description="Pass over columns that are not known, and say which")
    encoding: str | None = Field(None, description="How the input is encoded; UTF-8 if not given")

    @model_validator(mode="before")
    @classmethod
    def _found(cls, given: Any) -> Any:
        """A queued batch goes to the cluster that was meant when it was asked for."""
        address = os.environ.get("RAY_ADDRESS")
        if isinstance(given, dict) and given.get("engine") == "ray" and address and not given.get("address"):
            return given | {"address": address}
        return given

    @model_validator(mode="after")
    def _of_a_cluster(self) -> Self:
        for name in ("address", "workers", "painters"):
            if self.engine != "ray" and getattr(self, name) is not None:
                raise ValueError(f"{name} is for the engine ray")
        return self

    @property
    def made(self) -> str:
        """Where designs are made if it is not here, in words."""
        return f"made on Ray {f'at {self.address}' if self.address else 'here'}" if self.engine == "ray" else ""


class Kind(BaseModel):
    """Failures of one kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str
    count: int
    retryable: bool


class BatchSummary(BaseModel):
    """How a batch stands after it was worked on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    page: str = Field(description="The contact sheet")
    engine: str
    in_flight: int
    seconds: float = Field(description="How long it was worked on this time")
    waiting: int
    done: int
    failed: int
    faults: int = Field(description="Lines that gave no item; failures.jsonl has them")
    tokens_in: int
    tokens_out: int
    pictures: int
    reasons: tuple[Kind, ...] = Field(description="Why items failed, the most frequent first")
    why: str = Field("", description="Why items are left, if any are")

    @property
    def whole(self) -> bool:
        """Whether every line of the input has become a design."""
        return not (self.waiting or self.failed or self.faults)

    @property
    def again(self) -> str:
        """What is left and how it is gone on with, in one line; empty where nothing is."""
        left = [f"{self.waiting:,} items wait ({self.why})"] if self.waiting else []
        left += [f"{self.failed:,} failed"] if self.failed else []
        left += [f"{self.faults:,} lines gave no item"] if self.faults else []
        how = [AGAIN] if self.waiting else []
        how += ["--retry-failed tries again what failed"] if self.failed else []
        how += ["mend the lines that failures.jsonl tells"] if self.faults and not how else []
        return f"{', '.join(left)}: {'; '.join(how)}" if left else ""


class Batching(Job[Sources, P, "BatchSummary | Estimate"], Generic[P]):
    """A batch is a job like others; its results can be had as they come."""

    @staticmethod
    def summary(made: dict[str, Any]) -> BatchSummary:
        """What a job of it came to, from the plain data that the queue keeps."""
        return BatchSummary.model_validate(made)

    def stream(self, subject: Sources, *args: P.args, **kwargs: P.kwargs) -> Iterator[Result | Failure]:
        """Queue it for a worker process, and yield what came of each item in the input's order, as soon as it is there.

        Raises:
            StudioError: The batch ended before its end; what was made is kept.
        """
        options = self.asked(args, kwargs)
        settings = options.using
        job_id = self.queue(subject, options)
        return _followed(options.out, watch(job_id, settings.home, settings.queue))


def _listed(sources: Sources) -> list[str]:
    return [str(one) for one in ([sources] if isinstance(sources, str | Path) else sources)]


def _read(sources: Sources, options: BatchCall, tell: Tell) -> Iterator[Item | Fault]:
    from studio.batching.briefs import read_items
    from studio.batching.shapes import OPTIONS

    given = {name: getattr(options, name) for name in OPTIONS if name in options.model_fields_set}
    return read_items(
        _listed(sources),
        DesignOptions(**given),
        ignore_columns=options.ignore_columns,
        encoding=options.encoding,
        tell=tell,
    )


def _take_in(sources: Sources, options: BatchCall) -> None:
    """Read the input into the batch's store, after a look at everything that its designs need.

    Raises:
        StudioError: The input, the settings or a server is not as it must be, or another process works there.
    """
    with waiting("loading the libraries"):
        from studio.batching.plan import check, check_same, in_flight, manifest_of, with_models
        from studio.batching.store import open_store
    settings, tell = options.using, options.listener or say
    in_flight(settings, options.in_flight, cluster=bool(options.made))
    if options.made:
        from studio.batching.cluster.connection import check_cluster

        check_cluster(options.address)
    with waiting("looking at the models"):
        check(settings)
    with open_store(options.out, options.seed) as store:
        check_same(manifest_of(options.out), settings, options.out)
        store.fill(with_models(_read(sources, options, tell), settings), tell)
        _tell_faults(store, tell)
        if not store.counts().items:
            raise DataError(f"no line of {', '.join(_listed(sources))} is a brief", hint="the lines above say why")


def _tell_faults(store: BatchStore, tell: Tell) -> None:
    count = store.counts().faults
    for number, fault in enumerate(store.faults()):
        if number == _TOLD_LINES:
            tell(Remark(text=f"{count - number:,} more lines gave no item; failures.jsonl will tell them"))
            return
        tell(Remark(text=f"{fault.source}, line {fault.line}: {fault.reason}"))


def _batching(
    options: Callable[P, BatchCall],
) -> Callable[[Callable[[Sources, BatchCall], BatchSummary | Estimate]], Batching[P]]:
    return lambda run: Batching(run, options, check=_take_in, at_once=lambda asked: asked.dry_run)


@_batching(BatchCall)
def batch(sources: Sources, options: BatchCall) -> BatchSummary | Estimate:
    """Make many designs: a file of briefs into a folder of designs, pictures and critiques, each item once.

    Args:
        sources: Files of briefs (JSONL, CSV, text, OpenAI's batch lines) or grids (YAML); ``-`` is standard input.
        options: See `BatchCall`.
    """
    with waiting("loading the libraries"):
        from studio.batching.plan import estimate, in_flight
        from studio.batching.shapes import LEDGER
        from studio.batching.store import open_store
        from workspace.files import sweep
        from workspace.ledger import Ledger
    settings, out = options.using, options.out
    if options.dry_run:
        wanted, seed = options.in_flight, options.seed
        found = _read(sources, options, options.tell)
        again, made = options.retry_failed, options.made
        return estimate(out, found, settings, wanted, seed=seed, retry_failed=again, made=made, tell=options.tell)
    limits = _limits(options, in_flight(settings, options.in_flight, cluster=bool(options.made)))
    with open_store(out, options.seed) as store, Ledger(out / LEDGER) as ledger:
        sweep(out, deep=False)  # a design's own folder is swept when the design goes on
        if store.recovered:
            options.tell(Remark(text=f"{store.recovered} items were being made when the last process died; they wait"))
        if options.retry_failed:
            store.retry_failed()
        with _workshop(options, ledger, limits) as shop:
            return _driven(_listed(sources), options, store, shop, limits)


def _workshop(options: BatchCall, ledger: Ledger, limits: Limits) -> AbstractContextManager[Workshop]:
    """Who makes designs."""
    from studio.batching.one import Tally, Workshop

    settings, tally = options.using, Tally()
    if not options.made:
        return nullcontext(Workshop(options.out, settings, ledger, tally, options.deadline))
    from studio.batching.cluster.connection import Wanted, cluster_workshop

    wanted = Wanted(options.address, limits.in_flight, options.workers, options.painters)
    return cluster_workshop(options.out, settings, ledger, tally, options.deadline, wanted, options.tell)


def _limits(options: BatchCall, at_a_time: int) -> Limits:
    from studio.batching.drive import Limits

    return Limits(at_a_time, options.stop_after, options.max_failures)


def _driven(sources: list[str], options: BatchCall, store: BatchStore, shop: Workshop, limits: Limits) -> BatchSummary:
    """Make what waits, and write what the folder tells of it: now and then, and in the end."""
    from studio.batching.drive import Driver
    from studio.batching.plan import manifest_of
    from studio.batching.reports import Pace, write_reports

    record = _Record(sources, options, store, limits, manifest_of(store.folder))
    pace = Pace()

    def tick() -> None:
        if pace.due:
            began = time.monotonic()
            write_reports(store, record.now())  # what there is to remark is told in the end
            pace.wrote(began)

    record.write()
    driver = Driver(store, shop.make, shop.halt, shop.tally, limits, options.tell, tick)
    try:
        why = driver.run()
    except BaseException:
        with suppress(StudioError):
            record.write()
        raise
    reasons = write_reports(store, record.now(), options.tell)
    return _summary(store, record, reasons, why)


class _Record:
    """A batch's record, as it stands at any moment."""

    def __init__(
        self, sources: list[str], options: BatchCall, store: BatchStore, limits: Limits, before: BatchManifest | None
    ) -> None:
        from studio.batching.plan import engine, recorded_settings
        from studio.batching.shapes import OPTIONS

        self._store, self._began = store, time.monotonic()
        names = [name for name in OPTIONS if name != "seed" and name in options.model_fields_set]
        defaults = options.model_dump(mode="json", include=set(names))
        self.engine, self.in_flight = engine(options.using, options.made), limits.in_flight
        self._fixed: dict[str, Any] = {
            "sources": tuple(sources),
            "seed": store.seed,
            "defaults": {name: value for name, value in defaults.items() if value},
            "settings": recorded_settings(options.using),
            "engine": self.engine,
            "in_flight": self.in_flight,
            "began": time.time() if before is None else before.began,
        }
        self._seconds = 0.0 if before is None else before.seconds

    @property
    def seconds(self) -> float:
        """How long it was worked on this time."""
        return round(time.monotonic() - self._began, 3)

    def now(self) -> BatchManifest:
        """The record."""
        from studio.batching.shapes import BatchManifest
        from studio.runs.folder import versions

        return BatchManifest(
            version=versions()["bio-studio"],
            updated=time.time(),
            seconds=round(self._seconds + self.seconds, 3),
            whole=self._store.whole,
            counts=self._store.counts(),
            **self._fixed,
        )

    def write(self) -> None:
        """Publish it, and nothing beside it."""
        from studio.batching.shapes import MANIFEST
        from workspace.files import publish

        publish(self._store.folder / MANIFEST, self.now().model_dump_json(indent=2) + "\n")


def _summary(store: BatchStore, record: _Record, reasons: Sequence[Reason], why: str) -> BatchSummary:
    from studio.batching.shapes import SHEET

    counts: Counts = store.counts()
    return BatchSummary(
        folder=str(store.folder),
        page=str(store.folder / SHEET),
        engine=record.engine,
        in_flight=record.in_flight,
        seconds=record.seconds,
        **counts.model_dump(include={"waiting", "done", "failed", "faults", "tokens_in", "tokens_out", "pictures"}),
        reasons=tuple(
            Kind(reason=one.text, count=one.count, retryable=one.retryable) for one in reasons if one.kind != "line"
        ),
        why=why,
    )


def _followed(folder: Path, events: Iterator[Any]) -> Iterator[Result | Failure]:
    """What came of each item, in the input's order, while its job's events come; then the lines that are none."""
    from studio.batching.results import Failure
    from studio.batching.store import read_store

    after, last = 0, None
    with read_store(folder) as store:
        for event in events:
            last = event
            for number, found in _settled(store, after):
                after = number
                yield found
        for _, found in _settled(store, after, ended=True):
            yield found
        for fault in store.faults():
            yield Failure(kind="line", retryable=False, **fault.model_dump())
    if last is not None and last.type == "job_stopped":
        kinds = {kind.exit_code: kind for kind in StudioError.__subclasses__()}
        raise kinds.get(last.exit_code, Unfinished)(last.message, hint=AGAIN)
    if last is None or last.type != "job_finished":
        raise Interrupted("the batch was taken out of the queue", hint=AGAIN)


def _settled(store: BatchStore, after: int, *, ended: bool = False) -> Iterator[tuple[int, Result | Failure]]:
    """Items after a number that are done or have failed, up to the first that has not, unless the batch has ended."""
    from studio.batching.results import failure_of, read_result

    for row in store.rows(after=after):
        if row.state == "done":
            try:
                yield row.seq, read_result(store.folder, row)
            except DataError as fault:  # its folder is damaged since
                damaged = {"kind": "folder", "reason": fault.message, "retryable": False}
                yield row.seq, failure_of(row).model_copy(update=damaged)
        elif row.state == "failed":
            yield row.seq, failure_of(row)
        elif not ended:
            return
