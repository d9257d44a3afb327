"""Teach a painter's tagger where in a prompt its two structures stand, so that each can be read apart.

The painter and its reader are there and stay as they are. Captions of the training grammar are made with their places
known; the tagger learns them from MiniLM's token states. Text alone, a few minutes.

    python -m training.embedded.painter.tagger --painter models/weights/studio-micro-flux \
        --text-encoder MINILM_FOLDER --out DIR

Killed at any moment, the same command goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from models.encoders.clauses import CLAUSES, FIRST, JOINS, REST, SECOND, Tagger, embedder_of
from models.encoders.minilm import load_minilm
from training.embedded.microstructures.drawing import parted, sample
from training.embedded.microstructures.wordings import FAMILIES
from training.embedded.microstructures.wordings import JOINS as NAMED
from training.embedded.painter.codes import wishes
from training.embedded.painter.reader import vectors_of
from training.loop.checkpoints import load_tensors, save_tensors
from training.loop.schedule import falling
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

_SEED = 11_000_003
_TOKENS = 48
_HELD_OUT = 500
_BARE = 0.25  # of the captions name structures and nothing else
_EVERY = 100
_UNKNOWN = -100  # a label that teaches nothing


def _captions(count: int) -> tuple[list[str], list[dict[str, tuple[int, int]]], torch.Tensor, list[int]]:
    """So many captions, two in three of hybrids: text, places, wishes, and the number of the join or -1."""
    texts, places, specs = [], [], []
    for number in range(count):
        rng = np.random.default_rng([_SEED, number])
        specs.append(sample(rng, hybrids=0.67))
        text, where = parted(specs[-1], rng)
        if rng.random() < _BARE:
            start, stop = where.get("whole", where["first"])
            text, where = text[start:stop], {name: (a - start, b - start) for name, (a, b) in where.items()}
        texts.append(text)
        places.append(where)
    joins = [list(NAMED).index(spec.join) if spec.join else -1 for spec in specs]
    return texts, places, wishes(specs), joins


def _tags(offsets: torch.Tensor, places: dict[str, tuple[int, int]], join: int) -> list[int]:
    """The tag of every token, from where its letters stand."""

    def inside(name: str, start: int, stop: int) -> bool:
        return name in places and places[name][0] <= start and stop <= places[name][1]

    tags = []
    for start, stop in offsets.tolist():
        if start == stop or not inside("whole" if join >= 0 else "first", start, stop):
            tags.append(REST)
        elif inside("first", start, stop) or join < 0:
            tags.append(FIRST)
        else:
            tags.append(SECOND if inside("second", start, stop) else JOINS + join)
    return tags


@torch.no_grad()
def lesson(count: int, text_encoder: Path, out: Path) -> dict[str, torch.Tensor]:
    """What is learned from, made once.

    Returns:
        Captions' MiniLM ``states`` (n, tokens, 384) and ``pooled`` (n, 384), half; their ``tags`` (n, tokens) and
        ``wishes`` (n, columns).
    """
    texts, places, wanted, joins = _captions(count)
    path = out / f"lesson-{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]}.safetensors"
    if not path.is_file():
        encoder, tokenizer = load_minilm(text_encoder, max_length=_TOKENS)
        read = tokenizer(
            texts,
            padding="longest",
            truncation=True,
            max_length=_TOKENS,
            return_tensors="pt",
            return_offsets_mapping=True,
        )
        tags = torch.full(read.input_ids.shape, _UNKNOWN)
        for row, (offsets, where, join) in enumerate(zip(read.offset_mapping, places, joins, strict=True)):
            length = int(read.attention_mask[row].sum())
            tags[row, :length] = torch.tensor(_tags(offsets[:length], where, join))
        states, pooled = [], []
        for batch in read.input_ids.split(128):
            with torch.autocast("cpu", torch.bfloat16):
                answer = encoder(batch)
            states.append(answer.last_hidden_state.half())
            pooled.append(answer.pooler_output.half())
        kept = {"states": torch.cat(states), "pooled": torch.cat(pooled), "tags": tags, "wishes": wanted}
        save_tensors(path, kept)
    return load_tensors(path)[0]


@flushed()
def main(
    painter: Path,
    text_encoder: Path,
    out: Path,
    count: int = 20000,
    steps: int = 1200,
    batch: int = 128,
    tell: Tell = silent,
) -> Path:
    """Train the tagger.

    Args:
        painter: Folder of the painter that it reads for.
        text_encoder: Folder of the MiniLM model.
        out: Folder for the states, the checkpoint and the result; the same folder resumes.
        count: Captions.
        steps: Of ``batch`` captions each.
        batch: Captions a step.
        tell: Takes the events of progress.

    Returns:
        The file ``out/clauses.safetensors``, which belongs into the painter's folder.

    Raises:
        DataError: The loss stops being a number, or the painter's text embedder cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    known = lesson(count, text_encoder, out)
    states, tags = known["states"], known["tags"]
    torch.manual_seed(_SEED)
    tagger = Tagger(states.shape[2], joins=len(NAMED))
    trainee = Trainee(tagger, 3e-3, 0.995, out / "checkpoint.safetensors")
    usable = count - _HELD_OUT

    def loss_at(step: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(step)
        chosen = torch.randint(usable, (batch,), generator=source)
        seen = states[chosen].float()
        seen = seen + 0.2 * seen.std() * torch.randn(seen.shape, generator=source)
        return functional.cross_entropy(tagger(seen).flatten(0, 1), tags[chosen].flatten(), ignore_index=_UNKNOWN)

    train(trainee, TrainingPlan("tagger", steps, falling(steps, 50), _EVERY, _EVERY), loss_at, out, tell)
    trainee.use_average()
    whole = _whole(tagger, states[usable:], tags[usable:])
    tell(Remark(stage="tagger", text=f"{whole:.4f} of held-out captions are tagged rightly as a whole"))
    weights = {name: one.detach() for name, one in tagger.state_dict().items()}
    vectors = vectors_of(embedder_of(painter), known["wishes"], known["pooled"].float())
    weights |= {"families": vectors[: len(FAMILIES)], "others": vectors[len(FAMILIES) :]}
    halves = {name: one.bfloat16().contiguous() for name, one in weights.items()}
    publish(out / CLAUSES, lambda staged: save_file(halves, staged))
    return out / CLAUSES


@torch.no_grad()
def _whole(tagger: Tagger, states: torch.Tensor, tags: torch.Tensor) -> float:
    """Share of captions in which every tag is right."""
    right = (tagger(states.float()).argmax(-1) == tags) | (tags == _UNKNOWN)
    return float(right.all(1).float().mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--painter", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--steps", type=int, default=1200)
    chosen = parser.parse_args()
    print(main(chosen.painter, chosen.text_encoder, chosen.out, chosen.count, chosen.steps, tell=show))
