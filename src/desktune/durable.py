"""Every write, sync, rename and removal of ours, one small operation at a time.

A folder is whole or it is not there: it is built beside its final place, its ``manifest.json`` (size and sha256 of
every file, and of itself) is written last, everything is synced, and one rename gives it its name. What libraries write
goes through the same door (``staging``, ``adopt``). Nobody else in this project writes to disk; a test watches that.

Every operation passes one seam (``watch``, in ``disk.py``), where tests and ``desktune torture`` put their faults.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from desktune import disk
from desktune.disk import NewFile
from desktune.disk import watch as watch
from desktune.diskerrors import disk_errors as disk_errors
from desktune.diskerrors import need_space as need_space
from desktune.errors import RunError

MANIFEST = "manifest.json"
STAGING_PREFIX = ".staging-"
DAMAGED_PREFIX = "damaged-"
_OLD = f"{STAGING_PREFIX}old-"  # gave way to a new folder and is removed once that one has its name
_CHECK = "crc"  # of a line, over all before it
_VERSION = 2  # of the manifest; 1 had no hash of itself
_CHUNK_BYTES = 1 << 20
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_appended: set[Path] = set()  # files whose last lines are not synced


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never half of it."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a final newline. Raises ValueError for a number that is not finite."""
    write_text(path, _json_text(value))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole. Raises OutOfDisk."""
    with _whole(path) as file:
        file.write(data)


def write_rows(path: Path, lines: Iterable[str]) -> int:
    """Write many lines as one whole file; returns how many. Raises OutOfDisk."""
    count = 0
    with open_rows(path) as add:
        for line in lines:
            add(line)
            count += 1
    return count


@contextlib.contextmanager
def open_rows(path: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that adds a line to a file, which is whole when the block ends well. Raises OutOfDisk."""
    with _whole(path) as file:

        def add(line: str) -> None:
            file.write(line.encode("utf-8") + b"\n")

        yield add


def append_line(path: Path, line: str) -> None:
    """Append one line, on disk at the latest when the next folder gets its name (``adopt``).

    A torn last line can only come from a power cut and is skipped by ``read_lines``.

    Raises:
        OutOfDisk: no space is left; the file is as it was.
    """
    with disk_errors(path), NewFile(path, os.O_APPEND, new=not path.exists()) as file:
        try:
            file.write(line.encode("utf-8") + b"\n")
            file.flush()
        except OSError:
            file.take_back()
            raise
    _appended.add(path)


def read_lines(path: Path) -> list[Any]:
    """Return the JSON values of a file of lines, without a torn last one."""
    values = []
    for line in path.read_bytes().split(b"\n"):
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values


def checked_line(values: Mapping[str, Any]) -> str:
    """Return values as one line of JSON that carries its own checksum, for ``line_faults``."""
    body = json.dumps(values, ensure_ascii=False, allow_nan=False)
    return f'{body[:-1]}, "{_CHECK}": "{zlib.crc32(body.encode()):08x}"}}'


def line_faults(path: Path) -> list[str]:
    """Return what is wrong with a file of ``checked_line``s; a torn last line is no fault."""
    lines = path.read_bytes().split(b"\n")[:-1]
    wrong = [number for number, line in enumerate(lines, start=1) if not _is_as_written(line)]
    return [f"{path}:{number}: changed since it was written" for number in wrong]


def keep_lines(path: Path, keep: Callable[[Any], bool]) -> None:
    """Rewrite a file of JSON lines with those that ``keep`` accepts (what a resumed run will write again goes).

    Damaged lines between them stay as they are, for ``line_faults``; those behind them were torn by a power cut and go.
    """
    lines = [line.decode("utf-8", "replace") for line in path.read_bytes().split(b"\n")[:-1]]
    kept = [_is_kept(line, keep) for line in lines]
    end = max((number for number, wanted in enumerate(kept) if wanted), default=-1)
    write_rows(path, [line for line, wanted in zip(lines[: end + 1], kept, strict=False) if wanted is not False])


