"""Standard streams that are full, closed or read by nobody: one line or nothing, and a code; never a traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def studio(home: Path, line: str) -> tuple[int, str]:
    """Exit code and stderr of a shell's line, in which STUDIO stands for the program."""
    environment = {**os.environ, "STUDIO_HOME": str(home), "PYTHONPATH": str(ROOT)}
    whole = "set -o pipefail; " + line.replace("STUDIO", f"'{sys.executable}' -m ui.cli")
    told = subprocess.run(["bash", "-c", whole], env=environment, capture_output=True, text=True, check=False)
    return told.returncode, told.stderr


FULL = "error: standard output cannot be written: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("STUDIO list --json > /dev/full", 74, FULL),
        ("STUDIO --version > /dev/full", 74, FULL),
        ("STUDIO programs > /dev/full", 74, FULL),
        ("STUDIO programs 2> /dev/full", 0, ""),
        ("STUDIO show absent --json > /dev/full 2>&1", 74, ""),
    ],
)
def test_a_full_stream(home: Path, line: str, code: int, words: str) -> None:
    assert studio(home, line) == (code, words)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("STUDIO programs | true", 74, ""),
        ("STUDIO list --json >&-", 0, ""),
        ("STUDIO programs 2>&-", 0, ""),
        ("STUDIO show absent >&- 2>&-", 2, ""),
        ("STUDIO design - <&-", 2, "error: the brief is empty; say what to design\n"),
    ],
)
def test_a_closed_stream(home: Path, line: str, code: int, words: str) -> None:
    assert studio(home, line) == (code, words)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_has_not_every_letter(home: Path, encoding: str) -> None:
    assert studio(home, f"PYTHONIOENCODING={encoding} STUDIO programs") == (0, "")
    code, words = studio(home, f"PYTHONIOENCODING={encoding} STUDIO show 竹 --json | '{sys.executable}' -m json.tool")
    assert (code, words.count("\n")) == (2, 1)


def test_a_name_with_half_a_letter_is_that_of_no_job(home: Path) -> None:
    from studio.queue.claims import ledger_of
    from workspace.errors import UsageError

    with ledger_of(home) as ledger:
        for ask in (ledger.run, ledger.jobs.job):
            with pytest.raises(UsageError, match="unknown"):
                ask("ru\udcffn")
        ledger.create_run("run-1", {}, {}, 1, str(home))
        ledger.jobs.set_state("run-1", "failed", "no file caf\udce9")
        assert ledger.run("run-1").message == "no file caf\ufffd"


def test_the_ledger_is_for_its_owner_alone(home: Path) -> None:
    from workspace.database import connect

    connect(home / "ledger.db", schema="").close()
    assert (home / "ledger.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("created", "result"), [(float("inf"), "-5"), (-1e300, "[1]"), (0.0, '"told"'), (0.0, "null")])
def test_a_row_of_strange_figures_is_shown(
    home: Path, created: float, result: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from studio.queue.claims import ledger_of
    from ui.cli import main

    with ledger_of(home) as ledger:
        ledger.create_run("run-1", {}, {}, 1, str(home))
        ledger.jobs.set_state("run-1", "failed", "a word")
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as database:
        database.execute("UPDATE jobs SET created = ?, updated = ?, result = ?", (created, created, result))
    assert main(["jobs", "show", "run-1"]) == 0
    told = capsys.readouterr().out
    assert "a word" in told and (result.strip('"') in told or result == "null")
    assert main(["jobs", "list"]) == 0
