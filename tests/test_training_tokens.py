"""Rows to tokens: by every template what is trained is what inference renders, in all stages alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.architectures import tiny
from tests.fixtures_local import word_tokenizer
from tests.fixtures_templates import CHATML, SPECIAL, TEMPLATES, make_tokenizer, save_model, speaking
from training.language import run as runner
from training.language import stage as stages
from training.language.arguments import Adapter, Arguments
from training.language.estimate import size_of
from training.language.recipe import Stage, resolved
from training.language.rows import Row
from training.language.stage import Task, check_base, load_tokenizer, main
from training.language.tokens.columns import dataset, encoded
from training.language.tokens.conversations import Conversations
from training.language.tokens.encoded import IGNORED, Encoded
from training.language.tokens.pairs import PairCollator
from training.language.tokens.tokenizer import pad_remark, prepare, set_pad
from workspace.errors import DataError
from workspace.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
Message = dict[str, str]


def asks(text: str) -> Message:
    return {"role": "user", "content": text}


def answers(text: str) -> Message:
    return {"role": "assistant", "content": text}


SINGLE = [asks("What makes nacre tough?"), answers("Its bricks slide.")]
MULTI = [*SINGLE, asks("And bone?"), answers("Collagen , and mineral. It 's layered , is n't it ?")]
SYSTEM = [{"role": "system", "content": "Be short."}, *MULTI]
THOUGHTS = [
    asks("What?"),
    answers("<think>\nHm.\n</think>\n\nIt slides."),
    asks("And?"),
    answers("<think>\nSo.\n</think>\n\nIt bends."),
]
ENDS = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>", "gemma": "<end_of_turn>", "mistral": "</s>",
        "qwen3": "<|im_end|>", "r1": "</s>", "vicuna": "</s>"}  # fmt: skip


def ready(name: str, unigram: bool = False) -> Any:
    tokenizer = speaking(name, unigram)
    prepare(tokenizer, name, chat=True)
    return tokenizer


def rendered(tokenizer: Any, messages: list[Message]) -> list[int]:
    """What inference reads before an answer."""
    made: list[int] = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    return made


def spans(one: Encoded) -> list[tuple[int, int]]:
    """Where a sequence is learned."""
    known = [label != IGNORED for label in one.labels]
    starts = [place for place in range(len(known)) if known[place] and not (place and known[place - 1])]
    return [(start, next((at for at in range(start, len(known)) if not known[at]), len(known))) for start in starts]


def task(kind: str, base: Path, **args: Any) -> Task:
    given: dict[str, Any] = {"max_steps": 2, "max_length": 128, "bf16": False, "logging_steps": 1}
    one = Stage(name="a", stage=kind, data=[{"path": "x"}], args=Arguments(**(given | args)))  # type: ignore[arg-type]
    return Task(kind, resolved(one), base, card={"name": "tiny"}, must_pack=bool(args.get("packing")))


@pytest.mark.parametrize("unigram", [False, True], ids=["bpe", "pieces"])
@pytest.mark.parametrize("name", list(TEMPLATES))
class TestTemplates:
    def talks(self, name: str) -> list[list[Message]]:
        if name == "r1":
            return [THOUGHTS[:2], THOUGHTS]
        return [SINGLE, MULTI, THOUGHTS] + ([] if name == "gemma" else [SYSTEM])

    def test_every_answer_follows_what_inference_renders(self, name: str, unigram: bool) -> None:
        tokenizer = ready(name, unigram)
        end = tokenizer.convert_tokens_to_ids(ENDS[name])
        for messages in self.talks(name):
            prompts = [
                rendered(tokenizer, messages[:at]) for at, one in enumerate(messages) if one["role"] == "assistant"
            ]
            found = []
            for one in Conversations(tokenizer).encoded(messages):
                for start, stop in spans(one):
                    found.append(one.input_ids[:start])
                    assert one.input_ids[stop - 1] == end and end not in one.input_ids[start : stop - 1]
                assert one.labels[-1] == end
            assert found == prompts

    def test_a_first_token_stands_once(self, name: str, unigram: bool) -> None:
        tokenizer = ready(name, unigram)
        for messages in self.talks(name):
            for one in Conversations(tokenizer).encoded(messages):
                assert one.input_ids.count(tokenizer.bos_token_id) == (
                    1 if TEMPLATES[name][1] and name != "vicuna" else 0
                )

    def test_all_stages_train_on_the_same_tokens(self, name: str, unigram: bool) -> None:
        tokenizer = ready(name, unigram)
        asked, good = THOUGHTS[:2]
        row = {"prompt": [asked], "chosen": [good], "rejected": [answers("<think>\nOh.\n</think>\n\nIt melts.")]}
        [sft] = encoded("sft", tokenizer, {"messages": [asked, good]})
        for kind in ("dpo", "orpo"):
            assert encoded(kind, tokenizer, row)[0] == sft


@pytest.mark.parametrize("kind", ["sft", "dpo", "orpo"])
@pytest.mark.parametrize(("name", "unigram"), [("llama3", False), ("gemma", True), ("mistral", True), ("qwen3", False)])
def test_the_trainer_gets_those_tokens(
    kind: str,
    name: str,
    unigram: bool,
    speaking_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    honest = stages.guarded

    def watched(*given: Any) -> type:
        class Watched(honest(*given)):  # type: ignore[misc]
            def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
                seen.append({key: value.clone() for key, value in inputs.items() if torch.is_tensor(value)})
                return super().training_step(model, inputs, *rest, **named)

        return Watched

    monkeypatch.setattr(stages, "guarded", watched)
    one = task(kind, speaking_model(name, unigram), max_steps=1)
    rejected = "Its bricks are glued , and the load is spread slowly."
    pair = {"prompt": SINGLE[:1], "chosen": SINGLE[1:], "rejected": [answers(rejected)]}
    main(one, [{"messages": SINGLE} if kind == "sft" else pair], tmp_path / "out", tmp_path / "variant")
    tokenizer = load_tokenizer(one)
    prompt = rendered(tokenizer, SINGLE[:1])
    [batch] = seen
    wanted = [
        encoded("sft", tokenizer, {"messages": [SINGLE[0], answer]})[0].input_ids
        for answer in (SINGLE[1], answers(rejected))
    ]
    if kind == "sft":
        got = [(batch["input_ids"][0], batch["labels"][0] != IGNORED)]
    elif kind == "dpo":
        rows = zip(batch["input_ids"], batch["attention_mask"].bool(), batch["completion_mask"].bool(), strict=True)
        got = [(ids[mask], learned[mask]) for ids, mask, learned in rows]
    else:
        got = []
        for side in ("chosen", "rejected"):
            mask = batch[f"{side}_attention_mask"][0].bool()
            got.append((batch[f"{side}_input_ids"][0][mask], batch[f"{side}_labels"][0][mask] != IGNORED))
    for (ids, learned), want in zip(got, wanted, strict=kind != "sft"):
        assert ids.tolist() == want and want[: len(prompt)] == prompt
        assert learned.tolist() == [False] * len(prompt) + [True] * (len(want) - len(prompt))


def test_an_answer_that_says_so_is_read_and_not_learned() -> None:
    tokenizer = ready("chatml")
    first, second = ({**MULTI[1], "learned": False}, MULTI[3])
    messages = [MULTI[0], first, MULTI[2], second]
    [one] = encoded("sft", tokenizer, {"messages": messages})
    assert one.input_ids == encoded("sft", tokenizer, {"messages": MULTI})[0].input_ids and len(spans(one)) == 1
    with pytest.raises(DataError, match="no answer of it is learned"):
        encoded("sft", tokenizer, {"messages": messages[:2]})
    with pytest.raises(DataError, match="assistant_only_loss: false would learn turns"):
        dataset("sft", task("sft", Path(), assistant_only_loss=False).args, tokenizer, [{"messages": messages}])


class TestThoughts:
    def test_empty_ones_are_not_learned_unless_inference_begins_with_them(self) -> None:
        tokenizer = ready("qwen3")
        for messages in (SINGLE, MULTI):
            [one] = Conversations(tokenizer).encoded(messages)
            assert "<think>" not in tokenizer.decode(one.input_ids)
        tokenizer.chat_template = str(tokenizer.chat_template).replace(
            "{{- '<|im_start|>assistant\n' }}", "{{- '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}"
        )
        [one] = Conversations(tokenizer).encoded(SINGLE)
        [(start, stop)] = spans(one)
        assert tokenizer.decode(one.input_ids[:start]).endswith("<think>\n\n</think>\n\n")
        assert tokenizer.decode(one.input_ids[start:stop]) == "Its bricks slide.<|im_end|>"

    def test_a_history_without_thoughts_is_trained_answer_by_answer(self) -> None:
        tokenizer = ready("qwen3")
        made, sizes = dataset(
            "sft", task("sft", Path()).args, tokenizer, [{"messages": THOUGHTS}, {"messages": SINGLE}]
        )
        assert len(made) == 3 and sizes.rows == 2
        assert sizes.split == "1 of 2 conversations are trained answer by answer"
        first, second = Conversations(tokenizer).encoded(THOUGHTS)
        assert "Hm." in tokenizer.decode(first.input_ids) and "Hm." not in tokenizer.decode(second.input_ids)

    def test_a_row_without_thoughts_where_inference_begins_with_them_is_told_what_to_do(self) -> None:
        with pytest.raises(DataError, match="inference begins the answer with <think>, and the row has no") as caught:
            Conversations(ready("r1")).encoded(SINGLE)
        assert "end them with </think>, or name another model's template: chat_template" in str(caught.value)

    def test_an_answer_that_would_end_before_its_end_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"message 2: its content holds <\|im_end\|>, which ends an answer"):
            Conversations(ready("chatml")).encoded([SINGLE[0], answers("Its <|im_end|> bricks slide.")])

    def test_a_preference_of_several_turns_that_would_be_split_is_refused(self) -> None:
        row: Row = {"prompt": THOUGHTS[:1], "chosen": THOUGHTS[1:], "rejected": [answers("No.")]}
        with pytest.raises(DataError, match="an answer of several turns") as caught:
            encoded("dpo", ready("qwen3"), row)
        assert "into the prompt" in str(caught.value)
        [chosen, _] = encoded("dpo", ready("chatml"), row)
        assert len(spans(chosen)) == 2  # the question between them is not learned


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["chatml", "llama3", "gemma", "mistral", "vicuna"]),
    st.lists(st.text(alphabet="ab é.\n 1'", min_size=1, max_size=12).filter(str.strip), min_size=2, max_size=6),
)
def test_any_words_follow_what_inference_renders(name: str, told: list[str]) -> None:
    tokenizer = _READY.setdefault(name, ready(name))
    messages = [(asks, answers)[at % 2](text) for at, text in enumerate(told[: len(told) // 2 * 2])]
    found = [one.input_ids[:start] for one in Conversations(tokenizer).encoded(messages) for start, _ in spans(one)]
    assert found == [rendered(tokenizer, messages[:at]) for at in range(1, len(messages), 2)]


_READY: dict[str, Any] = {}


class TestPadding:
    def only(self, *special: str, eos: str = "<|endoftext|>") -> Any:
        return make_tokenizer(CHATML, None, eos, special=list(special))

    def test_the_end_of_text_pads_where_there_is_nothing_else(self) -> None:
        tokenizer = self.only("<|endoftext|>")
        tokenizer.pad_token = tokenizer.bos_token = tokenizer.unk_token = "<|endoftext|>"
        set_pad(tokenizer)
        assert tokenizer.pad_token == "<|endoftext|>"
        assert (
            pad_remark(tokenizer)
            == "padding is <|endoftext|>, the end of text: the tokenizer has no other token for it"
        )

    @pytest.mark.parametrize(
        "spare",
        ["<|reserved_special_token_3|>", "<unused7>", "[unused1]", "<|extra_0|>", "<extra_id_1>", "[control_8]"],
    )
    def test_a_spare_token_pads_and_is_told(self, spare: str) -> None:
        tokenizer = self.only("<|endoftext|>", "<|im_end|>", spare)
        set_pad(tokenizer)
        assert tokenizer.pad_token == spare and pad_remark(tokenizer) == f"padding is {spare}"

    def test_a_padding_token_of_a_usual_name_is_taken_first(self) -> None:
        tokenizer = self.only("<|endoftext|>", "<unused7>", "<pad>")
        set_pad(tokenizer)
        assert tokenizer.pad_token == "<pad>" and pad_remark(tokenizer) == ""
        assert word_tokenizer().pad_token == "<|im_end|>"
        set_pad(tokenizer := word_tokenizer())
        assert tokenizer.pad_token == "<|endoftext|>"

    @pytest.mark.parametrize("kind", ["cpt", "sft", "dpo", "orpo"])
    def test_an_end_of_text_that_pads_is_learned_all_the_same(self, kind: str, tmp_path: Path) -> None:
        template = CHATML.replace("<|im_end|>", "<|endoftext|>")
        tokenizer = make_tokenizer(template, None, "<|endoftext|>", special=["<|endoftext|>"])
        base = save_model(tmp_path / "base", tokenizer)
        told: list[Progress] = []
        short = answers("Yes.")
        rows: dict[str, list[Row]] = {
            "cpt": [{"text": "Its bricks slide."}, {"text": "Yes."}],
            "sft": [{"messages": SINGLE}, {"messages": [SINGLE[0], short]}],
            "dpo": [{"prompt": SINGLE[:1], "chosen": SINGLE[1:], "rejected": [short]}],
        }
        one = task(kind, base, packing=False if kind in ("cpt", "sft") else None, per_device_train_batch_size=2)
        main(one, rows.get(kind, rows["dpo"]), tmp_path / "out", tmp_path / "variant", told.append)
        assert told[0].type == "remark" and told[0].text.startswith("padding is <|endoftext|>, the end of text")
        assert AutoTokenizer.from_pretrained(tmp_path / "variant").pad_token == "<|endoftext|>"

    def test_padding_is_told_by_its_place(self) -> None:
        pair = {
            "chosen_input_ids": [5, 6, 0],
            "chosen_labels": [-100, 6, 0],
            "rejected_input_ids": [5, 0],
            "rejected_labels": [-100, 0],
        }
        batch = PairCollator(0)([pair])
        assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
        assert batch["completion_mask"].tolist() == [[0, 1, 1], [0, 1, 0]]


class TestBases:
    def recipe(self, tmp_path: Path, base: Path, *stages_: dict[str, Any]) -> Path:
        (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": SINGLE}) + "\n")
        shared = {"stage": "sft", "data": [{"path": "rows.jsonl"}]}
        args = {"max_steps": 1, "max_length": 64, "bf16": False}
        told = [{**shared, **one, "args": args | one.get("args", {})} for one in stages_]
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "base": str(base), "stages": told}))
        return tmp_path / "mine.yaml"

    def test_what_does_not_load_is_never_done(self, home: Path, tmp_path: Path) -> None:
        tokenizer = speaking("chatml")
        base = save_model(tmp_path / "base", tokenizer)
        path = self.recipe(tmp_path, base, {"name": "s"})
        assert [one.made for one in runner.main(runner.open_run(path, home)).variants] == [True]
        assert [one.made for one in runner.main(runner.open_run(path, home)).variants] == [False]
        weights = home / "variants" / "mine-s" / "model.safetensors"
        weights.unlink()  # not written over: the process has it mapped
        weights.write_bytes(b"torn")
        assert [one.made for one in runner.main(runner.open_run(path, home)).variants] == [True]
        tokenizer.add_special_tokens({"pad_token": "<|padding|>"})
        tokenizer.save_pretrained(base)
        shutil.rmtree(home / "variants")
        for _ in range(2):
            with pytest.raises(DataError, match=r"'<\|padding\|>' \(400\) would have none"):
                runner.main(runner.open_run(path, home))
            assert not (home / "variants").exists()

    @pytest.mark.parametrize(
        ("kind", "stage", "why"),
        [
            (
                "llama",
                {"adapter": {"target_modules": ["q_proj", "v_prj"]}},
                "unknown layer 'v_prj'; did you mean 'v_p",
            ),
            ("gpt2", {"args": {"max_length": 600}}, "max_length 600 is beyond the 512 positions"),
            ("opt", {"args": {"packing": True}}, "packing: packed rows of opt see each other"),
            ("mixtral", {"adapter": {"r": 4}}, "adapter: .* holds no weights named model.layers.0.mlp.gate.weight"),
            ("mamba", {"adapter": {"r": 4}}, "adapter: .*incompatible with Mamba"),
            (
                "llama",
                {"adapter": {"r": 4, "modules_to_save": ["lm_hed"]}},
                "unknown layer 'lm_hed'; did you mean 'lm_h",
            ),
            ("llama", {"adapter": {"r": 4, "target_modules": "q_proj"}}, "is of the pattern 'q_proj'"),
            ("llama", {"args": {"held_out": 0.5}}, "held_out: of one row nothing can be held out"),
            ("llama", {"args": {"max_length": 16}}, "max_length 16 cuts the whole answer of every row"),
            ("bloom", {"args": {"attn_implementation": "sdpa"}}, "attn_implementation: bloom does not take sdpa"),
        ],
    )
    def test_a_fault_of_the_second_stage_is_found_before_the_first(
        self, kind: str, stage: dict[str, Any], why: str, home: Path, tmp_path: Path
    ) -> None:
        sizes = {"ffn_dim": 64, "word_embed_proj_dim": 32} if kind == "opt" else {}
        base = save_model(tmp_path / "base", speaking("chatml"), kind, **sizes)
        path = self.recipe(tmp_path, base, {"name": "one"}, {"name": "two", **stage})
        with pytest.raises(DataError, match=why):
            runner.main(runner.open_run(path, home))
        assert not (home / "variants").exists()

    @pytest.mark.parametrize("special", [True, False])
    def test_tokens_beyond_the_embeddings_are_one_line(self, special: bool, tmp_path: Path) -> None:
        tokenizer = speaking("chatml")
        base = save_model(tmp_path / "base", tokenizer)
        if special:
            tokenizer.add_special_tokens({"pad_token": "<|padding|>"})
        else:
            tokenizer.add_tokens(["nacre"])
        tokenizer.save_pretrained(base)
        with pytest.raises(DataError, match=r"has tokens up to 400, and its embeddings are 400 rows: .* \(400\) would"):
            main(task("sft", base), [{"messages": SINGLE}], tmp_path / "out", tmp_path / "variant")
        assert not (tmp_path / "variant").exists() and not (tmp_path / "out").exists()

    def test_positions_that_end_are_refused_and_others_told(self, tmp_path: Path) -> None:
        tokenizer = speaking("chatml")
        gpt = save_model(tmp_path / "gpt", tokenizer, "gpt2", max_position_embeddings=64)
        with pytest.raises(
            DataError, match=r"max_length 512 is beyond the 64 positions of .*gpt, which are learned"
        ) as at:
            main(task("sft", gpt, max_length=512), [{"messages": SINGLE}], tmp_path / "out", tmp_path / "variant")
        assert "max_length: 64" in str(at.value)
        one = task("sft", gpt, max_length=64)
        assert check_base(one, load_tokenizer(one)) == ""
        rotary = task("sft", save_model(tmp_path / "rotary", tokenizer, max_position_embeddings=64), max_length=512)
        told = check_base(rotary, load_tokenizer(rotary))
        assert told.startswith("max_length 512 is beyond the 64 positions that") and told.endswith("was trained on")

    def test_a_template_of_tokens_that_the_base_does_not_know_is_refused(self, tmp_path: Path) -> None:
        bare = make_tokenizer(None, None, "<|endoftext|>", special=["<|endoftext|>"])
        one = task("sft", save_model(tmp_path / "base", bare))
        speaking("llama3").save_pretrained(tmp_path / "lender")
        with pytest.raises(DataError, match=r"the chat template writes <\|end_header_id\|>, <\|eot_id\|>, "):
            load_tokenizer(Task(one.kind, one.args, one.base, template=tmp_path / "lender"))


class TestNamedTemplates:
    def named(self, folder: Path, **templates: str) -> Path:
        tokenizer = speaking("chatml")
        tokenizer.chat_template = templates
        return save_model(folder, tokenizer)

    @pytest.mark.parametrize("kind", ["sft", "dpo"])
    def test_the_default_one_is_used_and_kept(self, kind: str, tmp_path: Path) -> None:
        one = task(kind, self.named(tmp_path / "base", default=CHATML, tool_use="{{ messages }}"), max_steps=1)
        row: Row = {"messages": SINGLE} if kind == "sft" else {
            "prompt": SINGLE[:1], "chosen": SINGLE[1:], "rejected": [answers("No.")]
        }  # fmt: skip
        main(one, [row], tmp_path / "out", tmp_path / "variant")
        assert AutoTokenizer.from_pretrained(tmp_path / "variant").chat_template == CHATML

    def test_none_of_the_name_is_told(self, tmp_path: Path) -> None:
        one = task("sft", self.named(tmp_path / "base", rag=CHATML, tool_use=CHATML))
        with pytest.raises(DataError, match="chat templates named rag, tool_use, and none named default"):
            load_tokenizer(one)
        assert load_tokenizer(replace(one, kind="cpt")).chat_template is None
        lent = replace(one, template=self.named(tmp_path / "lender", default=CHATML))
        assert load_tokenizer(lent).chat_template == CHATML


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_an_adapter_of_a_mixture_of_experts_names_what_it_can_be_folded_into(kind: str, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", speaking("chatml"), kind, num_experts_per_tok=2)
    one = replace(task("sft", base), adapter=Adapter(r=2))
    with pytest.raises(DataError) as caught:
        check_base(one, load_tokenizer(one))
    assert caught.value.hint == "target_modules: [k_proj, o_proj, q_proj, v_proj]"
    named = replace(one, adapter=Adapter(r=2, target_modules=("k_proj", "o_proj", "q_proj", "v_proj")))
    check_base(named, load_tokenizer(named))


@pytest.mark.parametrize("kind", ["mamba2", "bamba", "granitemoehybrid"])
def test_a_configuration_with_infinity_is_read(kind: str, tmp_path: Path) -> None:
    model = tiny(kind, 400)
    model.generation_config.pad_token_id = None
    model.save_pretrained(tmp_path)
    assert "Infinity" in (tmp_path / "config.json").read_text()
    size = size_of("x", tmp_path)
    assert size is not None and size.parameters == sum(weight.numel() for weight in model.parameters())


def test_a_text_that_is_too_long_goes_on_in_another_sequence() -> None:
    tokenizer = make_tokenizer(None, "<s>", "</s>", special=SPECIAL)
    args = task("cpt", Path(), max_length=16).args
    made, sizes = dataset("cpt", args, tokenizer, [{"text": "The layer carries the load slowly. " * 8}])
    assert sizes.rows == 1 and sizes.truncated == 0 and len(made) > 1
    joined = [token for row in made for token in row["input_ids"]]
    assert joined[0] == tokenizer.bos_token_id and joined[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(joined[1:-1]) == "The layer carries the load slowly. " * 8
