"""What the first rows of a corpus say about it: languages, the usual length ratio, limits that are ``auto``.

A limit is robust: median and median absolute deviation (MAD), so that a third of rotten rows does not move it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from desktune.data.clean import lengths, lexicon, match
from desktune.data.clean.language import Detect, detected
from desktune.data.clean.texts import Scorer, Texts
from desktune.rows import Example

SAMPLE_ROWS = 20_000
_LANGUAGE_ROWS = 300  # per language of the source: enough to see what the target is
_MAJORITY = 0.6
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_RATIO_SIGMAS = 3.5  # Iglewicz & Hoaglin 1993: outliers of the modified z-score
_LENGTH_SIGMAS = 4.5
_LEAST_RATIO = 1.6  # a learnt ratio never forbids less than this
_LEAST_LENGTH = 300
_LEXICON_SIGMAS = 2.0  # measured: 0.5 % of sound rows lie below, 93 % of swapped ones
_LEAST_SAMPLE = 50

Bounds = tuple[float, float]
Langs = Mapping[str | None, tuple[str | None, str | None]]


@dataclass
class Learnt:
    """Limits by filter, and what scorers had to learn: the usual length ratio, a lexicon. ``said`` tells each."""

    bounds: dict[str, Bounds] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    ratio: float = 1.0
    lexicon: lexicon.Lexicon | None = None

    @property
    def scorers(self) -> dict[str, Scorer]:
        """The scorers by filter."""
        found: dict[str, Scorer] = {"truncated": match.Truncated(self.ratio)}
        return found if self.lexicon is None else {**found, "lexicon": self.lexicon}


def languages(rows: Sequence[Example], detect: Detect) -> Langs:
    """Return (source, target) by the language that rows say of their source: what most of them turn out to be."""
    groups: dict[str | None, list[Example]] = defaultdict(list)
    for row in rows:
        if len(groups[row.source_lang]) < _LANGUAGE_ROWS:
            groups[row.source_lang].append(row)
    return {
        said: (
            _majority(detect, [row.source or row.text for row in group]),
            _majority(detect, [row.target for row in group]),
        )
        for said, group in groups.items()
    }


def _majority(detect: Detect, texts: Sequence[str]) -> str | None:
    found = Counter(code for text in texts if (code := detected(detect, text)) is not None)
    if not found:
        return None
    code, count = found.most_common(1)[0]
    return code if count >= _MAJORITY * found.total() else None


def limits(rows: Sequence[Texts], wanted: Mapping[str, object], count: Callable[[str], int] | None) -> Learnt:
    """Return what ``auto`` means for these rows, and the corpus's own lexicon and length ratio."""
    learnt = Learnt()
    pairs = [row for row in rows if row.parallel]
    if wanted["max_characters"] == "auto":
        found = _upper([lengths.longest(row) for row in rows])
        learnt.bounds["max_characters"] = (0.0, found)
        learnt.said["max_characters"] = f"at most {found:,.0f} characters"
    ratios = [lengths.ratio(row) for row in pairs]
    learnt.ratio = float(np.median(ratios)) if ratios else 1.0
    if wanted["length_ratio"] == "auto":
        _learn_ratio(learnt, "length_ratio", ratios)
    if wanted["token_ratio"] == "auto" and count is not None:
        score = lengths.token_ratio(count)
        _learn_ratio(learnt, "token_ratio", [value for row in pairs if (value := score(row)) is not None])
    if wanted["lexicon"] is not False and len(pairs) >= lexicon.LEAST_ROWS:
        _learn_lexicon(learnt, pairs, auto=wanted["lexicon"] == "auto")
    return learnt


def _upper(values: Sequence[float]) -> float:
    """Return median + 4.5 robust sigmas of the logarithm, at least 300 characters."""
    if len(values) < _LEAST_SAMPLE:
        return 10_000.0
    middle, sigma = _robust(np.log(np.maximum(values, 1.0)))
    return float(max(_LEAST_LENGTH, round(np.exp(middle + _LENGTH_SIGMAS * sigma))))


def _learn_ratio(learnt: Learnt, name: str, ratios: Sequence[float]) -> None:
    low, high = 1 / 3, 3.0  # OpusFilter's default where the sample is too small
    if len(ratios) >= _LEAST_SAMPLE:
        middle, sigma = _robust(np.log(ratios))
        width = max(_RATIO_SIGMAS * sigma, float(np.log(_LEAST_RATIO)))
        low, high = float(np.exp(middle - width)), float(np.exp(middle + width))
    learnt.bounds[name] = (low, high)
    learnt.said[name] = f"target over source from {low:.2f} to {high:.2f}"


def _learn_lexicon(learnt: Learnt, pairs: Sequence[Texts], *, auto: bool) -> None:
    score = lexicon.learn(pairs)
    learnt.lexicon = score
    if auto:
        values = [value for row in pairs[:4_000] if (value := score(row)) is not None]
        middle, sigma = _robust(np.asarray(values)) if values else (0.0, 0.0)
        found = max(middle - _LEXICON_SIGMAS * sigma, 0.0)
        learnt.bounds["lexicon"] = (found, float("inf"))
        learnt.said["lexicon"] = f"at least {found:.2f} nats a word (most rows: {middle:.2f})"


def _robust(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, _MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
