"""Which documents belong together, and their text: two files, two folders, or one file of documents.

In folders a document is found by its publication number: the first run of digits of its name, or the name itself
without the language (``1998-017.en.docx`` and ``1998-017_fr.txt`` are one). A file of documents has a line per document
and language: ``{"text", "pub_number", "language"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desktune.data.jsons import Objects
from desktune.data.lines import text_lines, text_pieces
from desktune.data.word import paragraphs
from desktune.errors import DataError, UserError
from desktune.languages import primary
from desktune.rows import Reject

KINDS = (".txt", ".md", ".docx")
_NUMBER = re.compile(r"\d+(?:[-_.]\d+)*")
_LANGUAGE = re.compile(r"(?:^|[._\- ])([a-z]{2,3})(?=$|[._\- ])", re.IGNORECASE)


@dataclass(frozen=True)
class Two:
    """The texts of one publication in two languages."""

    pub_number: str
    source: str
    target: str


@dataclass(frozen=True)
class Wanted:
    """What is aligned: ``source`` and ``target`` are files or folders; without a target, one file of documents."""

    source: Path
    target: Path | None
    source_lang: str
    target_lang: str
    encoding: str = "utf-8"


def inputs(wanted: Wanted) -> list[Path]:
    """Return every file that will be read. Raises UserError for what is not there."""
    found = [wanted.source, *([] if wanted.target is None else [wanted.target])]
    for place in found:
        if not place.exists():
            raise UserError(f"{place}: no such file or folder")
    return [file for place in found for file in (_documents(place) if place.is_dir() else [place])]


def matched(wanted: Wanted) -> tuple[list[tuple[str, Path, Path]], list[Path]]:
    """Return (number, source, target) of all documents that have both sides, and the files that have none.

    Raises:
        UserError: a file against a folder, two files of one number, or nothing that matches.
    """
    source, target = wanted.source, wanted.target
    if target is None:
        return [], []
    if source.is_dir() != target.is_dir():
        one, other = (source, target) if source.is_dir() else (target, source)
        raise UserError(f"{one} is a folder and {other} a file; give two files, or two folders")
    if not source.is_dir():
        number = _number_of(source, wanted.source_lang) if _NUMBER.search(source.stem) else ""
        return [(number, source, target)], []
    sides = _numbered(source, wanted.source_lang), _numbered(target, wanted.target_lang)
    both = sorted(sides[0].keys() & sides[1].keys())
    if not both:
        raise UserError(
            f"no document of {source} has the number of one of {target}; numbers there: {_some(sides[0])} and "
            f"{_some(sides[1])}"
        )
    alone = [
        path for mine, other in (sides, sides[::-1]) for number, path in sorted(mine.items()) if number not in other
    ]
    return [(number, sides[0][number], sides[1][number]) for number in both], alone


def documents(wanted: Wanted) -> Iterator[Two]:
    """Yield the texts of all publications that have both sides.

    Raises:
        DataError: a file that cannot be read, a document without text, a line that is no document.
        UserError: as ``matched``.
    """
    if wanted.target is None:
        yield from _of_lines(wanted)
        return
    for number, source, target in matched(wanted)[0]:
        yield Two(number, _text(source, wanted.encoding), _text(target, wanted.encoding))


def _documents(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and path.name[0] not in ".~")
    if not found:
        raise UserError(f"{folder}: no document in it; documents are {', '.join(KINDS)}")
    return found


def _numbered(folder: Path, language: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _documents(folder):
        number = _number_of(path, language)
        if number in found:
            raise UserError(f"{path} and {found[number].name} have one number ({number}); rename one of them")
        found[number] = path
    return found


def _number_of(path: Path, language: str) -> str:
    number = _NUMBER.search(path.stem)
    if number is not None:
        return number.group()
    codes = [match for match in _LANGUAGE.finditer(path.stem) if match.group(1).lower() == primary(language)]
    return path.stem if not codes else (path.stem[: codes[-1].start()] + path.stem[codes[-1].end() :]).strip("._- ")


def _text(path: Path, encoding: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise UserError(f"{path}: not a document; documents are {', '.join(KINDS)}")
    text = "\n\n".join(paragraphs(path)) if suffix == ".docx" else "".join(text_pieces(path, encoding))
    if suffix == ".md":
        text = re.sub(r"^(?:#{1,6}|[*+-]|\d+\.)\s+", "\n\n", text, flags=re.MULTILINE)
    if not text.strip():
        raise DataError(f"{path}: an empty document; it has nothing to align")
    return text


def _of_lines(wanted: Wanted) -> Iterator[Two]:
    """Yield documents as soon as both sides of a number are there."""
    waiting: dict[tuple[str, str], str] = {}
    languages = primary(wanted.source_lang), primary(wanted.target_lang)
    count = 0
    for number, line in text_lines(wanted.source, wanted.encoding):
        place = f"{wanted.source}:{number}"
        if isinstance(line, Reject):
            raise DataError(f"{place}: {line.detail}")
        if not line.strip():
            continue
        pub_number, language, text = _document(line, place)
        if language not in languages:
            continue
        if (pub_number, language) in waiting:
            raise DataError(f"{place}: document {pub_number} stands there twice in {language}")
        waiting[pub_number, language] = text
        if all((pub_number, code) in waiting for code in languages):
            source, target = (waiting.pop((pub_number, code)) for code in languages)
            count += 1
            yield Two(pub_number, source, target)
    if not count:
        raise DataError(f"{wanted.source}: no document has a text in both {languages[0]} and {languages[1]}")


def _document(line: str, place: str) -> tuple[str, str, str]:
    try:
        found, _ = Objects().whole(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f'{place}: not a document; a line is {{"text": …, "pub_number": …, "language": …}}')
    for name in ("text", "pub_number", "language"):
        value = found.get(name)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{place}: {name!r} is {json.dumps(value)[:40]}, a text is due")
    return found["pub_number"], primary(found["language"]), found["text"]


def _some(numbers: dict[str, Path]) -> str:
    shown = sorted(numbers)[:3]
    return ", ".join(shown) + (" …" if len(numbers) > len(shown) else "")
