"""``data spelling``: a file of rows or of text in another spelling; nothing but the words changes.

Of pairs only the English side is spelt anew: the one whose language is English, by the row's own fields or its keys.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktune import durable
from desktune.data.jsons import Objects
from desktune.data.lines import text_lines, text_pieces
from desktune.data.spelling.words import Report, Spelling, respell
from desktune.errors import DataError, UserError
from desktune.events import Emit, Table
from desktune.languages import primary
from desktune.rows import Reject

KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".md")
_NO_TEXT = frozenset({"id", "pub_number", "source_lang", "target_lang", "language", "lang", "role", "from", "url"})
_SHOWN = 20


@dataclass(frozen=True)
class Respelt:
    """What to spell how: ``fields`` None: every text of a row, or the English side of a pair."""

    to: Spelling
    oxford: bool = False
    fields: tuple[str, ...] | None = None
    encoding: str = "utf-8"


def respell_file(source: Path, out: Path, wish: Respelt, emit: Emit) -> Report:
    """Write a file in another spelling; the report is emitted as tables.

    Raises:
        UserError: an output that is the input, a file of another kind, a field that no row has.
        DataError: a file that cannot be read.
    """
    suffix = source.suffix.lower()
    if suffix not in KINDS:
        raise UserError(f"{source}: allowed are {', '.join(KINDS)}")
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    if out.resolve() == source.resolve():
        raise UserError(f"{out}: is the input too and would be overwritten; name another file with -o")
    if out.suffix.lower() != suffix:
        raise UserError(f"{out}: the output is of the same kind as the input; name it like out{suffix}")
    if not out.parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}; make it first")
    rows = _Rows(source, wish, Report(), set())
    writers: dict[str, Callable[[_Rows], Iterator[str]]] = {".json": _array, ".csv": _table, ".tsv": _table}
    write = writers.get(suffix, _lines if suffix in (".jsonl", ".ndjson") else _text)
    with durable.open_rows(out) as add:
        for line in write(rows):
            add(line)
        lost = sorted(set(wish.fields or ()) - rows.seen)
        if lost and suffix not in (".txt", ".md"):
            raise UserError(f"{source}: no text field {', '.join(lost)}; there are: {', '.join(sorted(rows.names))}")
    for table in _tables(rows.report):
        emit(table)
    return rows.report


@dataclass
class _Rows:
    """A file on its way, with what was found in it."""

    source: Path
    wish: Respelt
    report: Report
    seen: set[str]

    def __post_init__(self) -> None:
        self.names: set[str] = set()

    def text(self, text: str) -> str:
        """Return a text in the wanted spelling."""
        return respell(text, self.wish.to, self.report, oxford=self.wish.oxford)

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with its English texts in the wanted spelling."""
        self.names |= {name for name, value in row.items() if isinstance(value, str)}
        chosen = self._fields(row)
        self.seen |= chosen & row.keys()
        return {name: self._value(name, value, chosen) for name, value in row.items()}

    def _fields(self, row: Mapping[str, Any]) -> set[str]:
        if self.wish.fields is not None:
            return set(self.wish.fields)
        texts = {name for name, value in row.items() if isinstance(value, str)} - _NO_TEXT
        sides = {side: row.get(f"{side}_lang") for side in ("source", "target")}
        known = {side: primary(code) for side, code in sides.items() if isinstance(code, str) and code}
        if not known or not {"source", "target"} <= texts:
            return texts
        if "target" not in known:  # rows of both directions say the source's alone
            known["target"] = "" if known["source"] == "en" else "en"
        return {side for side, code in known.items() if code == "en"}

    def _value(self, name: str, value: Any, chosen: set[str]) -> Any:
        if isinstance(value, str):
            return self.text(value) if name in chosen else value
        if name == "translation" and isinstance(value, dict):
            return {key: self.text(text) if primary(key) == "en" and isinstance(text, str) else text
                    for key, text in value.items()}  # fmt: skip
        if name in ("messages", "conversations") and isinstance(value, list):
            return [self._turn(turn) for turn in value]
        return value

    def _turn(self, turn: Any) -> Any:
        if not isinstance(turn, dict):
            return turn
        self.seen.add("messages")
        return {key: self.text(text) if key in ("content", "value") and isinstance(text, str) else text
                for key, text in turn.items()}  # fmt: skip


def _text(rows: _Rows) -> Iterator[str]:
    for number, line in text_lines(rows.source, rows.wish.encoding):
        if isinstance(line, Reject):
            raise DataError(f"{rows.source}:{number}: {line.detail}")
        yield rows.text(line.rstrip("\n"))


def _lines(rows: _Rows) -> Iterator[str]:
    for number, line in text_lines(rows.source, rows.wish.encoding):
        if isinstance(line, Reject):
            raise DataError(f"{rows.source}:{number}: {line.detail}")
        yield _json(rows.row(_object(line, f"{rows.source}:{number}"))) if line.strip() else ""


def _array(rows: _Rows) -> Iterator[str]:
    text = "".join(text_pieces(rows.source, rows.wish.encoding))
    try:
        found, _ = Objects().whole(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{rows.source}: no JSON that can be read: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError(f"{rows.source}: not a JSON array of rows; name JSON lines .jsonl")
    yield "["
    for index, row in enumerate(found):
        yield _json(rows.row(row)) + ("," if index + 1 < len(found) else "")
    yield "]"


def _table(rows: _Rows) -> Iterator[str]:
    delimiter = "\t" if rows.source.suffix.lower() == ".tsv" else ","
    text = "".join(text_pieces(rows.source, rows.wish.encoding))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        yield _cells(header, delimiter)
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(f"{rows.source}:{reader.line_num}: {len(cells)} cells, the header has {len(header)}")
            yield _cells(list(rows.row(dict(zip(header, cells, strict=True))).values()), delimiter)
    except csv.Error as error:
        raise DataError(f"{rows.source}:{reader.line_num}: {error}") from error


def _cells(cells: list[str], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(cells)
    return line.getvalue()


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        found, _ = Objects().whole(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{place}: not an object; a line is one row")
    return found


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _tables(report: Report) -> Iterator[Table]:
    changed = [(old, new, f"{count:,}") for (old, new), count in report.changed.most_common()]
    rest = len(changed) - _SHOWN
    more = [(f"and {rest:,} more", "", "")] if rest > 0 else []
    yield Table("changed", ("word", "now", "times"), tuple(changed[:_SHOWN] + more))
    left = [(word, f"{count:,}", report.examples[word]) for word, count in report.left.most_common(_SHOWN)]
    if left:
        yield Table("left alone: names, and words that depend on what is meant", ("word", "times", "like"), tuple(left))
