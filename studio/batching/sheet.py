"""The contact sheet, ``index.html``: every design of a batch in one page that needs nothing but the files beside it.

The page holds its data as one block of JSON, shows it by one script, and loads nothing but pictures: a policy in its
head names the hashes of its script and style and forbids all else. Texts of briefs and models are data there, never
markup. Reads ``results.jsonl``; what an item's state is comes from the store.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.batching.results import Reason, Result, made_or_damage, results
from studio.batching.shapes import SHEET, BatchManifest, Counts, ItemRow
from studio.batching.thumbnails import Thumbnails, thumbnails
from workspace.errors import masked, one_line
from workspace.files import publish
from workspace.letters import whole_letters
from workspace.progress import Remark, Tell, silent

if TYPE_CHECKING:
    from jinja2 import Template

    from studio.batching.store import BatchStore

MOST_ITEMS = 10_000
"""Items on a sheet; a browser holds no more with ease."""

_PAGE = Path(__file__).parent / "page"
_AT_ONCE = 128
_LONGEST_BRIEF = 1200
_MARKUP = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_NOUNS = {"item": "item", "line": "line", "folder": "damaged folder"}

Json = dict[str, Any]


def write_sheet(store: BatchStore, manifest: BatchManifest, reasons: Sequence[Reason], tell: Tell = silent) -> Path:
    """Write ``index.html`` and the small copies of pictures that are not there yet; ``results.jsonl`` first.

    Args:
        store: The batch's items.
        manifest: The batch's record.
        reasons: What failed, grouped.
        tell: Takes remarks.
    """
    target = store.folder / SHEET
    with thumbnails(store.folder) as small:
        values = _values(store.folder, manifest, reasons) | {"lines": _blocks(store, small)}

        def write(path: Path) -> None:
            with path.open("w", encoding="utf-8", newline="\n") as file:
                for piece in _template().generate(values):
                    file.write(whole_letters(piece))

        publish(target, write)
        if small.missing:
            told = "; ".join(small.faults)
            tell(Remark(text=f"{SHEET}: {small.missing:,} pictures cannot be shown: {told}"))
    return target


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(_PAGE)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.get_template("sheet.html.j2")


@cache
def _asset(name: str) -> tuple[str, str]:
    """A file of the page as it stands there, and its sha256 as a content policy writes it."""
    text = (_PAGE / name).read_text(encoding="utf-8")
    return text, base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _values(folder: Path, manifest: BatchManifest, reasons: Sequence[Reason]) -> Json:
    style, script, counts = _asset("sheet.css"), _asset("sheet.js"), manifest.counts
    items = sum(reason.count for reason in reasons if reason.kind != "line")
    lines = sum(reason.count for reason in reasons if reason.kind == "line")
    failed = [f"{items:,} of {counts.items:,} items have no design"] if items else []
    failed += [f"{lines:,} {'line' if lines == 1 else 'lines'} of the input gave no item"] if lines else []
    return {
        "name": folder.absolute().name,
        "style": style[0],
        "style_sha256": style[1],
        "script": script[0],
        "script_sha256": script[1],
        "facts": _facts(manifest),
        "stand": _stand(counts),
        "shown": f"{MOST_ITEMS:,}",
        "left_out": counts.items > MOST_ITEMS,
        "reasons": [_reason(reason) for reason in reasons],
        "failed": ", ".join(failed),
        "version": manifest.version,
        "made": time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(manifest.updated)),
        "seed": manifest.seed,
    }


def _facts(manifest: BatchManifest) -> list[str]:
    counts = manifest.counts
    names = [Path(source).name or source for source in manifest.sources]
    facts = [", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else ""), f"{counts.items:,} items"]
    facts += [f"{counts.pictures:,} pictures"] if counts.pictures else []
    facts += [f"{counts.tokens_out:,} tokens written"] if counts.tokens_out else []
    facts += [_duration(manifest.seconds)] if manifest.seconds else []
    return [*facts, masked(manifest.engine)]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _stand(counts: Counts) -> list[Json]:
    """How many items stand how, with each state's place on a bar of length one."""
    words = {"done": "done", "failed": "failed", "running": "not finished", "waiting": "waiting"}
    made, at = [], 0.0
    for name, word in words.items():
        number = getattr(counts, name)
        share = number / counts.items if counts.items else 0.0
        if number:
            told = f"{number:,}"
            made.append(
                {"name": name, "word": word, "count": told, "words": f"{told} {word}", "at": at, "share": share}
            )
        at += share
    return made


