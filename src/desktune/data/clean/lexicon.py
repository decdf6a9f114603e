"""A small lexicon out of the corpus itself: rows whose words explain each other are translations.

IBM model 1 (Brown et al. 1993) in both directions, five rounds of EM over numpy arrays, learnt from a bounded sample.
A row's score is the mean over its words of log p(word | other side) − log p(word): nats that the other side tells of
a word. Swapped lines lie near or below zero; no embedding, no dictionary, any pair of languages. Words that the sample
has less than five times say nothing: a swapped row would explain itself with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from desktune.data.clean.texts import Texts

LEAST_ROWS = 1_500  # fewer rows make no lexicon
_ROUNDS = 5
_MOST_WORDS = 40  # of a side: longer rows would take memory by the square
_LEAST_COUNT = 5
_FEW_KNOWN = 3  # words that must be known before a row is judged
_FLOOR = 3e-3  # the price of a word that nothing explains is bounded; measured, 1e-6 finds a fifth less
_MOST_CELLS = 12_000_000  # word pairs of the sample: 12 bytes each, four arrays
_ARRAYS, _FILE = ("keys", "probabilities", "unigrams"), "lexicon.safetensors"
_PREFIX = 6  # letters that stand for a word: endings are no matter of meaning

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One direction: p(target word | source word) by a sorted key of both, and p(target word)."""

    sources: dict[str, int]
    targets: dict[str, int]
    keys: Ints
    probabilities: NDArray[np.float64]
    unigrams: NDArray[np.float64]

    def gain(self, source: Sequence[str], target: Sequence[str]) -> tuple[float, int]:
        """Return the summed nats that the source tells of the target's known words, and how many those are."""
        given = np.array([0, *(self.sources[word] for word in source if word in self.sources)], dtype=np.int64)
        known = np.array([self.targets[word] for word in target if word in self.targets], dtype=np.int64)
        if not len(known) or len(given) < 2:
            return 0.0, 0
        wanted = given[None, :] * len(self.targets) + known[:, None]
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = np.where(self.keys[places] == wanted, self.probabilities[places], 0.0).sum(axis=1) / len(given)
        return float(np.log((found + _FLOOR) / (self.unigrams[known] + _FLOOR)).sum()), len(known)

    def table(self, given: Sequence[list[str]], told: Sequence[list[str]]) -> Table:
        """Return what each of the given texts tells of the words of the others."""
        sources = sorted({self.sources[word] for text in given for word in text if word in self.sources})
        targets = sorted({self.targets[word] for text in told for word in text if word in self.targets})
        wanted = np.array([0, *sources], dtype=np.int64)[:, None] * len(self.targets) + np.array(
            targets, dtype=np.int64
        )
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = np.where(self.keys[places] == wanted, self.probabilities[places], 0.0)
        counts = _counted(given, self.sources, sources)
        return Table(
            counts @ found[1:], found[0], counts.sum(axis=1), _counted(told, self.targets, targets),
            self.unigrams[targets],
        )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Of several texts: p(word | text) unnormalised (texts, words), that of the empty word, the texts' known words.

    ``counts`` is how often each of the told texts has each word, ``unigrams`` p(word).
    """

    expected: NDArray[np.float64]
    empty: NDArray[np.float64]
    sizes: NDArray[np.float64]
    counts: NDArray[np.float64]
    unigrams: NDArray[np.float64]

    def gain(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nats that p(word | text) tells of each word."""
        return np.log((given + _FLOOR) / (self.unigrams + _FLOOR))


