"""A painter's reader learns to tell prompts apart, resumes, and is what the painter is trained on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.encoders.minilm import load_minilm
from models.encoders.reader import REST, STRANGE
from models.encoders.wishes import READER
from tests.test_training_painter import TINY, encoder_folder, trained
from training.embedded.microstructures import lexicon
from training.embedded.microstructures.drawing import Microstructure
from training.embedded.microstructures.wordings import FAMILIES
from training.embedded.painter import data as painter_data
from training.embedded.painter import reader
from training.embedded.painter.codes import NAMES, wishes
from training.embedded.painter.config import PainterConfig
from training.embedded.painter.prompts import TAGS, Words, prompts
from workspace.errors import DataError
from workspace.progress import Progress, Remark

__all__ = ["encoder_folder", "trained"]  # fixtures


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lesson on few captions and few wordings."""
    monkeypatch.setattr(reader, "_EVERY", 15)
    monkeypatch.setattr(reader, "_CAPTIONS", 200)
    monkeypatch.setattr(reader, "_FROM_GRAMMAR", 2)
    monkeypatch.setattr(reader, "_WIDTH", 16)
    few = {"writer-01": {key: lines[:4] for key, lines in lexicon.writers()["writer-01"].items()}}
    monkeypatch.setattr(lexicon, "writers", lambda: few)
    monkeypatch.setattr(lexicon, "unknown", lambda: ("a jet engine", "graphene"))


@pytest.fixture
def taught(quick: None, trained: Path, encoder_folder: Path, tmp_path: Path) -> Path:
    return reader.main(trained / "weights", encoder_folder, tmp_path, steps=60, batch=8, rank=2)


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_it_learns_and_is_written_for_the_painters_folder(taught: Path, trained: Path, encoder_folder: Path) -> None:
    logged = rows(taught.parent)
    assert [row["step"] for row in logged] == [15, 30, 45, 60]
    assert logged[-1]["loss"] < 0.95 * logged[0]["loss"]
    painter = taught.parent / "painter"
    (painter / "transformer").mkdir(parents=True)
    weights = "transformer/diffusion_pytorch_model.safetensors"
    (painter / weights).write_bytes((trained / "weights" / weights).read_bytes())
    taught.rename(painter / READER)
    encoder, tokenizer = load_minilm(encoder_folder, painter=painter)
    own = f"{NAMES.families['web']}, {NAMES.fields['palette']['gold']}"
    assert [one.family for one in encoder.read(tokenizer(own, return_tensors="pt").input_ids[0]).structures] == ["web"]


def test_the_same_command_goes_on_and_nothing_is_done_twice(taught: Path, trained: Path, encoder_folder: Path) -> None:
    before, logged = taught.read_bytes(), rows(taught.parent)
    reader.main(trained / "weights", encoder_folder, taught.parent, steps=60, batch=8, rank=2)
    assert rows(taught.parent) == logged and taught.read_bytes() == before


def test_a_writer_who_is_left_out_is_read_and_counted(
    quick: None, trained: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {"writer-02": {key: [f"{key} of another"] for key in FAMILIES}, **lexicon.writers()}
    monkeypatch.setattr(lexicon, "writers", lambda: two)
    told: list[Progress] = []
    reader.main(trained / "weights", encoder_folder, tmp_path, steps=2, batch=4, without="writer-02", tell=told.append)
    [remark] = [one for one in told if isinstance(one, Remark)]
    found = json.loads(remark.text.partition(": ")[2])
    assert found["wordings"] == len(FAMILIES) and 0 <= found["bare"] <= 1


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
    quick: None, trained: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(reader, "losses", lambda *_: lambda step: nothing * 1)
    with pytest.raises(DataError, match=r"reader loss is .* at step 1 of 2; no checkpoint was written yet"):
        reader.main(trained / "weights", encoder_folder, tmp_path, steps=2, batch=4)


def test_a_painter_is_trained_on_with_what_its_reader_makes_of_prompts(
    taught: Path, trained: Path, encoder_folder: Path
) -> None:
    config = PainterConfig(**TINY)
    plain = painter_data.encode_captions(config, encoder_folder, trained, trained / "weights")
    again = painter_data.encode_captions(config, encoder_folder, trained)
    assert all(torch.equal(one, two) for one, two in zip(plain, again, strict=True))
    start = taught.parent / "painter"
    (start / "transformer").mkdir(parents=True)
    weights = "transformer/diffusion_pytorch_model.safetensors"
    (start / weights).write_bytes((trained / "weights" / weights).read_bytes())
    taught.rename(start / READER)
    _, pooled = painter_data.encode_captions(config, encoder_folder, taught.parent, start)
    encoder, tokenizer = load_minilm(encoder_folder, max_length=16, painter=start)
    line = NAMES.caption(painter_data.reading_of(painter_data.spec_of(config.seed, 0, config.hybrids)))
    ids = tokenizer(
        line, padding="max_length", truncation=True, max_length=config.tokens, return_tensors="pt"
    ).input_ids
    assert torch.allclose(pooled[0].float(), encoder(ids).pooler_output[0], atol=0.02)


def test_prompts_know_every_letter_and_repeat() -> None:
    words = Words()
    made = prompts(words, 3, 300)
    assert made == prompts(words, 3, 300)
    seen = {tag for one in made for _, _, tag in one.places}
    assert set(TAGS.values()) <= seen and STRANGE in seen and REST not in seen
    for one in made:
        ends = [place for first, last, _ in one.places for place in (first, last)]
        assert ends == sorted(ends) and ends[-1] <= len(one.text) and "{" not in one.text


def test_a_lexicon_says_nothing_that_is_held_out_and_names_every_family() -> None:
    held = {words.lower() for row in FAMILIES.values() for words in row.held_out}
    for lines in lexicon.writers().values():
        assert set(lines) == set(FAMILIES)
        assert not held & {line.lower() for row in lines.values() for line in row}
    said = Words().families
    assert min(map(len, said.values())) >= 300
    pairs = [(line.lower(), family) for family, row in said.items() for line in row]
    assert len({line for line, _ in pairs}) == len(set(pairs))  # no wording is of two families
    assert not {line.lower() for line in lexicon.unknown()} & {line for line, _ in pairs}
    more = lexicon.attributes()
    assert {name: set(values) for name, values in more.items() if name in NAMES.fields} == {
        name: set(values) for name, values in NAMES.fields.items()
    }
    assert all(line.count("{a}") == line.count("{b}") == 1 for row in more["join"].values() for line in row)
    rng = np.random.default_rng(0)
    assert Words(without="writer-01").structure("web", rng)
