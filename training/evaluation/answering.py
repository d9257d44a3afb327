"""What a model makes of a benchmark's questions, by the likelihood of every answer that a question offers.

Nothing is sampled, so the same model always answers the same. What is likeliest is told by several rules (`RULES`): the
likelihood a byte after the question (lm-eval's `acc_norm`); the same less what the answer has without the question
(pointwise mutual information), which takes out how much an answer sounds like what the model was trained on; by that
alone, the question unseen; and by letter, the options shown, as the study asks. Knows questions; not their subject.

Source of the second: Holtzman et al., "Surface form competition" (EMNLP 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.sample.rows import asked
from workspace.errors import check_loaded
from workspace.progress import QuestionsAnswered, Tell, silent, waiting, weighed

Question = dict[str, Any]

RULES = ("plain", "pmi", "letters", "unasked")
"""By the likelihood a byte, by mutual information, by letter, and with the question unseen."""
LETTERS = "ABCDEFGH"
UNASKED = {"choice": "", "truth": "True or false?"}
"""What is put instead of a question."""


def offered(question: Question) -> list[str]:
    """The answers that a question offers, as they would be given."""
    return ["true", "false"] if question["kind"] == "truth" else list(question["options"])


class Told(NamedTuple):
    """Log-likelihoods of every answer that a question offers.

    Attributes:
        asked: After the question.
        unasked: With no question before it.
        letters: Of every answer's letter after question and options; none for a statement.
    """

    asked: tuple[float, ...]
    unasked: tuple[float, ...]
    letters: tuple[float, ...]


def likelihoods(
    folder: Path,
    questions: Sequence[Question],
    template: Path | None = None,
    tell: Tell = silent,
    name: str = "",
) -> list[Told]:
    """What a model makes of every answer to each question.

    Args:
        folder: The model's.
        questions: Of kind ``choice`` (with options) or ``truth``, each with its right answer.
        template: Folder of the model whose chat template is used, where the model has none.
        tell: Called with `QuestionsAnswered` after every question.
        name: What the model is called; the folder's name if not given.
    """
    with waiting(f"reading {weighed(folder)}"):
        model, tokenizer, device = _read(folder, template)

    def scores(text: str, choices: Sequence[str]) -> tuple[float, ...]:
        turns = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return tuple(_likelihoods(model, tokenizer, prompt, choices, device))

    found = []
    for number, question in enumerate(questions):
        choices, letters = offered(question), tuple[float, ...]()
        if question["kind"] == "choice":
            letters = scores(with_letters(question), LETTERS[: len(choices)])
        found.append(Told(scores(asked(question), choices), scores(UNASKED[question["kind"]], choices), letters))
        tell(QuestionsAnswered(model=name or folder.name, answered=number + 1, of=len(questions)))
    return found


def with_letters(question: Question) -> str:
    """A choice with its options, to be answered by letter."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, question["options"], strict=False)]
    return "\n".join([asked(question), *lines, "Answer with the letter alone."])


def right_by(rule: str, question: Question, told: Told) -> bool:
    """Whether the answer that a rule puts first is the right one; the first of several that are alike.

    Args:
        rule: One of `RULES`; ``letters`` is for choices alone.
        question: What was asked.
        told: What a model makes of its answers.
    """
    choices = offered(question)
    sizes = [len(choice.encode()) if question["kind"] == "choice" else 1 for choice in choices]
    scores = {
        "plain": [one / size for one, size in zip(told.asked, sizes, strict=True)],
        "pmi": [one - bare for one, bare in zip(told.asked, told.unasked, strict=True)],
        "unasked": [bare / size for bare, size in zip(told.unasked, sizes, strict=True)],
        "letters": list(told.letters),
    }[rule]
    return bool(choices[int(np.argmax(scores))] == question["answer"])


def _read(folder: Path, template: Path | None) -> tuple[Any, Any, str]:
    """The model, its tokenizer, and where it computes."""
    import copy

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if template is not None:
        tokenizer.chat_template = AutoTokenizer.from_pretrained(
            template, local_files_only=True, trust_remote_code=False
        ).chat_template
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, found = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    check_loaded(found, folder)
    head = copy.deepcopy(model.get_output_embeddings()).float()  # logits of half precision tie
    head.register_forward_pre_hook(lambda _, given: (given[0].float(), *given[1:]))
    model.set_output_embeddings(head)
    return model.to(device).eval(), tokenizer, device


def _likelihoods(model: Any, tokenizer: Any, prompt: str, choices: Sequence[str], device: str) -> list[float]:
    """The log-likelihood of every choice after the prompt, which is read once for all of them."""
    import torch

    def tokens(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    before, tails = tokens(prompt), [tokens(choice) for choice in choices]
    longest = max(map(len, tails))
    ids = torch.tensor([tail + [0] * (longest - len(tail)) for tail in tails], device=device)
    seen = torch.tensor(
        [[1] * (len(before) + len(tail)) + [0] * (longest - len(tail)) for tail in tails], device=device
    )
    with torch.inference_mode():
        stem = model(input_ids=torch.tensor([before], device=device), use_cache=True, logits_to_keep=1)
        logits = stem.logits.expand(len(tails), -1, -1)
        if longest > 1:
            cache = stem.past_key_values
            cache.batch_repeat_interleave(len(tails))
            more = model(input_ids=ids[:, :-1], attention_mask=seen[:, :-1], past_key_values=cache)
            logits = torch.cat([logits, more.logits], dim=1)
        chances = logits.float().log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    return [float(row[: len(tail)].sum()) for row, tail in zip(chances, tails, strict=True)]