@contextlib.contextmanager
def staging(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes ``final`` when the block ends well, and disappears when it does not.

    What killed processes left half-built beside it is removed first.

    Args:
        final: The folder's name once it is whole.
        replace: Whether an existing ``final`` gives way (it is moved aside, then removed).

    Raises:
        RunError: ``final`` exists and ``replace`` is false, or the place is not writable.
        OutOfDisk: no space is left.
        DiskFault: the disk fails.
    """
    if final.exists() and not replace:
        raise RunError(f"{final}: exists already; remove it or name another folder")
    make_folder(final.parent)
    staged = final.parent / f"{STAGING_PREFIX}{final.name}-{uuid.uuid4().hex[:8]}"
    _sweep_abandoned(final.parent)
    with disk_errors(final):
        held = _begun(staged)
        try:
            yield staged
            adopt(staged, final)
        except BaseException:
            disk.remove_tree(staged)
            raise
        finally:
            if held is not None:
                os.close(held)


def adopt(staged: Path, final: Path) -> None:
    """Hash and sync what ours and libraries wrote into a folder, write its manifest last, and give it its name.

    Lines appended to other files before are synced too, so that a checkpoint never outlives the metrics up to it.
    """
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    entries = {}
    for path in files:
        disk.adopted(path)
        entries[path.relative_to(staged).as_posix()] = _entry(path)
        disk.sync_file(path)
    for inner in sorted((path for path in staged.rglob("*") if path.is_dir()), reverse=True):
        disk.sync_folder(inner)
    _write_manifest(staged, entries)
    _sync_appended()
    _promote(staged, final)


def seal_files(folder: Path, files: Iterable[Path], *, known: Mapping[str, tuple[int, str]] | None = None) -> None:
    """Write a manifest of a few files of a folder whose other files still change; entries that are ``known`` stay."""
    before = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in (known or {}).items()}
    _write_manifest(folder, {**before, **{path.relative_to(folder).as_posix(): _entry(path) for path in files}})


def sealed(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and hash of the files in a folder's manifest; nothing where there is none that can be read."""
    try:
        return _read_manifest(folder / MANIFEST)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def make_folder(path: Path) -> None:
    """Create a folder and its parents, all of which survive a power cut once something inside is synced.

    Raises:
        RunError: the place is not writable or is a file.
        OutOfDisk: no space is left.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        with disk_errors(path):
            for one in reversed(missing):
                with contextlib.suppress(FileExistsError):  # another process was faster
                    disk.make(one)
                disk.sync_folder(one.parent)
            if not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{path}: cannot be a folder ({error.strerror}); name another one with output.dir") from error


def claim_folder(path: Path) -> None:
    """Create a folder that must be new. Raises FileExistsError when somebody was faster."""
    make_folder(path.parent)
    with disk_errors(path):
        disk.make(path)
        disk.sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file where there is one, for good."""
    with disk_errors(path):
        disk.unlink(path)
        disk.sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder so that no kill or power cut leaves a half folder under a final name."""
    doomed = path.with_name(f"{STAGING_PREFIX}removed-{path.name}-{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        disk.rename(path, doomed)
        disk.sync_folder(path.parent)
    disk.remove_tree(doomed)


def set_aside(path: Path) -> Path:
    """Rename a damaged folder to ``damaged-<name>``, under which nothing takes it for good; returns its new name."""
    numbers = ("", *(f"-{number}" for number in range(2, 1000)))
    free = (path.with_name(f"{DAMAGED_PREFIX}{path.name}{number}") for number in numbers)
    target = next(one for one in free if not one.exists())
    with disk_errors(path):
        disk.rename(path, target)
        disk.sync_folder(path.parent)
    return target


def copy_file(source: Path, target: Path) -> None:
    """Copy one file into a staging folder (``adopt`` syncs it). Raises OutOfDisk."""
    with disk_errors(target), open(source, "rb") as reading, NewFile(target, os.O_TRUNC) as file:
        while chunk := reading.read(_CHUNK_BYTES):
            file.write(chunk)
        file.flush()


def open_lock(path: Path) -> int:
    """Open a lock file, creating it where it is missing, and return its descriptor.

    Raises:
        FileNotFoundError: its folder is gone.
        RunError, OutOfDisk, DiskFault: as ``disk_errors`` says.
    """
    try:
        return disk.open_lock(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        with disk_errors(path):
            raise error


def write_lock(descriptor: int, path: Path, holder: str) -> None:
    """Write into a lock file who holds it; a full disk does not undo the lock."""
    with contextlib.suppress(OSError):
        disk.write_lock(descriptor, path, holder)


def sweep_staging(parent: Path) -> None:
    """Remove what killed processes left half-built in ``parent``. Call it only while holding the run's lock.

    A folder that had just given way when the process ended gets its name back, and what was renamed last is synced.
    """
    if not parent.is_dir():
        return
    for left in sorted(parent.glob(f"{STAGING_PREFIX}*")):
        final = parent / left.name.removeprefix(_OLD).rpartition("-")[0]
        if left.name.startswith(_OLD) and not final.exists() and not verify(left):
            with disk_errors(final):
                disk.rename(left, final)
        elif left.is_dir():
            disk.remove_abandoned(left)  # a merge of this run may be at work without its lock
        else:
            disk.remove_tree(left)
    with disk_errors(parent):
        disk.sync_folder(parent)


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a folder that ``staging`` wrote; an empty list means every byte is as written."""
    file = folder / MANIFEST
    try:
        entries = _read_manifest(file)
    except FileNotFoundError:
        return [f"{file}: missing"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        return [f"{file}: unreadable ({error})"]
    return [fault for name, (size, digest) in entries.items() if (fault := _fault(folder / name, size, digest))]


def sha256(path: Path) -> str:
    """Return the hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[NewFile]:
    """Write through a temporary neighbour, sync and rename; an old file of that name stays until then."""
    temporary = path.with_name(f"{STAGING_PREFIX}{path.name}-{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        try:
            with NewFile(temporary, os.O_EXCL) as file:
                yield file
                file.sync()
            disk.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.unlink(temporary)
            raise
        disk.sync_folder(path.parent)


def _sweep_abandoned(parent: Path) -> None:
    """Remove the staging folders in ``parent`` whose processes have ended; others may be at work there meanwhile."""
    for left in sorted(parent.glob(f"{STAGING_PREFIX}*/")):
        if not left.name.startswith(_OLD):
            disk.remove_abandoned(left)


def _begun(staged: Path) -> int | None:
    """Make a staging folder and hold it; one that was swept between the two is made again."""
    while True:
        disk.make(staged)
        with contextlib.suppress(FileNotFoundError):
            held = disk.hold(staged)
            if staged.is_dir():
                return held
            if held is not None:
                os.close(held)


def _promote(staged: Path, final: Path) -> None:
    if not final.exists():
        try:
            disk.rename(staged, final)
            disk.sync_folder(final.parent)
            return
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise  # else another process was faster, and its folder gives way
    aside = final.with_name(f"{_OLD}{final.name}-{uuid.uuid4().hex[:8]}")
    disk.rename(final, aside)
    try:
        disk.rename(staged, final)
    except BaseException:
        disk.rename(aside, final)
        raise
    disk.sync_folder(final.parent)
    disk.remove_tree(aside)


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def _write_manifest(folder: Path, entries: dict[str, dict[str, Any]]) -> None:
    body = {"version": _VERSION, "files": entries}
    write_json(folder / MANIFEST, {**body, "sha256": _digest(body)})


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read_manifest(file: Path) -> dict[str, tuple[int, str]]:
    """Return size and hash by name. Raises ValueError, KeyError or TypeError when a byte of it changed."""
    text = file.read_bytes().decode("utf-8")
    body = json.loads(text)
    if not isinstance(body, dict) or text != _json_text(body):  # a lost last newline changes no value
        raise ValueError("not as it was written")
    if set(body) != {"version", "files"} or body["version"] != 1:
        if body.pop("sha256") != _digest(body):
            raise ValueError("its own sha256 differs")
        if body["version"] != _VERSION:
            raise ValueError(f"version {body['version']} is not known to this desktune")
    return {name: (entry["bytes"], entry["sha256"]) for name, entry in body["files"].items()}


def _fault(path: Path, size: int, digest: str) -> str | None:
    try:
        found = path.stat().st_size
        if not path.is_file():
            return f"{path}: missing"
        if found != size:
            return f"{path}: {found} bytes instead of {size}"
        return None if sha256(path) == digest else f"{path}: its content changed since it was written (sha256 differs)"
    except FileNotFoundError:
        return f"{path}: missing"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})"


def _sync_appended() -> None:
    for path in sorted(_appended):
        if path.exists():
            disk.sync_file(path)
            disk.sync_folder(path.parent)
    _appended.clear()


def _is_kept(line: str, keep: Callable[[Any], bool]) -> bool | None:
    """Return what ``keep`` says of a line; None for a damaged one."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return keep(value)


def _is_as_written(line: bytes) -> bool:
    body, _, check = line.rpartition(f', "{_CHECK}": "'.encode())
    return check == f'{zlib.crc32(body + b"}"):08x}"}}'.encode()
