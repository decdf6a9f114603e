"""JSON text → values, with what Python's reader lets pass marked: NaN, doubled keys, endless numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from desktune.errors import DataError

MOST_DIGITS = 4_000  # Python itself refuses integers of more than 4,300 digits
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


def decode_objects(path: Path, text: str) -> Iterator[tuple[Any, Sequence[Fault]]]:
    """Yield the values of an array, or of values that follow each other.

    Raises:
        DataError: the text is broken, with file:line:column.
    """
    objects = Objects()
    position = _skip(text, 0)
    array = text.startswith("[", position)
    position = _skip(text, position + 1 if array else position)
    if array and text.startswith("]", position):
        return
    while position < len(text):
        try:
            value, faults, end = objects.at(text, position)
        except json.JSONDecodeError as error:
            raise _broken(path, text, error.pos, error.msg) from error
        except RecursionError as error:
            raise _broken(path, text, position, "nested too deeply") from error
        yield value, faults
        position = _skip(text, end)
        if array and text.startswith("]", position):
            if _skip(text, position + 1) < len(text):
                raise _broken(path, text, position + 1, "more after the end of the array")
            return
        position = _after_comma(path, text, position, array)
    if array:
        raise _broken(path, text, len(text), "the array is never closed; the file ends too early")


def _after_comma(path: Path, text: str, position: int, array: bool) -> int:
    if not array:
        return position
    if not text.startswith(",", position):
        what = "the array is never closed; the file ends too early" if position >= len(text) else "a comma is missing"
        raise _broken(path, text, position, what)
    after = _skip(text, position + 1)
    if text.startswith("]", after):
        raise _broken(path, text, position, "a comma before the closing bracket")
    return after


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _broken(path: Path, text: str, position: int, what: str) -> DataError:
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    return DataError(f"{path}:{line}:{column}: broken JSON: {what}; mend it, or write one object per line (JSON lines)")
