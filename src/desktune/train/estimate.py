"""What a run will cost on this machine: memory by a formula, time by trying a few micro-batches of its own rows.

Memory is what has to be held at once: weights; gradients, moments and (for bfloat16 weights that are trained) nothing
else, since trained weights are float32; activations of the largest micro-batch; and, at another time, the cache of keys
and values and the logits of evaluation. The larger of the two last ones counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from desktune.batches.collate import collate, shape_of
from desktune.batches.order import Order, StepSize, micro_batches
from desktune.config.schema import AdapterSection, Config, TrainingSection
from desktune.data.store import EncodedSet
from desktune.events import Table
from desktune.families import Family
from desktune.generate.decode import BATCH_TOKENS
from desktune.models.load import Bundle, Located
from desktune.objective.loss import summed_loss
from desktune.train.memory import activation_bytes, cache_bytes

_EMBEDDINGS = ("embed", "shared", "wte", "wpe", "lm_head", "relative_attention_bias", "position")
_MOMENTS = {"adamw": 2.0, "adafactor": 0.1, "sgd": 0.0}  # floats per trained weight; Adafactor keeps rows and columns
_TRIED_STEPS = 3  # the first of them warms up and is not counted
_FLOAT_BYTES = 4
_GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """The cost of a run. ``seconds`` is None where nothing was tried."""

    parameters: int
    trained: int
    rows: int
    steps: int
    tokens: int  # source and target, all epochs
    weights_bytes: int
    optimizer_bytes: int  # gradients and moments
    activations_bytes: int
    evaluation_bytes: int
    checkpoints_bytes: int  # on disk
    seconds: float | None = None

    @property
    def memory_bytes(self) -> int:
        """The most that is held at once, without libraries (about 0.5 GiB)."""
        at_work = max(self.activations_bytes + self.optimizer_bytes, self.evaluation_bytes + self.optimizer_bytes)
        return self.weights_bytes + at_work

    def table(self) -> Table:
        """Return the cost for people."""
        rows = [
            ("parameters", f"{self.parameters:,}, of them trained {self.trained:,}"),
            ("optimizer steps", f"{self.steps:,} over {self.rows:,} rows"),
            ("tokens, all epochs", f"{self.tokens:,}"),
            ("memory: weights", _size(self.weights_bytes)),
            ("memory: gradients and optimizer", _size(self.optimizer_bytes)),
            ("memory: activations, at most", _size(self.activations_bytes)),
            ("memory: evaluation, at most", _size(self.evaluation_bytes)),
            ("memory together, at most", _size(self.memory_bytes)),
            ("disk: checkpoints that are kept", _size(self.checkpoints_bytes)),
        ]
        if self.seconds is not None:
            rows.append(("time without evaluation", _duration(self.seconds)))
        return Table("What it will cost here", ("", ""), tuple(rows))


def estimate(config: Config, located: Located, rows: EncodedSet, budget: int, weight_bytes: int = 4) -> Estimate:
    """Return the cost of training a located model on encoded rows, from its files' headers alone.

    Args:
        config: The whole config.
        located: The base; its weights are not loaded.
        rows: What is trained on.
        budget: Padded tokens of a micro-batch.
        weight_bytes: Bytes of one frozen weight (2: bfloat16).
    """
    training, shapes = config.training, weight_shapes(located.folder)
    parameters = sum(_count(shape) for shape in shapes.values())
    trained = trained_parameters(shapes, located.family, config.adapter)
    order = order_of(rows, training, encoder_decoder=located.family.encoder_decoder)
    steps = training.max_steps or order.steps_in(training.num_train_epochs)
    lengths = rows.input_lengths + (rows.label_lengths if located.family.encoder_decoder else 0)
    frozen = 0 if config.adapter.type == "none" else parameters
    moments = _MOMENTS.get(training.optim, 2.0)
    beams_tokens = min(BATCH_TOKENS, 32 * (int(lengths.max()) + config.evaluation.max_new_tokens))
    return Estimate(
        parameters=parameters,
        trained=trained,
        rows=len(rows),
        steps=steps,
        tokens=int(lengths.sum() * steps / max(1, order.steps_in(1))),
        weights_bytes=frozen * weight_bytes + trained * _FLOAT_BYTES,
        optimizer_bytes=int(trained * _FLOAT_BYTES * (1 + moments)),
        activations_bytes=activation_bytes(located.config) * min(budget, _largest_step(order, lengths)),
        evaluation_bytes=cache_bytes(located.config) * beams_tokens,
        checkpoints_bytes=int(trained * _FLOAT_BYTES * (1 + moments)) * training.save_total_limit,
    )


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every weight of a folder, from the headers of its safetensors."""
    shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            shapes.update({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()})  # noqa: SIM118
    return shapes


