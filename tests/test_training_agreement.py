"""What a trainer is given is what inference renders: looked at before the first step, and told where it is not so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures_templates import MORE, TEMPLATES
from tests.test_training_tokens import MULTI, SINGLE, SYSTEM, THOUGHTS, answers, ready, rendered, spans, task
from training.language import stage as stages
from training.language.rows import Row
from training.language.stage import main
from training.language.tokens import agreement
from training.language.tokens.agreement import check_agreement, check_given
from training.language.tokens.columns import dataset
from training.language.tokens.conversations import Conversations
from workspace.errors import DataError

pytest_plugins = ["tests.fixtures_templates"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
THINK_FIRST = ("r1", "thinking")
PAIR: Row = {"prompt": SINGLE[:1], "chosen": SINGLE[1:], "rejected": [answers("It melts.")]}


@pytest.mark.parametrize("unigram", [False, True], ids=["bpe", "pieces"])
@pytest.mark.parametrize("name", [*TEMPLATES, *MORE])
def test_what_every_template_makes_agrees(name: str, unigram: bool) -> None:
    tokenizer = ready(name, unigram)
    talks = [THOUGHTS] if name in THINK_FIRST else [SINGLE, MULTI, THOUGHTS] + ([] if name == "gemma" else [SYSTEM])
    args = task("sft", Path(), max_length=4096).args
    for messages in talks:
        rows: list[Row] = [{"messages": messages}]
        check_agreement("sft", args, tokenizer, rows, dataset("sft", args, tokenizer, rows)[0])
        found = [
            (one.input_ids[:start], tokenizer.decode(one.input_ids[start:stop]))
            for one in Conversations(tokenizer).encoded(messages)
            for start, stop in spans(one)
        ]
        asked = [at for at, one in enumerate(messages) if one["role"] == "assistant"]
        for (prompt, learned), at in zip(found, asked, strict=True):
            assert prompt == rendered(tokenizer, messages[:at])
            whole, begun = "".join(messages[at]["content"].split()), tokenizer.decode(prompt)[-20:]
            assert whole in "".join((begun + learned).split())  # thoughts and all
    if name not in THINK_FIRST:
        check_agreement("dpo", args, tokenizer, [PAIR], dataset("dpo", args, tokenizer, [PAIR])[0])


def test_thoughts_that_inference_begins_are_never_learned_empty() -> None:
    with pytest.raises(DataError, match="inference begins the answer with <think>, and the row has no thoughts"):
        Conversations(ready("thinking")).encoded(SINGLE)


@pytest.mark.parametrize("kind", ["sft", "dpo", "orpo"])
@pytest.mark.parametrize(
    ("name", "unigram"), [("llama3", False), ("chatml", False), ("mistral", True), ("unasked", True)]
)
def test_a_first_token_that_stands_twice_is_refused_before_the_first_step(
    kind: str, name: str, unigram: bool, speaking_model: Callable[..., Path], tmp_path: Path, monkeypatch: Any
) -> None:
    honest = Conversations.ids

    def doubled(self: Conversations, text: str) -> list[int]:
        found = honest(self, text)
        first = TEMPLATES.get(name, MORE.get(name, ("", None, "")))[1] or "<s>"
        return [self.tokenizer.convert_tokens_to_ids(first), *found]

    monkeypatch.setattr(Conversations, "ids", doubled)
    monkeypatch.setattr(stages, "_trainer", lambda *_: pytest.fail("it trains"))
    row: Row = {"messages": MULTI} if kind == "sft" else PAIR
    with pytest.raises(DataError) as caught:
        main(task(kind, speaking_model(name, unigram)), [row], tmp_path / "out", tmp_path / "variant")
    told = caught.value.message
    assert told.startswith("the row that begins 'What makes nacre tough?', message 2: token ")
    assert "in training and" in told and told.endswith("at inference")


def test_kept_tokens_of_another_making_are_refused() -> None:
    tokenizer, args = ready("chatml"), task("sft", Path()).args
    rows: list[Row] = [{"messages": SINGLE}, {"messages": MULTI}]
    other, _ = dataset("sft", args, tokenizer, [{"messages": [SINGLE[0], answers("Its bricks break.")]}, rows[1]])
    with pytest.raises(DataError, match=r"input_ids: token \d+ is '.*' now and '.*' as kept"):
        check_agreement("sft", args, tokenizer, rows, other)


@pytest.mark.parametrize(
    ("kind", "packing"), [("cpt", True), ("cpt", False), ("sft", True), ("sft", False), ("dpo", None)]
)
def test_a_trainer_that_adds_a_token_is_refused(
    kind: str, packing: bool | None, speaking_model: Callable[..., Path], tmp_path: Path, monkeypatch: Any
) -> None:
    one = task(kind, speaking_model("llama3"), packing=packing, max_steps=1)
    row: Row = {"cpt": {"text": "Its bricks slide."}, "sft": {"messages": SINGLE}, "dpo": PAIR}[kind]
    main(one, [row], tmp_path / "out", tmp_path / "variant")  # as it is, all is well
    honest = stages._trainer

    def longer(*given: Any) -> Any:
        trainer = honest(*given)
        name = "chosen_input_ids" if kind == "dpo" else "input_ids"
        trainer.train_dataset = trainer.train_dataset.map(lambda row: {name: [1, *row[name]]})
        return trainer

    monkeypatch.setattr(stages, "_trainer", longer)
    with pytest.raises(DataError, match=r"the trainer holds \d+ (chosen_)?input_ids .* this version of trl changes"):
        main(one, [row], tmp_path / "out2", tmp_path / "variant2")


def test_few_rows_are_looked_at(monkeypatch: Any) -> None:
    tokenizer, args = ready("chatml"), task("sft", Path()).args
    rows: list[Row] = [{"messages": [SINGLE[0], answers(f"It has {number} bricks.")]} for number in range(50)]
    made, _ = dataset("sft", args, tokenizer, rows)
    seen: list[int] = []
    honest = agreement._compare
    monkeypatch.setattr(agreement, "_compare", lambda *given: (seen.append(1), honest(*given)))
    check_agreement("sft", args, tokenizer, rows, made)
    assert len(seen) == 8
    check_given(made, made)
