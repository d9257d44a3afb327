"""The atlas is whole, sourced, and found by whatever a material is called."""

import json

import pytest

from workspace.atlas import table as book
from workspace.atlas.lookup import NAMES, lookup, nearest
from workspace.atlas.table import Material, atlas, material
from workspace.errors import DataError, UsageError


def test_at_least_a_hundred_and_fifty_materials_each_with_sources_and_lengths():
    held = atlas()
    assert len(held) >= 150
    assert all(len(one.functions) >= 2 for one in held.values())
    assert len({one.name.lower() for one in held.values()}) == len(held)
    assert len({one.group for one in held.values()}) >= 10
    for one in held.values():
        assert all(level.low <= level.high for level in one.levels)
        assert all(len(source.cite.split()) > 3 for source in one.sources)


def test_every_name_and_alias_finds_its_material():
    calls = [(call, one) for one in atlas().values() for call in (one.id, *one.calls)]
    assert len({call.lower() for call, one in calls}) >= len(calls) - len(atlas())  # an id may be the name
    for call, one in calls:
        assert material(call.upper()) == one


def test_an_unknown_material_is_one_line_with_the_nearest():
    with pytest.raises(UsageError, match="dragline"):
        material("spider dragline slik")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "entry 1: unknown key 'colour'; "),
        ({"levels": []}, "entry 1: levels: "),
        (
            {"sources": [{"key": "other2001", "cite": "Somebody 2001, A journal of things, 12, 345"}]},
            "no source is called",
        ),
    ],
)
def test_a_broken_entry_names_file_and_field(tmp_path, monkeypatch, change, words):
    whole = next(iter(atlas().values())).model_dump(mode="json")
    (tmp_path / "one.json").write_text(json.dumps([{**whole, **change}]))
    monkeypatch.setattr(book, "ENTRIES", tmp_path)
    with pytest.raises(DataError, match=f"one.json, {words}" if words.startswith("entry") else words):
        atlas.__wrapped__()


def test_an_id_is_there_once(tmp_path, monkeypatch):
    whole = next(iter(atlas().values())).model_dump(mode="json")
    assert Material.model_validate(whole)
    (tmp_path / "one.json").write_text(json.dumps([whole, whole]))
    monkeypatch.setattr(book, "ENTRIES", tmp_path)
    with pytest.raises(DataError, match="there twice"):
        atlas.__wrapped__()


KNOWN = {
    "abalone-nacre": "nacre|Mother-of-pearl|Perlmutt|перламутр|عرق اللؤلؤ|珍珠层|真珠層|Haliotis rufescens"
    "|shell of Haliotis rufescens",
    "cortical-bone": "bone|human bone|cow bone|bone tissue|natural bone|Knochen|кость|骨",
    "trabecular-bone": "spongy bone|human trabecular bone",
    "dermis": "human skin|Haut|皮肤",
    "feather-rachis": "feather|peacock feather|bird feathers|羽毛",
    "hen-eggshell": "egg shell|eggshells|Eierschale|蛋壳",
    "bamboo-culm": "bamboo|Bambus|竹子|竹|бамбук",
    "spider-dragline-silk": "spider silk|dragline silk|蜘蛛丝|クモの糸|Spinnenseide",
    "spider-orb-web": "spider web|паутина|Spinnennetz",
    "silkworm-silk": "silk|μετάξι|Bombyx mori|the silk",
    "mantis-shrimp-club": "mantis shrimp|Odontodactylus scyllarus|peacock mantis shrimp",
    "butterfly-wing-gyroid": "butterfly wings|wing of a butterfly",
    "dicot-leaf-reticulate-venation": "leaf|leaves|maple leaf|feuilles",
    "gecko-setae": "gecko foot|gecko feet",
    "spruce-wood-tracheids": "wood|pine wood|Holz",
}
UNKNOWN = """slime mold|mussel shell|cell wall|red blood cell|water bear|spyder silk|nakre|Homo sapiens|whale bone
fish bone|oak wood|bird wing|frog skin|giant squid|giant|peacock|water|human|egg|shell|clam shell
tooth|walrus tusk|seashell|tree bark|slime|mold|cactus spine|rose petal|brown bear fur
mantis|shrimp|spider eye|silk road|glass|sponge|horse hair|cashmere wool|palm leaf|banana leaf
crocodile skin|moss|lichen|feather star|muscle|cartilage|human cartilage
cells|large open cell|branching vessels|蝙蝠|🕷|'|of"""


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, row in KNOWN.items() for name in row.split("|")])
def test_a_name_of_any_tongue_means_its_material(key, name):
    found = lookup(name)
    assert found is not None and found.material.id == key


@pytest.mark.parametrize("name", UNKNOWN.replace("\n", "|").split("|"))
def test_what_shares_a_word_is_near_and_not_the_same(name):
    assert lookup(name) is None
    assert len(nearest(name).names) == 3


@pytest.mark.parametrize(
    ("name", "meant", "near"),
    [
        ("spyder silk", "spider silk", "Spider dragline silk"),
        ("nakre", "nacre", "Abalone nacre"),
        ("honycomb", "honeycomb", "Honeybee comb"),
        ("mussel shell", "", "Bivalve prismatic layer"),
        ("whale bone", "", "Cortical bone"),
    ],
)
def test_the_nearest_are_named_and_a_slip_of_the_pen_is_seen(name, meant, near):
    found = nearest(name)
    assert found.meant == meant and near in found.names


def test_every_name_belongs_to_one_material_of_the_atlas():
    said = json.loads(NAMES.read_text(encoding="utf-8"))
    assert set(said["names"]) == set(atlas())
    for key, names in said["names"].items():
        for name in names:
            found = lookup(name)
            assert found is not None and found.material.id == key, name
