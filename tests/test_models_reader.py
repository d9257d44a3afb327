"""A prompt is read for a painter: put into its names, two structures apart, and what it does not know told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from models.encoders.minilm import load_minilm
from models.encoders.reader import FIRST, JOINS, REST, SECOND, STRANGE, answering, embedder_of, placed, states
from models.encoders.wishes import READER, Reading
from pipelines.pictures.easel import remarks
from pipelines.pictures.mixing import BAND, GRADED, mix_of
from tests.test_training_painter import encoder_folder
from training.embedded.microstructures.drawing import GRADED as DRAWN_BAND
from training.embedded.microstructures.drawing import UNITS
from training.embedded.microstructures.wordings import JOINS as DRAWN
from training.embedded.painter.codes import NAMES
from training.embedded.painter.prompts import TAGS
from workspace.errors import DataError

__all__ = ["encoder_folder"]  # a fixture

LENGTH = 48
KNOWN = {"regular hexagons": "honeycomb", "reticulate leaf veins": "leaf", "a brick wall": "nacre"}
NONE = "spots spots spots"
OVER, INTO = (JOINS + place for place in range(2))
GOLD, DENSE = TAGS["palette", "gold"], TAGS["density", "dense"]


@pytest.fixture(scope="module")
def painter(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painter's text embedder, and a reader that knows three wordings and one that is of no family."""
    folder, noise = tmp_path_factory.mktemp("painter"), torch.Generator().manual_seed(4)
    embedder = {
        "linear_1.weight": torch.randn(32, 384, generator=noise) / 10,
        "linear_1.bias": torch.zeros(32),
        "linear_2.weight": torch.linalg.qr(torch.randn(32, 32, generator=noise))[0],
        "linear_2.bias": torch.zeros(32),
    }
    (folder / "transformer").mkdir()
    weights = {f"time_text_embed.text_embedder.{name}": one.contiguous() for name, one in embedder.items()}
    save_file(weights, folder / "transformer" / "diffusion_pytorch_model.safetensors")
    minilm, tokenizer = load_minilm(encoder_folder, max_length=LENGTH)
    basis, found = torch.eye(768), []
    for line in (*KNOWN, NONE):
        ids = tokenizer(line, return_tensors="pt").input_ids
        found.append(placed(minilm.embeddings(input_ids=ids).mean(1), states(minilm, ids).mean(1), basis))
    keys = list(NAMES.families)
    learned = {
        "tags.weight": torch.zeros(JOINS + 2 + len(TAGS), 384),
        "tags.bias": torch.zeros(JOINS + 2 + len(TAGS)),
        "families.weight": torch.zeros(len(keys) + 1, 384),
        "families.bias": torch.zeros(len(keys) + 1),
        "basis": basis,
        "known": torch.cat(found),
        "labels": torch.tensor([*(keys.index(key) for key in KNOWN.values()), len(keys)], dtype=torch.uint8),
        "vectors": torch.randn(len(NAMES.row(Reading())), 32, generator=noise) / 20,
        "unknown": torch.tensor([0.4]),
    }
    save_file(learned, folder / READER, metadata={"names": NAMES.written()})
    return folder


class ScriptedTags(torch.nn.Module):
    """Tags the tokens of one prompt as it is told to."""

    def __init__(self, tags: list[int]) -> None:
        super().__init__()
        self.tags = torch.tensor([REST, *tags, REST])

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        assert len(found) == len(self.tags)
        return 20.0 * torch.nn.functional.one_hot(self.tags, JOINS + 2 + len(TAGS)).float()


def loaded(painter: Path, encoder_folder: Path, tags: list[int]) -> Any:
    encoder, tokenizer = load_minilm(encoder_folder, max_length=LENGTH, painter=painter)
    encoder.reader.tags = ScriptedTags(tags)
    return encoder, lambda line: tokenizer(
        [line], padding="max_length", max_length=LENGTH, return_tensors="pt"
    ).input_ids[0]


def test_words_are_put_into_the_painters_names(painter: Path, encoder_folder: Path) -> None:
    encoder, ids = loaded(painter, encoder_folder, [FIRST, FIRST, REST, GOLD, GOLD, GOLD, REST, DENSE])
    asked = ids("regular hexagons, gold on black, heavy")
    reading = encoder.read(asked)
    assert [(one.words, one.family, one.known) for one in reading.structures] == [
        ("regular hexagons", "honeycomb", True)
    ]
    assert reading.said == {"palette": "gold", "density": "dense"} and reading.join is None
    made, plain = encoder(asked[None]), encoder(ids("honeycomb, gold on black, open and airy")[None])
    own = NAMES.caption(reading)
    assert torch.equal(made[0], encoder(ids(own)[None])[0]) and not torch.equal(made[0], plain[0])
    goal = torch.tensor(NAMES.row(reading)) @ encoder.reader.vectors
    assert torch.allclose(encoder.reader.embedder(made.pooler_output[0]), goal, atol=1e-2)


def test_padding_and_company_change_nothing(painter: Path, encoder_folder: Path) -> None:
    encoder, ids = loaded(painter, encoder_folder, [FIRST, FIRST])
    short = encoder(ids("regular hexagons")[None, :16])
    both = encoder(torch.stack([ids("regular hexagons"), ids("honeycomb, gold on black")]))
    assert torch.allclose(short[0][0, :4], both[0][0, :4], atol=1e-5)
    assert torch.allclose(short.pooler_output[0], both.pooler_output[0], atol=1e-5)


