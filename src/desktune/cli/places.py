"""``runs``, ``show`` and ``doctor``: what there is."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from desktune import __version__, durable, runs
from desktune.cli.common import RUN_HELP, console, installed
from desktune.events import Table
from desktune.track.words import bytes_text, metrics_text

_VALIDATIONS_SHOWN = 5
_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "sentencepiece", "pyarrow", "sacrebleu")
_EXTRAS = {"wandb": "track"}


def list_runs(
    root: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = runs.RUNS,
) -> None:
    """List the runs, newest first."""
    found = runs.list_runs(root)
    if not found:
        typer.echo(f"no runs in {root}/ yet; start one with desktune demo, or desktune init DATA")
        return
    columns = ("run", "status", "base", "task", "steps", "best", "eval loss", "size", "created")
    with console() as emit:
        emit(Table(f"Runs in {root}/", columns, tuple(_cells(info) for info in found)))


def show(run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)]) -> None:
    """Show how far one run came."""
    info = runs.describe(runs.resolve(run))
    place = runs.Run(info.folder)
    checkpoints = sorted(path.name for path in (info.folder / "checkpoints").glob("step-*"))
    facts = {
        "folder": str(info.folder),
        "status": info.status,
        "created": _when(info.created),
        "base": info.base or "?",
        "task": info.task or "?",
        "steps": _steps(info),
        "best": _best(info),
        "last validation": metrics_text(info.metrics),
        "size": bytes_text(info.size_bytes),
        "checkpoints": ", ".join(checkpoints),
        "model": str(place.model) if info.has_model else "",
        "merged model": str(place.merged) if info.has_merged else "",
    }
    with console() as emit:
        emit(Table(info.name, ("", ""), tuple((name, value) for name, value in facts.items() if value)))
        validations = _validations(place.metrics)
        if validations:
            emit(Table("Last validations", ("step", "figures"), validations))
    typer.echo(_next(info))


def doctor() -> None:
    """Say what this machine has, and what is missing."""
    from desktune.hardware import machine, pick_device, pick_dtype, prepare_environment, sentences

    prepare_environment()
    here = machine(probe_torch=True)
    device, why_device = pick_device("auto", here)
    dtype, why_dtype = pick_dtype("auto", device, here=here)
    missing = [name for name in _PACKAGES if not installed(name)]
    extras = [f"{name} (pip install 'desktune[{extra}]')" for name, extra in _EXTRAS.items() if not installed(name)]
    lines = [
        f"desktune: {__version__}",
        *sentences(here),
        f"Device: {device} ({why_device}); dtype: {dtype} ({why_dtype}).",
        f"Packages: {', '.join(f'{name} {installed(name)}' for name in _PACKAGES if name not in missing)}.",
    ]
    lines += [f"Missing: {', '.join(missing)}; pip install desktune brings them."] if missing else []
    lines += [f"Optional, not installed: {', '.join(extras)}."] if extras else []
    typer.echo("\n".join(lines))


def _cells(info: runs.RunInfo) -> tuple[str, ...]:
    return (
        info.name,
        info.status,
        info.base or "?",
        info.task or "?",
        _steps(info),
        _best(info),
        "" if info.last_eval_loss is None else f"{info.last_eval_loss:.4f}",
        bytes_text(info.size_bytes),
        _when(info.created),
    )


def _steps(info: runs.RunInfo) -> str:
    if info.steps is None:
        return "?"
    return f"{info.steps}/{info.total_steps}" if info.total_steps else str(info.steps)


def _best(info: runs.RunInfo) -> str:
    if info.best_value is None or info.best_metric is None:
        return ""
    return f"{info.best_metric.removeprefix('eval_')} {info.best_value:.4f}"


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def _validations(path: Path) -> tuple[tuple[str, str], ...]:
    """The last validations of ``metrics.jsonl`` as cells."""
    lines = [line for line in durable.read_lines(path) if line.get("kind") == "eval"] if path.is_file() else []
    figures = [(line["step"], _numbers(line)) for line in lines]
    return tuple((str(step), metrics_text(one)) for step, one in figures[-_VALIDATIONS_SHOWN:])


def _numbers(line: dict[str, Any]) -> dict[str, float]:
    """The figures of a line; one that was not finite is null there."""
    figures = {name: value for name, value in line.items() if name.startswith("eval_")}
    return {name: float("nan") if value is None else value for name, value in figures.items()}


def _next(info: runs.RunInfo) -> str:
    folder = info.folder
    if info.status == "running":
        return "next: wait for it"
    if info.status != "finished":
        return f"next: desktune train {folder} --resume"
    return f'next: desktune evaluate {folder} · desktune generate {folder} "text" · desktune merge {folder}'


VERBS = (
    ("runs", list_runs, "desktune runs"),
    ("show", show, "desktune show latest"),
    ("doctor", doctor, "desktune doctor"),
)