def _reason(reason: Reason) -> Json:
    examples = [
        {
            "id": one.id if reason.kind != "line" else "",
            "words": " · ".join(filter(None, [one.id, _place(one.source, one.line), one_line(one.brief, 120)]))
            if one.brief
            else " · ".join(filter(None, [_place(one.source, one.line), one.id])),
        }
        for one in reason.examples
    ]
    rest = reason.count - len(examples)
    label = f"the first {len(examples)}" if rest else "all of them" if len(examples) > 1 else "this one"
    return {
        "text": reason.text,
        "count": f"{reason.count:,}",
        "noun": _NOUNS[reason.kind] + ("" if reason.count == 1 else "s"),
        "retryable": reason.retryable,
        "label": label,
        "examples": examples,
    }


def _place(source: str, line: int) -> str:
    return f"{Path(source).name}, line {line:,}" if source else f"line {line:,}" if line else ""


def _blocks(store: BatchStore, small: Thumbnails) -> Iterator[str]:
    """The page's data, an item a line, the lines parted by commas."""
    comma = ""
    for page in _pages(islice(_items(store), MOST_ITEMS)):
        for data in _cards(page, small):
            held = {name: value for name, value in data.items() if value not in (None, "", [], ())}
            text = json.dumps(held, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            yield comma + text.translate(_MARKUP)
            comma = ","


def _items(store: BatchStore) -> Iterator[tuple[ItemRow, Result | str]]:
    """The input's items in order, with the results of those that have one, else why not."""
    made = results(store.folder)
    result = next(made, None)
    for row in store.rows():
        while result is not None and result.seq < row.seq:
            result = next(made, None)
        if row.state != "done":
            yield row, row.outcome.reason if row.state == "failed" else ""
        else:
            yield row, result if result and result.seq == row.seq else made_or_damage(store.folder, row)


def _pages(found: Iterable[Any]) -> Iterator[list[Any]]:
    stream = iter(found)
    while page := list(islice(stream, _AT_ONCE)):
        yield page


def _cards(page: Sequence[tuple[ItemRow, Result | str]], small: Thumbnails) -> Iterator[Json]:
    made = [result if isinstance(result, Result) else None for _, result in page]
    shown = [result.pictures[result.best or 0] if result and result.pictures else None for result in made]
    thumbs = iter(small.make([(picture.path, picture.sha256) for picture in shown if picture]))
    for (row, result), picture in zip(page, shown, strict=True):
        thumb = next(thumbs) if picture else ""
        yield _common(row) | (_unmade(row, result) if isinstance(result, str) else _made(result, thumb))


def _common(row: ItemRow) -> Json:
    return {
        "id": row.item.id,
        "state": row.state,
        "brief": _cut(row.item.brief),
        "file": Path(row.item.source).name,
        "line": row.item.line,
        "attempts": row.attempts,
        "seconds": round(row.outcome.seconds, 2),
        "tokens": [row.outcome.tokens_in, row.outcome.tokens_out],
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_BRIEF else f"{text[: _LONGEST_BRIEF - 2]} …"


def _unmade(row: ItemRow, reason: str) -> Json:
    options = row.item.options
    return {
        "reason": reason,
        "state": "failed" if row.state == "done" else row.state,
        "again": row.state == "failed" and row.outcome.retryable,
        "sources": [[name] for name in options.inspirations],
        "program": options.program and Path(options.program).stem,
        "model": options.model,
        "seed": options.seed,
    }


def _made(result: Result, thumb: str) -> Json:
    design, critique = result.design or {}, result.critique or {}
    prompt = result.prompts[-1] if result.prompts else {}
    fits = {one["picture"]: one["fit"] for one in result.critiques}
    palette = (critique.get("measures") or {}).get("palette", [])
    return {
        "title": design.get("title"),
        "summary": design.get("summary"),
        "sources": [[one["name"], one["feature"]] for one in design.get("inspirations", [])],
        "figures": [[one["name"], one["value"], one["unit"]] for one in design.get("properties", [])],
        "mechanisms": [one if isinstance(one, str) else one["text"] for one in design.get("mechanisms") or ()],
        "uses": design.get("applications"),
        "palette": prompt.get("palette"),
        "colours": [[one["name"], "{:02x}{:02x}{:02x}".format(*one["rgb"]), round(one["share"], 3)] for one in palette],
        "prompt": prompt.get("long"),
        "alt": prompt.get("short"),
        "fit": critique.get("fit"),
        "seen": critique.get("seen"),
        "change": critique.get("change"),
        "thumb": thumb,
        "pictures": [[one.path, one.seed, one.round, fits.get(at)] for at, one in enumerate(result.pictures)],
        "best": result.best or 0,
        "program": Path(result.options["program"]).stem,
        "model": result.model,
        "painter": (result.painter or {}).get("model"),
        "seed": result.seed,
        "rounds": result.rounds,
        "folder": result.folder,
    }
