"""The procedural pictures: repeatable, of the asked density, legible, and truly captioned."""

from dataclasses import replace

import numpy as np
import pytest

from training.embedded.microstructures.drawing import (
    DENSITIES,
    DIRECTIONS,
    FAMILIES,
    GRADIENTS,
    JOINS,
    PALETTES,
    SCALES,
    Microstructure,
    caption,
    draw,
    sample,
)
from training.embedded.microstructures.phrases import DENSITY_PHRASES, PHRASES, expand, wordings
from workspace.errors import UsageError


def solid_share(picture: np.ndarray, palette: str) -> np.ndarray:
    """How close each pixel is to the palette's solid colour rather than to its background, 0..1."""
    row = PALETTES[palette]
    solid, ground = np.array(row.solid, float), np.array(row.background, float)
    share = (picture.astype(float) - ground) @ (solid - ground) / ((solid - ground) @ (solid - ground))
    return np.clip(share, 0, 1)


def words_of(name: str) -> tuple[str, ...]:
    row = FAMILIES[name]
    return (*row.biological, *row.geometric, row.network, *(text for one in PHRASES[name] for text in wordings(one)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [64, 256])
def test_every_family_is_drawn_with_contrast_at_small_and_large_size(family, size):
    picture = draw(Microstructure(family), size, np.random.default_rng(3))
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std(axis=(0, 1)).max() > 30


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_paints_the_same_picture_and_another_seed_another(family):
    spec = Microstructure(family, palette="gold")
    first, again, other = (draw(spec, 96, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_seed_gives_one_design_at_every_size(family):
    spec = Microstructure(family)
    large = draw(spec, 256, np.random.default_rng(8)).astype(float)
    small = draw(spec, 128, np.random.default_rng(8)).astype(float)
    halved = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small).mean() < 6


@pytest.mark.parametrize("family", FAMILIES)
def test_denser_is_denser(family):
    shares = []
    for density in DENSITIES:
        spec = Microstructure(family, palette="bone", density=density, scale="coarse")
        shares.append(np.mean([solid_share(draw(spec, 96, np.random.default_rng(s)), "bone").mean() for s in range(4)]))
    assert shares[0] < shares[1] < shares[2]


def test_a_linear_gradient_is_thicker_on_the_right_and_a_radial_one_in_the_middle():
    def share(gradient: str) -> np.ndarray:
        spec = Microstructure("honeycomb", palette="bone", gradient=gradient)
        return np.mean([solid_share(draw(spec, 96, np.random.default_rng(s)), "bone") for s in range(4)], axis=0)

    linear, radial = share("linear"), share("radial")
    assert linear[:, 64:].mean() > linear[:, :32].mean() + 0.1
    assert radial[32:64, 32:64].mean() > radial[:16, :16].mean() + 0.1


def test_finer_has_more_edges():
    def edges(scale: str) -> float:
        picture = draw(Microstructure("honeycomb", scale=scale), 128, np.random.default_rng(1)).astype(float)
        return float(np.abs(np.diff(picture, axis=1)).mean())

    assert edges("fine") > edges("medium") > edges("coarse")


def test_fibres_run_in_the_asked_direction():
    def changes(direction: str) -> tuple[float, float]:
        spec = Microstructure("collagen", direction=direction)
        picture = draw(spec, 128, np.random.default_rng(2)).astype(float)
        return float(np.abs(np.diff(picture, axis=1)).mean()), float(np.abs(np.diff(picture, axis=0)).mean())

    along_rows, along_columns = changes("horizontal")
    assert along_columns > along_rows
    along_rows, along_columns = changes("vertical")
    assert along_rows > along_columns


@pytest.mark.parametrize("join", JOINS)
def test_a_hybrid_differs_from_its_first_parent_and_names_both(join):
    alone = Microstructure("leaf", palette="indigo")
    both = replace(alone, second="honeycomb", join=join)
    assert not np.array_equal(draw(alone, 96, np.random.default_rng(0)), draw(both, 96, np.random.default_rng(0)))
    for seed in range(20):
        text = caption(both, np.random.default_rng(seed))
        assert any(word in text for word in words_of("leaf"))
        assert any(word in text for word in words_of("honeycomb"))


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_name_the_family_in_both_voices(family):
    texts = [caption(Microstructure(family), np.random.default_rng(seed)) for seed in range(60)]
    assert all(any(word in text for word in words_of(family)) for text in texts)
    assert any(word in text for text in texts for word in FAMILIES[family].biological)
    assert any(word in text for text in texts for word in FAMILIES[family].geometric)
    assert max(len(text.split()) for text in texts) <= 45


@pytest.mark.parametrize("family", FAMILIES)
def test_held_out_wordings_are_never_said_in_training(family):
    said = {text.lower() for name in FAMILIES for text in words_of(name)}
    assert len(set(words_of(family))) >= 100
    for text in FAMILIES[family].held_out:
        assert not any(text.lower() in other for other in said)


@pytest.mark.parametrize(
    "phrase", [one for table in (PHRASES, DENSITY_PHRASES) for row in table.values() for one in row]
)
def test_a_phrase_says_only_its_wordings(phrase):
    rng = np.random.default_rng(1)
    every = set(wordings(phrase))
    assert {expand(phrase, rng) for _ in range(30)} <= every
    assert all(text and "[" not in text and "|" not in text and text == " ".join(text.split()) for text in every)


def test_samples_are_repeatable_and_reach_every_row_of_every_table():
    rng = np.random.default_rng(0)
    drawn = [sample(rng) for _ in range(600)]
    again = np.random.default_rng(0)
    assert drawn == [sample(again) for _ in range(600)]
    for field, table in (
        ("family", FAMILIES),
        ("palette", PALETTES),
        ("density", DENSITIES),
        ("scale", SCALES),
        ("direction", DIRECTIONS),
        ("gradient", GRADIENTS),
    ):
        assert {getattr(spec, field) for spec in drawn} == set(table)
    hybrids = [spec for spec in drawn if spec.second is not None]
    assert {spec.join for spec in hybrids} == set(JOINS)
    assert all(spec.second != spec.family for spec in hybrids)


@pytest.mark.parametrize("field", ["family", "palette", "density", "scale", "direction", "gradient"])
def test_an_unknown_name_is_refused_with_the_choices(field):
    spec = replace(Microstructure("leaf"), **{field: "granite"})
    with pytest.raises(UsageError, match=rf"{field} is 'granite'; choose one of: \w+"):
        draw(spec, 64, np.random.default_rng(0))
    with pytest.raises(UsageError, match=field):
        caption(spec, np.random.default_rng(0))


def test_half_a_hybrid_and_a_tiny_picture_are_refused():
    with pytest.raises(UsageError, match="join is None"):
        draw(Microstructure("leaf", second="web"), 64, np.random.default_rng(0))
    with pytest.raises(UsageError, match="at least 16"):
        draw(Microstructure("leaf"), 8, np.random.default_rng(0))
