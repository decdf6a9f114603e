"""Every write, fsync and rename of ours.

A folder is whole or it is not there: it is built beside its final place, its ``manifest.json`` (size and sha256 of
every file) is written last, everything is synced, and one rename gives it its name. What libraries write goes through
the same door (``staging``). Nobody else in this project opens a file for writing; a test watches that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from desktune.errors import OutOfDisk, RunError

MANIFEST = "manifest.json"
STAGING_PREFIX = ".staging-"
_CHUNK_BYTES = 1 << 20


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never half of it."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a final newline. Raises ValueError for a number that is not finite."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole. Raises OutOfDisk."""
    _write_whole(path, [data])


def append_line(path: Path, line: str) -> None:
    """Append one line; a torn last line can only come from a power cut and is skipped by ``read_lines``."""
    with disk_errors(path), open(path, "ab") as file:
        file.write(line.encode("utf-8") + b"\n")


def write_rows(path: Path, lines: Iterable[str]) -> int:
    """Write many lines as one whole file; returns how many. Raises OutOfDisk."""
    return _write_whole(path, (line.encode("utf-8") + b"\n" for line in lines))


@contextlib.contextmanager
def open_rows(path: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that adds a line to a file, which is whole when the block ends well. Raises OutOfDisk."""
    with _whole(path) as file:

        def add(line: str) -> None:
            file.write(line.encode("utf-8") + b"\n")

        yield add


def read_lines(path: Path) -> list[Any]:
    """Return the JSON values of a file of lines, without a torn last one."""
    values = []
    for line in path.read_bytes().split(b"\n"):
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values


def keep_lines(path: Path, keep: Callable[[Any], bool]) -> None:
    """Rewrite a file of JSON lines with those that ``keep`` accepts (what a resumed run will write again goes)."""
    lines = (json.dumps(value, ensure_ascii=False) for value in read_lines(path) if keep(value))
    write_rows(path, lines)


@contextlib.contextmanager
def staging(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes ``final`` when the block ends well, and disappears when it does not.

    Args:
        final: The folder's name once it is whole.
        replace: Whether an existing ``final`` gives way (it is moved aside, then removed).

    Raises:
        RunError: ``final`` exists and ``replace`` is false.
        OutOfDisk: no space is left.
    """
    if final.exists() and not replace:
        raise RunError(f"{final}: exists already; remove it or name another folder")
    make_folder(final.parent)
    staged = final.parent / f"{STAGING_PREFIX}{final.name}-{uuid.uuid4().hex[:8]}"
    with disk_errors(final):
        staged.mkdir()
        try:
            yield staged
            _seal(staged)
            _promote(staged, final)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise


def make_folder(path: Path) -> None:
    """Create a folder and its parents.

    Raises:
        RunError: the place is not writable or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{path}: cannot be a folder ({error.strerror}); name another one with output.dir") from error


def claim_folder(path: Path) -> None:
    """Create a folder that must be new. Raises FileExistsError when somebody was faster."""
    make_folder(path.parent)
    path.mkdir()


def remove_folder(path: Path) -> None:
    """Remove a folder so that a kill in the middle leaves no half folder under a final name."""
    doomed = path.with_name(f"{STAGING_PREFIX}removed-{path.name}-{uuid.uuid4().hex[:8]}")
    os.rename(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy one file into a staging folder (``staging`` syncs it). Raises OutOfDisk."""
    with disk_errors(target):
        shutil.copyfile(source, target)


def sweep_staging(parent: Path) -> None:
    """Remove what killed processes left half-built in ``parent``. Call it only while holding the run's lock."""
    for left in parent.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a folder that ``staging`` wrote; an empty list means every byte is as written."""
    manifest_file = folder / MANIFEST
    try:
        files = json.loads(manifest_file.read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return [f"{manifest_file}: missing"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        return [f"{manifest_file}: unreadable ({error})"]
    faults = []
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{path}: missing")
        elif path.stat().st_size != expected["bytes"]:
            faults.append(f"{path}: {path.stat().st_size} bytes instead of {expected['bytes']}")
        elif sha256(path) != expected["sha256"]:
            faults.append(f"{path}: its content changed since it was written (sha256 differs)")
    return faults


def sha256(path: Path) -> str:
    """Return the hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "no space left" of any write below into OutOfDisk, with the bytes that are free."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk(_full_disk_text(path)) from error
        raise
    except Exception as error:
        if "os error 28" in str(error).lower() or "no space left" in str(error).lower():
            raise OutOfDisk(_full_disk_text(path)) from error
        raise


def need_space(folder: Path, wanted_bytes: int, purpose: str) -> None:
    """Check that ``wanted_bytes`` are free below ``folder`` (or its nearest parent that exists).

    Raises:
        OutOfDisk: they are not.
    """
    free_bytes = shutil.disk_usage(_existing_parent(folder)).free
    if free_bytes < wanted_bytes:
        raise OutOfDisk(
            f"{folder}: {purpose} needs {wanted_bytes / 2**20:.0f} MiB, {free_bytes / 2**20:.0f} MiB are free; "
            "make room or name another folder with output.dir"
        )


def _write_whole(path: Path, pieces: Iterable[bytes]) -> int:
    """Write through a temporary neighbour, fsync and rename; returns how many pieces there were.

    Raises:
        OutOfDisk: no space is left; an old file of that name stays.
    """
    count = 0
    with _whole(path) as file:
        for piece in pieces:
            file.write(piece)
            count += 1
    return count


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with disk_errors(path):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                _sync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _seal(folder: Path) -> None:
    """Write the manifest of all files, then sync files and folders, the manifest last."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    }
    for path in files:
        with open(path, "rb+") as file:
            _sync(file.fileno())
    for inner in sorted(path for path in folder.rglob("*") if path.is_dir()):
        _sync_folder(inner)
    write_json(folder / MANIFEST, {"version": 1, "files": entries})


def _promote(staged: Path, final: Path) -> None:
    if final.exists():
        aside = final.with_name(f"{STAGING_PREFIX}old-{final.name}-{uuid.uuid4().hex[:8]}")
        os.rename(final, aside)
        os.rename(staged, final)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(staged, final)
    _sync_folder(final.parent)


def _sync(descriptor: int) -> None:
    """Sync to the medium: fsync on macOS stops at the drive's cache, F_FULLFSYNC does not."""
    try:
        import fcntl

        full_sync = fcntl.__dict__.get("F_FULLFSYNC")
    except ImportError:
        full_sync = None
    if full_sync is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full_sync)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _full_disk_text(path: Path) -> str:
    free_bytes = shutil.disk_usage(_existing_parent(path)).free
    return f"{path}: no space left on the disk ({free_bytes / 2**20:.0f} MiB free); what was saved before is whole"
