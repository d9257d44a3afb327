"""Reports: numbers, both pages, words that are earned, names that cannot act, comparison, the study's own figures."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import studio
from training.evaluation.conversations.shapes import (
    CRITERIA,
    Conversation,
    Judgement,
    Judgements,
    Label,
    Question,
    Remarks,
    Score,
    Turn,
)
from training.evaluation.reports.comparing import compare, write_comparison
from training.evaluation.reports.figures.drawing import files
from training.evaluation.reports.folder import read_report, write_report
from training.evaluation.reports.limits import limits
from training.evaluation.reports.pages import escaped, fenced
from training.evaluation.reports.published import published_drawings, published_left_out, study
from training.evaluation.reports.report import build_report
from training.evaluation.reports.rivals import rivals_of
from training.evaluation.reports.shapes import Report, ReportOptions
from training.evaluation.results import Answer, Evaluation, MergeRecord, SearchedScore, Variant
from workspace.errors import DataError, StudioError, UsageError
from workspace.files import verify

HOSTILE = "<script>alert(1)</script>|`x`_[y](http://evil.example)"
CURVE = {"self_attn": (0.0, 0.5, 1.0), "mlp": (1.0, 0.5, 0.0), "rest": (0.5, 0.5, 0.5)}
QUESTIONS = 120


def _evaluation(
    name: str, wrong: set[int], task: str = "silk", *, written: bool = False, n: int = QUESTIONS
) -> Evaluation:
    answers = tuple(
        Answer(
            id=f"q{at}",
            subset="basic" if at % 3 else "advanced",
            kind="choice" if at % 2 else "truth",
            wanted="A" if at % 2 else "T",
            given=("" if written and at % 7 == 0 else "B" if at % 2 else "F")
            if at in wrong
            else "A"
            if at % 2
            else "T",
            right=at not in wrong,
            confidence=None if written else 0.3 + 0.6 * (at % 10) / 10,
        )
        for at in range(n)
    )
    return Evaluation(
        model=name,
        fingerprint=f"weights of {name}",
        task=task,
        task_fingerprint=f"text of {task}",
        protocol="written" if written else "likelihood",
        rule="" if written else "pmi",
        template=True,
        seconds=1.0,
        answers=answers,
    )


def _record(
    name: str, method: str = "slerp", parents: tuple[str, ...] = ("instruct", "sft"), **more: object
) -> MergeRecord:
    cosines = {f"model.layers.{at}.self_attn.q_proj.weight": 0.9999 for at in range(3)} | {"lm_head.weight": 0.9}
    fields = {"curve": CURVE, "tensors": 4, "linear": 3, "cosines": cosines, "yaml": f"merge_method: {method}\n"} | more
    return MergeRecord.model_validate({"name": name, "method": method, "parents": parents} | fields)


VARIANTS = [
    Variant(name="instruct", family="tiny", start="instruct"),
    Variant(name="sft", family="tiny", start="instruct", stages=("cpt", "sft"), parents=("instruct",)),
    *(Variant(name=f"cpt-{at}", family="tiny", start="instruct", stages=("cpt",), epoch=at) for at in (1, 2)),
    *(
        Variant(name=name, family="tiny", start="instruct", stages=("cpt", "sft", "slerp"), parents=("instruct", "sft"))
        for name in ("even", "far", "third", "fourth", "fifth")
    ),
]


def _even_answers() -> list[Evaluation]:
    """Models that differ by a question or two."""
    wrong = {
        "instruct": 40,
        "sft": 41,
        "cpt-1": 42,
        "cpt-2": 40,
        "even": 40,
        "far": 39,
        "third": 38,
        "fourth": 41,
        "fifth": 40,
    }
    return [_evaluation(name, set(range(at, at + count))) for at, (name, count) in enumerate(wrong.items())]


def _even_report(**options: object) -> Report:
    names = ("even", "far", "third", "fourth", "fifth")
    general = [_evaluation(one.model, {1, 2, at}, "general", n=30) for at, one in enumerate(_even_answers())]
    asked = ReportOptions.model_validate({"task": "silk", "forgetting": "general"} | options)
    return build_report(_even_answers() + general, [_record(name) for name in names], VARIANTS, asked)


def _far_report(**rivals: set[int]) -> Report:
    """A merge that is right throughout, beside rivals that are wrong as told."""
    wrong = {"instruct": set(range(60)), "sft": set(range(30, 90)), "far": set[int]()} | rivals
    records = [_record("far")]
    records += [_record("lerp", "lerp")] if "lerp" in wrong else []
    records += [_record("sum", "task_arithmetic", curve={})] if "sum" in wrong else []
    records += [_record("soup", "linear", ("sft", "other"), curve={})] if "soup" in wrong else []
    return build_report([_evaluation(name, lost) for name, lost in wrong.items()], records, VARIANTS)


class _Page(HTMLParser):
    """What a page's tags name and would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _pages(report: Report, folder: Path, *, figures: bool = False) -> tuple[str, str]:
    write_report(report, folder, figures=figures)
    return (folder / "report.html").read_text(), (folder / "report.md").read_text()


