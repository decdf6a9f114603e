"""Word documents → raw rows: the rows of its tables of two columns as pairs, else its paragraphs as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from desktune.compat import require
from desktune.data.raw import Raw
from desktune.errors import DataError
from desktune.rows import Origin, Reject

_HEADERS = frozenset({"source", "target", "source text", "target text", "src", "tgt"})


def word(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the rows of a document; ``Origin.line`` counts table rows, or paragraphs that are not empty.

    Raises:
        DataError: no Word document that can be read, or its tables have other than two columns.
        MissingExtra: python-docx is not installed.
    """
    del encoding
    document = _opened(path)
    if document.tables:
        yield from _pairs(path, document.tables)
        return
    texts = (paragraph.text for paragraph in document.paragraphs if paragraph.text.strip())
    for number, text in enumerate(texts, start=1):
        yield Raw(Origin(str(path), number), {"text": text})


def paragraphs(path: Path) -> list[str]:
    """Return the paragraphs of a document that are not empty, those in tables left out.

    Raises:
        DataError: no Word document that can be read.
        MissingExtra: python-docx is not installed.
    """
    return [paragraph.text for paragraph in _opened(path).paragraphs if paragraph.text.strip()]


def _opened(path: Path) -> Any:
    require("python-docx", "data", f"{path}: reading a Word document")
    import docx
    from lxml.etree import XMLSyntaxError

    try:
        return docx.Document(str(path))
    except (KeyError, ValueError, BadZipFile, XMLSyntaxError) as error:
        raise DataError(f"{path}: not a Word document that can be read: {error}") from error


def _pairs(path: Path, tables: Any) -> Iterator[Raw | Reject]:
    number = 0
    for table in tables:
        for index, row in enumerate(table.rows):
            cells = [cell.text.strip() for cell in row.cells]
            if index == 0 and len(cells) == 2 and {cell.lower() for cell in cells} <= _HEADERS:
                continue
            number += 1
            origin = Origin(str(path), number)
            if len(cells) != 2:
                detail = f"{len(cells)} cells in a row of a table; pairs stand in two columns"
                yield Reject(origin, "ragged-row", detail, " | ".join(cells)[:200])
            else:
                yield Raw(origin, {"source": cells[0], "target": cells[1]})
