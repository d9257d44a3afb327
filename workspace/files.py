"""Files that appear whole or not at all, and locks. Knows nothing of what is in them.

A file or folder is made inside a hidden folder ``.staging-*`` beside its target, synced, then renamed into place; a
file whose bytes are known is such a hidden file itself. The maker holds a lock on what it stages, so :func:`sweep` can
tell a dead maker's leftovers from work going on.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from workspace.errors import DataError, StorageError, Unfinished
from workspace.letters import whole_letters
from workspace.progress import amount, waiting

Content = bytes | str | Callable[[Path], None]

MANIFEST = "manifest.json"
MOST_BYTES = 256_000_000
LARGE = 100_000_000
"""Bytes that may take more than a second to read."""
STAGING = ".staging-"
_TRIES = 100
_WORDS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "it is not permitted",
    errno.EIO: "the disk reports an input/output error",
    errno.EFBIG: "the file is too large",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.EISDIR: "a folder of that name is there",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its links lead in a circle",
    errno.ENXIO: "nobody reads from it",
}


@dataclass(frozen=True)
class Published:
    """What was put in place: for a folder ``sha256`` is its manifest's and ``size`` the sum of its files."""

    path: Path
    sha256: str
    size: int


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn what the disk says inside the block into a StorageError that names ``path``.

    Other OSErrors (a network's, a decoder's) pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _WORDS:
            raise
        raise StorageError(f"cannot write {path}: {_WORDS[error.errno]}") from error


def publish(target: Path, write: Content) -> Published:
    """Make ``target`` appear whole, replacing what was there, or not at all.

    Args:
        target: The file or folder to make; missing parents are made.
        write: The content, or a function that is given a path of the same name to make (a file or a folder). A folder
            gets a manifest of its files' sha256 unless it brings one.

    Raises:
        StorageError: If the disk refuses.
    """
    if not callable(write):
        return _publish_bytes(target, whole_letters(write).encode() if isinstance(write, str) else write)
    (published,) = publish_all(target.parent, {target.name: write})
    return published


def _publish_bytes(target: Path, content: bytes) -> Published:
    with disk(target):
        _make_folder(target.parent)
        with _staging(target.parent, _new_file) as (staged, handle):
            with open(handle, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(handle)
            os.replace(staged, target)
            _sync(target.parent)
    return Published(target, hashlib.sha256(content).hexdigest(), len(content))


def publish_all(folder: Path, contents: Mapping[str, Content]) -> list[Published]:
    """Publish several files or folders at once, which syncs the disk about half as often; each appears whole or not.

    Args:
        folder: Where they go; made if need be.
        contents: What to write, as for :func:`publish`, by path relative to ``folder``.
    """
    targets = [folder / name for name in contents]
    with disk(folder):
        _make_folder(folder)
        with _staging(folder, _new_folder) as (staging, _):
            staged = [_staged(staging / name, folder / name, write) for name, write in contents.items()]
            for target, published in zip(targets, staged, strict=True):
                with disk(target):
                    _make_folder(target.parent)
                    _replace(published.path, target)
            for parent in {target.parent for target in targets}:
                _sync(parent)
    return [replace(published, path=target) for target, published in zip(targets, staged, strict=True)]


def _staged(path: Path, target: Path, write: Content) -> Published:
    with disk(target):
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(write):
            write(path)
        else:
            path.write_bytes(whole_letters(write).encode() if isinstance(write, str) else write)
        if not path.exists():
            raise StorageError(f"nothing was written for {target}")
        return _sealed(path, target)


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below ``folder`` by relative path, without the manifest and hidden entries."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return {name.as_posix(): sha256(folder / name) for name in visible if name.as_posix() != MANIFEST}


def verify(folder: Path, *, unlisted_ok: bool = False) -> list[str]:
    """Compare ``folder`` with its manifest and return what is wrong, one line a file; empty when all is well.

    Args:
        folder: A published folder. The manifest is a JSON object whose ``files`` maps relative paths to sha256.
        unlisted_ok: Whether files the manifest does not name are no problem.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_bytes())["files"]
        expected = {str(name): str(digest) for name, digest in listed.items()}
    except OSError:
        return [f"{folder / MANIFEST} cannot be read"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{folder / MANIFEST} is no manifest"]
    found = hashes(folder)
    problems = [f"{folder / name} is missing" for name in expected.keys() - found.keys()]
    problems += [
        f"{folder / name} has changed: sha256 {found[name]}, the manifest says {expected[name]}"
        for name in expected.keys() & found.keys()
        if found[name] != expected[name]
    ]
    if not unlisted_ok:
        problems += [f"{folder / name} is not in the manifest" for name in found.keys() - expected.keys()]
    return sorted(problems)


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, and say so of one that takes a while."""
    size = path.stat().st_size
    with path.open("rb") as file, waiting(f"checking {path.name}, {amount(size)}") if size > LARGE else nullcontext():
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_inside(folder: Path, name: str, *, sha256: str | None = None, most: int = MOST_BYTES) -> bytes:
    """Read a file that lies in a folder, through no link on the way.

    Args:
        folder: The folder.
        name: The file's path within it, with slashes.
        sha256: What the file has to be.
        most: Bytes that it may have.

    Raises:
        DataError: The name leads out of the folder or over a link, the file is no plain one, is too large, cannot be
            read, or is another than it was.
    """
    parts = PurePosixPath(name).parts
    path = folder.joinpath(*parts)
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise DataError(f"{name!r} leads out of {folder}")
    try:
        if any(one.is_symlink() for one in [path, *path.parents][: len(parts)]):
            raise DataError(f"{path} is a link; only what lies in {folder} is read")
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            kind = os.fstat(handle)
            if not stat.S_ISREG(kind.st_mode) or kind.st_size > most:
                raise DataError(f"{path} is no file of at most {most:,} bytes")
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path} is not what was made: its sha256 is another")
    return content


