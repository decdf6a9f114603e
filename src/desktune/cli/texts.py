"""Texts to answer: lines of a file or of stdin, or JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from desktune.errors import DataError, UserError

_USUAL = ("source", "input", "prompt", "question", "text")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_texts(path: Path | None, field: str | None) -> list[str]:
    """Return the texts of a file (stdin when None); ``field`` is the run's own name for what the model reads.

    Raises:
        DataError: the file is not there, is empty, or a line of it cannot be used.
        UserError: nothing is piped in either.
    """
    if path is None:
        if sys.stdin.isatty():
            raise UserError("desktune generate: give a text, --input FILE, or pipe lines in")
        texts = [line for line in sys.stdin.read().splitlines() if line.strip()]
        return _some(texts, "stdin")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--input {path}: cannot be read ({error})") from error
    if path.suffix not in _JSON_SUFFIXES:
        return _some([line for line in lines if line.strip()], str(path))
    fields = (field, *_USUAL) if field else _USUAL
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return _some([_text_of(line, fields, f"{path}:{number}") for number, line in rows], str(path))


def _text_of(line: str, fields: tuple[str, ...], place: str) -> str:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: not JSON ({error}); each line of a .jsonl file is one JSON value") from error
    if isinstance(row, str):
        return row
    if isinstance(row, dict):
        found = next((row[name] for name in fields if isinstance(row.get(name), str)), None)
        if found is not None:
            return found
        raise DataError(
            f"{place}: no text in a field named {', '.join(fields)}; the row has {', '.join(row) or 'none'}"
        )
    raise DataError(f"{place}: a text or an object with a text is needed, not {type(row).__name__}")


def _some(texts: list[str], place: str) -> list[str]:
    if not texts:
        raise DataError(f"{place}: no text in it")
    return texts
