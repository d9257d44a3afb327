"""Grids: every combination in a fixed order under a lasting id, wrong values named before anything is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from studio.batching.briefs import read_items
from studio.batching.shapes import Fault, Item
from studio.runs.request import DesignOptions
from workspace.errors import DataError

GRID = """
brief: A tough panel that joins {{ first }} and {{ second }}
inspirations:
  - [spider silk, nacre]
  - [leaf venation, wood; bone]
program: [relate-and-design]
seed: [1, 2]
images: 3
"""


def read(tmp_path: Path, text: str, name: str = "grid.yaml", **how: Any) -> tuple[list[Item], list[Fault], list[str]]:
    path = tmp_path / name
    path.write_text(text)
    told: list[str] = []
    found = list(read_items([path], **how, tell=lambda event: told.append(event.text)))
    return [one for one in found if isinstance(one, Item)], [one for one in found if isinstance(one, Fault)], told


def test_every_combination_in_order(tmp_path: Path) -> None:
    items, faults, told = read(tmp_path, GRID)
    assert not faults and not told
    sources = [("spider silk", "leaf venation"), ("spider silk", "wood", "bone"), ("nacre", "leaf venation"),
               ("nacre", "wood", "bone")]  # fmt: skip
    assert [(item.options.inspirations, item.options.seed) for item in items] == [
        (names, seed) for names in sources for seed in (1, 2)
    ]
    assert items[2].brief == "A tough panel that joins spider silk and wood"
    assert {item.options.images for item in items} == {3} and [item.line for item in items] == list(range(1, 9))
    assert items[0].id.startswith("spider-silk-leaf-venation-relate-and-design-images-3-seed-1-")
    assert len({item.folder for item in items}) == 8 and items[0].folder == items[0].id


def test_a_grid_that_grows_keeps_the_items_it_had(tmp_path: Path) -> None:
    before, _, _ = read(tmp_path, GRID)
    grown = GRID.replace("[spider silk,", "[bamboo, spider silk,").replace("[1, 2]", "[3, 1, 2]")
    after = {item.id: item for item in read(tmp_path, grown)[0]}
    assert len(after) == 18
    assert all(after[item.id].content == item.content for item in before)


def test_one_list_is_each_name_in_turn_and_json_is_read_too(tmp_path: Path) -> None:
    grid = {"brief": ["A tough panel", "A light shell of {{ inspirations[0] }}"], "inspirations": ["silk", "nacre"]}
    items, _, _ = read(tmp_path, json.dumps(grid), "some.grid.json", defaults=DesignOptions(rounds=2))
    assert [(item.brief, item.options.inspirations) for item in items] == [
        ("A tough panel", ("silk",)), ("A tough panel", ("nacre",)),
        ("A light shell of silk", ("silk",)), ("A light shell of nacre", ("nacre",)),
    ]  # fmt: skip
    assert {item.options.rounds for item in items} == {2}
    assert len({item.id for item in items}) == 4
    [item] = read(tmp_path, "brief: A tough panel")[0]
    assert item.options == DesignOptions()


def test_the_same_name_twice_is_left_out_and_told(tmp_path: Path) -> None:
    names = "[silk, nacre, bone]"
    grid = f"brief: A panel of {{{{ first }}}}\ninspirations: [{names}, {names}]\nseed: [1, 2]"
    items, _, told = read(tmp_path, grid)
    assert len(items) == 12
    assert "6 combinations name an inspiration twice" in told[0]
    with pytest.raises(DataError, match="none of its 1 combinations"):
        read(tmp_path, "brief: A panel\ninspirations: [[silk], [Silk]]")


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        ("", "is no grid: it holds no keys"),
        ("- a", "is no grid"),
        ("brief: [a", "cannot read"),
        ("brief: A panel\nbrief: A shell", "the key 'brief' stands twice"),
        ("breif: A panel", "unknown key 'breif'; did you mean 'brief'"),
        ("brief: A panel\nid: [a]", "unknown key 'id'"),
        ("brief: A panel\nprofile: gpu", "unknown key 'profile'"),
        ("inspirations: [silk]", "there is no brief"),
        ("brief: []", "brief holds nothing"),
        ("brief: [A panel, '']", "brief holds nothing in one place"),
        ("brief: 5", "brief: it is 5, not text"),
        (
            "brief: A {{ third }}\ninspirations: [silk]",
            "brief, line 1: undefined variable 'third'; choices: first, inspirations, second",
        ),
        ("brief: A {{ second }}\ninspirations: [silk]", "brief, line 1: 'second' is undefined"),
        ("brief: [A panel, 'A {{ first']\ninspirations: [silk]", "brief 2, line 1: "),
        ("brief: A panel\ninspirations: [silk, [nacre]]", "holds names and lists of names"),
        ("brief: A panel\ninspirations: [[silk, 5]]", "inspirations: it is 5, not text"),
        ("brief: A panel\ninspirations: ['silk (']", "unclosed bracket"),
        ("brief: A panel\ninspirations: [[aa;bb;cc;dd], [ee;ff;gg]]", "7 inspirations given; at most 6"),
        ("brief: A panel\nseed: [1, 2, -3]", "seed must be 0 to"),
        ("brief: A panel\nseed: [1, 2, '1.0']", "seed holds '1.0' twice"),
        ("brief: [A panel, A panel]", "brief holds 'A panel' twice"),
        ("brief: A panel\nimages: many", "images: it is .*not a whole number"),
        ("brief: A panel\nprogram: [nothing]", "unknown program 'nothing'"),
        ("brief: x", "the brief's text: is shorter"),
    ],
)
def test_a_wrong_grid_is_refused_before_it_begins(grid: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(grid)
    with pytest.raises(DataError, match=why) as caught:
        next(iter(read_items([tmp_path / "grid.yaml"])))
    assert "\n" not in str(caught.value) and "grid.yaml" in str(caught.value)


def test_a_grid_too_large_is_refused(tmp_path: Path) -> None:
    seeds = ", ".join(map(str, range(4000)))
    sizes = ", ".join(str(16 * step) for step in range(4, 129))
    images = ", ".join(map(str, range(1, 65)))
    grid = f"brief: A panel\nseed: [{seeds}]\nsize: [{sizes}]\nimages: [{images}]"
    with pytest.raises(DataError, match="32,000,000 combinations; at most 10,000,000"):
        read(tmp_path, grid)


def test_a_combination_whose_brief_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    grid = "brief: A panel of {{ inspirations[1] }}\ninspirations: [silk; nacre, bone]"
    items, faults, _ = read(tmp_path, grid)
    assert [item.line for item in items] == [1] and [fault.line for fault in faults] == [2]


VALUE = st.integers(0, 9) | st.text(max_size=6)
AXES = st.dictionaries(
    st.sampled_from(["program", "images", "seed", "model", "inspirations", "brief", "x"]),
    st.none() | st.booleans() | VALUE | st.lists(VALUE, max_size=3),
    max_size=5,
)


@given(AXES)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_grid_is_read_or_refused(tmp_path: Path, axes: dict[str, Any]) -> None:
    try:
        items, faults, _ = read(tmp_path, json.dumps({"brief": "A tough panel"} | axes))
    except DataError as refused:
        assert "\n" not in str(refused)
    else:
        assert items and not faults
