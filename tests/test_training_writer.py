"""The writer's data: whole, valid, varied, and never of a held-out material."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from agents import experience, programs
from agents.documents import Brief, MaterialDesign
from agents.experience import shots
from agents.knowledge import principles
from agents.programs import render, shipped
from models.decoder.lora import fold_adapter
from tests.fixtures_local import trained_llama, word_tokenizer
from training.embedded.writer import adapter as adapters
from training.embedded.writer import train as writer
from training.embedded.writer.branches import Tree, lay_out, log_likelihoods
from training.embedded.writer.data import HELD_OUT, design, main, pattern, row, tables, wishes
from training.embedded.writer.rows import conversation, fields, pairs, picture, program_of, turns
from workspace.atlas.table import atlas
from workspace.errors import DataError


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
    spoken = turns(made, name)
    assert spoken[0] == {"role": "system", "content": asked.system}
    assert [one["content"] for one in spoken if one["role"] == "user"] == list(asked.turns)


def test_a_changed_program_changes_the_conversations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = row(1, 0)
    before = turns(made, programs.DEFAULT)
    shutil.copytree(programs.LIBRARY, tmp_path / "library")
    file = tmp_path / "library" / f"{programs.DEFAULT}.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("We want to design this:", "Wish of {{ target }}:"))
    monkeypatch.setattr(programs, "LIBRARY", tmp_path / "library")
    after = turns(made, programs.DEFAULT)
    assert f"Wish of {made['target']}: {made['brief']}" in after[1]["content"]
    assert [one for one in after if one["role"] == "assistant"] == [one for one in before if one["role"] == "assistant"]


def test_a_changed_question_changes_the_rows_of_documents_and_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    made, tokenizer = row(1, 4), word_tokenizer()
    monkeypatch.setattr(experience, "about", lambda wanted, after, notes: f"Title: {wanted}")
    assert tokenizer.decode(fields(made, tokenizer).stem) == f"Title: {made['brief']}\n"
    assert tokenizer.decode(picture(made, tokenizer).stem).startswith(f"Title: {made['target']}: ")


def test_every_target_has_a_program() -> None:
    for number in range(40):
        made = row(1, number)
        assert shipped()[program_of(made, np.random.default_rng(number))].target == made["target"]


def test_conversations_learn_every_answer_and_nothing_else() -> None:
    tokenizer = word_tokenizer()
    spoken = turns(row(1, 4), "relate-and-design")
    tree = conversation(spoken, tokenizer)
    whole = [*tree.stem, *(token for tokens, _ in tree.branches[0] for token in tokens)]
    assert whole == tokenizer.apply_chat_template(spoken, return_dict=False)[: len(whole)]
    learned = [tokenizer.decode(tokens) for tokens, told in tree.branches[0] if told]
    assert learned == [one["content"] + tokenizer.eos_token for one in spoken if one["role"] == "assistant"]


def test_fields_are_asked_as_the_engineer_asks() -> None:
    made, tokenizer = row(1, 4), word_tokenizer()
    notes = f"{principles(made['inspirations'])} {made['answers'][-1]}"
    asked = shots("design", made["brief"], ", ".join(made["inspirations"]), notes)
    tree = fields(made, tokenizer)
    assert tokenizer.decode(tree.stem) == asked.about + "\n"
    told = [tokenizer.decode(tokens) for ((tokens, _),) in tree.branches]
    assert sum(text.startswith("Component: ") for text in told) == 3
    assert any("Role: " in text for text in told)


def test_preference_pairs_differ_and_share_their_design() -> None:
    tokenizer = word_tokenizer()
    for number in range(20):
        told = [tuple(tokens) for ((tokens, _),) in pairs(1, number, tokenizer).branches]
        assert len(told) % 2 == 0
        assert all(good != bad for good, bad in zip(told[::2], told[1::2], strict=True))
        assert len(told) >= 12


def test_a_branch_is_learned_as_if_it_stood_alone() -> None:
    torch.manual_seed(0)
    model = trained_llama(word_tokenizer(), steps=0)
    model.set_attn_implementation("studio-branches")
    one, two = [(list(range(5, 9)), True)], [(list(range(20, 23)), False), (list(range(30, 33)), True)]
    both = lay_out(Tree(range(10, 16), [one, two]), 64)
    alone = [lay_out(Tree(range(10, 16), [branch]), 64) for branch in (one, two)]
    whole = log_likelihoods(model, both)
    assert torch.allclose(whole, torch.cat([log_likelihoods(model, laid) for laid in alone]), atol=1e-5)
    assert both.branch.tolist() == [0] * 4 + [1] * 3
    text = torch.tensor([[*range(10, 16), *range(20, 23), *range(30, 33)]])
    model.set_attn_implementation("eager")
    usual = model(text).logits[0].log_softmax(-1)[8:11].gather(1, text[0, 9:12, None])[:, 0]
    assert torch.allclose(whole[4:], usual, atol=1e-4)


def test_long_branches_are_cut() -> None:
    laid = lay_out(Tree(range(10), [[(range(10), True)], [(range(3), True)]]), 14)
    assert laid.ids.shape == (1, 17)
    assert laid.places.max() == 13


def test_a_design_takes_any_two_materials() -> None:
    pair = [atlas()["cork"], atlas()["abalone-nacre"]]
    assert design(np.random.default_rng(0), wishes()[0], pair)["materials"] == ["cork", "abalone-nacre"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model as a folder."""
    folder, tokenizer = tmp_path_factory.mktemp("base"), word_tokenizer()
    trained_llama(tokenizer, steps=0).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_writer_learns_and_its_adapter_folds_into_the_base(base: Path, tmp_path: Path) -> None:
    adapter = writer.main(
        base, tmp_path, writer.Recipe(steps=8, dpo_steps=2, batch=1, rank=4, rate=0.05, dpo_rate=1e-3)
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    learned = [row["loss"] for row in rows if row["stage"] == "sft"]
    assert np.mean(learned[-2:]) < np.mean(learned[:2]) - 0.08
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = plain.model.layers[0].mlp.up_proj.weight.detach().clone()
    tuned = fold_adapter(plain, adapter)
    assert not torch.equal(before, tuned.model.layers[0].mlp.up_proj.weight)
    after = {
        folder: load_file(tmp_path / folder / "adapter_model.safetensors") for folder in ("sft-adapter", "adapter")
    }
    assert any(not torch.equal(after["adapter"][key], one) for key, one in after["sft-adapter"].items())
    on = writer.Recipe(steps=0, dpo_steps=1, batch=1, rank=4, dpo_rate=1e-6)
    more = load_file(writer.main(base, tmp_path / "on", on, start=adapter) / "adapter_model.safetensors")
    assert all(torch.allclose(more[key], one, atol=1e-2) for key, one in after["adapter"].items())
    with pytest.raises(DataError, match="at rank 2"):
        writer.main(base, tmp_path / "odd", writer.Recipe(rank=2), start=adapter)
    with pytest.raises(DataError, match="on holds another training; start differ"):
        writer.main(base, tmp_path / "on", on, start=tmp_path / "sft-adapter")
    with pytest.raises(DataError, match="holds another training; dpo_rate, start differ"):
        writer.main(base, tmp_path / "on", replace(on, dpo_rate=1e-3))
    with pytest.raises(DataError, match="holds another training; steps differ"):
        writer.main(base, tmp_path / "on", replace(on, steps=1), start=adapter)
    writer.main(base, tmp_path / "on", replace(on, dpo_steps=2), start=adapter)
    rows = [json.loads(line) for line in (tmp_path / "on" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["stage"] == "dpo"] == [1, 2]


def test_an_interrupted_writer_ends_where_an_uninterrupted_one_does(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = writer.Recipe(steps=4, dpo_steps=2, batch=1, rank=4)
    whole = load_file(writer.main(base, tmp_path / "whole", recipe) / "adapter_model.safetensors")
    monkeypatch.setattr(adapters, "SAVE_EVERY", 1)
    for killed_at in (3, 5):
        with monkeypatch.context() as patched:
            _kill_after(patched, killed_at)
            with pytest.raises(KeyboardInterrupt):
                writer.main(base, tmp_path / "parts", recipe)
    parts = load_file(writer.main(base, tmp_path / "parts", recipe) / "adapter_model.safetensors")
    assert all(torch.equal(one, parts[key]) for key, one in whole.items())


def _kill_after(patched: pytest.MonkeyPatch, losses: int) -> None:
    left, real = [losses], writer.log_likelihoods

    def counted(model: object, laid: object) -> torch.Tensor:
        left[0] -= torch.is_grad_enabled()
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(model, laid)  # type: ignore[arg-type]

    patched.setattr(writer, "log_likelihoods", counted)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = writer.Recipe(steps=3, dpo_steps=0, batch=1, rank=4)
    monkeypatch.setattr(writer, "log_likelihoods", lambda *_: torch.full((4,), float("nan"), requires_grad=True))
    with pytest.raises(DataError, match="sft loss is nan at step 1 of 3; no checkpoint was written yet"):
        writer.main(base, tmp_path, recipe)