def test_a_report_is_a_whole_folder_that_can_be_read_again(tmp_path: Path) -> None:
    report = _even_report(published=True)
    html, markdown = _pages(report, tmp_path / "report", figures=True)
    assert verify(tmp_path / "report") == []
    assert read_report(tmp_path / "report") == report == read_report(tmp_path / "report" / "report.json")
    names = [picture.name for picture in report.pictures]
    kept = {path.name for path in (tmp_path / "report" / "figures").iterdir()}
    assert kept == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg", "csv")}
    assert {
        "accuracy",
        "deviation",
        "observed",
        "clusters",
        "tree",
        "correlation",
        "gradients",
        "cosines",
        "epochs",
    } < set(names)
    assert {"improvement", "tuned", "reliability", "forgetting", "published-judges"} < set(names)
    for name in names:
        assert f"figures/{name}.png" in markdown
    page = _Page(html)
    assert page.tags.count("img") == len(names)
    assert all(one.startswith(("data:image/svg+xml;base64,", "#")) for one in page.loaded)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert "default-src 'none'" in html


def test_the_same_results_make_the_same_files(tmp_path: Path) -> None:
    one, other = (_pages(_even_report(), tmp_path / name) for name in ("one", "other"))
    assert one == other
    assert (tmp_path / "one" / "report.json").read_bytes() == (tmp_path / "other" / "report.json").read_bytes()


def test_a_report_takes_no_other_folders_place(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "home.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds no report"):
        write_report(_even_report(), tmp_path / "letters", figures=False)
    write_report(_even_report(), tmp_path / "report", figures=False)
    write_report(_even_report(title="Again"), tmp_path / "report", figures=False)
    assert read_report(tmp_path / "report").title == "Again"
    (tmp_path / "report.json").write_text('{"title": 1}')
    for path in (tmp_path / "report.json", tmp_path / "nowhere"):
        with pytest.raises(DataError, match="report"):
            read_report(path)


def test_words_of_praise_only_where_the_corrected_interval_excludes_zero(tmp_path: Path) -> None:
    even = _even_report(published=True)
    for text in _pages(even, tmp_path / "even"):
        assert not re.search(r"\b(better|synergy|outperform|significant)", text, re.IGNORECASE)
    assert {row.verdict for row in even.board.standings} == {"", "cannot be told apart"}
    lost = set(range(50))
    far = _far_report(lerp=lost, sum=lost, soup=lost, other=set(range(70)))
    finding = next(one for one in far.findings if one.merge == "far")
    assert finding.verdict == "synergy" and all(one.comparison.low > 0 for one in finding.rivals)
    for text in _pages(far, tmp_path / "far"):
        assert "synergy" in text and "better" in text


def test_a_merge_that_lacks_a_rival_claims_nothing_more(tmp_path: Path) -> None:
    report = _far_report(lerp=set(range(50)))
    (finding,) = [one for one in report.findings if one.merge == "far"]
    assert finding.verdict == "not tested" and "soup of as much compute" in finding.missing
    html, _ = _pages(report, tmp_path / "report")
    assert "synergy" not in html.lower()
    assert "not tested: no task arithmetic, no soup of as much compute" in html
    assert any("lack something" in limit for limit in report.limits)


