"""The writer's examples, their rows, and its training."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from agents import experience
from agents.documents import Brief
from agents.evidence.citations import bare, cited
from agents.evidence.gathering import lines, said_of
from agents.programs import render, shipped
from agents.roles.engineer import design_examples
from models.decoder.lora import fold_adapter
from tests.fixtures_local import trained_llama, word_tokenizer
from training.embedded.writer import adapter as adapters
from training.embedded.writer import data
from training.embedded.writer import train as writer
from training.embedded.writer.branches import Tree, lay_out, log_likelihoods, together
from training.embedded.writer.data import document, evidence, examples, principles, said
from training.embedded.writer.rows import conversation, example, fields, pairs, picture, turns
from workspace.atlas.engineering import made_of
from workspace.errors import DataError

WHOLE = [*examples(), *examples(held_out=True)]


def test_there_are_enough_designs_and_forty_are_held_out() -> None:
    held = examples(held_out=True)
    assert len(held) == 40
    assert len(examples()) >= 300
    assert not {one["brief"].lower() for one in held} & {one["brief"].lower() for one in examples()}
    assert len({name for one in examples() for name in one["materials"]}) >= 60
    assert {one["target"] for one in held} == {"material microstructure", "building", "city"}


@pytest.mark.parametrize("one", WHOLE, ids=[one["document"]["title"] for one in WHOLE])
def test_every_design_is_whole_and_cites_what_there_is(one: dict[str, Any]) -> None:
    assert set(one["evidence"]) <= set(said())
    names = [source["name"] for source in one["document"]["inspirations"]]
    assert names == one["inspirations"]
    for source, material in zip(one["document"]["inspirations"], one["materials"], strict=True):
        assert source["cite"].startswith((f"{material}/", "corpus/"))  # each principle is its own source's
    assert all(made_of(part["material"]) for part in one["document"]["components"])
    assert len(one["answers"]) == len(shipped()[one["program"]].turns) == 3
    assert shipped()[one["program"]].target == one["target"]
    spoken = " ".join(one["answers"])
    assert len(cited(spoken)) >= 3 and max(cited(spoken)) <= len(one["evidence"])


@pytest.mark.parametrize("one", WHOLE[::7], ids=[one["document"]["title"] for one in WHOLE[::7]])
def test_figures_of_the_answers_stand_in_what_they_cite(one: dict[str, Any]) -> None:
    known, answers = evidence(one, np.random.default_rng(1))
    held = {each.number: each.text for each in known}
    for answer in answers:
        for sentence in re.split(r"(?<=[.])\s+(?=[A-Z])", answer):
            told = " ".join(held[number] for number in cited(sentence))
            for figure in re.findall(r"\d+(?:\.\d+)?", bare(sentence)) if told else ():
                assert figure in re.findall(r"\d+(?:\.\d+)?", told), sentence


def test_what_is_known_is_numbered_anew_and_stays_with_its_source() -> None:
    one = examples()[0]
    seen = set()
    for seed in range(6):
        known, answers = evidence(one, np.random.default_rng(seed))
        assert [each.number for each in known] == list(range(1, len(known) + 1))
        assert [each.about for each in known] == sorted((each.about for each in known), key=_place(one))
        by_number = {each.number: each.passage for each in known}
        first = [one["evidence"][number - 1] for number in cited(one["answers"][0])]
        assert [by_number[number] for number in cited(answers[0])] == first
        seen.add(tuple(each.passage for each in known))
    assert len(seen) > 1


def _place(one: dict[str, Any]) -> Any:
    order = [*one["inspirations"], ""]
    return lambda about: order.index(about)


def test_conversations_ask_what_the_programs_ask() -> None:
    one = examples()[0]
    known, answers = evidence(one, np.random.default_rng(0))
    names = list(one["inspirations"])
    brief = Brief(text=one["brief"], target=one["target"])
    asked = render(shipped()[one["program"]], brief, names, lines(known, names))
    spoken = turns(one, known, answers)
    assert spoken[0] == {"role": "system", "content": asked.system}
    assert [each["content"] for each in spoken if each["role"] == "user"] == list(asked.turns)
    assert "[1] " in spoken[1]["content"]


def test_a_changed_question_changes_the_rows_of_documents_and_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    made, tokenizer = examples()[4], word_tokenizer()
    monkeypatch.setattr(experience, "about", lambda wanted, after, notes: f"Title: {wanted}")
    assert tokenizer.decode(fields(made, tokenizer).stem) == tokenizer.decode(
        tokenizer(f"Title: {made['brief']}\n", add_special_tokens=False)["input_ids"]
    )
    assert tokenizer.decode(picture(made, tokenizer).stem).startswith(f"Title: {made['target']}: ")


def test_conversations_learn_every_answer_and_nothing_else() -> None:
    tokenizer, one = word_tokenizer(), examples()[0]
    spoken = turns(one, *evidence(one, np.random.default_rng(0)))
    tree = conversation(spoken, tokenizer)
    whole = [*tree.stem, *(token for tokens, _ in tree.branches[0] for token in tokens)]
    assert whole == tokenizer.apply_chat_template(spoken, return_dict=False)[: len(whole)]
    learned = [tokens for tokens, told in tree.branches[0] if told]
    answers = [each["content"] + tokenizer.eos_token for each in spoken if each["role"] == "assistant"]
    assert learned == [tokenizer(each, add_special_tokens=False)["input_ids"] for each in answers]


def test_fields_are_asked_as_the_engineer_asks() -> None:
    made, tokenizer = examples()[4], word_tokenizer()
    told = said_of(principles(made))
    asked = design_examples(made["brief"], made["inspirations"], told, made["answers"])
    assert "[1]" not in asked.about and made["brief"] in asked.about
    tree = fields(made, tokenizer)
    assert list(tree.stem) == tokenizer(asked.about + "\n", add_special_tokens=False)["input_ids"]
    assert len(tree.branches) >= 12


def test_a_document_holds_its_targets_alone() -> None:
    one = next(one for one in examples() if {each["from"] for each in one["document"]["properties"]} > {"assumed"})
    kept = document(one)["properties"]
    assert 0 < len(kept) < len(one["document"]["properties"])
    assert all(set(each) == {"name", "value", "unit", "basis"} for each in kept)


def test_packing_refuses_what_cites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "FILE", tmp_path / "designs.jsonl.xz")
    lines_ = [json.dumps(one) for one in examples()[:4]]
    assert data.pack(lines_, 1) == 4
    broken = examples()[0] | {"evidence": [*examples()[0]["evidence"], "cork/mechanism-99"]}
    with pytest.raises(ValueError, match="design 1: no statement 'cork/mechanism-99'"):
        data.pack([json.dumps(broken)], 0)


def test_every_example_comes_once_before_any_comes_again() -> None:
    count = len(examples())
    assert len({example(1, number)[0]["brief"] for number in range(count)}) == count
    assert [example(1, number)[0]["brief"] for number in range(9)] != [
        example(1, count + number)[0]["brief"] for number in range(9)
    ]


def test_trees_that_are_read_together_are_learned_as_each_alone() -> None:
    torch.manual_seed(0)
    model = trained_llama(word_tokenizer(), steps=0)
    model.set_attn_implementation("studio-branches")
    trees = [
        lay_out(Tree(range(10, 16), [[(range(5, 9), True)], [(range(20, 23), True)]]), 64),
        lay_out(Tree(range(30, 34), [[(range(40, 45), True)]]), 64),
    ]
    alone = torch.cat([log_likelihoods(model, laid) for laid in trees])
    assert torch.allclose(together(model, trees), alone, atol=1e-5)


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
    for killed_at in (2, 3):
        with monkeypatch.context() as patched:
            _kill_after(patched, killed_at)
            with pytest.raises(KeyboardInterrupt):
                writer.main(base, tmp_path / "parts", recipe)
    parts = load_file(writer.main(base, tmp_path / "parts", recipe) / "adapter_model.safetensors")
    assert all(torch.equal(one, parts[key]) for key, one in whole.items())


def _kill_after(patched: pytest.MonkeyPatch, losses: int) -> None:
    left = [losses]
    for name in ("log_likelihoods", "together"):
        real = getattr(writer, name)

        def counted(model: object, laid: object, real: Any = real) -> torch.Tensor:
            left[0] -= torch.is_grad_enabled()
            if left[0] < 0:
                raise KeyboardInterrupt
            found: torch.Tensor = real(model, laid)
            return found

        patched.setattr(writer, name, counted)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = writer.Recipe(steps=3, dpo_steps=0, batch=1, rank=4)
    monkeypatch.setattr(writer, "together", lambda *_: torch.full((4,), float("nan"), requires_grad=True))
    with pytest.raises(DataError, match="sft loss is nan at step 1 of 3; no checkpoint was written yet"):
        writer.main(base, tmp_path, recipe)
