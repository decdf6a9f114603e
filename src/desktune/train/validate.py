"""Validation inside training: the held-out loss always, generated metrics when the best model is chosen by one.

Several processes share the rows out; where the weights are sharded, all of them go through all rows, since each needs
the others for every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.evaluate.heldout import HeldOut, heldout_loss
from desktune.evaluate.score import answers, score_outputs
from desktune.events import Emit, Samples
from desktune.models.load import Bundle
from desktune.rows import Encoded
from desktune.train.joint import Joint

SHOWN_SAMPLES = 3


class Wanted(Protocol):
    """The part of the loop's recipe that says how to validate."""

    @property
    def training(self) -> TrainingSection:
        """When, and by which metric the best model is chosen."""
        ...

    @property
    def evaluation(self) -> EvaluationSection:
        """What is measured."""
        ...

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """Precision of the forward pass where it differs from the weights'."""
        ...


class Validation:
    """The validation rows and how they are measured. False where there are none or none are wanted."""

    def __init__(self, bundle: Bundle, rows: Sequence[Encoded] | None, recipe: Wanted, joint: Joint) -> None:
        training = recipe.training
        wanted = rows if rows is not None and training.eval_strategy != "no" else ()
        limit = training.max_eval_samples
        self.rows: Sequence[Encoded] = (
            wanted if limit is None or limit >= len(wanted) else [wanted[i] for i in range(limit)]
        )
        self._bundle, self._recipe, self._joint = bundle, recipe, joint
        self._processes = joint.processes

    def __bool__(self) -> bool:
        return len(self.rows) > 0

    def measure(self, step: int, emit: Emit) -> dict[str, float]:
        """Return ``eval_loss`` and, when the best model is chosen by a generated metric, those as ``eval_<metric>``."""
        mine = self._mine()
        held_out = self._held_out([self.rows[index] for index in mine])
        if self._recipe.training.metric_for_best_model == "eval_loss":
            return {"eval_loss": held_out.loss}
        outputs = self._answers(mine, emit)
        scores = score_outputs(self._bundle.task, self.rows, outputs, self._recipe.evaluation, held_out)
        shown = [(row.prompt, row.completion, output) for row, output in zip(self.rows, outputs, strict=True)]
        emit(Samples(step, tuple(shown[:SHOWN_SAMPLES])))
        return {"eval_loss": scores.loss, **{f"eval_{name}": score.value for name, score in scores.metrics.items()}}

    def _mine(self) -> list[int]:
        """Return the rows of this process: every n-th by length, so that all have as much to do."""
        if self._alone:
            return list(range(len(self.rows)))
        order = sorted(range(len(self.rows)), key=lambda index: len(self.rows[index].input_ids))
        return order[self._processes.rank :: self._processes.world_size]

    def _held_out(self, rows: Sequence[Encoded]) -> HeldOut:
        batch_rows = self._recipe.training.per_device_eval_batch_size
        found = heldout_loss(self._bundle, rows, batch_rows, autocast_dtype=self._recipe.autocast_dtype)
        if self._alone:
            return found
        total, tokens = self._processes.sum(found.loss * found.tokens), self._processes.sum(found.tokens)
        return HeldOut(total / max(1.0, tokens), int(tokens))

    def _answers(self, mine: Sequence[int], emit: Emit) -> list[str]:
        """Return the answers to all rows in their order, each written by one process."""
        with self._joint.whole():
            said = answers(self._bundle, [self.rows[index] for index in mine], self._recipe.evaluation, emit)
        if self._alone:
            return said
        placed: dict[int, str] = {}
        for share in self._processes.gather(list(zip(mine, said, strict=True))):
            placed.update(share)
        return [placed[index] for index in range(len(self.rows))]

    @property
    def _alone(self) -> bool:
        return self._processes.world_size == 1 or self._joint.sharded


def improves(metric: str, value: float, best: float | None) -> bool:
    """Return whether a value is better than the best so far: a loss falls, a score rises. NaN never is."""
    if value != value:
        return False
    return best is None or (value < best if metric.endswith("loss") else value > best)
