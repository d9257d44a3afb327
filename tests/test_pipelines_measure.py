"""Pictures of known geometry are measured right."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.pictures.measure import COLOURS, measure
from training.embedded.microstructures.drawing import DENSITIES, PALETTES, Microstructure, draw
from workspace.errors import UsageError


def two_tone(mask, solid=(36, 38, 140), pore=(224, 238, 250)):
    return Image.fromarray(np.where(np.asarray(mask)[..., None], solid, pore).astype(np.uint8))


def stripes(degrees: float, period: float, share: float, size: int = 256):
    down, across = np.mgrid[:size, :size].astype(float)
    angle = np.deg2rad(degrees)
    phase = (across * np.sin(angle) + down * np.cos(angle)) / period  # rows run downwards
    return np.mod(phase, 1) < share


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 17), st.integers(9, 40), st.floats(0.25, 0.75))
@example(1, 39, 0.75)
def test_stripes_give_direction_pitch_fraction_and_thickness(tens, period, share):
    mask = stripes(tens * 10, period, share)
    found = measure(two_tone(mask), solid="dark")
    assert found.solid_fraction == pytest.approx(mask.mean())
    assert found.porosity == pytest.approx(1 - found.solid_fraction)
    assert found.orientation_degrees is not None
    assert abs((found.orientation_degrees - tens * 10 + 90) % 180 - 90) < 4
    assert found.anisotropy > 0.9
    assert found.pitch == pytest.approx(period, rel=0.15)
    assert found.thickness == pytest.approx(share * period, abs=2.2)
    assert sum(found.orientation_histogram) == pytest.approx(1)


def test_discs_are_pieces_and_their_ground_hangs_together():
    down, across = np.mgrid[:256, :256]
    discs = np.hypot(down % 64 - 32, across % 64 - 32) < 20
    apart, holes = measure(two_tone(discs), solid="dark"), measure(two_tone(discs), solid="light")
    assert (apart.pieces, apart.pores, apart.spans_across, apart.spans_down) == (16, 1, False, False)
    assert (holes.pieces, holes.pores, holes.spans_across, holes.spans_down) == (1, 16, True, True)
    assert holes.largest_piece == 1
    assert apart.anisotropy < 0.1
    assert apart.orientation_degrees is None
    assert apart.mirror_across > 0.9
    assert measure(two_tone(discs)).solid.name == "pale blue"  # what hangs together is the solid


def test_a_picture_graded_to_the_right_or_to_the_middle_says_so():
    down, across = np.mgrid[-1:1:256j, -1:1:256j]
    noise = np.random.default_rng(0).random((256, 256))
    linear = measure(two_tone(noise < 0.5 + 0.4 * across), solid="dark")
    radial = measure(two_tone(noise < 0.9 - 0.6 * np.hypot(down, across)), solid="dark")
    assert linear.density_slope > 0.4
    assert abs(linear.density_centre) < 0.1
    assert radial.density_centre > 0.3
    assert abs(radial.density_slope) < 0.1


def test_lengths_come_in_micrometres_where_the_scale_is_known():
    picture = two_tone(stripes(0, 16, 0.5))
    plain, scaled = measure(picture), measure(picture, micrometres_per_pixel=0.5)
    assert plain.pitch_micrometres is None
    assert plain.thickness_micrometres is None
    assert scaled.pitch_micrometres == pytest.approx(scaled.pitch * 0.5)
    assert scaled.thickness_micrometres == pytest.approx(scaled.thickness * 0.5)


@pytest.mark.parametrize("palette", sorted(PALETTES))
def test_the_colours_of_every_palette_are_named_and_their_order_of_density_is_seen(palette):
    fractions = []
    for density in DENSITIES:
        spec = Microstructure("honeycomb", palette=palette, density=density, scale="coarse")
        found = measure(Image.fromarray(draw(spec, 256, np.random.default_rng(1))))
        fractions.append(found.solid_fraction)
        assert all(colour.name in COLOURS for colour in found.palette)
        wanted = np.asarray(PALETTES[palette].solid)
        assert np.abs(np.asarray(found.solid.rgb) - wanted).max() < 12
    assert fractions == sorted(fractions)


def test_a_plain_picture_has_nothing_to_measure():
    found = measure(Image.new("RGB", (64, 48), (250, 243, 220)))
    assert (found.solid_fraction, found.pieces, found.pitch, found.orientation_degrees) == (0, 0, None, None)
    assert found.palette[0].name == "cream"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"solid": "grey"}, "choices: auto, dark, light"),
        ({"micrometres_per_pixel": 0.0}, "must be above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        measure(Image.new("RGB", (64, 64)), **arguments)


def test_a_tiny_picture_is_refused():
    with pytest.raises(UsageError, match="20x64; it must be at least 32"):
        measure(Image.new("RGB", (20, 64)))