@pytest.mark.parametrize(("join", "key"), [(OVER, "over"), (INTO, "into")])
def test_two_structures_are_read_apart(painter: Path, encoder_folder: Path, join: int, key: str) -> None:
    encoder, ids = loaded(painter, encoder_folder, [SECOND, SECOND, join, FIRST, FIRST, FIRST, REST, GOLD, GOLD, GOLD])
    asked = ids("regular hexagons above reticulate leaf veins, gold on black")
    reading = encoder.read(asked)
    assert [one.family for one in reading.structures] == ["leaf", "honeycomb"] and reading.join == key
    mix = mix_of(encoder, reading, asked, encoder.encoded(reading, asked))
    assert mix is not None and mix.sides == (key == "into") and len(mix.parts) == 2
    own = "leaf venation, gold on black, fine" if mix.sides else "leaf venation, gold on black, open and airy, coarse"
    assert mix.colours is not None and torch.equal(mix.parts[0][0], encoder(ids(own)[None])[0])
    encoder.reader.names = replace(encoder.reader.names, colours={})
    mixed = mix_of(encoder, reading, asked, encoder.encoded(reading, asked))
    assert mixed is not None and mixed.colours is None and len(mixed.parts) == (2 if mix.sides else 3)


def test_the_same_structure_twice_is_one(painter: Path, encoder_folder: Path) -> None:
    encoder, ids = loaded(painter, encoder_folder, [FIRST, FIRST, OVER, SECOND])
    reading = encoder.read(ids("regular hexagons above honeycomb"))
    assert [one.family for one in reading.structures] in (["honeycomb"], ["leaf"], ["nacre"]) or reading.join == "over"
    encoder, ids = loaded(painter, encoder_folder, [FIRST, FIRST, OVER, SECOND, SECOND])
    reading = encoder.read(ids("regular hexagons above regular hexagons"))
    assert (
        len(reading.structures) == 1
        and reading.join is None
        and mix_of(encoder, reading, ids("x"), (None, None)) is None
    )


def test_what_is_not_known_is_told_and_stays_as_it_is_said(painter: Path, encoder_folder: Path) -> None:
    encoder, ids = loaded(painter, encoder_folder, [FIRST, FIRST, FIRST, REST, STRANGE])
    asked = ids("spots spots spots, red")
    reading = encoder.read(asked)
    assert not reading.structures[0].known and reading.unknown and reading.strange
    lines = remarks(reading, encoder.reader.names)
    assert "does not know 'spots spots spots'" in lines[0] and NAMES.families[reading.structures[0].family] in lines[0]
    assert "no colours like" in lines[1]
    plain, _ = load_minilm(encoder_folder, max_length=LENGTH)
    assert torch.equal(encoder(asked[None])[0], plain(asked[None])[0])
    assert not torch.allclose(encoder(asked[None]).pooler_output, plain(asked[None]).pooler_output, atol=1e-2)


def test_nothing_is_read_in_an_empty_prompt(painter: Path, encoder_folder: Path) -> None:
    encoder, ids = loaded(painter, encoder_folder, [])
    plain, _ = load_minilm(encoder_folder, max_length=LENGTH)
    assert encoder.read(ids("")) == Reading()
    for one, two in zip(encoder(ids("")[None]).to_tuple(), plain(ids("")[None]).to_tuple(), strict=True):
        assert torch.equal(one, two)
    assert plain.read(ids("honeycomb")) == Reading()


def test_the_join_that_grades_is_the_one_that_is_drawn_so() -> None:
    assert GRADED in DRAWN and pytest.approx(DRAWN_BAND / UNITS, abs=0.005) == BAND


def test_the_wanted_answers_are_found() -> None:
    torch.manual_seed(0)
    embedder = torch.nn.Sequential(torch.nn.Linear(40, 24), torch.nn.SiLU(), torch.nn.Linear(24, 24)).requires_grad_(
        False
    )
    goals = embedder(torch.randn(5, 40))
    assert (embedder(answering(embedder, goals)) - goals).norm(dim=1).max() < 1e-3


def test_a_reader_of_another_painter_and_a_broken_one_are_named(
    painter: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    import shutil

    from safetensors.torch import load_file

    broken = tmp_path / "painter"
    shutil.copytree(painter, broken)
    weights = load_file(broken / READER)
    cases = [weights | {"vectors": torch.zeros(4, 32)}, weights | {"tags.weight": torch.zeros(3, 384)}, {}]
    for held in cases:
        save_file(held, broken / READER, metadata={"names": NAMES.written()})
        with pytest.raises(DataError, match=r"cannot read the reader .*reader\.safetensors"):
            load_minilm(encoder_folder, painter=broken)
    for content in (b"no weights", b""):
        (broken / READER).write_bytes(content)
        with pytest.raises(DataError, match=r"cannot read the reader"):
            load_minilm(encoder_folder, painter=broken)
    shutil.rmtree(broken / "transformer")
    with pytest.raises(DataError, match="cannot read the text embedder"):
        embedder_of(broken)


def test_known_wordings_vote_by_likeness() -> None:
    from models.encoders.reader import neighbourhood

    known = normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), dim=1)
    chances = neighbourhood(torch.tensor([[1.0, 0.05]]), known, torch.tensor([0, 0, 1]), 3)
    assert chances[0].argmax() == 0 and chances.sum() == pytest.approx(1) and chances[0, 2] == 0
