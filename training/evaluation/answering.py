"""How many of a benchmark's questions a model answers right, with intervals, and whether one does better than another.

Every answer that a question offers is scored by its log-likelihood after the question, as the model's own template puts
it; the likeliest counts. The options of a choice are not shown, and their likelihoods are taken a byte (lm-eval's
`acc_norm`): a small model knows more than it can tell by letters. Nothing is sampled, so the same model always answers
the same. Knows questions; not what they are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.sample.rows import asked
from workspace.errors import check_loaded
from workspace.progress import QuestionsAnswered, Tell, silent, waiting, weighed

Question = dict[str, Any]


def offered(question: Question) -> list[str]:
    """The answers that a question offers, as they would be given."""
    return ["true", "false"] if question["kind"] == "truth" else list(question["options"])


def answers(
    folder: Path,
    questions: Sequence[Question],
    template: Path | None = None,
    tell: Tell = silent,
    name: str = "",
) -> list[bool]:
    """Whether a model answers each question right.

    Args:
        folder: The model's.
        questions: Of kind ``choice`` (with options) or ``truth``, each with its right answer.
        template: Folder of the model whose chat template is used, where the model has none.
        tell: Called with `QuestionsAnswered` after every question.
        name: What the model is called; the folder's name if not given.
    """
    with waiting(f"reading {weighed(folder)}"):
        model, tokenizer, device = _read(folder, template)
    right = []
    for number, question in enumerate(questions):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": asked(question)}], tokenize=False, add_generation_prompt=True
        )
        choices = offered(question)
        scores = _likelihoods(model, tokenizer, prompt, choices, device)
        if question["kind"] == "choice":
            scores = [score / len(choice.encode()) for score, choice in zip(scores, choices, strict=True)]
        right.append(choices[int(np.argmax(scores))] == question["answer"])
        tell(QuestionsAnswered(model=name or folder.name, answered=number + 1, of=len(questions)))
    return right


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
