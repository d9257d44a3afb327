"""Merges from end to end on tiny models: beside mergekit's own, published whole, resumed, never made twice."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.catalogue.fetch import locate, variants
from tests.fixtures_merging import LAYERS, Weights, changed, load, mergekit_merge, save, ulps
from training import trial
from training.evaluation.results import MergeRecord
from training.merging import engine, plan, reading, writing
from training.merging.config import MergeConfig
from training.merging.engine import blend
from training.merging.mergekit_yaml import document_of
from training.merging.run import merge
from workspace.errors import DataError, StorageError, UsageError
from workspace.files import verify
from workspace.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
DRAWN = {"self_attn": (0.0, 0.9), "mlp": (1.0, 0.2, 0.4, 0.7), "rest": 0.25}
Change = Callable[[Weights], Weights]


def config(family: Path, *models: str, **given: Any) -> MergeConfig:
    named = tuple(str(family / name) for name in models or ("one", "two"))
    base = {"base": str(family / given.pop("base"))} if "base" in given else {}
    return MergeConfig.model_validate({"name": "merged", "models": named} | base | given)


def same(made: Weights, wanted: Weights, *parents: Weights) -> None:
    assert made.keys() == wanted.keys()
    for name, weight in made.items():
        assert weight.dtype == wanted[name].dtype == torch.bfloat16 and weight.shape == wanted[name].shape
        assert ulps(weight, wanted[name], *(one[name] for one in parents)) <= 1, name
    different = sum(int((weight != wanted[name]).sum()) for name, weight in made.items())
    assert different < 0.02 * sum(weight.numel() for weight in made.values()), "roundings fall elsewhere"


def as_float32(weights: Weights) -> Weights:
    return {name: weight.float() * 1.003 for name, weight in weights.items()}


def untied(weights: Weights) -> Weights:
    return weights | {"lm_head.weight": 1.5 * weights["model.embed_tokens.weight"]}


KINDS: dict[str, dict[str, Any]] = {
    "one file": {},
    "several files": {"files": 3},
    "single precision": {"change": as_float32},
    "untied": {"change": untied, "tie_word_embeddings": False},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_slerp_is_mergekits_to_one_step(kind: str, family: Path, home: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        changed(family / name, tmp_path / name, **KINDS[kind])
    given = config(tmp_path, "one", "two", **DRAWN)
    record = merge(given, home)
    made = load(home / "variants" / "merged")
    parents = [{k: w.to(torch.bfloat16) for k, w in load(tmp_path / name).items()} for name in ("one", "two")]
    same(made, mergekit_merge(document_of(given), tmp_path / "theirs"), *parents)
    assert record.tensors == len(made) and 0 < record.linear < len(made)
    assert ("lm_head.weight" in made) == (kind == "untied")


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "reference"},
        {"preset": "alternative"},
        {"preset": "linear"},
        {"t": 0.3},
        {"method": "norm_slerp"},
        {"method": "norm_slerp", "preset": "linear"},
        {"method": "lerp"},
        {"method": "lerp", "t": 0.2},
        {"method": "nuslerp", "base": "base", "preset": "linear"},
        {"method": "nuslerp", "base": "base", "t": 0.7},
    ],
    ids=lambda given: "-".join(map(str, given.values())),
)
def test_every_curve_and_method_of_two_is_mergekits(given: dict[str, Any], family: Path, tmp_path: Path) -> None:
    from training.merging.by_mergekit import check_method

    check_method("norm_slerp")
    asked = config(family, **given)
    base = Path(asked.base) if asked.base else None
    made = dict(blend([family / "one", family / "two"], asked, base=base))
    same(made, mergekit_merge(document_of(asked), tmp_path / "theirs"), load(family / "one"), load(family / "two"))


@pytest.mark.parametrize("method", ["slerp", "norm_slerp", "lerp", "nuslerp"])
def test_t_leads_from_the_first_parent_to_the_second(method: str, family: Path) -> None:
    base = {"base": "base"} if method == "nuslerp" else {}
    for t, name in ((0.0, "one"), (1.0, "two")):
        asked = config(family, method=method, t=t, **base)
        made = dict(blend([family / "one", family / "two"], asked, base=Path(asked.base) if base else None))
        same(made, load(family / name), load(family / "one"), load(family / "two"))


@pytest.mark.parametrize(
    "given",
    [
        {"method": "linear"},
        {"method": "linear", "weights": (3, 1, -0.5)},
        {"method": "task_arithmetic", "base": "base"},
        {"method": "task_arithmetic", "base": "base", "weights": (0.5, 1, 2)},
        {"method": "ties", "base": "base"},
        {"method": "dare_ties", "base": "base", "density": 0.7},
        {"method": "dare_linear", "base": "base", "weights": (0.5, 1, 2)},
        {"method": "karcher"},
    ],
    ids=lambda given: "-".join(map(str, given.values())),
)
def test_methods_of_several_models_are_mergekits(
    given: dict[str, Any], family: Path, home: Path, tmp_path: Path
) -> None:
    asked = config(family, "one", "two", "three", **given)
    record = merge(asked, home)
    parents = [load(family / name) for name in ("one", "two", "three")]
    same(load(home / "variants" / "merged"), mergekit_merge(document_of(asked), tmp_path / "theirs"), *parents)
    assert record.parents == ("one", "two", "three") and record.curve == {}


def test_a_merge_is_a_variant_like_any_other(family: Path, home: Path) -> None:
    told: list[Progress] = []
    record = merge(config(family, base="base", preset="linear"), home, told.append)
    folder = locate("merged", home, kind="chat")
    assert variants(home) == ["merged"] and verify(folder) == []
    assert MergeRecord.model_validate_json((folder / "merge.json").read_text()) == record
    assert record.method == "slerp" and record.preset == "linear" and record.parents == ("one", "two")
    assert record.curve["self_attn"] == pytest.approx([0, 1 / 3, 2 / 3, 1]) and record.curve["rest"] == (0.5,) * LAYERS
    assert record.seconds > 0 and record.peak_mb > 10
    text = "\n".join(event.text for event in told if event.type == "remark")
    assert "t = 0 is one" in text and "t = 1 is two" in text and "tried: " in text and "self_attn" in text
    assert text.index("cosines between one and two") < text.index("tried: ")
    assert told[0].type == "stage_started" and told[-1].type == "stage_finished"
    card = (folder / "README.md").read_text()
    assert "merge_method: slerp" in card and "## Cosines" in card and str(family) not in card and "t = 0 is one" in card
    assert yaml.safe_load(record.yaml)["base_model"] == "one"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16 and model.config.tie_word_embeddings
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert "<|im_end|>" in AutoTokenizer.from_pretrained(folder).decode(model.generation_config.eos_token_id)


def test_the_cosines_are_those_of_the_weights(family: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 1000)
    made = plan.plan(config(family, base="base"), home)
    one, two, base = ({k: w.double().flatten() for k, w in load(family / n).items()} for n in ("one", "two", "base"))

    def cosine(a: Any, b: Any) -> float:
        return float(a @ b / a.norm() / b.norm())

    assert made.cosines == pytest.approx({name: cosine(one[name], two[name]) for name in one}, abs=1e-6)
    moved = {name for name in one if (one[name] != base[name]).any() and (two[name] != base[name]).any()}
    wanted = {name: cosine(one[name] - base[name], two[name] - base[name]) for name in moved}
    assert made.task_cosines == pytest.approx(wanted, abs=1e-5)
    assert made.linear == sum(abs(value) > 0.9995 for value in made.cosines.values()) > 0
    assert made.share == made.linear / len(made.cosines) and made.tensors == len(one)
    assert made.summary is not None and made.summary.lowest == min(made.cosines.values())
    assert any(f"{made.linear} of {len(one)} tensors" in remark for remark in made.remarks)
    assert made.bytes == sum(2 * weight.numel() for weight in one.values()) and made.engine == "studio"
    assert not (home / "variants").exists()


def test_what_was_measured_is_not_measured_again(family: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plan.plan(config(family), home)
    from training.merging import cosines

    def refused(*given: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(cosines, "stream", refused)
    assert plan.plan(config(family, t=0.1), home).cosines == first.cosines
    [kept] = (home / plan.COSINES).iterdir()
    kept.write_text("{}")
    with pytest.raises(AssertionError, match="measured again"):
        plan.plan(config(family), home)


def test_the_same_merge_is_made_once(family: Path, home: Path) -> None:
    record = merge(config(family), home)
    folder = home / "variants" / "merged"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    told: list[Progress] = []
    assert merge(config(family), home, told.append) == record
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert [event.made for event in told if event.type == "stage_finished"] == [False]
    for other in (
        config(family, t=0.5),
        config(family, base="base"),
        config(family, "two", "one"),
        config(family, method="norm_slerp"),
    ):
        with pytest.raises(UsageError, match="there is another variant named 'merged', of other parents"):
            merge(other, home)
    (folder / "model.safetensors").unlink()
    merge(config(family), home)
    assert verify(folder) == []


def test_a_merge_in_memory_is_the_one_on_the_disk(family: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge(config(family), home)
    made = load(home / "variants" / "merged")
    parents = [family / "one", family / "two"]
    monkeypatch.setattr(reading, "BLOCK", 777)
    same(dict(blend(parents, config(family))), made, load(parents[0]), load(parents[1]))
    name = "model.layers.2.mlp.up_proj.weight"
    [(found, weight)] = blend(parents, config(family), [name])
    assert found == name and torch.equal(weight, made[name])
    with pytest.raises(UsageError, match="no tensor nothing"):
        list(blend(parents, config(family), ["nothing"]))
    with pytest.raises(UsageError, match="karcher is merged by mergekit, onto the disk only"):
        list(blend(parents, config(family, method="karcher")))


def test_no_more_is_held_than_some_pieces(family: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge(config(family), home)
    wanted = load(home / "variants" / "merged")
    asked: list[int] = []
    honest = reading._Reader.read

    def counted(self: Any, piece: Any, turn: int) -> Any:
        asked.append(piece.count)
        return honest(self, piece, turn)

    monkeypatch.setattr(reading._Reader, "read", counted)
    for module in (reading, engine):
        monkeypatch.setattr(module, "BLOCK", 500)
    monkeypatch.setattr(writing, "SHARD", 20_000)
    merge(config(family, name="again"), home)
    folder = home / "variants" / "again"
    made = load(folder)
    assert max(asked) == 500 and len(list(folder.glob("*.safetensors"))) > 2 and verify(folder) == []
    assert all(torch.equal(made[name], wanted[name]) for name in wanted)
    AutoModelForCausalLM.from_pretrained(folder)


def test_a_piece_is_written_before_its_room_is_used_again(
    family: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late:
        """Writes when it is asked whether it has written, and no sooner."""

        def __init__(self, workers: int) -> None:
            self.workers = workers

        def __enter__(self) -> Late:
            return self

        def __exit__(self, *fault: object) -> None:
            pass

        def submit(self, call: Any, *given: Any) -> Any:
            class Coming:
                def result(self) -> Any:
                    return call(*given)

            return Coming()

    wanted = dict(blend([family / "one", family / "two"], config(family)))
    monkeypatch.setattr(writing, "ThreadPoolExecutor", Late)
    for module in (reading, engine):
        monkeypatch.setattr(module, "BLOCK", 100)
    merge(config(family), home)
    made = load(home / "variants" / "merged")
    assert all(torch.equal(made[name], wanted[name]) for name in wanted)
    head = (home / "variants" / "merged" / "model.safetensors").read_bytes()[:8]
    assert int.from_bytes(head, "little") % 8 == 0, "tensors begin where every reader can map them"


def test_mergekit_does_not_believe_that_files_stay_as_they_are(family: Path, home: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        changed(family / name, tmp_path / name)
    asked = config(tmp_path, method="karcher")
    merge(asked, home)
    save(tmp_path / "two", load(family / "three"))
    merge(asked.model_copy(update={"name": "again"}), home)
    made, before = (load(home / "variants" / name) for name in ("again", "merged"))
    assert any(not torch.equal(weight, before[name]) for name, weight in made.items())
    same(made, mergekit_merge(document_of(asked), tmp_path / "theirs"), load(tmp_path / "one"), load(tmp_path / "two"))


def test_a_tied_and_an_untied_parent_give_a_merge_with_an_output_of_its_own(
    family: Path, home: Path, tmp_path: Path
) -> None:
    changed(family / "one", tmp_path / "one")
    changed(family / "two", tmp_path / "two", untied, tie_word_embeddings=False)
    told: list[Progress] = []
    merge(config(tmp_path, t=0.5), home, told.append)
    assert any("has one of its own" in event.text for event in told if event.type == "remark")
    made = load(home / "variants" / "merged")
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    same(made, mergekit_merge(document_of(config(tmp_path, t=0.5)), tmp_path / "theirs"))
    assert not torch.equal(made["lm_head.weight"], made["model.embed_tokens.weight"])
    model = AutoModelForCausalLM.from_pretrained(home / "variants" / "merged")
    assert torch.equal(model.lm_head.weight, made["lm_head.weight"]) and not model.config.tie_word_embeddings
    assert "lm_head.weight" not in one and "lm_head.weight" in two


def test_a_tensor_of_zeros_has_no_direction(family: Path, home: Path, tmp_path: Path) -> None:
    name = "model.layers.1.self_attn.q_proj.weight"
    changed(family / "one", tmp_path / "one", lambda weights: weights | {name: 0 * weights[name]})
    changed(family / "two", tmp_path / "two")
    made = plan.plan(config(tmp_path), home)
    assert name not in made.cosines and len(made.cosines) == made.tensors - 1
    assert any("1 tensors are all zero" in remark for remark in made.remarks)
    merge(config(tmp_path), home)
    wanted = mergekit_merge(document_of(config(tmp_path)), tmp_path / "theirs")
    same(load(home / "variants" / "merged"), wanted, load(tmp_path / "one"), load(tmp_path / "two"))


@pytest.mark.parametrize("what", ["disk", "memory"])
def test_too_little_room_is_said_before_anything_is_written(
    what: str, family: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    if what == "disk":
        monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: _Usage(1000))
        why, code = r"merged needs [0-9]+ kB of disk; .* has 1 kB free", 74
    else:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: _Usage(1000))
        why, code = r"merged needs [0-9]+ MB of memory, 1 kB are free", 69
    with pytest.raises((StorageError, plan.ServiceError), match=why) as caught:
        merge(config(family), home)
    assert caught.value.exit_code == code and not variants(home)


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = self.available = free


@pytest.mark.parametrize("given", [{}, {"method": "karcher"}])
def test_a_full_disk_midway_leaves_nothing(
    given: dict[str, Any], family: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given:
        import safetensors.torch

        def full(*_: Any, **__: Any) -> None:
            raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

        monkeypatch.setattr(safetensors.torch, "save_file", full)
    else:
        honest, written = writing._append, []

        def filling(handle: Any, data: memoryview) -> None:
            written.append(len(data))
            if len(written) > 5:
                raise OSError(errno.ENOSPC, "No space left on device")
            honest(handle, data)

        monkeypatch.setattr(writing, "_append", filling)
    with pytest.raises(StorageError, match=r"cannot write .*: no space is left on the disk") as caught:
        merge(config(family, **given), home)
    assert caught.value.exit_code == 74 and "\n" not in str(caught.value)
    assert not variants(home) and list((home / "variants").iterdir()) == []
    monkeypatch.undo()
    merge(config(family, **given), home)
    assert verify(home / "variants" / "merged") == []


def test_a_large_merge_is_not_tried(family: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_ROOM", 1e9)
    told: list[Progress] = []
    merge(config(family), home, told.append)
    assert any(event.text.startswith("not tried: ") for event in told if event.type == "remark")


def test_a_merge_that_computes_nonsense_is_not_published(family: Path, home: Path, tmp_path: Path) -> None:
    def huge(weights: Weights) -> Weights:
        return {name: weight if "norm" in name else weight * 3e36 for name, weight in weights.items()}

    for name in ("one", "two"):
        changed(family / name, tmp_path / name, huge)
    with pytest.raises(DataError, match=r"no number|more than 1e18"):
        merge(config(tmp_path), home)
    assert not variants(home)


def test_the_names_of_parents_are_told_apart(family: Path, home: Path, tmp_path: Path) -> None:
    for name, inner in (("one", "first"), ("two", "second")):
        (tmp_path / inner).mkdir()
        changed(family / name, tmp_path / inner / "model")
    given = MergeConfig(name="merged", models=(str(tmp_path / "first/model"), str(tmp_path / "second/model")))
    made = plan.plan(given, home)
    assert made.parents == ("first-model", "second-model") and "base_model: first-model" in made.yaml


def test_a_merge_of_variants_by_their_names(family: Path, home: Path) -> None:
    merge(config(family, name="ab"), home)
    merge(config(family, "two", "three", name="bc"), home)
    record = merge(MergeConfig(name="merged", models=("ab", "bc"), method="norm_slerp", t=0.5), home)
    card = json.loads((home / "variants" / "merged" / "variant.json").read_text())
    assert record.parents == ("ab", "bc") and card["parents"] == "ab, bc" and card["method"] == "norm_slerp"
