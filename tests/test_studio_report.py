from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import studio
from studio.queue.claims import ledger_of
from workspace.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("scripted_studio")


def test_the_report_holds_text_and_pictures(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel | with a bar", seed=5)
    text = studio.export(run.run_id, format="md", out=tmp_path / "report.md").read_text(encoding="utf-8")
    assert run.design is not None
    assert text.startswith(f"# {run.design.title}")
    assert "> a tough panel" in text
    assert run.design.risks[0] in text
    assert "### Scientist" in text
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)\)", text)
    assert len(pictures) == len(run.images)
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0])), formats=["PNG"]).size == (64, 64)


def test_the_json_holds_everything(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    data = json.loads(studio.export(run.run_id, format="json", out=tmp_path / "run.json").read_text(encoding="utf-8"))
    assert data["brief"]["text"] == "a tough panel"
    assert data["manifest"]["seed"] == 5
    assert data["conversation"].startswith("# Conversation")
    assert run.to_json().items() <= data.items()


def test_the_zip_holds_every_file_and_nothing_else(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = studio.design("a tough panel", seed=5)
    path = studio.export(run.run_id, format="zip")
    assert path == tmp_path / f"{run.run_id}.zip"
    with zipfile.ZipFile(path) as archive:
        there = {str(file.relative_to(run.folder.parent)) for file in run.folder.rglob("*") if file.is_file()}
        assert set(archive.namelist()) == there | {f"{run.run_id}/made.json"}
        assert archive.testzip() is None
        assert archive.read(f"{run.run_id}/design.json") == (run.folder / "design.json").read_bytes()
    first = path.read_bytes()
    assert studio.export(run.run_id, format="zip").read_bytes() == first


def test_an_unfinished_run_can_be_exported(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    assert "waiting" in studio.export(run.run_id, format="md", out=tmp_path).read_text(encoding="utf-8")


def test_an_unknown_format_is_refused_with_the_choices(home: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'docx'; choices: html, json, md, pdf, prov, zip"):
        studio.export("x", format="docx")


HOSTILE = "a <script>alert(1)</script> ![x](http://127.0.0.1:9/x.png) [link](javascript:1) panel"


def test_a_report_holds_no_markup_of_a_stranger(home: Path, tmp_path: Path) -> None:
    from markdown_it import MarkdownIt

    run = studio.design(HOSTILE, seed=5)
    text = studio.export(run.run_id, format="md", out=tmp_path / "report.md").read_text(encoding="utf-8")
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', html) == []
    assert "alert(1)" in html  # it is told, as text


@pytest.mark.parametrize("format", ["zip", "md"])
def test_a_picture_that_is_a_link_or_another_is_not_exported(home: Path, tmp_path: Path, format: str) -> None:
    run = studio.design("a tough panel", seed=5)
    picture = run.images[0].path
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture.read_bytes())
    picture.unlink()
    picture.symlink_to(secret)
    with pytest.raises(DataError, match="is a link"):
        studio.export(run.run_id, format=format, out=tmp_path / "out")
    picture.unlink()
    picture.write_bytes(b"another")
    with pytest.raises(DataError, match="not what was made"):
        studio.export(run.run_id, format=format, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["design.json", "brief.json", "events.jsonl", "conversation.md"])
def test_a_file_that_is_a_link_is_not_exported(home: Path, tmp_path: Path, name: str) -> None:
    run = studio.design("a tough panel", seed=5)
    (tmp_path / "other").write_bytes((run.folder / name).read_bytes())
    (run.folder / name).unlink()
    (run.folder / name).symlink_to(tmp_path / "other")
    with pytest.raises(DataError, match="is a link"):
        studio.export(run.run_id, format="zip", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("design.json", "[" * 100_000),
        ("design.json", "[5]"),
        ("prompts.json", "[5]"),
        ("critiques.json", '{"a": 1}'),
        ("critiques.json", "[[]]"),
        ("manifest.json", "[1]"),
        ("manifest.json", '{"rounds": {}}'),
        ("manifest.json", '{"seconds": "long"}'),
        ("design.json", "\ufffe"),
    ],
)
def test_a_damaged_file_is_one_line(home: Path, name: str, content: str) -> None:
    run = studio.design("a tough panel", seed=5)
    (run.folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as told:
        studio.open_run(run.run_id)
    assert "\n" not in str(told.value)
    assert len(studio.list_runs()) == 1


def test_a_bad_line_among_the_events_refuses_nothing(home: Path, tmp_path: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    log = run.folder / "events.jsonl"
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([*lines[:2], b"{}", b"\xff\xfe", *lines[3:]]))
    again = studio.open_run(run.run_id)
    assert again.design == run.design and "left out: 2" in again.message
    for format in ("md", "json", "zip"):
        assert studio.export(run.run_id, format=format, out=tmp_path / format).is_file()
    assert any(event.type == "notice" and "line 3" in event.text for event in studio.watch(run.run_id))
    assert studio.replay(run.run_id).identical


def test_a_run_that_cannot_be_compared_is_not_made_again(home: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    (run.folder / "design.json").write_text("[5]")
    with pytest.raises(DataError):
        studio.replay(run.run_id)
    assert len(studio.list_runs()) == 1


@pytest.mark.parametrize("column", ["settings", "brief"])
@pytest.mark.parametrize("content", ["{}", "[]", "{half", "5"])
def test_a_damaged_row_does_not_end_the_list(home: Path, column: str, content: str) -> None:
    run = studio.design("a tough panel", seed=5)
    other = studio.design("another panel", seed=5)
    with ledger_of(home) as ledger, ledger.write() as connection:
        connection.execute(f"UPDATE runs SET {column} = ? WHERE run_id = ?", (content, run.run_id))
        connection.execute("UPDATE jobs SET payload = '{half' WHERE job_id = ?", (run.run_id,))
    assert {row.run_id for row in studio.list_runs()} == {run.run_id, other.run_id}
    assert len(studio.list_jobs()) == 2
    try:
        studio.open_run(run.run_id)
    except DataError as error:
        assert "\n" not in str(error)


def test_a_ledger_may_not_name_files_elsewhere(home: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    with ledger_of(home) as ledger, ledger.write() as connection:
        connection.execute("UPDATE artifacts SET path = '../../ledger.db' WHERE path = 'images/01.png'")
    with pytest.raises(DataError, match=r"\.\./\.\./ledger\.db"):
        studio.open_run(run.run_id)


def test_reading_needs_no_writing(home: Path) -> None:
    run = studio.design("a tough panel", seed=5)
    with ledger_of(home) as ledger, ledger.write():  # somebody writes for long
        assert [row.run_id for row in studio.list_runs()] == [run.run_id]
        assert studio.open_run(run.run_id).design is not None
        assert [event.type for event in studio.watch(run.run_id)][-1] == "run_finished"
        assert studio.open_job(run.run_id).state == "finished"
