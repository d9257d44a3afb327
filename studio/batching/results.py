"""What a batch has made, a line an item: ``results.jsonl`` and ``failures.jsonl``, from store and designs' folders.

Both files are written whole, in the input's order, and put in place at once: at any moment there are the old ones or
the new ones. Lines that still hold are taken over from the old file, so that writing again costs little while a batch
goes on, and no more than a line is held in memory. Knows what a design's folder holds; not how a design is made.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.batching.shapes import DESIGNS, FAILURES, RESULTS, Fault, ItemRow
from studio.runs.record import PICTURE
from workspace.errors import DataError, one_line, pydantic_fault
from workspace.files import publish, read_inside
from workspace.letters import whole_letters

if TYPE_CHECKING:
    from studio.batching.store import BatchStore

FORMAT: Literal[1] = 1
"""Of a line; lines of another are written anew."""

MOST_REASONS = 200
EXAMPLES = 20
OTHERS = "Other reasons"
_SEQ = re.compile(rf'\{{"format":{FORMAT},"seq":([0-9]+),')
_VARYING = re.compile(
    r"'[^']*'|\"[^\"]*\"|(?<![\w.])/[\w./-]+|\b[0-9a-f]{12,}\b"
    r"|\b(?![45]\d\d\b(?! s\b))\d[\d,]*(?:\.\d+)?\b"
)
"""What differs between two failures of one kind: names, paths, hashes, numbers (but not a status such as 503)."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Picture(_Line):
    """A picture of a design."""

    path: str = Field(description="Within the batch's folder")
    sha256: str
    seed: int
    round: int


class Result(_Line):
    """One item that is done: a line of ``results.jsonl``."""

    done: ClassVar[Literal[True]] = True
    format: Literal[1] = FORMAT
    seq: int = Field(description="The item's place in the batch")
    hash: str = Field(description="Of the brief and the options that it was given")
    finished: float = Field(description="Unix seconds")
    source: str = Field(description="The file of briefs")
    line: int
    id: str
    brief: str
    options: dict[str, Any] = Field(description="As they were settled; a size of null is the painter's own")
    seed: int
    design: dict[str, Any] | None = Field(description="As `agents.documents.MaterialDesign`")
    prompts: list[dict[str, Any]] = Field(description="A round's prompt each")
    critiques: list[dict[str, Any]]
    pictures: list[Picture]
    best: int | None = Field(description="Index of the best picture")
    rounds: int
    seconds: float
    tokens_in: int | None = Field(description="Tokens that models read; null where nobody counted")
    tokens_out: int | None = Field(description="Tokens that models wrote, likewise")
    attempts: int
    model: str = Field(description="That of the scientist")
    models: dict[str, dict[str, Any]] = Field(description="Each role's, with its fingerprint or server")
    painter: dict[str, Any] | None = Field(description="With fingerprints; null where nothing was painted")
    run_id: str
    folder: str = Field(description="Within the batch's folder; everything else of the design lies there")

    @property
    def title(self) -> str:
        """The design's; empty where there is none."""
        return str((self.design or {}).get("title", ""))

    @property
    def critique(self) -> dict[str, Any] | None:
        """The last critique of the best picture."""
        return next((one for one in reversed(self.critiques) if one["picture"] == (self.best or 0)), None)


class Failure(_Line):
    """One item or line of the input that gave no design: a line of ``failures.jsonl``.

    ``kind`` is ``item`` (it was tried), ``line`` (it is no item), or ``folder`` (it was made, and its folder is
    damaged since).
    """

    done: ClassVar[Literal[False]] = False
    kind: Literal["item", "line", "folder"]
    id: str
    reason: str
    retryable: bool
    attempts: int = 0
    seconds: float = 0
    source: str
    line: int
    brief: str = ""
    options: dict[str, Any] = Field({}, description="As they were given")


