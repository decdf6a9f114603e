"""File → raw rows: what every kind of file has to say, before anybody judges it.

A raw row is a mapping with its origin, or a ``Reject`` where no mapping could be made. All files stream. Which kind a
file is decides what stands in it; the suffix only tells a table and plain text from each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from desktune.config.files import KINDS, suffix_of
from desktune.data.jsons import Objects, decode_objects
from desktune.data.lines import head_text, text_lines, text_pieces
from desktune.data.places import head_of, open_bytes
from desktune.data.raw import Raw
from desktune.data.tables import table
from desktune.data.word import word
from desktune.data.xmls import tmx, xliff
from desktune.errors import DataError
from desktune.rows import Origin, Reject

Format = Literal["json", "jsonl", "table", "parquet", "arrow", "tmx", "xliff", "docx", "paragraphs", "text"]

FORMAT_WORDS: dict[Format, str] = {
    "json": "a JSON array",
    "jsonl": "JSON lines",
    "table": "a table",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "tmx": "TMX",
    "xliff": "XLIFF",
    "docx": "a Word document",
    "paragraphs": "plain text, a row per paragraph (blank lines part them)",
    "text": "plain text, a row per line",
}
PARQUET_BATCH_ROWS = 1_000
_TABLES = KINDS["tables"]
_JSONS = KINDS["JSON"]
_MARKUP = {"tmx": KINDS["TMX"], "xliff": KINDS["XLIFF"]}
_MARKUP_HEAD = 4_096


def format_of(path: Path, encoding: str) -> Format:
    """Return a file's format by its content, then its suffix. Raises DataError for what holds no rows."""
    head, suffix = head_of(path), suffix_of(str(path))
    binary = _binary(head)
    if binary is not None:
        return binary
    if suffix in (".parquet", ".docx", ".arrow"):
        what = {".parquet": "a Parquet file (its first bytes are not PAR1)", ".docx": "a Word document"}
        raise DataError(f"{path}: not {what.get(suffix, 'an Arrow file')}; name it by what it is")
    text = head_text(path, encoding)
    start = text.lstrip("\ufeff \t\r\n")
    markup = _markup(path, start, suffix)
    if markup is not None:
        return markup
    if suffix in _TABLES and not _is_object(start):
        return "table"
    if suffix not in (*_JSONS, *_TABLES) and not start.startswith(("{", "[{") if suffix else ("{", "[")):
        return "paragraphs" if _has_paragraphs(text) else "text"
    if start.startswith("["):
        return "json"
    return "json" if start.startswith("{") and _spans_lines(path, encoding, start) else "jsonl"


def raw_rows(path: Path, encoding: str, kind: Format | None = None) -> Iterator[Raw | Reject]:
    """Yield the rows of one file.

    Raises:
        DataError: the file as a whole cannot be used (broken array, no header, no Parquet, only blank lines).
    """
    readers = {
        "json": _array, "jsonl": _json_lines, "table": table, "parquet": _parquet, "arrow": _arrow, "tmx": tmx,
        "xliff": xliff, "docx": word, "paragraphs": _paragraphs, "text": _plain,
    }  # fmt: skip
    kind = kind or format_of(path, encoding)
    count = 0
    for count, row in enumerate(readers[kind](path, encoding), start=1):  # noqa: B007 - counted
        yield row
    if not count:
        what = {"table": "only a header", "tmx": "no <tu>", "xliff": "no unit", "json": "an empty array"}
        raise DataError(f"{path}: no rows in it, {what.get(kind, 'only blank lines')}; name a file with rows")


def _binary(head: bytes) -> Format | None:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):  # a file, or a stream that begins with a message's mark
        return "arrow"
    return "docx" if head.startswith(b"PK\x03\x04") else None


def _markup(path: Path, start: str, suffix: str) -> Format | None:
    """Return the kind of an XML file, None for no XML. Raises DataError for XML that is neither of both."""
    begin = start[:_MARKUP_HEAD]
    if start.startswith("<"):
        for kind in ("tmx", "xliff"):
            if f"<{kind}" in begin or f":{kind} " in begin:
                return kind
        if start.startswith("<?xml"):
            raise DataError(f"{path}: XML that is neither TMX nor XLIFF; export its texts as one of them or as CSV")
    for kind, suffixes in _MARKUP.items():
        if suffix in suffixes:
            raise DataError(f"{path}: no <{kind}> in it; name the file by what it is")
    return None


