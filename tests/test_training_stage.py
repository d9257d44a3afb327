"""Stages of language model training on a tiny model: each learns, resumes exactly, stops at bad numbers, publishes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer

import training
from tests.fixtures_local import sentences
from training.language import stage as stages
from training.language.arguments import Adapter, Arguments
from training.language.estimate import Size, operations, size_of
from training.language.recipe import Stage, resolved
from training.language.rows import Row
from training.language.stage import Task, load_tokenizer, main
from training.language.tokens.columns import dataset, of_text
from training.language.tokens.conversations import Conversations
from training.language.tokens.encoded import IGNORED
from workspace.errors import DataError, StorageError
from workspace.files import verify
from workspace.progress import Progress, silent

pytest_plugins = ["tests.fixtures_local"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


def rows(kind: str, count: int = 12) -> list[Row]:
    told = sentences()[:count]
    if kind == "cpt":
        return [{"text": line} for line in told]
    asked = [{"role": "user", "content": "What does it do?"}]
    if kind == "sft":
        return [{"messages": [*asked, {"role": "assistant", "content": line}]} for line in told]
    answer = [[{"role": "assistant", "content": text}] for line in told for text in (line, "It stops water slowly.")]
    return [
        {"prompt": asked, "chosen": one, "rejected": other}
        for one, other in zip(answer[::2], answer[1::2], strict=True)
    ]


def task(kind: str, base: Path, adapter: Adapter | None = None, **args: Any) -> Task:
    given = {"learning_rate": 3e-3, "num_train_epochs": 2, "max_length": 96, "per_device_train_batch_size": 2}
    given |= {"logging_steps": 1, "save_steps": 2, "bf16": False, "lr_scheduler_type": "constant", "warmup_ratio": 0}
    assert set(given) <= set(Arguments.model_fields)
    one = Stage(name="a", stage=kind, data=[{"path": "x"}], args=given | args)  # type: ignore[arg-type]
    return Task(kind, resolved(one), base, adapter=adapter, card={"name": f"tiny-{kind}", "parent": "tiny"})


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["cpt", "sft", "dpo", "orpo"])
def test_every_stage_learns_and_publishes_a_variant(kind: str, word_llama: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    folder = main(task(kind, word_llama), rows(kind), tmp_path / "out", tmp_path / "variant", told.append)
    seen = losses(tmp_path / "out")
    prepared, *steps = told
    assert prepared.type == "rows_prepared" and steps[-1].type == "training_step"
    assert prepared.rows == 12
    assert (
        seen[-1] < seen[0]
        and steps[-1].left_s == 0
        and [step.loss for step in steps if step.type == "training_step"] == seen
    )
    keys = {"step", "of", "epoch", "loss", "learning_rate", "seconds_a_step", "tokens_s", "left_s"}
    assert set(json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[0])) - {"mfu"} == keys
    made = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    former = AutoModelForCausalLM.from_pretrained(word_llama, dtype=torch.float32)
    moved = [name for name, weight in made.state_dict().items() if not torch.equal(weight, former.state_dict()[name])]
    assert len(moved) > 5
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id and tokenizer.chat_template
    card = json.loads((folder / "variant.json").read_text())
    assert card["parent"] == "tiny" and card["figures"]["steps"] == len(seen)
    assert "tiny-" in (folder / "README.md").read_text() and (folder / "manifest.json").is_file()


def test_a_cpu_without_bfloat16_computes_in_single_precision_and_says_so(
    word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU computes")
    seen: dict[bool, tuple[list[float], str, Any]] = {}
    for able in (True, False):
        monkeypatch.setattr(stages, "multiplies_bfloat16", lambda able=able: able)
        told: list[Progress] = []
        one = task("cpt", word_llama, bf16=True, max_steps=2)
        folder = main(one, rows("cpt"), tmp_path / f"out-{able}", tmp_path / f"variant-{able}", told.append)
        said = " ".join(event.text for event in told if event.type == "remark")
        card = json.loads((folder / "variant.json").read_text())
        seen[able] = losses(tmp_path / f"out-{able}"), said, card.get("precision")
    assert "single precision" in seen[False][1] and "single" in seen[False][2]
    assert "single precision" not in seen[True][1] and seen[True][2] is None
    assert seen[True][0] != seen[False][0], "they are computed otherwise"
    assert seen[True][0] == pytest.approx(seen[False][0], rel=0.02)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_stage_that_was_stopped_goes_on_as_if_it_had_not_been(
    kind: str, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(task(kind, word_llama, packing=False), rows(kind), tmp_path / "whole", tmp_path / "v1")

    class Stopped(Exception):
        pass

    honest = stages.Keeper.on_log

    def stopping(self: Any, args: Any, state: Any, control: Any, **named: Any) -> None:
        honest(self, args, state, control, **named)
        if state.global_step == 5:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(stages.Keeper, "on_log", stopping)
        with pytest.raises(Stopped):
            main(task(kind, word_llama, packing=False), rows(kind), tmp_path / "cut", tmp_path / "v2")
    torn = tmp_path / "cut" / "checkpoints" / "checkpoint-5"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")
    main(task(kind, word_llama, packing=False), rows(kind), tmp_path / "cut", tmp_path / "v2")
    assert not torn.exists()
    first, second = losses(tmp_path / "whole"), losses(tmp_path / "cut")
    assert second[:5] == pytest.approx(first[:5], abs=1e-4)
    assert second[5:] == pytest.approx(first[4:], abs=1e-4)  # from the checkpoint at step 4


def test_only_the_assistants_words_and_their_end_are_learned(word_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(word_llama)
    told = [
        {"role": "user", "content": "The layer?"},
        {"role": "assistant", "content": "It holds."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "It bends."},
    ]
    [one] = Conversations(tokenizer).encoded(told)
    learned = [token for token, label in zip(one.input_ids, one.labels, strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == "It holds.<|im_end|>It bends.<|im_end|>"
    text = of_text(tokenizer, {"text": "It holds."})
    assert text.labels == text.input_ids and text.input_ids[-1] == tokenizer.eos_token_id


def test_packed_rows_do_not_see_each_other(word_llama: Path, tmp_path: Path) -> None:
    trainer = {
        packing: stages._trainer(
            (one := task("sft", word_llama, packing=packing, per_device_train_batch_size=4)),
            (tokenizer := load_tokenizer(one)),
            dataset("sft", one.args, tokenizer, rows("sft", 4))[0],
            tmp_path / str(packing),
            silent,
        )
        for packing in (True, False)
    }
    found = {}
    for packing, one in trainer.items():
        total = count = 0.0
        for batch in one.get_train_dataloader():
            known = int((batch["labels"][:, 1:] != IGNORED).sum())
            with torch.no_grad():
                total += float(one.compute_loss(one.model, dict(batch))) * known
            count += known
        found[packing] = total / count
    assert len(trainer[True].train_dataset) < len(trainer[False].train_dataset)
    assert found[True] == pytest.approx(found[False], abs=1e-4)


@pytest.mark.parametrize("kind", ["cpt", "sft"])
def test_the_quicker_loss_is_the_same_number(
    kind: str, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, found = stages.guarded, {}
    for plain in (True, False):
        monkeypatch.setattr(stages, "guarded", lambda kind, keeper, _, plain=plain: honest(kind, keeper, plain))
        out = tmp_path / str(plain)
        main(task(kind, word_llama, gradient_accumulation_steps=2), rows(kind), out, out / "variant")
        found[plain] = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(found[True]) > 1 and found[True] == pytest.approx(found[False], abs=1e-4)


def test_a_loss_that_is_no_number_stops_the_stage(
    word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = Trainer.compute_loss, []

    def poisoned(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(1)
        loss = honest(self, *given, **named)
        return loss * float("nan") if len(calls) == 4 else loss

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Trainer, "compute_loss", poisoned)
    with pytest.raises(DataError, match="the loss is nan at step 4; the last good checkpoint is kept"):
        main(task("sft", word_llama, packing=False), rows("sft"), tmp_path, tmp_path / "variant")
    assert (tmp_path / "checkpoints" / "checkpoint-2" / "whole").is_file()


@pytest.mark.parametrize("kind", ["lora", "dora", "qlora"])
def test_an_adapter_is_folded_into_its_variant(kind: str, word_llama: Path, tmp_path: Path) -> None:
    adapter = Adapter(type=kind, r=4, lora_alpha=8)  # type: ignore[arg-type]
    folder = main(
        task("sft", word_llama, adapter, max_steps=3, learning_rate=0.03), rows("sft"), tmp_path, tmp_path / "variant"
    )
    made, former = (AutoModelForCausalLM.from_pretrained(one, dtype=torch.float32) for one in (folder, word_llama))
    assert set(made.state_dict()) == set(former.state_dict())
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.allclose(made.state_dict()[name], former.state_dict()[name], atol=1e-2)
    untouched = "model.embed_tokens.weight"
    assert torch.allclose(made.state_dict()[untouched], former.state_dict()[untouched], atol=1e-2)


@pytest.mark.parametrize("kind", ["sft", "dpo", "orpo"])
def test_qlora_holds_the_base_in_four_bits(
    kind: str, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    honest = stages._publish

    def watched(trainer: Any, *given: Any) -> None:
        seen.append(trainer.model)
        honest(trainer, *given)

    monkeypatch.setattr(stages, "_publish", watched)
    adapter = Adapter(type="qlora", r=4)
    folder = main(
        task(kind, word_llama, adapter, max_steps=2, learning_rate=0.03), rows(kind), tmp_path, tmp_path / "variant"
    )
    linear = seen[0].base_model.model.model.layers[0].self_attn.q_proj.base_layer
    assert type(linear).__name__ == "Linear4bit" and linear.weight.quant_type == "nf4"
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "bfloat16"


def test_every_epoch_is_kept_on_request(word_llama: Path, tmp_path: Path) -> None:
    one = task("cpt", word_llama)
    main(
        Task(one.kind, one.args, one.base, keep_epochs=True, card={"name": "tiny"}),
        rows("cpt"),
        tmp_path,
        tmp_path / "variant",
    )
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir()) == ["1", "2"]
    assert json.loads((tmp_path / "epochs" / "1" / "variant.json").read_text())["epoch"] == 1


class TestMetrics:
    @pytest.mark.parametrize("kind", ["cpt", "sft", "dpo", "orpo"])
    def test_tokens_are_counted_without_padding(
        self, kind: str, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(10_000))
        monkeypatch.setattr("training.language.progress.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
        told: list[Progress] = []
        one = task(kind, word_llama, num_train_epochs=1, per_device_train_batch_size=12, packing=False)
        main(one, rows(kind), tmp_path / "out", tmp_path / "variant", told.append)
        prepared, step = told
        assert prepared.type == "rows_prepared" and step.type == "training_step"
        assert step.tokens_s == prepared.tokens  # one step, which took a second by this clock
        assert step.mfu is None

    def test_a_gpu_of_known_peak_has_its_share_told(
        self, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stages, "peak", lambda: 1e10)
        told: list[Progress] = []
        main(task("sft", word_llama, max_steps=2), rows("sft"), tmp_path / "out", tmp_path / "variant", told.append)
        size = size_of("tiny", word_llama)
        assert size is not None
        last = told[-1]
        assert last.type == "training_step" and last.tokens_s and last.mfu
        assert last.mfu == pytest.approx(last.tokens_s * 6 * size.parameters / 1e10, rel=1e-2)

    def test_an_adapter_and_a_second_model_change_the_work(self) -> None:
        size = Size(1000, 1000, 2, 8, 32, 8, 16, linear=800, sides=100)
        assert [operations(size, *one) for one in (("cpt", False), ("sft", True), ("dpo", False), ("dpo", True))] == [
            6000, 4000, 8000, 6000,
        ]  # fmt: skip

    @pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
    def test_tensorboard_has_its_logs_beside_the_metrics(self, word_llama: Path, tmp_path: Path) -> None:
        one = task("sft", word_llama, max_steps=2, report_to=["tensorboard"])
        main(one, rows("sft"), tmp_path / "out", tmp_path / "variant")
        [events] = (tmp_path / "out" / "logs").iterdir()
        assert b"train/tokens_s" in events.read_bytes()


class TestCache:
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        calls: list[int] = []
        honest = stages.dataset

        def counting(kind: str, args: Arguments, tokenizer: Any, rows: list[Row]) -> Any:
            calls.append(len(rows))
            return honest(kind, args, tokenizer, rows)

        monkeypatch.setattr(stages, "dataset", counting)
        return calls

    @pytest.mark.parametrize("kind", ["sft", "dpo", "orpo"])
    def test_rows_are_tokenised_once(
        self, kind: str, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = self.counted(monkeypatch)
        one = replace(task(kind, word_llama, max_steps=3), cache=tmp_path / "cache")
        main(one, rows(kind), tmp_path / "a", tmp_path / "v1")
        assert calls and [verify(folder, unlisted_ok=True) for folder in (tmp_path / "cache").iterdir()] == [[]]
        calls.clear()
        files = sorted((tmp_path / "cache").rglob("*"))
        main(one, rows(kind), tmp_path / "b", tmp_path / "v2")
        assert sorted((tmp_path / "cache").rglob("*")) == files
        assert not calls and losses(tmp_path / "b") == losses(tmp_path / "a")
        figures = [json.loads((tmp_path / name / "variant.json").read_text())["figures"] for name in ("v1", "v2")]
        assert figures[0] == figures[1]

    def test_another_template_tokenizer_or_argument_is_another_set(
        self, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = self.counted(monkeypatch)
        one = replace(task("sft", word_llama, max_steps=1), cache=tmp_path / "cache")
        main(one, rows("sft"), tmp_path / "a", tmp_path / "v1")
        other = tmp_path / "other"
        tokenizer = AutoTokenizer.from_pretrained(word_llama)
        tokenizer.chat_template = str(tokenizer.chat_template).replace("<|im_end|>", "<|im_end|>\n", 1)
        tokenizer.save_pretrained(other)
        added = tmp_path / "added"
        shutil.copytree(word_llama, added)
        tokenizer.chat_template = AutoTokenizer.from_pretrained(word_llama).chat_template
        tokenizer.add_tokens(["nacre"])
        tokenizer.save_pretrained(added)
        model = AutoModelForCausalLM.from_pretrained(word_llama)
        model.resize_token_embeddings(len(tokenizer))
        model.save_pretrained(added)
        changes = [
            {"template": other},
            {"base": added},
            {"args": one.args.model_copy(update={"assistant_only_loss": False})},
        ]
        for number, change in enumerate(changes):
            calls.clear()
            main(replace(one, **change), rows("sft"), tmp_path / f"b{number}", tmp_path / "v2")
            assert calls == [len(rows("sft"))], change
        assert len(list((tmp_path / "cache").iterdir())) == 4


class TestBases:
    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("tokenizer.json", "{}", "cannot read a language model in .*: KeyError"),
            ("config.json", '{"model_type": "nope"}', "cannot read a language model in .*nope"),
            ("config.json", "hidden_size: null", "cannot read a language model in .*hidden_size"),
            ("config.json", "num_hidden_layers: 3", "lack 'model.layers.2.input_layernorm.weight'"),
            ("config.json", "hidden_size: 32", "cannot read a language model in .* must belong together"),
        ],
    )
    def test_a_folder_that_is_no_model(self, name: str, text: str, why: str, word_llama: Path, tmp_path: Path) -> None:
        folder = tmp_path / "base"
        shutil.copytree(word_llama, folder)
        if not text.startswith("{"):
            key, value = text.split(": ")
            text = json.dumps(json.loads((folder / name).read_text()) | {key: json.loads(value)})
        (folder / name).write_text(text)
        with pytest.raises(DataError, match=why) as caught:
            load_tokenizer(task("sft", folder))
            stages.load_model(task("sft", folder))
        assert "\n" not in str(caught.value)

    def test_an_adapter_for_parts_that_are_not_there(self, word_llama: Path, tmp_path: Path) -> None:
        one = task("sft", word_llama, Adapter(target_modules="nope"))
        with pytest.raises(DataError, match=r"adapter, target_modules: no layer.s whole name is of the pattern .nope."):
            main(one, rows("sft", 2), tmp_path / "out", tmp_path / "variant")

    @pytest.mark.parametrize("told", ["{", '{"hidden_size": 1, "num_hidden_layers": "x", "vocab_size": 1}', "[]"])
    def test_sizes_of_no_model(self, told: str, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(told)
        with pytest.raises(DataError, match=r"config.json is no model's configuration"):
            size_of("mine", tmp_path)


class TestRoom:
    @pytest.mark.parametrize(
        "fault",
        [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file data/3")],
        ids=["disk", "torch"],
    )
    def test_a_disk_that_fills_is_said(
        self, fault: Exception, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from trl import SFTTrainer

        def full(*_: Any, **__: Any) -> None:
            raise fault

        monkeypatch.setattr(SFTTrainer, "_save_checkpoint", full)
        with pytest.raises(StorageError, match=r"cannot write .*checkpoints: no space is left on the disk"):
            main(task("sft", word_llama, max_steps=2), rows("sft", 2), tmp_path / "out", tmp_path / "variant")

    @pytest.mark.parametrize("kind", ["sft", "dpo", "orpo"])
    def test_a_row_whose_answer_is_cut_away_is_left_out_and_named(self, kind: str, word_llama: Path) -> None:
        told = rows(kind, 2)
        asked = {"role": "user", "content": "Which layer holds the heat? " * 20}
        told[1] = {**told[1], "prompt": [asked]} if kind != "sft" else {"messages": [asked, told[1]["messages"][1]]}
        one = task(kind, word_llama)
        made, sizes = dataset(kind, one.args, load_tokenizer(one), told)
        assert len(made) == 1
        assert sizes.left_out.startswith("1 of 2 (no answer in max_length): the row that begins 'Which layer holds")
        with pytest.raises(DataError, match="max_length 96 cuts the whole answer of every row, such as the row that"):
            dataset(kind, one.args, load_tokenizer(one), told[1:])
        if kind != "sft":
            shorter = task(kind, word_llama, max_prompt_length=32)
            assert len(dataset(kind, shorter.args, load_tokenizer(shorter), told)[0]) == 2


class TestTokenizers:
    def test_a_tokenizer_without_a_template_is_refused(self, word_llama: Path, tmp_path: Path) -> None:
        bare = AutoTokenizer.from_pretrained(word_llama)
        bare.chat_template = None
        bare.save_pretrained(tmp_path)
        with pytest.raises(DataError, match="has no chat template"):
            load_tokenizer(task("sft", tmp_path))
        assert load_tokenizer(task("cpt", tmp_path)).chat_template is None
        one = task("sft", tmp_path)
        assert load_tokenizer(Task(one.kind, one.args, one.base, template=word_llama)).chat_template

    @pytest.mark.parametrize(
        ("template", "why"),
        [
            ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "no end-of-turn token"),
            (
                "{% for m in messages %}{{ loop.length }}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}",
                "otherwise in training than at inference",
            ),
            ("{% if true %}", "a row: the chat template cannot render it: Unexpected end of template"),
            ("{{ raise_exception('no system role') }}", "a row: the chat template cannot render it: no system role"),
        ],
    )
    def test_a_template_that_would_mislead_is_refused(self, template: str, why: str, word_llama: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(word_llama)
        tokenizer.chat_template = template
        with pytest.raises(DataError, match=why):
            Conversations(tokenizer).encoded(rows("sft")[0]["messages"])


def test_what_is_freed_is_kept() -> None:
    code = (
        "import resource, sys\n"
        "from training.loop.heap import keep_freed\n"
        "kept = keep_freed() if sys.argv[1] == 'yes' else False\n"
        "def touch():\n"
        "    block = bytearray(64 << 20)\n"
        "    block[:: 4096] = b'x' * len(block[:: 4096])\n"
        "touch()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(4):\n    touch()\n"
        "print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )

    def faults(keep: str) -> tuple[str, int]:
        out = subprocess.run([sys.executable, "-c", code, keep], capture_output=True, text=True, check=True).stdout
        kept, count = out.split()
        return kept, int(count)

    kept, few = faults("yes")
    if kept == "False":
        pytest.skip("the C library is not glibc")
    assert few < 0.1 * faults("no")[1]


def test_a_peak_is_counted_from_when_it_was_forgotten() -> None:
    code = (
        "from training.loop.heap import forget_peak, peak\n"
        "del [bytearray(b'x' * (300 << 20))][:]\n"
        "before = peak()\n"
        "forget_peak()\n"
        "between = peak()\n"
        "del [bytearray(b'x' * (100 << 20))][:]\n"
        "print(before, between, peak())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    before, between, after = map(float, out.split())
    if between == before:
        pytest.skip("the kernel forgets no peak")
    assert between < before - 250 and between + 90 < after < before


def test_few_kernels_are_kept_for_shapes_that_do_not_come_again() -> None:
    code = (
        "import os, sys\n"
        "import training\n"
        "print('torch' in sys.modules, *(os.environ[name] for name in training.KERNELS))\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in training.KERNELS}
    for given, wanted in (({}, "64 64"), ({"LRU_CACHE_CAPACITY": "7"}, "7 64")):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept | given)
        assert out.stdout.split(maxsplit=1) == ["False", f"{wanted}\n"]
