"""Where a model comes from, by catalogue and cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.evaluation.lineage import lineage, merge_record
from training.evaluation.results import MergeRecord
from workspace.errors import DataError


def _variant(home: Path, name: str, **card: Any) -> Path:
    folder = home / "variants" / name
    folder.mkdir(parents=True)
    (folder / "variant.json").write_text(json.dumps({"name": name, **card}), encoding="utf-8")
    return folder


def test_a_chain_of_stages_and_a_merge_of_it(tmp_path: Path) -> None:
    base = "smollm2-135m-instruct"
    _variant(tmp_path, "a-cpt", parent=base, stage="cpt")
    _variant(tmp_path, "a-sft", parent="a-cpt", stage="sft")
    merged = _variant(tmp_path, "a-slerp", parents=f"{base}, a-sft", stage="merge")
    record = MergeRecord(name="a-slerp", method="slerp", parents=(base, "a-sft"))
    (merged / "merge.json").write_text(record.model_dump_json(), encoding="utf-8")
    untuned = lineage(base, tmp_path)
    assert (untuned.family, untuned.start, untuned.stages) == ("smollm2-135m", "instruct", ())
    assert untuned.pretraining_tokens == 2.0
    tuned = lineage("a-sft", tmp_path)
    assert (tuned.family, tuned.start, tuned.stages, tuned.parents) == (
        "smollm2-135m",
        "instruct",
        ("cpt", "sft"),
        ("a-cpt",),
    )
    found = lineage("a-slerp", tmp_path)
    assert found.stages == ("cpt", "sft", "slerp")
    assert found.parents == (base, "a-sft")
    assert merge_record("a-slerp", tmp_path) == record
    assert merge_record("a-sft", tmp_path) is None


def test_what_was_kept_after_an_epoch(tmp_path: Path) -> None:
    kept = tmp_path / "training" / "a-cpt" / "epochs" / "1.5"
    kept.mkdir(parents=True)
    card = {"name": "a-cpt", "parent": "smollm2-135m-instruct", "stage": "cpt", "epoch": 1.5}
    (kept / "variant.json").write_text(json.dumps(card), encoding="utf-8")
    found = lineage("a-cpt-epoch-1.5", tmp_path)
    assert (found.epoch, found.stages, found.family) == (1.5, ("cpt",), "smollm2-135m")


def test_of_what_is_not_known_nothing_is_said(tmp_path: Path) -> None:
    for name in ("elsewhere", "lamm-llama-3.1-8b-cpt-sft-dpo"):
        found = lineage(name, tmp_path)
        assert (found.family, found.start, found.stages, found.parents) == ("", "", (), ())
    _variant(tmp_path, "round", parent="round", stage="sft")
    assert lineage("round", tmp_path).start == ""
    (tmp_path / "variants" / "round" / "variant.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot read"):
        lineage("round", tmp_path)
    merged = _variant(tmp_path, "m", stage="merge")
    (merged / "merge.json").write_text('{"name": 1}', encoding="utf-8")
    with pytest.raises(DataError, match=r"merge\.json"):
        merge_record("m", tmp_path)
