"""Every command in the README is run, in the order in which a reader would run it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Commands whose whole work other tests or CI do; here only their target or help is checked.
ELSEWHERE = {"studio ui", "studio models fetch --embedded"}


def commands() -> list[str]:
    """The lines that start with ``$`` in the README's console blocks, without comments."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.S)
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line[2:].partition("  #")[0].strip() for line in joined.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+", " ", line) for line in lines]


def test_the_readme_shows_commands() -> None:
    found = commands()
    assert "make demo" in found and "make test" in found
    assert any(line.startswith("studio design") for line in found)
    known = ("make ", "studio ", "python -m training.", "git clone ", "cd ")
    assert [line for line in found if not line.startswith(known)] == []


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    plan = subprocess.run([*shlex.split(line), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.timeout(2400)
def test_studio_commands_run_as_they_stand(embedded_home: Path, tmp_path: Path) -> None:
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    (tmp_path / "training").symlink_to(ROOT / "training")
    run = ""
    for line in commands():
        if not line.startswith(("studio ", "python ")):
            continue
        words = shlex.split(line if line not in ELSEWHERE else f"{line} --help")
        words = [run if word == "RUN" else word.replace("~", str(tmp_path)) for word in words]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if words[1] == "design":
            run = sorted(path.name for path in (embedded_home / "runs").iterdir())[-1]
