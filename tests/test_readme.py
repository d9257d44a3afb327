"""README and the pages under docs/: their commands run, their examples hold, their links lead somewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.fixtures_chat import ScriptedServer
from tests.fixtures_merging import changed
from tests.test_training_judging import REMARKS, marks
from ui.terminal.generate import Asked

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LOGS = [ROOT / "docs" / "log.md", *sorted((ROOT / "docs" / "log").glob("*.md"))]
GUIDES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path not in LOGS]
# In the order in which a reader would go: the one that makes a design first.
PAGES = [README, *sorted(GUIDES, key=lambda path: (path.name != "designing.md", path.name)), ROOT / "CONTRIBUTING.md"]
EVERYTHING = [*PAGES, *LOGS, *DECISIONS, ROOT / "CHANGELOG.md"]
# Commands whose whole work other tests or CI do; here only their help is asked for.
# (Those of merging: below, on tiny models.)
ELSEWHERE = (
    "studio ui",
    "studio users",
    "studio models fetch",
    "studio train run tiny",
    "studio train merge",
    "studio train evaluate",
    "studio train judge",
    "studio train report",
    "python benchmarks/",
)
MERGING = ROOT / "docs" / "merging.md"
# What its commands are given beside, so that a test need not wait for a whole conversation or thousands of questions.
SHORTER = {
    "studio train merge": (),
    "studio train evaluate": ("--limit", "20"),
    "studio train judge": ("--max-tokens", "16", "--workers", "1"),
    "studio train report --out": ("--no-figures",),
    "studio train report": (),
}
KNOWN = ("make ", "studio ", "python -m training.", "python benchmarks/")


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")))


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's fenced blocks of a language."""
    return [token.content for token in tokens(page) if token.type == "fence" and token.info == language]


def commands(page: Path) -> list[str]:
    """The lines that start with ``$`` in a page's console blocks, without comments."""
    joined = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    lines = [line[2:].partition("  #")[0].strip() for line in joined.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+", " ", line) for line in lines]


def inline(page: Path) -> list[Token]:
    """What stands within a page's paragraphs, headings and cells."""
    return [child for token in tokens(page) for child in token.children or () if token.type == "inline"]


def links(page: Path) -> list[str]:
    found = [token.attrGet("href") or token.attrGet("src") for token in inline(page)]
    return [str(target) for target in found if target]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    told = tokens(page)
    texts = [told[place + 1].children or [] for place, token in enumerate(told) if token.type == "heading_open"]
    heads = ["".join(child.content for child in children).lower() for children in texts]
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in heads}


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def test_the_pages_show_commands() -> None:
    assert commands(README) == ["make demo", "make test"]
    shown = [line for page in PAGES for line in commands(page)]
    for begin in (
        "studio design ",
        "studio train run ",
        "studio train corpus ",
        "studio train image-lora ",
        "studio ui",
    ):
        assert any(line.startswith(begin) for line in shown), f"no page shows {begin}"
    assert [line for line in shown if not line.startswith(KNOWN)] == []


