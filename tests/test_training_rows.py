"""Training rows: every schema and foreign form read, every fault named with its file, row and field, weights kept."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.language.rows import digest, mixed, read_rows
from workspace.errors import DataError

CHAT = [{"role": "user", "content": "What is silk?"}, {"role": "assistant", "content": "A protein fibre."}]


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("stage", "row", "read"),
    [
        ("cpt", {"text": "Silk is strong.", "source": {"page": 1}}, {"text": "Silk is strong."}),
        ("sft", {"messages": CHAT}, {"messages": CHAT}),
        ("sft", {"instruction": "What is", "input": "silk?", "output": "A fibre."}, None),
        ("sft", {"conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "Silk."}]}, None),
        ("dpo", {"prompt": "What?", "chosen": "Silk.", "rejected": "Wood."}, None),
        ("orpo", {"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": "Wood."}, None),
    ],
)
def test_every_form_is_read(stage: str, row: dict[str, Any], read: dict[str, Any] | None, tmp_path: Path) -> None:
    [told] = read_rows(written(tmp_path, row), stage)
    if read is not None:
        assert told == read
    for value in told.values():
        assert isinstance(value, str) or all(set(one) == {"role", "content"} for one in value)
    if "conversations" in row:
        assert [one["role"] for one in told["messages"]] == ["user", "assistant"]
    if "instruction" in row:
        assert told["messages"][0]["content"] == "What is\n\nsilk?"


@pytest.mark.parametrize(
    ("stage", "row", "why"),
    [
        ("cpt", {"txt": "x"}, "row 2: no field 'text'; cpt reads text, it has txt"),
        ("cpt", {"text": " "}, "row 2, text: it is empty"),
        ("cpt", {"text": 3}, "row 2, text: it is 3, not text"),
        ("cpt", {"text": None}, "row 2, text: it is null, not text"),
        ("cpt", {"text": "half \ud800"}, "row 2, text: it holds half a character"),
        ("cpt", {"text": "x" * 400_001}, "row 2, text: it has 400,001 letters"),
        ("cpt", ["text"], 'row 2: it is ["text"], no object (rows are JSON, one object a line (JSONL)'),
        ("sft", {"instruction": {"a": 1}, "output": "x"}, 'row 2, instruction: it is {"a": 1}, not text'),
        ("sft", {"instruction": "a", "input": 5, "output": "x"}, "row 2, input: it is 5, not text"),
        ("sft", {"messages": []}, "row 2, messages: it is no list of messages"),
        ("sft", {"messages": CHAT[:1]}, "the last message is the user's, not the assistant's"),
        ("sft", {"messages": [*CHAT, *CHAT[1:]]}, "message 3: assistant after assistant"),
        ("sft", {"messages": [{"role": "robot", "content": "x"}]}, "message 1: unknown role 'robot'"),
        ("sft", {"messages": [{"content": "x"}]}, "message 1: it has no role and content"),
        ("sft", {"messages": [CHAT[0], {"role": "assistant", "content": ""}]}, "message 2, content: it is empty"),
        ("sft", {"messages": [CHAT[0], {"role": "system", "content": "x"}, CHAT[1]]}, "message 2: system after user"),
        ("dpo", {"prompt": "a", "chosen": "b", "rejected": "b"}, "row 2: chosen and rejected are the same"),
        ("dpo", {"prompt": "a", "chosen": "b c", "rejected": " b  c\n"}, "row 2: chosen and rejected are the same"),
        ("dpo", {"prompt": "a", "chosen": "b"}, "no field 'rejected'; dpo reads prompt, chosen, rejected"),
        ("dpo", {"prompt": CHAT, "chosen": "b", "rejected": "c"}, "prompt: the last message is the assistant's"),
    ],
)
def test_a_wrong_row_is_named(stage: str, row: Any, why: str, tmp_path: Path) -> None:
    good: dict[str, Any] = {"cpt": {"text": "x"}, "sft": {"messages": CHAT}}.get(
        stage, {"prompt": "a", "chosen": "b", "rejected": "c"}
    )
    with pytest.raises(DataError) as caught:
        read_rows(written(tmp_path, good, row), stage)
    assert why in str(caught.value) and "rows.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(DataError, match="cannot read"):
        read_rows(path, "cpt")
    for text, why in (
        ('{"text": "a"}\n{"text": \n', "line 2: no JSON"),
        ("[\n", "line 1: no JSON .* one object a line"),
        ('[{"text": "a"},\n {"text": }]', "line 2: no JSON .Expecting value, column 11"),
        ('{"text": "a", "text": "b"}', "line 1: no readable JSON .the field 'text' stands twice"),
        ('{"text": ' + "[" * 100_000, "line 1: no readable JSON .maximum recursion"),
        ('{"text": ' + "9" * 5000 + "}", "line 1: no readable JSON .Exceeds the limit"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=why):
            read_rows(path, "cpt")
    path.write_bytes("größe".encode("latin-1"))
    with pytest.raises(DataError, match=r"rows.jsonl is not UTF-8 \(byte 2\) \(save it as UTF-8\)"):
        read_rows(path, "cpt")
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no rows"):
        read_rows(path, "cpt")
    (tmp_path / "rows.parquet").write_bytes(b"PAR0")
    with pytest.raises(DataError, match="cannot read"):
        read_rows(tmp_path / "rows.parquet", "cpt")
    with pytest.raises(DataError, match=r"none.parquet: No such file or directory"):
        read_rows(tmp_path / "none.parquet", "cpt")


def test_a_text_may_hold_other_ends_of_lines(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes('\ufeff{"text": "one\u2028two\x85three"}\r\n'.encode())
    assert read_rows(tmp_path / "rows.jsonl", "cpt") == [{"text": "one\u2028two\x85three"}]


def test_parquet_is_read_as_jsonl_is(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"messages": CHAT}]), tmp_path / "rows.parquet")
    assert read_rows(tmp_path / "rows.parquet", "sft") == [{"messages": CHAT}]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0])), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_weights_mean_what_they_say(sizes: list[tuple[int, float]], seed: int) -> None:
    sets = [([{"text": f"{place}-{n}"} for n in range(count)], weight) for place, (count, weight) in enumerate(sizes)]
    told = Counter(row["text"] for row in mixed(sets, seed))
    for rows, weight in sets:
        shown = [told[row["text"]] for row in rows]
        assert all(int(weight) <= count <= int(weight) + 1 for count in shown)
        assert sum(shown) == int(weight) * len(rows) + round((weight - int(weight)) * len(rows))
    assert mixed(sets, seed) == mixed(sets, seed)


def test_rows_are_told_apart() -> None:
    assert digest([{"a": 1, "b": 2}]) == digest([{"b": 2, "a": 1}]) != digest([{"a": 2}])
