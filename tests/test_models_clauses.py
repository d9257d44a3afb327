"""Two structures in a prompt are read apart, one is taken for one family, and other words are read as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.encoders.clauses import CLAUSES, FIRST_SHARE, INTO, Clauses, Tagger, embedder_of
from models.encoders.minilm import load_minilm
from pipelines.pictures.mixing import BAND
from tests.test_training_painter import encoder_folder, trained
from training.embedded.microstructures.drawing import GRADED, UNITS, caption, parted, sample
from training.embedded.microstructures.wordings import JOINS
from training.embedded.painter import tagger as clauses
from workspace.errors import DataError

__all__ = ["encoder_folder", "trained"]  # fixtures


@pytest.fixture(scope="module")
def painter(trained: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny painter's folder with clauses taught for it."""
    out = tmp_path_factory.mktemp("clauses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clauses, "_HELD_OUT", 50)
        made = clauses.main(trained / "weights", encoder_folder, out, count=800, steps=20, batch=16)
    (trained / "weights" / CLAUSES).write_bytes(made.read_bytes())
    return trained / "weights"


def pooled(painter: Path | None, encoder_folder: Path, line: str) -> torch.Tensor:
    encoder, tokenizer = load_minilm(encoder_folder, max_length=48, painter=painter)
    ids = tokenizer([line], padding="max_length", max_length=48, truncation=True, return_tensors="pt").input_ids
    return torch.as_tensor(encoder(ids).pooler_output[0])


def test_captions_say_where_their_structures_stand() -> None:
    import numpy as np

    for number in range(200):
        spec = sample(np.random.default_rng([1, number]), hybrids=0.5)
        text, places = parted(spec, np.random.default_rng([2, number]))
        assert text == caption(spec, np.random.default_rng([2, number]))
        first = text[slice(*places["first"])]
        assert first and first in text and "\ue000" not in text
        if spec.join is None:
            assert set(places) == {"first"}
            continue
        second, whole = text[slice(*places["second"])], text[slice(*places["whole"])]
        assert whole in {join.format(a=first, b=second) for join in JOINS[spec.join]}


class ScriptedTagger(torch.nn.Module):
    """Tags the tokens of one line as it is told to."""

    def __init__(self, tags: list[int]) -> None:
        super().__init__()
        self.tags = torch.tensor([0, *tags, 0])

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        tags = torch.nn.functional.pad(self.tags, (0, states.shape[1] - len(self.tags)))
        return torch.nn.functional.one_hot(tags, 5)[None].float()


def tagged(painter: Path, encoder_folder: Path, line: str, tags: list[int]) -> tuple[torch.Tensor, Clauses]:
    """What a painter's embedder answers to a line whose words are tagged so."""
    encoder, tokenizer = load_minilm(encoder_folder, max_length=48, painter=painter)
    ids = tokenizer([line], padding="max_length", max_length=48, truncation=True, return_tensors="pt").input_ids
    assert int((ids != 0).sum()) == len(tags) + 2
    encoder.clauses.tagger = ScriptedTagger(tags)
    return encoder.clauses.embedder(encoder(ids).pooler_output[0]), encoder.clauses


def test_a_pair_is_answered_with_the_sum_of_both_read_alone(painter: Path, encoder_folder: Path) -> None:
    answer, told = tagged(
        painter, encoder_folder, "honeycomb laid over leaf venation, gold on black", [1, 3, 3, 2, 2, 0, 0, 0, 0]
    )
    lines = ("honeycomb, gold on black", "leaf venation, gold on black")
    alone = [told.plain(told.embedder(pooled(None, encoder_folder, line))) for line in lines]
    goal = FIRST_SHARE * alone[0] + (1 - FIRST_SHARE) * alone[1] + told.joins[list(JOINS).index("over")]
    assert not torch.equal(*((one @ told.shares).argmax() for one in alone))  # else it would be read as one
    blurred = told.embedder(pooled(None, encoder_folder, "honeycomb laid over leaf venation, gold on black"))
    assert (answer - goal).norm() < 0.7 * (blurred - goal).norm()


def test_one_structure_is_taken_for_the_likeliest_family(painter: Path, encoder_folder: Path) -> None:
    for tags in ([1, 0, 0, 0, 0], [1, 2, 2, 0, 0]):  # two structures with no join between them are one
        answer, told = tagged(painter, encoder_folder, "honeycomb, gold on black", tags)
        before = told.embedder(pooled(None, encoder_folder, "honeycomb, gold on black"))
        assert (answer - told.plain(before)).norm() < 0.7 * (before - told.plain(before)).norm()


@pytest.mark.parametrize(
    ("line", "tags", "graded"),
    [
        ("honeycomb fading into leaf venation, gold on black", [1, 4, 4, 2, 2, 0, 0, 0, 0], True),
        ("honeycomb laid over leaf venation, gold on black", [1, 3, 3, 2, 2, 0, 0, 0, 0], False),
        ("honeycomb fading into honeycomb, gold on black", [1, 4, 4, 2, 0, 0, 0, 0], None),
        ("honeycomb leaf venation, gold on black", [1, 2, 2, 0, 0, 0, 0], None),
    ],
)
def test_a_joint_prompt_has_two_structures(
    painter: Path, encoder_folder: Path, line: str, tags: list[int], graded: bool | None
) -> None:
    encoder, tokenizer = load_minilm(encoder_folder, max_length=48, painter=painter)
    ids = tokenizer([line], padding="max_length", max_length=48, truncation=True, return_tensors="pt").input_ids
    encoder.clauses.tagger = ScriptedTagger(tags)
    found = encoder.structures(ids)
    if graded is None:
        assert found is None
    else:
        assert found is not None and found.graded == graded
        told = [tokenizer.decode(one[0], skip_special_tokens=True) for one in found.alone]
        assert told == ["honeycomb, gold on black", "leaf venation, gold on black"]
        assert all(one.shape == ids.shape for one in found.alone)
    assert load_minilm(encoder_folder)[0].structures(ids) is None


def test_what_names_no_structure_is_read_as_before(painter: Path, encoder_folder: Path) -> None:
    answer, told = tagged(painter, encoder_folder, "gold on black", [0, 0, 0])
    assert torch.equal(answer, told.embedder(pooled(None, encoder_folder, "gold on black")))


def test_a_tagger_learns_where_structures_stand(
    trained: Path,
    encoder_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clauses, "_HELD_OUT", 50)
    whole = []
    for steps in (1, 300):  # the second call goes on from the first
        clauses.main(trained / "weights", encoder_folder, tmp_path, count=1200, steps=steps, batch=48)
        whole.append(json.loads(capsys.readouterr().out.splitlines()[-1])["held_out_whole_captions"])
    assert whole[0] < 0.2 and whole[1] > 0.4


def test_the_join_that_grades_is_the_one_that_is_drawn_so() -> None:
    assert list(JOINS)[INTO] == "into"
    assert pytest.approx(GRADED / UNITS, abs=0.005) == BAND


def test_the_wanted_answer_is_found() -> None:
    torch.manual_seed(0)
    embedder = torch.nn.Sequential(torch.nn.Linear(40, 24), torch.nn.SiLU(), torch.nn.Linear(24, 24)).requires_grad_(
        False
    )
    told = Clauses(Tagger(40, 8, 2), torch.randn(3, 24), torch.randn(5, 24), embedder)
    wanted, start = torch.randn(40), torch.zeros(40)
    assert (embedder(told.answering(embedder(wanted), start)) - embedder(wanted)).norm() < 1e-3


def test_the_likeliest_family_alone_is_left_in_an_answer() -> None:
    families, others = torch.linalg.qr(torch.randn(24, 24))[0][:8].split([3, 5])
    embedder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU(), torch.nn.Linear(4, 24))
    told = Clauses(Tagger(4, 8, 2), families, others, embedder)
    answer = told.plain(0.5 * families[1] + 0.4 * families[2] + 0.7 * others[0])
    assert torch.allclose(answer, families[1] + 0.7 * others[0], atol=1e-4)


def test_clauses_of_another_painter_and_broken_ones_are_named(
    painter: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    import shutil

    broken = tmp_path / "painter"
    shutil.copytree(painter, broken)
    (broken / CLAUSES).write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"cannot read .*clauses\.safetensors"):
        load_minilm(encoder_folder, painter=broken)
    shutil.rmtree(broken / "transformer")
    with pytest.raises(DataError, match="cannot read the text embedder"):
        embedder_of(broken)
