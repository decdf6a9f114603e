"""How the first rows of ``data.train`` score by every filter, and which are nearly equal: what limits are chosen by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from desktune.config.cleaning import parse_cleaning
from desktune.config.schema import DataSection
from desktune.data.clean.duplicates import Seen, folded
from desktune.data.clean.filters import Filter
from desktune.data.clean.judge import Judge, Setup
from desktune.data.clean.texts import texts_of
from desktune.data.read import read
from desktune.data.survey import BINS, Histogram
from desktune.errors import MissingExtra
from desktune.events import silent
from desktune.languages import primary
from desktune.rows import Example

NEAR = 0.8  # likeness from which strict drops a row
SCORED_ROWS = 5_000
_SHOWN = 8
_TAIL = 0.005  # a histogram leaves out the extremes beyond this share on each side, unless a limit lies there


@dataclass(frozen=True)
class FilterScores:
    """One filter: its limit for people, whether it drops rows, how many were scored and how many lie outside."""

    name: str
    limit: str
    drops: bool
    scored: int
    outside: int
    histogram: Histogram | None  # None: all scores are the same


@dataclass(frozen=True)
class Near:
    """A row that is nearly equal to an earlier one."""

    place: str
    earlier: str
    likeness: float
    text: str


@dataclass(frozen=True)
class CleaningScores:
    """The scores of the first ``rows`` rows, by filter, and the nearly equal rows among them."""

    rows: int
    filters: Sequence[FilterScores]
    nearly: int
    near: Sequence[Near]
    missing: str = ""  # why nothing could be scored


def score_rows(section: DataSection, count: Callable[[str], int] | None = None) -> CleaningScores:
    """Score the first rows of ``data.train`` by every filter, those that are off too.

    Args:
        section: ``data:``; what ``cleaning`` says decides limits and which filters drop rows.
        count: Tokens of a text, for ``token_ratio``.

    Raises:
        DataError: the rows cannot be read.
    """
    if section.train is None:
        return CleaningScores(0, (), 0, ())
    found = (row for row in read(section.train, section, silent) if isinstance(row, Example))
    rows = list(islice(found, SCORED_ROWS))
    nearly, near = _near(rows)
    try:
        return CleaningScores(len(rows), _filters(rows, section, count), nearly, near)
    except MissingExtra as error:
        return CleaningScores(len(rows), (), nearly, near, str(error))


def _filters(rows: Sequence[Example], section: DataSection, count: Callable[[str], int] | None) -> list[FilterScores]:
    judge = Judge.taught(Setup(parse_cleaning(section.cleaning), count, features=True), rows, silent)
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, score in judge.verdict(row).scores.items():
            if score is not None:
                scores[name].append(score)
    return [_scores(one, np.array(scores[one.name])) for one in judge.filters if scores[one.name]]


def _scores(one: Filter, found: np.ndarray) -> FilterScores:
    outside = sum(not one.accept(float(score)) for score in found)
    return FilterScores(one.name, one.limit, one.drops, len(found), outside, _histogram(one, found))


def _histogram(one: Filter, found: np.ndarray) -> Histogram | None:
    low, high = (float(value) for value in np.quantile(found, (_TAIL, 1 - _TAIL)))
    limits = [bound for bound in one.bounds if np.isfinite(bound)]
    within = [bound for bound in limits if found.min() <= bound <= found.max()]
    low, high = min([low, *within]), max([high, *within])
    if low == high:
        return None
    counts, edges = np.histogram(found, bins=BINS, range=(low, high))
    least, most = (bound if np.isfinite(bound) else None for bound in one.bounds)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)), most, least, unit="")


def _near(rows: Sequence[Example]) -> tuple[int, list[Near]]:
    """Return how many rows are nearly, but not quite, equal to an earlier one, and the first of them."""
    seen, nearly, shown = Seen(), 0, list[Near]()
    try:
        for row in rows:
            text = folded(texts_of(row, (None, None), parallel=False).sides)
            direction = primary(row.source_lang or "")
            if seen.equal(text) is None:
                earlier = seen.nearest(text, direction)
                if earlier is not None and earlier.likeness >= NEAR:
                    nearly += 1
                    shown.append(Near(str(row.origin), earlier.place, earlier.likeness, row.source or row.text))
                seen.add(text, row.origin, direction)
    finally:
        seen.close()
    return nearly, shown[:_SHOWN]
