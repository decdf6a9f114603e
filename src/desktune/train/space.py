"""How much disk a run will need, known before its first step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from desktune import durable
from desktune.config.schema import TrainingSection
from desktune.train.checkpoint import all_of, named_trained

_TENSOR_BYTES = 250  # of a tensor besides its numbers: its name and place in the file's header
_SMALL_FILES_BYTES = 16 << 20  # tokenizer, configs, metrics, samples


def check_space(model: nn.Module, section: TrainingSection, run: Path) -> None:
    """Make sure that the checkpoints and ``model/`` of a run will fit on its disk.

    Raises:
        OutOfDisk: they will not; the text has both figures.
    """
    durable.need_space(run, needed_bytes(model, section, run), "a run with its checkpoints (training.save_total_limit)")


def needed_bytes(model: nn.Module, section: TrainingSection, run: Path) -> int:
    """Return the bytes that training will still add below ``run``.

    Kept are ``save_total_limit`` checkpoints, the best one, and for a moment the one being written; those that are
    there already give way to new ones.
    """
    named = named_trained(model)
    one = checkpoint_bytes(named, section)
    there = sum(file.stat().st_size for folder in all_of(run) for file in folder.iterdir())
    kept = max(one, one * (section.save_total_limit + 2) - there)
    return kept + sum(_bytes(parameter) for _, parameter in named) + _SMALL_FILES_BYTES


def checkpoint_bytes(named: Iterable[tuple[str, nn.Parameter]], section: TrainingSection) -> int:
    """Return the size of one checkpoint: weights and what the optimizer remembers of each."""
    total = 0
    for _, parameter in named:
        entries, remembered = _remembered(parameter, section)
        total += _bytes(parameter) + remembered + (1 + entries) * _TENSOR_BYTES
    return total


def _remembered(parameter: nn.Parameter, section: TrainingSection) -> tuple[int, int]:
    """Return how many entries the optimizer's state of a parameter has, and their bytes."""
    size = _bytes(parameter)
    if section.optim == "sgd":
        return (1, size) if section.optim_args.get("momentum") else (0, 0)
    if section.optim == "adafactor":  # a row and a column of second moments for a matrix
        if parameter.ndim < 2:
            return 2, size
        return 3, size // parameter.shape[-1] + size // parameter.shape[-2]
    moments = 3 if section.optim_args.get("amsgrad") else 2
    return 1 + moments, moments * size


def _bytes(parameter: nn.Parameter) -> int:
    return parameter.numel() * parameter.element_size()
