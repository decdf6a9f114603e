"""The training loop, readable top to bottom.

One optimizer step: take the step's rows (a pure function of seed and step), cut them into micro-batches that fit, add
up the loss and its gradient over trained tokens, divide once by the number of trained tokens of the whole step, check
that the gradient is finite, clip, set the learning rate, step. Dropout is seeded by (seed, step, micro-batch), so that
nothing random has to be saved and a resumed run is the same run.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from desktune import runs
from desktune.batches.collate import collate, shape_of
from desktune.batches.fitting import typed_memory
from desktune.batches.order import Order, StepSize, deal, shared_batches
from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.errors import OutOfMemory, Stopped
from desktune.events import Decision, Emit, Evaluated, Note, Step, Warn
from desktune.models.load import Bundle
from desktune.objective.loss import summed_loss
from desktune.train import checkpoint
from desktune.train.checkpoint import Position, Snapshot, named_trained
from desktune.train.honesty import MOST_SKIPPED_IN_FP16, Honesty
from desktune.train.joint import clear_row, join, whole
from desktune.train.memory import memory_in_use
from desktune.train.optim import build_optimizer, count_warmup_steps, learning_rate, set_learning_rate
from desktune.train.processes import ONE, Processes
from desktune.train.stop import StopRequest, listening
from desktune.train.validate import Validation, improves

_NO_MEMORY_AMONG_SEVERAL = (
    "out of memory while the processes exchange weights or gradients, where micro-batches can no longer be made "
    "smaller; lower training.tokens_per_batch and go on with --resume"
)


@dataclass(frozen=True)
class Recipe:
    """What the loop needs besides the model and the rows, all resolved."""

    training: TrainingSection
    evaluation: EvaluationSection
    token_budget: int  # padded tokens of a micro-batch
    autocast_dtype: torch.dtype | None  # precision of the forward pass where it differs from the weights'
    processes: Processes = ONE


@dataclass(frozen=True)
class TrainingRows:
    """The encoded rows of a run."""

    train: EncodedSet
    validation: Sequence | None


@dataclass(frozen=True)
class Result:
    """How training ended."""

    position: Position
    total_steps: int
    seconds: float


class Loop:
    """A run's training: the model, its optimizer and where it stands."""

    def __init__(self, bundle: Bundle, rows: TrainingRows, recipe: Recipe, run: Path, emit: Emit) -> None:
        section = recipe.training
        self.bundle, self.rows, self.recipe, self.run_folder, self.emit = bundle, rows, recipe, run, emit
        self.model: Any = bundle.model  # a transformers model, or peft's around one
        self.input_lengths = rows.train.input_lengths
        self.label_lengths = (
            rows.train.label_lengths if bundle.family.encoder_decoder else np.zeros_like(self.input_lengths)
        )
        self.shape = shape_of(bundle.family, bundle.tokenizer, bundle.located.config)
        self.processes = recipe.processes
        rows_per_process = section.per_device_train_batch_size * section.gradient_accumulation_steps
        size = StepSize(rows_per_process * self.processes.world_size, section.tokens_per_step)
        self.order = Order(self.input_lengths + self.label_lengths, section.seed, size)
        self.total_steps = section.max_steps or self.order.steps_in(section.num_train_epochs)
        self.warmup_steps = count_warmup_steps(section, self.total_steps)
        self.token_budget = recipe.token_budget
        unused = self.processes.world_size > 1 and self._leaves_unused()
        self.joint = join(self.model, self.processes, section.distributed, unused=unused)
        self.optimizer = build_optimizer(named_trained(self.model), section)
        self.scaler = torch.amp.GradScaler(bundle.device.type, enabled=recipe.autocast_dtype == torch.float16)
        self.validation = Validation(bundle, rows.validation, recipe, self.joint)
        self.position = Position()
        self.honesty = Honesty(run, section.loss_watchdog, self.processes, emit)
        if self.scaler.is_enabled():
            self.honesty.most_skipped = MOST_SKIPPED_IN_FP16
        self.pace = Pace()

    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint folder."""
        position = checkpoint.restore(folder, self.model, self.optimizer, self.processes)
        patience = self.recipe.training.early_stopping_patience
        position.stopped_early = patience is not None and position.bad_evaluations >= patience
        self.token_budget = min(self.token_budget, position.halved_to or self.token_budget)
        if self.scaler.is_enabled() and position.loss_scale:
            self.scaler.load_state_dict({**self.scaler.state_dict(), **position.loss_scale})
        self.pace.go_on(position.since_log)
        self.position = position
        if position.stopped_early:
            self.emit(
                Note(
                    f"early stopping: {position.bad_evaluations} validations without improvement already; nothing more "
                    "is trained unless training.early_stopping_patience is larger or null"
                )
            )

    def run(self) -> Result:
        """Train to the end.

        Raises:
            Diverged: the gradient was not finite several times in a row.
            OutOfMemory: a micro-batch of one row does not fit.
            Stopped: a signal came; a checkpoint was written.
        """
        if self.recipe.training.gradient_checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
            self.model.enable_input_require_grads()
        self._say_start()
        self.pace.start(self.position.step)
        with listening() as request:
            while self.position.step < self.total_steps and not self.position.stopped_early:
                self._optimizer_step()
                self._after_step(request)
            self._save()
        self._stop_if_asked(request)
        return Result(self.position, self.total_steps, self.pace.seconds)

    def _optimizer_step(self) -> None:
        """Take one optimizer step; on lack of memory, the same rows in smaller micro-batches."""
        _, rows = self.order.rows_of(self.position.step)
        while True:
            batches = shared_batches(
                rows, self.input_lengths, self.label_lengths, self.token_budget, self.processes.world_size
            )
            try:
                loss_sum, tokens = self._gradient(batches)
                break
            except torch.OutOfMemoryError as error:
                self._smaller_batches(batches, error)
            self.joint.renew()
        self._apply(loss_sum, tokens)
        self.position.step += 1

    def _gradient(self, batches: list[list[int]]) -> tuple[float, int]:
        """Leave the gradient of the step's mean loss in the parameters; return (summed loss, trained tokens).

        Both are sums over all processes. Gradients travel in the last backward pass, to which a process goes only when
        all had memory enough for what comes before it.
        """
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        tokens = int(sum(self.rows.train.trained_tokens[rows].sum() for rows in batches))
        passes = self._passes(batches)
        total = 0.0
        with self._memory_agreed(), self.joint.exchanging(now=False):
            for index, rows in passes[:-1]:
                loss = self._loss(index, rows)
                self._backward(loss, tokens)
                total += loss.item()
        with self.joint.exchanging(now=True):
            with self._memory_agreed():
                loss = self._loss(*passes[-1])
            self._backward(loss, tokens)
        return self.processes.sum(total + loss.item()), tokens

    def _passes(self, batches: list[list[int]]) -> list[tuple[int, list[int]]]:
        """Return this process's micro-batches with their numbers within the step; an empty one has no rows."""
        widths = [int(max(self.input_lengths[rows]) + max(self.label_lengths[rows])) for rows in batches]
        costs = [len(rows) * width for rows, width in zip(batches, widths, strict=True)]
        mine = deal(costs, self.processes.world_size)[self.processes.rank]
        return [(len(batches), []) if index is None else (index, batches[index]) for index in mine]

    def _loss(self, index: int, rows: list[int]) -> torch.Tensor:
        """Return a micro-batch's summed loss. An empty one is the shortest row of all with a weight of 0."""
        chosen = rows or [int(np.argmin(self.input_lengths + self.label_lengths))]
        batch = collate([self.rows.train[row] for row in chosen], self.shape, self.bundle.device)
        self._seed(index)
        with typed_memory(), self._precision():
            loss = summed_loss(self.joint.forward, batch, self.recipe.training.label_smoothing_factor)
        return loss if rows else loss * 0.0

    def _backward(self, loss: torch.Tensor, tokens: int) -> None:
        """Add up the gradient; the number of processes takes back that gradients are averaged over them."""
        try:
            with typed_memory():
                self.scaler.scale(loss * self.processes.world_size / tokens).backward()
        except torch.OutOfMemoryError as error:
            if self.processes.world_size == 1:
                raise
            raise OutOfMemory(_NO_MEMORY_AMONG_SEVERAL) from error

    @contextlib.contextmanager
    def _memory_agreed(self) -> Iterator[None]:
        """Lack of memory on one process in the block is one on all.

        Raises:
            torch.OutOfMemoryError: on all processes; the step may be taken again in smaller micro-batches.
            OutOfMemory: on one alone, where the weights are sharded and the others wait inside the model.
        """
        short: torch.OutOfMemoryError | None = None
        try:
            yield
        except torch.OutOfMemoryError as error:
            if self.joint.sharded:
                raise OutOfMemory(_NO_MEMORY_AMONG_SEVERAL) from error
            short = error
        if self.processes.largest(short is not None):
            raise short or torch.OutOfMemoryError("on another process")

    def _apply(self, loss_sum: float, tokens: int) -> None:
        """Clip and step, unless the gradient is not finite: then the step is skipped and counted."""
        section = self.recipe.training
        rate = learning_rate(section, self.position.step, self.total_steps, self.warmup_steps)
        set_learning_rate(self.optimizer, rate)
        self.scaler.unscale_(self.optimizer)
        self._keep_pad_row()
        parameters = [parameter for _, parameter in named_trained(self.model)]
        norm = float(whole(nn.utils.clip_grad_norm_(parameters, section.max_grad_norm or float("inf"))))
        taken = bool(np.isfinite(norm) and np.isfinite(loss_sum))
        if taken:
            self.scaler.step(self.optimizer)
            self.position.skipped_in_a_row = 0
            self.position.trained_tokens += tokens
        self.scaler.update()
        self.pace.add(loss_sum if taken else 0.0, tokens if taken else 0, norm, rate)
        if taken:
            self.honesty.watch(self.position, loss_sum / tokens, self._origins())
        else:
            self.honesty.skip(self.position, loss_sum / tokens, norm, self._origins())

    def _after_step(self, request: StopRequest) -> None:
        """Log, validate, save and stop, each when it is due."""
        if self.processes.world_size == 1:  # several look when they save, since looking has to be agreed on
            runs.check_held(self.run_folder)
        section, step = self.recipe.training, self.position.step
        last = step == self.total_steps
        if step % section.logging_steps == 0 or last:
            self._log()
        if self.validation and (last or self._due(section.eval_strategy, section.eval_steps)):
            self._validate()
        if self._due(section.save_strategy, section.save_steps):
            self._save()
        self._stop_if_asked(request)

    def _stop_if_asked(self, request: StopRequest) -> None:
        """Write a checkpoint and stop, when a signal came; one process that got it stops all, at the same step."""
        number = int(self.processes.largest(request.signal or 0))
        if not number:
            return
        self._save()
        stopped = Stopped(
            f"stopped by {signal.Signals(number).name} after step {self.position.step}: a checkpoint is written; go on "
            f"with desktune train {self.run_folder} --resume",
            number,
        )
        raise self.processes.agreed(stopped)

    def _validate(self) -> None:
        """Measure, remember the best, and count towards early stopping."""
        section, position = self.recipe.training, self.position
        with self.pace.paused():
            metrics = self.processes.share(self.validation.measure(position.step, self.emit))
        value = metrics[section.metric_for_best_model]
        better = improves(section.metric_for_best_model, value, position.best_value)
        position.metrics = {name: one for name, one in metrics.items() if np.isfinite(one)}  # JSON has no NaN
        if better:
            position.best_value, position.best_step, position.bad_evaluations = value, position.step, 0
        else:
            position.bad_evaluations += 1
        self.emit(Evaluated(position.step, metrics, better))
        if section.early_stopping_patience and position.bad_evaluations >= section.early_stopping_patience:
            position.stopped_early = True
            self.emit(
                Note(
                    f"early stopping: {position.bad_evaluations} validations without improvement; "
                    f"best step {position.best_step}"
                )
            )
        if better and section.load_best_model_at_end:
            self._save()

    def _save(self) -> None:
        self.position.since_log = self.pace.since_log()
        self.position.loss_scale = _loss_scale(self.scaler)
        with self.pace.paused():
            writes = self.processes.is_writer
            snapshot = Snapshot.of(self.model, self.optimizer) if writes or self.joint.sharded else None
            with self.processes.together():
                if writes and snapshot is not None:
                    runs.check_held(self.run_folder)
                    checkpoint.save(self.run_folder, snapshot, self.position, self.emit)
                    checkpoint.prune(self.run_folder, self.recipe.training.save_total_limit, self.position.best_step)

    def _due(self, strategy: str, every: int) -> bool:
        if strategy == "steps":
            return self.position.step % every == 0
        return strategy == "epoch" and self.order.ends_epoch(self.position.step)

    def _log(self) -> None:
        position = self.position
        loss, norm, rate, per_second, seconds_left = self.pace.take(position.step, self.total_steps)
        self.emit(
            Step(
                step=position.step,
                total_steps=self.total_steps,
                epoch=self.order.epoch_at(position.step),
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                tokens_per_second=per_second,
                memory_bytes=memory_in_use(self.bundle.device),
                seconds_left=seconds_left,
                last_eval_loss=position.metrics.get("eval_loss"),
            )
        )

    def _origins(self) -> list[str]:
        """Return where the first rows of this step come from."""
        _, rows = self.order.rows_of(self.position.step)
        return [str(self.rows.train[int(row)].origin) for row in rows[:3]]

    def _smaller_batches(self, batches: list[list[int]], error: torch.OutOfMemoryError) -> None:
        if all(len(rows) == 1 for rows in batches):
            lacking = OutOfMemory(
                "one row alone does not fit into memory; lower the length limits of data (max_source_length …), "
                "set training.gradient_checkpointing=true, or take a smaller model"
            )
            raise self.processes.agreed(lacking) from error
        widest = max(len(rows) * int(max(self.input_lengths[rows]) + max(self.label_lengths[rows])) for rows in batches)
        self.token_budget = self.position.halved_to = min(self.token_budget, widest) // 2
        self.optimizer.zero_grad(set_to_none=True)
        if self.bundle.device.type == "cuda":
            torch.cuda.empty_cache()
        self.emit(
            Warn(
                f"out of memory: micro-batches of {self.token_budget} tokens from here on; "
                "the rows of a step stay the same"
            )
        )

    def _keep_pad_row(self) -> None:
        """Keep the embedding that starts Marian's decoder at zero, which CTranslate2 takes for granted."""
        if not self.bundle.family.pad_row_stays_zero:
            return
        vocabulary = max(self.bundle.located.config["vocab_size"], len(self.bundle.tokenizer))
        for _, parameter in named_trained(self.model):
            if parameter.grad is not None and parameter.ndim == 2 and parameter.shape[0] == vocabulary:
                clear_row(parameter.grad, self.shape.pad_id)

    def _leaves_unused(self) -> bool:
        """Whether a pass may leave trained weights without a gradient, by trying the shortest row."""
        row = self.rows.train[int(np.argmin(self.input_lengths + self.label_lengths))]
        with self._precision():
            summed_loss(self.model, collate([row], self.shape, self.bundle.device)).backward()
        unused = any(parameter.grad is None for _, parameter in named_trained(self.model))
        self.model.zero_grad(set_to_none=True)
        return unused or any(module.__dict__.get("layerdrop") for module in self.model.modules())

    def _seed(self, micro_batch: int) -> None:
        seed = np.random.SeedSequence([self.recipe.training.seed, self.position.step, micro_batch]).generate_state(1)[0]
        torch.manual_seed(int(seed))

    def _precision(self) -> contextlib.AbstractContextManager:
        dtype = self.recipe.autocast_dtype
        return contextlib.nullcontext() if dtype is None else torch.autocast(self.bundle.device.type, dtype=dtype)

    def _say_start(self) -> None:
        rows = len(self.rows.train)
        self.emit(
            Decision(
                "steps",
                f"{self.total_steps:,}",
                f"{rows:,} rows, warm-up {self.warmup_steps}, micro-batches of up to {self.token_budget:,} tokens",
            )
        )
        if self.position.step:
            self.emit(Note(f"going on after step {self.position.step:,}"))


