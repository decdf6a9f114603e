"""The operations on disk of which ``durable.py`` is made, each behind one seam.

``watch`` lets an observer stand before every operation: it may take it, log it, fail in its place or end the process.
``desktune torture`` and the simulated power cuts of the tests are such observers. Without one an operation costs one
comparison more than the call of the system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

_CHUNK_BYTES = 1 << 20
_NO_FULL_SYNC = (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)  # of macOS, on network disks
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)  # network and user-space file systems that cannot sync a folder

Kind = Literal["create", "write", "adopt", "sync", "sync_folder", "rename", "unlink", "mkdir", "rmdir"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on the disk, about to be taken. ``adopt`` marks a file that a library wrote; it changes nothing."""

    kind: Kind
    path: Path
    target: Path | None = None  # of a rename
    data: bytes = b""  # of a write
    offset: int = 0  # of a write, in bytes
    descriptor: int | None = None  # of a write


Observer = Callable[[Operation, Callable[[], Any]], Any]
"""Gets an operation and the function that takes it; returns what that returns, or raises in its place."""

_observer: Observer | None = None


@contextlib.contextmanager
def watch(observer: Observer) -> Iterator[None]:
    """Let an observer stand before every operation of this process during the block."""
    global _observer
    before, _observer = _observer, observer
    try:
        yield
    finally:
        _observer = before


class NewFile:
    """A file being written: bytes leave in pieces of a MiB, each one operation. What is left unflushed is dropped."""

    def __init__(self, path: Path, flags: int, *, new: bool = True) -> None:
        self.path, self._offset, self._held = path, 0, bytearray()
        flags |= os.O_WRONLY | os.O_CREAT
        if new:
            self.descriptor = _take(lambda: os.open(path, flags, 0o666), "create", path)
        else:
            self.descriptor = os.open(path, flags, 0o666)
            self._offset = os.fstat(self.descriptor).st_size

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self.descriptor)

    def write(self, data: bytes) -> None:
        """Put bytes behind the others."""
        self._held += data
        if len(self._held) >= _CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what is held to the system."""
        data, self._held = bytes(self._held), bytearray()
        if data:
            more = {"data": data, "offset": self._offset, "descriptor": self.descriptor}
            _take(lambda: _write_all(self.descriptor, data), "write", self.path, **more)
            self._offset += len(data)

    def take_back(self) -> None:
        """Cut off what a failed write left behind."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, self._offset)

    def sync(self) -> None:
        """Bring everything to the medium."""
        self.flush()
        _take(lambda: _sync(self.descriptor), "sync", self.path)


def _take(act: Callable[[], _T], kind: Kind, path: Path, **more: Any) -> _T:
    return act() if _observer is None else _observer(Operation(kind, path, **more), act)


def adopted(path: Path) -> None:
    """Say that a library wrote this file; nothing of it is synced yet."""
    _take(lambda: None, "adopt", path)


def make(path: Path) -> None:
    """Make one folder, which must be new."""
    _take(path.mkdir, "mkdir", path)


def rename(path: Path, target: Path) -> None:
    """Give a file or folder another name."""
    _take(lambda: os.replace(path, target), "rename", path, target=target)


def unlink(path: Path) -> None:
    """Remove a file where there is one."""
    _take(lambda: path.unlink(missing_ok=True), "unlink", path)


def remove_tree(folder: Path) -> None:
    """Remove a folder or file as far as that is possible; what stays is swept by the next process."""
    if not folder.is_dir():
        with contextlib.suppress(OSError):
            unlink(folder)
        return
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            with contextlib.suppress(OSError):
                if path.is_symlink() or not path.is_dir():
                    unlink(path)
                else:
                    _take(path.rmdir, "rmdir", path)
    with contextlib.suppress(OSError):
        _take(folder.rmdir, "rmdir", folder)


def open_lock(path: Path) -> int:
    """Open a lock file, creating it where it is missing, and return its descriptor."""
    return _take(lambda: os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "create", path)


def write_lock(descriptor: int, path: Path, holder: str) -> None:
    """Write into a lock file who holds it."""
    data = holder.encode("utf-8")
    os.ftruncate(descriptor, 0)
    _take(lambda: os.pwrite(descriptor, data, 0), "write", path, data=data, descriptor=descriptor)


def hold(folder: Path) -> int | None:
    """Return a descriptor that says, until it is closed or its process ends, that somebody works in a folder.

    It waits for who is removing the folder. None where there are no such locks.

    Raises:
        FileNotFoundError: the folder is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    if _lock(descriptor, "LOCK_SH"):
        return descriptor
    os.close(descriptor)
    return None


def remove_abandoned(folder: Path) -> None:
    """Remove a folder that nobody holds; nothing happens where that cannot be known."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        if _lock(descriptor, "LOCK_EX", "LOCK_NB"):
            remove_tree(folder)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Bring a file to the medium that somebody else wrote."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        _take(lambda: _sync(descriptor), "sync", path)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the medium."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _take(lambda: _sync(descriptor), "sync_folder", folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *how: str) -> bool:
    try:
        import fcntl  # not on Windows

        fcntl.flock(descriptor, sum(getattr(fcntl, one) for one in how))
    except (ImportError, OSError):
        return False
    return True


def _sync(descriptor: int) -> None:
    """Sync to the medium: fsync on macOS stops at the drive's cache, F_FULLFSYNC does not (SQLite does likewise)."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