def test_every_verdict_agrees_with_its_corrected_interval() -> None:
    report = _far_report(lerp=set(range(3)), sum=set(range(50)))
    told: list[tuple[float, float, str]] = [
        (one.comparison.low, one.comparison.high, one.verdict) for finding in report.findings for one in finding.rivals
    ]
    told += [(row.gain.low, row.gain.high, row.verdict) for row in report.board.standings if row.gain]
    assert {verdict for *_, verdict in told} >= {"better", "cannot be told apart"}
    for low, high, verdict in told:
        assert verdict == ("better" if low > 0 else "worse" if high < 0 else "cannot be told apart")


def test_what_cannot_be_drawn_is_left_out_with_the_reason(tmp_path: Path) -> None:
    report = build_report([_evaluation("alone", {1, 2}, written=True)])
    assert [picture.name for picture in report.pictures] == ["accuracy"]
    why = {one.name: one.why for one in report.left_out}
    assert set(why) == {
        *("improvement", "epochs", "tuned", "tokens", "deviation", "observed", "clusters", "tree", "correlation"),
        *("gradients", "cosines", "reliability", "forgetting", "judges"),
    }
    assert "it takes 5 merges" in why["clusters"] and "no answer has a confidence" in why["reliability"]
    html, markdown = _pages(report, tmp_path / "report", figures=True)
    for one in report.left_out:
        assert one.title in markdown and one.why in markdown
    assert "Not drawn" in html


def test_names_cannot_act_in_either_page(tmp_path: Path) -> None:
    evaluations = [_evaluation(name, set(range(at, at + 30))) for at, name in enumerate((HOSTILE, "sft", "merge"))]
    yaml = f"# ```\n</pre><script>alert(2)</script>\n# {HOSTILE}"
    report = build_report(
        evaluations, [_record("merge", parents=(HOSTILE, "sft"), yaml=yaml)], [], ReportOptions(title=HOSTILE)
    )
    html, markdown = _pages(report, tmp_path / "report", figures=True)
    page = _Page(html)
    assert "script" not in page.tags and "a" in page.tags
    assert all(one.startswith(("data:image/svg+xml;base64,", "#")) for one in page.loaded)
    assert any(HOSTILE in words for words in page.words)
    rendered = _Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    assert "script" not in rendered.tags
    assert not [one for one in rendered.loaded if not one.startswith("figures/")]
    with (tmp_path / "report" / "figures" / "accuracy.csv").open() as table:
        assert HOSTILE in [row["name"] for row in csv.DictReader(table)]


def test_markdown_marks_are_words() -> None:
    assert escaped("a|b\n# c <i>&") == "a\\|b \\# c &lt;i&gt;&amp;"
    assert fenced("x\n````\ny").startswith("`````\n")


def test_the_leaderboard_counts_what_it_says() -> None:
    report = _even_report()
    assert [row.accuracy.value for row in report.board.standings] == sorted(
        (row.accuracy.value for row in report.board.standings), reverse=True
    )
    row = next(row for row in report.board.standings if row.name == "sft")
    assert (row.right, row.n, row.kind, row.answers.count("1")) == (QUESTIONS - 41, QUESTIONS, "tuned", QUESTIONS - 41)
    assert report.baseline == "instruct" and {one.group for one in report.board.standings} == {1}
    assert report.board.benchmark.subsets == {"advanced": 40, "basic": 80}
    assert 0 < report.board.power.paired < report.board.power.corrected < 1
    expected = next(one for one in report.expected if one.merge == "even")
    assert expected.scores == (80 / 120, 79 / 120) and expected.best_parent == "instruct"
    assert expected.expected.value == pytest.approx(79.5 / 120) and expected.improvement.value == pytest.approx(0)


def test_unread_answers_are_counted_and_told(tmp_path: Path) -> None:
    report = build_report(
        [_evaluation("instruct", set(range(0, 60)), written=True), _evaluation("sft", {1}, written=True)]
    )
    unread = {row.name: row.unparsed for row in report.board.standings}
    assert unread == {"instruct": 9, "sft": 0}
    assert next(row.answers for row in report.board.standings if row.name == "instruct").count("?") == 9
    assert any("9 of 240 written answers could not be read" in limit for limit in report.limits)
    assert "Unread answers" in _pages(report, tmp_path / "report")[0]


