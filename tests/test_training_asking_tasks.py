"""Benchmarks: the shipped ones, people's files, tasks of lm-evaluation-harness; what is no question is refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.evaluation.asking.answering import prompts, to_write
from training.evaluation.asking.contamination import contaminated
from training.evaluation.asking.harness import written_results
from training.evaluation.asking.question_files import questions_of, read_questions
from training.evaluation.asking.questions import Benchmark, Question
from training.evaluation.asking.tasks import FOLDER, KINDS, benchmark_of, docs, shipped_names, write_task
from training.sample.rows import benchmark as sample_questions
from workspace.errors import DataError, ServiceError, StudioError, UsageError

CSV = (
    "id,question,A,B,C,D,answer,subset,passage\n"
    "q1,What holds?,Wood,Silk,Bone,,B,basic,silk\n"
    'q2,"Which, of these, bends?",Glass,Leaf,,,leaf,advanced,leaves\n'
    "q3,Silk is spun.,,,,,True,basic,silk\n"
)


def questions(path: Path, text: str | bytes, **columns: str) -> tuple[Question, ...]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_questions(path, columns)


def test_a_table_is_read(tmp_path: Path) -> None:
    one, two, three = questions(tmp_path / "own.csv", CSV)
    assert one == Question(
        id="q1", kind="choice", question="What holds?", options=("Wood", "Silk", "Bone"), answer="Silk", subset="basic",
        passage="silk",
    )  # fmt: skip
    assert (two.answer, two.wanted, two.question) == ("Leaf", "B", "Which, of these, bends?")
    assert (three.kind, three.options, three.answer, three.wanted) == ("truth", (), "true", "T")
    assert questions(tmp_path / "tabs.tsv", CSV.replace("Which, of these,", "Which").replace(",", "\t"))[0] == one
    assert questions(tmp_path / "marked.csv", b"\xef\xbb\xbf" + CSV.encode().replace(b"\n", b"\r\n"))[0] == one
    benchmark = benchmark_of(str(tmp_path / "own.csv"))
    assert benchmark.name == "own" and benchmark.subsets == ("basic", "advanced")


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q?", "options": ["a", "b"], "answer": "B"},
        {"Question": "Q?", "Choices": ["a", "b"], "Correct Answer": "b"},
        {"prompt": "Q?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
        {"question": "Q?", "options": {"A": "a", "B": "b"}, "answer": "(B)"},
        {"question": "Q?", "options": ["A. a", "B. b"], "answer": "B. b"},
        {"question": "Q?", "options": '["a", "b"]', "answer": "b)"},
        {"question": "Q?", "options": "a|b", "answer": "B."},
        {"question": "Q?", "option_a": "a", "option_b": "b", "answer": "B"},
        {"question": "Q?\nA) a\nB) b", "answer": "B", "type": "multiple choice"},
        {"question": "Q?", "A": "a", "B": "b", "C": None, "answer": "B", "kind": "MCQ"},
    ],
)
def test_options_and_answers_are_found_in_every_form(row: dict[str, Any]) -> None:
    [found] = questions_of([row], "rows")
    assert (found.id, found.question, found.options, found.answer) == ("1", "Q?", ("a", "b"), "b")


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"statement": "S.", "answer": True}, "true"),
        ({"question": "S.", "answer": "F", "type": "true/false"}, "false"),
        ({"question": "S.", "options": ["True", "False"], "answer": "False", "kind": "tf"}, "false"),
    ],
)
def test_statements_are_found(row: dict[str, Any], answer: str) -> None:
    [found] = questions_of([row], "rows")
    assert (found.kind, found.answer, found.options) == ("truth", answer, ())


def test_numbers_are_options_and_the_studys_parts_stand_where_a_type_would() -> None:
    [found] = questions_of([{"question": "How many?", "options": [1, 2.5], "answer": 2.5, "type": "numerical"}], "rows")
    assert (found.options, found.answer, found.subset, found.kind) == (("1", "2.5"), "2.5", "numerical", "choice")


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = "nr;Frage;A;B;richtig\n7;Was?;Holz;Seide;B\n"
    [one] = questions(tmp_path / "own.csv", text, id="nr", question="Frage", answer="richtig")
    assert (one.id, one.question, one.answer) == ("7", "Was?", "Seide")
    with pytest.raises(UsageError, match="did you mean 'question'"):
        questions(tmp_path / "own.csv", text, questoin="Frage")
    with pytest.raises(DataError, match="row 1: unknown column 'Fragen'; did you mean 'Frage'"):
        questions(tmp_path / "own.csv", text, question="Fragen", answer="richtig")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Q?", "options": ["a", "b"]}, "row 2, answer: there is none"),
        ({"question": "Q?", "options": ["a", "b"], "answer": " "}, "row 2, answer: there is none"),
        ({"options": ["a", "b"], "answer": "A"}, "row 2, question: there is none"),
        ({"question": "Q?", "options": ["a", "b"], "answer": "C"}, "row 2, answer: 'C' is not among the options: A. a"),
        ({"question": "Q?", "options": ["a", "b"], "answer": 0}, "row 2, answer: '0' is not among the options"),
        ({"question": "Q?", "options": ["a", "b"], "answer": "a", "id": "1"}, "row 2, id: '1' stands in row 1 too"),
        ({"question": "Q?", "options": ["a", "b"], "answer": "a", "type": "essay"}, "row 2, kind: unknown type"),
        ({"question": "Q?", "options": ["a", "A "], "answer": "a"}, "row 2, options: 'a' stands twice"),
        ({"question": "Q?", "options": ["a"], "answer": "a"}, "row 2, options: a choice offers at least two, not 1"),
        ({"question": "Q?", "options": ["a", ""], "answer": "a"}, "row 2, options: B is empty"),
        ({"question": "Q?", "options": ["B", "A"], "answer": "A"}, "row 2, answer: 'A' is an option's letter"),
        ({"question": "Q?", "options": 3, "answer": "a"}, "row 2, options: they are 3, no list"),
        ({"question": "Q?", "answer": "silk"}, "row 2, options: there are none, and the answer 'silk' is neither"),
        ({"question": "Q?", "answer": "maybe", "type": "tf"}, "row 2, answer: 'maybe' is neither true nor false"),
        ({"question": ["Q?"], "options": ["a", "b"], "answer": "a"}, r"row 2, question: it is \['Q\?'\], no text"),
        ({"question": "Q?", "options": list("abcdefghi"), "answer": "a"}, "row 2, 9 options given; at most 8"),
        ({"question": "S.", "options": ["a", "b"], "answer": "true", "type": "tf"}, "row 2, a statement offers"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_by_its_row(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=f"^rows, {said}") as refused:
        questions_of([{"question": "Good?", "options": ["yes", "no"], "answer": "A"}, row], "rows")
    assert "\n" not in str(refused.value) and refused.value.exit_code == 65


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", "question,A,B,answer\nWas?,Gr\xfcn,b,A\n".encode("latin-1"), "is not UTF-8"),
        ("a.csv", b"", "is no table with a header"),
        ("a.csv", b"question,A,B,answer\n", "holds no questions"),
        ("a.csv", b"question,A,B,answer\nQ?,a,b,A,more\n", "line 2: it has 5 cells, the header 4"),
        ("a.csv", b"question,question,answer\nQ?,b,A\n", "the column 'question' stands twice"),
        ("a.csv", b'question,A,B,answer\n"Q?,a,b,A\n', "line 2: a quoted cell does not end"),
        ("a.csv", b"x,y\n1,2\n", "row 1, question: there is none"),
        ("a.jsonl", b'{"question": "Q?"\n', "row 1 is no JSON"),
        ("a.jsonl", b'{"question": "Q?", "answer": true}\n[1]\n', r"row 2: it is \[1\], no object"),
        ("a.json", b"[1, 2]", "row 1: it is 1, no object"),
        ("a.json", b"[" * 100_000, "is no JSON"),
        ("a.jsonl", b"\x00\x01", "NUL"),
    ],
)
def test_a_file_that_is_no_benchmark_is_refused_in_a_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        questions(tmp_path / name, data)
    assert str(tmp_path / name) in str(refused.value) and "\n" not in str(refused.value)


NAMES = st.sampled_from(["question", "answer", "options", "id", "type", "A", "B", "subset"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine rows are made slowly
@given(st.lists(st.dictionaries(NAMES, NESTED), max_size=4))
def test_any_rows_are_questions_or_refused(rows: list[dict[str, Any]]) -> None:
    try:
        for question in questions_of(rows, "rows"):
            assert question.answer in question.offered and question.wanted in question.letters
    except StudioError as refused:
        assert "\n" not in refused.message


def test_names_that_are_no_benchmark_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown benchmark 'forgeting'; did you mean 'forgetting'"):
        benchmark_of("forgeting")
    with pytest.raises(UsageError, match=r"no benchmark at .*absent.csv"):
        benchmark_of(str(tmp_path / "absent.csv"))


def test_the_hubs_benchmarks_say_how_to_do_without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load(name: str) -> dict[str, Any]:
        if name != "own/set":
            raise ConnectionError(f"no route to {name}\nfor you")
        return {"train": [{"question": "no", "answer": "true"}], "test": [{"question": "Silk is spun.", "answer": "T"}]}

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(ServiceError, match=r"cannot fetch lamm-mit/spider-silk-benchmark .*CSV or JSONL") as refused:
        benchmark_of("spider-silk")
    assert refused.value.exit_code == 69
    found = benchmark_of("own/set")
    assert (found.name, [one.question for one in found.questions]) == ("own/set", ["Silk is spun."])


def test_parts_of_a_benchmark_are_chosen(tmp_path: Path) -> None:
    benchmark = Benchmark("own", questions(tmp_path / "own.csv", CSV))

    def ids(*subsets: str, limit: int | None = None) -> list[str]:
        return [one.id for one in benchmark.chosen(subsets, limit).questions]

    assert ids() == ["q1", "q2", "q3"] and ids(limit=2) == ["q1", "q2"]
    assert ids("basic") == ["q1", "q3"] and ids("basic", "choice") == ["q1"] and ids("choice") == ["q1", "q2"]
    assert ids("basic", "advanced", "truth") == ["q3"]
    with pytest.raises(UsageError, match=r"unknown subset 'basics'; did you mean 'basic'.*truth"):
        ids("basics")
    with pytest.raises(UsageError, match="no question is in advanced and truth"):
        ids("advanced", "truth")


def test_the_sample_is_a_benchmark() -> None:
    found, rows = benchmark_of("sample"), sample_questions()
    assert [one.question for one in found.questions] == [row["question"] for row in rows]
    assert [one.answer for one in found.questions] == [row["answer"] for row in rows]
    assert all(one.passage for one in found.questions) and len({one.id for one in found.questions}) == len(rows)


def test_the_forgetting_set_is_fair() -> None:
    found = benchmark_of("forgetting").questions
    choices = [one for one in found if one.kind == "choice"]
    statements = [one for one in found if one.kind == "truth"]
    assert len(found) >= 120
    assert {len(one.options) for one in choices} == {4}
    letters = Counter(one.wanted for one in choices)
    assert len(set(letters.values())) == 1 and set(letters) == set("ABCD")
    assert Counter(one.wanted for one in statements) == dict.fromkeys("TF", len(statements) / 2)
    assert min(Counter(one.subset for one in found).values()) >= 20 and len({one.subset for one in found}) == 6
    words = [re.sub(r"\W+", " ", one.question.lower()).strip() for one in found]
    assert len(set(words)) == len(words)
    for pick in (max, min):
        lengths = [[len(option) for option in one.options] for one in choices]
        best = [[length == pick(own) for length in own] for own in lengths]
        share = sum(own["ABCD".index(one.wanted)] / sum(own) for own, one in zip(best, choices, strict=True))
        assert 0.15 < share / len(choices) < 0.3, "a reader of lengths alone would find the answers"
    long = {letter: [len(one.question) for one in statements if one.wanted == letter] for letter in "TF"}
    assert abs(sum(long["T"]) - sum(long["F"])) / sum(map(len, long.values())) < 2


def test_no_shipped_question_stands_in_the_samples_training_rows() -> None:
    from training.sample.rows import sample_rows

    texts = [
        (stage, json.dumps(row, ensure_ascii=False)) for stage in ("cpt", "sft", "dpo") for row in sample_rows(stage)
    ]
    for name in ("sample", "forgetting"):
        assert contaminated(benchmark_of(name).questions, texts) == []


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """lm-evaluation-harness's tasks, with a cache of their own."""
    found = pytest.importorskip("lm_eval.tasks", reason="lm-evaluation-harness is not installed")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return found


