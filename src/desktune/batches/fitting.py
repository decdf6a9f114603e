"""Rows that are too many for the memory, in parts that fit: for evaluation and answers, which keep no gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import distributed

from desktune.errors import OutOfMemory
from desktune.events import Emit, Warn
from desktune.hardware import NO_MEMORY_ON_CPU

Row = TypeVar("Row")
Found = TypeVar("Found")


def in_fitting_parts(rows: Sequence[Row], work: Callable[[Sequence[Row]], Found], emit: Emit) -> Iterator[Found]:
    """Yield what ``work`` finds for all rows together, or for halves of them where memory is short, in their order.

    Raises:
        OutOfMemory: one row alone does not fit.
        torch.OutOfMemoryError: memory is short on one of several processes, which go through rows in step.
    """
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        found = _tried(part, work)
        if found:
            yield found[0]
            continue
        middle = (len(part) + 1) // 2
        waiting += [part[middle:], part[:middle]]
        emit(
            Warn(
                f"out of memory: {len(part)} rows of an evaluation are taken {middle} at a time; training is as before"
            )
        )


@contextlib.contextmanager
def typed_memory() -> Iterator[None]:
    """Raise torch.OutOfMemoryError for lack of memory on the CPU too, where torch has a plain RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if NO_MEMORY_ON_CPU not in str(error):
            raise
        raise torch.OutOfMemoryError(str(error)) from error


def _tried(part: Sequence[Row], work: Callable[[Sequence[Row]], Found]) -> list[Found]:
    """Return what was found, nothing where memory was short; the failed pass is let go before the next begins."""
    try:
        with typed_memory():
            return [work(part)]
    except torch.OutOfMemoryError as error:
        if distributed.is_available() and distributed.is_initialized():
            raise
        if len(part) == 1:
            raise OutOfMemory(
                "one row alone does not fit into memory in evaluation; lower the length limits of data "
                "(max_source_length …) or evaluation.max_new_tokens, or take a smaller model"
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return []
