"""Scores of language: is a side written in the language, and the script, that it is said to be in?"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import langcodes

from desktune.compat import require
from desktune.data.clean.texts import Scorer, Texts
from desktune.languages import primary

_FEW_LETTERS = 20  # below this a side, half of it a name, says too little
_SCRIPTS: dict[str, tuple[str, ...]] = {  # ISO 15924 → first words of Unicode character names
    "Latn": ("LATIN",), "Cyrl": ("CYRILLIC",), "Grek": ("GREEK",), "Arab": ("ARABIC",), "Hebr": ("HEBREW",),
    "Deva": ("DEVANAGARI",), "Beng": ("BENGALI",), "Taml": ("TAMIL",), "Telu": ("TELUGU",), "Thai": ("THAI",),
    "Hans": ("CJK",), "Hant": ("CJK",), "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "Kore": ("HANGUL", "CJK"), "Armn": ("ARMENIAN",), "Geor": ("GEORGIAN",), "Ethi": ("ETHIOPIC",),
    "Cans": ("CANADIAN",), "Khmr": ("KHMER",), "Laoo": ("LAO",), "Mymr": ("MYANMAR",), "Sinh": ("SINHALA",),
    "Gujr": ("GUJARATI",), "Guru": ("GURMUKHI",), "Knda": ("KANNADA",), "Mlym": ("MALAYALAM",), "Orya": ("ORIYA",),
}  # fmt: skip
_NO_WORDS = frozenset({"zxx"})  # what py3langid calls a text that is no language


@dataclass(frozen=True)
class Detect:
    """A language detector: the likeliest language of a text, and the probability of a given one."""

    likeliest: Callable[[str], tuple[str, float]]
    ranked: Callable[[str], list[tuple[str, float]]]
    known: frozenset[str]

    def probability(self, text: str, code: str) -> float | None:
        """Return how probable a language is; None for one that is not known."""
        if code not in self.known:
            return None
        line = " ".join(text.split())
        best, probable = self.likeliest(line)
        return probable if best == code else dict(self.ranked(line))[code]


@cache
def detector() -> Detect:
    """Return the detector (py3langid: langid.py of Lui & Baldwin 2012; its model is in the wheel).

    Raises:
        MissingExtra: py3langid is not installed.
    """
    require("py3langid", "data", "cleaning: language")
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return Detect(identifier.classify, identifier.rank, frozenset(identifier.labels))


def language(detect: Detect) -> Scorer:
    """Return the probability of the language that a side is said to be in; the lower one of a pair.

    None for a side without a language, one that the library does not know, or one with too few letters.
    """

    def score(row: Texts) -> float | None:
        found = [
            probable
            for side, code in zip(row.sides, row.langs, strict=True)
            if code is not None and sum(map(str.isalpha, side)) >= _FEW_LETTERS
            if (probable := detect.probability(side, primary(code))) is not None
        ]
        return min(found, default=None)

    return score


def detected(detect: Detect, text: str) -> str | None:
    """Return the language of a text, or None where it has too few letters or none is probable."""
    if sum(map(str.isalpha, text)) < _FEW_LETTERS:
        return None
    code, probable = detect.likeliest(" ".join(text.split()))
    return None if probable < 0.5 or code in _NO_WORDS else code


def script(row: Texts) -> float | None:
    """Share of letters in the script of the side's language (OpusFilter CharacterScoreFilter); the lower of a pair."""
    scores = [in_script(side, script_of(code)) for side, code in zip(row.sides, row.langs, strict=True) if code]
    return min((score for score in scores if score is not None), default=None)


@cache
def script_of(code: str) -> tuple[str, ...]:
    """Return the Unicode names of the script that a language is written in (CLDR's likely subtags), or nothing."""
    try:
        return _SCRIPTS.get(langcodes.Language.get(code).maximize().script or "", ())
    except (langcodes.LanguageTagError, LookupError):
        return ()


def in_script(text: str, names: tuple[str, ...]) -> float | None:
    """Return the share of letters in a script, None where there are no letters or no script is known."""
    if not names:
        return None
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return None
    return sum(_script_name(char) in names for char in letters) / len(letters)


@cache
def _script_name(char: str) -> str:
    return unicodedata.name(char, "").split(" ")[0]
