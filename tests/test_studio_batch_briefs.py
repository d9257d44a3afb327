"""Files of briefs: every form read, every broken line named and the rest read, nothing dropped in silence."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from studio.batching.briefs import read_items
from studio.batching.lines import LONGEST, Lines, open_lines
from studio.batching.shapes import Fault, Item, folder_name
from studio.runs.request import DesignOptions
from workspace.errors import DataError, UsageError

PANEL, SHELL = "A tough panel", "A light shell"


def written(tmp_path: Path, content: str | bytes, name: str = "briefs.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path | str, **how: Any) -> tuple[list[Item], list[Fault], list[str]]:
    """The items and faults of a file, and what was told."""
    told: list[str] = []
    found = list(read_items([path], **how, tell=lambda event: told.append(event.text)))
    return [one for one in found if isinstance(one, Item)], [one for one in found if isinstance(one, Fault)], told


def lines(*rows: Any) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def only(tmp_path: Path, row: Any, **how: Any) -> Item | Fault:
    [found] = read_items([written(tmp_path, lines(row))], **how)
    return found


def test_a_line_is_a_text_or_an_object(tmp_path: Path) -> None:
    whole = {"brief": PANEL, "inspirations": ["silk", "nacre"], "program": "relate-and-design", "seed": 7, "images": 3,
             "rounds": 2, "size": 256, "model": "m", "adapter": "a", "id": "X/1"}  # fmt: skip
    items, faults, told = read(written(tmp_path, lines(json.dumps(PANEL), whole)))
    assert not faults and not told
    assert (items[0].brief, items[0].options, items[0].line) == (PANEL, DesignOptions(), 1)
    options = {key: value for key, value in whole.items() if key not in ("brief", "id")}
    assert items[1].options == DesignOptions(**options | {"inspirations": ("silk", "nacre")})
    assert (items[1].id, items[1].line) == ("X/1", 2)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"brief": "A pan', "no JSON (Unterminated string"),
        ('{"brief": "A panel",}', "no JSON ("),
        ('{"brief": "A panel"} x', "no JSON (Extra data, column 22"),
        ("A panel", "no JSON (Expecting value, column 1)"),
        ('{"brief": "A panel", "brief": "x"}', "the field 'brief' stands twice"),
        ('{"brief": "A panel", "Brief": "x"}', "the column 'brief' stands twice"),
        ('{"brief": "A panel", "seed": NaN}', "NaN is no number of JSON"),
        ("[" * 100_000, "no readable JSON"),
        ("5", "it is 5, neither a text nor an object"),
        ("null", "it is null, neither a text nor an object"),
        ('{"seed": 3}', "there is no brief"),
        ('{"brief": "  "}', "the brief is empty"),
        ('{"brief": "\u200b"}', "the brief's text"),
        ('{"brief": "x"}', "the brief's text: is shorter than 3 characters"),
        ('{"brief": ["A panel"]}', 'brief: it is ["A panel"], not text'),
        (json.dumps({"brief": "x" * 9000}), "the brief's text has 9000 characters; it may have 1 to 8000"),
        ('{"brief": "A \\ud800 panel"}', "brief: it holds half a character"),
        ('{"brief": "A \\u0000 panel"}', "brief: letter 3 is NUL"),
        ('{"brief": "A panel", "seed": 1.5}', "seed: it is 1.5, not a whole number"),
        ('{"brief": "A panel", "seed": 1e400}', "seed: it is Infinity, not a whole number"),
        ('{"brief": "A panel", "seed": true}', "seed: it is true, not a whole number"),
        ('{"brief": "A panel", "seed": "1.000"}', 'seed: it is "1.000", not a whole number'),
        ('{"brief": "A panel", "seed": "1,000"}', 'seed: it is "1,000", not a whole number'),
        ('{"brief": "A panel", "seed": -1}', "seed must be 0 to 2147483647, not -1"),
        ('{"brief": "A panel", "seed": ' + "9" * 5000 + "}", "no readable JSON"),
        ('{"brief": "A panel", "size": 100}', "size must be a multiple of 16, not 100"),
        ('{"brief": "A panel", "images": 0}', "images must be 1 to 64, not 0"),
        ('{"brief": "A panel", "model": 5}', "model: it is 5, not text"),
        ('{"brief": "A panel", "program": "relate-and-desing"}', "did you mean 'relate-and-design'"),
        ('{"brief": "A panel", "inspirations": 5}', "inspirations: it is 5, neither a text nor a list of texts"),
        ('{"brief": "A panel", "inspirations": ["silk", 5]}', "neither a text nor a list of texts"),
        ('{"brief": "A panel", "inspirations": "[silk"}', "neither a text nor a list of texts"),
        ('{"brief": "A panel", "inspirations": "aa;bb;cc;dd;ee;ff;gg"}', "7 inspirations given; at most 6"),
        ('{"brief": "A panel", "inspirations": ["silk ("]}', "has an unclosed bracket"),
        ('{"brief": "A panel", "id": ["a"]}', 'id: it is ["a"], neither a text nor a number'),
        ('{"brief": "A panel", "id": true}', "id: it is true"),
        ('{"brief": "A panel", "id": 1e999}', "id: it is inf, no number"),
        ('{"brief": "A panel", "id": "a\\u0000"}', "id: letter 2 is NUL"),
        (json.dumps({"brief": "A panel", "id": "i" * 1001}), "id: it has 1,001 letters"),
    ],
)
def test_a_broken_line_is_named_and_the_rest_is_read(line: str, why: str, tmp_path: Path) -> None:
    items, faults, _ = read(written(tmp_path, lines({"brief": PANEL, "id": "a"}, line, {"brief": SHELL, "id": "b"})))
    assert [item.id for item in items] == ["a", "b"]
    [fault] = faults
    assert fault.line == 2 and why in fault.reason and "\n" not in fault.reason and len(fault.reason) <= 300
    assert fault.source.endswith("briefs.jsonl")


def test_a_fault_has_the_id_that_its_line_gives(tmp_path: Path) -> None:
    fault = only(tmp_path, {"id": "mine", "brief": PANEL, "seed": "x"})
    assert isinstance(fault, Fault) and fault.id == "mine"


@pytest.mark.parametrize("seed", [7, 7.0, "7", " 7 ", "7.0", "7,0", "7.00", "+7"])
def test_whole_numbers_as_programs_write_them(seed: Any, tmp_path: Path) -> None:
    found = only(tmp_path, {"brief": PANEL, "seed": seed})
    assert isinstance(found, Item) and found.options.seed == 7


@pytest.mark.parametrize(
    "names",
    [
        "silk; nacre", "silk;nacre;", ["silk", "nacre"], [" silk", "", "Silk", "nacre"], '["silk", "nacre"]',
        "['silk', 'nacre']",
    ],
)  # fmt: skip
def test_inspirations_as_text_or_list(names: Any, tmp_path: Path) -> None:
    found = only(tmp_path, {"brief": PANEL, "inspirations": names})
    assert isinstance(found, Item) and found.options.inspirations == ("silk", "nacre")


def test_a_list_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    bomb = (
        "[&a [x], "
        + ", ".join(f"&{b} [*{a}, *{a}]" for a, b in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True))
        + "]"
    )
    assert "neither a text nor a list" in str(only(tmp_path, {"brief": PANEL, "inspirations": bomb}))


def test_what_is_empty_is_the_default(tmp_path: Path) -> None:
    empty = {"brief": PANEL, "inspirations": [], "program": "", "seed": None, "images": " ", "model": None, "id": " "}
    defaults = DesignOptions(images=4, inspirations=["silk"], seed=5, profile="gpu", ask=True)
    found = only(tmp_path, empty, defaults=defaults)
    assert isinstance(found, Item)
    assert found.options == DesignOptions(images=4, inspirations=("silk",))  # seed, profile and ask are the batch's
    own = only(tmp_path, empty | {"images": 1, "inspirations": "nacre"}, defaults=defaults)
    assert isinstance(own, Item) and own.options == DesignOptions(images=1, inspirations=("nacre",))


def test_ids_are_kept_as_they_are_and_numbers_as_they_are_written(tmp_path: Path) -> None:
    ids: list[Any] = ["a/b", "../../etc", "材料 1", "i" * 300, "A", "a", 7, 7.5, " x ", "con", "a\nb"]
    items, faults, _ = read(written(tmp_path, lines(*({"brief": PANEL, "id": name} for name in ids))))
    assert not faults and [item.id for item in items] == [str(name) for name in ids]
    folders = [item.folder for item in items]
    assert len({name.casefold() for name in folders}) == len(ids)
    assert all(name.isascii() and "/" not in name and name[0].isalnum() and len(name) <= 80 for name in folders)
    assert folders[5] == "a" and folders[9] != "con"


@given(st.lists(st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()), unique=True, max_size=20))
def test_no_two_ids_have_one_folder(ids: list[str]) -> None:
    ids = list(dict.fromkeys([*ids, *map(folder_name, ids), *(name.swapcase() for name in ids)]))
    assert len({folder_name(name).casefold() for name in ids}) == len(ids)
    assert all(folder_name(name).strip(".") and "/" not in folder_name(name) for name in ids)


def test_an_id_that_is_not_given_comes_of_the_content_alone(tmp_path: Path) -> None:
    rows = [{"brief": PANEL, "seed": 7}, '{"seed": "7.0",   "brief": " A tough panel "}', {"brief": PANEL}]
    items, _, _ = read(written(tmp_path, lines({"brief": SHELL}, *rows)))
    assert items[1].id == items[2].id and len({item.id for item in items}) == 3
    assert items[1].id.startswith("a-tough-panel-")
    again, _, _ = read(written(tmp_path, lines(*rows), "other.jsonl"), defaults=DesignOptions(images=3))
    assert again[0].id == items[1].id and again[0].hash != items[1].hash


def test_unknown_columns_are_a_fault_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, lines({"brief": PANEL}, {"brief": PANEL, "inspiration": "silk", "colour": "red"}))
    with pytest.raises(DataError, match=r"line 2: unknown column 'inspiration'; did you mean 'inspirations'\?.*colour"):
        read(path)
    items, faults, told = read(path, ignore_columns=True)
    assert len(items) == 2 and not faults
    assert ["'inspiration'" in told[0], "'colour'" in told[1]] == [True, True] and len(told) == 2
    table = written(tmp_path, "brief,sede\nA panel,3\nA shell,4\n", "briefs.csv")
    with pytest.raises(DataError, match="line 1: unknown column 'sede'; did you mean 'seed'"):
        read(table)
    assert [item.options.seed for item in read(table, ignore_columns=True)[0]] == [None, None]
    with pytest.raises(DataError, match=r"unknown column 'profile'.*whole batch's"):
        read(written(tmp_path, lines({"brief": PANEL, "profile": "gpu"})))


def test_many_unknown_columns_are_told_a_thousand_at_most(tmp_path: Path) -> None:
    path = written(tmp_path, lines(*({"brief": PANEL, f"x{number}": 1} for number in range(1500))))
    items, _, told = read(path, ignore_columns=True)
    assert len(items) == 1500 and len(told) == 1001 and "more columns" in told[-1]


def test_openai_lines(tmp_path: Path) -> None:
    def line(name: str, messages: Any, **body: Any) -> dict[str, Any]:
        whole = {"model": "gpt", "messages": messages, **body}
        return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": whole}

    parts = [{"type": "text", "text": "A tough"}, {"type": "text", "text": "panel"}]
    first = [{"role": "system", "content": "You design."}, {"role": "user", "content": "x"}]
    rows = [
        line("a", [*first, {"role": "user", "content": PANEL}, {"role": "assistant", "content": "..."}], seed=5),
        line("b", [{"role": "user", "content": parts}], max_tokens=9),
        line("c", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]),
        line("d", [{"role": "system", "content": "x"}]),
        line("e", None),
        line("f", [{"role": "user", "content": None}]),
    ]
    items, faults, told = read(written(tmp_path, lines(*rows)))
    assert [(item.id, item.brief, item.options.seed) for item in items] == [
        ("a", PANEL, 5),
        ("b", "A tough\npanel", None),
    ]
    why = ["a brief is made of text alone", "none is the user's", "no list of messages", "the brief is empty"]
    assert [fault.line for fault in faults] == [3, 4, 5, 6]
    assert all(words in fault.reason for words, fault in zip(why, faults, strict=True))
    [remark] = told
    assert "body.model (3)" in remark and "body.max_tokens (1)" in remark and "beside the user's last (1)" in remark


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_packed_marked_and_ended_in_any_way(pack: Any, coding: str, end: str, tmp_path: Path) -> None:
    text = end.join(["", '"Zähe Perlmuttplatte"', "  ", '{"brief": "硬い貝殻のような板"}', ""])
    items, faults, _ = read(written(tmp_path, pack(text.encode(coding)), "briefs.jsonl.gz"))
    assert [(item.brief, item.line) for item in items] == [("Zähe Perlmuttplatte", 2), ("硬い貝殻のような板", 4)]
    assert not faults


def test_excel_tables(tmp_path: Path) -> None:
    table = 'sep=;\r\nBrief;Inspirations;Seed;\r\n"Zäh; ""leicht""\nund dünn";"Seide; Perlmutt";7,0;\r\n'
    table += ";;;\r\nEine Platte;;;\r\n"
    for data in (table.encode("utf-8-sig"), table.removeprefix("sep=;\r\n").encode()):
        items, faults, _ = read(written(tmp_path, data, "briefs.csv"))
        assert not faults
        assert items[0].brief == 'Zäh; "leicht"\nund dünn' and items[0].options.seed == 7
        assert items[0].options.inspirations == ("Seide", "Perlmutt") and items[1].brief == "Eine Platte"
    assert [item.line for item in items] == [2, 5]
    western = written(tmp_path, table.encode("cp1252"), "briefs.csv")
    _, faults, _ = read(western)
    assert [fault.line for fault in faults] == [3] and "as windows-1252 it is" in faults[0].reason
    assert "Zäh" in faults[0].reason
    assert read(western, encoding="windows-1252")[0] == read(written(tmp_path, table, "briefs.csv"))[0]
    unicode_text = "brief\tseed\r\nEine zähe Platte\t7\r\n".encode("utf-16")
    assert read(written(tmp_path, unicode_text, "briefs.txt"))[0][0].options.seed == 7


@pytest.mark.parametrize(
    ("table", "good", "bad", "why"),
    [
        ('A one,1\n"A two,2\nA three,3\nA four,4\n', [2, 4, 5], [3], "does not end where it should"),
        ('A one,1\n"A two,2\nA three,"3"\nA four,4\n', [2, 4, 5], [3], "does not end"),
        ('A one,1\n"A "two" more\nwith, commas, here\nto end",2\nA four,4\n', [2, 6], [3], "lines 3 to 5 are lost"),
        ('A one,1\nA 5" two,2\nA four,4\n', [2, 4], [3], "does not end"),
        ('A one,1\nA "5" two,2\nA four,4\n', [2, 4], [3], "a quote stands within a cell"),
        ("A one,1\nA two,2,3\nA four,4,,\n", [2, 4], [3], "it has 3 cells, the first line 2"),
        ('A one, "1"\nA two\n"",""\n', [2, 3], [], ""),
        ('A one,1\n"A two\nmore",2,3\nA four,4\n', [2, 5], [3], "it has 3 cells"),
        (f'A one,1\n"A two,2\n{"A more,7" + chr(10)}' + "A row,3\n" * 4000, [2, *range(4, 4005)], [3], "does not end"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_costs_itself(table: str, good: list[int], bad: list[int], why: str, tmp_path: Path) -> None:
    items, faults, _ = read(written(tmp_path, "brief,seed\n" + table, "briefs.csv"))
    assert [item.line for item in items] == good
    assert [fault.line for fault in faults] == bad and all(why in fault.reason for fault in faults)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("text,seed", "no column is called brief; the columns are text, seed"),
        ("breif,seed", "did you mean 'breif'"),
        ("brief,seed,Brief", "the column 'brief' stands twice"),
        (",brief", "a column has no name, as an index"),
        ("brief,seed,images,x\x00", "NUL"),
    ],
)
def test_a_table_without_its_columns_is_refused(header: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        read(written(tmp_path, f"{header}\nA panel,3\n", "briefs.csv"))


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
BRIEFS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=3, max_size=60).filter(
    lambda text: sum(sign.isalnum() and sign.isascii() for sign in text) >= 3
)


@given(
    st.lists(st.tuples(BRIEFS, CELLS.filter(str.strip), st.integers(0, 2**31 - 1)), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_the_csv_module_writes_comes_back(tmp_path: Path, rows: list[Any], separator: str) -> None:
    made = io.StringIO()
    writer = csv.writer(made, delimiter=separator)
    writer.writerow(["brief", "model", "seed"])
    writer.writerows(rows)
    items, faults, _ = read(written(tmp_path, made.getvalue(), "briefs.csv"))
    assert not faults
    assert [item.brief for item in items] == [brief.strip() for brief, _, _ in rows]
    assert [item.options.model for item in items] == [model.strip() for _, model, _ in rows]
    assert [item.options.seed for item in items] == [seed for _, _, seed in rows]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
COLUMN = st.sampled_from(
    ["brief", "Brief", "inspirations", "program", "seed", "images", "rounds", "size", "model", "adapter", "id", "body",
     "custom_id", "x"]
)  # fmt: skip


@given(st.dictionaries(COLUMN, JSON, max_size=6) | JSON, st.booleans())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_any_json_line_is_an_item_or_a_fault(tmp_path: Path, row: Any, raw: bool) -> None:
    text = json.dumps(row, ensure_ascii=not raw)
    data = (
        lines({"brief": PANEL}).encode()
        + text.encode("utf-8", "surrogatepass")
        + b"\n"
        + lines({"brief": SHELL}).encode()
    )
    items, faults, _ = read(written(tmp_path, data), ignore_columns=True)
    assert sorted(one.line for one in [*items, *faults]) == [1, 2, 3]
    assert [item.brief for item in items if item.line != 2] == [PANEL, SHELL]


@given(st.binary(max_size=200), st.sampled_from(["briefs.jsonl", "briefs.csv", "briefs.txt", "briefs", "briefs.json"]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, name: str) -> None:
    try:
        read(written(tmp_path, data, name), ignore_columns=True)
    except DataError as refused:
        assert "\n" not in str(refused)


def test_a_very_long_line_is_passed_over(tmp_path: Path) -> None:
    data = lines({"brief": PANEL}) + json.dumps({"brief": "x" * (3 * LONGEST)}) + "\n" + lines({"brief": SHELL})
    items, faults, _ = read(written(tmp_path, data))
    assert [item.line for item in items] == [1, 3]
    assert (faults[0].line, faults[0].reason) == (2, "it has more than 1,000,000 letters")


def test_bytes_that_are_no_text_cost_their_line(tmp_path: Path) -> None:
    data = b'"A tough panel"\n"A \xff\xfe shell"\n"A \0 shell"\n"A light shell",\n'
    items, faults, _ = read(written(tmp_path, data))
    assert [item.line for item in items] == [1, 4]
    assert "not UTF-8 (byte 0xff, letter 4)" in faults[0].reason and "letter 4 is NUL" in faults[1].reason


@pytest.mark.parametrize(
    "text",
    [
        '[{"brief": "A tough panel"}, {"brief": "A light shell", "seed": 4}]',
        '[\n  {\n    "brief": "A tough panel"\n  },\n  {\n    "brief": "A light shell",\n    "seed": 4\n  },\n]\n',
        '{\n  "brief": "A tough panel"\n}\n{\n  "brief": "A light shell",\n  "seed": 4\n}\n',
        '["A tough panel", {"brief": "A light shell", "seed": "4"}]',
    ],
)
def test_arrays_and_objects_laid_out(text: str, tmp_path: Path) -> None:
    items, faults, _ = read(written(tmp_path, text, "briefs.json"))
    assert [item.brief for item in items] == [PANEL, SHELL] and items[1].options.seed == 4 and not faults
    assert items[1].line == 1 + text[: text.rindex("{")].count("\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[\n{"brief": "A panel"},\n{"brief": "A shell" "seed": 3}\n]', "line 3: no JSON"),
        ('[\n{"brief": "A panel"},\n', "its array does not end"),
        ("", "holds no briefs"),
        ("\n\n  \r\n", "holds no briefs"),
        ("[]", "holds no briefs"),
        ("[\ufffe", "no JSON"),
    ],
)
def test_a_file_that_is_broken_as_a_whole_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        read(written(tmp_path, text, "briefs.json"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", "a workbook or an archive.*save the sheet as CSV"),
        (b"PAR1\x15\x04\x15", "Parquet.*to_json"),
        (b"\x28\xb5\x2f\xfd\x04", "Zstandard.*zstd -dc"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is no text: it begins with 89 50"),
        ('{"brief": "A panel"}'.encode("utf-16-le"), "say --encoding utf-16-le"),
        (gzip.compress(b'"A tough panel"\n' * 5000)[:-20], "cannot read .* after line .*get it anew"),
        (b"\x1f\x8b\x08garbage", "cannot read"),
        (b"once upon a time\n", "begins with 'once upon a time', which is no form"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        read(written(tmp_path, data, "briefs.dat"))


def test_places_that_are_no_files(tmp_path: Path) -> None:
    written(tmp_path, lines({"brief": PANEL}))
    for place, why in (
        (tmp_path / "brief.jsonl", "is not there; did you mean '.*briefs.jsonl'"),
        (tmp_path / "nowhere" / "b.jsonl", "nor is the folder"),
        (tmp_path, "is a folder; it holds briefs.jsonl"),
        (tmp_path / ("x" * 300), "File name too long"),
        ("a\0b", "cannot read"),
    ):
        with pytest.raises(DataError, match=why):
            read(place)
    with pytest.raises(UsageError, match="unknown encoding 'latin-99'"):
        read(tmp_path / "briefs.jsonl", encoding="latin-99")


def test_text_has_a_brief_a_line_and_says_that_it_is_read_so(tmp_path: Path) -> None:
    text = 'A tough panel\n\n"Silk-like" shell\n{"brief": "A light shell", "seed": 3}\n[draft] A panel\n'
    items, faults, told = read(written(tmp_path, text, "briefs.txt"))
    assert [item.brief for item in items] == [PANEL, '"Silk-like" shell', SHELL, "[draft] A panel"] and not faults
    assert "read as text, a brief a line" in told[0]


@pytest.mark.parametrize("data", [b'{"brief": "A tough panel"}\n', b"brief,seed\nA tough panel,\n", b"A tough panel\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_however_slowly_it_comes(data: bytes, pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return super().read1(1)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Slow(pack(data))))
    items, faults, _ = read("-")
    assert [item.brief for item in items] == [PANEL] and not faults and items[0].source == "standard input"


def test_a_file_that_is_still_written(tmp_path: Path) -> None:
    path = written(tmp_path, lines({"brief": PANEL}) + "A light")
    found = read_items([path])
    assert isinstance(next(found), Item)
    with path.open("a") as file:
        file.write(" shell")
    [fault] = found
    assert isinstance(fault, Fault) and fault.line == 2 and "still being written" in fault.reason


def test_several_files_follow_one_another(tmp_path: Path) -> None:
    first, second = written(tmp_path, lines({"brief": PANEL})), written(tmp_path, "brief\nA light shell\n", "b.csv")
    found = [one for one in read_items([first, second]) if isinstance(one, Item)]
    assert [(item.brief, Path(item.source).name) for item in found] == [(PANEL, "briefs.jsonl"), (SHELL, "b.csv")]


def test_a_pipe_is_read(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, lines({"brief": PANEL}).encode())
    os.close(writer)
    try:
        assert [item.brief for item in read(f"/dev/fd/{reader}")[0]] == [PANEL]
    finally:
        os.close(reader)


def test_lines_may_be_put_back(tmp_path: Path) -> None:
    with open_lines(written(tmp_path, "a\nb\nc\n")) as found:
        assert isinstance(found, Lines)
        taken = [next(found), next(found)]
        found.back(taken)
        assert [(line.number, line.text) for line in found] == [(1, "a\n"), (2, "b\n"), (3, "c\n")]
