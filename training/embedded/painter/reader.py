"""Teach a painter's reader: which structures, colours and attributes a prompt names, two structures included.

The painter is there and stays as it is. Its text embedder answers a sentence vector with the sum of a vector for each
thing named (`training.embedded.painter.codes`); those vectors are fitted to what it says of single structures, and the
reader learns to make, from MiniLM's token states, the sentence vector that is answered with the right sum. Text alone,
no picture.

    python -m training.embedded.painter.reader --painter models/weights/studio-micro-flux \
        --text-encoder MINILM_FOLDER --out DIR

Killed at any moment, the same command goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file

from models.encoders.minilm import READER, Reader, load_minilm
from training.embedded.microstructures.drawing import caption, sample
from training.embedded.microstructures.wordings import JOINS
from training.embedded.painter.codes import wishes
from training.loop.checkpoints import load_tensors, save_tensors
from training.loop.schedule import falling
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

_SEED = 9_000_003
_TOKENS = 48
_HELD_OUT = 1000
_EVERY = 50


def lines_of(count: int) -> tuple[list[str], torch.Tensor]:
    """So many captions, half of them of hybrids, and their wishes (count, columns)."""
    specs, lines = [], []
    for number in range(count):
        rng = np.random.default_rng([_SEED, number])
        specs.append(sample(rng, hybrids=0.5))
        lines.append(caption(specs[-1], rng))
    return lines, wishes(specs)


@torch.no_grad()
def encoded(lines: list[str], text_encoder: Path, out: Path) -> dict[str, torch.Tensor]:
    """MiniLM's ``states`` (n, tokens, 384), half, of every line, and their ``mask`` (n, tokens); made once."""
    path = out / f"states-{hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:12]}.safetensors"
    if not path.is_file():
        encoder, tokenizer = load_minilm(text_encoder, max_length=_TOKENS)
        read = tokenizer(lines, padding="longest", truncation=True, max_length=_TOKENS, return_tensors="pt")
        parts = []
        for batch in read.input_ids.split(128):
            with torch.autocast("cpu", torch.bfloat16):
                parts.append(encoder(batch).last_hidden_state.half())
        save_tensors(path, {"states": torch.cat(parts), "mask": read.attention_mask.to(torch.uint8)})
    return load_tensors(path)[0]


@torch.no_grad()
def vectors_of(embedder: Any, wanted: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """The vector of each column of `wishes` in the embedder's answers: (columns, width).

    Fitted to single structures, then a join's to what hybrids have beyond their parts. The wordings that the embedder
    reads worst are left out, so that they do not water down the rest.
    """
    answers, joins = embedder(pooled), len(JOINS)
    hybrid = wanted[:, -joins:].any(1)
    vectors = torch.zeros(wanted.shape[1], answers.shape[1])
    _fit(vectors[:-joins], wanted[~hybrid, :-joins], answers[~hybrid])
    _fit(vectors[-joins:], wanted[hybrid, -joins:], answers[hybrid] - wanted[hybrid] @ vectors)
    return vectors


def _fit(vectors: torch.Tensor, wanted: torch.Tensor, answers: torch.Tensor) -> None:
    """Put into ``vectors`` the trimmed least squares of ``answers`` by ``wanted``."""
    best = torch.arange(len(wanted))
    for _ in range(3):
        some = wanted[best]
        vectors.copy_(torch.linalg.solve(some.T @ some + 1e-3 * torch.eye(some.shape[1]), some.T @ answers[best]))
        best = (answers - wanted @ vectors).square().sum(1).argsort()[: max(1, int(0.7 * len(wanted)))]


def _lesson(
    painter: Path, text_encoder: Path, out: Path, count: int
) -> tuple[dict[str, torch.Tensor], Any, torch.Tensor]:
    """Captions and the empty one encoded, the painter's text embedder, and what it is to answer to each caption."""
    lines, wanted = lines_of(count)
    known = encoded([*lines, ""], text_encoder, out)
    model = FluxTransformer2DModel.from_pretrained(painter / "transformer", torch_dtype=torch.float32)
    embedder = model.time_text_embed.text_embedder.requires_grad_(False)
    means = torch.stack([_mean(*row) for row in zip(known["states"], known["mask"], strict=True)])
    return known, embedder, wanted @ vectors_of(embedder, wanted, means[:-1])


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean state of one line's tokens."""
    return states[mask.bool()].float().mean(0)


@flushed()
def main(
    painter: Path,
    text_encoder: Path,
    out: Path,
    count: int = 40000,
    steps: int = 2000,
    batch: int = 192,
    tell: Tell = silent,
) -> Path:
    """Train the reader.

    Args:
        painter: Folder of the painter that it reads for.
        text_encoder: Folder of the MiniLM model.
        out: Folder for the states, the checkpoint and the result; the same folder resumes.
        count: Captions.
        steps: Of ``batch`` captions each.
        batch: Captions a step.
        tell: Takes the events of progress.

    Returns:
        The file ``out/reader.safetensors``, which belongs into the painter's folder.

    Raises:
        DataError: The loss stops being a number.
    """
    out.mkdir(parents=True, exist_ok=True)
    known, embedder, goals = _lesson(painter, text_encoder, out, count)
    states, mask = known["states"], known["mask"].long()
    spread, nothing = goals.var(0).sum(), embedder(_mean(states[-1], mask[-1])[None])
    torch.manual_seed(_SEED)
    trainee = Trainee(reader := Reader(states.shape[2]), 2e-3, 0.995, out / "checkpoint.safetensors")
    usable = count - _HELD_OUT

    def fault(chosen: torch.Tensor) -> torch.Tensor:
        long = int(mask[chosen].sum(1).max())
        with torch.autocast("cpu", torch.bfloat16):
            read = reader(states[chosen, :long].float(), mask[chosen, :long])
        return torch.as_tensor((embedder(read.float()) - goals[chosen]).square().sum(1).mean() / spread)

    empty = torch.tensor([count])

    def loss_at(step: int) -> torch.Tensor:
        chosen = torch.randint(usable, (batch,), generator=torch.Generator().manual_seed(step))
        short = reader(states[empty, :2].float(), mask[empty, :2])
        return torch.as_tensor(fault(chosen) + 0.1 * (embedder(short) - nothing).square().sum() / spread)

    train(trainee, TrainingPlan("reader", steps, falling(steps, 100), _EVERY, _EVERY), loss_at, out, tell)
    trainee.use_average()
    with torch.no_grad():
        left = float(torch.stack([fault(part) for part in torch.split(torch.arange(usable, count), 250)]).mean())
    tell(Remark(stage="reader", text=f"{left:.4f} of the variance is left on held-out captions"))
    weights = {name: one.detach().bfloat16().contiguous() for name, one in reader.state_dict().items()}
    publish(out / READER, lambda staged: save_file(weights, staged))
    return out / READER


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--painter", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40000)
    parser.add_argument("--steps", type=int, default=2000)
    chosen = parser.parse_args()
    print(main(chosen.painter, chosen.text_encoder, chosen.out, chosen.count, chosen.steps, tell=show))