def put_by_harness(task: Any) -> list[tuple[Any, ...]]:
    told = []
    for row in task.eval_docs:
        text, target = task.doc_to_text(row), task.doc_to_target(row)
        choices = task.doc_to_choice(row) if task.config.doc_to_choice else None
        told.append((text, choices, choices[target] if choices and isinstance(target, int) else target))
    return told


def put_by_us(found: Benchmark, kind: str) -> list[tuple[Any, ...]]:
    told: list[tuple[Any, ...]] = []
    for one in found.questions:
        if kind == "written":
            told.append((to_write(one.row()), None, one.wanted))
            continue
        lettered = kind == "letters" and one.kind == "choice"
        text, choices = prompts(one.row())[2 if lettered else 0]
        told.append((text, list(choices), one.wanted if lettered else one.answer))
    return told


@pytest.mark.parametrize("name", ["sample", "forgetting"])
@pytest.mark.parametrize("kind", KINDS)
def test_shipped_tasks_are_put_by_the_harness_as_by_us(name: str, kind: str, harness: Any) -> None:
    manager = harness.TaskManager(include_path=str(FOLDER), include_defaults=False)
    tasks = {f"studio_{one.replace('-', '_')}_{way}" for one in shipped_names() for way in KINDS}
    assert set(manager.all_tasks) == tasks
    [task] = manager.load(f"studio_{name}_{kind}")["tasks"].values()
    assert put_by_harness(task) == put_by_us(benchmark_of(name), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_benchmark_is_written_as_tasks(kind: str, harness: Any, tmp_path: Path) -> None:
    own = Benchmark("My own!", questions(tmp_path / "own.csv", CSV))
    names = write_task(own, tmp_path / "tasks")
    manager = harness.TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False)
    assert sorted(manager.all_tasks) == sorted(names)
    [task] = manager.load(f"studio_my_own_{kind}")["tasks"].values()
    assert put_by_harness(task) == put_by_us(own, kind)
    if kind != "written":
        assert benchmark_of(str(tmp_path / "tasks" / f"my_own_{kind}.yaml")).questions == own.questions


