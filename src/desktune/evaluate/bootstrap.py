"""Is a difference more than luck of the rows? Paired bootstrap resampling (Koehn 2004), as ``sacrebleu --paired-bs``.

Rows are drawn with replacement; base and tuned are scored on the same draw. sacrebleu's own ``PairedTest`` gives the
intervals and p-values of its metrics; it is not used since it gives no interval of the difference and knows no other
metric. Seed, draws and formulas are its own, so that both say the same (a test compares them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desktune.evaluate.metrics import Statistics

SEED = 12345  # sacrebleu's


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of a score over the resamples; ``half`` is half their width."""

    low: float
    high: float

    @property
    def half(self) -> float:
        """Return what is written behind ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference:
    """What the resamples say of one metric. ``p_value``: how often luck alone would part the two as far."""

    base: Interval
    tuned: Interval
    difference: Interval
    p_value: float
    samples: int


def paired(base: Statistics, tuned: Statistics, samples: int) -> Difference | None:
    """Resample two systems on the same rows; None where there are under two rows or no samples are wanted."""
    rows = len(base.per_text)
    if rows < 2 or samples == 0:
        return None
    random = np.random.default_rng(SEED)
    scores_2S = np.empty((2, samples))
    for sample in range(samples):
        times_N = np.bincount(random.choice(rows, size=rows, replace=True), minlength=rows).astype(np.float64)
        for place, system in enumerate((base, tuned)):
            scores_2S[place, sample] = system.of_sum(times_N @ system.per_text)
    difference_S = scores_2S[1] - scores_2S[0]
    apart = abs(tuned.score().value - base.score().value)
    shifted_S = np.abs(difference_S) - np.abs(difference_S).mean()
    p_value = (int(np.count_nonzero(shifted_S > apart)) + 1) / (samples + 1)
    return Difference(_middle(scores_2S[0]), _middle(scores_2S[1]), _middle(difference_S), p_value, samples)


def _middle(scores_S: NDArray[np.float64]) -> Interval:
    ordered = np.sort(scores_S)
    cut = len(ordered) // 40  # 2.5 % on each side
    return Interval(float(ordered[cut]), float(ordered[len(ordered) - cut - 1]))