def _is_object(start: str) -> bool:
    """Say whether a table's first line is an object of JSON: then the suffix is wrong."""
    try:
        return start.startswith("{") and isinstance(json.loads(start.split("\n", 1)[0]), dict)
    except (ValueError, RecursionError):
        return False


def _array(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the objects of a JSON array, or of several objects that span lines. ``Origin.line`` counts rows."""
    for number, (value, faults) in enumerate(decode_objects(path, text_pieces(path, encoding)), start=1):
        yield _object(Origin(str(path), number), value, faults)


def _json_lines(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield one object per line; a line that is broken is a reject of its own."""
    objects, name = Objects(), str(path)
    for number, line in text_lines(path, encoding):
        if isinstance(line, Reject):
            yield line
        elif line.strip():
            origin = Origin(name, number)
            try:
                value, faults = objects.whole(line)
            except (ValueError, RecursionError) as error:
                detail = "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}"
                yield Reject(origin, "bad-json", detail, line[:200])
            else:
                yield _object(origin, value, faults)


def _object(origin: Origin, value: Any, faults: Sequence[tuple[str, str]]) -> Raw | Reject:
    if faults:
        return Reject(origin, *faults[0], excerpt=str(value)[:200])
    if not isinstance(value, dict):
        return Reject(
            origin, "wrong-type", f"a row is an object {{...}}, found {type(value).__name__}", str(value)[:200]
        )
    return Raw(origin, value)


def _parquet(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the rows of a Parquet file, a batch at a time."""
    del encoding  # Parquet is UTF-8 by its own rule
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=PARQUET_BATCH_ROWS)
            rows = (values for batch in batches for values in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield Raw(Origin(str(path), number), values)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise DataError(
            f"{path}: not a Parquet file that can be read (after {number} rows): {_one_line(error)}; make it anew"
        ) from error


def _arrow(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the rows of an Arrow file or stream (as in the folders of ``datasets``)."""
    del encoding
    number = 0
    try:
        with open_bytes(path) as file:
            rows = (values for batch in _arrow_batches(file) for values in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield Raw(Origin(str(path), number), values)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise DataError(
            f"{path}: not an Arrow file that can be read (after {number} rows): {_one_line(error)}; make it anew"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _arrow_batches(file: Any) -> Iterator[pyarrow.RecordBatch]:
    mark = file.read(6)
    file.seek(0)
    if mark == b"ARROW1":
        reader = pyarrow.ipc.open_file(file)
        batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        batches = iter(pyarrow.ipc.open_stream(file))
    for batch in batches:
        batch.validate(full=True)  # damaged offsets would be read out of bounds
        yield from (batch.slice(start, PARQUET_BATCH_ROWS) for start in range(0, len(batch), PARQUET_BATCH_ROWS))


def _plain(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield a text per line."""
    for number, line in text_lines(path, encoding):
        if isinstance(line, Reject):
            yield line
        elif line.strip():
            yield Raw(Origin(str(path), number), {"text": line.rstrip("\r\n")})


def _paragraphs(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield a text per paragraph, from the line on which it begins; one that cannot be decoded is rejected whole."""
    lines: list[str] = []
    first, bad = 0, None
    for number, line in text_lines(path, encoding):
        if isinstance(line, Reject):
            bad = bad or line
        elif line.strip():
            first = first if lines else number
            lines.append(line.rstrip("\r\n"))
        else:
            yield from _paragraph(path, first, lines, bad)
            lines, bad = [], None
    yield from _paragraph(path, first, lines, bad)


def _paragraph(path: Path, first: int, lines: Sequence[str], bad: Reject | None) -> Iterator[Raw | Reject]:
    if bad is not None:
        yield bad
    elif lines:
        yield Raw(Origin(str(path), first), {"text": "\n".join(lines)})


def _has_paragraphs(text: str) -> bool:
    """Say whether blank lines part blocks of which one at least has several lines."""
    blocks = [block for block in text.replace("\r\n", "\n").split("\n\n") if block.strip()]
    return len(blocks) > 1 and any("\n" in block.strip() for block in blocks)


def _spans_lines(path: Path, encoding: str, start: str) -> bool:
    """Say whether the first object of a file goes on over line ends (then it is no file of JSON lines)."""
    line, end, _ = start.partition("\n")
    if not end:  # one line, or one that is longer than what was looked at
        return False
    try:
        Objects().whole(line)
    except (ValueError, RecursionError):
        try:
            next(decode_objects(path, text_pieces(path, encoding)))
        except (DataError, RecursionError):
            return False
        return True
    return False
