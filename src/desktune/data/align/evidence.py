"""What speaks for groups of sentences being translations, in nats that add up: lengths, look-alikes, a lexicon.

Lengths are Gale & Church 1993: the characters of a translation are normal around the document's own ratio. Words that
look alike (numbers; cognates by their first four letters, Simard et al. 1992) weigh more the rarer they are. The
lexicon is that of cleaning (IBM model 1), learnt from what a first pass was sure of (Moore 2002; hunalign, Varga et al.
2005). Embeddings, where there is a model, stand beside them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from desktune.data.clean.lexicon import Lexicon, Table, stems
from desktune.data.clean.texts import Texts

SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2))  # sentences of source and target that stand for each other
_VARIANCE = 6.8  # of a character's translation, Gale & Church 1993
_LEAST_LENGTH = -12.0  # nats: no length is impossible
_COGNATE_LETTERS = 4
_COGNATE_WEIGHT = 0.5
_MOST_ANCHOR = 4.0
_LEXICON_WEIGHT = 0.6  # words of a sentence are not independent
_COSINE_WEIGHT, _COSINE_MIDDLE = 10.0, 0.5
_ANCHOR = re.compile(r"\d+|[^\W\d_]{4,}")

Floats = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Floats]  # texts → unit vectors, one per row
Costs = Mapping[tuple[int, int], Floats]


@dataclass(frozen=True)
class Document:
    """The sentences of one side."""

    sentences: Sequence[str]

    def __len__(self) -> int:
        return len(self.sentences)

    @cached_property
    def lengths(self) -> Floats:
        """Characters of each sentence."""
        return np.array([len(one) for one in self.sentences], dtype=np.float64)

    @cached_property
    def words(self) -> list[list[str]]:
        """The words of each sentence as the lexicon knows them."""
        return [stems(Texts((one,), (None,), False).words[0]) for one in self.sentences]

    @cached_property
    def anchors(self) -> list[set[str]]:
        """Numbers and the beginnings of long words, without accents."""
        return [
            {found[:_COGNATE_LETTERS] if found[0].isalpha() else found for found in _ANCHOR.findall(_plain(one))}
            for one in self.sentences
        ]


@dataclass(frozen=True)
class Bead:
    """Sentences [source_start, source_end) and [target_start, target_end) that stand for each other."""

    source_start: int
    source_end: int
    target_start: int
    target_end: int

    @property
    def kind(self) -> str:
        """Like ``1-2``; ``1-0`` and ``0-1`` are gaps."""
        return f"{self.source_end - self.source_start}-{self.target_end - self.target_start}"


class Evidence:
    """The evidence for every group of one pair of documents."""

    def __init__(
        self, source: Document, target: Document, lexicon: Lexicon | None = None, embed: Embed | None = None
    ) -> None:
        self.source, self.target, self._lexicon = source, target, lexicon
        self._ratio = target.lengths.sum() / max(source.lengths.sum(), 1.0)
        rare = Counter(anchor for one in target.anchors for anchor in one)
        self._weights = {
            anchor: _COGNATE_WEIGHT * min(_MOST_ANCHOR, float(np.log((len(target) + 1) / count)))
            for anchor, count in rare.items()
        }
        self._vectors = None if embed is None else (embed(source.sentences), embed(target.sentences))

    def block(self, rows: slice, columns: slice) -> Costs:
        """Return the nats for each of ``SHAPES``: (rows, columns) of its first sentences, -inf beyond the end.

        The last row and column count as the end: ask for one more than is needed.
        """
        content = self._anchored(rows, columns) + self._likened(rows, columns)
        found = {shape: _summed(content, shape) for shape in SHAPES}
        if self._lexicon is not None:
            for shape, nats in self._told(self._lexicon, rows, columns).items():
                found[shape] = found[shape] + _LEXICON_WEIGHT * nats
        for shape in SHAPES:
            found[shape] = found[shape] + self._measured(rows, columns, shape)
        return found

    def nats(self, bead: Bead) -> float:
        """Return what speaks for one group."""
        rows = slice(bead.source_start, bead.source_start + 2)
        columns = slice(bead.target_start, bead.target_start + 2)
        shape: tuple[int, int] = (bead.source_end - bead.source_start, bead.target_end - bead.target_start)
        return float(self.block(rows, columns)[shape][0, 0])

    def _measured(self, rows: slice, columns: slice, shape: tuple[int, int]) -> Floats:
        """Return log-likelihoods of the lengths."""
        source = _neighbours(self.source.lengths[rows], shape[0])[:, None] * self._ratio
        target = _neighbours(self.target.lengths[columns], shape[1])[None, :]
        with np.errstate(invalid="ignore"):
            nats = -((target - source) ** 2) / (_VARIANCE * (source + target) + 1.0)
        return np.where(np.isfinite(source + target), np.maximum(nats, _LEAST_LENGTH), -np.inf)

    def _anchored(self, rows: slice, columns: slice) -> Floats:
        source, target = self.source.anchors[rows], self.target.anchors[columns]
        shared = set().union(*source) & set().union(*target)
        places = {anchor: place for place, anchor in enumerate(sorted(shared))}
        weights = np.array([self._weights[anchor] for anchor in places])
        return (_counted(source, places) * weights) @ _counted(target, places).T

    def _likened(self, rows: slice, columns: slice) -> Floats | float:
        if self._vectors is None:
            return 0.0
        source, target = self._vectors
        return _COSINE_WEIGHT * (source[rows] @ target[columns].T - _COSINE_MIDDLE)

    def _told(self, lexicon: Lexicon, rows: slice, columns: slice) -> dict[tuple[int, int], Floats]:
        """Return the mean over both directions of what the words of one side tell of the other's."""
        source, target = self.source.words[rows], self.target.words[columns]
        ahead = _gains(lexicon.forward.table(source, target))
        back = _gains(lexicon.backward.table(target, source))
        return {shape: (ahead[shape] + back[shape[1], shape[0]].T) / 2 for shape in SHAPES}


def _gains(table: Table) -> dict[tuple[int, int], Floats]:
    """Return nats that (1 or 2 sentences of) the given side tell of the words of (1 or 2 sentences of) the other."""
    found = {}
    for size in (1, 2):
        given = _neighbours(table.expected, size, 0.0) + table.empty
        words = _neighbours(table.sizes, size, 0.0) + 1.0
        told = table.gain(given / words[:, None]) @ table.counts.T
        if size == 2:
            told[-1] = -np.inf
        for other in (1, 2):
            found[size, other] = _neighbours(told.T, other).T
    return found


def _summed(content: Floats, shape: tuple[int, int]) -> Floats:
    """Return the content of every group as the sum of that of its pairs of sentences."""
    return _neighbours(_neighbours(content, shape[0]).T, shape[1]).T


def _neighbours(values: Floats, size: int, beyond: float = -np.inf) -> Floats:
    """Return each row plus, for a size of 2, the next one; ``beyond`` is what follows the last."""
    if size == 1:
        return values
    following = np.full_like(values, beyond)
    following[:-1] = values[1:]
    return values + following


def _counted(found: Sequence[set[str]], places: Mapping[str, int]) -> Floats:
    counts = np.zeros((len(found), len(places)))
    for row, anchors in enumerate(found):
        for anchor in anchors & places.keys():
            counts[row, places[anchor]] = 1.0
    return counts


def _plain(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(sign))
