"""The atlas is whole, sourced, and found by whatever a material is called."""

import json

import pytest

from workspace import atlas as book
from workspace.atlas import Material, atlas, material
from workspace.errors import DataError, UsageError


def test_at_least_sixty_materials_each_with_sources_and_lengths():
    held = atlas()
    assert len(held) >= 60
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
