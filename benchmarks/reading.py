"""How well the embedded painter reads wordings that it never learned, before it paints anything. Prints JSON.

Its text embedder answers a caption with the sum of a vector for each thing that the caption names
(`training.embedded.painter.codes`). The vectors are fitted here to its answers to training captions, by least squares;
answers to held-out wordings are then taken apart into the same vectors.

- ``families``: share of held-out wordings, with a palette and a density said beside, read as their family first;
- ``density``: share of the same read as the density that is said;
- ``joined``: share of "A combined with B, colours", in the families' first words, that are read as A and B before all
  other families; ``joined_held_out``: the same of "A laid over B" and "A on the left grading into B on the right" in
  held-out wordings.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from home import fetched_models

Read = Callable[[Sequence[str]], Any]


def reader(weights: Path, text_encoder: Path, captions: int) -> Read:
    """Reads lines: each gives its wish, (lines, columns), laid out as by `training.embedded.painter.codes.wishes`."""
    import torch
    from diffusers import FluxTransformer2DModel

    from models.encoders.minilm import load_minilm
    from training.embedded.microstructures.drawing import captions_of, spec_of
    from training.embedded.painter.codes import wishes

    model = FluxTransformer2DModel.from_pretrained(weights / "transformer", torch_dtype=torch.float32)
    embedder = model.time_text_embed.text_embedder
    encoder, tokenizer = load_minilm(text_encoder, max_length=48, painter=weights)

    @torch.no_grad()
    def answers(lines: Sequence[str]) -> torch.Tensor:
        parts = []
        for start in range(0, len(lines), 128):
            batch = tokenizer(list(lines[start : start + 128]), padding=True, truncation=True, return_tensors="pt")
            parts.append(embedder(encoder(batch.input_ids).pooler_output.float()))
        return torch.cat(parts)

    seed = 43
    learned = wishes([spec_of(seed, number) for number in range(captions)])
    found = answers([captions_of(seed, number, 1)[0] for number in range(captions)])
    vectors = torch.linalg.lstsq(learned, found, driver="gelsd").solution

    def read(lines: Sequence[str]) -> Any:
        return torch.linalg.lstsq(vectors.T, answers(lines).T, driver="gelsd").solution.T

    return read


def figures(read: Read) -> dict[str, Any]:
    """Read and count."""
    from training.embedded.microstructures.wordings import DENSITIES, FAMILIES, JOINS, PALETTES

    names, densities = list(FAMILIES), list(DENSITIES)
    after = len(names) + len(PALETTES)
    right: dict[str, float] = {}
    told = []
    for place, (name, row) in enumerate(FAMILIES.items()):
        rows = list(itertools.product(row.held_out, enumerate(PALETTES.values())))
        said = [densities[number % len(densities)] for _, (number, _) in rows]
        lines = [
            f"{words}, {palette.words[0]}, {DENSITIES[density][0]}"
            for (words, (_, palette)), density in zip(rows, said, strict=True)
        ]
        wish = read(lines)
        right[name] = float((wish[:, : len(names)].argmax(1) == place).float().mean())
        seen = wish[:, after : after + len(densities)].argmax(1).tolist()
        told += [densities[one] == density for one, density in zip(seen, said, strict=True)]
    pairs = list(itertools.permutations(range(len(names)), 2))
    called, colours = [row.biological[0] for row in FAMILIES.values()], [row.words[0] for row in PALETTES.values()]
    unknown = [row.held_out[0] for row in FAMILIES.values()]

    def both(join: str, words: Sequence[str]) -> float:
        lines = [
            f"{join.format(a=words[a], b=words[b])}, {colours[place % len(colours)]}"
            for place, (a, b) in enumerate(pairs)
        ]
        first = read(lines)[:, : len(names)].topk(2).indices.tolist()
        return sum(set(two) == set(pair) for two, pair in zip(first, pairs, strict=True)) / len(pairs)

    return {
        "families": round(sum(right.values()) / len(right), 3),
        "families_worst": min(right, key=lambda name: right[name]),
        "families_worst_share": round(min(right.values()), 3),
        "density": round(sum(told) / len(told), 3),
        "joined": round(both("{a} combined with {b}", called), 3),
        "joined_held_out": round(sum(both(JOINS[join][0], unknown) for join in JOINS) / len(JOINS), 3),
        "wordings": len(told),
        "pairs": len(pairs),
    }


def main() -> None:
    from home import ROOT

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=ROOT / "models" / "weights" / "studio-micro-flux")
    parser.add_argument("--captions", type=int, default=3000, help="to fit the vectors to")
    options = parser.parse_args()
    told = figures(reader(options.weights, fetched_models() / "all-minilm-l6-v2", options.captions))
    print(json.dumps({"benchmark": "reading", **told}))


if __name__ == "__main__":
    main()
