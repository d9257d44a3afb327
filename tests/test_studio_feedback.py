"""Opinions: left on runs, steps, designs and pictures, and written as rows to train on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.queue.claims import ledger_of
from ui import cli
from workspace.errors import UsageError


def exported(folder: Path, kind: Any) -> list[dict[str, Any]]:
    file = folder / f"{kind}.jsonl"
    made = studio.feedback_export(kind=kind, out=file)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert made.rows == len(rows) and made.path == str(file)
    return rows


@pytest.fixture
def made(scripted_studio: Any, home: Path) -> Any:
    """Two finished designs of one brief."""
    return [studio.design("a tough panel", inspirations=["nacre", "leaves"], seed=seed, images=2) for seed in (1, 2)]


class TestOpinions:
    def test_a_thumb_takes_the_earlier_one_s_place_and_is_taken_back(self, made: Any) -> None:
        run = made[0].run_id
        first = studio.feedback_add(run, about="design", value="up", reason="clear")
        studio.feedback_add(run, about="design", value="down", who="anna")
        second = studio.feedback_add(run, about="design", value="down")
        assert first != second
        told = {(one.value, one.who) for one in studio.feedback_list(run=run)}
        assert told == {("down", ""), ("down", "anna")}
        assert studio.feedback_add(run, about="design", value="") == ""
        assert [one.who for one in studio.feedback_list()] == ["anna"]

    def test_it_holds_what_it_is_about_and_what_made_that(self, made: Any) -> None:
        run = made[0]
        step = "scientist/turn-1"
        studio.feedback_add(run.run_id, about=f"turn:{step}", value="up")
        studio.feedback_add(run.run_id, about="picture:01.png", kind="rating", value="4")
        rating, thumb = studio.feedback_list()
        assert thumb.data["prompt"].startswith("Brief: a tough panel\n\nInspirations: nacre, leaves")
        assert thumb.data["completion"] and thumb.provenance["step"] == step and thumb.provenance["run_seed"] == 1
        assert thumb.provenance["model"] == "scripted-for-tests" and len(thumb.provenance["prompt_sha256"]) == 64
        assert rating.data["file"] == "images/01.png" and rating.data["seed"] == run.images[0].seed
        assert rating.provenance["model"] == "instant-for-tests" and rating.data["noise"]["seeds"] == [
            run.images[0].seed
        ]

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ({"value": "sideways"}, "unknown thumb 'sideways'"),
            ({"kind": "rating", "value": "9"}, "a rating is 1 to 5"),
            ({"kind": "vote"}, "needs another"),
            ({"kind": "vote", "over_run": "nobody"}, "unknown run 'nobody'"),
            ({"kind": "edit", "before": "a"}, "an edit needs"),
            ({"kind": "redirect"}, "needs a reason"),
            ({"about": "turn:nobody/1", "value": "up"}, "unknown step 'nobody/1'"),
            ({"about": "picture:../../x", "value": "up"}, "unknown picture"),
            ({"about": "weather", "value": "up"}, "choices: run, design, turn:STEP"),
        ],
    )
    def test_what_is_none_is_refused_in_a_line(self, made: Any, asked: dict[str, Any], told: str) -> None:
        with pytest.raises(UsageError, match=told) as fault:
            studio.feedback_add(made[0].run_id, **asked)
        assert "\n" not in str(fault.value) and studio.feedback_list() == ()

    def test_an_edited_prompt_and_a_branch_are_opinions_too(
        self, scripted_studio: Any, home: Path, tmp_path: Path
    ) -> None:
        waiting = studio.design("a tough panel", seed=1, ask=True)
        studio.resume(waiting.run_id, prompt="pale thin lines over slow waves of cobalt")
        studio.resume(waiting.run_id, choice="repaint")
        [redirect, edit] = studio.feedback_list(run=waiting.run_id) or studio.feedback_list()
        assert (edit.kind, redirect.kind, redirect.value) == ("edit", "redirect", "repaint")
        assert edit.data["after"] == "pale thin lines over slow waves of cobalt" and edit.subject.startswith(
            "turn:illus"
        )
        with ledger_of(home) as ledger:  # a run that was branched from it, as far as an opinion knows
            row = ledger.run(waiting.run_id)
            effects = [one for one in ledger.effects(row.run_id) if one.kind != "answer"]
            turn = next(one for one in effects if one.key == "scientist/turn-2")
            better = replace(turn, value="A better answer of a person.", at=turn.at + 1)
            record = row.settings | {
                "branch": {"root": row.run_id, "parent": row.run_id, "at": turn.key, "how": "edited"}
            }
            kept = [better if one is turn else one for one in effects]
            ledger.create_run("branched", row.brief, record, 1, "", "finished", effects=kept)
        studio.find_runs()
        assert [one.kind for one in studio.feedback_list(run="branched")] == ["edit"]
        rows = exported(tmp_path, "preference")
        assert [one["chosen"][0]["content"] for one in rows][-1] == "A better answer of a person."
        assert studio.find_runs(family=waiting.run_id).runs[0].run_id == "branched"


class TestExport:
    def test_rows_are_what_trl_reads(self, made: Any, tmp_path: Path) -> None:
        one, two = made
        step = "scientist/turn-1"
        studio.feedback_add(one.run_id, about="design", kind="vote", over_run=two.run_id, blind=True)
        studio.feedback_add(one.run_id, about=f"turn:{step}", kind="edit", before="It is.", after="It is tough.")
        studio.feedback_add(one.run_id, about=f"turn:{step}", value="up")
        studio.feedback_add(two.run_id, about="design", value="down")
        pairs, labels = exported(tmp_path, "preference"), exported(tmp_path, "kto")
        assert [sorted(row) for row in pairs] == [["chosen", "prompt", "rejected"]] * 2
        assert [sorted(row) for row in labels] == [["completion", "label", "prompt"]] * 2
        assert [row["label"] for row in labels] == [True, False]
        assert pairs[0]["chosen"] != pairs[0]["rejected"]
        for row in pairs + labels:
            assert row["prompt"][0]["role"] == "user" and row["prompt"][0]["content"].startswith("Brief: a tough panel")
            answers = [row[name][0]["role"] for name in ("chosen", "rejected", "completion") if name in row]
            assert set(answers) == {"assistant"}

    def test_the_library_that_trains_on_them_loads_them(self, made: Any, tmp_path: Path) -> None:
        load = pytest.importorskip("datasets").Dataset.from_list
        studio.feedback_add(made[0].run_id, about="design", kind="vote", over_run=made[1].run_id)
        studio.feedback_add(made[0].run_id, about="design", value="up")
        assert load(exported(tmp_path, "preference")).column_names == ["prompt", "chosen", "rejected"]
        assert load(exported(tmp_path, "kto")).features["label"].dtype == "bool"

    def test_pictures_are_pairs_with_their_noise(self, made: Any, tmp_path: Path) -> None:
        one, two = made
        studio.feedback_add(one.run_id, about="picture:01.png", kind="vote", over="picture:02.png", blind=True)
        studio.feedback_add(one.run_id, about="picture:01.png", kind="vote", over_run=two.run_id)
        rows = exported(tmp_path, "pictures")
        assert (rows[0]["blind"], rows[0]["same_prompt"]) == (True, True)
        for side in ("chosen", "rejected"):
            assert Path(rows[0][side]["file"]).is_file() and rows[0][side]["width"] == 64
            assert rows[0][side]["noise"]["seeds"] == [rows[0][side]["seed"]]
        assert rows[1]["rejected"]["run"] == two.run_id

    def test_what_makes_no_row_is_counted(self, made: Any, tmp_path: Path) -> None:
        other = studio.design("another wish altogether", inspirations=["bone", "bamboo"], seed=3)
        studio.feedback_add(made[0].run_id, about="design", kind="vote", over_run=other.run_id)
        studio.feedback_add(made[0].run_id, about="picture:01.png", value="up")
        assert studio.feedback_export(kind="preference", out=tmp_path / "x").left_out == 2
        assert studio.feedback_export(kind="kto", out=tmp_path / "x").rows == 0

    def test_a_damaged_opinion_ends_nothing(self, made: Any, home: Path, tmp_path: Path) -> None:
        studio.feedback_add(made[0].run_id, about="design", value="up")
        studio.feedback_add(made[1].run_id, about="design", value="up")
        with ledger_of(home) as ledger, ledger.write() as connection:
            connection.execute("UPDATE feedback SET data = '[1' WHERE run_id = ?", (made[0].run_id,))
        assert len(studio.feedback_list()) == 1 == len(exported(tmp_path, "kto"))


def test_commands(made: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["feedback", "list"]) == 0
    assert "no feedback yet" in capfd.readouterr().err
    studio.feedback_add(made[0].run_id, about="design", value="up", reason="\x1b[2J[bold]clear")
    assert cli.main(["feedback", "list"]) == 0
    told = capfd.readouterr().out
    assert "thumb up" in told and "\x1b[2J" not in told and made[0].run_id in told
    assert cli.main(["feedback", "list", "--kind", "vote", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"feedback": []}
    assert cli.main(["feedback", "export", "--kind", "kto", "--out", "-"]) == 0
    assert json.loads(capfd.readouterr().out)["label"] is True
    assert cli.main(["feedback", "export", "--kind", "kto", "--out", str(tmp_path / "k.jsonl")]) == 0
    assert "1 rows" in capfd.readouterr().out
    assert cli.main(["feedback", "export", "--kind", "dpo"]) == 2
