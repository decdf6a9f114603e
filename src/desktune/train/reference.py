"""``training.engine: hf``: the same rows in the same steps, driven by transformers and TRL.

A reference that our loop is compared with (``docs/proof.md``), not a way to train: no resume, no checkpoints, no
validation. Optimizer, schedule, clipping, accumulation and, for causal models, the loss are theirs. Encoder-decoders
get a loss function, since Seq2SeqTrainer otherwise multiplies their gradient by the accumulation steps.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from desktune.batches.collate import collate, shape_of
from desktune.config.schema import TrainingSection
from desktune.errors import ConfigError, MissingExtra
from desktune.events import Decision, Emit, Step
from desktune.models.load import Bundle
from desktune.rows import IGNORE
from desktune.train.checkpoint import Position
from desktune.train.estimate import order_of
from desktune.train.loop import Recipe, Result, TrainingRows
from desktune.train.memory import memory_in_use
from desktune.train.optim import count_warmup_steps

_OPTIMIZERS = {"adamw": "adamw_torch", "sgd": "sgd"}
_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


class Reference:
    """A run's training by transformers or TRL; ``losses`` has one mean loss per optimizer step when it is done.

    Raises:
        MissingExtra: accelerate, datasets or trl is not installed.
        ConfigError: a setting that the other trainers do not have with the same meaning.
    """

    def __init__(self, bundle: Bundle, rows: TrainingRows, recipe: Recipe, emit: Emit) -> None:
        section = recipe.training
        _check(section, recipe, encoder_decoder=bundle.family.encoder_decoder)
        self.bundle, self._rows, self._recipe, self._emit = bundle, rows, recipe, emit
        order = order_of(rows.train, section, encoder_decoder=bundle.family.encoder_decoder)
        self.total_steps = section.max_steps or order.steps_in(section.num_train_epochs)
        self.steps = [order.rows_of(step)[1] for step in range(self.total_steps)]
        self.losses: list[float] = []
        self.position = Position()

    def run(self) -> Result:
        """Train to the end."""
        from transformers.trainer_callback import PrinterCallback

        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            trainer = self._trainer(Path(scratch))
            name = type(trainer).__mro__[1].__name__
            self._emit(Decision("training.engine", "hf", f"the reference: {name}, no resume and no validation"))
            trainer.remove_callback(PrinterCallback)  # it prints past our events
            trainer.train()
        self.position.step = self.total_steps
        self.position.trained_tokens = int(sum(self.rows_tokens(step) for step in self.steps))
        return Result(self.position, self.total_steps, time.monotonic() - started)

    def rows_tokens(self, rows: Any) -> int:
        """Return the trained tokens of some rows."""
        return int(self._rows.train.trained_tokens[rows].sum())

    def _trainer(self, scratch: Path) -> Any:
        from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

        common = {**self._arguments(), "output_dir": str(scratch)}
        if self.bundle.family.encoder_decoder:
            smoothing = self._recipe.training.label_smoothing_factor
            return self._fed(Seq2SeqTrainer)(
                model=self.bundle.model,
                args=Seq2SeqTrainingArguments(**common),
                train_dataset=self._rows.train,
                processing_class=self.bundle.tokenizer,
                compute_loss_func=lambda outputs, labels, num_items_in_batch: (
                    cross_entropy(
                        outputs.logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum",
                        label_smoothing=smoothing,
                    )
                    / num_items_in_batch
                ),
            )  # fmt: skip
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        rows = {name: [list(row) for row in columns] for name, columns in self._columns().items()}
        return self._fed(SFTTrainer)(
            model=self.bundle.model,
            args=SFTConfig(
                **common, max_length=None, packing=False, activation_checkpointing=False, loss_type="nll",
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=Dataset.from_dict(rows),
            processing_class=self.bundle.tokenizer,
        )  # fmt: skip

    def _columns(self) -> dict[str, Sequence[Sequence[int]]]:
        rows = [self._rows.train[index] for index in range(len(self._rows.train))]
        return {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}

    def _arguments(self) -> dict[str, Any]:
        """Return the settings in transformers' words."""
        section = self._recipe.training
        betas = section.optim_args.get("betas", (0.9, 0.999))
        return {
            "max_steps": self.total_steps,
            "per_device_train_batch_size": section.per_device_train_batch_size,
            "gradient_accumulation_steps": section.gradient_accumulation_steps,
            "learning_rate": section.learning_rate,
            "lr_scheduler_type": _SCHEDULES[section.lr_scheduler_type],
            "warmup_steps": count_warmup_steps(section, self.total_steps),
            "weight_decay": section.weight_decay,
            "max_grad_norm": section.max_grad_norm,
            "optim": _OPTIMIZERS[section.optim],
            "adam_beta1": betas[0],
            "adam_beta2": betas[1],
            "adam_epsilon": section.optim_args.get("eps", 1e-8),
            "seed": section.seed % 2**32,
            "save_strategy": "no",
            "eval_strategy": "no",
            "logging_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "bf16": False,
            "use_cpu": self.bundle.device.type == "cpu",
            "remove_unused_columns": False,
        }

    def _fed(self, trainer: type) -> type:
        """Return a trainer that takes our micro-batches in our order, and tells us its losses."""
        reference, shape = self, shape_of(self.bundle.family, self.bundle.tokenizer, self.bundle.located.config)
        parts = self._recipe.training.gradient_accumulation_steps
        batches = [part.tolist() for rows in self.steps for part in np.array_split(rows, parts)]

        class Fed(trainer):
            """Only what is fed and what is noted differs."""

            def get_train_dataloader(self) -> DataLoader:
                rows: Any = reference._rows.train
                return DataLoader(rows, batch_sampler=batches, collate_fn=lambda one: collate(one, shape))

            def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
                loss = super().training_step(*given, **named)
                reference._note(float(loss), self.state.global_step, self.lr_scheduler.get_last_lr()[0])
                return loss

        return Fed

    def _note(self, loss: float, step: int, rate: float) -> None:
        """Add a micro-batch's share to its step's loss; a step that is whole is said."""
        if step == len(self.losses):
            self.losses.append(0.0)
            self._said = 0
        self.losses[step] += loss
        self._said += 1
        section = self._recipe.training
        if self._said == section.gradient_accumulation_steps and (step + 1) % section.logging_steps == 0:
            memory = memory_in_use(self.bundle.device)
            epoch = (step + 1) / max(1, self.total_steps)
            self._emit(Step(step + 1, self.total_steps, epoch, self.losses[step], rate, 0.0, 0.0, memory, 0.0))


def _check(section: TrainingSection, recipe: Recipe, *, encoder_decoder: bool) -> None:
    for package in ("accelerate", *(() if encoder_decoder else ("datasets", "trl"))):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "hf", "training.engine: hf")
    faults = [
        (section.optim not in _OPTIMIZERS, f"training.optim: {section.optim}; allowed with it: adamw or sgd"),
        (section.tokens_per_step is not None, "training.tokens_per_step: its steps are counted in rows"),
        (recipe.processes.world_size > 1, "several processes: it runs in one, without torchrun"),
        (recipe.autocast_dtype is not None, "model.dtype: it compares in float32; write model.dtype=float32"),
        (
            section.label_smoothing_factor > 0 and not encoder_decoder,
            "training.label_smoothing_factor: TRL smooths padded positions too; write 0",
        ),
        (bool(set(section.optim_args) - {"betas", "eps"}), "training.optim_args: allowed with it: betas and eps"),
    ]
    wrong = [f"training.engine: hf: {text}" for there, text in faults if there]
    if wrong:
        raise ConfigError(wrong)
