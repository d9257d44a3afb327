"""Teaches a painter's text embedder to read, before it paints: every wording of the same wish to the same code.

A wish is the sum of a vector for each thing that it names (families, palette, density and so on). The embedder, two
small layers between MiniLM's sentence vector and the transformer's modulation, learns that sum from captions alone, a
thousand a step; the painting, which costs far more, then learns from few pictures what each vector looks like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from models.encoders.wishes import FIELDS, FIRST_SHARE, Names
from training.embedded.microstructures.drawing import Microstructure, spec_of
from training.embedded.microstructures.wordings import (
    DENSITIES,
    DIRECTIONS,
    FAMILIES,
    GRADIENTS,
    JOINS,
    PALETTES,
    SCALES,
)
from training.embedded.painter.config import PainterConfig
from training.loop.checkpoints import load_tensors, save_tensors
from training.loop.fit import fit
from workspace.progress import Remark, Tell, silent

_TABLES: Mapping[str, Sequence[str]] = {
    "palette": list(PALETTES),
    "density": list(DENSITIES),
    "scale": list(SCALES),
    "direction": list(DIRECTIONS),
    "gradient": list(GRADIENTS),
    "join": [*JOINS],
}


def _name(words: Sequence[str]) -> str:
    return next(one for one in words if "," not in one)


_COMBINED = "{a} combined with {b}"  # as the Illustrator has it

NAMES = Names(
    families={key: _name(row.biological) for key, row in FAMILIES.items()},
    fields={
        "palette": {key: _name(row.words) for key, row in PALETTES.items()},
        "density": {key: _name(words) for key, words in DENSITIES.items()},
        "scale": {key: _name(words) for key, (_, words) in SCALES.items()},
        "direction": {key: _name(words) for key, (_, words) in DIRECTIONS.items()},
        "gradient": {key: _name(words) for key, words in GRADIENTS.items()},
    },
    joins={"over": _COMBINED, "into": _name(JOINS["into"])},
    usual={name: str(getattr(Microstructure("leaf"), name)) for name in FIELDS},
    colours={key: [[*row.background], [*row.solid]] for key, row in PALETTES.items()},
)
"""The names of what the painter is trained on, in the order of a wish's columns."""
_BATCH = 1024
_STRENGTH = 1.5  # of a wish's own vectors beside what the embedder answered before


def learn(embedder: Any, config: PainterConfig, pooled: torch.Tensor, out: Path, tell: Tell = silent) -> None:
    """Teach the text embedder what captions ask for; it is not trained any more after that.

    Captions in other wordings teach it anew, and what it says of a wish stays the same: the flow need not learn again.
    """
    path, steps = out / "codes.safetensors", config.flow.reading
    if not steps:
        return
    digest = hashlib.sha256(pooled.numpy().tobytes()).hexdigest()[:12]
    kept: dict[str, torch.Tensor] = {}
    if path.is_file():
        kept, note = load_tensors(path)
        embedder.load_state_dict({name: one for name, one in kept.items() if name != "vectors"})
        if note.get("captions") == digest:
            embedder.requires_grad_(False)
            return
    usable = range(config.pictures - config.held_out)
    wanted = wishes([spec_of(config.seed, number, config.hybrids) for number in usable])
    known = pooled[: len(wanted) * config.captions]
    vectors = kept.get("vectors")
    if vectors is None:
        vectors = codes(embedder, wanted.repeat_interleave(config.captions, 0), known, config.seed)
    losses = teach(embedder, wanted, vectors, known, pooled[-1], steps)
    left = f"{losses[-1]:.3f} of the wishes' variance is left after {steps} steps"
    tell(Remark(stage="text embedder", text=left))
    save_tensors(path, {**embedder.state_dict(), "vectors": vectors}, {"captions": digest})


def wishes(specs: Sequence[Microstructure]) -> torch.Tensor:
    """What each microstructure is, as numbers: (n, columns); a hybrid has more of its first family."""
    names = list(FAMILIES)
    rows = torch.zeros(len(specs), len(names) + sum(map(len, _TABLES.values())))
    for row, spec in zip(rows, specs, strict=True):
        row[names.index(spec.family)] = 1.0 if spec.second is None else FIRST_SHARE
        if spec.second is not None:
            row[names.index(spec.second)] = 1 - FIRST_SHARE
        start = len(names)
        for field, table in _TABLES.items():
            if (value := getattr(spec, field)) is not None:
                row[start + table.index(value)] = 1.0
            start += len(table)
    return rows


@torch.no_grad()
def codes(embedder: Any, wanted: torch.Tensor, pooled: torch.Tensor, seed: int) -> torch.Tensor:
    """A vector for each column of `wishes`: what the embedder says of it now, and one of its own.

    Args:
        embedder: As it is; of a fresh transformer its answers say little, and its own vectors decide.
        wanted: Wishes of captions, (n, columns).
        pooled: Sentence vectors of those captions, (n, 384).
        seed: Of the own vectors, which are at right angles to each other.
    """
    answers, best = embedder(pooled.float()), torch.arange(len(wanted))
    for _ in range(3):  # trimmed least squares: wordings it cannot read yet must not water down those it can
        rows = wanted[best]
        usual = torch.linalg.solve(rows.T @ rows + 1e-4 * len(rows) * torch.eye(rows.shape[1]), rows.T @ answers[best])
        best = (answers - wanted @ usual).square().sum(1).argsort()[: len(wanted) // 2]
    source = torch.Generator().manual_seed(seed)
    own = torch.nn.init.orthogonal_(torch.empty(wanted.shape[1], answers.shape[1]), generator=source)
    size = (answers - answers.mean(0)).norm(dim=1).mean()
    return torch.as_tensor(usual + _STRENGTH * size * own)


def teach(
    embedder: Any, wanted: torch.Tensor, vectors: torch.Tensor, pooled: torch.Tensor, empty: torch.Tensor, steps: int
) -> list[float]:
    """Train the embedder in place to give each caption the sum of its wish's vectors; freeze it after.

    Args:
        embedder: The transformer's ``time_text_embed.text_embedder``, in float32.
        wanted: The wish of every picture, (pictures, columns).
        vectors: From `codes`.
        pooled: Sentence vectors of the pictures' captions, one after the other, (pictures x wordings, 384).
        empty: The empty caption's sentence vector (384,), whose answer stays as it is.
        steps: Of a thousand captions each.

    Returns:
        At every step the squared error's share of the codes' variance.
    """
    wordings = len(pooled) // len(wanted)
    targets = wanted @ vectors
    spread = targets.var(0).sum()
    with torch.no_grad():
        nothing = embedder(empty.float()[None])
    faults: list[float] = []

    def loss_at(step: int) -> torch.Tensor:
        chosen = torch.randint(len(pooled), (_BATCH,), generator=torch.Generator().manual_seed(step))
        fault = (embedder(pooled[chosen].float()) - targets[chosen // wordings]).square().sum(1).mean() / spread
        faults.append(float(fault.detach()))
        return torch.as_tensor(fault + functional.mse_loss(embedder(empty.float()[None]), nothing))

    fit(embedder, steps, loss_at)
    embedder.requires_grad_(False)
    return faults
