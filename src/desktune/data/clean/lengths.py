"""Scores of length. Limits are given, or learnt from the corpus (``learn``)."""

from __future__ import annotations

from collections.abc import Callable

from desktune.data.clean.texts import Scorer, Texts

_SMOOTH = 5  # characters or words that are added to both sides: "Yes." against "Oui." says little


def shortest(row: Texts) -> float:
    """Characters of the shortest side (OpusFilter LengthFilter)."""
    return float(min(map(len, row.sides), default=0))


def longest(row: Texts) -> float:
    """Characters of the longest side."""
    return float(max(map(len, row.sides), default=0))


def fewest_words(row: Texts) -> float:
    """Words of the shortest side; a script without spaces counts two characters as a word."""
    counts = (max(len(words), _wordless(side)) for words, side in zip(row.split, row.sides, strict=True))
    return float(min(counts, default=0))


def _wordless(side: str) -> int:
    return 0 if side.isascii() else sum(char >= "\u2e80" for char in side) // 2


def ratio(row: Texts) -> float:
    """Characters of the target over those of the source (Gale & Church 1993; OpusFilter LengthRatioFilter)."""
    return (len(row.sides[1]) + _SMOOTH) / (len(row.sides[0]) + _SMOOTH)


def token_ratio(count: Callable[[str], int]) -> Scorer:
    """Return the ratio in tokens of a tokenizer."""
    return lambda row: (count(row.sides[1]) + _SMOOTH) / (count(row.sides[0]) + _SMOOTH)
