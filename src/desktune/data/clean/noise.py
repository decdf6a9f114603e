"""Scores of one text: is it language at all, or the debris of a page?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import groupby

from desktune.compat import require

_DIGIT_INSIDE = r"[^\W\d_]{2,}[01358]+[^\W\d_]|[^\W\d_][01358]+[^\W\d_]{2,}"
_CASE_INSIDE = r"[a-zà-ÿ]{2,}[A-ZÀ-Þ]{1,2}[a-zà-ÿ]|[A-ZÀ-Þ][a-zà-ÿ]+[|!][a-zà-ÿ]"
_SIGN_INSIDE = r"[^\W\d_][|\\^~¬¦§¤]+[^\W\d_]|[|\\^~¬¦§¤]{2,}|[^\W\d_]-$"
_NO_VOWEL = r"(?i:[bcdfghjklmnpqrstvwxz]{5,})"
_DAMAGED = re.compile("|".join((_DIGIT_INSIDE, _CASE_INSIDE, _SIGN_INSIDE, _NO_VOWEL)))
_SPACED_APOSTROPHE = re.compile(r"(?<=[^\W\d_]) ['’](?=[^\W\d_])|(?<=[^\W\d_])['’] (?=[^\W\d_])|[^\W\d_] ['’] [^\W\d_]")
_ALONE = frozenset("aàâdeinouy")  # letters that are words somewhere in Latin script
_SPELT = 3  # single letters in a row
_REFERENCE = re.compile(
    r"\b(?:fig(?:ure|\.)?s?|tab(?:le|leau|leaux|\.)?s?|eq(?:uation|\.)?s?|appendi(?:x|ces)|annexe?s?)\s*[A-Z]?\d+[a-z]?"
    r"(?:[.–-]\d+)*|\bet al\b\.?|\bdoi\s*:\s*\S+|\bpp?\.\s*\d+(?:\s*[-–]\s*\d+)?|\bISBN\b[\s\d-]+|\bISSN\b[\s\d-]+"
    r"|\(\s*(?:19|20)\d\d[a-z]?\s*\)|\[\s*\d+(?:\s*[,–-]\s*\d+)*\s*\]|\bvol\.?\s*\d+|\b\d+\s*\(\d+\)\s*:\s*\d+",
    re.IGNORECASE,
)
_CAPTION = re.compile(
    r"\s*(?:fig(?:ure|\.)|tab(?:le|leau|\.)|plate|planche|map|carte|annexe?|appendix)\s*[A-Z]?[\divx]+\s*[.:–—-]",
    re.IGNORECASE,
)
_MONTHS = (
    "jan(?:uary|vier)?|feb(?:ruary)?|f[ée]v(?:rier)?|mar(?:ch|s)?|apr(?:il)?|avr(?:il)?|may|mai|june?|juin|july?|juillet"
    "|aug(?:ust)?|ao[uû]t|sept?(?:ember|embre)?|oct(?:ober|obre)?|nov(?:ember|embre)?|dec(?:ember)?|d[ée]c(?:embre)?"
)
_DATE = re.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th|er)?\s+(?:{_MONTHS})\.?,?\s+\d{{4}}|(?:{_MONTHS})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}"
    rf"|(?:{_MONTHS})\.?\s+\d{{4}}|\d{{4}}-\d\d-\d\d|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}})\b",
    re.IGNORECASE,
)
_ABSTRACT = re.compile(r"\s*(?:abstract|résumé|resume|summary|sommaire)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…。！？](?:\s|$)")
_ABSTRACT_CHARACTERS, _ABSTRACT_SENTENCES = 800, 5
_NGRAMS = range(2, 6)
_FEW_WORDS = 8
_LONG_PHRASE = 4  # words


def letters(text: str) -> float:
    """Share of letters (and marks of letters) in what is no space; Gopher asks 0.8 of *words* to have one."""
    count = len("".join(text.split()))
    marks = 0 if text.isascii() else sum(char >= "\u0900" and not char.isalpha() for char in text)
    return min(1.0, (sum(map(str.isalpha, text)) + marks) / count) if count else 0.0


def breakage() -> Callable[[str], float]:
    """Return a count of character sequences that only wrong decoding makes (ftfy's badness), and of U+FFFD.

    Raises:
        MissingExtra: ftfy is not installed.
    """
    require("ftfy", "data", "cleaning: mojibake")
    from ftfy.badness import badness

    return lambda text: 0.0 if text.isascii() else float(badness(text) + text.count("\ufffd"))


def ocr_faults(text: str) -> float:
    """Share of words with a mark of bad OCR: stray letters, digits, signs or capitals inside, spaced apostrophes."""
    words = text.split()
    if not words:
        return 0.0
    inside = sum(_DAMAGED.search(word) is not None for word in words)
    return min(1.0, (_stray(words) + inside + len(_SPACED_APOSTROPHE.findall(text))) / len(words))


def _stray(words: list[str]) -> int:
    """Count single letters: all of a word that is spelt out (``t h e``), and lower-case ones that are no words.

    One of the latter is let pass, since texts of science have symbols; capitals name plans and vitamins.
    """
    runs = [(short, list(run)) for short, run in groupby(words, lambda word: len(word) == 1 and word.isalpha())]
    spelt = sum(len(run) for short, run in runs if short and len(run) >= _SPELT)
    single = [word for short, run in runs if short and len(run) < _SPELT for word in run]
    lone = sum(word.islower() and word not in _ALONE and word < "\u0370" for word in single)
    return spelt + (lone if lone > 1 or len(words) <= _SPELT else 0)


def repetition(text: str) -> float:
    """Largest share of characters in one repeated phrase of 2 to 5 words (Gopher, Rae et al. 2021, table A1)."""
    words = text.lower().split()
    if len(words) < 4:
        return 0.0
    if len(words) < _FEW_WORDS:
        return (len(words) - len(set(words))) / len(words) if len(set(words)) <= len(words) / 2 else 0.0
    return max(_covered(words, size) for size in _NGRAMS)


def _covered(words: list[str], size: int) -> float:
    counts = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    phrase, count = counts.most_common(1)[0]
    least = 2 if size >= _LONG_PHRASE else 3  # "a black dog and a black cat" repeats nothing
    return min(1.0, count * sum(map(len, phrase)) / sum(map(len, words))) if count >= least else 0.0


def references(text: str) -> float:
    """Share of characters in figure, table and literature references; 1 for a caption or a table's line."""
    if _CAPTION.match(text):
        return 1.0
    return sum(len(found.group()) for found in _REFERENCE.finditer(text)) / len(text) if text else 0.0


def dates(text: str) -> float:
    """Share of characters in dates (English, French and figures)."""
    return sum(len(found.group()) for found in _DATE.finditer(text)) / len(text) if text else 0.0


def abstract(text: str) -> float:
    """1 for a text that is headed or built like an abstract (five sentences, 800 characters), else their share."""
    if _ABSTRACT.match(text) and len(text) > _ABSTRACT_CHARACTERS / 4:
        return 1.0
    sentences = len(_SENTENCE_END.findall(text)) / _ABSTRACT_SENTENCES
    return min(1.0, sentences, len(text) / _ABSTRACT_CHARACTERS)
