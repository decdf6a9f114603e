"""Weights & Biases: offline unless WANDB_MODE says otherwise; its files lie in ``<run>/wandb``.

The run's id comes from its folder, so that a resumed run goes on as one line (``wandb sync`` uploads an offline run).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from desktune.errors import MissingExtra
from desktune.events import Emit, Evaluated, Event, Step
from desktune.redact import HIDDEN, is_secret, redact
from desktune.track.tensorboard import step_figures


def wandb(run: Path, project: str, config: dict[str, Any], resume_step: int) -> tuple[Emit, Callable[[], None]]:
    """Return an ``Emit`` that logs to W&B, and what closes it.

    Raises:
        MissingExtra: the package wandb is not installed.
    """
    try:
        import wandb as library  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra("wandb", "track", "tracking.report_to: [wandb]") from error
    session = library.init(
        project=project,
        name=run.resolve().name,
        id=hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16],
        resume="allow",
        dir=str(run),
        mode=os.environ.get("WANDB_MODE", "offline"),
        config=without_secrets(config),
        settings=library.Settings(silent=True, console="off"),
    )

    def emit(event: Event) -> None:
        match event:
            case Step() if event.step > resume_step:
                session.log({f"train/{name}": value for name, value in step_figures(event).items()}, step=event.step)
            case Evaluated() if event.step > resume_step:
                figures = {f"eval/{name.removeprefix('eval_')}": value for name, value in event.metrics.items()}
                session.log(figures, step=event.step)
            case _:
                pass

    return emit, session.finish


def without_secrets(value: Any) -> Any:
    """Return a config with nothing that opens a door: no value of a key like ``token``, no user in an address."""
    if isinstance(value, dict):
        return {name: HIDDEN if is_secret(name) else without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value
