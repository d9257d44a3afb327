"""From judgements to tables: orders averaged, intervals, agreement, people's labels; what failed stays visible."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_chat import ScriptedServer
from tests.test_training_judging import ALONE, PLAIN, REMARKS, THREE, marks, said, served
from training.evaluation.conversations import prompts
from training.evaluation.conversations.calibration import read_labels
from training.evaluation.conversations.config import JudgeConfig
from training.evaluation.conversations.judge import judge
from training.evaluation.conversations.scores import ModelScores, ScoreTable, score
from training.evaluation.conversations.shapes import (
    CRITERIA,
    Conversation,
    Failure,
    Judgement,
    Judgements,
    Label,
    Question,
    Score,
)
from training.evaluation.conversations.tables import corrected_table, remark_table, score_table
from workspace.errors import DataError


def given(conversations: Sequence[Conversation], numbers: dict[str, dict[str, int]]) -> Judgements:
    """Judgements alone by several judges: a number by judge and model for all criteria, in both orders."""
    rows: list[Any] = []
    for name, of_models in numbers.items():
        for one in conversations:
            for criteria in (CRITERIA, CRITERIA[::-1]):
                question = Question(shown=(one.fingerprint,), criteria=criteria)
                told = {name: Score(reason="So it is.", score=of_models[one.model]) for name in CRITERIA}
                rows.append(Judgement(judge=name, judge_id=name, question=question, seed=1, scores=(told,)))
    return Judgements(conversations=tuple(conversations), rows=tuple(rows))


def test_totals_average_and_normalised_are_the_study_s() -> None:
    table = score(given(THREE, {"j": {"base": 4, "silk-sft": 8, "merge-g": 6}}))
    assert [row.model for row in table.rows] == ["silk-sft", "merge-g", "base"]
    assert [row.total.value for row in table.rows] == [32, 24, 16]
    assert [row.average for row in table.rows] == [8, 6, 4]
    assert [row.normalised.value for row in table.rows] == [10, 7.5, 5]
    assert all(row.total.low is None and row.total.over == "nothing" for row in table.rows)
    assert table.agreement == dict.fromkeys([*CRITERIA, "total"])


def test_alpha_is_one_where_judges_agree_and_falls_where_they_do_not() -> None:
    agreed = score(
        given(THREE, {"j": {"base": 4, "silk-sft": 8, "merge-g": 6}} | {"k": {"base": 4, "silk-sft": 8, "merge-g": 6}})
    )
    apart = score(
        given(THREE, {"j": {"base": 4, "silk-sft": 8, "merge-g": 6}} | {"k": {"base": 8, "silk-sft": 4, "merge-g": 6}})
    )
    assert agreed.agreement["total"] is not None and agreed.agreement["total"].value == pytest.approx(1)
    assert apart.agreement["depth"] is not None and apart.agreement["depth"].value < 0
    assert [row.total.value for row in apart.rows] == [24, 24, 24]
    same = score(
        given(
            THREE,
            {"j": dict.fromkeys(("base", "silk-sft", "merge-g"), 5)}
            | {"k": dict.fromkeys(("base", "silk-sft", "merge-g"), 5)},
        )
    )
    assert same.agreement["total"] is None  # of scores that never differ it is not defined


def test_intervals_are_over_conversations_and_students() -> None:
    many = [said("base", number) for number in range(3)]
    rows: list[Any] = []
    for one, number in zip(many, (3, 4, 5), strict=True):
        rows += given([one], {"j": {"base": number}}).rows
    (row,) = score(Judgements(conversations=tuple(many), rows=tuple(rows))).rows
    assert row.total.over == "conversations" and row.total.value == 16 and row.total.spread == pytest.approx(4)
    assert row.total.high == pytest.approx(16 + 4.302653 * 4 / 3**0.5)
    assert row.total.low == pytest.approx(16 - 4.302653 * 4 / 3**0.5)
    assert row.criteria["depth"].low == pytest.approx(4 - 4.302653 / 3**0.5)


def test_of_one_conversation_the_interval_is_over_repeats_and_the_table_says_so(
    home: Path, openai_server: ScriptedServer
) -> None:
    openai_server.script = [marks(5), marks(5), marks(7), marks(7), marks(6)]
    found = judge(THREE[:1], [served(openai_server)], ALONE.model_copy(update={"repeats": 3}), home)
    (row,) = score(found).rows
    assert (row.total.value, row.total.values, row.total.over, row.total.spread) == (24, 3, "repeats", 4)
    assert "say how steady the judge is" in score_table(score(found)).markdown()


def test_the_table_shows_what_failed_and_who_misses_scores(home: Path, openai_server: ScriptedServer) -> None:
    openai_server.script = [marks(5, 6)]
    one = judge(THREE, [served(openai_server)], PLAIN, home)
    openai_server.script = [marks(5, 6), marks(6, 5), "No."]
    two = judge(THREE, [served(openai_server, "other")], PLAIN.model_copy(update={"attempts": 1}), home)
    both = Judgements(conversations=tuple(THREE), rows=(*one.rows, *two.rows))
    table = score(both)
    assert sorted(row.missing for row in table.rows) == [0, 0, 1] and len(two.failed) == 4
    text = score_table(table).markdown()
    assert "4 of 12 questions were never answered validly" in text and "Judges: tiny, other." in text
    assert "Conversations that not every judge scored" in text


def test_remarks_are_kept_apart_from_scores(home: Path, openai_server: ScriptedServer) -> None:
    openai_server.script = [marks(5, 6), marks(5, 6), REMARKS, {"strengths": []}]
    config = JudgeConfig(repeats=1, attempts=1, workers=1)
    found = judge(THREE[:2], [served(openai_server)], config, home)
    table = remark_table(found)
    assert len(found.remarks) == 1 and table.rows == (
        ("base", "collagen-leaves", "tiny", "It is clear.", "It is short.", "It names no source."),
    )
    assert "1 conversations have none" in table.notes[0]
    assert score(found).rows[0].whole == 1 and score(found).rows[0].failures == 0


def test_models_of_the_same_answers_share_their_scores(home: Path, openai_server: ScriptedServer) -> None:
    openai_server.script = [marks(5, 6)]
    twin = THREE[0].model_copy(update={"model": "t-zero"})
    found = judge([*THREE[:2], twin], [served(openai_server)], PLAIN, home)
    assert found.asked == 2
    totals = {row.model: row.total.value for row in score(found).rows}
    assert totals["base"] == totals["t-zero"]


# --- people's labels ------------------------------------------------------------------------------------------------

MANY = [said("base" if number < 4 else "merge-g", number) for number in range(8)]


def judged(numbers: Sequence[int], labels: Sequence[Label]) -> Judgements:
    """One judge's number for each of `MANY`, and people's labels."""
    rows = [row for one, mark in zip(MANY, numbers, strict=True) for row in given([one], {"j": {one.model: mark}}).rows]
    return Judgements(conversations=tuple(MANY), rows=tuple(rows), labels=tuple(labels))


def corrected_text(scores: ScoreTable) -> str:
    table = corrected_table(scores)
    assert table is not None
    return table.markdown()


def labelled(scores: Sequence[float], *criteria: Any) -> list[Label]:
    names = criteria or CRITERIA
    pairs = zip(MANY, scores, strict=False)
    return [Label(conversation=one.fingerprint, criterion=name, score=mark) for one, mark in pairs for name in names]


def test_scores_are_corrected_for_a_judge_that_is_too_kind() -> None:
    people = [2, 3, 4, 3, 5, 6, 7, 6]
    found = score(judged([mark + 3 for mark in people], labelled(people)))
    by_model = {row.model: row for row in found.rows}
    assert by_model["base"].average == 6 and by_model["base"].corrected["average"].value == pytest.approx(3)
    assert by_model["merge-g"].corrected["depth"].value == pytest.approx(6)
    assert by_model["base"].corrected["total"] == tuple(4 * end for end in by_model["base"].corrected["average"])
    assert "total and average: corrected by 8 labels" in found.corrections
    text = corrected_text(found)
    assert "corrected by people's labels" in text and "| 3.00 [" in text and "| 12.00 [" in text
    assert "Correction" not in score_table(found).markdown()


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (labelled([2, 3], "depth"), "at least 3 of 2 are needed"),
        (labelled([9, 8, 7, 6, 5, 4, 3, 2], "depth"), "do not follow the people's"),
        ([Label(conversation="f" * 16, criterion="depth", score=3)], "no judged conversation is labelled"),
    ],
)
def test_what_labels_do_not_allow_is_not_corrected_and_said(labels: list[Label], why: str) -> None:
    found = score(judged([2, 3, 4, 3, 5, 6, 7, 6], labels))
    assert not any(row.corrected for row in found.rows)
    assert any(note.startswith("depth: not corrected") and why in note for note in found.corrections)
    assert why in corrected_text(found)


PEOPLE = [2, 7, 3, 6, 5, 4, 7, 2]
NEW = [said("new", number) for number in range(20, 24)]


def off_by(*errors: int, labels: int = 8) -> ModelScores:
    """What becomes of a new model without labels, beside so many labelled ones of `MANY`.

    The judge is two too kind, and on every second conversation off on its criteria by this, or by its opposite.
    """
    rows: list[Any] = []
    for place, (one, mark) in enumerate(zip([*MANY, *NEW], [*PEOPLE, 3, 5, 3, 5], strict=True)):
        way = (1, 0, -1, 0)[place % 4]
        told = {
            name: Score(reason="So.", score=mark + 2 + way * off) for name, off in zip(CRITERIA, errors, strict=True)
        }
        for criteria in (CRITERIA, CRITERIA[::-1]):
            question = Question(shown=(one.fingerprint,), criteria=criteria)
            rows.append(Judgement(judge="j", judge_id="j", question=question, seed=1, scores=(told,)))
    known = tuple(labelled(PEOPLE[:labels]))
    found = score(Judgements(conversations=(*MANY, *NEW), rows=tuple(rows), labels=known))
    (row,) = [row for row in found.rows if row.model == "new"]
    return row


def widths(row: ModelScores) -> dict[str, float]:
    return {name: one.high - one.low for name, one in row.corrected.items()}


def test_few_labels_cost_a_wider_interval() -> None:
    many, few = (widths(off_by(1, 1, 1, 1, labels=count))["depth"] for count in (8, 5))
    assert many < few < 9


def test_a_total_is_corrected_by_labelled_totals_and_not_by_adding_up_criteria() -> None:
    """Errors of criteria that go together cost the total all of them; those that cancel out cost it nothing."""
    together, apart, none = off_by(1, 1, 1, 1), off_by(1, -1, 1, -1), off_by(0, 0, 0, 0)
    assert widths(together)["total"] == pytest.approx(sum(widths(together)[name] for name in CRITERIA))
    assert apart.corrected["total"] == pytest.approx(none.corrected["total"]) and none.corrected["total"].value == 16
    assert (
        widths(apart)["depth"] == pytest.approx(widths(together)["depth"])
        and widths(apart)["depth"] > 1.1 * widths(none)["depth"]
    )


def test_only_conversations_labelled_on_all_criteria_correct_the_total() -> None:
    some = [one for one in labelled(PEOPLE) if one.criterion != "clarity" or one.conversation < MANY[5].fingerprint]
    found = score(judged([mark + 3 for mark in PEOPLE], some))
    assert "total and average: corrected by 5 labels" in found.corrections
    assert "depth: corrected by 8 labels" in found.corrections
    none = score(judged([mark + 3 for mark in PEOPLE], labelled(PEOPLE, "depth", "clarity")))
    assert "total and average: not corrected: no judged conversation is labelled on all criteria" in none.corrections
    assert set(none.rows[0].corrected) == {"depth", "clarity"}


def test_of_one_conversation_the_correction_is_of_this_one_and_not_surer_for_being_repeated() -> None:
    lone = said("lone", 30)
    rows = [
        row.model_copy(update={"question": row.question.model_copy(update={"repeat": repeat})})
        for repeat in range(3)
        for row in given([lone], {"j": {"lone": 7}}).rows
        if isinstance(row, Judgement)
    ]
    marks = [mark + 2 + (place % 2) for place, mark in enumerate(PEOPLE)]
    known = labelled(PEOPLE)
    beside = judged(marks, known)
    update = {"conversations": (*MANY, lone), "rows": (*beside.rows, *rows)}
    table = score(beside.model_copy(update=update))
    (row,) = [row for row in table.rows if row.model == "lone"]
    assert (row.total.over, row.total.spread, row.labelled) == ("repeats", 0, 0)
    _, low, high = row.corrected["depth"]
    assert high - low > 1  # on any conversation the judge may be off by half a point to either side
    text = corrected_text(table)
    assert "Of lone there is one conversation: the brackets are of what people would give this one" in text
    assert "No conversation of lone is labelled" in text
    label = Label(conversation=lone.fingerprint, criterion="depth", score=2.5)
    (row,) = [
        row for row in score(beside.model_copy(update=update | {"labels": (*known, label)})).rows if row.model == "lone"
    ]
    assert row.corrected["depth"] == pytest.approx((2.5, 2.5, 2.5)) and row.labelled == 1


def test_without_labels_there_is_no_table_of_corrections() -> None:
    assert corrected_table(score(judged([2, 3, 4, 3, 5, 6, 7, 6], []))) is None


def test_labels_are_read_from_csv_and_jsonl_alike(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("conversation,criterion,score,rater\nabc,depth,7,ann\nabc,depth,5,ben\n")
    row = '{"conversation": "abc", "criterion": "depth", "score": %s, "rater": "%s"}\n'
    (tmp_path / "labels.jsonl").write_text(row % (7, "ann") + "\n" + row % (5.0, "ben"))
    one, other = read_labels(tmp_path / "labels.csv"), read_labels(tmp_path / "labels.jsonl")
    assert one == other and [label.score for label in one] == [7, 5]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "conversation,criterion,score\nabc,depth,11\n", "a.csv:2: score must be 1 to 10, not '11'"),
        ("a.csv", "conversation,criterion,score\nabc,depht,1\n", "a.csv:2: .*'depht'; did you mean 'depth'"),
        ("a.csv", "conversation,criterion,score\nabc,depth\n", "a.csv:2: the row has not as many cells"),
        ("a.csv", "conversation,criterion,score\nabc,depth,1,2,3\n", "a.csv:2: the row has not as many cells"),
        ("a.csv", "conversation,criterion,score\nabc,depth,nan\n", "a.csv:2: score"),
        ("a.csv", "conversation,criterion,score\na,depth,1\na,depth,2\n", "a.csv:3: depth of conversation a stands"),
        ("a.csv", "conversation,criterion\na,depth\n", "a.csv:2: score: Field required"),
        ("a.jsonl", "{", "a.jsonl:1: "),
        ("a.jsonl", "[1]", "a.jsonl:1: "),
        ("a.jsonl", "", "holds no labels"),
    ],
)
def test_labels_that_are_none_are_told_with_their_line(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=why):
        read_labels(tmp_path / name)


def test_labels_are_looked_at_before_anything_is_asked(home: Path, openai_server: ScriptedServer) -> None:
    config = PLAIN.model_copy(update={"labels": home / "no.csv"})
    with pytest.raises(DataError, match=r"cannot read .*no\.csv"):
        judge(THREE, [served(openai_server)], config, home)
    assert not openai_server.requests
    (home / "labels.csv").write_text(f"conversation,criterion,score\n{THREE[0].fingerprint},depth,4\n")
    openai_server.script = [marks(5, 6)]
    config = PLAIN.model_copy(update={"labels": home / "labels.csv"})
    assert score(judge(THREE, [served(openai_server)], config, home)).corrections


def test_every_criterion_is_worded() -> None:
    assert all(prompts.criterion(name)["title"] and prompts.criterion(name)["about"] for name in CRITERIA)


def test_a_failure_row_holds_no_score() -> None:
    assert not {"score", "scores"} & set(Failure.model_fields)
