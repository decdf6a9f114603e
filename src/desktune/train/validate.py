"""Validation inside training: the held-out loss always, generated metrics when the best model is chosen by one.

Where the loss is enough, a few rows are answered all the same (``evaluation.guard_samples``): a falling loss does not
show that a model began to copy, to loop or to answer in another language.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from desktune.config.measures import LOWER_IS_BETTER, OF_THE_LOSS
from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.evaluate.guard import Guarded, guard
from desktune.evaluate.heldout import heldout_loss
from desktune.evaluate.score import evaluate_rows, greedy
from desktune.events import Emit, Samples, Warn
from desktune.models.load import Bundle
from desktune.rows import Encoded

SHOWN_SAMPLES = 3
GUARD_TOKENS = 64  # at most, per answer of a guarded row


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
        self._told: set[str] = set()  # kinds of wrong answers that were alarming last time

    def __bool__(self) -> bool:
        return len(self.rows) > 0

    def measure(self, step: int, emit: Emit) -> dict[str, float]:
        """Return the figures of the loss, shares of wrong answers, and generated metrics where they choose the best.

        All are named ``eval_<name>``; shares are 0 to 1.
        """
        batch_rows = self._training.per_device_eval_batch_size
        if self._training.metric_for_best_model in OF_THE_LOSS:
            held_out = heldout_loss(self._bundle, self.rows, batch_rows, autocast_dtype=self._autocast_dtype)
            return {
                **_of_the_loss(held_out.loss, held_out.perplexity, held_out.bits_per_byte),
                **self._watched(step, emit),
            }
        scores = evaluate_rows(self._bundle, self.rows, self._evaluation, batch_rows, emit)
        _show(step, self.rows, scores.outputs, emit)
        return {
            **_of_the_loss(scores.loss, scores.perplexity, scores.bits_per_byte),
            **{f"eval_{name}": score.value for name, score in scores.metrics.items()},
            **(self._shares(step, scores.guard, emit) if scores.guard else {}),
        }

    def _watched(self, step: int, emit: Emit) -> dict[str, float]:
        """Answer some rows, spread over the validation rows, and watch what comes."""
        count = min(self._evaluation.guard_samples, len(self.rows))
        if count == 0 or not self._evaluation.predict_with_generate:
            return {}
        rows = [self.rows[place * len(self.rows) // count] for place in range(count)]
        limit = min(self._evaluation.max_new_tokens, GUARD_TOKENS)
        outputs = greedy(self._bundle, rows, limit)
        _show(step, rows, outputs, emit)
        return self._shares(step, guard(self._bundle, rows, outputs, limit), emit)

    def _shares(self, step: int, guarded: Guarded, emit: Emit) -> dict[str, float]:
        """Return the shares, and warn of what became alarming since the last validation."""
        for name in guarded.alarming:
            if name not in self._told:
                emit(Warn(guarded.warning(name, f"the model at step {step}")))
        self._told = set(guarded.alarming)
        return {f"eval_{name}": share for name, share in guarded.shares.items()}


def improves(metric: str, value: float, best: float | None) -> bool:
    """Return whether a value is better than the best so far: losses and TER fall, other scores rise. NaN never is."""
    if value != value:
        return False
    return best is None or (value < best if metric in LOWER_IS_BETTER else value > best)


def _of_the_loss(loss: float, perplexity: float, bits_per_byte: float) -> dict[str, float]:
    return {"eval_loss": loss, "eval_perplexity": perplexity, "eval_bits_per_byte": bits_per_byte}


def _show(step: int, rows: Sequence[Encoded], outputs: Sequence[str], emit: Emit) -> None:
    shown = [(row.prompt, row.completion, output) for row, output in zip(rows, outputs, strict=True)]
    emit(Samples(step, tuple(shown[:SHOWN_SAMPLES])))
