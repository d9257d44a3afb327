"""Merging, evaluating, judging and reporting by the front door and the command line, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import studio
from tests.fixtures_merging import family as family
from workspace.errors import DataError, StudioError, UsageError

pytest_plugins = ["tests.fixtures_local"]

QUESTIONS = [
    {"id": f"q{number}", "question": f"What is {word}?", "options": ["silk", "nacre", "bone"], "answer": answer}
    for number, (word, answer) in enumerate(zip(["tough", "hard", "soft", "light"] * 3, "ABCABCABCABC", strict=True))
]


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    return str(file)


@pytest.fixture
def variants(home: Path, family: Path) -> list[str]:
    """Two models as variants of the home, by name."""
    folder = home / "variants"
    folder.mkdir(parents=True)
    for name in ("one", "two"):
        (folder / name).symlink_to(family / name)
    return [str(family / "one"), str(family / "two")]


def test_merge_evaluate_report_and_nothing_is_done_twice(
    home: Path, variants: list[str], benchmark: str, tmp_path: Path
) -> None:
    planned = studio.train_merge(variants, name="m", plan=True)
    assert planned.start == "t = 0 is one, t = 1 is two"
    assert not (home / "variants" / "m").exists()
    record = studio.train_merge(variants, name="m")
    studio.train_merge(variants, name="l", method="lerp")
    written = (home / "variants" / "m" / "merge.json").stat().st_mtime_ns
    assert studio.train_merge(variants, name="m") == record
    assert (home / "variants" / "m" / "merge.json").stat().st_mtime_ns == written

    events: list[Any] = []
    models = [*variants, "m", "l"]
    made = studio.train_evaluate(models, tasks=(benchmark,), listener=events.append)
    assert [one.model for one in made.scores] == ["one", "two", "m", "l"]
    assert all(one.questions == 12 and one.low <= one.right <= one.high for one in made.scores)
    told = [event.text for event in events if event.type == "remark"]
    assert "12 questions show" in told[0]
    assert studio.train_evaluate(models, tasks=(benchmark,)) == made

    found = studio.train_report(None, out=tmp_path / "report", figures=False)
    assert found.models == 4
    assert found.comparisons >= 3  # m beside its best parent and LERP, l beside its best parent
    assert found.better == ()  # twelve questions show nothing
    assert "cannot be told apart" in found.page.read_text(encoding="utf-8")
    beside = studio.train_report(["one", "m"], out=tmp_path / "new", figures=False, beside=tmp_path / "report")
    assert beside.models == 2
    assert beside.beside is not None and (beside.beside / "report.html").is_file()


def test_a_search_publishes_the_merge_that_it_found(home: Path, variants: list[str], benchmark: str) -> None:
    record = studio.train_merge(variants, name="s", search=benchmark, trials=6, anchors=3, rule="plain")
    assert record.name == "s"
    assert record.searched is not None and 0 <= record.searched.development <= 1
    kept = json.loads((home / "searches" / "s" / "result.json").read_text(encoding="utf-8"))
    assert len(kept["trials"]) == 6
    assert record.searched.development == pytest.approx(kept["standings"][0]["development"][0])


@pytest.mark.parametrize(
    ("verb", "subject", "options", "why"),
    [
        ("train_merge", ["one", "nosuch"], {"name": "m"}, "unknown model 'nosuch'"),
        ("train_merge", ["one"], {"name": "m"}, "two models, not 1"),
        ("train_merge", ["one", "two"], {"name": "m", "method": "slrp"}, "slerp"),
        ("train_merge", ["one", "two"], {"name": "m", "t": 1.5}, "at most 1|less than or equal to 1|0 to 1"),
        ("train_merge", ["one", "two"], {"name": "m", "density": 0.5}, "slerp has no density"),
        ("train_evaluate", ["nosuch"], {}, "unknown model 'nosuch'"),
        ("train_evaluate", ["one"], {"tasks": ("nosuch",)}, "nosuch"),
        ("train_merge", ["one", "one"], {"name": "m"}, "stands twice"),
        ("train_merge", ["one", "two"], {"name": "one"}, "another variant named 'one'"),
        ("train_merge", ["one", "two"], {"name": "s", "search": "nosuch"}, "nosuch"),
        ("train_merge", ["one", "two"], {"name": "s", "method": "linear", "search": "sample"}, "linear has none"),
        ("train_evaluate", ["one", "one"], {}, "two models are called one"),
        ("train_judge", ["one"], {"judges": ("one",)}, "there is one"),
        ("train_judge", ["one"], {"topics": ("nosuch",)}, "nosuch"),
        ("train_judge", ["one"], {"judges": ("nosuch",), "layout": "alone"}, "unknown model 'nosuch'"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_queued(
    verb: str, subject: list[str], options: dict[str, Any], why: str, home: Path, variants: list[str], family: Path
) -> None:
    known = {"one": variants[0], "two": variants[1]}
    with pytest.raises(StudioError, match=why):
        getattr(studio, verb).submit([known.get(name, name) for name in subject], **options)
    assert not (home / "ledger.db").is_file() or studio.list_jobs() == []


@pytest.mark.parametrize(
    ("base", "why", "code"),
    [
        ("lab/gone", r"the base of the adapter tuned, lab/gone, is not here \(BASE\+.*tuned names another place\)", 2),
        ("/no/such/base", r"the base of the adapter tuned, /no/such/base, is not here", 2),
        (None, r"adapter_config.json names no model under it \(BASE\+.*tuned names it\)", 2),
        ("HuggingFaceTB/SmolLM2-135M", r"smollm2-135m is not on this machine yet: .*studio models fetch", 69),
    ],
)
def test_a_lora_without_its_base_is_told_before_anything_is_asked(
    base: str | None, why: str, code: int, home: Path, variants: list[str], benchmark: str, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
    save_file({"base_model.model.lora_A.weight": torch.zeros(1, 1)}, folder / "adapter_model.safetensors")
    with pytest.raises(StudioError, match=why) as refused:
        studio.train_evaluate([variants[0], str(folder)], tasks=(benchmark,))
    assert refused.value.exit_code == code and "\n" not in str(refused.value)
    assert not (home / "evaluations").exists()
    with pytest.raises(UsageError, match="two models are called tuned"):
        studio.train_evaluate([f"{one}+{folder}" for one in variants], tasks=(benchmark,))


def test_a_report_says_what_is_missing(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing has been evaluated"):
        studio.train_report(None, out=tmp_path / "report")


def test_the_studys_own_figures_need_no_evaluation(home: Path, tmp_path: Path) -> None:
    found = studio.train_report(None, out=tmp_path / "study", published=True)
    page = found.page.read_text(encoding="utf-8")
    assert "2409.03444" in page
    assert list((tmp_path / "study" / "figures").glob("published-*.svg"))
    with pytest.raises(UsageError, match="holds no report"):
        studio.train_report(None, out=tmp_path, published=True)


def test_numbers_may_be_given_by_commas(home: Path, variants: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from ui.cli import main

    more = ["--name", "m", "--self-attn", "0,0.25,1", "--mlp", "1", "--mlp", "0", "--rest", "0.25", "--plan", "--json"]
    assert main(["train", "merge", *variants, *more]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["curve"]["self_attn"] == pytest.approx([0, 1 / 6, 1 / 2, 1])
    assert planned["curve"]["mlp"] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert main(["train", "merge", *variants, "--name", "m", "--self-attn", "0,up", "--plan"]) == 2
    assert "self_attn" in capsys.readouterr().err
