"""CSV and TSV → raw rows: the dialect is seen from the file, quoted fields may span lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from desktune.config.files import suffix_of
from desktune.data.lines import text_lines
from desktune.data.raw import Raw
from desktune.errors import DataError
from desktune.rows import Origin, Reject

MOST_FIELD_CHARACTERS = 1 << 26  # csv's own limit of 131,072 is shorter than many documents


def table(path: Path, encoding: str) -> Iterator[Raw | Reject]:
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
    best = "\t" if suffix_of(str(path)) in (".tsv", ".tab") else max(",;\t", key=header.count)
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
        raise DataError(f"{path}: no header line; name the columns in the first line, e.g. source,target") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}:1: the header names {', '.join(map(repr, twice))} twice; give each column its own name"
        )
    return names