def sweep(folder: Path, *, deep: bool = True) -> list[Path]:
    """Remove what makers that no longer live left half done; return what was removed.

    Args:
        folder: Where it is looked for.
        deep: Whether anywhere below, or in the folder itself alone.
    """
    found = []
    for parent, names, files in os.walk(folder):  # which passes over what goes away meanwhile
        found += [Path(parent, name) for name in names + files if name.startswith(STAGING)]
        names[:] = [name for name in names if deep and not name.startswith(STAGING)]
    return [staging for staging in sorted(found) if _swept(staging)]


def _swept(staging: Path) -> bool:
    try:
        handle = os.open(staging, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:  # finished meanwhile
        return False
    try:
        lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, staging)
        if not _same(handle, staging):
            return False
        with disk(staging):
            if staging.is_dir():
                shutil.rmtree(staging)
            else:
                staging.unlink()
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def probe(folder: Path) -> None:
    """Make ``folder`` if need be and prove that it can be written to and locked; StorageError if not."""
    with disk(folder):
        _make_folder(folder)
        with _staging(folder, _new_file) as (_, handle), open(handle, "wb", closefd=False) as file:
            file.write(bytes(65536))
            lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, folder)


def lock(handle: int, how: int, path: Path) -> None:
    """Lock an open file.

    Raises:
        BlockingIOError: Another has it, and ``how`` says not to wait.
        StorageError: The file system has no locks.
    """
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be locked: {error.strerror}", hint="set STUDIO_HOME to a folder on a local disk"
        ) from error


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` within the block; it is removed afterwards and freed when the process dies.

    Raises:
        Unfinished: If another holder has it.
    """
    with disk(path):
        _make_folder(path.parent)
        handle = _locked(path)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
            if _same(handle, path):
                return handle
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise Unfinished(f"{path.parent.name} is held by process {holder or 'unknown'}") from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder removed the file just before the lock came free


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _staging(parent: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """A new hidden file or folder in ``parent``, locked, with its handle; what is left of it goes afterwards."""
    for _ in range(_TRIES):
        staged = parent / f"{STAGING}{secrets.token_hex(6)}"
        try:
            handle = make(staged)
        except FileNotFoundError:  # swept before it was opened
            continue
        with suppress(StorageError):  # where nothing can be locked nothing is swept either
            lock(handle, fcntl.LOCK_EX, staged)
        if _same(handle, staged):
            break
        os.close(handle)  # swept before it was locked
    else:
        raise StorageError(f"cannot write into {parent}: no file stays there")
    try:
        yield staged, handle
    finally:
        if make is _new_folder:
            shutil.rmtree(staged, ignore_errors=True)
        else:
            staged.unlink(missing_ok=True)
        os.close(handle)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _sealed(staged: Path, target: Path) -> Published:
    """Write the manifest of a folder and sync everything staged."""
    if not staged.is_dir():
        _sync(staged)
        return Published(staged, sha256(staged), staged.stat().st_size)
    manifest = staged / MANIFEST
    if not manifest.exists():
        manifest.write_text(json.dumps({"files": hashes(staged)}, indent=1) + "\n")
    size = 0
    for path in [*staged.rglob("*"), staged]:
        if path.is_symlink():
            raise DataError(f"{path.relative_to(staged)} in {target} is a link; only files and folders are kept")
        size += path.stat().st_size if path.is_file() else 0
        _sync(path)
    return Published(staged, sha256(manifest), size)


def _replace(staged: Path, target: Path) -> None:
    if not (target.is_dir() and staged.is_dir()):
        os.replace(staged, target)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE: the old folder ends up in staging and goes with it
    if libc.renameat2(here, os.fsencode(staged), here, os.fsencode(target), exchange) != 0:
        code = ctypes.get_errno()
        raise StorageError(f"cannot replace the folder {target}: {os.strerror(code)}", hint="remove it first")


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        pass
    except FileNotFoundError as error:  # its parent is there: a file system, such as /proc, that takes no folders
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(folder)) from error
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
