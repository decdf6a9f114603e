"""Codes of languages as models write them, and which language a text is in (py3langid: offline, 140 languages).

Model codes look like ``fr``, ``fr_XX``, ``fra_Latn``, ``>>fra<<`` and ``pt_br``. They are compared by the language
alone, and languages that no identifier tells apart safely count as one: saying too little is better than a false alarm.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import langcodes
from py3langid.langid import MODEL_FILE, LanguageIdentifier

LEAST_LETTERS, LEAST_WORDS = 20, 3
SURE = 0.9  # of py3langid's own probability, which is tempered by the length of the text
AGREED = 0.9  # share of the references that must be in one language where the rows name none
WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_CODE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_ALIKE = (  # written so alike that a sentence can belong to either
    ("no", "nb", "nn", "da"),
    ("sr", "hr", "bs", "sh", "cnr"),
    ("ms", "id", "zsm", "zlm"),
    ("cs", "sk"),
    ("gl", "pt"),
    ("af", "nl"),
    ("bg", "mk"),
    ("zh", "cmn", "yue", "wuu"),
    ("xh", "zu"),
    ("hi", "mr", "ne"),
    ("fa", "prs"),
    ("tl", "fil"),
)
_ONE = {code: codes[0] for codes in _ALIKE for code in codes}


@functools.cache
def primary(code: str | None) -> str | None:
    """Return the language of a model's code (``fra_Latn`` → ``fr``), None where it is no code."""
    plain = (code or "").strip().strip("<>_ ")
    if not _CODE.fullmatch(plain):
        return None
    try:
        return langcodes.Language.get(plain).language
    except ValueError:
        return None


def known(language: str | None) -> str | None:
    """Return the group that a language counts with, None where the identifier does not know it."""
    return _ONE.get(language, language) if language in _labels() else None


@functools.lru_cache(maxsize=4096)
def identified(text: str) -> str | None:
    """Return the group of languages that a text is surely in; None for short texts and where it is not sure."""
    letters = sum(sign.isalpha() for sign in text)
    words = sum(any(sign.isalpha() for sign in word) for word in text.split())
    if letters < LEAST_LETTERS or (words < LEAST_WORDS and not WITHOUT_SPACES.search(text)):
        return None
    shares: dict[str, float] = {}
    for language, share in _identifier().rank(text):
        group = _ONE.get(str(language), str(language))
        shares[group] = shares.get(group, 0.0) + share
    best = max(shares, key=lambda group: shares[group])
    return best if shares[best] >= SURE else None


def agreed(texts: Sequence[str]) -> str | None:
    """Return the language that nearly all texts are in, None where they differ or too few can be told."""
    found = [language for language in map(identified, texts) if language is not None]
    if not found or len(found) < len(texts) / 2:
        return None
    most = max(set(found), key=found.count)
    return most if found.count(most) >= AGREED * len(found) else None


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@functools.cache
def _labels() -> frozenset[str]:
    """Return the languages of the identifier and those that count as one with them."""
    own = set(_identifier().labels)
    groups = {_ONE[code] for code in own if code in _ONE}
    return frozenset(own | {code for code, group in _ONE.items() if group in groups})
