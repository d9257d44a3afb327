"""The writer's data: whole, valid, varied, and never of a held-out material."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from agents.documents import Brief, MaterialDesign
from agents.programs import render, shipped
from tests.fixtures_local import word_tokenizer
from training.writer_data import HELD_OUT, design, main, pattern, row, tables, wishes
from training.writer_rows import rows, turns
from workspace.atlas import atlas


@pytest.mark.parametrize("number", range(150))
def test_every_row_is_a_valid_design_of_its_two_materials(number: int) -> None:
    made = row(3, number)
    document = MaterialDesign.model_validate(made["document"])
    assert [one.name for one in document.inspirations] == made["inspirations"]
    assert 3 <= len(document.components) <= 6
    assert len({part.material for part in document.components}) == len(document.components)
    assert not set(made["materials"]) & HELD_OUT
    assert all(name.lower() in made["answers"][0].lower() for name in made["inspirations"])
    assert all(answer[-1] == "." for answer in made["answers"])


def test_rows_are_repeatable_and_different() -> None:
    assert row(1, 5) == row(1, 5)
    assert len({json.dumps(row(1, number)) for number in range(50)}) == 50
    titles = Counter(row(1, number)["document"]["title"] for number in range(100))
    assert titles.most_common(1)[0][1] <= 3


def test_held_out_rows_are_of_held_out_materials_alone() -> None:
    assert len(HELD_OUT) == 15
    assert set(atlas()) >= HELD_OUT
    assert all(set(row(1, number, held_out=True)["materials"]) <= HELD_OUT for number in range(20))


def test_every_material_has_tables_and_every_table_a_material() -> None:
    assert {pattern(material) for material in atlas().values()} <= set(tables())
    assert len(wishes()) >= 200


def test_the_rows_file_is_lines_of_json(tmp_path: Path) -> None:
    main(tmp_path / "rows.jsonl", 3, 42)
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [row(42, number) for number in range(3)]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_conversations_ask_what_the_programs_ask(name: str) -> None:
    made = row(1, 0)
    asked = render(shipped()[name], Brief(text=made["brief"], target=made["target"]), made["inspirations"])
    said = turns(made, name)
    assert said[0] == {"role": "system", "content": asked.system}
    assert [one["content"] for one in said if one["role"] == "user"] == list(asked.turns)


def test_training_rows_end_as_the_writer_is_read() -> None:
    tokenizer = word_tokenizer()
    made = list(rows(1, 4, tokenizer, fields=14))
    assert len(made) == 15
    assert made[0]["completion"].endswith(tokenizer.eos_token)
    assert all(one["completion"].endswith("\n") for one in made[1:])
    assert any(one["completion"].startswith("Component: ") and "\nRole: " in one["completion"] for one in made)


def test_a_design_takes_any_two_materials() -> None:
    pair = [atlas()["cork"], atlas()["abalone-nacre"]]
    assert design(np.random.default_rng(0), wishes()[0], pair)["materials"] == ["cork", "abalone-nacre"]
