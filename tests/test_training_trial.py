"""A model folder tried before it is published: with transformers and without, the same words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.fixtures_merging import changed, load
from training import trial
from training.trial import Llama, read_llama, read_speech, settle, try_out
from training.turns import turn_end
from workspace.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
ROOT = Path(__file__).resolve().parent.parent


def made(folder: Path, **given: Any) -> tuple[Any, Llama]:
    sides = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
             "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 5000.0, "eos_token_id": 2}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**(sides | given)))  # type: ignore[arg-type]
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    light = read_llama(folder)
    assert light is not None
    return model.eval(), light


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 4, "head_dim": 16},
        {"attention_bias": True, "mlp_bias": True},
    ],
)
def test_a_llama_without_transformers_computes_the_same(given: dict[str, Any], tmp_path: Path) -> None:
    model, light = made(tmp_path / "model", **given)
    ids = torch.tensor([5, 9, 33, 5, 41, 17, 8])
    with torch.inference_mode():
        wanted = model(ids[None]).logits[0]
        assert torch.allclose(light.logits(ids), wanted, rtol=1e-4, atol=1e-4)
        light.past = []
        found = torch.cat([light.logits(ids[:4]), *(light.logits(ids[at : at + 1]) for at in range(4, 7))])
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4), "token by token"
        written = model.generate(ids[None], attention_mask=torch.ones(1, 7, dtype=torch.long), max_new_tokens=12,
                                 do_sample=False, pad_token_id=0)[0, 7:].tolist()  # fmt: skip
    assert light.greedy(ids.tolist(), 12, "it") == [token for token in written if token != 2]


def test_what_is_more_than_a_plain_llama_is_left_to_transformers(tmp_path: Path) -> None:
    made(tmp_path / "model")
    assert read_llama(changed(tmp_path / "model", tmp_path / "other", model_type="mistral")) is None
    assert read_llama(changed(tmp_path / "model", tmp_path / "act", hidden_act="gelu")) is None
    scaled = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0}}
    assert read_llama(changed(tmp_path / "model", tmp_path / "rope", **scaled)) is None
    name = "model.layers.1.mlp.up_proj.weight"
    less = changed(tmp_path / "model", tmp_path / "less", lambda held: {k: w for k, w in held.items() if k != name})
    more = changed(tmp_path / "model", tmp_path / "more", lambda held: held | {"model.extra": held[name].clone()})
    assert read_llama(less) is None and read_llama(more) is None


def test_a_model_that_computes_nonsense_is_refused(family: Path, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    folder = changed(family / "one", tmp_path / "bad", lambda held: held | {name: held[name] * float("nan")})
    light = read_llama(folder)
    assert light is not None
    with pytest.raises(DataError, match="the model bad computes what is no number"):
        light.greedy([1, 2, 3], 4, "bad")
    with pytest.raises(DataError, match="the model bad computes what is no number"):
        try_out(folder, 10**12)


def test_a_model_that_does_not_load_is_refused(family: Path, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    folder = changed(family / "one", tmp_path / "less", lambda held: {k: w for k, w in held.items() if k != name})
    for free in (10**12, 0):
        with pytest.raises(DataError, match=f"'{name}'") as caught:
            try_out(folder, free)
        assert "\n" not in str(caught.value)


def test_a_tokenizer_without_transformers_ends_turns_at_the_same_token(family: Path, tmp_path: Path) -> None:
    speech, theirs = read_speech(family / "one"), AutoTokenizer.from_pretrained(family / "one")
    assert speech is not None and turn_end(speech) == turn_end(theirs) == theirs.convert_tokens_to_ids("<|im_end|>")
    assert speech.get_vocab() == theirs.get_vocab() and speech.eos_token_id == theirs.eos_token_id
    talk = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "The layer."}]
    for ask in (True, False):
        wanted = theirs.apply_chat_template(talk, tokenize=False, add_generation_prompt=ask)
        assert speech.apply_chat_template(talk, tokenize=False, add_generation_prompt=ask) == wanted
    bare = changed(family / "one", tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    plain = read_speech(bare)
    assert plain is not None and turn_end(plain) is None
    file = bare / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": "SomethingElse"}))
    assert read_speech(bare) is None
    (bare / "tokenizer.json").write_text("{}")
    assert read_speech(bare) is None


_SCRIPT = """
import sys
from pathlib import Path
from training.merging.run import MergeConfig, merge
told = []
merge(MergeConfig(name="merged", models=(sys.argv[1], sys.argv[2]), t=0.5), Path(sys.argv[3]), told.append)
print([event.text for event in told if event.type == "remark" and event.text.startswith("tried")][0])
print("transformers" in sys.modules)
"""


@pytest.mark.parametrize("told", [True, False])
def test_a_fresh_process_merges_without_transformers(told: bool, family: Path, home: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = changed(family / name, tmp_path / name)
        settle(folder)
        file = folder / "generation_config.json"
        held = json.loads(file.read_text())
        assert held.pop("eos_token_id")
        if not told:
            file.write_text(json.dumps(held))
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "one"), str(tmp_path / "two"), str(home)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said, imported = done.stdout.splitlines()
    assert imported == str(not told), "where ends of turns are not told yet, transformers tells them"
    folder = home / "variants" / "merged"
    end = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("<|im_end|>")
    ends = AutoModelForCausalLM.from_pretrained(folder).generation_config.eos_token_id
    assert end in (ends if isinstance(ends, list) else [ends])
    assert said == try_out(folder, 10**12), "the same words with transformers"
    assert load(folder)


def test_a_model_without_room_is_looked_over(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_by_transformers", lambda folder: pytest.fail("it was loaded"))
    assert try_out(family / "one", 1000).startswith("not tried: 0.0 GB of weights")
