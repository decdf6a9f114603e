"""Which rows make which optimizer step: a pure function of (lengths, seed, epoch, rows or tokens per step).

Nothing is drawn from a global random state and nothing is consumed, so resuming at step n is asking for step n. How a
step is cut into micro-batches changes rounding only and may change at any time (less memory, another machine).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_STEPS = 32  # rows of like length are put together inside a window of this many steps

Rows = NDArray[np.int64]  # indices into the training set


@dataclass(frozen=True, slots=True)
class StepSize:
    """How much one optimizer step holds: ``rows``, or ``tokens`` (source and target together, without padding)."""

    rows: int
    tokens: int | None = None


class Order:
    """The steps of a whole run: step number → its epoch and rows. Pure; the last epoch is kept only for speed."""

    def __init__(self, lengths: Rows, seed: int, size: StepSize) -> None:
        self._lengths, self._seed, self._size = lengths, seed, size
        self._starts = [0]  # first step of each epoch that was counted
        self._cached: tuple[int, list[Rows]] = (-1, [])

    def rows_of(self, step: int) -> tuple[int, Rows]:
        """Return (epoch, row indices) of an optimizer step, both counted from 0."""
        epoch = self._epoch_of(step)
        return epoch, self._epoch(epoch)[step - self._starts[epoch]]

    def epoch_at(self, step: int) -> float:
        """Return how many epochs are done after ``step`` steps."""
        if step == 0:
            return 0.0
        epoch = self._epoch_of(step - 1)
        return epoch + (step - self._starts[epoch]) / len(self._epoch(epoch))

    def steps_in(self, epochs: float) -> int:
        """Return the steps of so many epochs, rounded up."""
        whole = int(epochs)
        while len(self._starts) <= whole:
            self._starts.append(self._starts[-1] + self._count(len(self._starts) - 1))
        part = 0 if epochs == whole else math.ceil((epochs - whole) * self._count(whole))
        return max(1, self._starts[whole] + part)

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch is complete after ``step`` steps."""
        return self.epoch_at(step).is_integer()

    def _epoch_of(self, step: int) -> int:
        while self._starts[-1] <= step:
            self._starts.append(self._starts[-1] + self._count(len(self._starts) - 1))
        return bisect.bisect_right(self._starts, step) - 1

    def _count(self, epoch: int) -> int:
        return math.ceil(len(self._lengths) / self._size.rows) if self._size.tokens is None else len(self._epoch(epoch))

    def _epoch(self, epoch: int) -> list[Rows]:
        if self._cached[0] != epoch:
            self._cached = (epoch, epoch_steps(self._lengths, self._seed, epoch, self._size))
        return self._cached[1]


def epoch_steps(lengths: Rows, seed: int, epoch: int, size: StepSize) -> list[Rows]:
    """Return the row indices of every step of an epoch; each row stands in exactly one step.

    Args:
        lengths: Tokens of every row, source and target together. [rows]
        seed: The run's seed.
        epoch: Counted from 0; every epoch has its own order.
        size: Rows or tokens of a step; the last step may be smaller.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(lengths))
    window_rows = WINDOW_STEPS * _rows_of_a_step(lengths, size)
    steps: list[Rows] = []
    for start in range(0, len(shuffled), window_rows):
        window = shuffled[start : start + window_rows]
        alike = window[np.argsort(lengths[window], kind="stable")]
        inside = _cut(alike, lengths, size)
        full = [inside[index] for index in random.permutation(len(inside))]
        steps.extend(full)
    return steps


def micro_batches(step: Rows, input_lengths: Rows, label_lengths: Rows, budget: int) -> list[list[int]]:
    """Cut a step into micro-batches whose padded tokens stay within ``budget`` (one row always fits).

    Padded tokens of a micro-batch are its rows x (longest input + longest label). Longest rows come first, so that a
    step that does not fit into memory fails at once.
    """
    order = sorted(step.tolist(), key=lambda row: (-int(input_lengths[row] + label_lengths[row]), row))
    batches: list[list[int]] = []
    longest_input = longest_label = 0
    for row in order:
        wider_input = max(longest_input, int(input_lengths[row]))
        wider_label = max(longest_label, int(label_lengths[row]))
        if batches and (len(batches[-1]) + 1) * (wider_input + wider_label) <= budget:
            batches[-1].append(row)
            longest_input, longest_label = wider_input, wider_label
        else:
            batches.append([row])
            longest_input, longest_label = int(input_lengths[row]), int(label_lengths[row])
    return batches


def shared_batches(
    step: Rows, input_lengths: Rows, label_lengths: Rows, budget: int, processes: int
) -> list[list[int]]:
    """Cut a step as ``micro_batches`` does, into as many as the processes can work on in equally many passes.

    The padded tokens of the largest one are as few as that allows, since everybody waits for it.
    """
    batches = micro_batches(step, input_lengths, label_lengths, budget)
    wanted = math.ceil(len(batches) / processes) * processes
    if len(batches) == wanted:
        return batches
    low, high = 0, budget  # the smallest budget that needs no more than the wanted number lies in (low, high]
    while high - low > 1:
        middle = (low + high) // 2
        if len(micro_batches(step, input_lengths, label_lengths, middle)) <= wanted:
            high = middle
        else:
            low = middle
    return micro_batches(step, input_lengths, label_lengths, high)


def deal(costs: Sequence[int], processes: int) -> list[list[int | None]]:
    """Deal the micro-batches of a step, the dearest first, each to the process with least to do.

    Returns:
        For every process as many indices of micro-batches as for every other one, in order; None is an empty pass.
    """
    passes = math.ceil(len(costs) / processes)
    dealt: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for index in sorted(range(len(costs)), key=lambda one: (-costs[one], one)):
        free = [process for process in range(processes) if len(dealt[process]) < passes]
        chosen = min(free, key=lambda process: (loads[process], process))
        dealt[chosen].append(index)
        loads[chosen] += costs[index]
    return [[*sorted(mine), *[None] * (passes - len(mine))] for mine in dealt]


def _rows_of_a_step(lengths: Rows, size: StepSize) -> int:
    if size.tokens is None:
        return size.rows
    return max(1, int(size.tokens / max(1.0, float(lengths.mean()))))


def _cut(rows: Rows, lengths: Rows, size: StepSize) -> list[Rows]:
    if size.tokens is None:
        return [rows[start : start + size.rows] for start in range(0, len(rows), size.rows)]
    steps: list[list[int]] = []
    tokens = 0
    for row in rows.tolist():
        tokens += int(lengths[row])
        if not steps or tokens > size.tokens:
            steps.append([])
            tokens = int(lengths[row])
        steps[-1].append(row)
    return [np.array(step, dtype=np.int64) for step in steps]