@pytest.mark.parametrize(
    "line", sorted({line for page in PAGES for line in commands(page) if line.startswith("make ")})
)
def test_make_targets_exist(line: str) -> None:
    plan = subprocess.run([*shlex.split(line), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr


def _lay_out(page: Path, folder: Path) -> None:
    """Write the examples of a page whose first line names a YAML file."""
    for text in blocks(page, "yaml"):
        if named := re.match(r"# ([\w-]+\.yaml)\n", text):
            (folder / named[1]).write_text(text, encoding="utf-8")


def _words(line: str, run: str, home: Path) -> list[str]:
    words = shlex.split(f"{line} --help" if line.startswith(ELSEWHERE) else line)
    return [run if word == "RUN" else word.replace("~", str(home)) for word in words]


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.timeout(2400)
def test_commands_run_as_they_stand(embedded_home: Path, tmp_path: Path, subtests: pytest.Subtests) -> None:
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for folder in ("training", "benchmarks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    run = ""
    for page in PAGES:
        _lay_out(page, tmp_path)
        with subtests.test(page=page.name):
            for line in commands(page):
                if line.startswith("make "):
                    continue
                words = _words(line, run, tmp_path)
                done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                if words[:2] == ["studio", "design"]:
                    run = sorted(path.name for path in (embedded_home / "runs").iterdir())[-1]


@pytest.fixture
def merging_home(home: Path, family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models of docs/merging.md, tiny, and its file of questions; jobs are done where they are asked for."""
    stages = {"demo-cpt-sft": "sft", "demo-cpt-sft-dpo": "dpo", "demo-cpt-sft-orpo": "orpo"}
    changed(family / "base", home / "models" / "smollm2-135m-instruct", max_position_embeddings=4096)
    for source, (name, stage) in zip(("one", "two", "three"), stages.items(), strict=True):
        folder = changed(family / source, home / "variants" / name, max_position_embeddings=4096)
        card = {"name": name, "parent": name.rpartition("-")[0] if stage != "sft" else "smollm2-135m-instruct"}
        (folder / "variant.json").write_text(json.dumps(card | {"stage": stage}), encoding="utf-8")
    (tmp_path / "questions.csv").write_text(blocks(MERGING, "csv")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    made: list[Any] = []

    def queued(asked: Asked, subject: Any) -> str:
        made.append(asked.verb(subject, **asked.given))
        return str(len(made) - 1)

    monkeypatch.setattr("ui.terminal.training.queued", queued)
    monkeypatch.setattr("ui.terminal.training.follow", lambda *_, **__: None)
    monkeypatch.setattr("ui.terminal.training.finished", lambda job: made[int(job)].model_dump(mode="json"))
    return home


def test_commands_of_merging_run_on_tiny_models(
    merging_home: Path, openai_server: ScriptedServer, capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    from ui.cli import main

    openai_server.script = [marks(5, 6), marks(6, 5), marks(5, 6), marks(6, 5), REMARKS]
    shown: dict[str, str] = {}
    for line in commands(MERGING):
        begin = next(begin for begin in SHORTER if line.startswith(begin))
        words = [*shlex.split(line.replace("http://127.0.0.1:8000/v1", openai_server.url)), *SHORTER[begin]]
        words = ["tiny" if word == "NAME" else word for word in words]
        with subtests.test(command=line):
            code = main(words[1:])
            told = capsys.readouterr()
            assert code == 0, told.err
            shown[line] = told.out
    plan, made, *_ = [text for line, text in shown.items() if "--name demo-slerp" in line]
    assert "t = 0 is smollm2-135m-instruct, t = 1 is demo-cpt-sft" in plan and "tensors by slerp" in made
    assert {"demo-slerp", "demo-g", "demo-ta"} < {path.name for path in (merging_home / "variants").iterdir()}
    asked = next(text for line, text in shown.items() if "--task sample --task forgetting" in line)
    assert len([row for row in asked.splitlines() if row.split()[:1] == ["demo-slerp"]]) == 2
    judged = next(text for line, text in shown.items() if "--judge-server" in line)
    assert "of 40 by the judges" in judged and len(openai_server.requests) == 6
    assert "demo-slerp" in Path("report", "report.md").read_text(encoding="utf-8")
    assert Path("new-beside", "report.html").is_file() and list(Path("report", "figures").glob("published-*.svg"))


@pytest.mark.parametrize("page", names(PAGES))
def test_examples_in_python_name_what_there_is(page: str) -> None:
    import studio

    for text in blocks(ROOT / page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "studio":
                assert callable(getattr(studio, node.attr, None)), f"there is no studio.{node.attr}"


@pytest.mark.parametrize("page", names(PAGES))
def test_examples_of_settings_hold(page: str, home: Path, tmp_path: Path) -> None:
    from workspace.settings import load_settings

    for number, text in enumerate(blocks(ROOT / page, "toml")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (home / "studio.toml").write_text(text, encoding="utf-8")
        load_settings(cwd=folder)
        assert tomllib.loads(text)


def test_every_section_of_the_settings_is_told() -> None:
    from workspace.settings import Settings

    text = (ROOT / "docs" / "models-and-servers.md").read_text(encoding="utf-8")
    sections = set(Settings.model_fields) - {"home", "profile"}
    assert [name for name in sorted(sections) if not re.search(rf"^\| `\[{name}\b", text, flags=re.M)] == []


@pytest.mark.parametrize("page", names(EVERYTHING))
def test_links_and_anchors_lead_somewhere(page: str) -> None:
    for link in links(ROOT / page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.exists() and target.is_relative_to(ROOT), f"{page}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page}: {link}: no such heading in {target.name}"


@pytest.mark.parametrize("page", names([*PAGES, *DECISIONS]))
def test_paths_that_pages_name_are_there(page: str) -> None:
    folders = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    for token in inline(ROOT / page):
        if token.type == "code_inline" and re.fullmatch(rf"({folders})/[\w./-]*", token.content):
            assert (ROOT / token.content).exists(), f"{page}: {token.content} is not there"


def test_readme_leads_to_every_page() -> None:
    led = {(ROOT / link.partition("#")[0]).resolve() for link in links(README) if "://" not in link}
    assert [page.name for page in [*GUIDES, LOGS[0]] if page not in led] == []


@pytest.mark.parametrize("page", names(GUIDES))
def test_a_page_opens_with_what_its_reader_wants(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ") and not lines[1] and lines[2].startswith("You ")


def test_the_map_in_readme_is_the_folders_that_there_are() -> None:
    """A folder a line, those within it two spaces deeper; every one that can be imported, once."""
    block = README.read_text(encoding="utf-8").split("<!-- MAP -->")[1].split("```")[1]
    listed: list[str] = []
    trail: list[str] = []
    for line in block.splitlines()[1:]:
        found = re.fullmatch(r"((?:  )*)([\w-]+)/ +\S.*", line)
        assert found, f"{line!r} is no folder with what it is"
        trail[len(found[1]) // 2 :] = [found[2]]
        listed.append("/".join(trail))
    assert len(set(listed)) == len(listed)
    assert [name for name in listed if not (ROOT / name).is_dir()] == []
    there = {path.parent.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/__init__.py")}
    known = {folder.as_posix() for folder in there if folder.parts[0] != "build"}
    assert known - set(listed) == set(), "README's map does not name these folders"
