"""Evaluation: this product's time beside lm-evaluation-harness's own ``hf`` backend, on the same task and model. JSON.

Both ask a shipped benchmark's multiple-choice task (answers in words, and by letter) in one process, one after the
other, ``--rounds`` times, at the same number format; loading is not counted. Every answer's log-likelihood is compared,
and what each would choose by the rules. With ``--server`` the written protocol is timed there too, against in-process.

    python benchmarks/evaluation.py --model smollm2-135m-instruct --limit 100
    python benchmarks/evaluation.py --server http://127.0.0.1:8000/v1 --served-model NAME
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from home import fresh_home

os.environ.setdefault("HF_HUB_OFFLINE", "1")
KINDS = ("answers", "letters")


def ours(scorer: Any, questions: Sequence[Any]) -> tuple[float, list[list[tuple[float, ...]]]]:
    """Seconds, and for each way of asking the likelihoods of every question's answers, as the harness asks them."""
    from training.evaluation.asking.answering import prompts

    rows = [one.row() for one in questions]
    began = time.monotonic()
    told: list[list[tuple[float, ...]]] = []
    for kind in KINDS:
        places = [2 if kind == "letters" and one.kind == "choice" else 0 for one in questions]
        put = [prompts(row)[place] for row, place in zip(rows, places, strict=True)]
        told.append([tuple(one) for one in scorer.likelihoods([(scorer.chat(text), answers) for text, answers in put])])
    return time.monotonic() - began, told


def theirs(lm: Any, manager: Any, name: str, limit: int | None) -> tuple[float, list[list[tuple[float, ...]]]]:
    """The same by the harness."""
    from lm_eval import simple_evaluate

    tasks = [f"studio_{name}_{kind}" for kind in KINDS]
    began = time.monotonic()
    out = simple_evaluate(
        lm, tasks=tasks, task_manager=manager, limit=limit, apply_chat_template=True, bootstrap_iters=0
    )
    seconds = time.monotonic() - began
    told = []
    for task in tasks:
        samples = sorted(out["samples"][task], key=lambda one: one["doc_id"])
        told.append([tuple(float(answer[0][0]) for answer in one["resps"]) for one in samples])
    return seconds, told


def agreement(questions: Sequence[Any], one: Any, other: Any) -> dict[str, Any]:
    """How far likelihoods differ, and the share of questions on which both choose alike, by each rule."""
    from training.evaluation.asking.answering import Told, scores

    gaps = [
        abs(mine - its)
        for part in range(len(KINDS))
        for row, same in zip(one[part], other[part], strict=True)
        for mine, its in zip(row, same, strict=True)
    ]
    alike: dict[str, float] = {}
    for rule in ("plain", "letters"):
        hits = []
        for place, question in enumerate(questions):
            letters = [told[1][place] if question.kind == "choice" else () for told in (one, other)]
            told = [Told(said[0][place], said[0][place], own) for said, own in zip((one, other), letters, strict=True)]
            ranks = [scores(rule, question.row(), said) for said in told]
            hits.append(ranks[0].index(max(ranks[0])) == ranks[1].index(max(ranks[1])))
        alike[rule] = round(sum(hits) / len(hits), 4)
    return {
        "answers": len(gaps),
        "largest_difference": round(max(gaps), 5),
        "mean_difference": round(statistics.mean(gaps), 6),
        "same_choice": alike,
    }


def written(
    model: str, name: str, limit: int | None, home: Path, server: str | None = None, key: str | None = None
) -> tuple[float, list[str]]:
    """Seconds, and the letters that were read, of the written protocol, in this process or on a server."""
    from training.evaluation.asking.config import EvaluateConfig
    from training.evaluation.asking.evaluate import evaluate

    config = EvaluateConfig(tasks=(name,), protocol="written", limit=limit, server=server, api_key_env=key)
    [found] = evaluate(model, config, home)
    return found.seconds, [answer.given for answer in found.answers]


def harness_writes(lm: Any, manager: Any, name: str, limit: int | None) -> float:
    """Seconds in which the harness has answers written."""
    from lm_eval import simple_evaluate

    began = time.monotonic()
    task = f"studio_{name}_written"
    simple_evaluate(lm, tasks=[task], task_manager=manager, limit=limit, apply_chat_template=True, bootstrap_iters=0)
    return time.monotonic() - began


def through_server(options: argparse.Namespace, lm: Any, manager: Any, folder: Path, home: Path) -> dict[str, Any]:
    """The written protocol here, by the harness, and on a server."""
    own, here = written(str(folder), options.task, options.limit, home)
    harness = harness_writes(lm, manager, options.task, options.limit)
    name, key = options.served_model or options.model, options.api_key_env
    served, there = written(name, options.task, options.limit, home, options.server, key)
    return {
        "written_s": round(own, 2),
        "harness_written_s": round(harness, 2),
        "served_s": round(served, 2),
        "served_times_ours": round(own / served, 2),
        "served_times_harness": round(harness / served, 2),
        "same_answer": round(sum(map(str.__eq__, here, there)) / len(here), 4),
    }


def main(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from models.catalogue.fetch import locate
    from training.evaluation.asking.scoring import Scorer
    from training.evaluation.asking.tasks import FOLDER, benchmark_of

    with fresh_home() as home:
        folder = locate(options.model, home)
        scorer = Scorer.load(folder, dtype=options.dtype)
        dtype = str(scorer.model.get_input_embeddings().weight.dtype).removeprefix("torch.")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        lm = HFLM(pretrained=str(folder), device=device, dtype=dtype, batch_size=options.batch)
        manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
        questions = benchmark_of(options.task).chosen((), options.limit).questions
        times: dict[str, list[float]] = {"ours": [], "harness": []}
        for _ in range(options.rounds):
            seconds, mine = ours(scorer, questions)
            times["ours"].append(seconds)
            seconds, its = theirs(lm, manager, options.task, options.limit)
            times["harness"].append(seconds)
        middle = {name: statistics.median(found) for name, found in times.items()}
        told = {
            "model": folder.name,
            "task": options.task,
            "questions": len(questions),
            "dtype": dtype,
            "rounds": options.rounds,
            **{f"{name}_s": round(found, 2) for name, found in middle.items()},
            "times_harness": round(middle["harness"] / middle["ours"], 2),
            **agreement(questions, mine, its),
        }
        return told | (through_server(options, lm, manager, folder, home) if options.server else {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a catalogue id or a folder")
    parser.add_argument("--task", default="forgetting", choices=["forgetting", "sample"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="the harness's batch size")
    parser.add_argument("--dtype", default="auto", choices=["auto", "bfloat16", "float32"])
    parser.add_argument("--server", help="OpenAI-compatible base URL")
    parser.add_argument("--served-model", help="the name that the server knows")
    parser.add_argument("--api-key-env", help="environment variable that holds the server's key")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(json.dumps(main(parser.parse_args()), indent=1))
