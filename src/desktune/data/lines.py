"""Bytes → lines of text, numbered, with what cannot be decoded as rejects of their own."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from desktune.data.places import head_of
from desktune.errors import DataError
from desktune.rows import Origin, Reject

MOST_LINE_BYTES = 1 << 26  # one line of 64 MiB is no row
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
    head = head_of(path)
    mark, found = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), (b"", encoding))
    wide = codecs.lookup(found).name.startswith(("utf-16", "utf-32"))
    if not mark and not wide and head.count(b"\0") * 3 > len(head):
        raise DataError(f"{path}: looks like UTF-16 without a byte order mark; set data.encoding: utf-16-le")
    if wide:
        yield from _wide_lines(path, found)
    else:
        yield from _byte_lines(path, found, len(mark), lenient)


def _wide_lines(path: Path, encoding: str) -> Iterator[Line]:
    try:
        with open(path, encoding=encoding, newline="\n") as file:
            yield from enumerate(file, start=1)
    except UnicodeError as error:
        raise DataError(f"{path}: not {encoding}: {error}; set data.encoding to the file's encoding") from error


def _byte_lines(path: Path, encoding: str, skip: int, lenient: bool) -> Iterator[Line]:
    offset = skip
    with open(path, "rb") as file:
        file.seek(skip)
        for number, data in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES), b""), start=1):
            yield number, _decode(data, encoding, Origin(str(path), number), offset if not lenient else -1)
            offset += len(data)
            if len(data) == MOST_LINE_BYTES:
                offset += _skip_line(file)


def _decode(data: bytes, encoding: str, origin: Origin, offset: int) -> str | Reject:
    """Decode one line; ``offset`` is its place in the file, negative for a lenient reading."""
    if len(data) == MOST_LINE_BYTES:
        return Reject(
            origin,
            "long-line",
            f"a line of more than {MOST_LINE_BYTES >> 20} MiB",
            data[:80].decode("ascii", "replace"),
        )
    if offset < 0:
        return data.decode(encoding, "surrogateescape")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        place = f"byte {offset + error.start} of the file (0x{data[error.start]:02x}) is not {encoding}"
        return Reject(
            origin,
            "bad-encoding",
            f"{place}; if all rows are like this, set data.encoding",
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
