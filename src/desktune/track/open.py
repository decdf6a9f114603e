"""The renderers of a training: its own files always, and the trackers that ``tracking.report_to`` names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from desktune.events import Emit
from desktune.track.metrics import file_metrics

CONFIG = "config.yaml"


class Wanted(Protocol):
    """The section ``tracking`` of a config."""

    @property
    def report_to(self) -> Sequence[str]:
        """Names of trackers."""
        ...

    @property
    def project(self) -> str:
        """Project name at the tracker."""
        ...


class Trackers:
    """Several ``Emit``s that are closed together: ``fan_out(console, *trackers)``; also a ``with`` block."""

    def __init__(self) -> None:
        self._emits: list[Emit] = []
        self._closers = contextlib.ExitStack()

    def __iter__(self) -> Iterator[Emit]:
        """Yield the renderers."""
        return iter(self._emits)

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self._emits)

    def __enter__(self) -> Trackers:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def add(self, emit: Emit, close: Callable[[], None] | None = None) -> None:
        """Take one more, and what closes it."""
        self._emits.append(emit)
        if close is not None:
            self._closers.callback(close)

    def close(self) -> None:
        """Flush and close all of them; a second call does nothing."""
        self._closers.close()


def renderers(tracking: Wanted, run: Path, resume_step: int = 0) -> Trackers:
    """Open what a run's events are written to. What was written after ``resume_step`` is dropped first.

    Raises:
        MissingExtra: a tracker's package is not installed.
    """
    trackers = Trackers()
    try:
        for name in tracking.report_to:
            _open(trackers, name, tracking.project, run, resume_step)
    except BaseException:
        trackers.close()
        raise
    trackers.add(file_metrics(run, resume_step))
    return trackers


def _open(trackers: Trackers, name: str, project: str, run: Path, resume_step: int) -> None:
    if name == "tensorboard":
        from desktune.track.tensorboard import tensorboard

        trackers.add(*tensorboard(run, resume_step))
    else:
        from desktune.track.wandb import wandb

        trackers.add(*wandb(run, project, _saved_config(run), resume_step))


def _saved_config(run: Path) -> dict[str, Any]:
    """The config that the run folder holds, as plain values."""
    from ruamel.yaml import YAML

    path = run / CONFIG
    return (YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
