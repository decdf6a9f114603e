"""Validation inside training: the held-out loss always, generated metrics when the best model is chosen by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.evaluate.heldout import heldout_loss
from desktune.evaluate.score import evaluate_rows
from desktune.events import Emit, Samples
from desktune.models.load import Bundle
from desktune.rows import Encoded

SHOWN_SAMPLES = 3


class Validation:
    """The validation rows and how they are measured. False where there are none or none are wanted."""

    def __init__(
        self,
        bundle: Bundle,
        rows: Sequence[Encoded] | None,
        evaluation: EvaluationSection,
        training: TrainingSection,
        autocast_dtype: torch.dtype | None,
    ) -> None:
        wanted = rows if rows is not None and training.eval_strategy != "no" else ()
        limit = training.max_eval_samples
        self.rows: Sequence[Encoded] = (
            wanted if limit is None or limit >= len(wanted) else [wanted[i] for i in range(limit)]
        )
        self._bundle, self._evaluation, self._training = bundle, evaluation, training
        self._autocast_dtype = autocast_dtype

    def __bool__(self) -> bool:
        return len(self.rows) > 0

    def measure(self, step: int, emit: Emit) -> dict[str, float]:
        """Return ``eval_loss`` and, when the best model is chosen by a generated metric, those as ``eval_<metric>``."""
        batch_rows = self._training.per_device_eval_batch_size
        if self._training.metric_for_best_model == "eval_loss":
            held_out = heldout_loss(self._bundle, self.rows, batch_rows, autocast_dtype=self._autocast_dtype)
            return {"eval_loss": held_out.loss}
        scores = evaluate_rows(self._bundle, self.rows, self._evaluation, batch_rows, emit)
        shown = [(row.prompt, row.completion, output) for row, output in zip(self.rows, scores.outputs, strict=True)]
        emit(Samples(step, tuple(shown[:SHOWN_SAMPLES])))
        return {"eval_loss": scores.loss, **{f"eval_{name}": score.value for name, score in scores.metrics.items()}}


def improves(metric: str, value: float, best: float | None) -> bool:
    """Return whether a value is better than the best so far: a loss falls, a score rises. NaN never is."""
    if value != value:
        return False
    return best is None or (value < best if metric.endswith("loss") else value > best)
