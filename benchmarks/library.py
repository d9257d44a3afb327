"""What a library of many passages costs: indexing by words, memory, and a fused question, warm. Prints one JSON object.

    python benchmarks/library.py --passages 250000

The passages are made from the words of the sample corpus and the atlas, drawn by how often they occur, with made-up
words among them as names are; their vectors, one for every forty words, are random, which takes as long to search as
real ones do.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.corpus.index.generation import WIDTH, WINDOW, build, packed, weight
from pipelines.corpus.index.retrieve import Filters, Shelf, opened
from pipelines.corpus.index.store import Document, Passage, Sentence, Store, passage_of
from studio.runs.shelf import shipped

WORDS, EACH = 110, 50  # of a passage, and passages of a document


def texts(count: int, rng: random.Random) -> Iterator[str]:
    known = Counter(word for one in shipped() for word in one.text.split())
    words = [*known, *(f"{rng.choice('bdfgklmnprst')}a{number:x}ine" for number in range(200_000))]
    weights = [*known.values(), *([max(known.values()) / 40_000] * 200_000)]
    pool = rng.choices(words, weights, k=4_000_000)
    for _ in range(count):
        start = rng.randrange(len(pool) - WORDS)
        yield " ".join(pool[start : start + WORDS])


def documents(count: int, rng: random.Random) -> Iterator[tuple[Document, list[Passage]]]:
    held = texts(count, rng)
    for number in range(count // EACH):
        document = Document(f"{number:016x}", f"paper-{number}.pdf", "", "", f"Paper {number}", 1980 + number % 45)
        yield document, [passage_of(document, place, "", [Sentence(next(held), 1)]) for place in range(EACH)]


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(count: int, questions: int) -> dict[str, object]:
    rng, made = random.Random(22), np.random.default_rng(22)
    with tempfile.TemporaryDirectory(prefix="studio-library-") as name:
        folder = Path(name)
        begun = time.perf_counter()
        with Store(folder, writing=True) as store:
            for document, passages in documents(count, rng):
                store.put(document, passages, 0.0)
            kept = time.perf_counter() - begun
            begun = time.perf_counter()
            build(store)
            indexed, memory = time.perf_counter() - begun, peak_mb()
            begun = time.perf_counter()
            windows = -(-WORDS // WINDOW)
            while left := store.without_vectors(4096):
                rows = made.standard_normal((len(left) * windows, WIDTH)).astype(np.float32)
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                pairs = zip(left, np.split(rows, len(left)), strict=True)
                store.put_vectors({one.key: packed(own) for one, own in pairs})
            filled = time.perf_counter() - begun
            build(store)
        size = weight(folder)
        begun = time.perf_counter()
        about = made.standard_normal(WIDTH).astype(np.float32)
        about /= np.linalg.norm(about)
        held = Shelf([opened(folder)], lambda text: about)
        opening = time.perf_counter() - begun
        asked = [" ".join(text.split()[:9]) for text in texts(questions + 3, rng)]
        seconds = []
        for question in asked:
            begun = time.perf_counter()
            held.search(question, 10)
            seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        held.search(asked[0], 10, Filters(since=2000, organism="spider silk"))
        filtered = time.perf_counter() - begun
        held.close()
    warm = sorted(seconds[3:])
    return {
        "passages": count,
        "words_each": WORDS,
        "vectors_each": windows,
        "kept_s": round(kept, 1),
        "indexed_s": round(indexed, 1),
        "index_peak_mb": memory,
        "vectors_kept_s": round(filled, 1),
        "library_mb": round(size / 1e6),
        "opened_s": round(opening, 2),
        "first_question_ms": round(1000 * seconds[0]),
        "question_ms": round(1000 * warm[len(warm) // 2], 1),
        "question_p95_ms": round(1000 * warm[int(0.95 * len(warm))], 1),
        "filtered_first_ms": round(1000 * filtered),
        "peak_mb": peak_mb(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--passages", type=int, default=250_000)
    parser.add_argument("--questions", type=int, default=60)
    chosen = parser.parse_args()
    print(json.dumps(main(chosen.passages, chosen.questions)))
