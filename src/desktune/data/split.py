"""Rows → rows to train on and rows held out. Equal rows stay on one side; the sizes asked for are hit exactly.

Groups of equal rows stand in the order of ``sha256(seed, key)``, which no order of files changes. They are taken one
by one; a group that would overflow is passed over, so that single rows fill the rest. Where they do not, subset sums
find the groups that do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeVar

from desktune.errors import DataError
from desktune.events import Decision, Emit, silent

MOST_EXACT_GROUPS = 2_000  # with more groups there are single rows enough, and the sums would take long


class Keyed(Protocol):
    """A row with its content hash."""

    @property
    def key(self) -> str:
        """The content hash."""
        ...


KeyedRow = TypeVar("KeyedRow", bound=Keyed)


def split(
    rows: Sequence[KeyedRow], validation: float | int, seed: int, emit: Emit = silent
) -> tuple[list[KeyedRow], list[KeyedRow]]:
    """Return (train, validation), both in the order in which the rows were read.

    Args:
        rows: All rows.
        validation: A share below 1 (float) or a number of rows (int).
        seed: Of the order in which groups are taken.
        emit: Where it is said when the size cannot be hit.

    Raises:
        DataError: nothing would be left to train on.
    """
    wanted = validation if isinstance(validation, int) else _share(validation, len(rows))
    if wanted >= len(rows):
        raise DataError(
            f"data.validation: {wanted:,} rows held out of {len(rows):,} leave nothing to train on; ask for fewer"
        )
    held = _choose(rows, wanted, seed)
    train = [row for row in rows if row.key not in held]
    held_out = [row for row in rows if row.key in held]
    if not train:
        raise DataError(f"data.validation: the {len(rows):,} rows are all equal; nothing would be left to train on")
    if len(held_out) != wanted:
        emit(
            Decision(
                "data.validation", f"{len(held_out):,} rows", f"{wanted:,} were asked for; equal rows stay together"
            )
        )
    return train, held_out


def _share(share: float, rows: int) -> int:
    """Return how many rows a share is: rounded, and at least one of two."""
    return max(round(share * rows), 1) if share > 0 and rows >= 2 else 0


def _choose(rows: Sequence[KeyedRow], wanted: int, seed: int) -> set[str]:
    """Return the keys that are held out: ``wanted`` rows, or the nearest number that group sizes allow."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.key] = sizes.get(row.key, 0) + 1
    ordered = sorted(sizes, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    held: set[str] = set()
    count = 0
    for key in ordered:
        if count + sizes[key] <= wanted:
            held.add(key)
            count += sizes[key]
    if count < wanted and len(ordered) <= MOST_EXACT_GROUPS:
        held = _nearest_total(ordered, sizes, wanted, len(rows))
    return held


def _nearest_total(ordered: Sequence[str], sizes: dict[str, int], wanted: int, rows: int) -> set[str]:
    """Return the groups whose sizes add up to ``wanted``, or come nearest to it; some are left to train on.

    Subset sums as bits of one integer: bit n of ``reachable[i]`` says that the first i groups can make n rows.
    """
    reachable = [1]
    for key in ordered:
        reachable.append(reachable[-1] | reachable[-1] << sizes[key])
    totals = (total for total in range(rows) if reachable[-1] >> total & 1)
    total = min(totals, key=lambda total: (abs(total - wanted), -total))
    held = set()
    for index in range(len(ordered) - 1, -1, -1):
        if not reachable[index] >> total & 1:
            held.add(ordered[index])
            total -= sizes[ordered[index]]
    return held
