"""JSON text → values, with what Python's reader lets pass marked: NaN, doubled keys, endless numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from desktune.errors import DataError

MOST_DIGITS = 4_000  # Python itself refuses integers of more than 4,300 digits
MOST_VALUE = 1 << 26  # one value of 64 Mi characters is no row
LONGEST_SIGN = 16  # of the words and escapes of JSON: -Infinity, a pair of \u escapes
Fault = tuple[str, str]
_SPACE = re.compile(r"[ \t\r\n]*")


class Objects:
    """A decoder that remembers the faults of the value it just read."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._pairs, parse_int=self._integer, parse_constant=self._constant
        )

    def whole(self, text: str) -> tuple[Any, Sequence[Fault]]:
        """Decode one text. Raises ValueError or RecursionError when it is no JSON."""
        self._faults = []
        return self._decoder.decode(text), self._faults

    def at(self, text: str, position: int) -> tuple[Any, Sequence[Fault], int]:
        """Decode the value that starts at ``position``; returns where it ends. Raises like ``whole``."""
        self._faults = []
        value, end = self._decoder.raw_decode(text, position)
        return value, self._faults, end

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._faults.append(("duplicate-key", f"the key {twice!r} stands twice in one object"))
        return found

    def _integer(self, digits: str) -> int:
        if len(digits) > MOST_DIGITS:
            self._faults.append(("wrong-type", f"a number of {len(digits):,} digits"))
            return 0
        return int(digits)

    def _constant(self, name: str) -> None:
        self._faults.append(("nan-literal", f"{name} is not JSON"))


def decode_objects(path: Path, pieces: Iterable[str]) -> Iterator[tuple[Any, Sequence[Fault]]]:
    """Yield the values of an array, or of values that follow each other; of the text only what is needed is held.

    Raises:
        DataError: the text is broken, with file:line:column.
    """
    text = _Window(path, pieces)
    array = text.take("[")
    if array and text.take("]"):
        return
    while not text.at_end():
        yield text.value()
        if array and text.take("]"):
            if not text.at_end():
                raise text.broken("more after the end of the array")
            return
        if array:
            _after_comma(text)
    if array:
        raise text.broken("the array is never closed; the file ends too early")


def _after_comma(text: _Window) -> None:
    if text.at_end():
        raise text.broken("the array is never closed; the file ends too early")
    comma = text.position
    if not text.take(","):
        raise text.broken("a comma is missing")
    if not text.at_end() and text.text[text.position] == "]":
        raise text.broken("a comma before the closing bracket", min(comma, text.position - 1))


class _Window:
    """The part of a text that is being decoded: it grows at its end, and forgets what was decoded."""

    def __init__(self, path: Path, pieces: Iterable[str]) -> None:
        self.text, self.position = "", 0
        self._path, self._pieces, self._ended = path, iter(pieces), False
        self._lines, self._column = 0, 0  # before the window: lines, and characters of the line that was begun
        self._objects = Objects()

    def at_end(self) -> bool:
        """Move past white space, and say whether nothing follows."""
        while True:
            space = _SPACE.match(self.text, self.position)
            self.position = space.end() if space else self.position
            if self.position < len(self.text):
                return False
            if not self._more():
                return True

    def take(self, sign: str) -> bool:
        """Move past white space and a sign, if it is there."""
        there = not self.at_end() and self.text[self.position] == sign
        self.position += there
        return there

    def value(self) -> tuple[Any, Sequence[Fault]]:
        """Decode the value that stands here. Raises DataError when it is broken or has no end."""
        while True:
            try:
                value, faults, end = self._objects.at(self.text, self.position)
            except json.JSONDecodeError as error:
                if not self._is_cut(error):
                    raise self.broken(error.msg, error.pos) from error
            except RecursionError as error:
                raise self.broken("nested too deeply") from error
            else:
                if end < len(self.text) or self._ended:
                    self.position = end
                    return value, faults
            if len(self.text) - self.position > MOST_VALUE:
                raise self.broken(f"a value of more than {MOST_VALUE >> 20} MiB")
            self._more()

    def broken(self, what: str, position: int | None = None) -> DataError:
        """Return the error that names a place of the text."""
        position = self.position if position is None else position
        lines = self.text.count("\n", 0, position)
        column = position - self.text.rfind("\n", 0, position) + (0 if lines else self._column)
        return DataError(
            f"{self._path}:{self._lines + lines + 1}:{column}: broken JSON: {what}; "
            "mend it, or write one object per line (JSON lines)"
        )

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Say whether more text may mend a value: the fault is where the window ends."""
        near_end = error.pos >= len(self.text) - LONGEST_SIGN or error.msg.startswith("Unterminated string")
        return not self._ended and near_end

    def _more(self) -> bool:
        """Read on, by at least as much as is held (so that a long value is not tried too often)."""
        rest = self.text[self.position :]
        lines = self.text.count("\n", 0, self.position)
        last = self.text.rfind("\n", 0, self.position)
        self._column = self.position - last - 1 if lines else self._column + self.position
        self._lines += lines
        added: list[str] = []
        length = 0
        for piece in self._pieces:
            added.append(piece)
            length += len(piece)
            if length and length >= len(rest):
                break
        else:
            self._ended = True
        self.text, self.position = rest + "".join(added), 0
        return length > 0
