"""A recipe from papers to a variant: read, distilled, trained; nothing done twice, and the wrong graph refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.catalogue.fetch import variants
from tests.fixtures_chat import Fault, ScriptedServer
from training.language import data_stages
from training.language.plan import plan
from training.language.recipe import load_recipe, order, parents, shipped
from training.language.results import RecipeResult
from training.language.run import main, open_run
from ui.cli import main as cli
from workspace.errors import DataError, Unfinished
from workspace.progress import Progress

pytest_plugins = ["tests.fixtures_local", "tests.fixtures_chat"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
ARGS = {"max_steps": 2, "max_length": 64, "learning_rate": 1e-3, "bf16": False, "logging_steps": 1}
PAPERS = {
    "nacre": "Nacre stacks aragonite tablets about 0.5 um thick with thin protein films between them. A crack that "
    "meets the films turns aside, and the tablets slide over each other.",
    "bamboo": "Bamboo holds its stiff fibre bundles mostly near the outer wall of the culm. Bending strains the outer "
    "wall most, so the bundles lie where the load is.",
}


def pairs(question: str, chosen: str, rejected: str) -> list[dict[str, Any]]:
    return [
        {"pairs": [{"question": question, "answer": chosen}]},
        {"pairs": [{"question": question.replace("?", ", do you think?"), "chosen": chosen, "rejected": rejected}]},
    ]


ANSWERS = (
    *pairs("Where do the bundles of bamboo lie?", "They lie near the outer wall.", "They lie in the middle."),
    *pairs("What turns a crack in nacre aside?", "Thin protein films turn it aside.", "Steel wires turn it aside."),
)


@pytest.fixture
def recipe(word_llama: Path, tmp_path: Path, openai_server: ScriptedServer) -> Path:
    folder = tmp_path / "recipe"
    (folder / "papers").mkdir(parents=True)
    for name, text in PAPERS.items():
        (folder / "papers" / f"{name}.md").write_text(f"# {name.title()}\n\n{text}\n", encoding="utf-8")
    openai_server.script = list(ANSWERS)
    distil = {"model": "tiny", "server": openai_server.url, "kinds": ["open", "preference"], "workers": 1}
    stages: list[dict[str, Any]] = [
        {"name": "papers", "stage": "corpus", "corpus": {"inputs": ["papers"], "fewest": 15}},
        {"name": "rows", "stage": "distil", "distil": distil},
        {"name": "cpt", "stage": "cpt", "data": [{"from": "papers", "weight": 2.0}], "args": ARGS},
        {"name": "sft", "stage": "sft", "data": [{"from": "rows"}], "args": ARGS},
        {"name": "dpo", "stage": "dpo", "data": [{"from": "rows"}], "args": ARGS},
    ]
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "base": str(word_llama), "stages": stages}))
    return path


def made(result: RecipeResult) -> dict[str, bool]:
    return {one.name.removeprefix("mine-"): one.made for one in (*result.data, *result.variants)}


def test_papers_become_a_variant_and_nothing_is_done_twice(
    recipe: Path, home: Path, openai_server: ScriptedServer
) -> None:
    corpus, rows, cpt, *_ = plan(open_run(recipe, home)).stages
    assert corpus.stage == "corpus" and rows.stage == "distil" and not corpus.done and not rows.done
    assert cpt.stage == "cpt" and cpt.data == "not made yet, by papers" and cpt.steps is None
    told: list[Progress] = []
    done = main(open_run(recipe, home), told.append)
    assert made(done) == dict.fromkeys(("papers", "rows", "cpt", "sft", "dpo"), True)
    assert [(event.stage, event.documents) for event in told if event.type == "document_read"] == [
        ("papers", 1), ("papers", 2),
    ]  # fmt: skip
    assert [event.passages for event in told if event.type == "passage_distilled"] == [1, 2]
    assert RecipeResult.model_validate_json(done.model_dump_json()) == done
    figures = {one.name: one.figures for one in done.data}
    assert figures["mine-papers"]["passages"] == 2
    assert figures["mine-rows"]["rows"] == {"text": 0, "messages": 2, "preferences": 2}
    assert variants(home) == ["mine-cpt", "mine-dpo", "mine-sft"]
    card = json.loads((home / "variants" / "mine-cpt" / "variant.json").read_text())
    assert card["data"]["files"] == "papers" and card["data"]["rows"] == 4
    row = json.loads((home / "training" / "mine-rows" / "data" / "messages.jsonl").read_text().splitlines()[0])
    assert row["source"]["document"] in ("nacre.md", "bamboo.md")
    asked = len(openai_server.requests)
    assert made(main(open_run(recipe, home))) == dict.fromkeys(("papers", "rows", "cpt", "sft", "dpo"), False)
    assert len(openai_server.requests) == asked
    corpus, rows, cpt, *_ = plan(open_run(recipe, home)).stages
    assert corpus.stage == "corpus" and rows.stage == "distil" and corpus.done and rows.done
    assert cpt.stage == "cpt" and cpt.rows == 4


def test_a_new_paper_is_read_and_asked_about_and_the_others_are_not(
    recipe: Path, home: Path, openai_server: ScriptedServer
) -> None:
    main(open_run(recipe, home))
    asked = len(openai_server.requests)
    text = "Dragline silk holds crystals of 2 nm to 7 nm that tie its soft chains together, so that it is tough."
    (recipe.parent / "papers" / "silk.md").write_text(f"# Silk\n\n{text}\n", encoding="utf-8")
    openai_server.script = pairs(
        "What ties the soft chains of silk?", "Crystals tie the soft chains together.", "Water ties the soft chains."
    )
    assert made(main(open_run(recipe, home))) == dict.fromkeys(("papers", "rows", "cpt", "sft", "dpo"), True)
    assert len(openai_server.requests) == asked + 2


def test_what_was_removed_is_made_again_and_what_cannot_be_read_is_passed_over(recipe: Path, home: Path) -> None:
    main(open_run(recipe, home))
    (home / "training" / "mine-papers" / "passages.jsonl").unlink()
    (recipe.parent / "papers" / "gone.md").symlink_to("nowhere.md")
    again = main(open_run(recipe, home))
    assert made(again) == {"papers": True} | dict.fromkeys(("rows", "cpt", "sft", "dpo"), False)
    report = json.loads((home / "training" / "mine-papers" / "report.json").read_text())
    assert [Path(name).name for name in report["skipped"]] == ["gone.md"] and report["passages"] == 2


def test_a_server_that_goes_away_leaves_what_it_wrote(
    recipe: Path, home: Path, openai_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    openai_server.script = [*ANSWERS[:2], Fault("status", 401)]
    assert cli(["train", "run", str(recipe)]) == Unfinished.exit_code
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ") and "1 of 2 passages are done" in line and variants(home) == []
    openai_server.script = list(ANSWERS[2:])
    assert made(main(open_run(recipe, home)))["rows"]


def test_a_kind_of_rows_that_was_not_asked_for_is_named(recipe: Path, home: Path) -> None:
    told = yaml.safe_load(recipe.read_text())
    told["stages"][1]["distil"]["kinds"] = ["open"]
    recipe.write_text(yaml.safe_dump(told | {"stages": [*told["stages"][:2], told["stages"][4]]}))
    with pytest.raises(DataError, match="stage rows made no rows for dpo"):
        main(open_run(recipe, home))


def test_stages_that_make_rows_need_not_stand_first(recipe: Path) -> None:
    told = yaml.safe_load(recipe.read_text())
    stages = told["stages"]
    recipe.write_text(yaml.safe_dump(told | {"stages": [stages[2], stages[3], stages[0], stages[1]]}))
    read = load_recipe(recipe)
    assert [stage.name for stage in order(read)].index("papers") < [one.name for one in order(read)].index("cpt")
    assert [parents(read, stage) for stage in read.stages] == [["base"], ["cpt"], [], ["papers"]]


@pytest.mark.parametrize(
    ("place", "changes", "why"),
    [
        (0, {"corpus": None}, "stages.0: corpus: its inputs are needed"),
        (0, {"corpus": {"inputs": []}}, "stages.0.corpus.inputs: Tuple should have at least 1 item"),
        (0, {"corpus": {"inputs": ["papers"], "topik": "silk"}}, "unknown key 'topik'; did you mean 'topic'?"),
        (0, {"data": [{"path": "x"}]}, "a corpus stage has no data, args or adapter"),
        (0, {"stage": "distil"}, "corpus is for a corpus stage"),
        (1, {"from": "cpt"}, "stages, rows, from: unknown corpus stage 'cpt'; choices: papers"),
        (1, {"distil": {"kinds": ["opn"]}}, "unknown kind 'opn'; did you mean 'open'?"),
        (2, {"from": "papers"}, "stages, cpt, from: unknown stage 'papers'; choices: base, cpt, dpo, sft"),
        (2, {"data": [{"from": "paper"}]}, "unknown corpus or distil stage 'paper'; did you mean 'papers'?"),
        (2, {"data": [{"path": "a", "from": "b"}]}, "give a path, or from with a stage's name"),
        (2, {"distil": {}}, "distil is for a distil stage"),
        (3, {"data": [{"from": "papers"}]}, "stages, sft, data, from: unknown distil stage 'papers'; choices: rows"),
    ],
)
def test_a_wrong_graph_is_one_clear_line(recipe: Path, place: int, changes: dict[str, Any], why: str) -> None:
    told = yaml.safe_load(recipe.read_text())
    told["stages"][place] |= changes
    recipe.write_text(yaml.safe_dump(told))
    with pytest.raises(DataError) as caught:
        load_recipe(recipe)
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_is_none_is_said_before_anything_is_read(recipe: Path, home: Path) -> None:
    told = yaml.safe_load(recipe.read_text())
    told["stages"][1]["distil"]["server"] = "here"
    recipe.write_text(yaml.safe_dump(told))
    with pytest.raises(
        DataError, match=r"mine.yaml: stages.1.distil.server: must begin with http:// or https://, not 'here'$"
    ):
        main(open_run(recipe, home))
    assert not (home / "training" / "mine-papers").exists()


def test_nothing_to_distil_is_said(recipe: Path) -> None:
    told = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(told | {"stages": told["stages"][1:2]}))
    with pytest.raises(DataError, match="stages, rows: there is no corpus stage to distil"):
        load_recipe(recipe)


def test_papers_that_are_not_there_are_named(recipe: Path, home: Path) -> None:
    for file in (recipe.parent / "papers").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"no papers in .*papers \(files that are read end in .pdf"):
        main(open_run(recipe, home))
    assert not (home / "training" / "mine-papers" / data_stages.DONE).exists()


def test_a_shipped_recipe_goes_from_papers_to_variants() -> None:
    assert "papers" in shipped()
    read = load_recipe("papers")
    assert [stage.stage for stage in order(read)][:2] == ["corpus", "distil"]
    assert {stage.stage for stage in read.stages} == {"corpus", "distil", "cpt", "sft", "dpo", "slerp"}