def test_rivals_are_found_by_what_they_are() -> None:
    merge = _record("merge")
    other_t = {**CURVE, "mlp": (0.5, 0.5, 0.5)}
    records = [
        merge,
        _record("lerp", "lerp"),
        _record("lerp-elsewhere", "lerp", curve=other_t),
        _record("lerp-turned", "lerp", ("sft", "instruct")),
        _record("sum", "task_arithmetic", ("sft", "instruct")),
        _record("sum-of-others", "task_arithmetic", ("sft", "dpo")),
        _record("mean", "linear"),
        _record("soup", "linear", ("sft", "sft-2")),
        _record("lower-soup", "linear", ("sft", "sft-3")),
    ]
    scores = {one.name: 0.5 for one in records} | {"soup": 0.6, "lower-soup": 0.4, "mean": 0.9}
    assert rivals_of(merge, records, scores) == {
        "LERP at equal t": "lerp",
        "task arithmetic": "sum",
        "soup of as much compute": "soup",
    }
    assert rivals_of(records[1], records, scores) == {}


def test_limits_say_what_a_sceptic_would() -> None:
    told_by_search = SearchedScore(task="silk", development=0.9, test=2 / 3, low=0.55, high=0.77)
    record = _record("even", "slerp", searched=told_by_search)
    report = build_report(_even_answers(), [record], VARIANTS, ReportOptions(contamination_allowed=True))
    told = "\n".join(report.limits)
    assert "searched on the development split of silk: 0.900 there, 0.667 on the test split (+0.233 apart)" in told
    assert "even" not in {one.merge for one in report.findings}  # half of silk's questions chose it
    elsewhere = record.model_copy(update={"searched": told_by_search.model_copy(update={"task": "bone"})})
    assert "even" in {one.merge for one in build_report(_even_answers(), [elsewhere], VARIANTS).findings}
    assert "Contamination was allowed" in told and "No general questions were asked" in told
    assert "1 of 1 merges called spherical took most tensors as linear" in told
    assert "Three families of comparisons" in told and "120 questions" in told
    assert "refused by comparing words" in "\n".join(limits(report, ReportOptions()))
    assert report.searched[0].part == pytest.approx(0.9 - 80 / 120)


def test_bad_requests_are_told_in_a_line() -> None:
    evaluations = _even_answers()
    cases: list[tuple[type[Exception], str, list[Evaluation], ReportOptions]] = [
        (DataError, "there is no evaluation", [], ReportOptions()),
        (DataError, "two evaluations of silk", [*evaluations, evaluations[0]], ReportOptions()),
        (
            DataError,
            "were not asked the same questions",
            [*evaluations, _evaluation("short", {1}, n=99)],
            ReportOptions(),
        ),
        (UsageError, "unknown benchmark 'silc'; did you mean 'silk'", evaluations, ReportOptions(task="silc")),
        (UsageError, "unknown baseline", evaluations, ReportOptions(baseline="nobody")),
        (UsageError, "unknown set of general questions", evaluations, ReportOptions(forgetting="general")),
        (UsageError, "cannot be both", evaluations, ReportOptions(task="silk", forgetting="silk")),
        (UsageError, "unknown merge", evaluations, ReportOptions(rivals={"sft": {"task arithmetic": "far"}})),
    ]
    for kind, words, given, options in cases:
        with pytest.raises(kind, match=words):
            build_report(given, [_record("even")], VARIANTS, options)


def test_another_benchmark_has_a_board_of_its_own(tmp_path: Path) -> None:
    more = [_evaluation(one.model, {1, 2, 3}, "bio", n=50) for one in _even_answers()[:5]]
    report = build_report(_even_answers() + more, [_record("even")], VARIANTS)
    assert (report.board.benchmark.task, [one.benchmark.task for one in report.others]) == ("silk", ["bio"])
    assert {one.benchmark for one in report.findings} == {"silk", "bio"}
    assert "Another benchmark: bio" in _pages(report, tmp_path / "report")[0]


