"""Teach a painter's reader: what prompts in many people's words ask for, and which wishes the painter does not know.

The painter is there and stays as it is. Of its text embedder, which answers a sentence vector with the sum of a vector
for each thing named (`training.embedded.painter.codes`), those vectors are fitted; MiniLM is changed by low ranks until
it tells the tokens of prompts apart and the families of bare wordings; and where wordings lie for the unchanged MiniLM
is kept. Text alone, no picture.

    python -m training.embedded.painter.reader --painter models/weights/studio-micro-flux \
        --text-encoder MINILM_FOLDER --out DIR

Killed at any moment, the same command goes on from its last checkpoint. ``--without writer-07`` leaves a writer's words
out and says how well they are read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from transformers import BertModel

from models.encoders.minilm import load_minilm
from models.encoders.reader import JOINS as FIRST_JOIN
from models.encoders.reader import REST, SHARPNESS, TARGETS, Reader, embedder_of, placed
from models.encoders.wishes import READER
from training.embedded.microstructures import lexicon
from training.embedded.microstructures.drawing import caption, sample
from training.embedded.microstructures.phrases import PHRASES, wordings
from training.embedded.microstructures.wordings import FAMILIES
from training.embedded.microstructures.wordings import JOINS as NAMED
from training.embedded.painter.codes import NAMES, wishes
from training.embedded.painter.prompts import IGNORED, TAGS, Words, filled, joined, one, prompts
from training.loop.schedule import falling
from training.loop.steps import TrainingPlan, train
from training.loop.terminal import show
from training.loop.trainee import Trainee, flushed
from workspace.files import publish
from workspace.progress import Remark, Tell, silent

UNKNOWN_FROM = 0.4
"""The chance of being no family from which on words count as unknown."""

_SEED = 9_000_003
_TOKENS = 48
_EVERY = 50
_CAPTIONS = 8000  # to fit the painter's vectors to
_FROM_GRAMMAR = 100  # wordings a family of the training grammar that are kept beside the lexicon's
_WIDTH, _WHITENED = 160, 0.25  # of the places of known wordings
_FRAMED = 0.25  # of bare wordings that are learned with something around them
_UNKNOWN = -100  # a label that teaches nothing


class Lesson(nn.Module):
    """What is trained: MiniLM changed by low ranks, a tag for every token, a family for every wording."""

    def __init__(self, minilm: Any, rank: int) -> None:
        super().__init__()
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(TARGETS))
        self.own = inject_adapter_in_model(lora, minilm)
        hidden = minilm.config.hidden_size
        self.tags = nn.Linear(hidden, FIRST_JOIN + len(NAMED) + len(TAGS))
        self.families = nn.Linear(hidden, len(FAMILIES) + 1)

    def tagged(self, ids: torch.Tensor) -> torch.Tensor:
        """Scores of every tag, (n, tokens, tags)."""
        return torch.as_tensor(self.tags(self._states(ids)[0]))

    def named(self, ids: torch.Tensor) -> torch.Tensor:
        """Scores of every family and of none, (n, families + 1)."""
        found, mask = self._states(ids)
        mean = (found * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.as_tensor(self.families(SHARPNESS * functional.normalize(mean, dim=1)))

    def _states(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = ids.ne(0).long()
        return BertModel.forward(self.own, ids, attention_mask=mask).last_hidden_state, mask

    def weights(self) -> dict[str, torch.Tensor]:
        """Everything learned, by the names of `models.encoders.reader.Reader`."""
        kept = {name: one.detach() for name, one in self.named_parameters() if not name.startswith("own.")}
        for name, layer in self.own.named_modules():
            if hasattr(layer, "lora_A"):
                kept[f"{name}.up"] = layer.lora_B["default"].weight.detach() * layer.scaling["default"]
                kept[f"{name}.down"] = layer.lora_A["default"].weight.detach()
        return kept


def vectors_of(embedder: Any, wanted: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """The vector of each column of `wishes` in the embedder's answers: (columns, width).

    Fitted to single structures, then a join's to what hybrids have beyond their parts. The wordings that the embedder
    reads worst are left out, so that they do not water down the rest.
    """
    answers, joins = embedder(pooled), len(NAMED)
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


@torch.no_grad()
def painters_vectors(painter: Path, minilm: Any, tokenizer: Any, count: int = _CAPTIONS) -> torch.Tensor:
    """What the painter's embedder answers, on the average, for each column of `wishes`."""
    specs, lines = [], []
    for number in range(count):
        rng = np.random.default_rng([_SEED, number])
        specs.append(sample(rng, hybrids=0.5))
        lines.append(caption(specs[-1], rng))
    return vectors_of(embedder_of(painter), wishes(specs), _means(minilm, tokenizer, lines)[1])


