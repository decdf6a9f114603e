"""Bytes → lines of text, numbered, with what cannot be decoded as rejects of their own; or text in pieces."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from desktune.data.places import head_of, open_bytes
from desktune.errors import DataError
from desktune.rows import Origin, Reject

MOST_LINE_BYTES = 1 << 26  # one line of 64 MiB is no row
PIECE_BYTES = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Line = tuple[int, str | Reject]


def text_lines(path: Path, encoding: str, *, lenient: bool = False) -> Iterator[Line]:
    """Yield (number from 1, line with its end). Lines end at line feeds only, as every line counter sees it.

    A byte order mark overrules ``encoding``. ``lenient`` keeps undecodable bytes as lone surrogates, for tables, where
    a row may span lines and is judged later.

    Raises:
        DataError: the whole file cannot be decoded (UTF-16 or 32 that is broken, or that has no byte order mark).
    """
    found, skip, wide = _encoding_of(path, head_of(path), encoding)
    if wide:
        yield from _wide_lines(path, found)
    else:
        yield from _byte_lines(path, found, skip, lenient)


def text_pieces(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file in pieces.

    Raises:
        DataError: bytes that cannot be decoded, with their offset.
    """
    found, skip, _ = _encoding_of(path, head_of(path), encoding)
    decoder = codecs.getincrementaldecoder(found)()
    offset = skip
    with open_bytes(path) as file:
        file.read(skip)
        while True:
            data = file.read(PIECE_BYTES)
            waiting = len(decoder.getstate()[0])
            try:
                yield decoder.decode(data, final=not data)
            except UnicodeError as error:
                start = offset - waiting + (error.start if isinstance(error, UnicodeDecodeError) else 0)
                raise DataError(
                    f"{path}: byte {start:,} of the file is not {found}; set data.encoding to the file's encoding"
                ) from error
            if not data:
                return
            offset += len(data)


def peculiar(path: Path, encoding: str) -> list[str]:
    """Return what is read otherwise than it stands: a byte order mark, line ends of carriage returns alone."""
    head = head_of(path)
    mark = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    wide = _encoding_of(path, head, encoding)[2]
    found = [] if mark is None else [f"begins with a byte order mark ({mark})"]
    return [*found, "its lines end in lone carriage returns"] if not wide and _is_old(head) else found


def head_text(path: Path, encoding: str) -> str:
    """Return the beginning of a file as text, whatever is wrong with it. Raises DataError for what holds no rows."""
    head = head_of(path)
    found, skip, _ = _encoding_of(path, head, encoding)
    text = codecs.getincrementaldecoder(found)("replace").decode(head[skip:])
    return text.replace("\r", "\n") if _is_old(head) else text


def _encoding_of(path: Path, head: bytes, encoding: str) -> tuple[str, int, bool]:
    """Return (encoding, bytes of its mark to skip, whether it has wide units)."""
    mark, found = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), (b"", encoding))
    wide = codecs.lookup(found).name.startswith(("utf-16", "utf-32"))
    if not mark and not wide and head.count(b"\0") * 3 > len(head):
        wide_name = f"utf-{_units(head)}-{'be' if head[0] == 0 else 'le'}"
        raise DataError(
            f"{path}: looks like UTF-{_units(head)} without a byte order mark; set data.encoding: {wide_name}"
        )
    return found, 0 if wide else len(mark), wide


def _units(head: bytes) -> int:
    return 32 if head.count(b"\0") * 5 > len(head) * 3 else 16


def _wide_lines(path: Path, encoding: str) -> Iterator[Line]:
    try:
        with io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="\n") as file:
            yield from enumerate(file, start=1)
    except UnicodeError as error:
        raise DataError(f"{path}: not {encoding}: {error}; set data.encoding to the file's encoding") from error


def _byte_lines(path: Path, encoding: str, skip: int, lenient: bool) -> Iterator[Line]:
    offset = skip
    with _open_lines(path) as file:
        file.read(skip)
        for number, data in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES), b""), start=1):
            yield number, _decode(data, encoding, (path, number), offset if not lenient else -1)
            offset += len(data)
            if len(data) == MOST_LINE_BYTES:
                offset += _skip_line(file)


def _is_old(head: bytes) -> bool:
    """Say whether lines end as on old Macs."""
    return b"\r" in head.rstrip() and b"\n" not in head


def _open_lines(path: Path) -> BinaryIO:
    return io.BufferedReader(_Returned(path)) if _is_old(head_of(path)) else open_bytes(path)


class _Returned(io.RawIOBase):
    """The contents of a file with line feeds for carriage returns."""

    def __init__(self, path: Path) -> None:
        self._file = open_bytes(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _decode(data: bytes, encoding: str, place: tuple[Path, int], offset: int) -> str | Reject:
    """Decode one line; ``offset`` is its place in the file, negative for a lenient reading."""
    if len(data) == MOST_LINE_BYTES:
        return Reject(
            Origin(str(place[0]), place[1]),
            "long-line",
            f"a line of more than {MOST_LINE_BYTES >> 20} MiB",
            data[:80].decode("ascii", "replace"),
        )
    if offset < 0:
        return data.decode(encoding, "surrogateescape")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"byte {offset + error.start} of the file (0x{data[error.start]:02x}) is not {encoding}"
        return Reject(
            Origin(str(place[0]), place[1]),
            "bad-encoding",
            f"{where}; if all rows are like this, set data.encoding",
            data.decode(encoding, "replace")[:200],
        )


def _skip_line(file: BinaryIO) -> int:
    """Move past the rest of an endless line; returns how many bytes that was."""
    skipped = 0
    while data := file.readline(MOST_LINE_BYTES):
        skipped += len(data)
        if data.endswith(b"\n"):
            break
    return skipped
