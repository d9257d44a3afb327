"""A search on tiny models from end to end: merges in memory as on the disk, the test split asked once and last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures_local import sentences, trained_llama, word_tokenizer
from training.evaluation.asking.answering import Told, right_by, told_by
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.questions import Question
from training.evaluation.asking.scoring import Scorer
from training.evaluation.asking.tasks import benchmark_of
from training.evaluation.statistics.intervals import Estimate
from training.merging.config import MergeConfig, Vectors
from training.merging.engine import blend
from training.merging.search import contest, run
from training.merging.search.candidate import answers, load, put
from training.merging.search.config import SearchConfig
from training.merging.search.measure import Side, apart, optimism
from training.merging.search.results import SearchResult
from training.merging.search.run import search
from workspace.errors import DataError, StudioError, UsageError
from workspace.progress import Progress, Remark

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def parents(word_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two models of one beginning, the second hardly trained; of t = 0 and of t = 1."""
    folder = tmp_path_factory.mktemp("parents") / "young"
    tokenizer = word_tokenizer()
    trained_llama(tokenizer, steps=12).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(word_llama), str(folder)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty questions on ten passages: how sentences go on, and statements."""
    lines, rows = sentences(), []
    for place in range(40):
        line, other = lines[place * 3], lines[(place * 7 + 5) % 144].split()
        scrambled = " ".join(sorted(other, key=len)).rstrip(".") + "."
        row = {"id": f"q{place}", "passage": f"p{place // 4}", "question": f"Which one, {place}?"}
        if place % 4 == 3:
            row |= {"question": line, "answer": ("true", "false")[place % 8 == 3]}
        else:
            row |= {"options": [line, scrambled], "answer": (line, scrambled)[place % 8 == 0]}
        rows.append(row)
    file = tmp_path_factory.mktemp("task") / "tiny.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def asked(task: Path, **options: Any) -> EvaluateConfig:
    return EvaluateConfig(tasks=(str(task),), **options)


def merge(parents: Sequence[str], **options: Any) -> MergeConfig:
    return MergeConfig(name="tried", models=tuple(parents), **options)


def small(**options: Any) -> SearchConfig:
    return SearchConfig(**{"trials": 9, "anchors": 2, "seed": 3} | options)


# One model in memory


@pytest.mark.parametrize("untied", [False, True])
def test_a_merge_in_memory_is_the_merge(untied: bool, parents: tuple[str, str], tmp_path: Path) -> None:
    folders = [Path(parent) for parent in parents]
    if untied:
        folders = [_untied(folder, tmp_path / folder.name) for folder in folders]
    scorer = load(*folders)
    config = merge(parents, self_attn=(0.0, 0.9), mlp=(0.3,), rest=0.6)
    made = dict(blend(folders, config))
    put(scorer, blend(folders, merge(parents, t=1.0)))
    put(scorer, made.items())
    live = scorer.model.state_dict()
    for name, tensor in made.items():
        assert torch.equal(live[name].to(torch.bfloat16), tensor)
    head = scorer.model.get_output_embeddings().weight
    assert ("lm_head.weight" in made) == untied
    assert torch.equal(head.to(torch.bfloat16), made["lm_head.weight" if untied else "model.embed_tokens.weight"])


def _untied(folder: Path, target: Path) -> Path:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, tie_word_embeddings=False)
    model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.detach() * 1.5)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder).save_pretrained(target)
    return target


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: made.pop("model.norm.weight"), "the merge lacks model.norm.weight"),
        (lambda made: made.update({"odd": torch.zeros(2)}), "odd is \\(2,\\), and not in the model"),
        (lambda made: made.update({"model.norm.weight": torch.zeros(2)}), "norm.weight is \\(2,\\), and \\(64,\\)"),
    ],
)
def test_a_merge_of_other_tensors_is_not_tried(change: Any, words: str, parents: tuple[str, str]) -> None:
    folders = [Path(parent) for parent in parents]
    made = dict(blend(folders, merge(parents, t=0.5)))
    change(made)
    with pytest.raises(DataError, match=words):
        put(load(*folders), made.items())


@pytest.mark.parametrize("rule", ["plain", "pmi", "letters"])
@pytest.mark.parametrize("template", [True, False])
def test_what_a_rule_does_not_look_at_is_not_needed(rule: Any, template: bool, word_llama: Path, task: Path) -> None:
    scorer = Scorer.load(word_llama)
    questions = benchmark_of(str(task)).questions
    whole: list[Told] = told_by(scorer, [one.row() for one in questions], lambda place, told: None, template)
    expected = tuple(right_by(rule, one.row(), told) for one, told in zip(questions, whole, strict=True))
    assert answers(scorer, questions, rule, template) == expected
    assert 0 < sum(expected) < len(expected)


def test_weights_that_are_no_numbers_have_no_score(parents: tuple[str, str], task: Path) -> None:
    scorer = load(*(Path(parent) for parent in parents))
    with torch.no_grad():
        scorer.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(DataError, match="gives an answer no number"):
        answers(scorer, benchmark_of(str(task)).questions[:2], "plain", True)


def test_a_base_that_cannot_chat_lends_its_weights_only(parents: tuple[str, str], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(parents[0], bare)
    (bare / "chat_template.jinja").unlink()
    before = {file.name: file.read_bytes() for file in bare.iterdir()}
    scorer = load(bare, Path(parents[1]))
    assert "<|im_start|>user" in scorer.chat("So?")
    assert {file.name: file.read_bytes() for file in bare.iterdir()} == before


# From end to end


class Spy:
    """Notes which questions are asked of merges and parents, and whether the winner was written down by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, winner: Path) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.calls = 0

        def spied(scorer: Scorer, questions: Sequence[Question], rule: Any, template: bool) -> tuple[bool, ...]:
            self.calls += 1
            self.asked += [(question.id, winner.is_file()) for question in questions]
            return answers(scorer, questions, rule, template)

        monkeypatch.setattr(contest, "answers", spied)