def test_two_reports_of_the_same_questions_are_compared_in_pairs(tmp_path: Path) -> None:
    one = build_report([_evaluation("sft", set(range(60))), _evaluation("same", {1}), _evaluation("old", {1})])
    other = build_report(
        [_evaluation("sft", set(range(20))), _evaluation("same", {1})], options=ReportOptions(title="Later")
    )
    found = compare(one, other)
    assert found.paired and found.only_one == ("old",) and found.only_other == ()
    pairs = {pair.name: pair for pair in found.pairs}
    sft, same = pairs["sft"], pairs["same"]
    assert sft.difference.value == pytest.approx(40 / 120) and sft.verdict == "better" and sft.difference.low > 0
    assert same.verdict == "cannot be told apart" and same.same_weights
    write_comparison(found, tmp_path / "beside")
    assert "corrected together" in (tmp_path / "beside" / "report.md").read_text()
    assert json.loads((tmp_path / "beside" / "report.json").read_text())["paired"] is True


def test_two_reports_of_other_questions_claim_nothing() -> None:
    one = build_report([_evaluation("sft", set(range(60)))])
    other = build_report([_evaluation("sft", set(range(10)), n=100)])
    found = compare(one, other)
    assert not found.paired and "the questions differ (120 and 100, 100 in both)" in found.remark
    (pair,) = found.pairs
    assert pair.verdict == "not claimed" and pair.p is None
    assert pair.difference.low < pair.difference.value < pair.difference.high
    with pytest.raises(DataError, match="no model in common"):
        compare(one, build_report([_evaluation("dpo", {1})]))


def test_published_figures_are_marked_and_hold_what_the_study_states() -> None:
    drawn = {one.name: one for one in published_drawings()}
    assert set(drawn) == {"published-accuracy", "published-improvement", "published-judges", "published-gradients"}
    for one in drawn.values():
        assert one.mark == "published: arXiv 2409.03444" and len(files(one)) == 3
    stated = study()
    assert stated.questions == 359
    best = max(row.total for row in stated.judges)
    for row in stated.judges:
        assert row.total == row.depth + row.creativity + row.clarity + row.quantitative
        assert row.normalised == pytest.approx(10 * row.total / best, abs=0.05)
    left_out = {one.name for one in published_left_out()}
    assert {"published-observed", "published-correlation", "published-deviation", "published-tokens"} < left_out
    captions = " ".join(one.caption for one in drawn.values())
    assert "computed here" in captions and "caption of Fig. 5" in captions and "table 3" in captions


def test_published_figures_stand_beside_ones_own(tmp_path: Path) -> None:
    report = _even_report(published=True)
    assert {one.name.startswith("published-") for one in report.pictures if one.mark} == {True}
    assert {one.name.startswith("published-") for one in report.pictures if not one.mark} == {False}
    assert "published:" in _pages(report, tmp_path / "with", figures=True)[0]
    assert "published:" not in _pages(report, tmp_path / "without")[0]
    assert not any(one.mark or one.name.startswith("published-") for one in _even_report().pictures)


def _judged(model: str, score: int) -> tuple[Conversation, list[Judgement | Remarks]]:
    talk = Conversation(
        model=model,
        fingerprint=model,
        maker={},
        topic="silk",
        repeat=0,
        system="",
        sampling={},
        keys=("name",),
        wanted=1,
        turns=(Turn(asked="what?", said="this", seed=0),),
    )
    asked = {"judge": "judge", "judge_id": "judge-1", "seed": 0}
    scores = {name: Score(reason="so", score=score) for name in CRITERIA}
    both = [
        Judgement.model_validate({**asked, "question": Question(shown=(model,), criteria=order), "scores": [scores]})
        for order in (CRITERIA, CRITERIA[::-1])
    ]
    words = {"strengths": [f"{HOSTILE} is clear"], "weaknesses": ["short"], "observations": ["brief"]}
    said = Remarks.model_validate({**asked, **words, "question": Question(kind="remarks", shown=(model,))})
    return talk, [*both, said]


