"""Validation inside training: the held-out loss always, generated metrics when the best model is chosen by one.

Where the loss is enough, a few rows are answered all the same (``evaluation.guard_samples``): a falling loss does not
show that a model began to copy, to loop or to answer in another language.
Several processes share the rows out; where the weights are sharded, all of them go through all rows, since each needs
the others for every layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import Protocol

import torch

from desktune.config.measures import LOWER_IS_BETTER, OF_THE_LOSS
from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.errors import ConfigError
from desktune.evaluate.guard import Guarded, guard
from desktune.evaluate.heldout import HeldOut, heldout_loss
from desktune.evaluate.score import greedy, score_outputs
from desktune.events import Emit, Event, Samples, Warn
from desktune.models.load import Bundle
from desktune.rows import Encoded
from desktune.train.joint import Joint

SHOWN_SAMPLES = 3
GUARD_TOKENS = 64  # at most, per answer of a guarded row


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
        self._told: set[str] = set()  # kinds of wrong answers that were alarming last time

    def __bool__(self) -> bool:
        return len(self.rows) > 0

    def measure(self, step: int, emit: Emit) -> dict[str, float]:
        """Return the figures of the loss, shares of wrong answers, and generated metrics where they choose the best.

        All are named ``eval_<name>``; shares are 0 to 1.
        """
        evaluation = self._recipe.evaluation
        held_out = self._held_out([self.rows[index] for index in self._mine(self.rows)], _warnings_of(emit))
        losses = _of_the_loss(held_out)
        best = self._recipe.training.metric_for_best_model
        if best in OF_THE_LOSS:
            if best not in losses:
                missing = ConfigError(
                    f"training.metric_for_best_model: {best}: every validation row was cut to a length limit or has no "
                    "text; raise the limits of data, or take eval_loss"
                )
                raise self._processes.agreed(missing)
            return {**losses, **self._watched(step, emit)}
        outputs = self._answers(self.rows, evaluation.max_new_tokens, emit)
        scores = score_outputs(self._bundle, self.rows, outputs, evaluation, held_out)
        _show(step, self.rows, outputs, emit)
        return {
            **losses,
            **{f"eval_{name}": score.value for name, score in scores.metrics.items()},
            **(self._shares(step, scores.guard, emit) if scores.guard else {}),
        }

    def _watched(self, step: int, emit: Emit) -> dict[str, float]:
        """Answer some rows, spread over the validation rows, and watch what comes."""
        evaluation = self._recipe.evaluation
        count = min(evaluation.guard_samples, len(self.rows))
        if count == 0 or not evaluation.predict_with_generate:
            return {}
        rows = [self.rows[place * len(self.rows) // count] for place in range(count)]
        limit = min(evaluation.max_new_tokens, GUARD_TOKENS)
        outputs = self._answers(rows, limit, _warnings_of(emit))
        _show(step, rows, outputs, emit)
        return self._shares(step, guard(self._bundle, rows, outputs, limit), emit)

    def _shares(self, step: int, guarded: Guarded, emit: Emit) -> dict[str, float]:
        """Return the shares, and warn of what became alarming since the last validation."""
        for name in guarded.alarming:
            if name not in self._told:
                emit(Warn(guarded.warning(name, f"the model at step {step}")))
        self._told = set(guarded.alarming)
        return {f"eval_{name}": share for name, share in guarded.shares.items()}

    def _mine(self, rows: Sequence[Encoded]) -> list[int]:
        """Return the rows of this process: every n-th by length, so that all have as much to do."""
        if self._alone:
            return list(range(len(rows)))
        order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
        return order[self._processes.rank :: self._processes.world_size]

    def _held_out(self, rows: Sequence[Encoded], emit: Emit) -> HeldOut:
        batch_rows = self._recipe.training.per_device_eval_batch_size
        found = heldout_loss(self._bundle, rows, batch_rows, emit, self._recipe.autocast_dtype)
        if self._alone:
            return found
        return HeldOut(*(self._processes.sum(value) for value in astuple(found)))

    def _answers(self, rows: Sequence[Encoded], limit: int, emit: Emit) -> list[str]:
        """Return the answers to rows in their order, each written by one process."""
        mine = self._mine(rows)
        with self._joint.whole():
            said = greedy(self._bundle, [rows[index] for index in mine], limit, emit)
        if self._alone:
            return said
        placed: dict[int, str] = {}
        for share in self._processes.gather(list(zip(mine, said, strict=True))):
            placed.update(share)
        return [placed[index] for index in range(len(rows))]

    @property
    def _alone(self) -> bool:
        return self._processes.world_size == 1 or self._joint.sharded


def improves(metric: str, value: float, best: float | None) -> bool:
    """Return whether a value is better than the best so far: losses and TER fall, other scores rise; NaN never is."""
    if not math.isfinite(value):
        return False
    return best is None or (value < best if metric in LOWER_IS_BETTER else value > best)


def _of_the_loss(held_out: HeldOut) -> dict[str, float]:
    bits = {} if math.isnan(held_out.bits_per_byte) else {"eval_bits_per_byte": held_out.bits_per_byte}
    return {"eval_loss": held_out.loss, "eval_perplexity": held_out.perplexity, **bits}


def _warnings_of(emit: Emit) -> Emit:
    """Return an ``Emit`` for what goes on inside a validation: its progress is not worth a line, lack of memory is."""

    def warn(event: Event) -> None:
        if isinstance(event, Warn):
            emit(event)

    return warn


def _show(step: int, rows: Sequence[Encoded], outputs: Sequence[str], emit: Emit) -> None:
    shown = [(row.prompt, row.completion, output) for row, output in zip(rows, outputs, strict=True)]
    emit(Samples(step, tuple(shown[:SHOWN_SAMPLES])))