@torch.no_grad()
def _means(minilm: Any, tokenizer: Any, lines: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The means of the embeddings of lines, and of their states, each (n, hidden)."""
    parts = []
    for start in range(0, len(lines), 64):
        read = tokenizer(
            list(lines[start : start + 64]), padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt"
        )
        ids, mask = read.input_ids, read.attention_mask[..., None]
        both = minilm.embeddings(input_ids=ids), minilm(ids).last_hidden_state
        parts.append(torch.stack([(one * mask).sum(1) / mask.sum(1) for one in both]))
    embedded, found = torch.cat(parts, dim=1)
    return embedded, found


def known_wordings(words: Words) -> list[tuple[str, int]]:
    """The lexicon's wordings, some of the grammar's, and those that are of no family; each with its label."""
    rows: list[tuple[str, int]] = []
    for label, (family, row) in enumerate(FAMILIES.items()):
        own = sorted({line for phrase in PHRASES[family] for line in wordings(phrase)})
        some = [own[place] for place in np.random.default_rng(_SEED).permutation(len(own))[:_FROM_GRAMMAR]]
        lines = {*row.biological, *row.geometric, row.network, *some, *words.families[family], *words.atlas[family]}
        rows += [(line, label) for line in sorted(lines)]
    return rows + [(line, len(FAMILIES)) for line in words.unknown]


def neighbours(minilm: Any, tokenizer: Any, rows: Sequence[tuple[str, int]]) -> dict[str, torch.Tensor]:
    """``basis``, ``known`` and ``labels`` of a reader: places in fewer numbers, the common ones of less weight."""
    embedded, found = _means(minilm, tokenizer, [line for line, _ in rows])
    both = torch.cat([functional.normalize(part, dim=1) for part in (embedded, found)], dim=1)
    _, sizes, directions = torch.linalg.svd(both, full_matrices=False)
    basis = directions[:_WIDTH].T / (sizes[:_WIDTH] / sizes[0]) ** _WHITENED
    known = placed(embedded, found, basis)
    scale = 127 / known.abs().amax(1, keepdim=True)
    return {
        "basis": basis,
        "known": (known * scale).round().to(torch.int8),
        "labels": torch.tensor([label for _, label in rows], dtype=torch.uint8),
    }


def losses(lesson: Lesson, tokenizer: Any, words: Words, batch: int) -> Callable[[int], torch.Tensor]:
    """The loss of a step: tags of prompts at even ones, families of wordings at odd ones."""
    rows = known_wordings(words)
    groups = [[line for line, label in rows if label == kind] for kind in range(len(FAMILIES) + 1)]
    leads = lexicon.frames()["lead"]

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([_SEED, 1, step])
        if step % 2:
            kinds = [int(rng.integers(len(groups) + 3)) for _ in range(2 * batch)]  # four times as many of none
            kinds = [min(kind, len(groups) - 1) for kind in kinds]
            lines = [one(groups[kind], rng) for kind in kinds]
            lines = [
                joined(filled(one(leads, rng), {"s": [(line, REST)]})).text if rng.random() < _FRAMED else line
                for line in lines
            ]
            ids = tokenizer(lines, padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt").input_ids
            found = lesson.named(ids)
            return torch.as_tensor(functional.cross_entropy(found, torch.tensor(kinds), label_smoothing=0.05))
        ids, tags = tagged_batch(tokenizer, words, _SEED + 7 * step, batch)
        return functional.cross_entropy(lesson.tagged(ids).flatten(0, 1), tags.flatten(), ignore_index=_UNKNOWN)

    return loss_at


def tagged_batch(tokenizer: Any, words: Words, seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts' token ids and the tags of their tokens, both (count, tokens)."""
    rows = prompts(words, seed, count)
    read = tokenizer(
        [row.text for row in rows],
        padding=True,
        truncation=True,
        max_length=_TOKENS,
        return_tensors="pt",
        return_offsets_mapping=True,
    )
    tags = torch.zeros_like(read.input_ids)
    for line, offsets, row in zip(tags, read.offset_mapping.tolist(), rows, strict=True):
        for place, (start, stop) in enumerate(offsets):
            inside = (tag for first, last, tag in row.places if first <= start and stop <= last)
            tag = next(inside, REST) if stop > start else IGNORED
            line[place] = _UNKNOWN if tag == IGNORED else tag
    return read.input_ids, tags


@flushed()
def main(
    painter: Path,
    text_encoder: Path,
    out: Path,
    steps: int = 2400,
    batch: int = 40,
    rank: int = 8,
    without: str = "",
    tell: Tell = silent,
) -> Path:
    """Train the reader.

    Args:
        painter: Folder of the painter that it reads for.
        text_encoder: Folder of the MiniLM model.
        out: Folder for the checkpoint and the result; the same folder resumes.
        steps: Half of them on prompts, half on bare wordings.
        batch: Prompts a step; of bare wordings twice as many.
        rank: Of the changes to MiniLM's layers.
        without: A writer of the lexicon who is left out, to say how well such words are read.
        tell: Takes the events of progress.

    Returns:
        The file ``out/reader.safetensors``, which belongs into the painter's folder.

    Raises:
        DataError: The loss stops being a number, or the painter's text embedder cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    minilm, tokenizer = load_minilm(text_encoder, max_length=_TOKENS)
    words = Words(without)
    told = {
        "vectors": painters_vectors(painter, minilm, tokenizer),
        "unknown": torch.tensor([UNKNOWN_FROM]),
        **neighbours(minilm, tokenizer, known_wordings(words)),
    }
    torch.manual_seed(_SEED)
    lesson = Lesson(load_minilm(text_encoder, max_length=_TOKENS)[0], rank)
    trainee = Trainee(lesson, 1e-3, 0.995, out / "checkpoint.safetensors")
    plan = TrainingPlan("reader", steps, falling(steps, 100), _EVERY, _EVERY)
    train(trainee, plan, losses(lesson, tokenizer, words, batch), out, tell)
    trainee.use_average()
    weights = {name: one.bfloat16() for name, one in lesson.weights().items()}
    weights |= {name: one if not one.is_floating_point() else one.bfloat16() for name, one in told.items()}
    weights = {name: one.contiguous() for name, one in weights.items()}
    publish(out / READER, lambda staged: save_file(weights, staged, metadata={"names": NAMES.written()}))
    if without:
        reader = Reader(minilm, tokenizer, NAMES, weights, embedder_of(painter))
        tell(Remark(stage="reader", text=f"of {without}: {json.dumps(tried(reader, without))}"))
    return out / READER


def tried(reader: Reader, writer: str) -> dict[str, float]:
    """How a reader that did not see a writer's words reads them: shares right, bare and in prompts, and unknown."""
    rows = [(line, family) for family, lines in lexicon.writers()[writer].items() for line in lines]
    told: dict[str, float] = {"wordings": len(rows)}
    for name, template in (("bare", "{}"), ("with_colours", "{}, gold on black, dense with thick walls")):
        read = [
            reader.read(reader.tokenizer(template.format(line), return_tensors="pt").input_ids[0]) for line, _ in rows
        ]
        pairs = list(zip(read, rows, strict=True))
        told[name] = float(np.mean([[one.family for one in found.structures] == [row[1]] for found, row in pairs]))
        told[f"{name}_unknown"] = float(np.mean([bool(found.unknown) for found, _ in pairs]))
    return {name: round(share, 3) for name, share in told.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--painter", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--without", default="", choices=["", *lexicon.writers()])
    chosen = parser.parse_args()
    print(main(chosen.painter, chosen.text_encoder, chosen.out, chosen.steps, without=chosen.without, tell=show))
