"""Whole checkpoints: the trained weights, the optimizer's state and the position, without pickle.

``checkpoints/step-000050/`` holds ``weights.safetensors`` (what is trained, in the precision of the master),
``optimizer.safetensors`` (by parameter name), ``state.json`` and a manifest with sizes and hashes that is written last.
The newest folder that verifies is the one to go on from; a damaged one is named and passed over. The order of rows and
the dropout masks are pure functions of seed and step, so no random state has to be kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save_file
from torch import nn
from torch.optim import Optimizer

from desktune import durable
from desktune.errors import Diverged
from desktune.events import Emit, Note, Saved, Warn
from desktune.runs import Run
from desktune.train.joint import like, whole
from desktune.train.optim import load_optimizer_tensors, optimizer_tensors
from desktune.train.processes import ONE, Processes

WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_NAME = re.compile(r"step-\d+")


@dataclass
class Position:
    """Where training stands, with every count that decides how it goes on; changed by the loop only."""

    step: int = 0  # optimizer steps done
    trained_tokens: int = 0
    best_value: float | None = None
    best_step: int | None = None
    bad_evaluations: int = 0  # validations in a row without improvement
    skipped_steps: int = 0  # steps whose gradient was not finite
    skipped_in_a_row: int = 0
    spikes_in_a_row: int = 0  # steps whose loss was far over the median of recent ones
    recent_losses: list[float] = field(default_factory=list)  # per step, without spikes
    halved_to: int | None = None  # padded tokens of a micro-batch since memory was short
    since_log: list[float] = field(
        default_factory=list
    )  # summed loss and trained tokens since the last line of the log
    loss_scale: dict[str, float] = field(default_factory=dict)  # of float16
    stopped_early: bool = False
    metrics: dict[str, float] = field(default_factory=dict)  # of the last validation


def named_trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters that are trained, shared ones once, in the model's order."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def folder_of(run: Path, step: int) -> Path:
    """Return the checkpoint folder of a step."""
    return Run(run).checkpoint(step)


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint keeps of a model and its optimizer: whole tensors on the CPU."""

    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer) -> Snapshot:
        """Take one; where the model is sharded, all processes have to."""
        named = named_trained(model)
        weights = {name: whole(parameter.detach()).cpu().contiguous() for name, parameter in named}
        return cls(weights, optimizer_tensors(optimizer, named))


def save(run: Path, snapshot: Snapshot, position: Position, emit: Emit) -> Path:
    """Write a checkpoint. An existing one of the same step is kept: it holds the same.

    Raises:
        Diverged: a weight or a tensor of the optimizer is not finite; nothing is written.
        OutOfDisk: no space is left; older checkpoints stay.
    """
    folder = folder_of(run, position.step)
    if folder.exists() and not durable.verify(folder):
        return folder
    _check_finite(run, snapshot, position, emit)
    with durable.staging(folder, replace=True) as staged:
        save_file(dict(snapshot.weights), staged / WEIGHTS)
        save_file(dict(snapshot.optimizer), staged / OPTIMIZER)
        durable.write_json(staged / STATE, asdict(position))
    emit(Saved("checkpoint", str(folder), position.step))
    return folder


def _check_finite(run: Path, snapshot: Snapshot, position: Position, emit: Emit) -> None:
    named = [*snapshot.weights.items(), *snapshot.optimizer.items()]
    bad = [name for name, tensor in named if not torch.isfinite(tensor).all()]
    if bad:
        last = newest(run, emit)
        raise Diverged(
            f"step {position.step}: {len(bad)} weights or tensors of the optimizer are not finite, e.g. {bad[0]}; no "
            f"checkpoint is made of them; last good checkpoint: {last.name if last else 'none'}; lower "
            "training.learning_rate and start a new run"
        )


def newest(run: Path, emit: Emit) -> Path | None:
    """Return the newest checkpoint that verifies, or None; damaged ones are said."""
    for folder in reversed(all_of(run)):
        faults = durable.verify(folder)
        if not faults:
            return folder
        emit(Warn(f"checkpoint {folder.name} is damaged and passed over: {faults[0]}"))
    return None


def all_of(run: Path) -> list[Path]:
    """Return all checkpoint folders, oldest first."""
    folders = (run / "checkpoints").glob("step-*")
    return sorted((folder for folder in folders if _NAME.fullmatch(folder.name)), key=_step_of)


def set_aside_newer(run: Path, newest: Path | None, emit: Emit) -> None:
    """Rename what is newer than the checkpoint to go on from: it is damaged, and ``prune`` must not keep it instead."""
    for folder in all_of(run):
        if newest is None or _step_of(folder) > _step_of(newest):
            aside = durable.set_aside(folder)
            emit(Note(f"{folder.name} is now {aside.name}; remove it when you have looked at it"))


def restore(folder: Path, model: nn.Module, optimizer: Optimizer, processes: Processes = ONE) -> Position:
    """Put weights and optimizer back as they were; returns the position.

    Only the writer reads the folder, and tells the others: on another machine it need not exist.
    """
    _fill(model, _read(folder / WEIGHTS, processes))
    load_optimizer_tensors(optimizer, named_trained(model), _read(folder / OPTIMIZER, processes))
    state = processes.share_bytes((folder / STATE).read_bytes() if processes.is_writer else b"")
    return Position(**json.loads(state))


def position_of(folder: Path) -> Position:
    """Return where a checkpoint stands."""
    return Position(**json.loads((folder / STATE).read_bytes()))


def restore_weights(folder: Path, model: nn.Module) -> None:
    """Put a checkpoint's weights into the model. Raises KeyError when it is of another model."""
    _fill(model, load_file(folder / WEIGHTS))


def prune(run: Path, keep: int, best_step: int | None) -> None:
    """Remove the oldest checkpoints beyond ``keep``, never the best one (the newest was just written whole)."""
    folders = all_of(run)
    best = None if best_step is None else folder_of(run, best_step)
    for folder in folders[:-keep]:
        if folder != best:
            durable.remove_folder(folder)


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _read(file: Path, processes: Processes) -> dict[str, torch.Tensor]:
    if processes.world_size == 1:
        return load_file(file)
    return load(processes.share_bytes(file.read_bytes() if processes.is_writer else b""))


def _fill(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in named_trained(model):
            parameter.copy_(like(weights[name], parameter))
