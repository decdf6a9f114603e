"""The table of spellings, and text spelt by it: case and word boundaries stay, what depends on context is left alone.

No well-kept package does this. ``table.tsv`` has base forms; inflections are made by rule. Left alone and counted are
words whose spelling depends on their meaning (``CONTEXT``) and names (a capitalised word beside another in the middle
of a sentence: World Trade Center). Addresses, paths, code and words with digits are not looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

Spelling = Literal["us", "uk"]
Forms = tuple[tuple[str, str], ...]

# what a base form ends in → endings of the US and of the UK spelling, behind what is left
_VERB = (("", ""), ("s", "s"), ("ed", "ed"), ("ing", "ing"))
_IZE = tuple((f"iz{end}", f"is{end}") for end in
             ("e", "es", "ed", "ing", "er", "ers", "ation", "ations", "able", "ational", "ationally"))  # fmt: skip
_YZE = tuple((f"yz{end}", f"ys{end}") for end in ("e", "es", "ed", "ing", "er", "ers", "able"))
_DOUBLED = (("ed", "ed"), ("ing", "ing"))

CONTEXT: Mapping[Spelling, frozenset[str]] = {  # by the spelling that is asked for
    "uk": frozenset(
        word + end
        for word in ("program", "license", "practice", "meter", "draft", "check", "tire", "curb", "ton", "disk", "vise",
                     "inquire", "annex", "mortise", "font", "dialog")
        for end in ("", "s")
    ) | {"story", "stories", "inquiry", "inquiries", "toward", "afterward", "specialty", "specialties", "furor"},
    "us": frozenset({
        "analyses", "catalyses", "dialyses", "hydrolyses", "electrolyses", "paralyses", "psychoanalyses", "reanalyses",
        "dialogue", "dialogues", "tonne", "tonnes", "disc", "discs", "practise", "enquiry", "enquiries", "axe", "vice",
        "towards", "speciality", "specialities",
    }),
}  # fmt: skip
_TOKEN = re.compile(
    r"(?P<skip>`[^`]*`|\b(?:https?|ftp)://\S+|\bwww\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+|[@#]\w+|(?<!\w)(?:~|\.{1,2})?/[\w./-]*\w|"
    r"\w+(?:[\\/][\w.-]+){2,}|\w+\\\S+|\w+(?:\.\w+)+|\w*[\d_]\w*)|(?P<word>[A-Za-z]+)(?![\w])"
)
_SENTENCE = re.compile(r"(?:^|[.!?\n\r\"“«(\[]|(?:^|\n)\s*[-–—•*>\d.)]+)\s*$")
_WORD_BEFORE = re.compile(r"([A-Za-z]+) $")
_NO_NAMES = frozenset({  # words that begin sentences and are no part of a name
    "a", "an", "the", "this", "that", "these", "those", "our", "my", "your", "his", "her", "their", "its", "in",
    "on", "at", "of", "for", "to", "and", "or", "but", "no", "some", "each", "every", "all", "any", "with", "by",
    "from", "as", "if", "when", "while", "where", "what", "which", "who", "how", "why", "is", "are", "was", "were",
    "do", "does", "did", "there", "here", "it", "he", "she", "we", "they", "i", "you", "not", "new", "old", "many",
    "most", "more", "such", "both", "after", "before", "under", "over", "between", "during", "without", "within",
})  # fmt: skip


@dataclass
class Report:
    """What was changed (old → new in small letters), and what was left alone with an example of each."""

    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def leave(self, word: str, text: str, place: int) -> None:
        """Count a word that was left alone."""
        self.left[word] += 1
        self.examples.setdefault(word, text[max(0, place - 30) : place + len(word) + 30].replace("\n", " "))


@cache
def table() -> tuple[tuple[str, str, str, str], ...]:
    """Return the rows of the table: US and UK base form, inflection, way (``=`` both, ``>`` and ``<`` one)."""
    text = (files("desktune.data.spelling") / "table.tsv").read_text(encoding="utf-8")
    rows = (tuple(line.split("\t")) for line in text.splitlines() if not line.startswith("#"))
    return tuple((us, uk, kind, way) for us, uk, kind, way in rows)


def forms(us: str, uk: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield all inflected forms of a row, US and UK."""
    if kind == "x":
        yield us, uk
    elif kind == "n":
        yield us, uk
        yield _plural(us), _plural(uk)
    elif kind == "v":
        for ours, theirs in _VERB:
            yield _ended(us, ours), _ended(uk, theirs)
    elif kind in ("ize", "yze"):
        for ours, theirs in _IZE if kind == "ize" else _YZE:
            yield us[:-3] + ours, uk[:-3] + theirs
    else:  # ll, pp: the last consonant is doubled
        for ours, theirs in _DOUBLED:
            yield us + ours, uk + uk[-1] + theirs


@cache
def spellings(to: Spelling, *, oxford: bool = False) -> Mapping[str, str]:
    """Return other spelling → wanted spelling, in small letters.

    Args:
        to: The spelling that is wanted.
        oxford: UK spelling with -ize (of the Oxford dictionaries), where -yse stays.
    """
    found: dict[str, str] = {}
    for us, uk, kind, way in table():
        if way not in (("=", ">") if to == "uk" else ("=", "<")):
            continue
        for ours, theirs in forms(us, uk, kind):
            with_z = uk[:-3] + ours[len(us) - 3 :] if kind == "ize" else theirs
            wanted = ours if to == "us" else with_z if oxford else theirs
            for other in (ours, theirs, with_z):
                if other != wanted and other not in CONTEXT[to]:
                    found.setdefault(other, wanted)
    return found


def respell(text: str, to: Spelling, report: Report | None = None, *, oxford: bool = False) -> str:
    """Return a text in US or UK spelling.

    Args:
        text: English text.
        to: ``us`` or ``uk``.
        report: Where changes and words that are left alone are counted.
        oxford: UK spelling with -ize.
    """
    known, context = spellings(to, oxford=oxford), CONTEXT[to]
    counts = Report() if report is None else report

    def turned(match: re.Match[str]) -> str:
        word = match.group("word")
        if word is None:
            return match.group()
        small = word.lower()
        if small in context:
            counts.leave(small, text, match.start())
            return word
        new = known.get(small)
        if new is None or not (word.islower() or word.isupper() or word.istitle()):
            return word
        if word.istitle() and len(word) > 1 and _is_name(text, match):
            counts.leave(word, text, match.start())
            return word
        counts.changed[small, new] += 1
        return new if word.islower() else new.upper() if word.isupper() and len(word) > 1 else new.capitalize()

    return _TOKEN.sub(turned, text)


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Say whether a capitalised word stands in the middle of a sentence beside another capitalised word."""
    before, after = text[max(0, match.start() - 60) : match.start()], text[match.end() : match.end() + 2]
    if _SENTENCE.search(before):
        return False
    last = _WORD_BEFORE.search(before)
    joined = last is not None and last.group(1).istitle() and last.group(1).lower() not in _NO_NAMES
    return joined or (len(after) == 2 and after[0] == " " and after[1].isupper())


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word.endswith("y") and word[-2] not in "aeiou" else word + "s"


def _ended(word: str, ending: str) -> str:
    if ending == "s":
        return _plural(word)
    return (word[:-1] if word.endswith("e") and ending else word) + ending
