"""The catalogue table is sound: every model comes from somewhere, and names resolve."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from models.catalogue.fetch import verify
from models.catalogue.table import EMBEDDED, MODELS, Model, find
from workspace.errors import UsageError


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.id)
def test_every_row_is_sound(model: Model) -> None:
    assert MODELS[model.id] is model and re.fullmatch(r"[a-z0-9.-]+", model.id)
    assert model.hub or model.wheel or model.shipped
    assert model.parameters > 0 and (model.size_bytes > 0 or model.shipped) and model.licence
    assert model.hub is None or re.fullmatch(r"[\w.-]+/[\w.-]+", model.hub)
    assert (model.kind == "adapter") <= (model.base is not None) <= (model.kind in ("adapter", "vision"))
    if model.base:
        assert find(model.base).kind in ("painter", "chat")
    for pattern in model.hub_files:
        assert PurePosixPath(pattern).suffix not in {".py", ".bin", ".pt", ".pth", ".pkl", ".ckpt"}
    if model.wheel:
        assert re.fullmatch(r"[0-9a-f]{64}", model.wheel.sha256)
        assert re.fullmatch(r"[0-9a-f]{64}", model.wheel.file_sha256)
        assert model.wheel.size_bytes == model.size_bytes


def test_ids_are_unique_and_the_embedded_models_need_no_hub() -> None:
    assert len({model.id for model in MODELS.values()}) == len(MODELS)
    assert {find(name).kind for name in EMBEDDED} == {"chat", "embedding", "painter"}
    assert all(find(name).wheel or find(name).shipped for name in EMBEDDED)


@pytest.mark.parametrize("kind", ["chat", "vision", "embedding", "painter", "adapter"])
def test_there_is_a_choice_of_every_kind(kind: str) -> None:
    assert [model for model in MODELS.values() if model.kind == kind]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'flux\.1-dev'"):
        find("flux1-dev")


@pytest.mark.parametrize("name", sorted(model.id for model in MODELS.values() if model.shipped))
def test_every_shipped_model_is_as_its_manifest_says(name: str, home: Path) -> None:
    assert verify(name, home) == []
