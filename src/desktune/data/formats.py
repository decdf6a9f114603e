"""File → raw rows: what JSON, JSON lines, CSV, TSV, Parquet and plain text have to say, before anybody judges it.

A raw row is a mapping with its origin, or a ``Reject`` where no mapping could be made. Line files stream; a JSON array
is read whole, since only its end tells that it is whole. Which format a file has is decided by what stands in it;
the suffix only tells a table and plain text from each other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from desktune.data.jsons import Objects, decode_objects
from desktune.data.lines import text_lines
from desktune.data.places import head_of
from desktune.errors import DataError
from desktune.rows import Origin, Reject

Format = Literal["json", "jsonl", "table", "parquet", "text"]
Row = Mapping[str, Any]

PARQUET_BATCH_ROWS = 1_000
MOST_FIELD_CHARACTERS = 1 << 26  # csv's own limit of 131,072 is shorter than many documents
_TABLES = (".csv", ".tsv", ".tab")
_JSONS = (".json", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Raw:
    """One row as the file has it."""

    origin: Origin
    values: Row


def format_of(path: Path, encoding: str) -> Format:
    """Return a file's format by its content, then its suffix. Raises DataError for what holds no rows."""
    head = head_of(path)
    suffix = path.suffix.lower()
    if head.startswith(b"PAR1"):
        return "parquet"
    if suffix == ".parquet":
        raise DataError(f"{path}: not a Parquet file (its first bytes are not PAR1); name it by what it is")
    if suffix in _TABLES:
        return "table"
    start = next(
        (line.lstrip() for _, line in text_lines(path, encoding) if isinstance(line, str) and line.strip()), ""
    )
    if suffix not in _JSONS and suffix != "" and not start.startswith(("{", "[{")):
        return "text"
    if suffix == "" and not start.startswith(("{", "[")):
        return "text"
    if start.startswith("["):
        return "json"
    return "json" if start.startswith("{") and _spans_lines(path, encoding, start) else "jsonl"


def raw_rows(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the rows of one file.

    Raises:
        DataError: the file as a whole cannot be used (broken array, no header, no Parquet, only blank lines).
    """
    readers = {"json": _array, "jsonl": _json_lines, "table": _table, "parquet": _parquet, "text": _plain}
    count = 0
    for count, row in enumerate(readers[format_of(path, encoding)](path, encoding), start=1):  # noqa: B007 - counted
        yield row
    if not count:
        raise DataError(
            f"{path}: no rows in it, only {'a header' if path.suffix.lower() in _TABLES else 'blank lines'}"
        )


def _array(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the objects of a JSON array, or of several objects that span lines. ``Origin.line`` counts rows."""
    lines = []
    for number, line in text_lines(path, encoding):
        if isinstance(line, Reject):
            raise DataError(f"{path}:{number}: {line.detail}; set data.encoding to the file's encoding")
        lines.append(line)
    text = "".join(lines)
    for number, (value, faults) in enumerate(decode_objects(path, text), start=1):
        yield _object(Origin(str(path), number), value, faults)


def _json_lines(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield one object per line; a line that is broken is a reject of its own."""
    objects = Objects()
    for number, line in text_lines(path, encoding):
        origin = Origin(str(path), number)
        if isinstance(line, Reject):
            yield line
        elif line.strip():
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


def _table(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the rows of CSV or TSV; a quoted field may span lines, and the origin is the line it starts on."""
    csv.field_size_limit(MOST_FIELD_CHARACTERS)
    lines = (line if isinstance(line, str) else line.excerpt for _, line in text_lines(path, encoding, lenient=True))
    head = _head_lines(path, encoding)
    reader = csv.reader(lines, **_dialect(path, head))
    names = _header(path, reader)
    while True:
        origin = Origin(str(path), reader.line_num + 1)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise DataError(
                    f'{origin}: a quote that is opened in this row is never closed; double it ("") or close it'
                ) from error
            yield Reject(origin, "bad-csv", f"line {reader.line_num}: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(names):
            yield Reject(
                origin, "ragged-row", f"{len(cells)} cells, the header has {len(names)}", " | ".join(cells)[:200]
            )
        else:
            yield Raw(origin, dict(zip(names, cells, strict=True)))


def _dialect(path: Path, head: Sequence[str]) -> dict[str, Any]:
    """Return delimiter and quoting: what the header counts most of; tabs without quoting where quotes are loose."""
    header = re.sub(r'"[^"]*"', "", head[0] if head else "")
    best = "\t" if path.suffix.lower() in (".tsv", ".tab") else max(",;\t", key=header.count)
    settings: dict[str, Any] = {"delimiter": best, "strict": True}
    if best == "\t" and not _quotes_hold(head, settings):
        settings["quoting"] = csv.QUOTE_NONE
    return settings


def _quotes_hold(head: Sequence[str], settings: dict[str, Any]) -> bool:
    """Say whether quotes in the first lines come in pairs around cells (else they are letters like any other)."""
    try:
        widths = {len(cells) for cells in csv.reader(head, **settings) if cells}
    except csv.Error:
        return False
    return len(widths) <= 1


def _head_lines(path: Path, encoding: str) -> list[str]:
    found = (line for _, line in text_lines(path, encoding, lenient=True) if isinstance(line, str))
    return [line for line, _ in zip(found, range(200), strict=False)]


def _header(path: Path, reader: Any) -> list[str]:
    try:
        names = [name.strip() for name in next(row for row in reader if row)]
    except (StopIteration, csv.Error) as error:
        raise DataError(f"{path}: no header line; the first line of a table names its columns") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}:1: the header names {', '.join(map(repr, twice))} twice; give each column its own name"
        )
    return names


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
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read (after {number} rows): {error}") from error


def _plain(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield a text per line."""
    for number, line in text_lines(path, encoding):
        if isinstance(line, Reject):
            yield line
        elif line.strip():
            yield Raw(Origin(str(path), number), {"text": line.rstrip("\r\n")})


def _spans_lines(path: Path, encoding: str, start: str) -> bool:
    """Say whether the first object of a file goes on over line ends (then it is no file of JSON lines)."""
    try:
        Objects().whole(start)
    except (ValueError, RecursionError):
        try:
            text = "".join(line for _, line in text_lines(path, encoding) if isinstance(line, str))
            Objects().at(text, len(text) - len(text.lstrip()))
        except (ValueError, RecursionError):
            return False
        return True
    return False
