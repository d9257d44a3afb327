"""A painter's reader learns to say what captions name, resumes, and is what the painter is trained on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.encoders.minilm import READER, load_minilm
from tests.test_training_painter import TINY, encoder_folder, trained
from training.embedded.microstructures.drawing import Microstructure
from training.embedded.painter import data as painter_data
from training.embedded.painter import reader
from training.embedded.painter.codes import wishes
from training.embedded.painter.config import PainterConfig
from workspace.errors import DataError

__all__ = ["encoder_folder", "trained"]  # fixtures


@pytest.fixture
def taught(trained: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reader, "_HELD_OUT", 20)
    monkeypatch.setattr(reader, "_EVERY", 15)
    return reader.main(trained / "weights", encoder_folder, tmp_path, count=200, steps=60, batch=24)


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_it_learns_and_is_written_for_the_painters_folder(taught: Path) -> None:
    logged = rows(taught.parent)
    assert [row["step"] for row in logged] == [15, 30, 45, 60]
    assert logged[-1]["loss"] < 0.9 * logged[0]["loss"]
    assert taught.name == READER and load_file(taught)["out.weight"].abs().max() > 0


def test_the_same_command_goes_on_and_nothing_is_done_twice(taught: Path, trained: Path, encoder_folder: Path) -> None:
    before, logged = taught.read_bytes(), rows(taught.parent)
    reader.main(trained / "weights", encoder_folder, taught.parent, count=200, steps=60, batch=24)
    assert rows(taught.parent) == logged and taught.read_bytes() == before


def test_vectors_are_found_in_what_an_embedder_says() -> None:
    specs = [Microstructure(name, palette=colour) for name in ("leaf", "web", "bone") for colour in ("gold", "indigo")]
    specs += [
        Microstructure("leaf", second="web", join="over", palette="gold"),
        Microstructure("web", second="bone", join="into", palette="indigo"),
    ]
    wanted = wishes(specs * 8)
    truth = torch.randn(wanted.shape[1], 16, generator=torch.Generator().manual_seed(0))
    found = reader.vectors_of(lambda pooled: pooled, wanted, wanted @ truth)
    assert (wanted @ found - wanted @ truth).abs().max() < 0.02


def test_a_loss_that_is_no_number_stops_it(
    trained: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_HELD_OUT", 4)
    monkeypatch.setattr(reader, "vectors_of", lambda embedder, wanted, pooled: torch.full((wanted.shape[1], 32), 1e38))
    with pytest.raises(DataError, match=r"reader loss is .* at step 1 of 2; no checkpoint was written yet"):
        reader.main(trained / "weights", encoder_folder, tmp_path, count=20, steps=2, batch=4)


def test_a_painter_is_trained_on_with_its_reader(taught: Path, trained: Path, encoder_folder: Path) -> None:
    config = PainterConfig(**TINY)
    states, pooled = painter_data.encode_captions(config, encoder_folder, trained)
    assert painter_data.read_by(trained / "weights", states, pooled)[1] is pooled
    (taught.parent / "painter").mkdir()
    start = taught.rename(taught.parent / "painter" / READER).parent
    pooled = painter_data.read_by(start, states, pooled)[1]
    encoder, tokenizer = load_minilm(encoder_folder, max_length=16, painter=start)
    line = painter_data.captions_of(config.seed, 0, 1)
    ids = tokenizer(line, padding="max_length", truncation=True, max_length=16, return_tensors="pt").input_ids
    assert torch.allclose(pooled[0].float(), encoder(ids).pooler_output[0], atol=0.02)
