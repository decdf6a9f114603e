"""``training.engine: hf``: the same rows in the same steps, driven by transformers and TRL.

A reference that our loop is compared with (``docs/proof.md``), not a way to train: no resume, no checkpoints, no
validation. Optimizer, schedule, clipping, accumulation and, for causal models, the loss are theirs. Encoder-decoders
get a loss function, since Seq2SeqTrainer otherwise multiplies their gradient by the accumulation steps. What the
trainers leave behind in the model's config (no cache, another padding token) is taken back, and nothing is reported to
anybody.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from desktune.batches.collate import collate, shape_of
from desktune.config.schema import TrainingSection
from desktune.errors import ConfigError, Diverged, MissingExtra, OutOfMemory, Stopped
from desktune.events import Decision, Emit, Step
from desktune.models.load import Bundle
from desktune.rows import IGNORE
from desktune.train.checkpoint import Position, named_trained
from desktune.train.estimate import order_of
from desktune.train.loop import Pace, Recipe, Result, TrainingRows
from desktune.train.memory import memory_in_use
from desktune.train.optim import count_warmup_steps
from desktune.train.stop import StopRequest, listening

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
        _check(bundle, recipe)
        self.bundle, self._rows, self._recipe, self._emit = bundle, rows, recipe, emit
        self._order = order_of(rows.train, section, encoder_decoder=bundle.family.encoder_decoder)
        self._shape = shape_of(bundle.family, bundle.tokenizer, bundle.located.config)
        self.total_steps = section.max_steps or self._order.steps_in(section.num_train_epochs)
        self.steps = [self._order.rows_of(step)[1] for step in range(self.total_steps)]
        self.losses: list[float] = []
        self.position = Position()
        self._pace = Pace()

    def run(self) -> Result:
        """Train to the end.

        Raises:
            Diverged: a loss or a gradient was not finite.
            OutOfMemory: a micro-batch does not fit.
            Stopped: a signal came; nothing is kept.
        """
        with contextlib.ExitStack() as held:
            request = held.enter_context(listening())
            scratch = Path(held.enter_context(tempfile.TemporaryDirectory()))
            held.enter_context(_configs_kept(self.bundle.model))
            held.enter_context(self._pad_row_held())
            trainer = self._trainer(scratch, request)
            name = type(trainer).__mro__[1].__name__
            self._emit(Decision("training.engine", "hf", f"the reference: {name}, no resume and no validation"))
            self._pace.start(0)
            try:
                trainer.train()
            except torch.OutOfMemoryError as error:
                raise OutOfMemory(
                    "training.engine: hf: a micro-batch does not fit into memory; lower "
                    "training.per_device_train_batch_size and raise gradient_accumulation_steps by as much"
                ) from error
        return Result(self.position, self.total_steps, self._pace.seconds)

    def _trainer(self, scratch: Path, request: StopRequest) -> Any:
        """Return Seq2SeqTrainer or SFTTrainer over our micro-batches."""
        from transformers.trainer_callback import PrinterCallback

        made = self._encoder_decoder if self.bundle.family.encoder_decoder else self._causal
        trainer = made({**self._arguments(), "output_dir": str(scratch)})
        trainer.remove_callback(PrinterCallback)  # it prints past our events
        trainer.add_callback(_watching(lambda step, logs: self._stepped(step, logs, request)))
        return trainer

    def _encoder_decoder(self, arguments: dict[str, Any]) -> Any:
        from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

        smoothing = self._recipe.training.label_smoothing_factor

        def loss_of(outputs: Any, labels_BT: Tensor, num_items_in_batch: Tensor) -> Tensor:
            logits = outputs.logits.flatten(0, 1)
            summed = cross_entropy(logits, labels_BT.flatten(), reduction="sum", label_smoothing=smoothing)
            return summed / num_items_in_batch

        return self._fed(Seq2SeqTrainer)(
            model=self.bundle.model,
            args=Seq2SeqTrainingArguments(**arguments),
            train_dataset=self._rows.train,
            processing_class=self.bundle.tokenizer,
            compute_loss_func=loss_of,
        )

    def _causal(self, arguments: dict[str, Any]) -> Any:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        first = self._rows.train[0]  # TRL looks at one row to see what they are; ``_fed`` gives it the rows
        settings = SFTConfig(
            **arguments,
            label_smoothing_factor=self._recipe.training.label_smoothing_factor,
            max_length=None,
            packing=False,
            activation_checkpointing=False,
            loss_type="nll",
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*label_smoothing_factor", category=FutureWarning)
            return self._fed(SFTTrainer)(
                model=self.bundle.model,
                args=settings,
                train_dataset=Dataset.from_dict({"input_ids": [[*first.input_ids]], "labels": [[*first.labels]]}),
                processing_class=self.bundle.tokenizer,
            )

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
            "logging_strategy": "steps",
            "logging_steps": 1,
            "logging_nan_inf_filter": False,  # it would hide the loss that stops us
            "report_to": [],
            "disable_tqdm": True,
            "bf16": False,
            "use_cpu": self.bundle.device.type == "cpu",
            "remove_unused_columns": False,
        }

    def _fed(self, trainer: type) -> type:
        """Return a trainer that takes our micro-batches in our order."""
        parts = self._recipe.training.gradient_accumulation_steps
        batches = [part.tolist() for rows in self.steps for part in np.array_split(rows, parts)]
        micro_batch = self._micro_batch

        class Fed(trainer):
            """Only what is fed differs."""

            def get_train_dataloader(self) -> DataLoader:
                return DataLoader(batches, batch_size=None, collate_fn=micro_batch)  # pyright: ignore[reportArgumentType]

            def _send_telemetry(self) -> None:
                """TRL would tell the hub's maker what is trained."""

        return Fed

    def _micro_batch(self, rows: list[int]) -> dict[str, Tensor]:
        """Return the tensors of some rows.

        The trainers want as many micro-batches in every step. Where a short step has too few rows, a row without
        labels stands in, which adds nothing to loss and gradient.
        """
        batch = collate([self._rows.train[row] for row in rows or [0]], self._shape)
        if not rows:
            batch["labels"].fill_(IGNORE)
        return batch

    def _stepped(self, step: int, logs: Mapping[str, float], request: StopRequest) -> None:
        """Note a step's loss, say it when it is due, and stop where nothing good can follow."""
        loss, norm, rows = logs["loss"], logs["grad_norm"], self.steps[step - 1]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(
                f"training.engine: hf: step {step}: loss {loss} or gradient norm {norm} is not finite; the reference "
                "skips no step and keeps no checkpoint; lower training.learning_rate"
            )
        tokens = int(self._rows.train.trained_tokens[rows].sum())
        self.losses.append(loss)
        self.position.step = step
        self.position.trained_tokens += tokens
        self._pace.add(loss * tokens, tokens, norm, logs["learning_rate"])
        last = step == self.total_steps
        if last or step % self._recipe.training.logging_steps == 0:
            self._log(step)
        if request.signal is not None and not last:
            raise Stopped(
                f"stopped by {request.signal.name} after step {step}; the reference (training.engine: hf) keeps no "
                "checkpoint: start it again from the beginning",
                request.signal.value,
            )

    def _log(self, step: int) -> None:
        loss, norm, rate, per_second, seconds_left = self._pace.take(step, self.total_steps)
        self._emit(
            Step(
                step=step,
                total_steps=self.total_steps,
                epoch=self._order.epoch_at(step),
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                tokens_per_second=per_second,
                memory_bytes=memory_in_use(self.bundle.device),
                seconds_left=seconds_left,
            )
        )

    @contextlib.contextmanager
    def _pad_row_held(self) -> Iterator[None]:
        """Keep Marian's padding row at zero as our loop does, before the gradient is clipped."""
        if not self.bundle.family.pad_row_stays_zero:
            yield
            return
        vocabulary = max(self.bundle.located.config["vocab_size"], len(self.bundle.tokenizer))
        weights = [weight for _, weight in named_trained(self.bundle.model) if weight.ndim == 2]
        row = torch.tensor([self._shape.pad_id], device=self.bundle.device)
        hooks = [
            weight.register_hook(lambda gradient: gradient.index_fill(0, row, 0.0))
            for weight in weights
            if weight.shape[0] == vocabulary
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _watching(stepped: Any) -> Any:
    """Return a callback that hands on what the trainer logs after every step."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        """The only ear of ours in the trainer."""

        def on_log(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            if "loss" in named["logs"]:  # the summary at the end has none
                stepped(state.global_step, named["logs"])

    return Watch()


@contextlib.contextmanager
def _configs_kept(model: Any) -> Iterator[None]:
    """Give the model's configs back as they were: the trainers write their own cache and padding token into them."""
    configs = [one for one in (model.config, model.generation_config) if one is not None]
    before = [copy.deepcopy(vars(one)) for one in configs]
    try:
        yield
    finally:
        for one, known in zip(configs, before, strict=True):
            vars(one).clear()
            vars(one).update(known)


def _check(bundle: Bundle, recipe: Recipe) -> None:
    for package in ("accelerate", *(() if bundle.family.encoder_decoder else ("datasets", "trl"))):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "hf", "training.engine: hf")
    faults = [*_faults_of(recipe.training)]
    if recipe.processes.world_size > 1:
        faults.append("several processes: it runs in one, without torchrun")
    if bundle.device.type == "cuda" and torch.cuda.device_count() > 1:
        faults.append("several GPUs: it would spread every micro-batch over them; set CUDA_VISIBLE_DEVICES=0")
    if recipe.autocast_dtype is not None:
        faults.append("model.dtype: it compares in float32; write model.dtype=float32")
    if faults:
        raise ConfigError([f"training.engine: hf: {text}" for text in faults])


def _faults_of(section: TrainingSection) -> Iterator[str]:
    if section.optim not in _OPTIMIZERS:
        yield f"training.optim: {section.optim}; allowed with it: adamw or sgd"
    if section.optim == "sgd" and section.optim_args:
        yield "training.optim_args: its sgd takes none; leave them out"
    elif set(section.optim_args) - {"betas", "eps"}:
        yield "training.optim_args: allowed with it: betas and eps"
    if section.gradient_checkpointing:
        yield "training.gradient_checkpointing: it keeps all activations; write false"
    if section.early_stopping_patience is not None:
        yield "training.early_stopping_patience: it does not validate; write null"
