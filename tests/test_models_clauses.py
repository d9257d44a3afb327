"""Two structures in a prompt are read apart, one is taken for one family, and other words are read as before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.encoders.clauses import CLAUSES, FIRST_SHARE, INTO, Clauses, Tagger, embedder_of
from models.encoders.minilm import load_minilm
from pipelines.pictures.mixing import BAND
from tests.test_training_painter import encoder_folder
from training.embedded.microstructures.drawing import GRADED, UNITS, caption, parted, sample
from training.embedded.microstructures.wordings import JOINS
from training.embedded.painter import tagger as clauses
from workspace.errors import DataError
from workspace.progress import Progress, Remark

__all__ = ["encoder_folder"]  # a fixture


LINES = ("honeycomb, gold on black", "leaf venation, gold on black", "gold on black")


@pytest.fixture(scope="module")
def painter(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painter's text embedder and clauses whose families nearly are its answers to `LINES`, so no choice is close.

    The embedder answers almost linearly, so that a sum of answers is one that it can give.
    """
    folder = tmp_path_factory.mktemp("painter")
    noise = torch.Generator().manual_seed(4)
    embedder = {
        "linear_1.weight": torch.randn(32, 384, generator=noise) / 40,
        "linear_1.bias": torch.full((32,), 6.0),
        "linear_2.weight": torch.linalg.qr(torch.randn(32, 32, generator=noise))[0],
        "linear_2.bias": torch.zeros(32),
    }
    (folder / "transformer").mkdir()
    weights = {f"time_text_embed.text_embedder.{name}": one.contiguous() for name, one in embedder.items()}
    save_file(weights, folder / "transformer" / "diffusion_pytorch_model.safetensors")
    answer = embedder_of(folder)
    answers = torch.stack([answer(pooled(None, encoder_folder, line)) for line in LINES])
    families = answers + 0.3 * answers.roll(1, 0)  # so every line is mostly of one, and some of the others
    tagger = {name: one.detach() for name, one in Tagger(joins=len(JOINS)).state_dict().items()}
    others = torch.randn(5, 32, generator=noise)
    save_file(tagger | {"families": families, "others": others}, folder / CLAUSES)
    return folder


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
    answer, reader = tagged(
        painter, encoder_folder, "honeycomb laid over leaf venation, gold on black", [1, 3, 3, 2, 2, 0, 0, 0, 0]
    )
    lines = ("honeycomb, gold on black", "leaf venation, gold on black")
    alone = [reader.plain(reader.embedder(pooled(None, encoder_folder, line))) for line in lines]
    goal = FIRST_SHARE * alone[0] + (1 - FIRST_SHARE) * alone[1] + reader.joins[list(JOINS).index("over")]
    assert [int((one @ reader.shares).argmax()) for one in alone] == [0, 1]  # else it would be read as one
    blurred = reader.embedder(pooled(None, encoder_folder, "honeycomb laid over leaf venation, gold on black"))
    assert (answer - goal).norm() < 0.1 * (blurred - goal).norm()


def test_one_structure_is_taken_for_the_likeliest_family(painter: Path, encoder_folder: Path) -> None:
    for tags in ([1, 0, 0, 0, 0], [1, 2, 2, 0, 0]):  # two structures with no join between them are one
        answer, reader = tagged(painter, encoder_folder, "honeycomb, gold on black", tags)
        before = reader.embedder(pooled(None, encoder_folder, "honeycomb, gold on black"))
        assert (answer - reader.plain(before)).norm() < 0.1 * (before - reader.plain(before)).norm()


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
        read = [tokenizer.decode(one[0], skip_special_tokens=True) for one in found.alone]
        assert read == ["honeycomb, gold on black", "leaf venation, gold on black"]
        assert all(one.shape == ids.shape for one in found.alone)
    assert load_minilm(encoder_folder)[0].structures(ids) is None


def test_what_names_no_structure_is_read_as_before(painter: Path, encoder_folder: Path) -> None:
    answer, reader = tagged(painter, encoder_folder, "gold on black", [0, 0, 0])
    assert torch.equal(answer, reader.embedder(pooled(None, encoder_folder, "gold on black")))


def test_a_tagger_learns_where_structures_stand(
    painter: Path,
    encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clauses, "_HELD_OUT", 50)
    whole = []
    for steps in (1, 300):  # the second call goes on from the first
        events: list[Progress] = []
        clauses.main(painter, encoder_folder, tmp_path, count=1200, steps=steps, batch=48, tell=events.append)
        [remark] = [event for event in events if isinstance(event, Remark)]
        whole.append(float(remark.text.split()[0]))
    assert whole[0] < 0.2 and whole[1] > 0.25


def test_the_join_that_grades_is_the_one_that_is_drawn_so() -> None:
    assert list(JOINS)[INTO] == "into"
    assert pytest.approx(GRADED / UNITS, abs=0.005) == BAND


def test_the_wanted_answer_is_found() -> None:
    torch.manual_seed(0)
    embedder = torch.nn.Sequential(torch.nn.Linear(40, 24), torch.nn.SiLU(), torch.nn.Linear(24, 24)).requires_grad_(
        False
    )
    reader = Clauses(Tagger(40, 8, 2), torch.randn(3, 24), torch.randn(5, 24), embedder)
    wanted, start = torch.randn(40), torch.zeros(40)
    assert (embedder(reader.answering(embedder(wanted), start)) - embedder(wanted)).norm() < 1e-3


def test_the_likeliest_family_alone_is_left_in_an_answer() -> None:
    families, others = torch.linalg.qr(torch.randn(24, 24))[0][:8].split([3, 5])
    embedder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU(), torch.nn.Linear(4, 24))
    reader = Clauses(Tagger(4, 8, 2), families, others, embedder)
    answer = reader.plain(0.5 * families[1] + 0.4 * families[2] + 0.7 * others[0])
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
