"""What the system says of a write, as errors of ours with an exit code and a way out."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from desktune.errors import DiskFault, OutOfDisk, RunError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_BROKEN = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of any write below into an error with an exit code.

    Raises:
        OutOfDisk: no space is left, with the bytes that are free.
        RunError: no right to write there, the place is gone, or too many files are open.
        DiskFault: the disk itself fails.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or path
        if error.errno in _NO_SPACE:
            raise OutOfDisk(_full_disk_text(path, error.errno)) from error
        if error.errno in _NO_RIGHTS:
            raise RunError(_no_rights_text(place, error)) from error
        if error.errno == errno.ENOENT:
            raise gone(place) from error
        if error.errno in _MANY_FILES:
            raise RunError(f"{place}: too many files are open; close some, or raise ulimit -n") from error
        if error.errno in _BROKEN:
            raise DiskFault(
                f"{place}: the disk fails ({error.strerror}); what was saved before is whole: copy the run folder to "
                "another disk and go on there with --resume"
            ) from error
        raise
    except Exception as error:
        code = _code_in(str(error).lower())
        if code is not None:
            raise OutOfDisk(_full_disk_text(path, code)) from error
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


def gone(place: Path | str) -> RunError:
    """Return the error of a file or folder that was there before."""
    return RunError(
        f"{place}: is gone; somebody moved or removed it while desktune was at work: put it back and go on with "
        "--resume, or start anew"
    )


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _code_in(text: str) -> int | None:
    """The error number that a library put into its text (Rust: "os error 28")."""
    for code in _NO_SPACE:
        if f"os error {code})" in text or f"[errno {code}]" in text:
            return code
    return errno.ENOSPC if "no space left" in text else None


def _full_disk_text(path: Path, code: int) -> str:
    free_bytes = shutil.disk_usage(_existing_parent(path)).free
    why = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota is used up"}
    return (
        f"{path}: {why.get(code, 'the file is larger than this disk or a limit allows')} "
        f"({free_bytes / 2**20:.0f} MiB free); what was saved before is whole"
    )


def _no_rights_text(path: Path | str, error: OSError) -> str:
    return f"{path}: cannot be written ({error.strerror}); name another folder with output.dir"
