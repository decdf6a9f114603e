"""The processes of one training (torchrun): which one this is, and what all of them agree on.

Process 0 alone writes and speaks. What it finds out goes to the others as JSON, never as a pickle. All of this travels
over gloo on the CPU, whatever device trains. With one process every method is the identity, so that nobody has to ask.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from desktune.errors import ConfigError, DesktuneError, FailedElsewhere, ModelMismatch

T = TypeVar("T")
WRITER = 0
_PATIENCE = timedelta(hours=24)  # process 0 may prepare rows for hours; a dead process is noticed by torchrun
_CHUNK_BYTES = 2**28  # of one broadcast
_LOST = ("closed by peer", "reset by peer", "Broken pipe", "Socket closed", "Connection refused", "remote process")


@dataclass(frozen=True)
class Processes:
    """This process among those of a training. ``local_rank`` counts on this machine, ``rank`` over all."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1

    @property
    def is_writer(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == WRITER

    def sum(self, value: float) -> float:
        """Return the sum over all processes."""
        return self._reduced(value, dist.ReduceOp.SUM)

    def largest(self, value: float) -> float:
        """Return the largest value of all processes."""
        return self._reduced(value, dist.ReduceOp.MAX)

    def share_bytes(self, value: bytes) -> bytes:
        """Return the writer's bytes on all processes."""
        if self.world_size == 1:
            return value
        size = torch.tensor([len(value)])
        dist.broadcast(size, WRITER)
        content = _tensor(value) if self.is_writer else torch.empty(int(size), dtype=torch.uint8)
        for chunk in content.split(_CHUNK_BYTES):
            dist.broadcast(chunk, WRITER)
        return content.numpy().tobytes()

    def share(self, value: T) -> T:
        """Return the writer's value (of JSON's types) on all processes."""
        return value if self.world_size == 1 else json.loads(self.share_bytes(json.dumps(value).encode()))

    def gather(self, value: T) -> list[T]:
        """Return the values (of JSON's types) of all processes, by rank."""
        if self.world_size == 1:
            return [value]
        content = json.dumps(value).encode()
        widest = int(self.largest(len(content)))
        mine = _tensor(content.ljust(widest))  # JSON does not mind blanks at its end
        every = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(every, mine)
        return [json.loads(one.numpy().tobytes()) for one in every]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """End all processes when the block fails on one: the first keeps its error, the others its exit code.

        Raises:
            FailedElsewhere: the block failed on another process, which says why.
        """
        if self.world_size == 1:
            yield
            return
        failed: BaseException | None = None
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again below, once the others know
            failed = error
        codes = self.gather(_exit_code(failed))
        first = next((rank for rank, code in enumerate(codes) if code), None)
        if failed is not None and first == self.rank:
            raise failed
        if first is not None:
            raise FailedElsewhere(codes[first]) from failed

    def same(self, facts: Mapping[str, str]) -> None:
        """Make sure that all processes work on the same.

        Raises:
            ModelMismatch: a fact differs on another machine.
            FailedElsewhere: the same, on all processes but one, which says it.
        """
        every = self.gather(dict(facts))
        different = [name for name in facts if len({one[name] for one in every}) > 1]
        if different:
            text = f"the processes have different {' and '.join(different)}; give every machine the same files"
            raise self.agreed(ModelMismatch(text))

    def agreed(self, error: DesktuneError) -> DesktuneError:
        """Return what to raise for an error that all processes found at the same place: one of them says it."""
        return error if self.is_writer else FailedElsewhere(error.exit_code)

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do something that writes to a cache: the writer first, then one process per machine, then the rest."""
        results: list[T] = []
        turn = 0 if self.is_writer else 1 if self.local_rank == 0 else 2
        for number in range(3):
            with self.together():
                if number == turn:
                    results.append(work())
        return results[0]

    def _reduced(self, value: float, how: Any) -> float:
        if self.world_size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(tensor, how)
        return tensor.item()


ONE = Processes()


@contextlib.contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[Processes]:
    """Meet the other processes that torchrun started, and part at the end.

    Raises:
        ConfigError: the environment says that there are several, but not how they meet.
        FailedElsewhere: another process is gone, which has said why.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise ConfigError(f"WORLD_SIZE is set, but not {', '.join(missing)}: start the processes with torchrun")
    rank, local_rank, world_size = (int(environment[name]) for name in names[:3])
    gpus = torch.cuda.device_count()
    if local_rank < gpus:
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(rank, local_rank, world_size)
    except DesktuneError:
        dist.destroy_process_group()  # all are leaving; gloo aborts a process whose peers hung up before it did
        raise
    except RuntimeError as error:
        if not any(words in str(error) for words in _LOST):
            raise
        raise FailedElsewhere(1) from error
    else:
        dist.destroy_process_group()


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) and error.code else 1
    return error.exit_code if isinstance(error, DesktuneError) else 1


def _tensor(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
