"""The judge learns from two hands' drawings, is saved whole, and says what it sees of pictures of any size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.embedded.judge import network, train
from training.loop.metrics import read_rows
from workspace.errors import DataError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A judge trained for a moment on a few drawings, and its losses."""
    out = tmp_path_factory.mktemp("judge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_WIDTHS", (8, 8, 16, 16))
        patch.setattr(train, "_HELD_OUT", 34)
        train.main(out, count=68, steps=100, batch=8)
    return out, [row["loss"] for row in read_rows(out / "metrics.jsonl")]


def test_the_judge_learns(trained: tuple[Path, list[float]]) -> None:
    _, losses = trained
    assert len(losses) == 2 and losses[1] < losses[0]


def test_the_judge_is_read_back_and_judges(trained: tuple[Path, list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_WIDTHS", (8, 8, 16, 16))
    card = json.loads((trained[0] / "judge" / "config.json").read_text())
    assert card["families"] == list(network.NAMES) and 0 <= card["held_out_top1"] <= 1
    images = [Image.fromarray(train.solid_of(number)) for number in range(3)] + [Image.new("RGB", (300, 200))]
    families, style = network.judged(network.load_judge(trained[0] / "judge" / "judge.safetensors"), images)
    assert families.shape == (4, len(network.NAMES)) and style.shape == (4,)
    assert np.allclose(families.sum(1), 1, atol=1e-4)


def test_another_judge_is_refused(trained: tuple[Path, list[float]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"the judge {tmp_path / 'none'} cannot be read")):
        network.load_judge(tmp_path / "none")
    file = trained[0] / "judge" / "judge.safetensors"
    with pytest.raises(DataError, match="cannot be read"):
        network.load_judge(file)  # of other widths
    with pytest.raises(DataError, match="is not the judge that it was"):
        network.load_judge(file, sha256="0" * 64)


@pytest.mark.parametrize("hand", train.HANDS)
@pytest.mark.parametrize("family", network.NAMES)
def test_both_hands_draw_every_family(hand: dict[str, train.Draw], family: str) -> None:
    one, two = (hand[family](128, np.random.default_rng(3)) for _ in range(2))
    assert one.shape == (128, 128) and np.array_equal(one, two) and one.min() >= 0 and one.max() <= 1
    assert 0.02 < one.mean() < 0.98 and one.std() > 0.1


def test_pictures_say_what_they_show_and_repeat() -> None:
    solids = np.stack([train.solid_of(number) for number in range(34)])
    pictures, wanted = train.batch_of(solids, range(34), 1, 16)
    assert pictures.shape == (16, 3, 128, 128) and torch.allclose(wanted.sum(1), torch.ones(16))
    assert set((wanted > 0).sum(1).tolist()) == {1, 2}
    again, _ = train.batch_of(solids, range(34), 1, 16)
    assert torch.equal(pictures, again) and not torch.equal(pictures, train.batch_of(solids, range(34), 2, 16)[0])


def test_distortion_keeps_shape_and_repeats() -> None:
    pictures = torch.rand(4, 3, 128, 128) * 2 - 1
    one, two = (network.distorted(pictures, torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.shape == pictures.shape and torch.equal(one, two) and not torch.equal(one, pictures)
