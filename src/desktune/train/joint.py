"""One model over several processes: DDP, where each holds all of it, or FSDP2, where each holds a share.

Both average gradients over processes, while a step's loss is *summed* and divided once (decision 0003): who calls
``backward`` multiplies by the number of processes. Parameters keep their names in both.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from desktune.config.schema import TrainingSection
from desktune.errors import ConfigError
from desktune.train.processes import ONE, Processes


@dataclass
class Joint:
    """A model whose gradient is that of all processes. ``forward`` is what is called for a loss."""

    forward: Any
    processes: Processes = ONE
    sharded: bool = False

    def renew(self) -> None:
        """Forget a pass that was begun and not finished, on all processes: DDP cannot take it back."""
        if not isinstance(self.forward, DistributedDataParallel):
            return
        model, unused = self.forward.module, self.forward.find_unused_parameters
        self.forward = None
        gc.collect()  # what is left of the pass holds the old one, which still listens to the gradients
        self.forward = _ddp(model, unused)

    @contextlib.contextmanager
    def exchanging(self, now: bool) -> Iterator[None]:
        """Exchange gradients in the block's backward pass, or (not ``now``) only add them up here."""
        if self.sharded:
            self.forward.set_requires_gradient_sync(now)
        alone = self.processes.world_size == 1 or self.sharded or now
        with contextlib.nullcontext() if alone else self.forward.no_sync():
            yield

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Hold the root's weights whole in the block, where parts of the model are called without it (``generate``)."""
        if self.sharded:
            self.forward.unshard()
        yield
        if self.sharded:
            self.forward.reshard()


def check(section: TrainingSection, device: torch.device, autocast: torch.dtype | None, processes: Processes) -> None:
    """Make sure that these processes can train together.

    Raises:
        ConfigError: they cannot, on this device or with these settings.
    """
    if processes.world_size == 1:
        return
    count = f"{processes.world_size} processes"
    if section.engine != "desktune":
        raise ConfigError(f"training.engine: {section.engine}: trains on one process, not {count}; write desktune")
    if device.type == "mps":
        raise ConfigError(f"model.device: mps: {count} cannot share Apple's GPU; start one, or write model.device: cpu")
    if device.type == "cuda" and processes.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"model.device: cuda: process {processes.local_rank} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; start as many with --nproc_per_node, or write model.device: cpu"
        )
    if section.distributed == "fsdp" and section.optim == "adafactor":
        raise ConfigError("training.optim: adafactor: not with training.distributed: fsdp; write adamw, or ddp")
    if section.distributed == "fsdp" and autocast == torch.float16:
        raise ConfigError(
            "model.dtype: float16: not with training.distributed: fsdp; write bfloat16 or float32, or ddp"
        )


def join(model: Any, processes: Processes, how: Literal["auto", "ddp", "fsdp"], *, unused: bool) -> Joint:
    """Join the models of all processes, changing ``model`` in place where it is sharded.

    Args:
        model: With what is trained marked; the same on all processes (DDP takes the writer's trained weights).
        processes: Who takes part.
        how: ``fsdp``, or anything else for DDP.
        unused: Whether a pass may leave trained weights without a gradient; DDP must then look for them.
    """
    if processes.world_size == 1:
        return Joint(model)
    if how == "fsdp":
        mesh = init_device_mesh(next(model.parameters()).device.type, (processes.world_size,))
        for block in blocks(model):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return Joint(model, processes, sharded=True)
    return Joint(_ddp(model, unused), processes)


def _ddp(model: Any, unused: bool) -> DistributedDataParallel:
    return DistributedDataParallel(
        model, forward_sync_buffers=False, gradient_as_bucket_view=True, find_unused_parameters=unused
    )


def blocks(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a model: the members of its outermost lists of modules."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    outer = [one for name, one in lists if not any(name.startswith(other + ".") for other, _ in lists if other != name)]
    return [block for one in outer for block in one]


def whole(tensor: Tensor) -> Tensor:
    """Return all of a sharded tensor (all processes take part), any other tensor as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(value: Tensor, target: Tensor) -> Tensor:
    """Return a whole value on the target's device, cut as the target is."""
    moved = value.to(target.device)
    if isinstance(target, DTensor):
        return distribute_tensor(moved, target.device_mesh, target.placements, src_data_rank=None)
    return moved


def clear_row(tensor: Tensor, row: int) -> None:
    """Set a row to zero, on the process that holds it."""
    if not isinstance(tensor, DTensor):
        tensor[row] = 0.0
        return
    local = tensor.to_local()
    first = tensor.device_mesh.get_local_rank() * math.ceil(tensor.shape[0] / tensor.device_mesh.size())
    if first <= row < first + len(local):
        with torch.no_grad():
            local[row - first] = 0.0
