"""The design that comes with Studio: entered once into a home that has none yet, so that the page has one to show.

    python -m studio.wishes.sample RUN_ID    # make the file anew from a finished run; the last line is its size

It is a run like any other from then on: it can be replayed, branched, exported, put into the bin, and stays away then.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.queue.claims import has_ledger, ledger_of
from studio.runs.record import folder_of, json_bytes
from workspace.errors import DataError, Unfinished, UsageError
from workspace.files import claim, publish, publish_all

FILE = Path(__file__).with_name("sample.zip")
ENTERED = "sample.json"
"""The file in a home that says that the design was entered there."""
_ROWS = "rows.json"
_EVENTS = "events.jsonl"
_MANIFEST = "manifest.json"
_DAY = (1980, 1, 1, 0, 0, 0)
Json = dict[str, Any]


def enter(home: Path) -> str | None:
    """Enter the design that comes with Studio into a home that never had a job.

    Returns:
        Its id; ``None`` where it was entered before, where there is work of one's own, or another enters it just now.
    """
    if (home / ENTERED).exists() or not FILE.is_file():
        return None
    try:
        with claim(home / "locks" / "sample.lock"):
            return None if (home / ENTERED).exists() or _in_use(home) else _entered(home)
    except Unfinished:
        return None


def _in_use(home: Path) -> bool:
    if not has_ledger(home):
        return False
    with ledger_of(home, reading=True) as ledger:
        return bool(ledger.read("SELECT 1 FROM jobs LIMIT 1"))


def _entered(home: Path) -> str:
    from workspace.ledger import ArtifactRow, Effect

    with zipfile.ZipFile(FILE) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    rows: Json = json.loads(files.pop(_ROWS))
    run_id: str = rows["run_id"]
    folder = folder_of(home, run_id)
    files[_EVENTS] = _moved(files[_EVENTS], str(folder))
    manifest = json.loads(files[_MANIFEST])
    manifest["files"][_EVENTS] = hashlib.sha256(files[_EVENTS]).hexdigest()
    files[_MANIFEST] = json_bytes(manifest)
    publish_all(folder, files)
    with ledger_of(home) as ledger:
        ledger.create_run(
            run_id,
            rows["brief"],
            rows["settings"],
            rows["seed"],
            str(folder),
            state="finished",
            effects=[Effect(**one) for one in rows["effects"]],
            artifacts=[ArtifactRow(**one) for one in rows["artifacts"]],
        )
    publish(home / ENTERED, json_bytes({"run_id": run_id}))
    return run_id


def _moved(events: bytes, folder: str) -> bytes:
    """A run's events, the last of which says where its files lie."""
    lines = [json.loads(line) for line in events.splitlines()]
    told = [one | {"folder": folder} if "folder" in one else one for one in lines]
    return b"".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for one in told)


def pack(run_id: str, home: Path) -> bytes:
    """The file that `enter` reads, from a finished run.

    Raises:
        UsageError: There is no such run, or it is not finished.
        DataError: A setting of it names a file of this machine.
    """
    with ledger_of(home, reading=True) as ledger:
        row, effects, artifacts = ledger.run(run_id), ledger.effects(run_id), ledger.artifacts(run_id)
    if row.status != "finished":
        raise UsageError(f"run {run_id} is {row.status}; a finished one is packed")
    folder = folder_of(home, run_id)
    rows = {
        "run_id": run_id,
        "brief": row.brief,
        "settings": row.settings,
        "seed": row.seed,
        "effects": [asdict(one) for one in effects],
        "artifacts": [asdict(one) for one in artifacts],
    }
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files[_EVENTS] = _moved(files[_EVENTS], "")
    files[_ROWS] = json_bytes(rows)
    for name, content in files.items():
        if str(home).encode() in content:
            raise DataError(f"{name} of run {run_id} names {home}")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, content in sorted(files.items()):
            packed.writestr(zipfile.ZipInfo(name, _DAY), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


if __name__ == "__main__":
    import sys

    from workspace.settings import load_settings

    print(publish(FILE, pack(sys.argv[1], load_settings().home)).size)
