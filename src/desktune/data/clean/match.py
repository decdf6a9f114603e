"""Scores of a pair: what must stand on both sides. Each knows that translations differ where they may."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from desktune.compat import require
from desktune.data.clean.texts import Scorer, Texts

_NUMBER = re.compile(r"\d+(?:[.,’'\u00a0\u202f ]\d{3})*(?:[.,]\d+)?")
_ZERO_CENTS = re.compile(r"[.,]00?$")
_NO_DIGITS = re.compile(r"\D")
_URL = re.compile(r"https?://[^\s<>\"')\]]+|www\.[^\s<>\"')\]]+|[\w.+-]+@[\w-]+\.[\w.]+")
_WRITTEN_OUT = 20  # numbers up to here may be words on the other side
_BRACKETS = str.maketrans({"[": "(", "{": "(", "]": ")", "}": ")", "（": "(", "）": ")"})
_ENDS = ".!?…。！？؟۔।"
_CLOSERS = "\"'”’»)]』」 \u00a0"


def likeness() -> Scorer:
    """Return the likeness of both sides: 1 − edit distance over length (OpusFilter SimilarityFilter).

    Raises:
        MissingExtra: rapidfuzz is not installed.
    """
    require("rapidfuzz", "data", "cleaning: copied")
    from rapidfuzz.distance import Levenshtein

    def score(row: Texts) -> float:
        return Levenshtein.normalized_similarity(row.sides[0].casefold().strip(), row.sides[1].casefold().strip())

    return score


def numbers(row: Texts) -> float | None:
    """Share of numbers that both sides have, as digits without separators (after OpusFilter NonZeroNumeralsFilter).

    A small number that only one side writes in digits may be a word on the other; None when there are no numbers.
    """
    source, target = (Counter(map(_digits, _NUMBER.findall(side))) for side in row.sides)
    left, right = source - target, target - source
    if not left or not right:
        left, right = _large(left), _large(right)
    matched = (source & target).total()
    missing = left.total() + right.total()
    return None if not matched and not missing else 2 * matched / (2 * matched + missing)


def _digits(number: str) -> str:
    return _NO_DIGITS.sub("", _ZERO_CENTS.sub("", number)).lstrip("0") or "0"


def _large(counts: Counter[str]) -> Counter[str]:
    return Counter({digits: count for digits, count in counts.items() if int(digits[:6]) > _WRITTEN_OUT})


def urls(row: Texts) -> float | None:
    """Share of web and mail addresses that both sides have; None when there are none."""
    source, target = (Counter(url.rstrip(".,;:").lower() for url in _URL.findall(side)) for side in row.sides)
    both = (source & target).total()
    return None if not source and not target else both / max(source.total(), target.total())


def punctuation(row: Texts) -> float:
    """Difference of terminal punctuation, 0 is best (Vázquez et al. 2019; OpusFilter TerminalPunctuationFilter).

    The count of end signs differs by n: −n; more than one on a side costs too where the other has none of them.
    """
    source, target = (sum(side.count(sign) for sign in _ENDS) for side in row.sides)
    score = float(abs(source - target))
    if source > 1:
        score += source - 1
    if target > 1:
        score += target - 1
    return 0.0 if source == target else -score


def brackets(row: Texts) -> float:
    """Brackets that stand on one side only, and those that are not closed."""
    sides = [Counter(char for char in side.translate(_BRACKETS) if char in "()") for side in row.sides]
    across = sum(abs(sides[0][sign] - sides[1][sign]) for sign in "()")
    return float(max(across, *(abs(side["("] - side[")"]) for side in sides)))


@dataclass(frozen=True)
class Truncated:
    """The target's length over what the corpus has for such a source (``centre``), where the end looks cut.

    Cut looks a target without end sign whose source has one. None where the target ends as the source does.
    """

    centre: float

    def __call__(self, row: Texts) -> float | None:
        """Return the score of a row."""
        source, target = row.sides
        if not ends(source) or ends(target):
            return None
        return min(1.0, len(target) / (self.centre * len(source))) if source else None


def ends(text: str) -> bool:
    """Say whether a text ends a sentence, quotes and brackets aside."""
    return text.rstrip(_CLOSERS).endswith(tuple(_ENDS))
