"""Optimizers and learning-rate schedules, with a state that is tensors by parameter name.

The schedules are those of transformers (``get_linear_schedule_with_warmup`` and its siblings), as pure functions of the
step: nothing of them has to be saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from desktune.config.schema import TrainingSection
from desktune.train.joint import like, whole

_ADAMW = {"betas": (0.9, 0.999), "eps": 1e-8}


def build_optimizer(named: Iterable[tuple[str, nn.Parameter]], section: TrainingSection) -> Optimizer:
    """Return the optimizer over parameters; biases (T5's relative positions among them) and norms do not decay.

    The learning rate of the groups is set before every step by ``set_learning_rate``.
    """
    decayed, plain = [], []
    for name, parameter in named:
        (decayed if parameter.ndim >= 2 and "bias" not in name else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in section.optim_args.items()}
    return OPTIMIZERS[section.optim]([group for group in groups if group["params"]], section.learning_rate, arguments)


def _adamw(groups: list[dict], rate: float, arguments: Mapping) -> Optimizer:
    return torch.optim.AdamW(groups, lr=rate, **{**_ADAMW, **arguments})


def _adafactor(groups: list[dict], rate: float, arguments: Mapping) -> Optimizer:
    """Shazeer and Stern 2018, without first moment; the rate is ours, not relative to the step."""
    return torch.optim.Adafactor(groups, lr=rate, **arguments)


def _sgd(groups: list[dict], rate: float, arguments: Mapping) -> Optimizer:
    return torch.optim.SGD(groups, lr=rate, **arguments)


OPTIMIZERS: dict[str, Callable[[list[dict], float, Mapping], Optimizer]] = {
    "adamw": _adamw,
    "adafactor": _adafactor,
    "sgd": _sgd,
}


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(section: TrainingSection, step: int, total_steps: int, warmup_steps: int) -> float:
    """Return the rate of a step counted from 0: a line from 0 to the peak in ``warmup_steps``, then the schedule."""
    if step < warmup_steps:
        return section.learning_rate * step / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return section.learning_rate * SCHEDULES[section.lr_scheduler_type](progress)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: max(0.0, 1.0 - progress),
    "cosine": lambda progress: max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress))),
    "constant": lambda progress: 1.0,
}


def count_warmup_steps(section: TrainingSection, total_steps: int) -> int:
    """Return the warm-up steps, from the number or the share (rounded up as in transformers)."""
    return section.warmup_steps if section.warmup_steps is not None else math.ceil(total_steps * section.warmup_ratio)


def optimizer_tensors(optimizer: Optimizer, named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
    """Return the optimizer's state as ``<parameter>|<entry>`` → tensor, for safetensors."""
    tensors = {}
    for name, parameter in named:
        for entry, value in sorted(optimizer.state.get(parameter, {}).items()):  # processes gather in one order
            if value is not None:
                tensor = value if isinstance(value, Tensor) else torch.tensor(value)
                tensors[f"{name}|{entry}"] = whole(tensor.detach()).cpu().contiguous()
    return tensors


def load_optimizer_tensors(
    optimizer: Optimizer, named: Iterable[tuple[str, nn.Parameter]], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what ``optimizer_tensors`` returned. Raises KeyError for an entry of an unknown parameter."""
    parameters = dict(named)
    for key, value in tensors.items():
        name, _, entry = key.rpartition("|")
        parameter = parameters[name]
        # torch keeps AdamW's step counter on the CPU, and the moments beside the parameter
        tensor = value.clone() if entry == "step" else like(value, parameter).clone()
        optimizer.state[parameter][entry] = tensor
