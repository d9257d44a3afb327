"""How well the library finds what answers a question: by words, by meaning, and by both. Prints one JSON object.

    python benchmarks/retrieval.py                 # the figures of the shipped rule, on the odd half
    python benchmarks/retrieval.py --unseen        # on questions that nothing was settled on
    python benchmarks/retrieval.py --tune          # every share of words, on the other half
    python benchmarks/retrieval.py --scifact DIR   # the same on a copy of BEIR's SciFact (corpus, queries, qrels)

The questions (`benchmarks/questions/library.jsonl`) are our own, worded apart from the atlas and the sample corpus: a
question, and the statements that answer it. A passage is right that holds one of them. Intervals are percentile
bootstraps over questions (2,000 draws). Neither half is unseen: the rule was settled on all of them (docs/log.md).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

QUESTIONS = Path(__file__).with_name("questions") / "library.jsonl"
UNSEEN = QUESTIONS.with_name("unseen.jsonl")
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
DEPTH = 10

Ranking = Callable[[str, float], Sequence[str]]


def ndcg(found: Sequence[str], right: Mapping[str, float]) -> float:
    """Normalised discounted cumulative gain at ten (Jaervelin and Kekaelaeinen, 2002)."""
    gain = sum(right.get(name, 0.0) / math.log2(place + 2) for place, name in enumerate(found[:DEPTH]))
    best = sum(one / math.log2(place + 2) for place, one in enumerate(sorted(right.values(), reverse=True)[:DEPTH]))
    return gain / best


def recall(found: Sequence[str], right: Mapping[str, float]) -> float:
    return sum(name in right for name in found[:DEPTH]) / min(len(right), DEPTH)


def interval(values: Sequence[float]) -> list[float]:
    rng = np.random.default_rng(22)
    drawn = rng.choice(np.asarray(values), (2000, len(values))).mean(axis=1)
    return [round(float(one), 3) for one in np.percentile(drawn, [2.5, 97.5])]


def figures(rank: Ranking, asked: Sequence[tuple[str, Mapping[str, float]]], share: float) -> dict[str, Any]:
    found = [rank(question, share) for question, _ in asked]
    gains = [ndcg(names, right) for names, (_, right) in zip(found, asked, strict=True)]
    shares = [recall(names, right) for names, (_, right) in zip(found, asked, strict=True)]
    hit = [float(any(name in right for name in names[:DEPTH])) for names, (_, right) in zip(found, asked, strict=True)]
    return {
        "ndcg@10": round(float(np.mean(gains)), 3),
        "ndcg_interval": interval(gains),
        "recall@10": round(float(np.mean(shares)), 3),
        "recall_interval": interval(shares),
        "answered@10": round(float(np.mean(hit)), 3),
    }


def ours(home: Path, file: Path) -> tuple[Ranking, list[tuple[str, dict[str, float]]]]:
    """The shipped library, and the questions with the passages that answer them."""
    from studio.runs.assemble import embedder
    from studio.runs.shelf import shelf, shipped
    from training.embedded.writer.data import said

    texts = {name: one.text for name, one in said().items()}
    holders: dict[str, list[str]] = {}
    for passage in shipped():
        for one in passage.sentences:
            holders.setdefault(one.text, []).append(passage.id)
    whole = {passage.id: passage.text for passage in shipped()}

    def passages(name: str) -> list[str]:
        text = texts[name]
        return holders.get(text) or [key for key, one in whole.items() if text in one][:1]

    asked = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        right = {key: 1.0 for name in row["relevant"] for key in passages(name)}
        asked.append((row["question"], right))
    held = shelf(home, embed=embedder(home))
    return lambda question, share: [hit.passage.id for hit in held.search(question, DEPTH, words=share)], asked


def scifact(folder: Path, home: Path) -> tuple[Ranking, list[tuple[str, dict[str, float]]]]:
    """BEIR's SciFact as it is handed out: corpus.jsonl, queries.jsonl, qrels/test.tsv."""
    from pipelines.corpus.index.memory import in_memory
    from pipelines.corpus.index.retrieve import Shelf
    from pipelines.corpus.index.store import Document, Passage, Sentence
    from studio.runs.assemble import embedder

    passages = []
    for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        document = Document(row["_id"], row["_id"], "", "", row["title"])
        passages.append(Passage(row["_id"], document, "", (Sentence(row["text"] or row["title"], 1),)))
    embed = embedder(home)
    vector = None if embed is None else lambda text: embed([text])[0]
    held = Shelf([in_memory(passages, home / "benchmark-vectors", embed)], vector)
    texts = {}
    for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts[row["_id"]] = row["text"]
    right: dict[str, dict[str, float]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            right.setdefault(row["query-id"], {})[row["corpus-id"]] = float(row["score"])
    asked = [(texts[name], one) for name, one in right.items()]
    return lambda question, share: [hit.passage.id for hit in held.search(question, DEPTH, words=share)], asked


def main(home: Path, *, tune: bool, folder: Path | None, unseen: bool) -> dict[str, Any]:
    from pipelines.corpus.index.retrieve import WORDS

    rank, asked = scifact(folder, home) if folder else ours(home, UNSEEN if unseen else QUESTIONS)
    half = asked if folder or unseen else asked[0::2] if tune else asked[1::2]
    if tune:
        return {"questions": len(half), **{f"words_{share:g}": figures(rank, half, share) for share in SHARES}}
    return {
        "questions": len(half),
        "words": figures(rank, half, 1.0),
        "meaning": figures(rank, half, 0.0),
        "fused": figures(rank, half, WORDS),
        "share_of_words": WORDS,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, default=Path("~/.studio").expanduser())
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--scifact", type=Path)
    chosen = parser.parse_args()
    print(json.dumps(main(chosen.home, tune=chosen.tune, folder=chosen.scifact, unseen=chosen.unseen), indent=1))
