"""The best way through two documents: groups of one or two sentences that stand for each other, and gaps.

Dynamic programming over a band around the diagonal (Gale & Church 1993), so that time grows with the length of the
documents and memory is a byte per cell of the band.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from desktune.data.align.evidence import SHAPES, Bead, Costs, Evidence, Floats

_PRIORS = {(1, 1): 0.85, (1, 2): 0.04, (2, 1): 0.04, (2, 2): 0.01}
_GAP = 3.5  # nats that a sentence without counterpart costs
_MOVES = (*SHAPES, (1, 0), (0, 1))
_BLOCK = 64  # rows whose evidence is held
_LEAST_BAND, _BAND_SHARE = 60, 0.05


def align(evidence: Evidence) -> list[Bead]:
    """Return the groups of two documents in order; every sentence is in one of them."""
    rows, columns = len(evidence.source), len(evidence.target)
    band = _Band(rows, columns)
    costs = np.full((3, columns + 3), np.inf)  # of reaching (row, column), for the row at hand and the next two
    costs[0, 0] = 0.0
    moves = [np.full(band.width(row), -1, dtype=np.int8) for row in range(rows + 1)]
    for row, nats in _rows(evidence, band):
        start, stop = band.of(row)
        here = costs[row % 3, start : stop + 1]
        _step_right(here, moves[row])
        for number, (down, right) in enumerate(_MOVES[:-1]):
            if row + down > rows:
                continue
            price = _GAP if right == 0 else -math.log(_PRIORS[down, right]) - nats[down, right]
            first, last = band.of(row + down)
            reached = here + price
            low, high = max(first, start + right), min(last, stop + right)
            offered = reached[low - start - right : high - start - right + 1]
            known = costs[(row + down) % 3, low : high + 1]
            better = offered < known
            known[better] = offered[better]
            moves[row + down][low - first : high - first + 1][better] = number
        costs[row % 3] = np.inf
    return _path(evidence, band, moves)


class _Band:
    """The columns that are looked at in each row."""

    def __init__(self, rows: int, columns: int) -> None:
        self._slope = columns / max(rows, 1)
        self._half = _LEAST_BAND + _BAND_SHARE * max(rows, columns)
        self._rows, self._columns = rows, columns

    def of(self, row: int) -> tuple[int, int]:
        """Return the first and the last column of a row."""
        middle = row * self._slope
        return max(0, math.floor(middle - self._half)), min(self._columns, math.ceil(middle + self._half))

    def width(self, row: int) -> int:
        """Return how many columns a row has."""
        first, last = self.of(row)
        return last - first + 1


def _rows(evidence: Evidence, band: _Band) -> Iterator[tuple[int, Costs]]:
    """Yield every row with its nats over the columns of its band, and the last one without."""
    rows = len(evidence.source)
    for first in range(0, rows, _BLOCK):
        last = min(first + _BLOCK, rows)
        start, stop = band.of(first)[0], band.of(last)[1]
        found = evidence.block(slice(first, last + 1), slice(start, stop + 2))
        for row in range(first, last):
            left, right = band.of(row)
            yield (
                row,
                {shape: _padded(nats[row - first], left - start, right - left + 1) for shape, nats in found.items()},
            )
    yield rows, {shape: np.full(band.width(rows), -np.inf) for shape in SHAPES}


def _padded(nats: Floats, start: int, width: int) -> Floats:
    """Return the nats of a band's columns; behind the last sentence nothing begins."""
    found = np.full(width, -np.inf)
    part = nats[start : start + width]
    found[: len(part)] = part
    return found


def _step_right(here: Floats, moves: np.ndarray) -> None:
    """Let sentences of the target stand alone, as many as pay."""
    gaps = _GAP * np.arange(len(here))
    cheapest = np.minimum.accumulate(here - gaps) + gaps
    better = cheapest < here - 1e-9
    here[better] = cheapest[better]
    moves[better] = len(_MOVES) - 1


def _path(evidence: Evidence, band: _Band, moves: list[np.ndarray]) -> list[Bead]:
    row, column = len(evidence.source), len(evidence.target)
    beads = []
    while row or column:
        down, right = _MOVES[moves[row][column - band.of(row)[0]]]
        beads.append(Bead(row - down, row, column - right, column))
        row, column = row - down, column - right
    return beads[::-1]