def _loss_scale(scaler: torch.amp.GradScaler) -> dict[str, float]:
    """Return where float16's search for a loss scale stands; nothing in other precisions."""
    return {name: value for name, value in scaler.state_dict().items() if name in ("scale", "_growth_tracker")}


class Pace:
    """Sums since the last line of the log, and the clock (validation and saving do not count)."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0
        self._first_step = 0
        self._loss = self._norm = self._rate = 0.0
        self._tokens = self._steps = 0
        self._carried = 0  # of those tokens, what another process trained
        self._seconds_at_log = 0.0

    def start(self, step: int) -> None:
        """Start the clock; ``step`` steps were done before."""
        self._first_step, self._since = step, time.monotonic()

    def add(self, loss_sum: float, tokens: int, norm: float, rate: float) -> None:
        """Count one optimizer step."""
        self._loss += loss_sum
        self._tokens += tokens
        self._norm, self._rate, self._steps = norm, rate, self._steps + 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock for the block."""
        self._tick()
        try:
            yield
        finally:
            self._since = time.monotonic()

    def take(self, step: int, total_steps: int) -> tuple[float, float, float, float, float]:
        """Return (mean loss, gradient norm, learning rate, trained tokens/s, seconds left) and start new sums."""
        self._tick()
        spent = max(self.seconds - self._seconds_at_log, 1e-9)
        left = self.seconds / max(1, step - self._first_step) * (total_steps - step)
        taken = (
            self._loss / self._tokens if self._tokens else math.nan,
            self._norm,
            self._rate,
            (self._tokens - self._carried) / spent,
            left,
        )
        self._loss, self._tokens, self._carried, self._seconds_at_log = 0.0, 0, 0, self.seconds
        return taken

    def since_log(self) -> list[float]:
        """Return the sums since the last line, for a checkpoint: the next line is then that of a straight run."""
        return [self._loss, float(self._tokens)]

    def go_on(self, since_log: list[float]) -> None:
        """Take the sums of a checkpoint."""
        if since_log:
            self._loss, self._tokens = since_log[0], int(since_log[1])
            self._carried = self._tokens

    def _tick(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
