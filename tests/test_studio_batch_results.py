"""What a batch leaves: results, failures, table and contact sheet, from made-up designs in a real store."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.batching import reports, results, table, thumbnails
from studio.batching.reports import write_reports
from studio.batching.results import Failure, Reason, Reasons, Result, failures, write_failures, write_results
from studio.batching.shapes import DESIGNS, BatchManifest, Fault, Item, ItemRow, Outcome
from studio.batching.sheet import write_sheet
from studio.batching.store import BatchStore, open_store
from studio.batching.table import write_table
from studio.runs.request import DesignOptions
from workspace.errors import DataError, StorageError
from workspace.progress import Remark

HOSTILE = (
    "</script><script>document.title='owned'</script><!-- <img src=x onerror=\"document.title='owned'\"> &amp; \u2028"
)
RIGHT_TO_LEFT = "لوحة قوية مستوحاة من الصدف 🐚"


def png(tint: int, side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (tint % 256, 90, 160)).save(buffer, "PNG")
    return buffer.getvalue()


def design(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "title": f"Laminate {number}",
        "summary": "It joins fibres with a mesh.",
        "inspirations": [
            {"name": "Nacre", "feature": "brick rows", "principle": "Bricks slide."},
            {"name": "silk" if number % 2 else "bone", "feature": "threads", "principle": "Threads stretch."},
        ],
        "components": [
            {"name": "fibre", "material": "silk", "role": "It stretches."},
            {"name": "mesh", "material": "cellulose", "role": "It spreads load."},
        ],
        "architecture": {"scale": "micrometre", "description": "Fibres lie between meshes."},
        "mechanisms": ["Fibres uncrimp before they break."],
        "properties": [
            {"name": "Toughness", "value": 10.0 + number, "unit": "MJ/m3", "basis": "As tendon."},
            {"name": "stiffness", "value": 2.0, "unit": "GPa", "basis": "As wood."},
        ],
        "fabrication": ["Press."],
        "applications": ["panels"],
        "risks": ["Water."],
        **changes,
    }


def critique(picture: int, fit: int) -> dict[str, Any]:
    palette = [
        {"name": "teal", "rgb": [20, 92, 106], "share": 0.7},
        {"name": "cream", "rgb": [250, 240, 220], "share": 0.3},
    ]
    return {
        "sees": {}, "seen": "Rows of bricks.", "checks": [], "fit": fit, "change": "Thinner lines.", "picture": picture,
        "measures": {"solid_fraction": 0.5, "pitch": 12.5, "pores": 7, "palette": palette},
    }  # fmt: skip


def make(folder: Path, row: ItemRow, made: dict[str, Any] | None = None, pictures: int = 2, side: int = 64) -> None:
    """An item's folder, as a design that is finished leaves it."""
    inner = folder / DESIGNS / row.item.folder
    (inner / "images").mkdir(parents=True, exist_ok=True)
    prompt = {"long": "Teal bricks in rows.", "short": "teal bricks", "motifs": ["bricks"], "palette": "teal on cream"}
    contents = {
        "design.json": json.dumps(made or design(row.seq)).encode(),
        "prompts.json": json.dumps([prompt]).encode(),
        "critiques.json": json.dumps([critique(at, 5 + at) for at in range(pictures)]).encode(),
        **{f"images/{at + 1:02d}.png": png(40 * row.seq + at, side) for at in range(pictures)},
    }
    for name, content in contents.items():
        (inner / name).write_bytes(content)
    painter = {"model": "studio-micro-flux", "model_fingerprint": "f" * 64, "adapter": None}
    manifest = {
        "seed": row.item.options.seed,
        "image_seeds": [100 + at for at in range(pictures)],
        "rounds": 1,
        "best": pictures - 1 if pictures else None,
        "program": {"name": "relate-and-design"},
        "settings": {
            "flow": {"program": "relate-and-design", "images": pictures or 1, "rounds": 1},
            "painter": {"size": None, "adapter": None},
            "chat": {"model": "smollm2-135m-instruct"},
        },
        "models": {"scientist": {"model": "smollm2-135m-instruct", "fingerprint": "a" * 64}, "painter": painter},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    (inner / "manifest.json").write_text(json.dumps(manifest))


def items(count: int, **changes: Any) -> list[Item]:
    options = DesignOptions(inspirations=("nacre", "silk"))
    return [
        Item(
            **{"id": f"item-{at}", "brief": f"Panel {at}", "options": options, "source": "b.csv", "line": at + 2}
            | changes
        )
        for at in range(1, count + 1)
    ]


@contextmanager
def batch(folder: Path, found: Sequence[Item | Fault]) -> Iterator[BatchStore]:
    with open_store(folder, seed=7) as store:
        store.fill(found)
        yield store


def finish(store: BatchStore, row: ItemRow, **outcome: Any) -> None:
    told = {"seconds": 1.5, "tokens_in": 300, "tokens_out": 200, "pictures": 2, "run_id": f"run-{row.seq}"}
    store.finish(row.seq, Outcome(**told | outcome))


def done(store: BatchStore, count: int, **changes: Any) -> list[ItemRow]:
    rows = store.take(count)
    for row in rows:
        make(store.folder, row, **changes)
        finish(store, row)
    return rows


def manifest(store: BatchStore, **changes: Any) -> BatchManifest:
    told = {
        "version": "0.1.0", "sources": ("b.csv",), "seed": 7, "defaults": {}, "settings": {}, "engine": "in process",
        "in_flight": 4, "began": 1_790_000_000.0, "updated": 1_790_000_100.0, "seconds": 100.0, "whole": True,
        "counts": store.counts(),
    }  # fmt: skip
    return BatchManifest(**told | changes)


def lines(folder: Path, name: str = "results.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def test_tokens_that_nobody_counted_are_not_known(tmp_path: Path) -> None:
    from pyarrow import parquet

    with batch(tmp_path, items(1)) as store:
        (row,) = store.take(1)
        make(store.folder, row)
        finish(store, row, tokens_in=0, tokens_out=0)
        write_results(store)
        write_table(tmp_path)
    (line,) = lines(tmp_path)
    assert line["tokens_in"] is None and line["tokens_out"] is None
    assert parquet.read_table(tmp_path / "results.parquet").column("tokens_out").null_count == 1


def test_a_line_says_all_of_an_item(tmp_path: Path) -> None:
    with batch(tmp_path, items(1)) as store:
        (row,) = done(store, 1)
        assert write_results(store) == 1
    (line,) = lines(tmp_path)
    assert line["id"] == "item-1" and line["brief"] == "Panel 1" and (line["source"], line["line"]) == ("b.csv", 3)
    assert line["hash"] == row.hash and line["seed"] == row.item.options.seed
    assert line["design"] == design(1) and line["best"] == 1 and len(line["critiques"]) == 2
    assert line["options"] == {
        "inspirations": ["nacre", "silk"], "program": "relate-and-design", "images": 2, "rounds": 1, "size": None,
        "model": "smollm2-135m-instruct", "adapter": None,
    }  # fmt: skip
    assert (line["seconds"], line["tokens_in"], line["tokens_out"], line["attempts"]) == (1.5, 300, 200, 1)
    assert line["model"] == "smollm2-135m-instruct" and line["painter"]["model"] == "studio-micro-flux"
    for number, picture in enumerate(line["pictures"]):
        assert hashlib.sha256((tmp_path / picture["path"]).read_bytes()).hexdigest() == picture["sha256"]
        assert (picture["seed"], picture["round"]) == (100 + number, 1)
    (read,) = results.results(tmp_path)
    assert read.critique is not None and read.critique["fit"] == 6


def test_lines_stand_in_the_order_of_the_input_whichever_was_done_first(tmp_path: Path) -> None:
    with batch(tmp_path, items(4)) as store:
        rows = store.take(4)
        for row in (rows[2], rows[0]):
            make(tmp_path, row)
            finish(store, row)
        write_results(store)
        assert [line["id"] for line in lines(tmp_path)] == ["item-1", "item-3"]
        for row in (rows[3], rows[1]):
            make(tmp_path, row)
            finish(store, row)
        write_results(store)
    assert [line["seq"] for line in lines(tmp_path)] == [1, 2, 3, 4]


def test_only_what_is_new_or_changed_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = results.read_result

    def counted(folder: Path, row: ItemRow) -> Result:
        read.append(row.item.id)
        return original(folder, row)

    monkeypatch.setattr(results, "read_result", counted)
    with batch(tmp_path, items(4)) as store:
        done(store, 2)
        write_results(store)
        rows = store.take(2)
        make(tmp_path, rows[0])
        finish(store, rows[0])
        finish(store, rows[1], reason="the server is down", retryable=True)
        write_results(store)
        assert read == ["item-1", "item-2", "item-3"]
        store.retry_failed()
        done(store, 1)
        write_results(store)
        assert read[3:] == ["item-4"]
        before = (tmp_path / "results.jsonl").read_bytes()
        write_results(store)
        assert (tmp_path / "results.jsonl").read_bytes() == before and len(read) == 4
        store.fill(items(4, source="moved.csv"))
        write_results(store)
    assert {line["source"] for line in lines(tmp_path)} == {"moved.csv"}


def test_a_writing_that_is_cut_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with batch(tmp_path, items(5)) as store:
        done(store, 2)
        write_results(store)
        before = (tmp_path / "results.jsonl").read_bytes()
        done(store, 3)
        original = results.read_result

        def cut(folder: Path, row: ItemRow) -> Result:
            if row.item.id == "item-4":
                raise KeyboardInterrupt
            return original(folder, row)

        monkeypatch.setattr(results, "read_result", cut)
        with pytest.raises(KeyboardInterrupt):
            write_results(store)
        assert (tmp_path / "results.jsonl").read_bytes() == before
        assert not list(tmp_path.glob(".staging-*"))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with batch(tmp_path, items(2)) as store:
        done(store, 1)
        write_results(store)
        before = (tmp_path / "results.jsonl").read_bytes()
        done(store, 1)

        def full(*_: Any) -> Iterator[str]:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(results, "_lines", full)
        with pytest.raises(StorageError, match="no space is left"):
            write_results(store)
    assert (tmp_path / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "\x00\xff garbage\n" + text,
        lambda text: "\n".join(reversed(text.splitlines())) + "\n",
        lambda text: text.replace('"format":1', '"format":0'),
        lambda text: text.replace('"hash":"', '"hash":"0'),
        lambda text: text + text,
    ],
)
def test_a_file_that_somebody_spoiled_is_made_good(tmp_path: Path, spoil: Any) -> None:
    with batch(tmp_path, items(3)) as store:
        done(store, 3)
        write_results(store)
        path = tmp_path / "results.jsonl"
        before = path.read_text(encoding="utf-8")
        path.write_text(spoil(before), encoding="utf-8")
        write_results(store)
        assert path.read_text(encoding="utf-8") == before


def spoiled(inner: Path, kind: str) -> None:
    if kind == "gone":
        (inner / "manifest.json").unlink()
    elif kind == "cut":
        (inner / "design.json").write_text('{"title": "La')
    elif kind == "no number":
        (inner / "design.json").write_text('{"title": NaN}')
    elif kind == "a link":
        (inner / "design.json").unlink()
        (inner / "design.json").symlink_to("/etc/hostname")
    elif kind == "another shape":
        (inner / "manifest.json").write_text("[1, 2]")
    else:
        found = json.loads((inner / "manifest.json").read_text())
        (inner / "manifest.json").write_text(json.dumps(found | {"rounds": "many"}))


@pytest.mark.parametrize("kind", ["gone", "cut", "no number", "a link", "another shape", "a wrong value"])
def test_a_damaged_folder_costs_its_own_line_and_is_told(tmp_path: Path, kind: str) -> None:
    with batch(tmp_path, items(3)) as store:
        rows = done(store, 3)
        spoiled(tmp_path / DESIGNS / rows[1].item.folder, kind)
        assert write_results(store) == 2
        (reason,) = write_failures(store)
        (failure,) = lines(tmp_path, "failures.jsonl")
        assert (failure["kind"], failure["id"], failure["retryable"]) == ("folder", "item-2", False)
        assert "designs/item-2" in failure["reason"] and str(tmp_path) not in failure["reason"]
        assert "\n" not in failure["reason"] and reason.count == 1
        write_sheet(store, manifest(store), [reason])
        shown = data_of(tmp_path)
    assert [one["state"] for one in shown] == ["done", "failed", "done"] and shown[1]["reason"] == failure["reason"]


def test_an_item_that_gets_done_while_the_reports_are_written_has_not_failed(tmp_path: Path) -> None:
    with batch(tmp_path, items(2)) as store:
        done(store, 1)
        write_results(store)
        done(store, 1)
        assert write_failures(store) == []
        write_sheet(store, manifest(store), [])
    assert [one["state"] for one in data_of(tmp_path)] == ["done", "done"]


def test_failures_name_items_and_lines(tmp_path: Path) -> None:
    found = [*items(2), Fault(source="b.csv", line=9, reason="no JSON (column 4)", id="x")]
    with batch(tmp_path, found) as store:
        rows = store.take(2)
        finish(store, rows[0], reason="the server does not answer: 503", retryable=True)
        done_row = rows[1]
        make(tmp_path, done_row)
        finish(store, done_row)
        write_results(store)
        write_failures(store)
    item, line = lines(tmp_path, "failures.jsonl")
    assert (item["kind"], item["id"], item["reason"], item["retryable"]) == (
        "item", "item-1", "the server does not answer: 503", True,
    )  # fmt: skip
    assert item["brief"] == "Panel 1" and item["options"]["inspirations"] == ["nacre", "silk"] and item["line"] == 3
    assert (line["kind"], line["line"], line["reason"]) == ("line", 9, "no JSON (column 4)")


def failure(reason: str, **changes: Any) -> Failure:
    told = {"kind": "item", "id": "i", "reason": reason, "retryable": True, "source": "", "line": 0}
    return Failure(**told | changes)


def grouped(found: Iterable[Failure]) -> list[Reason]:
    reasons = Reasons()
    for one in found:
        reasons.add(one)
    return reasons.listed()


def test_reasons_that_differ_in_names_and_numbers_are_one() -> None:
    found = [
        failure("no answer within 120 s", id="a"),
        failure("no answer within 130.5 s", id="b"),
        failure("cannot read '/tmp/x/1.png'", retryable=False),
        failure("the server says 503"),
        failure("the server says 429"),
        failure("the server says 503"),
        failure("the server says 503", retryable=False),
    ]
    made = {(reason.text, reason.retryable): reason for reason in grouped(found)}
    assert made["no answer within … s", True].count == 2
    assert [one.id for one in made["no answer within … s", True].examples] == ["a", "b"]
    assert made["the server says 503", True].count == 2 and made["the server says 429", True].count == 1
    assert made["the server says 503", False].count == 1
    assert made["cannot read '/tmp/x/1.png'", False].count == 1  # one alone is told as it is


def test_the_groups_are_bounded_and_nothing_is_left_uncounted() -> None:
    words = (f"reason {chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(600))
    made = grouped(failure(word) for word in words)
    assert len(made) <= results.MOST_REASONS + 1
    assert sum(reason.count for reason in made) == 600 and made[0].text == results.OTHERS
    many = grouped(failure("the same", id=str(at)) for at in range(100))
    assert many[0].count == 100 and len(many[0].examples) == results.EXAMPLES


def test_memory_does_not_grow_with_the_batch(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        with batch(folder, items(count)) as store:
            for row in store.take(count):
                make(folder, row, pictures=1)
                finish(store, row)
            write_results(store)
            tracemalloc.start()
            write_results(store)
            list(failures(store))
            made = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return made

    few, many = peak(250), peak(1000)
    assert many < 1.3 * few + 200_000


def test_a_brief_with_half_a_letter_is_written(tmp_path: Path) -> None:
    with batch(tmp_path, items(1)) as store:
        (row,) = store.take(1)
        make(tmp_path, row, design(1, title="half \ud83d letter"))
        finish(store, row)
        write_results(store)
    assert lines(tmp_path)[0]["design"]["title"] == "half \ufffd letter"


def test_results_that_are_none_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        list(results.results(tmp_path))
    (tmp_path / "results.jsonl").write_text('{"format":1}\n')
    with pytest.raises(DataError, match=r"line 1: .*is missing|line 1: .*required"):
        list(results.results(tmp_path))


def test_a_table_can_be_filtered(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    odd = design(3, properties=[{"name": "toughness", "value": 40.0, "unit": "MJ/m3", "basis": "b"},
                                {"name": "STIFFNESS", "value": 900.0, "unit": "MPa", "basis": "b"},
                                {"name": "hue", "value": 1.0, "unit": "1", "basis": "b"}])  # fmt: skip
    with batch(tmp_path, items(3)) as store:
        done(store, 2)
        (row,) = store.take(1)
        make(tmp_path, row, odd)
        finish(store, row)
        write_results(store)
    assert write_table(tmp_path) == tmp_path / "results.parquet"
    made = parquet.read_table(tmp_path / "results.parquet")
    assert made["id"].to_pylist() == ["item-1", "item-2", "item-3"]
    assert made["toughness (MJ/m3)"].to_pylist() == [11.0, 12.0, 40.0]
    assert made["stiffness (MPa)"].to_pylist() == [2000.0, 2000.0, 900.0]
    assert "hue (1)" not in made.column_names  # one design alone has it
    assert made["properties"].to_pylist()[2][2] == {"name": "hue", "value": 1.0, "unit": "1"}
    assert json.loads(made["design"][2].as_py()) == odd
    assert made["fit"].to_pylist() == [6, 6, 6] and made["measured_pores"].to_pylist() == [7, 7, 7]
    assert made["picture"][0].as_py() == "designs/item-1/images/02.png" and made["size"].to_pylist() == [None] * 3
    tough = parquet.read_table(tmp_path / "results.parquet", filters=[("toughness (MJ/m3)", ">", 20)])
    assert tough["id"].to_pylist() == ["item-3"]


def test_a_table_of_nothing_has_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with batch(tmp_path, items(1)) as store:
        write_results(store)
    write_table(tmp_path)
    made = parquet.read_table(tmp_path / "results.parquet")
    assert made.num_rows == 0 and {"id", "design", "fit"} <= set(made.column_names)


def test_designs_without_pictures_have_a_row(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with batch(tmp_path, items(1)) as store:
        done(store, 1, pictures=0)
        write_reports(store, manifest(store))
    (row,) = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    assert row["picture"] is None and row["pictures"] == [] and row["fit"] is None and row["title"] == "Laminate 1"
    assert "thumb" not in data_of(tmp_path)[0] and not (tmp_path / "thumbs").exists()


def test_without_pyarrow_a_line_says_how_to_get_it_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.extras.importlib.util.find_spec", lambda name: None)
    told: list[Any] = []
    with batch(tmp_path, items(1)) as store:
        done(store, 1)
        write_reports(store, manifest(store), told.append)
    (remark,) = [one for one in told if isinstance(one, Remark)]
    assert "pyarrow is not installed" in remark.text and "pip install" in remark.text and "[train]" in remark.text
    assert not (tmp_path / "results.parquet").exists() and (tmp_path / "index.html").exists()


class Page(HTMLParser):
    """What a browser would make of a page: its scripts, and every address that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.tags: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        self.tags.append(tag)
        self.addresses += [str(held[name]) for name in ("src", "href", "action") if name in held]
        assert not [name for name in held if name.startswith("on")]
        if tag == "meta" and held.get("http-equiv"):
            self.policy = str(held["content"])
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append((held, ""))
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._inside == "style":
            self.styles[-1] += data


def page_of(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def data_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads(page_of(folder).scripts[0][1])  # type: ignore[no-any-return]


def test_hostile_texts_are_data_on_the_sheet(tmp_path: Path) -> None:
    folder = tmp_path / "a <b> batch"
    found = [
        Item(id=f"<i>{HOSTILE}", brief=HOSTILE, source="<b>.csv", line=2),
        Item(id="rtl", brief=RIGHT_TO_LEFT, source="<b>.csv", line=3),
        Item(id="fails", brief=HOSTILE, source="<b>.csv", line=4),
        Fault(source="<b>.csv", line=5, reason=HOSTILE),
    ]
    with batch(folder, found) as store:
        rows = store.take(3)
        for row in rows[:2]:
            make(folder, row, design(row.seq, title=row.item.brief, mechanisms=[row.item.brief]))
            finish(store, row)
        finish(store, rows[2], reason=HOSTILE)
        write_reports(store, manifest(store, sources=("<b>.csv",), engine=HOSTILE))
    page = page_of(folder)
    assert [held for held, _ in page.scripts] == [{"id": "data", "type": "application/json"}, {}]
    shown = json.loads(page.scripts[0][1])
    assert [one["brief"] for one in shown] == [HOSTILE, RIGHT_TO_LEFT, HOSTILE]
    assert shown[0]["title"] == HOSTILE and shown[1]["title"] == RIGHT_TO_LEFT
    assert shown[2]["state"] == "failed" and "img" not in page.tags and "b" not in page.tags[: page.tags.index("ul")]


def test_the_sheet_loads_nothing_and_runs_only_its_own_script(tmp_path: Path) -> None:
    with batch(tmp_path, items(2)) as store:
        done(store, 2)
        write_reports(store, manifest(store))
    page = page_of(tmp_path)
    assert page.addresses == []
    for kind, text in (("script", page.scripts[1][1]), ("style", page.styles[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.scripts[1][1] + page.styles[0])
    assert "innerHTML" not in page.scripts[1][1]


def test_the_sheet_says_what_a_designer_wants_to_know(tmp_path: Path) -> None:
    with batch(tmp_path, items(3)) as store:
        done(store, 1)
        (row,) = store.take(1)
        finish(store, row, reason="no answer within 120 s", retryable=True)
        write_reports(store, manifest(store))
    done_, failed, waiting = data_of(tmp_path)
    assert done_["title"] == "Laminate 1" and done_["fit"] == 6 and done_["best"] == 1
    assert done_["sources"] == [["Nacre", "brick rows"], ["silk", "threads"]]
    assert done_["figures"][0] == ["Toughness", 11.0, "MJ/m3"] and done_["palette"] == "teal on cream"
    assert done_["colours"] == [["teal", "145c6a", 0.7], ["cream", "faf0dc", 0.3]]
    assert (tmp_path / done_["thumb"]).is_file() and done_["thumb"].endswith(".webp")
    assert [one[0] for one in done_["pictures"]] == [f"designs/item-1/images/0{at}.png" for at in (1, 2)]
    assert failed["reason"] == "no answer within 120 s" and failed["again"] is True
    assert waiting["state"] == "waiting" and waiting["sources"] == [["nacre"], ["silk"]]
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "1 of 3 items have no design" in text and "may succeed" in text and "1 min 40 s" in text


def test_a_sheet_shows_so_many_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.batching.sheet.MOST_ITEMS", 2)
    with batch(tmp_path, items(3)) as store:
        write_reports(store, manifest(store))
    assert len(data_of(tmp_path)) == 2
    assert "The first 2 items are shown here" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_small_copies_are_made_once_and_keep_their_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with batch(tmp_path, items(2)) as store:
        done(store, 1, side=800)
        write_reports(store, manifest(store))
        (small,) = (tmp_path / "thumbs").iterdir()
        with Image.open(small, formats=["WEBP"]) as picture:
            assert picture.size == (thumbnails.SIDE, thumbnails.SIDE)
        made: list[str] = []
        original = thumbnails.Thumbnails._small

        def counted(self: Any, path: str, sha256: str) -> bytes:
            made.append(path)
            return original(self, path, sha256)

        monkeypatch.setattr(thumbnails.Thumbnails, "_small", counted)
        done(store, 1)
        write_reports(store, manifest(store))
        write_reports(store, manifest(store))
    assert made == ["designs/item-2/images/02.png"]


def test_a_picture_that_changed_is_told_and_not_shown(tmp_path: Path) -> None:
    told: list[Any] = []
    with batch(tmp_path, items(2)) as store:
        done(store, 2)
        (tmp_path / "designs/item-1/images/02.png").write_bytes(b"no picture")
        write_reports(store, manifest(store), told.append)
    (remark,) = [one for one in told if isinstance(one, Remark)]
    assert "1 pictures cannot be shown: designs/item-1/images/02.png" in remark.text
    first, second = data_of(tmp_path)
    assert "thumb" not in first and "thumb" in second


def test_all_that_is_told_lies_in_the_folder(tmp_path: Path) -> None:
    with batch(tmp_path, items(2)) as store:
        done(store, 2)
        record = manifest(store)
        assert write_reports(store, record) == []
    assert BatchManifest.model_validate_json((tmp_path / "batch.json").read_text()) == record
    assert {"results.jsonl", "failures.jsonl", "index.html", "thumbs"} <= {path.name for path in tmp_path.iterdir()}


def test_a_batch_writes_its_reports_often_but_not_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(reports.time, "monotonic", lambda: now[0])
    pace = reports.Pace()
    assert not pace.due
    now[0] += reports.OFTEN
    assert pace.due
    began, now[0] = now[0], now[0] + 10
    pace.wrote(began)
    now[0] += 199
    assert not pace.due
    now[0] += 1
    assert pace.due


def test_columns_of_properties_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(table, "MOST_COLUMNS", 1)
    with batch(tmp_path, items(2)) as store:
        done(store, 2)
        write_results(store)
    write_table(tmp_path)
    names = parquet.read_schema(tmp_path / "results.parquet").names
    assert len([name for name in names if name.endswith(")")]) == 1