@dataclass(frozen=True)
class Reason:
    """Failures of one kind.

    Attributes:
        text: What they have in common; what differs is an ellipsis.
        count: How many they are.
        retryable: Whether they may well succeed another time.
        kind: As a failure's.
        examples: The first of them.
    """

    text: str
    count: int
    retryable: bool
    kind: str
    examples: tuple[Failure, ...]


def read_result(folder: Path, row: ItemRow) -> Result:
    """What an item that is done has made.

    Args:
        folder: The batch's.
        row: The item.

    Raises:
        DataError: A file of its folder is gone or damaged.
    """
    inner = f"{DESIGNS}/{row.item.folder}"
    read = _reader(folder, inner)
    manifest = read("manifest.json")
    try:
        return _result(row, inner, manifest, read)
    except ValidationError as error:
        raise DataError(f"{inner} is damaged: {pydantic_fault(error, Result)}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{inner}/manifest.json is damaged: {type(error).__name__} {one_line(error)}") from error


def made_or_damage(folder: Path, row: ItemRow) -> Result | str:
    """What an item that is done has made, or in a line what is wrong with its folder."""
    try:
        return read_result(folder, row)
    except DataError as error:
        return one_line(str(error).replace(f"{folder}/", "").replace(str(folder), "the batch's folder"))