@pytest.mark.parametrize("questions", [None, 8])
def test_a_search_never_asks_a_test_question_before_it_is_over(
    questions: int | None, parents: tuple[str, str], task: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(questions=questions)
    spy = Spy(monkeypatch, home / "searches" / "tried" / "winner.json")
    heard: list[Progress] = []
    found = search(merge(parents), config, asked(task), home, heard.append)
    test = set(found.test)
    assert {one for one, over in spy.asked if not over} == set(found.development)
    assert not test & set(found.development) and len(test) + len(found.development) == 40
    counts = [sum(one == name for one, _ in spy.asked) for name in found.test]
    assert counts == [5] * len(test)  # the winner, two rivals, two parents: once each
    passages = [{int(name[1:]) // 4 for name in side} for side in (found.development, found.test)]
    assert not passages[0] & passages[1]
    first = next(one for one in heard if isinstance(one, Remark) and "development" in one.text)
    assert f"{len(test)} test questions; the smallest paired difference" in first.text
    calls = 9 + 4 + 5 + (questions is not None)  # trials; others, all on test; the winner on all of development
    assert spy.calls == calls

    again = search(merge(parents), config, asked(task), home, heard.append)
    assert [one.made for one in heard if one.type == "stage_finished"] == [True, False]
    assert again == found and spy.calls == calls  # kept
    (home / "searches" / "tried" / "result.json").unlink()
    assert search(merge(parents), config, asked(task), home) == found and spy.calls == calls


def test_what_a_search_leaves_behind(parents: tuple[str, str], task: Path, home: Path) -> None:
    found = search(merge(parents), small(trials=20), asked(task), home)
    assert SearchResult.model_validate_json((home / "searches" / "tried" / "result.json").read_bytes()) == found
    assert [one.kind for one in found.standings] == ["winner", "rival", "rival", "parent", "parent"]
    assert found.best.name == "tried" and found.best.merge is not None
    trial = found.trials[found.winner - 1]
    assert found.best.merge.vectors == Vectors(trial.vector[:2], trial.vector[2:4], trial.vector[4])
    assert found.best.development.value == trial.score == max(one.score for one in found.trials)
    assert [one.vector for one in found.trials[:2]] == [(0.5,) * 5, (0.0, 1.0, 1.0, 0.0, 0.5)]
    for one in found.standings:
        for told in (one.development, one.test):
            assert told.low <= told.value <= told.high
    assert [one.other for one in found.beside] == [one.name for one in found.standings[1:]]
    assert all(one.verdict == "cannot be told apart" or one.comparison.p < 0.05 for one in found.beside)
    alone = found.beside[0].comparison.alone
    assert (alone.n, alone.clusters) == (len(found.test), len({int(name[1:]) // 4 for name in found.test}))
    assert alone.clusters < alone.n and found.beside[0].comparison.family == 4
    assert found.optimism.value == pytest.approx(found.best.development.value - found.best.test.value)
    assert found.optimism.low < found.optimism.value < found.optimism.high

    folder = home / "published"
    scorer = load(Path(parents[0]), Path(parents[1]))
    put(scorer, blend([Path(parent) for parent in parents], found.best.merge))
    scorer.model.save_pretrained(folder)
    scorer.tokenizer.save_pretrained(folder)
    questions = {one.id: one for one in benchmark_of(str(task)).questions}
    right = answers(Scorer.load(folder), [questions[name] for name in found.test], "plain", True)
    assert sum(right) / len(right) == pytest.approx(found.best.test.value)


@pytest.mark.parametrize("stop", [2, 6, 11, 14])
def test_a_search_of_models_that_was_stopped_goes_on(
    stop: int, parents: tuple[str, str], task: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(trials=6, questions=8)
    other = tmp_path / "other"
    other.mkdir()
    whole = search(merge(parents), config, asked(task), other)
    calls = 0

    def dying(*args: Any) -> tuple[bool, ...]:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return answers(*args)

    monkeypatch.setattr(contest, "answers", dying)
    with pytest.raises(KeyboardInterrupt):
        search(merge(parents), config, asked(task), home)
    assert search(merge(parents), config, asked(task), home) == whole
    assert calls == 4 + 6 + 6 + 1  # others, trials, the winner and all on test, and the one that was stopped
    assert len(whole.asked) == 8 < len(whole.development)
    record = [folder / "searches" / "tried" / "trials.jsonl" for folder in (home, other)]
    assert record[0].read_bytes() == record[1].read_bytes()


def test_a_search_that_is_over_is_not_gone_on_with(parents: tuple[str, str], task: Path, home: Path) -> None:
    search(merge(parents), small(trials=2), asked(task), home)
    with pytest.raises(DataError, match="tried is over and its test questions were asked; its trials is 2, not 9"):
        search(merge(parents), small(), asked(task), home)
    with pytest.raises(DataError, match="its rule is plain, not pmi"):
        search(merge(parents), small(trials=2), asked(task, rule="pmi"), home)
    (home / "searches" / "tried" / "result.json").write_text("{}")
    with pytest.raises(DataError, match=r"result\.json is damaged"):
        search(merge(parents), small(trials=2), asked(task), home)


def test_task_vectors_are_searched_too(parents: tuple[str, str], word_llama: Path, task: Path, home: Path) -> None:
    base = home / "base"
    tokenizer = word_tokenizer()
    trained_llama(tokenizer, steps=1).save_pretrained(base)
    tokenizer.save_pretrained(base)
    given = merge(parents, method="nuslerp", base=str(base), t=0.5)
    found = search(given, small(trials=3), asked(task), home)
    assert found.best.merge is not None and found.best.merge.method == "nuslerp"
    assert len(found.trials) == 3


@pytest.mark.parametrize(
    ("given", "config", "put_as", "words"),
    [
        ({"method": "karcher"}, {}, {}, "t over depth is searched, and karcher has none; methods that have: slerp"),
        ({"tokenizer": "union"}, {}, {}, "tokenizer: parents of one vocabulary"),
        ({}, {}, {"protocol": "written"}, "protocol: a search asks by likelihood, not written"),
        ({}, {"anchors": 3}, {}, "t of self_attn has 3 values over 2 layers"),
        ({}, {"questions": 39}, {}, "questions: 39 a trial, and there are"),
        ({}, {}, {"limit": 4}, "4 questions on 1 passages cannot be divided"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    given: Any, config: Any, put_as: Any, words: str, parents: tuple[str, str], task: Path, home: Path
) -> None:
    with pytest.raises(StudioError, match=words):
        search(merge(parents, **given), small(**config), asked(task, **put_as), home)
    assert not (home / "searches" / "tried" / "trials.jsonl").exists()


def test_one_benchmark_and_two_models_are_needed(parents: tuple[str, str], task: Path, home: Path) -> None:
    with pytest.raises(UsageError, match="a search has one benchmark, not 2"):
        search(merge(parents), small(), EvaluateConfig(tasks=("sample", "forgetting")), home)
    shutil.copytree(parents[0], home / "twin")
    with pytest.raises(DataError, match="are the same model"):
        search(merge((parents[0], str(home / "twin"))), small(), asked(task), home)


def test_questions_in_training_rows_are_refused(
    parents: tuple[str, str], task: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = home / "rows.jsonl"
    long = "Which of the many layers in the wall of this shell carries the load of a sharp blow from end to end?"
    rows.write_text(json.dumps({"text": f"So: {long} The mesh."}) + "\n")
    told = home / "told.jsonl"
    lines = task.read_text().splitlines()
    told.write_text("\n".join([*lines, json.dumps({**json.loads(lines[0]), "id": "known", "question": long})]) + "\n")
    with pytest.raises(DataError, match="told: 1 of 41 questions stand in training rows: known in"):
        search(merge(parents), small(), asked(told, training=(rows,)), home)
    heard: list[Progress] = []
    monkeypatch.setattr(run, "evolve", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        search(merge(parents), small(), asked(told, training=(rows,), allow_contamination=True), home, heard.append)
    assert any(isinstance(one, Remark) and "known in" in one.text for one in heard)


# Optimism


def test_optimism_is_what_the_winner_loses_beyond_the_others() -> None:
    development = Side([[True] * 80 + [False] * 20, [True] * 60 + [False] * 40], None)
    test = Side([[True] * 50 + [False] * 50, [True] * 50 + [False] * 50], None)
    own, beyond = optimism(development, test)
    assert own.value == pytest.approx(0.3) and 0.15 < own.low < 0.2 and 0.4 < own.high < 0.45
    assert beyond.value == pytest.approx(0.2) and 0 < beyond.low < 0.2 < beyond.high
    harder = Side([[True] * 60 + [False] * 40, [True] * 40 + [False] * 60], None)
    own, beyond = optimism(development, harder)
    assert own.value == pytest.approx(0.2) and beyond.value == pytest.approx(0)


def test_a_difference_of_independent_shares_has_newcombes_interval() -> None:
    # Newcombe (Statistics in Medicine 17, 1998, table II): 56/70 and 48/80, method 10: 0.0524 to 0.3339
    development, test = (Side([[True] * hits + [False] * (of - hits)], None) for hits, of in ((56, 70), (48, 80)))
    assert apart(development.shares()[0], test.shares()[0]) == pytest.approx(Estimate(0.2, 0.0524, 0.3339), abs=1e-4)
