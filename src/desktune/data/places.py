"""``data.train`` and its like → the files to read, each of them looked at before a row is.

What is no text and no Parquet (a renamed archive, a PDF) is refused by its first bytes: its rows would all be rejected
one by one, with a reason that helps nobody.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from desktune.config.rules_data import file_fault
from desktune.config.schema import Paths
from desktune.errors import DataError

HEAD_BYTES = 1 << 16
_WILD = re.compile(r"[*?\[]")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive (also .xlsx and .docx); unpack it, or save the sheet as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first (gunzip)"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first (unzstd)"),
    (b"BZh", "compressed with bzip2; unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first (unxz)"),
    (b"%PDF", "a PDF; its text has to be extracted first"),
    (b"SQLite format 3", "a SQLite database; export a table as CSV"),
    (b"\x89HDF", "an HDF5 file; export it as Parquet or CSV"),
    (b"ARROW1", "an Arrow file; save it as Parquet"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two line-parallel files with their languages (None where the keys are ``source`` and ``target``)."""

    source: Path
    target: Path
    source_lang: str | None
    target_lang: str | None


def files_of(paths: Paths) -> list[Path]:
    """Return every file that ``paths`` names, in a fixed order; both sides for a line-parallel pair.

    Raises:
        DataError: a name leads to nothing that can be read.
    """
    names = [paths] if isinstance(paths, str) else list(paths.values() if isinstance(paths, dict) else paths)
    if not names:
        raise DataError("an empty list of data files; name at least one")
    return [file for name in names for file in _expand(name)]


def pair_of(paths: dict[str, str], source_lang: str | None, target_lang: str | None) -> Pair:
    """Return the two sides of ``{en: train.en, fr: train.fr}``; the configured languages decide which is the source.

    Raises:
        DataError: not two sides, or a side that cannot be read.
    """
    if len(paths) != 2:
        raise DataError(
            f"a line-parallel pair has two sides, found {', '.join(paths) or 'none'}; write {{en: a.en, fr: a.fr}}"
        )
    first, second = paths
    if first == "target" or source_lang == second or target_lang == first:
        first, second = second, first
    sides = [_expand(paths[key]) for key in (first, second)]
    if any(len(files) != 1 for files in sides):
        raise DataError("each side of a line-parallel pair is one file; a pattern here matches several")
    named = {first, second} == {"source", "target"}
    return Pair(sides[0][0], sides[1][0], *((source_lang, target_lang) if named else (first, second)))


def head_of(path: Path) -> bytes:
    """Return a file's first bytes.

    Raises:
        DataError: it is empty, blank, or of a kind that holds no rows.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not head:
        raise DataError(f"{path}: an empty file")
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise DataError(f"{path}: is {what}")
    return head


def _expand(name: str) -> list[Path]:
    """Return the files of one name: itself, or what a pattern matches, sorted."""
    plain = Path(name).expanduser() if "\0" not in name else Path()
    there = "\0" not in name and plain.exists()
    if _WILD.search(name) and not there:
        found = sorted(Path(match) for match in glob.glob(str(plain), recursive=True))  # noqa: PTH207 - absolute patterns
        files = [path for path in found if path.is_file()]
        if not files:
            raise DataError(f"{name}: the pattern matches no file")
        return files
    fault = file_fault(name)
    if fault is None:
        return [plain]
    if _HUB_NAME.fullmatch(name) and not there and not plain.parent.is_dir():
        fault += "; if it is a data set of the Hub: those are not built yet, download its file and name that"
    raise DataError(fault)