def _reader(folder: Path, inner: str) -> Callable[..., Any]:
    def read(name: str) -> Any:
        try:
            return json.loads(read_inside(folder, f"{inner}/{name}"), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{inner}/{name} cannot be read: {one_line(error)}") from error

    return read


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _result(row: ItemRow, inner: str, manifest: dict[str, Any], read: Callable[..., Any]) -> Result:
    settings, files, models = manifest["settings"], manifest["files"], manifest["models"]
    names = sorted((name for name in files if PICTURE.fullmatch(name)), key=lambda name: int(name[7:-4]))
    pictures = [
        Picture(path=f"{inner}/{name}", sha256=files[name], seed=seed, round=at // settings["flow"]["images"] + 1)
        for at, (name, seed) in enumerate(zip(names, manifest["image_seeds"], strict=True))
    ]
    return Result(
        **_head(row),
        brief=row.item.brief,
        options=_settled(row, manifest["program"]["name"], settings),
        seed=manifest["seed"],
        design=read("design.json") if "design.json" in files else None,
        prompts=read("prompts.json"),
        critiques=read("critiques.json"),
        pictures=pictures,
        best=manifest["best"],
        rounds=manifest["rounds"],
        seconds=row.outcome.seconds,
        tokens_in=row.outcome.tokens_in or None,
        tokens_out=row.outcome.tokens_out or None,
        attempts=row.attempts,
        model=models["scientist"]["model"],
        models={role: used for role, used in models.items() if role != "painter"},
        painter=models.get("painter"),
        run_id=row.outcome.run_id,
        folder=inner,
    )


def _head(row: ItemRow) -> dict[str, Any]:
    """What a line begins with, by which it is known to hold still."""
    item = row.item
    return {
        "format": FORMAT,
        "seq": row.seq,
        "hash": row.hash,
        "finished": row.updated,
        "source": item.source,
        "line": item.line,
        "id": item.id,
    }


def _settled(row: ItemRow, program: str, settings: dict[str, Any]) -> dict[str, Any]:
    flow, painter = settings["flow"], settings["painter"]
    return {
        "inspirations": list(row.item.options.inspirations),
        "program": program,
        "images": flow["images"],
        "rounds": flow["rounds"],
        "size": painter["size"],
        "model": settings["chat"]["model"],
        "adapter": painter["adapter"],
    }


def _text(data: dict[str, Any]) -> str:
    return whole_letters(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def write_results(store: BatchStore) -> int:
    """Write ``results.jsonl`` anew: a line for each item of the input that is done, in its order.

    An item whose folder is damaged has none; `failures` tells of it.

    Returns:
        How many lines it has.
    """
    count = 0

    def write(path: Path) -> None:
        nonlocal count
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for line in _lines(store):
                file.write(line)
                count += 1

    publish(store.folder / RESULTS, write)
    return count


def _lines(store: BatchStore) -> Iterator[str]:
    """Each item's line: that of the old file if it tells of the same, else from the item's folder."""
    old = _numbered(store.folder / RESULTS)
    at, held = next(old, (0, ""))
    for row in store.rows("done"):
        while held and at < row.seq:
            at, held = next(old, (0, ""))
        if at == row.seq and held.startswith(_text(_head(row))[:-1] + ","):
            yield held
            continue
        found = made_or_damage(store.folder, row)
        if isinstance(found, Result):
            yield _text(found.model_dump(mode="json")) + "\n"


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file of results with their items' numbers, from lowest to highest; others are passed over."""
    last = 0
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            found = _SEQ.match(line)
            if found and line.endswith("}\n") and int(found[1]) > last:
                last = int(found[1])
                yield last, line


def results(folder: Path) -> Iterator[Result]:
    """The results of a batch's folder, one after another.

    Raises:
        DataError: There are none, or a line is none.
    """
    path = folder / RESULTS
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, 1):
            try:
                yield Result.model_validate_json(line)
            except ValidationError as error:
                raise DataError(f"{path}, line {number}: {pydantic_fault(error, Result)}") from None


def failures(store: BatchStore) -> Iterator[Failure]:
    """What gave no design, in the input's order: items that failed or whose folder is damaged, then lines.

    ``results.jsonl`` must have been written before.
    """
    made = (at for at, _ in _numbered(store.folder / RESULTS))
    at = next(made, 0)
    for row in store.rows("done", "failed"):
        while at and at < row.seq:
            at = next(made, 0)
        if row.state == "failed":
            yield failure_of(row)
        elif at != row.seq and isinstance(found := made_or_damage(store.folder, row), str):
            yield failure_of(row, damage=found)
    for fault in store.faults():
        yield _of_line(fault)


def failure_of(row: ItemRow, *, damage: str = "") -> Failure:
    """An item that failed, or whose folder is damaged, which goes before."""
    item = row.item
    return Failure(
        kind="folder" if damage else "item",
        id=item.id,
        reason=damage or row.outcome.reason,
        retryable=row.outcome.retryable and not damage,
        attempts=row.attempts,
        seconds=row.outcome.seconds,
        source=item.source,
        line=item.line,
        brief=item.brief,
        options=item.options.model_dump(mode="json", exclude_defaults=True),
    )


def _of_line(fault: Fault) -> Failure:
    return Failure(kind="line", id=fault.id, reason=fault.reason, retryable=False, source=fault.source, line=fault.line)


def write_failures(store: BatchStore) -> list[Reason]:
    """Write ``failures.jsonl`` anew, a line each, and group the reasons; ``results.jsonl`` first."""
    reasons = Reasons()

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for failure in failures(store):
                reasons.add(failure)
                file.write(_text(failure.model_dump(mode="json")) + "\n")

    publish(store.folder / FAILURES, write)
    return reasons.listed()


class Reasons:
    """Failures grouped by their reasons; of very many kinds the later ones are one."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, bool], tuple[Counter[str], list[Failure]]] = {}

    def add(self, failure: Failure) -> None:
        """Count a failure in."""
        key = (_VARYING.sub("…", failure.reason), failure.kind, failure.retryable)
        if key not in self._groups and len(self._groups) >= MOST_REASONS:
            key = (OTHERS, failure.kind, failure.retryable)
        words, examples = self._groups.setdefault(key, (Counter(), []))
        words[failure.reason if failure.reason in words or not words else key[0]] += 1
        if len(examples) < EXAMPLES:
            examples.append(failure)

    def listed(self) -> list[Reason]:
        """The groups, the most frequent first; one whose failures say all the same is worded as they are."""
        made = [
            Reason(text if len(words) > 1 else next(iter(words)), words.total(), retryable, kind, tuple(examples))
            for (text, kind, retryable), (words, examples) in self._groups.items()
        ]
        return sorted(made, key=lambda reason: -reason.count)