def test_judges_scores_and_remarks_have_their_tables_and_figure(tmp_path: Path) -> None:
    talks, rows = zip(*(_judged(name, score) for name, score in (("sft", 6), ("instruct", 9))), strict=True)
    judgements = Judgements(
        conversations=talks, rows=tuple(row for some in rows for row in some), notes=("One judge.",)
    )
    report = build_report(_even_answers(), [_record("even")], VARIANTS, judgements=judgements)
    assert report.judging is not None
    assert {row.model: row.total.value for row in report.judging.scores.rows} == {"instruct": 36, "sft": 24}
    assert "judges" in {picture.name for picture in report.pictures}
    html, markdown = _pages(report, tmp_path / "report", figures=True)
    assert "One judge." in markdown and "Strengths, weaknesses, observations" in html
    assert "script" not in _Page(html).tags and any(f"{HOSTILE} is clear" in words for words in _Page(html).words)
    assert any("Judges are language models" in limit for limit in report.limits)
    with (tmp_path / "report" / "figures" / "judges.csv").open() as table:
        assert [(row["name"], row["average"]) for row in csv.DictReader(table)] == [("instruct", "9"), ("sft", "6")]


def test_corrected_scores_stand_in_tables_pages_and_the_figure(tmp_path: Path) -> None:
    people = {"sft": 3.0, "instruct": 6.2, "even": 4.0, "far": 5.0}
    talks, rows = zip(*(_judged(name, round(mark) + 3) for name, mark in people.items()), strict=True)
    labels = [Label(conversation=name, criterion=one, score=mark) for name, mark in people.items() for one in CRITERIA]
    judgements = Judgements(
        conversations=talks, rows=tuple(row for some in rows for row in some), labels=tuple(labels[:-1])
    )
    report = build_report(_even_answers(), [_record("even")], VARIANTS, judgements=judgements)
    assert report.judging is not None
    by_model = {row.model: row.corrected for row in report.judging.scores.rows}
    assert by_model["sft"]["total"] == pytest.approx((12, 12, 12))  # people's own
    value, low, high = by_model["far"]["total"]  # of which people have not scored all criteria
    assert low < 20 < high and value == pytest.approx(20, abs=1)
    cell = f"{value:.2f} [{low:.2f}, {high:.2f}]"
    for text in _pages(report, tmp_path / "report", figures=True):
        assert cell.replace("[", "").replace("]", "") in text.replace("\\", "").replace("[", "").replace("]", "")
        assert "Scores by judges, corrected by people" in text
        assert "total and average: corrected by 3 labels" in text and "depth: corrected by 4 labels" in text
    assert read_report(tmp_path / "report") == report
    with (tmp_path / "report" / "figures" / "judges.csv").open() as table:
        drawn = {row["name"]: float(row["corrected"]) for row in csv.DictReader(table)}
    assert drawn["far"] == pytest.approx(value / 4, abs=1e-4)
    assert "White diamonds" in next(one.caption for one in report.pictures if one.name == "judges")


def test_published_numbers_alone_say_what_they_are_and_claim_nothing(home: Path, tmp_path: Path) -> None:
    found = studio.train_report(None, out=tmp_path / "study", published=True)
    assert (found.models, found.comparisons, found.better, found.synergy) == (0, 0, (), ())
    assert "without answers question by question: none can be compared or tested" in found.note
    for name in ("report.html", "report.md"):
        text = (tmp_path / "study" / name).read_text(encoding="utf-8")
        assert "without answers question by question: none can be compared or tested" in text
        assert not re.search(r"told apart|synergy|\bbetter|leaderboard|corrected interval", text, re.IGNORECASE)
        assert re.findall(r"(?:<h2>|^## )(.*?)(?:</h2>|$)", text, re.MULTILINE) == [
            "What the study states",
            "What it does not state",
        ]
    titled = studio.train_report(None, out=tmp_path / "study", published=True, title="As printed")
    assert "<h1>As printed</h1>" in titled.page.read_text(encoding="utf-8")
    with pytest.raises(DataError, match="published numbers alone, no report to compare with"):
        read_report(tmp_path / "study")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"judged": Path("verdicts.json")}, "nothing has been evaluated"),
        ({"task": "sample"}, "nothing has been evaluated"),
        ({"baseline": "instruct"}, "nothing has been evaluated"),
        ({"figures": False}, "nothing has been evaluated yet, and without figures"),
    ],
)
def test_what_published_numbers_do_not_have_is_not_dropped_in_silence(
    home: Path, tmp_path: Path, asked: dict[str, Any], why: str
) -> None:
    with pytest.raises(StudioError, match=why):
        studio.train_report(None, out=tmp_path / "study", published=True, **asked)
    assert not (tmp_path / "study").exists()
