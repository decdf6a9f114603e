"""Answers → how many of them are wrong in a way that no score says: language, copies, nothing, loops, the length limit.

Each rule leaves a row out where its reference does the same, so that data of that kind raises no alarm.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from desktune.evaluate.languages import agreed, identified, known, primary
from desktune.models.load import Bundle
from desktune.rows import Encoded

ALARMING = 0.05  # share of answers in one class from which on a person is told
FEWEST = 2  # one bad answer of a few is no sign yet
LABELS = {
    "wrong_language": "in the wrong language",
    "copied": "copied from the source",
    "empty": "empty",
    "repeating": "repeating themselves",
    "hit_limit": "cut at the length limit",
}
ADVICE = {
    "wrong_language": "look at data.source_lang, data.target_lang and at rows whose sides are swapped (desktune show)",
    "copied": "look for rows whose target repeats the source (desktune data report), or train longer",
    "empty": "look for empty or very short targets, or lower training.learning_rate",
    "repeating": "lower training.learning_rate, train fewer epochs, or set generation.no_repeat_ngram_size",
    "hit_limit": "the model does not learn to stop: look whether targets are cut (data.overlong), train longer",
}
_LONGEST_PHRASE = 12  # words
_PHRASE_TIMES, _WORD_TIMES = 3, 5
_SIGNS_REPEATED = re.compile(r"([^\W\d_]\w{0,15}?)\1{5,}")
_NEAR_LIMIT = 0.95


@dataclass(frozen=True)
class Guarded:
    """How many answers of how many are wrong, class by class; ``judged`` is how many a class could be told of."""

    judged: Mapping[str, int]
    found: Mapping[str, int]
    rows: Mapping[str, tuple[int, ...]]  # which ones

    @property
    def shares(self) -> dict[str, float]:
        """Return each class as a share (0..1) of the answers judged; a class that judged none is left out."""
        return {name: self.found[name] / judged for name, judged in self.judged.items() if judged}

    @property
    def alarming(self) -> tuple[str, ...]:
        """Return the classes with more than ``ALARMING`` of their answers, and at least ``FEWEST``."""
        return tuple(name for name, share in self.shares.items() if share > ALARMING and self.found[name] >= FEWEST)

    def warning(self, name: str, whose: str) -> str:
        """Return what to tell a person of an alarming class."""
        return (
            f"{self.found[name]:,} of {self.judged[name]:,} answers of {whose} are {LABELS[name]} "
            f"({100 * self.shares[name]:.0f} %): {ADVICE[name]}"
        )


def guard(bundle: Bundle, rows: Sequence[Encoded], outputs: Sequence[str], max_new_tokens: int) -> Guarded:
    """Judge answers to rows.

    Args:
        bundle: Its tokenizer counts the tokens of an answer; the model is not asked.
        rows: What was answered.
        outputs: One answer per row.
        max_new_tokens: The limit they were generated under.
    """
    verdicts = {
        "wrong_language": _wrong_language(rows, outputs),
        "copied": [_copied(row, output) for row, output in zip(rows, outputs, strict=True)],
        "empty": [
            not output.strip() if row.completion.strip() else None for row, output in zip(rows, outputs, strict=True)
        ],
        "repeating": [
            None if repeats(row.completion) else repeats(output) for row, output in zip(rows, outputs, strict=True)
        ],
        "hit_limit": _hit_limit(bundle, rows, outputs, max_new_tokens),
    }
    places = {name: tuple(index for index, one in enumerate(list_) if one) for name, list_ in verdicts.items()}
    return Guarded(
        {name: sum(one is not None for one in list_) for name, list_ in verdicts.items()},
        {name: len(found) for name, found in places.items()},
        places,
    )


def repeats(text: str) -> bool:
    """Return whether a text is caught in a loop.

    A phrase of 2 to 12 words three times in a row, as Holtzman et al. 2020 (The Curious Case of Neural Text
    Degeneration) count repetition, here anywhere in the text since a limit may cut the last one; one word
    five times in a row; a group of letters six times in a row within a word.
    """
    if _SIGNS_REPEATED.search(text):
        return True
    words = [word for word in (_plain(word) for word in text.split()) if word]
    return any(_loop(words, phrase) for phrase in range(1, min(_LONGEST_PHRASE, len(words) // _PHRASE_TIMES) + 1))


def _loop(words: Sequence[str], phrase: int) -> bool:
    """Return whether some ``phrase`` words stand several times in a row; figures alone are lists, not loops."""
    wanted = phrase * ((_WORD_TIMES if phrase == 1 else _PHRASE_TIMES) - 1)
    run = 0
    for index in range(phrase, len(words)):
        run = run + 1 if words[index] == words[index - phrase] else 0
        if run >= wanted and any(sign.isalpha() for word in words[index - phrase : index] for sign in word):
            return True
    return False


def _wrong_language(rows: Sequence[Encoded], outputs: Sequence[str]) -> list[bool | None]:
    """Judge what is long enough to be told, where the reference is not in another language than its code says."""
    named = any(row.target_lang for row in rows)
    everywhere = None if named else agreed([row.completion for row in rows])
    verdicts: list[bool | None] = []
    for row, output in zip(rows, outputs, strict=True):
        wanted = known(primary(row.target_lang)) if named else everywhere
        found = identified(output) if wanted is not None else None
        unsure = found is None or identified(row.completion) not in (None, wanted)
        verdicts.append(None if unsure else found != wanted)
    return verdicts


def _copied(row: Encoded, output: str) -> bool | None:
    source, reference = _plain(row.prompt), _plain(row.completion)
    return None if not source or source == reference else _plain(output) == source


def _hit_limit(
    bundle: Bundle, rows: Sequence[Encoded], outputs: Sequence[str], max_new_tokens: int
) -> list[bool | None]:
    """Judge by cutting the answers into tokens again: nearly as many as the limit, though the reference is shorter.

    Decoding gives texts, and cutting them again can give a few tokens fewer than were generated.
    """
    full = math.floor(_NEAR_LIMIT * max_new_tokens)
    verdicts: list[bool | None] = []
    for row, count in zip(rows, token_counts(bundle, outputs), strict=True):
        verdicts.append(None if row.trained_tokens >= full else count >= full)
    return verdicts


def token_counts(bundle: Bundle, texts: Sequence[str]) -> list[int]:
    """Return how many tokens a model needs for texts as its targets, without special ones."""
    if not texts:
        return []
    if bundle.family.encoder_decoder:
        ids = bundle.tokenizer(text_target=list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    else:
        ids = bundle.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [len(one) for one in ids]


def _plain(text: str) -> str:
    """Return letters and digits alone, in one case and one way of writing them."""
    return " ".join("".join(sign if sign.isalnum() else " " for sign in _folded(text)).split())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