@dataclass(frozen=True)
class Lexicon:
    """Both directions. Scores a row with the mean nats a word; None for rows with too few known words."""

    forward: Side
    backward: Side

    def __call__(self, row: Texts) -> float | None:
        """Return the score of a row."""
        source, target = stems(row.words[0]), stems(row.words[1])
        ahead, count_ahead = self.forward.gain(source, target)
        back, count_back = self.backward.gain(target, source)
        count = count_ahead + count_back
        return (ahead + back) / count if min(count_ahead, count_back) >= _FEW_KNOWN else None

    def pack(self, folder: Path) -> list[list[dict[str, int]]]:
        """Return the words as values for JSON, with the numbers in a folder (``unpack``)."""
        sides = (self.forward, self.backward)
        save_file(
            {f"{name}{n}": getattr(side, name) for n, side in enumerate(sides) for name in _ARRAYS}, folder / _FILE
        )
        return [[side.sources, side.targets] for side in sides]

    @classmethod
    def unpack(cls, words: list[list[dict[str, int]]], folder: Path) -> Lexicon:
        """Return the lexicon that ``pack`` was asked for."""
        arrays = load_file(folder / _FILE)
        sides = (
            Side(sources, targets, arrays[f"keys{n}"], arrays[f"probabilities{n}"], arrays[f"unigrams{n}"])
            for n, (sources, targets) in enumerate(words)
        )
        return cls(*sides)


def learn(rows: Sequence[Texts]) -> Lexicon:
    """Return the lexicon, learnt from the rows (or as many of them as the memory is meant for)."""
    pairs: list[tuple[list[str], list[str]]] = []
    cells = 0
    for row in rows:
        pair = (stems(row.words[0]), stems(row.words[1]))
        cells += (len(pair[0]) + 1) * len(pair[1])
        if cells > _MOST_CELLS:
            break
        pairs.append(pair)
    return Lexicon(_side(pairs), _side([(target, source) for source, target in pairs]))


def stems(words: list[str]) -> list[str]:
    """Return the beginnings of words, which are those of ``Texts``; a script without spaces gives its characters."""
    if words and sum(map(len, words)) > 12 * len(words):
        words = list("".join(words))
    return [word[:_PREFIX] for word in words[:_MOST_WORDS]]


def _counted(texts: Sequence[list[str]], numbers: Mapping[str, int], chosen: Sequence[int]) -> NDArray[np.float64]:
    """Return how often each text has each of the chosen words."""
    column = {number: place for place, number in enumerate(chosen)}
    counts = np.zeros((len(texts), len(chosen)))
    for row, text in enumerate(texts):
        for word in text:
            if word in numbers:
                counts[row, column[numbers[word]]] += 1.0
    return counts


def _side(pairs: Sequence[tuple[list[str], list[str]]]) -> Side:
    counts = (Counter(word for pair in pairs for word in pair[0]), Counter(word for pair in pairs for word in pair[1]))
    frequent = [[word for word, count in one.items() if count >= _LEAST_COUNT] for one in counts]
    sources = {word: index for index, word in enumerate(frequent[0], start=1)}  # 0 is the empty word
    targets = {word: index for index, word in enumerate(frequent[1])}
    cells, starts = _cells(pairs, sources, targets)
    keys, place = np.unique(cells, return_inverse=True)
    given = keys // max(len(targets), 1)
    probabilities = np.full(len(keys), 1.0 / max(len(targets), 1))
    for _ in range(_ROUNDS):
        share = probabilities[place]
        totals = np.add.reduceat(share, starts) if len(starts) else np.zeros(0)
        share /= np.repeat(totals, np.diff(np.append(starts, len(cells))))
        expected = np.bincount(place, weights=share, minlength=len(keys))
        probabilities = expected / np.bincount(given, weights=expected)[given]
    unigrams = np.array([counts[1][word] for word in targets], dtype=np.float64)
    return Side(sources, targets, keys, probabilities, unigrams / max(unigrams.sum(), 1.0))


def _cells(
    pairs: Sequence[tuple[list[str], list[str]]], sources: dict[str, int], targets: dict[str, int]
) -> tuple[Ints, Ints]:
    """Return a key for every (source word, target word) of every row, and where each target word's keys start."""
    pieces: list[Ints] = []
    widths: list[int] = []
    for source, target in pairs:
        given = np.array([0, *(sources[word] for word in source if word in sources)], dtype=np.int64)
        known = np.array([targets[word] for word in target if word in targets], dtype=np.int64)
        pieces.append((given[None, :] * len(targets) + known[:, None]).ravel())
        widths += [len(given)] * len(known)
    flat = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
    return flat, np.concatenate(([0], np.cumsum(widths, dtype=np.int64)))[:-1] if widths else np.zeros(
        0, dtype=np.int64
    )
