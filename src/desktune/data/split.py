"""Rows → rows to train on and rows held out. Equal rows stay on one side; the sizes asked for are hit exactly.

Groups of equal rows stand in the order of ``sha256(seed, key)``, which no order of files changes. They are taken one
by one; a group that would overflow is passed over, so that single rows fill the rest. Where they do not, subset sums
find the groups that do. Only the rows' content hashes are looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from desktune.errors import DataError
from desktune.events import Decision, Emit, silent

KEY = "S32"  # a sha256 as bytes: a million of them take 32 MB
Keys = NDArray[np.bytes_]
MOST_EXACT_GROUPS = 2_000  # with more groups there are single rows enough, and the sums would take long


def held_out(keys: Keys, validation: float | int, seed: int, emit: Emit = silent) -> NDArray[np.bool_]:
    """Return which rows are held out.

    Args:
        keys: The content hash of every row.
        validation: A share below 1 (float) or a number of rows (int).
        seed: Of the order in which groups are taken.
        emit: Where it is said when the size cannot be hit.

    Raises:
        DataError: nothing would be left to train on.
    """
    wanted = validation if isinstance(validation, int) else _share(validation, len(keys))
    if wanted >= len(keys):
        raise DataError(
            f"data.validation: {wanted:,} rows held out of {len(keys):,} leave nothing to train on; ask for fewer"
        )
    unique, groups, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    held = _choose(unique, sizes, wanted, seed)[groups]
    count = int(held.sum())
    if count == len(keys):
        raise DataError(f"data.validation: the {len(keys):,} rows are all equal; nothing would be left to train on")
    if count != wanted:
        emit(Decision("data.validation", f"{count:,} rows", f"{wanted:,} were asked for; equal rows stay together"))
    return held


def _share(share: float, rows: int) -> int:
    """Return how many rows a share is: rounded, and at least one of two."""
    return max(round(share * rows), 1) if share > 0 and rows >= 2 else 0


def _choose(unique: Keys, sizes: NDArray[np.int64], wanted: int, seed: int) -> NDArray[np.bool_]:
    """Return which groups are held out: ``wanted`` rows, or the nearest number that group sizes allow."""
    names = unique.view(np.uint8).reshape(len(unique), -1)  # as bytes: numpy cuts zeros off the end of a text
    digests = (hashlib.sha256(f"{seed}:{name.tobytes().hex()}".encode()).digest() for name in names)
    order = np.argsort(np.fromiter(digests, KEY, len(unique)), kind="stable")
    held = np.zeros(len(unique), np.bool_)
    count = 0
    for group in order.tolist():
        if count == wanted:
            break
        if count + sizes[group] <= wanted:
            held[group] = True
            count += int(sizes[group])
    if count < wanted and len(unique) <= MOST_EXACT_GROUPS:
        held[:] = False
        held[_nearest_total(order.tolist(), sizes.tolist(), wanted)] = True
    return held


def _nearest_total(ordered: Sequence[int], sizes: Sequence[int], wanted: int) -> list[int]:
    """Return the groups whose sizes add up to ``wanted``, or come nearest to it; some are left to train on.

    Subset sums as bits of one integer: bit n of ``reachable[i]`` says that the first i groups can make n rows.
    """
    reachable = [1]
    for group in ordered:
        reachable.append(reachable[-1] | reachable[-1] << sizes[group])
    totals = (total for total in range(sum(sizes)) if reachable[-1] >> total & 1)
    total = min(totals, key=lambda total: (abs(total - wanted), -total))
    held = []
    for index in range(len(ordered) - 1, -1, -1):
        if not reachable[index] >> total & 1:
            held.append(ordered[index])
            total -= sizes[ordered[index]]
    return held
