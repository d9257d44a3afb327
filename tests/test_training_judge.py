"""The judge learns from drawings, is saved whole, and says what it sees of pictures of any size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.embedded.critic import picture_judge as judge
from training.loop.metrics import read_rows
from workspace.errors import DataError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A judge trained for a moment on a few drawings, and its losses."""
    out = tmp_path_factory.mktemp("judge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "_WIDTHS", (8, 8, 16, 16))
        patch.setattr(judge, "_HELD_OUT", 6)
        patch.setattr(judge, "_LOG_EVERY", 1)
        judge.main(out, count=20, steps=24, batch=8, rate=5e-3)
    return out, [row["loss"] for row in read_rows(out / "metrics.jsonl")]


def test_the_judge_learns(trained: tuple[Path, list[float]]) -> None:
    _, losses = trained
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.1


def test_the_judge_is_read_back_and_judges(trained: tuple[Path, list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "_WIDTHS", (8, 8, 16, 16))
    card = json.loads((trained[0] / "judge" / "config.json").read_text())
    assert card["families"] == list(judge.NAMES) and 0 <= card["held_out_top1"] <= 1
    images = [Image.fromarray(judge.drawn(number)[0]) for number in range(3)] + [Image.new("RGB", (300, 200))]
    families, style = judge.judged(judge.load_judge(trained[0] / "judge"), images)
    assert families.shape == (4, len(judge.NAMES)) and style.shape == (4,)
    assert np.allclose(families.sum(1), 1, atol=1e-4)


def test_a_judge_of_other_families_is_refused(trained: tuple[Path, list[float]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"the judge in {tmp_path} cannot be read")):
        judge.load_judge(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        judge.load_judge(trained[0] / "judge")  # of other widths


def test_drawings_say_what_they_are() -> None:
    rows = [judge.drawn(number)[1:] for number in range(60)]
    assert {len(shown) for shown, _ in rows} == {1, 2}
    assert any(styled for _, styled in rows)
    assert all(len(shown) == 1 for shown, styled in rows if styled)


def test_distortion_keeps_shape_and_repeats() -> None:
    pictures = torch.rand(4, 3, 128, 128) * 2 - 1
    one, two = (judge.distorted(pictures, torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.shape == pictures.shape and torch.equal(one, two) and not torch.equal(one, pictures)