def trained_parameters(shapes: Mapping[str, tuple[int, ...]], family: Family, section: AdapterSection) -> int:
    """Return how many parameters an adapter, or training all weights, would train."""
    if section.type == "none":
        return sum(_count(shape) for shape in shapes.values())
    linear = {name.removesuffix(".weight"): shape for name, shape in shapes.items() if _is_linear(name, shape)}
    wanted = {"all-linear": None, "attention": family.attention}.get(
        str(section.target_modules), section.target_modules
    )
    chosen = [shape for name, shape in linear.items() if wanted is None or name.rpartition(".")[2] in wanted]
    return sum(section.r * sum(shape) + (shape[0] if section.type == "dora" else 0) for shape in chosen)


def order_of(rows: EncodedSet, training: TrainingSection, *, encoder_decoder: bool) -> Order:
    """Return the order of rows that training will take."""
    size = StepSize(
        training.per_device_train_batch_size * training.gradient_accumulation_steps, training.tokens_per_step
    )
    return Order(rows.input_lengths + (rows.label_lengths if encoder_decoder else 0), training.seed, size)


def try_steps(bundle: Bundle, rows: EncodedSet, training: TrainingSection, budget: int) -> float:
    """Return seconds per optimizer step, from forward and backward passes over steps spread through the first epoch.

    The weights stay as they are; what the optimizer itself takes (a few percent) is not in it.
    """
    encoder_decoder = bundle.family.encoder_decoder
    order = order_of(rows, training, encoder_decoder=encoder_decoder)
    labels = rows.label_lengths if encoder_decoder else rows.label_lengths * 0
    shape = shape_of(bundle.family, bundle.tokenizer, bundle.located.config)
    last = order.steps_in(1) - 1
    taken = []
    bundle.model.train()
    for index in range(_TRIED_STEPS):
        _, chosen = order.rows_of(round(last * index / max(1, _TRIED_STEPS - 1)))
        started = time.perf_counter()
        for batch_rows in micro_batches(chosen, rows.input_lengths, labels, budget):
            batch = collate([rows[row] for row in batch_rows], shape, bundle.device)
            summed_loss(bundle.model, batch).backward()
        _wait(bundle.device)
        taken.append(time.perf_counter() - started)
    bundle.model.zero_grad(set_to_none=True)
    bundle.model.eval()
    return sum(taken[1:]) / len(taken[1:])


def _is_linear(name: str, shape: Sequence[int]) -> bool:
    return len(shape) == 2 and name.endswith(".weight") and not any(word in name for word in _EMBEDDINGS)


def _largest_step(order: Order, lengths: Any) -> int:
    """Return the padded tokens of the first epoch's largest step."""
    steps = (order.rows_of(step)[1] for step in range(order.steps_in(1)))
    return max(int(len(chosen) * lengths[chosen].max()) for chosen in steps)


def _count(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _size(count: int) -> str:
    return f"{count / _GIB:.2f} GiB" if count >= _GIB else f"{count / 2**20:.1f} MiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes:02} min" if hours else f"about {minutes} min {rest:02} s"
