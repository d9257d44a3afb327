"""Rows as people have them: every common form of file and row read alike, what is not used named, the rest refused."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.language.rows import read_rows
from workspace.errors import DataError
from workspace.progress import Progress

pytest_plugins = ["tests.fixtures_local"]
ASKED, SAID, OTHER = "What makes nacre tough?", "Its bricks slide by 10^-9 m.", "It is glass."
USER, ASSISTANT, WRONG = (
    {"role": "user", "content": ASKED},
    {"role": "assistant", "content": SAID},
    {"role": "assistant", "content": OTHER},
)
SYSTEM = {"role": "system", "content": "Be short."}
EARLIER = [{"role": "user", "content": "And bone?"}, {"role": "assistant", "content": "Collagen."}]


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, stage: str) -> tuple[list[dict[str, Any]], list[str]]:
    said: list[Progress] = []
    rows = read_rows(path, stage, said.append)
    return rows, [event.text for event in said if event.type == "remark"]


TALKS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "alpaca": ({"instruction": ASKED, "input": "", "output": SAID}, [USER, ASSISTANT]),
    "alpaca of LLaMA-Factory": (
        {"instruction": ASKED, "output": SAID, "system": "Be short.", "history": [["And bone?", "Collagen."]]},
        [SYSTEM, *EARLIER, USER, ASSISTANT],
    ),
    "dolly": (
        {"instruction": "What is", "context": "nacre?", "response": SAID},
        [{"role": "user", "content": "What is\n\nnacre?"}, ASSISTANT],
    ),
    "question": ({"question": ASKED, "answer": SAID}, [USER, ASSISTANT]),
    "query": ({"query": ASKED, "response": SAID}, [USER, ASSISTANT]),
    "completion": ({"prompt": ASKED, "completion": SAID}, [USER, ASSISTANT]),
    "input and output": ({"input": ASKED, "output": SAID}, [USER, ASSISTANT]),
    "messages as prompt": ({"prompt": [SYSTEM, USER], "completion": [ASSISTANT]}, [SYSTEM, USER, ASSISTANT]),
    "OpenOrca": ({"system_prompt": "Be short.", "question": ASKED, "response": SAID}, [SYSTEM, USER, ASSISTANT]),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}], "system": "Be short."},
        [SYSTEM, USER, ASSISTANT],
    ),
    "roles in conversations": ({"conversations": [USER, ASSISTANT]}, [USER, ASSISTANT]),
    "from and value in messages": (
        {"messages": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
        [USER, ASSISTANT],
    ),
    "the same system twice": (
        {"messages": [SYSTEM, USER, ASSISTANT], "system": "Be short."},
        [SYSTEM, USER, ASSISTANT],
    ),
    "a content in one part": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}, ASSISTANT]},
        [USER, ASSISTANT],
    ),
    "columns that are empty": (
        {
            "messages": [USER, ASSISTANT | {"tool_calls": None, "weight": None}],
            "tools": "[]",
            "images": [],
            "instruction": None,
        },
        [USER, ASSISTANT],
    ),
    "weights": (
        {"messages": [*EARLIER[:1], EARLIER[1] | {"weight": 0}, USER, ASSISTANT | {"weight": 1}]},
        [EARLIER[0], EARLIER[1] | {"learned": False}, USER, ASSISTANT],
    ),
    "masks of losses": (
        {"messages": [*EARLIER[:1], EARLIER[1] | {"loss_mask": 0}, USER, ASSISTANT | {"training": "true"}]},
        [EARLIER[0], EARLIER[1] | {"learned": False}, USER, ASSISTANT],
    ),
    "train": (
        {"conversations": [*EARLIER[:1], EARLIER[1] | {"train": False}, USER, ASSISTANT | {"loss": True}]},
        [EARLIER[0], EARLIER[1] | {"learned": False}, USER, ASSISTANT],
    ),
}


@pytest.mark.parametrize("name", TALKS)
def test_conversations(name: str, tmp_path: Path) -> None:
    row, messages = TALKS[name]
    assert read(written(tmp_path, row), "sft")[0] == [{"messages": messages}]


WHOLE, LOST = [USER, ASSISTANT], [USER, WRONG]
PAIRS: dict[str, dict[str, Any]] = {
    "plain": {"prompt": ASKED, "chosen": SAID, "rejected": OTHER},
    "UltraFeedback": {"prompt": ASKED, "chosen": WHOLE, "rejected": LOST},
    "UltraFeedback, with messages": {"prompt": ASKED, "chosen": WHOLE, "rejected": LOST, "messages": WHOLE},
    "implicit": {"chosen": WHOLE, "rejected": LOST},
    "texts that repeat the prompt": {"prompt": ASKED, "chosen": f"{ASKED} {SAID}", "rejected": f"{ASKED}\n{OTHER}"},
    "messages that repeat it": {
        "prompt": [USER],
        "chosen": [ASSISTANT | {"content": f"{ASKED} {SAID}"}],
        "rejected": [WRONG | {"content": f"{ASKED} {OTHER}"}],
    },
    "HH": {side: f"\n\nHuman: {ASKED}\n\nAssistant: {text}" for side, text in (("chosen", SAID), ("rejected", OTHER))},
    "HH with a prompt": {"prompt": f"\n\nHuman: {ASKED}\n\nAssistant:", "chosen": f" {SAID}", "rejected": f" {OTHER}"},
    "alpaca of LLaMA-Factory": {"instruction": ASKED, "input": "", "chosen": SAID, "rejected": OTHER},
    "two outputs": {"instruction": ASKED, "input": "", "output": [SAID, OTHER]},
    "sharegpt of LLaMA-Factory": {
        "conversations": [{"from": "human", "value": ASKED}],
        "chosen": {"from": "gpt", "value": SAID},
        "rejected": {"from": "gpt", "value": OTHER},
    },
    "roles of LLaMA-Factory": {"messages": [USER], "chosen": ASSISTANT, "rejected": WRONG},
    "question": {"question": ASKED, "chosen": SAID, "rejected": OTHER},
    "OpenAI": {
        "input": {"messages": [USER], "tools": [], "parallel_tool_calls": None},
        "preferred_output": [ASSISTANT],
        "non_preferred_output": [WRONG],
    },
}  # fmt: skip


@pytest.mark.parametrize("names", [("score_chosen", "score_rejected"), ("chosen_rating", "rejected_rating")])
def test_scores_that_say_the_other_way_round_are_told(names: tuple[str, str], tmp_path: Path) -> None:
    for scores, told in (((2.5, 7), True), ((7, 2.5), False), ((3, 3), False)):
        row = {**PAIRS["plain"], **dict(zip(names, scores, strict=True))}
        _, said = read(written(tmp_path, row), "dpo")
        assert any("in 1 rows the chosen answer has a lower score" in line for line in said) == told


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("stage", ["dpo", "orpo"])
def test_preferences(name: str, stage: str, tmp_path: Path) -> None:
    [row], said = read(written(tmp_path, PAIRS[name]), stage)
    for side, text in (("chosen", SAID), ("rejected", OTHER)):
        assert [one["content"].strip() for one in row[side]] == [text]
    assert row["prompt"] == [USER]
    assert any("repeat the prompt" in one for one in said) == ("prompt" in PAIRS[name] and ASKED in str(row["prompt"])
        and (isinstance(PAIRS[name]["chosen"], list) or ASKED in PAIRS[name]["chosen"]))  # fmt: skip


def test_a_prompt_of_several_turns_stands_once(tmp_path: Path) -> None:
    for row in (
        {"prompt": ASKED, "system": "Be short.", "chosen": [*EARLIER, *WHOLE], "rejected": [*EARLIER, *LOST]},
        {"prompt": [*EARLIER, USER], "chosen": [SYSTEM, *EARLIER, *WHOLE], "rejected": [SYSTEM, *EARLIER, *LOST]},
        {"prompt": [SYSTEM, *EARLIER, USER], "chosen": [*EARLIER, *WHOLE], "rejected": [*EARLIER, *LOST]},
        {
            "prompt": ASKED,
            "history": [["And bone?", "Collagen."]],
            "system": "Be short.",
            "chosen": SAID,
            "rejected": OTHER,
        },
    ):
        [made], _ = read(written(tmp_path, row), "dpo")
        assert made == {"prompt": [SYSTEM, *EARLIER, USER], "chosen": [ASSISTANT], "rejected": [WRONG]}


def test_an_answer_may_begin_as_a_short_question_does(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "chosen": "Hi there.", "rejected": "Hi!"}
    [made], said = read(written(tmp_path, row), "dpo")
    assert made["chosen"][0]["content"] == "Hi there." and not said


@pytest.mark.parametrize(
    ("stage", "row", "why", "what"),
    [
        ("sft", {"messages": [USER, ASSISTANT], "images": ["a.png"]}, "row 1, images: it is", "remove the rows"),
        ("sft", {"messages": [USER, ASSISTANT | {"reasoning_content": "so"}]}, "reasoning_content", "<think>"),
        ("sft", {"messages": [USER, ASSISTANT | {"content": None, "tool_calls": [{}]}]}, "tool_calls", "as text"),
        ("sft", {"conversations": [USER, {"from": "function_call", "value": "{}"}]}, "'function_call'", "calls"),
        ("sft", {"messages": [USER, ASSISTANT | {"weight": 0}]}, "none of its answers", "remove the row"),
        ("sft", {"messages": [USER, ASSISTANT | {"weight": 0.5}]}, "message 2, weight: it is 0.5", "recipe's weight"),
        ("sft", {"messages": [USER, ASSISTANT | {"weight": 0, "train": True}]}, "do not agree", "keep one"),
        ("sft", {"messages": [USER, ASSISTANT], "weight": 2}, "row 1, weight: it is 2", "recipe's weight"),
        ("sft", {"messages": [USER, ASSISTANT], "train": False}, "not learned", "remove these rows"),
        ("sft", {"prompt": ASKED, "completion": SAID, "label": False}, "label: it is false", "remove these rows"),
        ("sft", {"prompt": ASKED, "completion": SAID, "label": "False"}, 'label: it is "False"', "remove these rows"),
        ("sft", {"prompt": ASKED, "completion": SAID, "label": 0}, "label: it is 0", "or rename the field"),
        ("sft", {"prompt": ASKED, "completion": SAID, "weight": "0"}, "says: not learned", "remove these rows"),
        ("sft", {"question": ASKED, "solution": SAID, "answer": "7"}, "answer and solution could both be", "keep one"),
        ("sft", {"question": ASKED, "answer": 7}, "row 1, answer: it is 7, not text", "write it as text"),
        ("sft", {"messages": [SYSTEM, USER, ASSISTANT], "system": "No."}, "row 1, system: the conv", "keep one of"),
        ("sft", {"messages": [USER, USER, ASSISTANT]}, "message 2: user after user", "join them"),
        ("sft", {"messages": [USER, {"role": "user", "content": [{"type": "image_url"}]}]}, '"image_url"', "pictures"),
        ("sft", {"text": "x"}, "no field 'messages'; sft reads messages", "an answer's output, response"),
        ("cpt", {"body": "x"}, "no field 'text'; cpt reads text, it has body", "rename"),
        ("dpo", {"chosen": SAID, "rejected": OTHER}, "no field 'prompt'; dpo reads prompt", "as whole conversations"),
        ("dpo", {"prompt": "Another one?", "chosen": WHOLE, "rejected": LOST}, "about another prompt", "go on from"),
        ("dpo", {"chosen": WHOLE, "rejected": [*EARLIER]}, "share no question", "same question"),
        ("dpo", {"instruction": ASKED, "output": [SAID]}, "row 1, output: it has 1 answers", "the better one first"),
        ("dpo", {"prompt": ASKED, "completion": SAID, "label": True}, "no field 'chosen'", "name the better answer"),
        ("dpo", {"prompt": ASKED, "chosen": [ASSISTANT | {"weight": 0}], "rejected": OTHER}, "row 1, chosen", "sft"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_to_do(stage: str, row: Any, why: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(written(tmp_path, row), stage)
    assert why in caught.value.message and "rows.jsonl" in caught.value.message
    assert what in str(caught.value.hint) and "\n" not in str(caught.value)


def test_what_is_not_used_is_named_in_a_line(tmp_path: Path) -> None:
    rows = [{"messages": [USER | {"weight": 1}, ASSISTANT | {"name": "a"}], "score": n, "source": "x"} for n in (1, 2)]
    made, said = read(written(tmp_path, *rows, {"messages": [*EARLIER]}), "sft")
    assert len(made) == 2 and said == [
        "rows.jsonl: fields that are not used, with how many rows have them: a weight, train or loss of a user's or "
        "system's message (2), a message's name (2), score (2), source (2)",
        "rows.jsonl: 1 rows say what one before them says, and are left out",
    ]
    assert read(written(tmp_path, *rows[:1]), "sft")[0] == [{"messages": [USER, ASSISTANT]}]


ROWS = [
    {"instruction": ASKED, "output": SAID},
    {"instruction": 'Is "nacre"\ntough, or not?', "output": "Yes; 1.5 GPa."},
]


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def forms(folder: Path) -> dict[str, Path]:
    """The same rows in every form of file."""
    import pyarrow
    import pyarrow.parquet
    from datasets import Dataset

    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    made: dict[str, bytes] = {
        "a.jsonl": lines.encode(),
        "blank.jsonl": lines.replace("\n", "\r\n\r\n").encode("utf-8-sig"),
        "wide.jsonl": lines.encode("utf-16"),
        "a.json": json.dumps(ROWS).encode(),
        "pretty.json": json.dumps(ROWS, indent=2).encode(),
        "one-after-another.json": "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "a.json.gz": gzip.compress(json.dumps(ROWS).encode()),
        "packed.jsonl": gzip.compress(lines.encode()),
        "a.jsonl.bz2": bz2.compress(lines.encode()),
        "a.jsonl.zst": pyarrow.Codec("zstd").compress(lines.encode(), asbytes=True),
    }
    for name, separator in (("a.csv", ","), ("semicolons.csv", ";"), ("a.tsv", "\t")):
        sheet = io.StringIO()
        table = csv.DictWriter(sheet, ["instruction", "input", "output"], delimiter=separator)
        table.writeheader()
        table.writerows(ROWS)
        made[name] = sheet.getvalue().encode("utf-8-sig")
    made |= {
        "lines.zip": zipped({"__MACOSX/a.jsonl": b"x", "data/": b"", "data/a.jsonl": lines.encode()}),
        "table.zip": zipped({"a.csv": made["a.csv"]}),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "a.parquet")
    Dataset.from_list(ROWS).select([1, 0]).select([1, 0]).save_to_disk(folder / "saved")
    (folder / "a.arrow").write_bytes((folder / "saved" / "data-00000-of-00001.arrow").read_bytes())
    return {name: folder / name for name in (*made, "a.parquet", "saved", "a.arrow")}


def test_every_form_of_file_is_read_alike(tmp_path: Path) -> None:
    wanted = read_rows(forms(tmp_path)["a.jsonl"], "sft")
    assert [one["messages"][1]["content"] for one in wanted] == [SAID, "Yes; 1.5 GPa."]
    for name, path in forms(tmp_path).items():
        assert read(path, "sft") == (wanted, []), name


def test_other_files_say_what_to_do(tmp_path: Path) -> None:
    made = {
        "a.zip": (b"PK\x03\x04xx", "cannot unpack .*a.zip: File is not a zip file"),
        "two.zip": (
            zipped({"a.jsonl": b"{}", "b.jsonl": b"{}"}),
            r"holds 2 files \(a.jsonl, b.jsonl\); .*name the",
        ),
        "none.zip": (zipped({"a/": b""}), "holds no files"),
        "nested.zip": (zipped({"a.jsonl.gz": gzip.compress(b"{}")}), "nested.zip/a.jsonl.gz is no text .unpack it"),
        "a.xlsx": (zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "is a workbook .*save it as CSV"),
        "a.jsonl.zst": (b"\x28\xb5\x2f\xfdxx", "cannot unpack .*a.jsonl.zst.*get it anew"),
        "cut.jsonl.gz": (gzip.compress(b"x" * 999)[:20], "cannot unpack .*cut.jsonl.gz.*get it anew"),
        "wide.jsonl": ('{"text": "a"}'.encode("utf-16-le"), "letter 2 is NUL .save it as UTF-8"),
        "a.yaml": (b"text: a\n", "begins with 'text: a.n', which is no JSON"),
        "twice.csv": (b"text,text\na,b\n", "the column 'text' stands twice"),
        "long.csv": (b"text\na,b\n", "line 2: it has 2 cells, the header 1"),
        "open.csv": (b'text,source\n"a,b\nc,d\n', "line 2: a quoted cell does not end"),
    }
    for name, (data, why) in made.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=why):
            read_rows(tmp_path / name, "cpt")
    with pytest.raises(DataError, match=r"is a folder and no saved data set; it holds .*name a file of rows in it"):
        read_rows(tmp_path, "cpt")
    for part in ("train", "test"):
        (tmp_path / "split" / part).mkdir(parents=True)
    (tmp_path / "split" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=r"holds the splits test, train .name one"):
        read_rows(tmp_path / "split", "cpt")


FIELDS = """messages conversations role content from value prompt chosen rejected output input instruction answer
system history weight train label text preferred_output type"""
NAMES = st.sampled_from(FIELDS.split())
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from([USER, ASSISTANT, WHOLE, LOST, f"\n\nHuman: {ASKED}\n\nAssistant: {SAID}", ASKED]),
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.dictionaries(NAMES, JSON, max_size=5), st.sampled_from(["cpt", "sft", "dpo"]))
def test_any_row_is_read_or_refused_in_a_line(tmp_path: Path, row: dict[str, Any], stage: str) -> None:
    try:
        [made] = read_rows(written(tmp_path, row), stage)
    except DataError as fault:
        assert "\n" not in str(fault)
    else:
        for turns in (made.get(name, []) for name in ("messages", "prompt", "chosen", "rejected")):
            assert all(isinstance(one["content"], str) and one["content"].strip() for one in turns)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.binary(max_size=80), st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.jsonl.gz", "a"]))
def test_any_file_is_read_or_refused_in_a_line(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    try:
        read_rows(tmp_path / name, "cpt")
    except DataError as fault:
        assert "\n" not in str(fault)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text("abc012,;\"'\n\t ^", min_size=1).filter(str.strip), min_size=1, max_size=5, unique=True))
def test_a_tables_cells_come_back_to_the_letter(tmp_path: Path, texts: list[str]) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text", "n"], *([text, "1"] for text in texts)])
    assert [row["text"] for row in read_rows(tmp_path / "a.csv", "cpt")] == texts


def test_a_turn_that_is_not_to_be_learned_is_not(word_llama: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from training.language.tokens.conversations import Conversations
    from training.language.tokens.encoded import IGNORED

    tokenizer = AutoTokenizer.from_pretrained(word_llama)
    turns = [
        {"role": "user", "content": "The layer?"},
        {"role": "assistant", "content": "It stops water.", "weight": 0},
        {"role": "user", "content": "The fibre?"},
        {"role": "assistant", "content": "It carries the load."},
    ]
    [row] = read_rows(written(tmp_path, {"messages": turns}), "sft")
    [made] = Conversations(tokenizer).encoded(row["messages"])
    learned = tokenizer.decode([one for one in made.labels if one != IGNORED])
    assert "carries the load" in learned and "water" not in learned and "water" in tokenizer.decode(made.input_ids)


def test_a_plan_says_what_is_not_trained_on(word_llama: Path, home: Path, tmp_path: Path) -> None:
    from training.language.plan import plan
    from training.language.run import open_run

    written(tmp_path, {"prompt": ASKED, "chosen": WHOLE, "rejected": LOST, "score_chosen": 8.0})
    recipe = {
        "name": "mine",
        "base": str(word_llama),
        "stages": [{"name": "a", "stage": "dpo", "data": [{"path": "rows.jsonl"}]}],
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe))
    [stage] = plan(open_run(tmp_path / "mine.yaml", home)).stages
    assert stage.stage == "dpo" and stage.remarks == (
        "rows.jsonl: fields that are not used, with how many rows have them: score_chosen (1)",
        "rows.jsonl: answers of 1 rows repeat the prompt, which is taken once",
    )
