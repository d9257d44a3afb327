"""The training verbs of the front door: what they name is looked for before anything is queued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import studio
from workspace.errors import StudioError

pytest_plugins = ["tests.fixtures_flux", "tests.fixtures_local"]


@pytest.mark.parametrize(
    ("verb", "subject", "options", "why"),
    [
        ("train_corpus", ["nowhere"], {}, "nowhere is not there"),
        ("train_corpus", ["empty"], {}, "no papers in empty"),
        ("train_corpus", ["a.docx"], {}, "a.docx: .docx are not read"),
        ("train_corpus", ["paper.md"], {"benchmarks": (Path("nowhere"),)}, "cannot read the benchmark nowhere"),
        ("train_corpus", ["paper.md"], {"out": Path("paper.md")}, "part of the path is a file"),
        ("train_corpus", ["paper.md"], {"topic": "silk"}, "model all-minilm-l6-v2 is not on this machine"),
        ("train_distil", "nowhere", {}, "nowhere is not there"),
        ("train_distil", "empty", {}, "empty/passages.jsonl is not there"),
        ("train_distil", "paper.md", {}, "paper.md, line 1: Invalid JSON"),
        ("train_distil", "passages.jsonl", {"model": "nosuch"}, "unknown model 'nosuch'"),
        ("train_distil", "passages.jsonl", {"out": Path("paper.md")}, "part of the path is a file"),
        ("train_image_lora", "nowhere.yaml", {}, "nowhere.yaml is not there"),
        ("train_image_lora", "base.yaml", {}, "unknown model 'nosuch'"),
        ("train_image_lora", "pictures.yaml", {}, "gone is no folder of pictures"),
        ("train_recipe", "nosuch", {}, "unknown recipe 'nosuch'"),
        ("train_recipe", "empty", {}, "cannot read empty"),
        ("train_recipe", "tiny", {"launch": "accelerate", "config": "nosuch"}, "unknown config 'nosuch'"),
        ("train_recipe", "tiny", {"launch": "accelerate", "config": "paper.md"}, "no configuration of accelerate"),
        ("train_recipe", "base-gone.yaml", {}, "unknown model 'nosuch'"),
        ("train_recipe", "rows-gone.yaml", {}, "cannot read .*nowhere.jsonl"),
        ("train_recipe", "rows-odd.yaml", {}, "no field 'chosen'"),
        ("train_recipe", "papers-gone.yaml", {}, "nowhere is not there"),
        ("fetch_models", ["nosuch"], {}, "unknown model 'nosuch'"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_queued(
    verb: str,
    subject: Any,
    options: dict[str, Any],
    why: str,
    home: Path,
    flux_folder: Path,
    word_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("paper.md").write_text("# On nacre\n\nNacre is made of flat tablets.\n")
    Path("a.docx").write_bytes(b"PK")
    row = {"id": "a", "text": "Nacre is tough.", "source": {"document": "a.pdf", "page": 1}}
    Path("passages.jsonl").write_text(json.dumps(row) + "\n")
    Path("rows.jsonl").write_text('{"text": "Nacre is tough."}\n')
    for name, base in (("base", "nosuch"), ("pictures", str(flux_folder))):
        told = {"name": "leaves", "base": base, "pictures": "gone"}
        Path(f"{name}.yaml").write_text(json.dumps(told))
    stage = {"name": "s", "stage": "dpo", "data": [{"path": "nowhere.jsonl"}]}
    papers = {"name": "s", "stage": "corpus", "corpus": {"inputs": ["nowhere"]}}
    for name, base, one in (
        ("base-gone", "nosuch", stage),
        ("rows-gone", str(word_llama), stage),
        ("rows-odd", str(word_llama), stage | {"data": [{"path": "rows.jsonl"}]}),
        ("papers-gone", str(word_llama), papers),
    ):
        Path(f"{name}.yaml").write_text(json.dumps({"name": "x", "base": base, "stages": [one]}))
    if verb in ("train_corpus", "train_distil"):
        options = {"out": Path("out")} | options
    with pytest.raises(StudioError, match=why):
        getattr(studio, verb).submit(subject, **options)
    assert not (home / "ledger.db").is_file() or studio.list_jobs() == []
