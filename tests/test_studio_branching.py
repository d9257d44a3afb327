"""A run branched: what is kept, what is made anew, what a person writes, the family, and making a branch again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.runs.provenance import lines, provenance
from tests.fixtures_run import MAKERS, ScriptedChat, critique
from tests.test_studio_execute import stop_at
from ui import cli
from workspace.errors import DataError, Interrupted, StorageError, UsageError
from workspace.event_log import read
from workspace.files import verify
from workspace.ledger import Ledger

pytestmark = pytest.mark.usefixtures("scripted_studio")

BRIEF = "a panel that stops cracks"
WORDED = "wavy thin green lines on a gold ground"
TURN = "Layers of chitin slide over one another. The panel bends and does not break."


def whole(home: Path, run_id: str) -> tuple[dict[str, bytes], dict[str, list[Any]]]:
    """All that there is of a run: its files, and its rows."""
    folder = home / "runs" / run_id
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with Ledger(home / "ledger.db", reading=True) as ledger:
        rows = {
            table: ledger.read(f"SELECT * FROM {table} WHERE {key} = ?", run_id)
            for table, key in (("jobs", "job_id"), ("runs", "run_id"), ("onces", "run_id"), ("artifacts", "run_id"))
        }
    return files, rows


def effects(home: Path, run_id: str) -> dict[str, Any]:
    with Ledger(home / "ledger.db") as ledger:
        return {one.key: one.value for one in ledger.effects(run_id)}


def remade(run: studio.Design) -> list[str]:
    """The steps that a run did itself."""
    events = read(run.folder / "events.jsonl")
    return [event.key for event in events if event.type == "step_finished" and not event.replayed]


@pytest.fixture
def two_rounds(home: Path, monkeypatch: pytest.MonkeyPatch) -> studio.Design:
    """A finished run with two rounds of two pictures."""
    monkeypatch.setitem(MAKERS, "Verdict", lambda messages, seed: critique(messages, seed) | {"fit": 2})
    run = studio.design(BRIEF, seed=4, images=2, rounds=2)
    assert run.rounds == 2 and len(run.images) == 4 and run.critiques
    return run


def test_an_edited_turn_stands_and_all_after_it_is_made_anew(home: Path) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    before = whole(home, run.run_id)
    made = studio.branch.made(run.run_id, at="scientist/turn-2", edit=f"  {TURN}\n")
    assert made.status == "finished" and made.run_id != run.run_id and made.seed == run.seed
    was, now = effects(home, run.run_id), effects(home, made.run_id)
    assert now["scientist/turn-1"] == was["scientist/turn-1"] and now["scientist/turn-2"] == TURN
    assert TURN in (made.folder / "conversation.md").read_text()
    assert remade(made) == [key for key in remade(run)[remade(run).index("scientist/turn-2") + 1 :]]
    assert made.images[0].seed == run.images[0].seed and verify(made.folder) == []
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["branch"] == {
        "root": run.run_id,
        "parent": run.run_id,
        "at": "scientist/turn-2",
        "how": "edited",
        "kept": manifest["branch"]["kept"],
    }
    assert json.loads((run.folder / "manifest.json").read_text())["branch"] is None
    assert whole(home, run.run_id) == before
    told = "\n".join(lines(provenance(made.run_id, home), ["title"]))
    assert f"turn: {TURN} (edited by a person)" in told and "in the place of: " in told


def test_an_edited_design_keeps_what_bears_out_what_is_as_it_was(home: Path) -> None:
    run = studio.design(BRIEF, inspirations=["nacre"], seed=4, images=1)
    design = json.loads((run.folder / "design.json").read_text())
    figure = design["properties"][0] | {"value": 3.5, "status": "verified"}
    edit = {"title": "A panel of sliding plates", "properties": [figure], "inspirations": design["inspirations"]}
    made = studio.branch.made(run.run_id, at="engineer/design-1", edit=edit)
    now = json.loads((made.folder / "design.json").read_text())
    assert now["title"] == edit["title"] and now["summary"] == design["summary"]
    assert now["inspirations"] == design["inspirations"] and now["mechanisms"] == design["mechanisms"]
    assert (now["properties"][0]["value"], now["properties"][0]["status"]) == (3.5, "assumed")
    assert now["properties"][0]["evidence"] is None
    assert not [key for key in remade(made) if key.startswith(("scientist", "engineer"))]
    graph = provenance(made.run_id, home)
    assert graph.nodes["title"].label == "title: A panel of sliding plates (edited by a person)"
    assert ("person", "attributed") in graph.from_("title")
    assert graph.nodes["summary"].label == f"summary: {design['summary']}"
    assert "(edited by a person)" in graph.nodes["properties.1"].label


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"title": "x"}, "title"),
        ({"titel": "A panel"}, "title"),
        ('{"components": []}', "components"),
        ("{no", "no JSON"),
        ("[1]", "no document"),
        ({"properties": [{"name": "toughness", "value": "much", "unit": "MPa", "basis": "It is so."}]}, "properties.0"),
    ],
)
def test_a_design_that_will_not_do_is_refused_in_a_line(home: Path, edit: Any, told: str) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    with pytest.raises(UsageError, match=told) as refused:
        studio.branch(run.run_id, at="engineer/design-1", edit=edit)
    assert "\n" not in refused.value.message
    assert [one.run_id for one in studio.list_runs()] == [run.run_id]
    assert [path.name for path in (home / "runs").iterdir()] == [run.run_id]


def test_an_edited_prompt_is_painted_as_a_person_worded_it(home: Path, scripted_studio: Any) -> None:
    run = studio.design(BRIEF, seed=4, images=2)
    scripted_studio.painted.clear()
    made = studio.branch.made(run.run_id, at="illustrator/prompt-1", edit=WORDED)
    assert {spec.prompt for spec in scripted_studio.painted} == {WORDED}
    assert [image.seed for image in made.images] == [image.seed for image in run.images]
    assert [image.sha256 for image in made.images] != [image.sha256 for image in run.images]
    was, now = effects(home, run.run_id), effects(home, made.run_id)
    assert now["illustrator/prompt-1"] == was["illustrator/prompt-1"] | {"short": WORDED, "long": WORDED}
    other = studio.branch.made(run.run_id, at="illustrator/prompt-1", edit='{"palette": "amber on black"}')
    assert effects(home, other.run_id)["illustrator/prompt-1"]["palette"] == "amber on black"
    told = "\n".join(lines(provenance(made.run_id, home), ["picture-1"]))
    assert f"prompt: {WORDED} (edited by a person)" in told
    for edit, why in (("short", "shorter than"), ({"motifs": []}, "motifs"), ('{"hue": "red"}', "hue")):
        with pytest.raises(UsageError, match=why):
            studio.branch.made(run.run_id, at="illustrator/prompt-1", edit=edit)


def test_a_retried_turn_is_made_with_another_seed(home: Path) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    made = studio.branch.made(run.run_id, at="scientist/turn-2", seed=11)
    drawn = studio.branch.made(run.run_id, at="scientist/turn-2")
    assert made.seed == 11 and drawn.seed != run.seed
    was, now = effects(home, run.run_id), effects(home, made.run_id)
    assert now["scientist/turn-1"] == was["scientist/turn-1"] and now["scientist/turn-2"] != was["scientist/turn-2"]
    assert remade(made)[0] == "scientist/turn-2"
    assert studio.family(made.run_id)[-1].how == "retried"


@pytest.mark.parametrize("at", ["scientist/turn-2", "engineer/design-1", "illustrator/prompt-1"])
def test_a_redirected_step_is_made_anew_with_the_wish(home: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    heard: list[str] = []
    wish = "Let the walls be much thicker."

    def listening(make: Any) -> Any:
        def hear(first: Any, second: Any, *rest: Any) -> Any:
            messages = first if isinstance(first, list) else second
            heard.append(str(messages[-1].text))
            return make(first, second, *rest)

        return hear

    monkeypatch.setattr(ScriptedChat, "_text", listening(ScriptedChat._text))
    for name in ("MaterialDesign", "ImagePrompt"):
        monkeypatch.setitem(MAKERS, name, listening(MAKERS[name]))
    made = studio.branch.made(run.run_id, at=at, redirect=wish)
    assert wish in heard[0] and made.seed != run.seed and remade(made)[0] == at
    assert studio.family(run.run_id)[-1].how == "redirected"
    assert f"with wish: {wish}" in "\n".join(lines(provenance(made.run_id, home), ["picture-1"]))
    assert studio.replay(made.run_id).identical
    kept = studio.branch.made(made.run_id, at="picture/round-1/00")
    assert effects(home, kept.run_id)[f"redirect/{at}"] == {"wish": wish}
    anew = studio.branch.made(made.run_id, at=at)
    assert f"redirect/{at}" not in effects(home, anew.run_id)
    with pytest.raises(UsageError, match="heeds no wish"):
        studio.branch(run.run_id, at="picture/round-1/00", redirect=wish)
    with pytest.raises(UsageError, match="not both"):
        studio.branch(run.run_id, at=at, redirect=wish, edit=TURN)


def test_a_retried_round_keeps_the_pictures_before_it(
    home: Path, two_rounds: studio.Design, scripted_studio: Any
) -> None:
    before = whole(home, two_rounds.run_id)
    scripted_studio.painted.clear()
    made = studio.branch.made(two_rounds.run_id, at="picture/round-2/00", seed=9)
    assert len(scripted_studio.painted) == 2 and len(made.images) == 4
    files = [[image.path.read_bytes() for image in run.images] for run in (two_rounds, made)]
    assert files[0][:2] == files[1][:2] and not set(files[0][2:]) & set(files[1][2:])
    assert made.images[:2] == [
        type(image)(made.folder / "images" / image.path.name, image.seed, image.sha256, image.pixels_sha256, 1)
        for image in two_rounds.images[:2]
    ]
    told = [event for event in read(made.folder / "events.jsonl") if event.type == "picture_ready"]
    assert [(event.sha256, event.seed) for event in told] == [(image.sha256, image.seed) for image in made.images]
    assert (
        json.loads((made.folder / "critiques.json").read_text())[:2]
        == json.loads((two_rounds.folder / "critiques.json").read_text())[:2]
    )
    assert verify(made.folder) == [] and whole(home, two_rounds.run_id) == before
    one = studio.branch.made(two_rounds.run_id, at="picture/round-1/01", seed=9)
    assert one.images[0].sha256 == two_rounds.images[0].sha256
    assert one.images[1].sha256 != two_rounds.images[1].sha256


def test_what_does_not_fit_what_is_kept_is_refused(home: Path, two_rounds: studio.Design) -> None:
    run_id = two_rounds.run_id
    with pytest.raises(UsageError, match="images must stay 2"):
        studio.branch.made(run_id, at="critic/round-1/00", images=3)
    with pytest.raises(UsageError, match="rounds must be 2 or more, not 1"):
        studio.branch.made(run_id, at="illustrator/prompt-2", rounds=1)
    with pytest.raises(UsageError, match="critic/round-1/00 cannot be edited, only made anew"):
        studio.branch.made(run_id, at="critic/round-1/00", edit="a fine picture")
    with pytest.raises(UsageError, match="images"):
        studio.branch.made(run_id, at="illustrator/prompt-1", images=0)
    made = studio.branch.made(run_id, at="picture/round-1/00", images=3, rounds=1)
    assert len(made.images) == 3 and made.rounds == 1


def test_the_prompt_that_is_kept_must_have_the_adapters_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    for place in ("entering", "edits"):
        monkeypatch.setattr(
            f"studio.runs.branching.{place}.trigger_of", lambda settings: settings.painter.adapter and "<leaf>"
        )
    with pytest.raises(UsageError, match="lacks the adapter's words <leaf>"):
        studio.branch(run.run_id, at="picture/round-1/00", adapter="leaf-micro-lora")
    made = studio.branch.made(
        run.run_id, at="illustrator/prompt-1", adapter="leaf-micro-lora", adapter_scale=0.5, edit=WORDED
    )
    assert effects(home, made.run_id)["illustrator/prompt-1"]["short"] == f"<leaf> {WORDED}"
    assert json.loads((made.folder / "manifest.json").read_text())["settings"]["painter"]["adapter_scale"] == 0.5


def test_an_unknown_step_is_told_with_those_there_are(home: Path) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    keys = [step.key for step in studio.steps(run.run_id)]
    with pytest.raises(UsageError) as told:
        studio.branch.made(run.run_id, at="scientist/turn-9", edit=TURN)
    assert "did you mean 'scientist/turn" in told.value.message
    assert all(key in str(told.value) for key in keys)
    with pytest.raises(UsageError, match="unknown run"):
        studio.branch.made("no-such-run", at="scientist/turn-1")


def test_the_steps_say_what_may_be_edited(home: Path, two_rounds: studio.Design) -> None:
    steps = {step.key: step for step in studio.steps(two_rounds.run_id)}
    told = {event.key: event for event in read(two_rounds.folder / "events.jsonl") if event.type == "step_started"}
    assert set(steps) == set(told)
    assert all((step.role, step.label) == (told[key].role, told[key].label) for key, step in steps.items())
    forms = {key: step.edit for key, step in steps.items() if step.edit}
    assert forms["scientist/turn-1"] == "text" and forms["engineer/design-1"] == "design"
    assert forms["illustrator/prompt-2"] == "prompt" and "picture/round-1/00" not in forms
    rounds = {key: step.round for key, step in steps.items()}
    assert rounds["scientist/turn-1"] == rounds["illustrator/prompt-1"] == rounds["critic/round-1/01"] == 1
    assert rounds["illustrator/prompt-2"] == rounds["picture/round-2/00"] == 2


def test_a_branch_of_a_branch_keeps_what_a_person_wrote(home: Path, scripted_studio: Any) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    first = studio.branch.made(run.run_id, at="scientist/turn-2", edit=TURN)
    second = studio.branch.made(first.run_id, at="illustrator/prompt-1", edit=WORDED)
    third = studio.branch.made(second.run_id, at="illustrator/prompt-1", edit=f"{WORDED}, wider")
    fourth = studio.branch.made(third.run_id, at="scientist/turn-2")
    now = effects(home, third.run_id)
    assert now["scientist/turn-2"] == TURN
    original = effects(home, first.run_id)["illustrator/prompt-1"]
    assert now["edited/illustrator/prompt-1"] == {"before": original}
    assert not [key for key in effects(home, fourth.run_id) if key.startswith("edited/")]
    assert {step.key for step in studio.steps(third.run_id) if step.edited} == {
        "scientist/turn-2",
        "illustrator/prompt-1",
    }
    for one in (run, first, second, third, fourth):
        family = studio.family(one.run_id)
        assert [member.run_id for member in family] == [each.run_id for each in (run, first, second, third, fourth)]
    assert [(one.how, one.parent, one.at) for one in family] == [
        ("root", "", ""),
        ("edited", run.run_id, "scientist/turn-2"),
        ("edited", first.run_id, "illustrator/prompt-1"),
        ("edited", second.run_id, "illustrator/prompt-1"),
        ("retried", third.run_id, "scientist/turn-2"),
    ]
    assert all(one.title.endswith("weave laminate") and one.status == "finished" for one in family)
    assert all(one.score and 0 < one.score <= 1 and one.rounds == 1 for one in family)
    assert "(edited by a person)" in "\n".join(lines(provenance(third.run_id, home), ["title"]))


def test_an_unfinished_run_is_branched_where_it_stopped(home: Path) -> None:
    with pytest.raises(Interrupted):
        studio.design(BRIEF, seed=4, images=1, listener=stop_at("step_started", 5))
    run_id = studio.list_runs()[0].run_id
    before = whole(home, run_id)
    last = studio.steps(run_id)[-1]
    assert not last.done and last.edit == "text" and last.key.startswith("scientist/turn-")
    made = studio.branch.made(run_id, at=last.key, edit=TURN)
    assert made.status == "finished" and effects(home, made.run_id)[last.key] == TURN
    again = studio.branch.made(run_id, at="scientist/turn-1")
    assert again.status == "finished" and whole(home, run_id) == before


def test_a_kept_question_is_answered_as_it_was(home: Path) -> None:
    run_id = studio.design(BRIEF, seed=5, images=1, ask=True).run_id
    waiting = studio.branch.made(run_id, at="illustrator/prompt-1", edit=WORDED)
    assert waiting.status == "waiting" and waiting.question and waiting.question["kind"] == "before_painting"
    assert studio.resume(waiting.run_id, choice="finish").status != "waiting"
    studio.resume(run_id, prompt=WORDED)
    studio.resume(run_id, approve=True)
    made = studio.branch.made(run_id, at="critic/round-1/00")
    assert made.status == "waiting" and made.question and made.question["kind"] == "after_critique"
    assert made.prompt and made.prompt.short == WORDED
    made = studio.resume(made.run_id, approve=True)
    assert made.status == "finished"
    assert made.images[0].sha256 == studio.open_run(run_id).images[0].sha256
    answers = json.loads((made.folder / "manifest.json").read_text())["answers"]
    assert answers == [{"prompt": WORDED}, {"approve": True}]
    assert studio.replay(made.run_id).identical
    deeper = studio.branch.made(made.run_id, at="critic/round-1/00")
    assert deeper.status == "waiting" and deeper.question and deeper.question["kind"] == "after_critique"


def test_a_branch_is_made_again_without_its_parent(home: Path, two_rounds: studio.Design, scripted_studio: Any) -> None:
    made = studio.branch.made(two_rounds.run_id, at="picture/round-2/00", seed=9)
    edited = studio.branch.made(two_rounds.run_id, at="engineer/design-1", edit={"title": "A panel of sliding plates"})
    for path in two_rounds.folder.rglob("*.png"):
        path.unlink()
    scripted_studio.painted.clear()
    told = studio.replay(made.run_id)
    assert told.identical and len(scripted_studio.painted) == 2
    assert told.to_json()["kept_before"] == "picture/round-2/00"
    assert any("up to picture/round-2/00" in line for line in told.lines())
    assert studio.replay(edited.run_id).identical
    members = [one.run_id for one in studio.family(made.run_id)]
    assert members == [two_rounds.run_id, made.run_id, edited.run_id]


def test_a_branch_is_whole_or_not_there(home: Path, two_rounds: studio.Design, monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole(home, two_rounds.run_id)

    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for place in ("workspace.ledger._json", "studio.runs.branching.entering.publish_all"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(place, cut)
            studio.branch(two_rounds.run_id, at="picture/round-2/00")
        assert [one.run_id for one in studio.list_runs()] == [two_rounds.run_id]
        assert [path.name for path in (home / "runs").iterdir()] == [two_rounds.run_id]

    def full(*_: Any, **__: Any) -> None:
        raise StorageError("no space is left on the disk")

    with monkeypatch.context() as patch, pytest.raises(StorageError):  # entered, and cut before anything else
        patch.setattr("studio.runs.branching.entering.open_folder", full)
        studio.branch(two_rounds.run_id, at="picture/round-2/00", seed=3)
    entered = next(one for one in studio.list_runs() if one.run_id != two_rounds.run_id)
    assert entered.status == "queued"
    run = studio.resume(entered.run_id)
    assert run.status == "finished" and len(run.images) == 4 and verify(run.folder) == []
    assert whole(home, two_rounds.run_id) == before


def test_a_damaged_picture_is_not_kept(home: Path, two_rounds: studio.Design) -> None:
    two_rounds.images[0].path.write_bytes(b"another")
    with pytest.raises(DataError, match="its sha256 is another"):
        studio.branch.made(two_rounds.run_id, at="picture/round-2/00")
    assert len(studio.list_runs()) == 1
    assert studio.branch.made(two_rounds.run_id, at="picture/round-1/00").status == "finished"


def test_the_command_line_branches_and_names_the_family(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = studio.design(BRIEF, seed=4, images=1)
    page = tmp_path / "design.json"
    page.write_text('{"title": "A panel of sliding plates"}')
    assert cli.main(["branch", run.run_id, "--at", "engineer/design-1", "--edit", f"@{page}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["design"]["title"] == "A panel of sliding plates"
    assert cli.main(["branch", run.run_id, "--at", "scientist/turn-2", "--seed", "7", "--detach"]) == 0
    shown = capsys.readouterr()
    other = shown.out.strip()
    assert f"branched from {run.run_id} at scientist/turn-2, retried, seed 7" in shown.err
    assert cli.main(["show", run.run_id]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"branches: {told['run_id']} (engineer/design-1, edited), {other} (scientist/turn-2, retried)"
    assert cli.main(["show", told["run_id"]]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"branched from {run.run_id} at engineer/design-1, edited, seed 4"
    )
    assert cli.main(["show", told["run_id"], "--why", "title"]) == 0
    assert "A panel of sliding plates (edited by a person)" in capsys.readouterr().out
    assert cli.main(["branch", run.run_id, "--at", "engineer", "--edit", "@nowhere"]) == DataError.exit_code
    assert cli.main(["branch", run.run_id, "--at", "engineer"]) == 2
