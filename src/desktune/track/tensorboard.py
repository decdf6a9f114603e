"""TensorBoard: event files in ``<run>/tensorboard``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from desktune.errors import MissingExtra
from desktune.events import Emit, Evaluated, Event, Step

FOLDER = "tensorboard"


def tensorboard(run: Path, resume_step: int) -> tuple[Emit, Callable[[], None]]:
    """Return an ``Emit`` that writes event files, and what closes them. Figures after ``resume_step`` are dropped.

    Raises:
        MissingExtra: the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "track", "tracking.report_to: [tensorboard]") from error
    writer = SummaryWriter(str(run / FOLDER), purge_step=resume_step + 1 if resume_step else None)

    def emit(event: Event) -> None:
        match event:
            case Step():
                for name, value in step_figures(event).items():
                    writer.add_scalar(f"train/{name}", value, event.step)
            case Evaluated():
                for name, value in event.metrics.items():
                    writer.add_scalar(f"eval/{name.removeprefix('eval_')}", value, event.step)
                writer.flush()
            case _:
                pass

    return emit, writer.close


def step_figures(event: Step) -> dict[str, float]:
    """Return the figures of a step that trackers draw."""
    return {
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "grad_norm": event.grad_norm,
        "tokens_per_second": event.tokens_per_second,
        "memory_mib": event.memory_bytes / 2**20,
        "epoch": event.epoch,
    }
