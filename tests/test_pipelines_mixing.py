"""A prompt that joins two structures is painted from each of them; every other prompt as ever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.encoders.wishes import Names, Reading, Structure
from pipelines.pictures.mixing import (
    BELOW,
    WHOLE,
    Mix,
    composed,
    laid_over,
    mixing,
    seeds_of,
    side_by_side,
    understood,
)
from pipelines.pictures.painter import Painter
from pipelines.pictures.picture import pixels_sha256
from workspace.settings import PainterSettings

LOW, HIGH = torch.full((1, 4), -1.0), torch.full((1, 4), 1.0)
STATES = torch.zeros(1, 2, 4)
SIDES = Mix(((STATES, LOW), (STATES, HIGH)), sides=True)
WIDE = 8


class FakeTransformer(torch.nn.Module):
    """Answers every place with the first number of its row's pooled vector."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, **told: Any) -> tuple[torch.Tensor]:
        count = len(told["hidden_states"])
        assert count == len(told["timestep"]) == len(told["encoder_hidden_states"]) == len(told["pooled_projections"])
        self.batches.append(count)
        return (told["pooled_projections"][:, :1, None].expand(count, WIDE * 2, 3),)


def asked(transformer: FakeTransformer, pooled: torch.Tensor) -> torch.Tensor:
    places = torch.stack([torch.zeros(WIDE * 2), torch.arange(2).repeat_interleave(WIDE), torch.arange(WIDE).repeat(2)])
    count = len(pooled)
    (velocity,) = transformer(
        hidden_states=torch.zeros(count, WIDE * 2, 3),
        timestep=torch.ones(count),
        guidance=None,
        encoder_hidden_states=STATES.repeat(count, 1, 1),
        pooled_projections=pooled,
        img_ids=places.T,
    )
    return velocity.reshape(count, 2, WIDE, 3)


class FakeEncoder:
    """Reads a prompt by a table, and gives back what it was asked to encode."""

    device = "cpu"

    def __init__(self, known: list[Reading], colours: dict[str, Any]) -> None:
        self.known = known
        self.reader = SimpleNamespace(names=Names({}, {}, {}, {"palette": "gold"}, colours))

    def read(self, ids: torch.Tensor) -> Reading:
        return self.known[int(ids[0])]

    def encoded(self, reading: Reading, ids: torch.Tensor) -> Any:
        return reading


@pytest.mark.parametrize(
    ("join", "own"), [("into", {"scale": "fine"}), ("over", {"density": "open", "scale": "coarse"})]
)
def test_prose_of_single_parts_does_not_say_how_large_two_structures_are(join: str, own: dict[str, str]) -> None:
    leaf, bone = Structure("leaf", "leaf"), Structure("bone", "bone")
    short, long = (
        Reading((leaf, bone), join),
        Reading((leaf, bone), join, {"scale": "large", "density": "dense", "palette": "red"}),
    )
    encoder = FakeEncoder([short, long], {"gold": [[0, 0, 0], [255, 255, 0]], "red": [[0, 0, 0], [255, 0, 0]]})

    def tokens(text: str, **form: Any) -> Any:
        return SimpleNamespace(input_ids=torch.tensor([[{"short": 0, "long": 1}[text]]]))

    pipe = SimpleNamespace(text_encoder=encoder, tokenizer=tokens)
    _, reading, mix = understood(pipe, "short", "long", 8)
    assert reading is not None and reading.said == {"palette": "red"} and mix is not None
    first: Any = mix.parts[0]
    assert first.said == {**own, "palette": "red"}
    encoder.known[0] = Reading((leaf, bone), join, {"scale": "large"})  # said of the whole, it holds
    _, _, mix = understood(pipe, "short", "long", 8)
    assert mix is not None and mix.parts[0].said["scale"] == "large"  # type: ignore[attr-defined]
    encoder.known[:] = [Reading((leaf,)), Reading((leaf,), None, {"scale": "large"})]
    assert understood(pipe, "short", "long", 8)[1] == encoder.known[1]


