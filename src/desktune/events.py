"""What stages say while they work. Stages emit, renderers (terminal, files, trackers) print; nobody else prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Decision:
    """An "auto" that became a value, and why. ``key`` is a config key or a short noun (``device``)."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """One line of information."""

    text: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Something that a person should look at; the work goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people, e.g. the ledger or base against tuned. Cells are ready text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` units of a stage that is not training. ``total`` is None when it is unknown."""

    stage: str
    done: int
    total: int | None = None
    unit: str = "rows"


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step (of ``total_steps``), averaged over what passed since the last one that was emitted."""

    step: int
    total_steps: int
    epoch: float
    loss: float  # nats per trained token
    learning_rate: float
    grad_norm: float
    tokens_per_second: float  # trained tokens
    memory_bytes: int
    seconds_left: float
    last_eval_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Validation at ``step``: names are ``eval_loss``, ``eval_bleu`` ..."""

    step: int
    metrics: Mapping[str, float]
    best: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """A folder that is whole and under its final name."""

    what: str
    path: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """Texts of a few rows: (source, reference, output)."""

    step: int
    rows: tuple[tuple[str, str, str], ...] = field(default=())


Event = Decision | Note | Warn | Table | Progress | Step | Evaluated | Saved | Samples
Emit = Callable[[Event], Any]


def silent(event: Event) -> None:
    """An ``Emit`` that keeps quiet."""
