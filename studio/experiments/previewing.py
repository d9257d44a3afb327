"""The first rows of what a training would read, as the front door offers them: bounded, as text. Trains nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from studio.verb import Call, verb
from workspace.errors import DataError, UsageError, one_line
from workspace.letters import harmless

ROWS = (".jsonl", ".csv", ".tsv")
TEXTS = (".yaml", ".yml", ".json", ".md", ".txt", ".bib", ".ris")
_READ = 400_000
_CELL = 2_000
_LISTED = 40
_PAPERS = (".pdf", ".png", ".jpg", ".jpeg", ".webp", ".parquet")


class Preview(BaseModel):
    """The beginning of a file or folder; ``rows`` are fields by name, in the file's order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str = Field(description="rows, text or files")
    rows: tuple[dict[str, str], ...] = ()
    text: str = ""
    more: bool = Field(False, description="Whether there is more than is shown")


class PreviewCall(Call):
    """How much is shown."""

    most: int = Field(5, ge=1, le=50, description="Rows at most")


@verb(PreviewCall)
def preview_data(path: str, options: PreviewCall) -> Preview:
    """Show the beginning of what a training would read: rows of JSONL or CSV, a recipe's text, a folder's files.

    Args:
        path: A file of rows or text, a folder, or the name of a shipped recipe.
        options: How much.

    Raises:
        UsageError: There is nothing of that name, or it is of no kind that is shown.
    """
    place = _place(path)
    if place.is_dir():
        inner = place / "passages.jsonl"
        return _rows(inner, options.most) if inner.is_file() else _folder(place)
    if place.suffix in ROWS:
        return _rows(place, options.most)
    if place.suffix in TEXTS:
        if not place.stat().st_mode & 0o044:
            raise UsageError(f"{place.name} is for its owner alone and is not shown here", hint="open it in an editor")
        text, more = _head(place)
        return Preview(name=place.name, kind="text", text=harmless(text[:20_000]), more=more or len(text) > 20_000)
    raise UsageError(
        f"{place.name} is of no kind that is shown here", hint=f"what is shown: {', '.join((*ROWS, *TEXTS))}"
    )


def _place(path: str) -> Path:
    from training.language.recipe import FOLDER, shipped

    if path in shipped():
        return FOLDER / f"{path}.yaml"
    place = Path(path).expanduser()
    if place.name.startswith(".") or not (place.is_file() or place.is_dir()):
        raise UsageError(f"there is no file or folder {path[:200]}")
    return place


def _head(path: Path) -> tuple[str, bool]:
    """The first bytes of a file as text, and whether there are more."""
    try:
        with path.open("rb") as file:
            data = file.read(_READ + 1)
    except OSError as fault:
        raise DataError(f"cannot read {path.name}: {one_line(fault)}") from None
    return data[:_READ].decode("utf-8", "replace"), len(data) > _READ


def _rows(path: Path, most: int) -> Preview:
    text, more = _head(path)
    lines = text.splitlines()[: -1 if more else None]
    if path.suffix == ".jsonl":
        found = [_fields(line, number, path) for number, line in enumerate(lines[: most + 1], 1) if line.strip()]
    else:
        table = csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ",", restkey="more", restval="")
        found = [{str(key): _cell(value) for key, value in row.items()} for row, _ in zip(table, range(most + 1))]  # noqa: B905
    return Preview(name=path.name, kind="rows", rows=tuple(found[:most]), more=more or len(found) > most)


def _fields(line: str, number: int, path: Path) -> dict[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"{path.name}, line {number}: not JSON: {one_line(fault)}") from None
    return {str(key): _cell(value) for key, value in row.items()} if isinstance(row, dict) else {"": _cell(row)}


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return harmless(text if len(text) <= _CELL else f"{text[:_CELL]} …")


def _folder(place: Path) -> Preview:
    wanted = {*ROWS, *TEXTS, *_PAPERS}
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in wanted and not file.name.startswith("."))
    names = "\n".join(file.name for file in files[:_LISTED])
    if not files:
        raise UsageError(f"the folder {place.name} holds nothing that a training reads")
    return Preview(name=place.name, kind="files", text=harmless(names), more=len(files) > _LISTED)
