"""A document → its sentences, by pysbd's rules for the language and a list of abbreviations of scientific writing.

pysbd (Sadvilkar & Neumann 2020) cuts behind some abbreviations all the same (``p. ex.``, ``vol. 3``, ``Mytilus sp.``);
what it cut there is put together again. A paragraph ends a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from desktune.compat import require
from desktune.languages import primary

# never the end of a sentence
_OPENING = frozenset({
    "fig", "figs", "tab", "tabs", "eq", "eqs", "vol", "vols", "pp", "ch", "chap", "sec", "sect", "dr", "drs", "prof",
    "mr", "mrs", "ms", "mme", "mmes", "mlle", "mm", "st", "ste", "approx", "env", "cf", "viz", "vs", "e.g", "i.e",
    "c.-à-d", "p.ex", "ibid", "réf", "ref", "refs", "éd", "ed", "eds", "dép", "dept", "gén", "spéc", "resp", "incl",
    "excl", "circa",
})  # fmt: skip
# the end of a sentence unless what follows goes on: a small letter, a digit, a bracket; so are single letters
_CLOSING = frozenset({
    "al", "etc", "sp", "spp", "ssp", "subsp", "var", "cv", "no", "nos", "nº", "n°", "ex", "ca", "inc", "ltd", "co",
    "corp", "dir", "coll", "suiv", "sqq",
})  # fmt: skip
_LAST = re.compile(r"(?:^|[\s(\[«\"'’])([^\s(\[«\"'’]+)\.$")
_GOES_ON = re.compile(r"[a-zà-öø-ÿ0-9(\[.,;:\-–]")
_PARAGRAPH = re.compile(r"\n\s*\n|\r\n\s*\r\n")

Split = Callable[[str], list[str]]


def splitter(language: str, abbreviations: Iterable[str] = ()) -> tuple[Split, bool]:
    """Return what cuts a document into sentences, and whether pysbd has rules for the language (else English ones).

    Args:
        language: Code of the language.
        abbreviations: More words (``fig.`` or ``fig``) that never end a sentence.

    Raises:
        MissingExtra: pysbd is not installed.
    """
    require("pysbd", "data", "data align: cutting documents into sentences")
    from pysbd.languages import LANGUAGE_CODES

    code = primary(language)
    known = code in LANGUAGE_CODES
    more = frozenset(word.strip().rstrip(".").lower() for word in abbreviations if word.strip())
    segment = _segmenter(code if known else "en")

    def split(document: str) -> list[str]:
        return [
            sentence
            for paragraph in _PARAGRAPH.split(document)
            for sentence in _joined(segment(" ".join(paragraph.split())), more)
        ]

    return split, known


@lru_cache(maxsize=8)
def _segmenter(code: str) -> Callable[[str], list[str]]:
    import pysbd

    segmenter: Any = pysbd.Segmenter(language=code, clean=False)
    return segmenter.segment


def _joined(pieces: Iterable[str], more: frozenset[str]) -> Iterator[str]:
    """Put together what was cut behind an abbreviation."""
    waiting = ""
    for piece in (piece.strip() for piece in pieces):
        if waiting and piece and not _ends(waiting, piece, more):
            waiting = f"{waiting}{'' if piece.startswith('-') else ' '}{piece}"
            continue
        if waiting:
            yield waiting
        waiting = piece
    if waiting:
        yield waiting


def _ends(sentence: str, following: str, more: frozenset[str]) -> bool:
    last = _LAST.search(sentence)
    if last is None:
        return True
    word = last.group(1).lower()
    if word in _OPENING or word in more:
        return False
    return not ((word in _CLOSING or len(word) == 1) and _GOES_ON.match(following))
