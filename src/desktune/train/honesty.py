"""Steps that must not be taken, and losses that look wrong: what the loop says of them and when it gives up.

All that is counted here lies in the position, so that a resumed run gives up where the straight one would have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from desktune.errors import Diverged
from desktune.events import Emit, Warn
from desktune.train import checkpoint
from desktune.train.checkpoint import Position
from desktune.train.processes import Processes

MOST_SKIPPED_IN_A_ROW = 5  # steps without a finite gradient after which training has diverged
MOST_SKIPPED_IN_FP16 = 20  # float16 looks for its loss scale by overflowing first
MOST_SPIKES_IN_A_ROW = 5
WATCHED_STEPS = 50
_FEWEST_STEPS = 20  # a median of fewer says little
# A spike is over the median by this many median deviations and by this many nats; small steps vary by less.
_DEVIATIONS, _NATS = 10.0, 1.0


class Honesty:
    """Watches the steps of a run."""

    def __init__(self, run: Path, watchdog: Literal["off", "warn", "stop"], processes: Processes, emit: Emit) -> None:
        self.run, self.watchdog, self.processes, self.emit = run, watchdog, processes, emit
        self.most_skipped = MOST_SKIPPED_IN_A_ROW

    def skip(self, position: Position, loss: float, norm: float, origins: Sequence[str]) -> None:
        """Count a step that was not taken.

        Raises:
            Diverged: it was one too many in a row.
        """
        position.skipped_steps += 1
        position.skipped_in_a_row += 1
        rows, step = ", ".join(origins), position.step + 1
        self.emit(
            Warn(
                f"step {step}: loss {loss} or gradient norm {norm} is not finite; the step is skipped (rows: {rows} …)"
            )
        )
        if position.skipped_in_a_row >= self.most_skipped:
            self._give_up(
                f"step {step}: {position.skipped_in_a_row} steps in a row without a finite gradient (rows {rows} …)",
                "lower training.learning_rate, or train in float32",
            )

    def watch(self, position: Position, loss: float, origins: Sequence[str]) -> None:
        """Compare a step's loss with the steps before it; spikes do not move the median.

        Raises:
            Diverged: one spike too many in a row, where the watchdog is to stop.
        """
        if self.watchdog == "off":
            return
        losses = position.recent_losses
        usual = median(losses) if len(losses) >= _FEWEST_STEPS else math.inf
        if loss <= usual + max(_NATS, _DEVIATIONS * _deviation(losses)):
            losses.append(loss)
            del losses[:-WATCHED_STEPS]
            position.spikes_in_a_row = 0
            return
        position.spikes_in_a_row += 1
        rows, step = ", ".join(origins), position.step + 1
        if position.spikes_in_a_row == 1:
            self.emit(
                Warn(
                    f"step {step}: loss {loss:.3f} is far over the {usual:.3f} of the steps before (rows: {rows} …); "
                    "look at these rows; training.loss_watchdog says what happens"
                )
            )
        if self.watchdog == "stop" and position.spikes_in_a_row >= MOST_SPIKES_IN_A_ROW:
            self._give_up(
                f"step {step}: {position.spikes_in_a_row} steps in a row with a loss far over {usual:.3f} "
                f"(rows {rows} …; training.loss_watchdog: stop)",
                "lower training.learning_rate, or look at the rows",
            )

    def _give_up(self, what: str, advice: str) -> None:
        newest = checkpoint.newest(self.run, self.emit) if self.processes.is_writer else None
        last = f"last good checkpoint: {newest.name if newest else 'none'}"
        raise self.processes.agreed(Diverged(f"{what}; {last}; {advice}"))


def _deviation(losses: Sequence[float]) -> float:
    """Return the median distance from the median."""
    if not losses:
        return 0.0
    middle = median(losses)
    return median(abs(loss - middle) for loss in losses)
