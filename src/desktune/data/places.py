"""``data.train`` and its like → the files to read, each of them looked at before a row is.

What holds no rows (a renamed archive, a PDF) is refused by its first bytes: its rows would all be rejected one by one,
with a reason that helps nobody. gzip, zstd and bzip2 are read through, up to a size that no text reaches.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow

from desktune.config.files import expand, file_fault, set_name
from desktune.config.schema import Paths
from desktune.errors import DataError

HEAD_BYTES = 1 << 16
MOST_RATIO = 200  # texts shrink to a twentieth at best; a bomb to a thousandth
_TAR_AT = 257  # where a tar archive says that it is one
FREE_BYTES = 1 << 28  # below 256 MiB any ratio goes: a file of equal rows is no bomb
_PACKED: tuple[tuple[bytes, str], ...] = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\xfd7zXZ", "compressed with xz; unpack it first (unxz)"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"%PDF", "a PDF; extract its text first"),
    (b"SQLite format 3", "a SQLite database; export a table as CSV"),
    (b"\x89HDF", "an HDF5 file; export it as Parquet or CSV"),
    (b"PARE", "an encrypted Parquet file; save it without encryption"),
    (b"\x89PNG", "an image; name a file of text"),
    (b"\xff\xd8\xff", "an image; name a file of text"),
    (b"GIF8", "an image; name a file of text"),
    (b"\x7fELF", "a program; name a file of text"),
    *((bytes((0x80, version)), "a pickle, which can run code; save its rows as JSON lines") for version in range(2, 6)),
    *((magic, f"packed twice ({name}); unpack it once") for magic, name in _PACKED),
    (b"\xd0\xcf\x11\xe0", "an old Office file (.doc, .xls); save it as .docx or CSV"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two line-parallel files with their languages (None where the keys are ``source`` and ``target``)."""

    source: Path
    target: Path
    source_lang: str | None
    target_lang: str | None


@dataclass(frozen=True, slots=True)
class SetPlace:
    """A data set of ``datasets``: a folder that ``save_to_disk`` wrote, or a name of the Hub."""

    name: str
    split: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder, or None for one of the Hub."""
        plain = Path(self.name).expanduser()
        return plain if plain.is_dir() else None

    def __str__(self) -> str:
        return self.name if self.split is None else f"{self.name}:{self.split}"


Place = Path | SetPlace


def places_of(paths: Paths) -> list[Place]:
    """Return every file and data set that ``paths`` names, in a fixed order; both sides for a line-parallel pair.

    Raises:
        DataError: a name leads to nothing that can be read.
    """
    names = [paths] if isinstance(paths, str) else list(paths.values() if isinstance(paths, dict) else paths)
    if not names:
        raise DataError("an empty list of data files; name at least one")
    return [place for name in names for place in _expanded(name)]


def files_of(paths: Paths) -> list[Path]:
    """Return the files behind ``paths``; of a saved data set those of its folder, of one of the Hub none.

    Raises:
        DataError: a name leads to nothing that can be read.
    """
    files: list[Path] = []
    for place in places_of(paths):
        if isinstance(place, Path):
            files.append(place)
        elif place.folder is not None:
            files += sorted(path for path in place.folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return files


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
    sides = [_expanded(paths[key]) for key in (first, second)]
    (source, *others), (target, *more) = sides
    if others or more or not isinstance(source, Path) or not isinstance(target, Path):
        raise DataError("each side of a line-parallel pair is one file of text; name one file for each")
    named = {first, second} == {"source", "target"}
    return Pair(source, target, *((source_lang, target_lang) if named else (first, second)))


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if it is packed.

    Raises:
        DataError: it cannot be read; while it is read, when it is damaged or unpacks without end.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 - the caller closes it
        start = file.read(4)
        file.seek(0)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; name another file") from error
    codec = next((name for magic, name in _PACKED if start.startswith(magic)), None)
    return file if codec is None else io.BufferedReader(_Unpacked(path, file, codec), HEAD_BYTES)


class _Unpacked(io.RawIOBase):
    """The contents of a packed file."""

    def __init__(self, path: Path, file: BinaryIO, codec: str) -> None:
        self._path, self._file, self._codec = path, file, codec
        self._stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), codec)
        self._most = max(FREE_BYTES, MOST_RATIO * path.stat().st_size)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise DataError(
                f"{self._path}: damaged {self._codec} data after {self._count:,} bytes; pack or copy it again"
            ) from error
        self._count += len(data)
        if self._count > self._most:
            raise DataError(
                f"{self._path}: unpacks to more than {MOST_RATIO} times its size and {FREE_BYTES >> 20} MiB, which no "
                "text does; unpack it yourself if it is right"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def head_of(path: Path) -> bytes:
    """Return a file's first bytes, unpacked.

    Raises:
        DataError: it is empty, blank, or of a kind that holds no rows.
    """
    try:
        with open_bytes(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; name another file") from error
    if not head:
        raise DataError(f"{path}: an empty file; name a file with rows")
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise DataError(f"{path}: is {what}")
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise DataError(f"{path}: is a tar archive; unpack it and name its files")
    if head.startswith(b"PK\x03\x04"):
        _check_archive(path)
    return head


def _check_archive(path: Path) -> None:
    """Refuse every zip archive but a Word document of a size that can be. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: is a damaged zip archive; unpack it, or save its rows as CSV") from error
    if "xl/workbook.xml" in sizes:
        raise DataError(f"{path}: is an Excel sheet (a zip archive); save it as CSV")
    if "word/document.xml" not in sizes:
        raise DataError(f"{path}: is a zip archive; unpack it and name its files")
    if sum(sizes.values()) > max(FREE_BYTES, MOST_RATIO * path.stat().st_size):
        raise DataError(
            f"{path}: a Word document that unpacks to {sum(sizes.values()):,} bytes, which no text does; save as .txt"
        )


def _expanded(name: str) -> list[Place]:
    """Return the files of one name: itself, what a pattern matches, or what a folder holds."""
    found = set_name(name) if name.strip() else None
    if found is not None:
        return [SetPlace(*found)]
    fault = None if "\0" in name else _pattern_fault(name)
    fault = fault or next((fault for one in expand(name) if (fault := file_fault(one)) is not None), None)
    if fault is not None:
        raise DataError(fault)
    return [Path(one).expanduser() for one in expand(name)]


def _pattern_fault(name: str) -> str | None:
    return None if expand(name) else f"{name}: the pattern matches no file; mend it, or name a file"
