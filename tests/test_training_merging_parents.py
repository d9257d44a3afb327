"""Parents that need care and those that are refused: adapters, other tokens, YAML of one's own, damaged weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.catalogue.fetch import variants
from tests.fixtures_merging import LAYERS, Weights, changed, load, mergekit_merge, ulps
from training.adapted import folded
from training.language.run import main, open_run
from training.merging import plan
from training.merging.config import MergeConfig
from training.merging.mergekit_yaml import document_of, mixture, named, renamed, text_of
from training.merging.run import merge
from training.merging.slerp import Slerp, slerp_faults
from workspace.errors import DataError, ServiceError, StudioError, UsageError
from workspace.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
PAIRS = {
    "lora": {"target_modules": "all-linear"},
    "rank-stabilised": {"target_modules": "all-linear", "use_rslora": True, "rank_pattern": {"q_proj": 2}},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "a norm in whole": {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
    "both ends in whole": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "the output": {"target_modules": ["q_proj", "lm_head"]},
    "the embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
}


def config(*models: Any, **given: Any) -> MergeConfig:
    return MergeConfig.model_validate({"name": "merged", "models": tuple(map(str, models))} | given)


def refused(home: Path, given: MergeConfig, why: str, code: int = 65) -> None:
    """A merge is refused with one line and this code, and leaves nothing behind."""
    with pytest.raises(StudioError, match=why) as caught:
        merge(given, home)
    assert caught.value.exit_code == code and "\n" not in str(caught.value) and not variants(home)


def spoiled(name: str, value: float) -> Callable[[Weights], Weights]:
    def change(weights: Weights) -> Weights:
        weights[name].view(-1)[3] = value
        return weights

    return change


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": ({"model_type": "mistral"}, "model_type is mistral and llama"),
    "depth": ({"num_hidden_layers": 3}, "num_hidden_layers is 3 and 4"),
    "width": ({"hidden_size": 64}, "hidden_size is 64 and 32"),
    "vocabulary": ({"vocab_size": 999}, r"vocab_size is 999 and [0-9]+ \(tokenizer: union keeps the tokens of both"),
    "quantised": ({"quantization_config": {"quant_method": "awq"}}, "two holds weights quantised by awq"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_parents_of_another_make_are_refused(kind: str, family: Path, home: Path, tmp_path: Path) -> None:
    given, why = WRONG[kind]
    two = changed(family / "two", tmp_path / "two")
    file = two / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | given))
    asked = config(family / "one", two)
    with pytest.raises(DataError, match=why) as caught:
        from training.merging.places import Place
        from training.merging.plan import prepare_found

        places = {str(one): Place(one.name, one, one.name) for one in (family / "one", two)}
        prepare_found(asked, document_of(asked), places, home, None)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):  # the catalogue may find the folder unsound before
        merge(asked, home)
    assert not variants(home)


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "an infinite number")])
@pytest.mark.parametrize("who", ["one", "two", "base"])
def test_weights_that_are_no_numbers_are_named(
    who: str, value: float, word: str, family: Path, home: Path, tmp_path: Path
) -> None:
    name = "model.layers.2.mlp.down_proj.weight"
    for other in ("one", "two", "base"):
        changed(family / other, tmp_path / other, spoiled(name, value) if other == who else None)
    asked = config(tmp_path / "one", tmp_path / "two", base=str(tmp_path / "base"))
    refused(home, asked, f"^{who} holds {word} in {re.escape(name)}")
    three = config(tmp_path / "base", tmp_path / "two", tmp_path / "one", method="linear")
    refused(home, three, f"^{who} holds {word} in {re.escape(name)}")


def test_a_model_is_not_merged_with_itself(family: Path, home: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(family / "one", tmp_path / "copy"))
    refused(home, config(family / "one", copy), "one and copy are the same model: there is nothing to merge")
    refused(home, config(family / "one", family / "one"), "one", 65)
    task = config(family / "one", family / "two", method="task_arithmetic", base=str(copy))
    refused(home, task, "one is the base copy itself: it has no task vector of its own")


def test_a_curve_that_does_not_fit_the_layers_is_refused(family: Path, home: Path) -> None:
    asked = config(family / "one", family / "two", self_attn=(0.0,) * (LAYERS + 1))
    refused(home, asked, f"t of self_attn has {LAYERS + 1} values over {LAYERS} layers; 1 to {LAYERS} are allowed")


def test_a_recipe_with_such_a_curve_is_refused_before_anything_is_trained(
    family: Path, home: Path, tmp_path: Path
) -> None:
    row = {"messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "The layer."}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    stages: list[dict[str, Any]] = [
        {"name": "s", "stage": "sft", "data": [{"path": "rows.jsonl"}], "args": {"max_steps": 1, "bf16": False}},
        {"name": "m", "stage": "slerp", "from": "s", "into": str(family / "two"), "slerp": {"mlp": [0.1] * 9}},
    ]
    recipe = {"name": "mine", "base": str(family / "one"), "stages": stages}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(DataError, match=f"m: t of mlp has 9 values over {LAYERS} layers; 1 to {LAYERS} are allowed"):
        main(open_run(tmp_path / "mine.yaml", home))
    assert not variants(home) and not (home / "training").exists()
    assert slerp_faults(Slerp(), family / "one") == [], "the study's five values are for any number of layers"


def test_a_head_that_mergekit_would_lose_is_not_lost(family: Path, home: Path, tmp_path: Path) -> None:
    def untied(weights: Weights) -> Weights:
        return weights | {"lm_head.weight": 2 * weights["model.embed_tokens.weight"]}

    two = changed(family / "two", tmp_path / "two", untied, tie_word_embeddings=False)
    for asked in ({"method": "karcher"}, {"tokenizer": "base"}):
        why = "the output layer of one is its embeddings, that of two is not: mergekit would drop it .*slerp"
        refused(home, config(family / "one", two, **asked), why)


def test_a_tensor_that_one_parent_lacks_is_named(family: Path, home: Path, tmp_path: Path) -> None:
    name = "model.layers.1.self_attn.q_proj.weight"
    two = changed(
        family / "two", tmp_path / "two", lambda held: held | {name.replace("weight", "bias"): held[name][0].clone()}
    )
    refused(home, config(family / "one", two), f"two has {name.replace('weight', 'bias')}, which one lacks")
    less = changed(family / "two", tmp_path / "less", lambda held: {k: w for k, w in held.items() if k != name})
    refused(home, config(family / "one", less), f"one has {name}, which less lacks")


def test_models_that_are_not_here(family: Path, home: Path, tmp_path: Path) -> None:
    refused(home, config(family / "one", "no-such-variant"), "unknown model 'no-such-variant'", 2)
    refused(home, config(family / "one", "somebody/some-model"), "somebody/some-model is on no disk here", 69)
    refused(home, config(family / "one", tmp_path / "nothing"), "no model folder at .*nothing", 2)
    refused(home, config(family / "one", "HuggingFaceTB/SmolLM2-135M-Instruct"), "is not on this machine yet", 69)


# Other tokens


@pytest.fixture
def wider(family: Path, tmp_path: Path) -> Path:
    """The second parent with two more tokens."""
    folder = tmp_path / "wider"
    model = AutoModelForCausalLM.from_pretrained(family / "two")
    tokenizer = AutoTokenizer.from_pretrained(family / "two")
    tokenizer.add_tokens(["<|thought|>", "<|end_of_thought|>"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", ["slerp", "norm_slerp", "linear"])
@pytest.mark.parametrize("tokenizer", ["union", "base"])
def test_other_tokens_are_brought_together_where_it_is_said_how(
    tokenizer: Any, method: Any, family: Path, wider: Path, home: Path, tmp_path: Path
) -> None:
    refused(home, config(family / "one", wider, method=method), r"vocab_size is .* \(tokenizer: union keeps the tokens")
    told: list[Progress] = []
    asked = config(family / "one", wider, method=method, tokenizer=tokenizer)
    assert plan.plan(asked, home).engine == "mergekit"
    record = merge(asked, home, told.append)
    folder = home / "variants" / "merged"
    kept = AutoTokenizer.from_pretrained(folder)
    many = len(AutoTokenizer.from_pretrained(family / "one"))
    assert len(kept) == many + (2 if tokenizer == "union" else 0) and kept.chat_template
    made = load(folder)
    assert made["model.embed_tokens.weight"].shape[0] == len(kept)
    assert record.tensors and "model.embed_tokens.weight" not in record.cosines
    if method != "linear":
        assert "t = 0 is one" in " ".join(event.text for event in told if event.type == "remark")
    wanted = mergekit_merge(document_of(asked), tmp_path / "theirs")
    assert all(ulps(weight, wanted[name]) <= 1 for name, weight in made.items())
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.vocab_size == len(kept)


# Adapters


@pytest.fixture
def adapter(family: Path, tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    def make(**kind: Any) -> tuple[Path, Any]:
        model = AutoModelForCausalLM.from_pretrained(family / "one", dtype=torch.float32)
        tuned = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **kind))
        drawn = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in tuned.parameters():
                if weight.requires_grad:
                    weight.add_(0.02 * torch.randn(weight.shape, generator=drawn))
        tuned.save_pretrained(tmp_path / "tuned-adapter")
        return tmp_path / "tuned-adapter", tuned.eval()

    return make


@pytest.mark.parametrize("kind", PAIRS)
def test_an_adapter_is_folded_without_loading_its_base(
    kind: str, adapter: Callable[..., tuple[Path, Any]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, tuned = adapter(**PAIRS[kind])
    ids = torch.arange(3, 43).unsqueeze(0)
    with torch.no_grad():
        wanted = tuned(ids).logits
    honest = AutoModelForCausalLM.from_pretrained

    def on_paper(*given: Any, **named: Any) -> Any:
        assert named.get("device_map") == "meta", "the base is loaded"
        return honest(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(AutoModelForCausalLM, "from_pretrained", on_paper)
        folder, base = folded(place, home)
        stamp = (folder / "config.json").stat().st_mtime_ns
        assert folded(place, home) == (folder, base) and (folder / "config.json").stat().st_mtime_ns == stamp
    assert base == "one"
    with torch.no_grad():
        made = honest(folder, dtype=torch.float32)(ids).logits
    assert float((made - wanted).abs().max()) < 0.02 * float(wanted.abs().max())
    with torch.no_grad():
        plain = honest(tuned.peft_config["default"].base_model_name_or_path, dtype=torch.float32)(ids).logits
    assert float((made - wanted).norm()) < 0.2 * float((plain - wanted).norm())


def test_an_adapter_is_a_parent(
    adapter: Callable[..., tuple[Path, Any]], family: Path, home: Path, tmp_path: Path
) -> None:
    place, _ = adapter(target_modules="all-linear")
    told: list[Progress] = []
    record = merge(config(family / "two", place, t=0.5), home, told.append)
    assert record.parents == ("two", "tuned-adapter")
    assert any("the adapter tuned-adapter is folded into one first" in e.text for e in told if e.type == "remark")
    whole, _ = folded(place, home)
    wanted = mergekit_merge(document_of(config(family / "two", whole, t=0.5)), tmp_path / "theirs")
    made = load(home / "variants" / "merged")
    assert all(ulps(weight, wanted[name], load(whole)[name]) <= 1 for name, weight in made.items())
    moved = shutil.copytree(place, tmp_path / "moved")
    told_base = json.loads((moved / "adapter_config.json").read_text()) | {"base_model_name_or_path": "gone/away"}
    (moved / "adapter_config.json").write_text(json.dumps(told_base))
    refused_home = tmp_path / "other-home"
    refused_home.mkdir()
    refused(refused_home, config(family / "two", moved), "the base of the adapter moved, gone/away, is not here", 2)
    named_base = config(family / "two", f"{family / 'one'}+{moved}", t=0.5)
    assert merge(named_base, refused_home).parents == ("two", "moved")


def test_adapters_that_cannot_be_folded(
    adapter: Callable[..., tuple[Path, Any]], family: Path, home: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    place, _ = adapter(target_modules=["q_proj"])
    held = load_file(place / "adapter_model.safetensors")
    first = next(iter(held))
    save_file({name: weight for name, weight in held.items() if name != first}, place / "adapter_model.safetensors")
    refused(home, config(family / "two", place), f"tuned-adapter lacks {re.escape(first)}")
    save_file(held | {"base_model.model.other.weight": held[first].clone()}, place / "adapter_model.safetensors")
    refused(home, config(family / "two", place), "tuned-adapter holds base_model.model.other.weight, which cannot be")
    save_file(held, place / "adapter_model.safetensors")
    kind = json.loads((place / "adapter_config.json").read_text()) | {"peft_type": "IA3"}
    (place / "adapter_config.json").write_text(json.dumps(kind))
    refused(home, config(family / "two", place), "tuned-adapter is an adapter of type IA3; LORA can be folded")


# YAML of one's own


def own(folder: Path, document: Any) -> MergeConfig:
    path = folder / "own.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    return MergeConfig(name="merged", yaml=str(path))


def models(family: Path, **more: Any) -> dict[str, Any]:
    one, two = str(family / "one"), str(family / "two")
    base = {"merge_method": "slerp", "base_model": one, "models": [{"model": two}, {"model": one}], "dtype": "bfloat16"}
    return base | {"parameters": {"t": [{"filter": "norm", "value": [0, 1]}, {"value": 0.4}]}} | more


def slices(family: Path, *ranges: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"sources": [{"model": str(family / name), "layer_range": [start, end]}]} for name, start, end in ranges]


def documents(family: Path) -> dict[str, tuple[dict[str, Any], str]]:
    both = [{"model": str(family / name), "layer_range": [0, LAYERS]} for name in ("one", "two")]
    weighed = [{"model": str(family / "one"), "parameters": {"weight": 0.3}}, {"model": str(family / "two")}]
    plain = {"models": None, "parameters": None, "base_model": None}
    return {
        "models": (models(family), "studio"),
        "slices": (models(family, models=None, slices=[{"sources": both}]), "studio"),
        "norm": (models(family, merge_method="norm_slerp"), "studio"),
        "soup": (
            models(family) | plain | {"merge_method": "linear", "models": weighed, "parameters": {"weight": [0.2, 1]}},
            "studio",
        ),
        "task vectors": (
            models(family, merge_method="task_arithmetic", dtype="float32", out_dtype="bfloat16",
                   base_model=str(family / "base"), parameters={"weight": 0.7}),
            "studio",
        ),
        "task vectors in 16 bits": (
            models(family, merge_method="task_arithmetic", base_model=str(family / "base"), parameters={"weight": 0.7}),
            "mergekit",
        ),
        "some layers": (
            models(family, models=None, slices=[{"sources": [one | {"layer_range": [1, 4]} for one in both]}]),
            "mergekit",
        ),
        "one task vector": (
            models(family, merge_method="task_arithmetic", parameters={"weight": 0.7}), "mergekit",
        ),
        "scaled": (
            models(family, merge_method="task_arithmetic", dtype="float32", out_dtype="bfloat16",
                   base_model=str(family / "base"), parameters={"weight": 0.7, "lambda": 0.5}),
            "mergekit",
        ),
        "layers stacked": (
            {"merge_method": "passthrough", "dtype": "bfloat16",
             "slices": slices(family, ("one", 0, 3), ("two", 1, 4))},
            "mergekit",
        ),
        "16 bits of another kind": (models(family, dtype="float16"), "mergekit"),
        "nearswap": (models(family, merge_method="nearswap", parameters={"t": 0.001}), "mergekit"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["models", "slices", "norm", "soup", "task vectors", "one task vector", "task vectors in 16 bits", "some layers",
     "scaled", "layers stacked",
     "16 bits of another kind", "nearswap"],
)  # fmt: skip
def test_a_yaml_of_ones_own_runs_as_it_is(kind: str, family: Path, home: Path, tmp_path: Path) -> None:
    from training.merging.by_mergekit import check_method

    check_method("norm_slerp")
    document, engine = documents(family)[kind]
    document = {key: value for key, value in document.items() if value is not None}
    asked = own(tmp_path, document)
    assert plan.plan(asked, home).engine == engine
    record = merge(asked, home)
    made, wanted = load(home / "variants" / "merged"), mergekit_merge(document, tmp_path / "theirs")
    parents = [load(family / name) for name in ("one", "two")] if "layers" not in kind else []
    assert made.keys() == wanted.keys()
    for name, weight in made.items():
        assert weight.dtype == wanted[name].dtype
        assert ulps(weight, wanted[name], *(parent[name] for parent in parents)) <= 1, name
    assert record.method == document["merge_method"] and str(family) not in record.yaml
    model = AutoModelForCausalLM.from_pretrained(home / "variants" / "merged")
    assert model.config.num_hidden_layers == {"layers stacked": 6, "some layers": 3}.get(kind, LAYERS)


@pytest.mark.parametrize(
    ("change", "why", "code"),
    [
        ({"merge_method": "slurp"}, "unknown merge method 'slurp'; did you mean 'slerp'\\? choices: .*", 65),
        ({"merge_metod": "slerp"}, "unknown key 'merge_metod'; did you mean 'merge_method'", 65),
        ({"merge_method": None}, "has no merge_method", 65),
        ({"slices": [{"sources": []}]}, "must have one of models, slices and modules", 65),
        ({"models": None}, "must have one of models, slices and modules", 65),
        ({"base_model": "arcee-ai/some-model"}, "arcee-ai/some-model is on no disk here: a merge fetches nothing", 69),
        ({"base_model": "no-such-model"}, "unknown model 'no-such-model'", 2),
        (
            {"parameters": {"t": [{"filter": "mlp", "value": 1}]}},
            "model.embed_tokens.weight has no value: a last entry",
            65,
        ),
        ({"models": [{"model": 7}]}, "models.0.model must name a model, not 7", 65),
        ({"parameters": {"tt": 0.5}}, "mergekit cannot do this merge: Missing required parameter t", 65),
        ({"dtype": "float7"}, "mergekit cannot do this merge: Unimplemented dtype", 65),
    ],
)
def test_a_yaml_that_is_wrong_is_refused(
    change: dict[str, Any], why: str, code: int, family: Path, home: Path, tmp_path: Path
) -> None:
    refused(home, own(tmp_path, models(family) | change), why, code)


def test_a_tensor_without_a_value_is_found_before_anything_is_written(family: Path, home: Path, tmp_path: Path) -> None:
    document = models(family, parameters={"t": [{"filter": "mlp", "value": 0.5}, {"filter": "self_attn", "value": 1}]})
    with pytest.raises(DataError, match=r"model.embed_tokens.weight has no value"):
        plan.plan(own(tmp_path, document), home)


def test_a_file_that_is_no_yaml_is_refused(family: Path, home: Path, tmp_path: Path) -> None:
    refused(home, MergeConfig(name="merged", yaml=str(tmp_path / "none.yaml")), "there is no mergekit YAML at", 2)
    for text in ("merge_method: [", "- slerp", "merge_method: slerp\nmerge_method: linear", "\x00", "just words"):
        refused(home, own(tmp_path, text), "own.yaml")


def test_a_curve_of_ones_own_that_leaves_the_arc_is_said(family: Path, home: Path, tmp_path: Path) -> None:
    told = plan.plan(own(tmp_path, models(family, parameters={"t": [-0.2] * 6})), home).remarks
    assert "t of rest has 6 values over 4 layers; 1 to 4 are allowed" in told
    assert "t of rest must be from 0 to 1, not -0.2" in told


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["model", "models", "slices", "sources", "base_model", "parameters", "t", "weight", "value", "filter",
         "layer_range", "tokenizer", "source"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.fixed_dictionaries(
    {"merge_method": st.sampled_from(["slerp", "norm_slerp", "linear", "nuslerp", "task_arithmetic"]),
     "dtype": st.sampled_from(["bfloat16", "float32"])},
    optional={key: ANY for key in ("models", "slices", "modules", "base_model", "parameters", "tokenizer")},
))  # fmt: skip
def test_any_document_is_read_or_refused_in_words(document: dict[str, Any], tmp_path: Path) -> None:
    try:
        read = document_of(own(tmp_path, document))
        names = named(read)
        assert named(renamed(read, lambda name: f"x{name}")) == tuple(f"x{name}" for name in names)
        mix = mixture(read, dict.fromkeys(names, 4))
        assert yaml.safe_load(text_of(read)) == read
    except (DataError, UsageError) as fault:
        assert "\n" not in str(fault)
    else:
        assert mix is None or set(mix.models) <= set(names)


def test_a_document_is_what_mergekit_reads(family: Path) -> None:
    from mergekit.config import MergeConfiguration

    for asked in ({}, {"method": "lerp", "t": 0.5}, {"method": "linear", "weights": (1, 2), "tokenizer": "union"}):
        document = document_of(config("a", "b", **asked))
        assert MergeConfiguration.model_validate(yaml.safe_load(text_of(document))).merge_method
    assert "value: [0.0, 0.5, 0.3, 0.7, 1.0]" in text_of(document_of(config("a", "b")))


def test_a_base_that_is_not_here_is_a_service_that_is_missing(family: Path, home: Path) -> None:
    with pytest.raises(ServiceError, match="on no disk here"):
        plan.plan(config(family / "one", family / "two", base="somebody/base"), home)
