"""Teaching a painter's text embedder to read: every wording of a wish to one code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import PixArtAlphaTextProjection

from training.embedded.microstructures.drawing import Microstructure, spec_of
from training.embedded.microstructures.wordings import FAMILIES, PALETTES
from training.embedded.painter.codes import codes, teach, wishes

WORDINGS = 3


@pytest.fixture
def lesson() -> tuple[torch.Tensor, torch.Tensor]:
    """Wishes, and sentence vectors that a linear map of each wish explains but for some noise."""
    every = wishes([spec_of(5, number) for number in range(400)])
    source = torch.Generator().manual_seed(0)
    clean = every @ torch.randn(every.shape[1], 384, generator=source) / 20
    spoken = clean.repeat_interleave(WORDINGS, 0)
    return every, spoken + 0.01 * torch.randn(spoken.shape, generator=source)


def fresh() -> PixArtAlphaTextProjection:
    torch.manual_seed(1)
    return PixArtAlphaTextProjection(384, 64, act_fn="silu")


def test_a_wish_names_what_is_shown() -> None:
    rows = wishes([Microstructure("leaf"), Microstructure("leaf", palette="gold", second="web", join="over")])
    assert rows[0].sum() == pytest.approx(6) and rows[1].sum() == pytest.approx(7)
    names = list(FAMILIES)
    assert rows[1, [names.index("leaf"), names.index("web")]].tolist() == pytest.approx([0.6, 0.4])
    assert rows[1, len(names) + list(PALETTES).index("gold")] == 1


def test_wordings_of_one_wish_come_to_one_code(lesson: tuple[torch.Tensor, torch.Tensor]) -> None:
    every, spoken = lesson
    embedder, empty = fresh(), torch.zeros(384)
    nothing = embedder(empty[None]).detach()
    vectors = codes(embedder, every.repeat_interleave(WORDINGS, 0), spoken, 3)
    losses = teach(embedder, every, vectors, spoken, empty, 300)
    assert losses[-1] < 0.25 * losses[0]
    answers = embedder(spoken).detach().unflatten(0, (-1, WORDINGS))
    within, between = answers.var(1).sum(-1).mean(), answers.mean(1).var(0).sum()
    assert within < 0.1 * between
    assert (embedder(empty[None]) - nothing).norm() < 0.3 * (answers - answers.mean((0, 1))).norm(dim=-1).mean()
    assert not any(weight.requires_grad for weight in embedder.parameters())


def test_codes_keep_what_the_embedder_said_and_part_what_it_did_not(lesson: tuple[torch.Tensor, torch.Tensor]) -> None:
    every, spoken = lesson
    embedder = fresh()
    vectors = codes(embedder, every.repeat_interleave(WORDINGS, 0), spoken, 3).numpy()
    assert vectors.shape == (every.shape[1], 64)
    assert np.array_equal(vectors, codes(embedder, every.repeat_interleave(WORDINGS, 0), spoken, 3).numpy())
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1) + 9 * np.eye(len(vectors))
    answers = embedder(spoken).detach()
    assert apart.min() > float((answers - answers.mean(0)).norm(dim=1).mean())