def test_a_foreign_task_is_read_as_it_words_its_questions(harness: Any, tmp_path: Path) -> None:
    rows = [{"q": f"What is {n} and 1?", "c": [str(n), str(n + 1)], "gold": 1, "subset": "sums"} for n in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = (
        f"task: sums\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'rows.jsonl'}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_choice: c\n"
        'doc_to_text: "Q: {{q}}\\nA:"\ndoc_to_target: gold\n'
    )
    path = tmp_path / "sums.yaml"
    path.write_text(told)
    found = benchmark_of(str(path))
    assert found.name == "sums" and [one.answer for one in found.questions] == ["1", "2", "3"]
    assert found.questions[0].question == "Q: What is 0 and 1?\nA:" and found.subsets == ("sums",)
    for more, said in (
        ("process_docs: !function evil.run\n", "names the function 'evil.run'"),
        ("num_fewshot: 2\nfewshot_split: test\n", "num_fewshot is not put here"),
        ("output_type: generate_until\n", "output_type is generate_until"),
        ("doc_to_target: gone\n", "row 1, answer: 'gone' is not among the options"),
        ("include: more.yaml\n", "cannot read .*more.yaml"),
        ("dataset_path: [\n", "cannot read"),
    ):
        path.write_text(told + more)
        with pytest.raises(DataError, match=said) as refused:
            benchmark_of(str(path))
        assert "\n" not in str(refused.value)


def test_the_harness_reads_written_answers_as_we_do() -> None:
    choice, truth = docs(Benchmark("own", questions_of(
        [{"question": "Q?", "options": ["a", "b"], "answer": "B"}, {"question": "S.", "answer": "false"}], "rows"
    )))  # fmt: skip
    assert written_results(choice, ["(b)"]) == {"acc": 1.0, "unparsed": 0.0}
    assert written_results(choice, ["A or B"]) == {"acc": 0.0, "unparsed": 1.0}
    assert written_results(truth, ["False, because"]) == {"acc": 1.0, "unparsed": 0.0}
    assert written_results(truth, ["true"]) == {"acc": 0.0, "unparsed": 0.0}
