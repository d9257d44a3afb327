"""The contact sheet asks for every family and shows every picture with its prompt."""

import numpy as np
from PIL import Image

from training.embedded.microstructures.drawing import FAMILIES, PALETTES
from training.embedded.painter.contact_sheet import prompts, sheet


def test_every_family_and_palette_is_asked_for_in_both_voices():
    asked = prompts()
    assert list(asked) == list(FAMILIES)
    for name, row in FAMILIES.items():
        assert any(word in asked[name][0] for word in row.biological)
        assert any(word in asked[name][1] for word in row.geometric)
    together = " ".join(line for lines in asked.values() for line in lines)
    assert all(row.words[0] in together for row in PALETTES.values())


def test_the_sheet_shows_each_picture_enlarged_and_a_label_below():
    red, blue = Image.new("RGB", (64, 64), (200, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 200))
    page = np.asarray(sheet({"leaf": [("a leaf", red), ("another", blue)], "web": [("a web", red)]}))
    assert ((page == (200, 0, 0)).all(-1)).sum() == 2 * 192 * 192
    assert ((page == (0, 0, 200)).all(-1)).sum() == 192 * 192
    assert (page[197:212, :192] < 128).all(-1).any()