def test_each_side_follows_its_own_prompt_and_they_meet_in_the_middle() -> None:
    transformer, pooled = FakeTransformer(), torch.tensor([[5.0] * 4, [7.0] * 4])
    with mixing(transformer, pooled, [None, SIDES]):
        whole, graded = asked(transformer, pooled)
    assert torch.all(whole == 5) and transformer.batches == [3]
    row = graded[0, :, 0].tolist()
    assert row[0] == -1 and row[-1] == 1 and row == sorted(row) and torch.equal(graded[0], graded[1])
    assert row[WIDE // 2 - 1] == pytest.approx(-row[WIDE // 2])


def test_one_over_the_other_is_mixed_everywhere_with_the_whole_prompt() -> None:
    transformer, pooled = FakeTransformer(), torch.tensor([[5.0] * 4])
    over = Mix(((STATES, pooled[:1]), (STATES, LOW), (STATES, HIGH * 3)), sides=False)
    with mixing(transformer, pooled, [over]):
        told = asked(transformer, pooled)
    assert transformer.batches == [3]
    assert torch.allclose(told, torch.tensor(5.0 * WHOLE + (1 - WHOLE) / 2 * (3.0 - 1.0)))


def test_a_pass_without_the_prompt_and_all_that_comes_after_stay_as_they_are() -> None:
    transformer, pooled = FakeTransformer(), torch.tensor([[5.0] * 4])
    with mixing(transformer, pooled, [SIDES]):
        assert torch.all(asked(transformer, torch.tensor([[2.0] * 4])) == 2)
        assert not torch.all(asked(transformer, pooled) == 5)
    assert torch.all(asked(transformer, pooled) == 5)
    with mixing(transformer, pooled, [None]):
        assert torch.all(asked(transformer, pooled) == 5)
    assert transformer.batches == [1, 2, 1, 1]


def test_the_upper_solid_covers_and_the_lower_one_is_paler() -> None:
    ground, solid = torch.tensor([0.0, 0.0, 0.2]), torch.tensor([1.0, 0.8, 0.2])
    front, below = (torch.zeros(3, 2, 2) + ground[:, None, None] for _ in range(2))
    front[:, 0] = below[:, :, 0] = solid[:, None]
    made = laid_over(front, below, torch.stack([ground, solid]))
    assert torch.allclose(made[:, 0], solid[:, None].expand(3, 2))  # the upper row is the upper structure's
    assert torch.allclose(made[:, 1, 0], ground + BELOW * (solid - ground)) and torch.allclose(made[:, 1, 1], ground)
    layered = Mix(((STATES, LOW), (STATES, HIGH)), sides=False, colours=torch.stack([ground, solid]))
    assert seeds_of(7, None) == seeds_of(7, SIDES) == (7,)
    assert seeds_of(7, layered)[0] == 7 and len(set(seeds_of(2**63 - 1, layered))) == 2 <= 2**63


def test_side_by_side_shows_the_middle_of_either() -> None:
    left, right = torch.arange(100.0).expand(3, 2, 100), 1000 + torch.arange(100.0).expand(3, 2, 100)
    made = side_by_side(left, right)[0, 0].tolist()
    assert made[:38] == [float(place) for place in range(22, 60)] and made[62:] == [1000.0 + n for n in range(40, 78)]
    assert made[40:60] == sorted(made[40:60])
    assert torch.equal(composed(torch.stack([left, right]), None), left)


@pytest.mark.embedded
def test_one_structure_over_another_is_each_of_them(embedded_home: Path) -> None:
    painter = Painter.load(PainterSettings(model="studio-micro-flux"), embedded_home)
    text = "wheel-shaped webs above reticulate leaf veins, gold on black"
    [over], [plain], [again] = (
        painter.paint([painter.spec(one, seed=5)]) for one in (text, "leaf venation, gold on black", text)
    )
    assert pixels_sha256(over) == pixels_sha256(again) != pixels_sha256(plain)
    half = [colour for count, colour in over.getcolors(over.width * over.height) or [] for _ in range(count)]
    pale = sum(90 < red < 165 and 60 < green < 130 for red, green, _ in half) / len(half)
    full = sum(red > 200 and green > 130 for red, green, _ in half) / len(half)
    assert pale > 0.08 and full > 0.02  # the leaf in half of gold's way from black, the web in gold


@pytest.mark.embedded
def test_what_the_embedded_painter_does_not_know_it_says(embedded_home: Path) -> None:
    painter = Painter.load(PainterSettings(model="studio-micro-flux"), embedded_home)
    told: list[str] = []
    painter.paint([painter.spec("a jet engine, gold on black", seed=1, steps=2)], on_notice=told.append)
    painter.paint([painter.spec("corduroy that undulates, gold on black", seed=1, steps=2)], on_notice=told.append)
    assert len(told) == 1 and "does not know 'a jet engine'" in told[0]
    meant = painter.meant("corduroy that undulates")
    assert meant is not None and [one.family for one in meant.structures] == ["collagen"]


@pytest.mark.embedded
def test_the_embedded_painter_paints_both_sides(embedded_home: Path) -> None:
    painter = Painter.load(PainterSettings(model="studio-micro-flux"), embedded_home)
    text = "honeycomb on the left grading into leaf venation on the right, gold on black"
    other = "honeycomb on the left grading into nacre bricks on the right, gold on black"
    specs = [painter.spec(one, seed=5) for one in (text, other, "honeycomb, gold on black")]
    graded, changed, alone = painter.paint(specs)
    halves = [one.crop((0, 0, 96, 256)) for one in (graded, changed)]
    rights = [one.crop((160, 0, 256, 256)) for one in (graded, changed)]

    def apart(one: Any, two: Any) -> float:
        pairs = zip(one.convert("L").tobytes(), two.convert("L").tobytes(), strict=True)
        return sum(abs(left - right) for left, right in pairs) / len(one.convert("L").tobytes())

    assert apart(*halves) < 0.6 * apart(*rights)  # another right side hardly changes the left one
    again = painter.paint(specs)
    assert [pixels_sha256(one) for one in again] == [pixels_sha256(one) for one in (graded, changed, alone)]
