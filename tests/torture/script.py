"""A training's life on disk without the training: the real functions that write a run folder, and the check of one.

``live`` starts or goes on with a run of five checkpoints (two kept, and the best), metrics, a status and ``model/``
(written twice, so that a folder gives way to a new one). What a function has promised by returning is told to
``promise``; ``faults`` says what of that a folder does not keep.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from desktune import durable, runs
from desktune.config.schema import OutputSection
from desktune.events import Evaluated, Samples, Step, Warn, silent
from desktune.track.metrics import file_metrics
from desktune.train import checkpoint
from desktune.train.checkpoint import Position, Snapshot

LAST, KEEP, BEST = 5, 2, 1
CONFIG = "model: {name: x}\n"
Promise = Callable[[str, int], object]


def tensors(step: int) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(step)
    return {"a.weight": torch.randn(3, 5, generator=made), "b.weight": torch.randn(2, 2, generator=made)}


def optimizer_tensors(step: int) -> dict[str, torch.Tensor]:
    return {f"{name}.exp_avg": 2 * tensor for name, tensor in tensors(step).items()}


def folder_of(root: Path) -> Path:
    return root / "runs" / "one"


def live(root: Path, promise: Promise = lambda what, step: None) -> None:
    """Start the run below ``root``, or go on with it, to its end."""
    with runs.claim(OutputSection(dir=str(folder_of(root))), "one", resume=True) as claim:
        run = claim.run
        durable.sweep_staging(run)
        durable.sweep_staging(run / "checkpoints")
        known = checkpoint.newest(run, silent) if runs.is_run(run) else None
        checkpoint.set_aside_newer(run, known, silent)
        step = int(known.name.removeprefix("step-")) if known else 0
        if not runs.is_run(run):
            durable.write_rows(run / runs.REJECTED, ["{}"] * 3)
            durable.write_json(run / runs.ENVIRONMENT, {"base": "x"})
            durable.write_text(run / runs.CONFIG, CONFIG)
        promise("config", 0)
        emit = file_metrics(run, step)
        runs.mark(run, "running", step, {})
        for number in range(step + 1, LAST + 1):
            emit(Step(number, LAST, 0.0, 1 / number, 0.1, 1.0, 1.0, 0, 0.0))
            emit(Evaluated(number, {"eval_loss": 1 / number}))
            emit(Samples(number, (("source", "reference", "output"),)))
            checkpoint.save(run, Snapshot(tensors(number), optimizer_tensors(number)), Position(step=number), silent)
            promise("checkpoint", number)
            checkpoint.prune(run, KEEP, BEST)
        for number in (LAST - 1, LAST):
            with durable.staging(run / "model", replace=True) as staged:
                save_file(tensors(number), staged / "adapter_model.safetensors")
                durable.write_json(staged / "desktune.json", {"step": number})
            promise("model", number)
        runs.mark(run, "finished", LAST, {})
        promise("finished", LAST)


def faults(root: Path, promised: dict[str, int]) -> list[str]:
    """Return what a run folder does not keep of what was promised; ends with the sweep that a next run makes."""
    run = folder_of(root)
    if "config" in promised and (not runs.is_run(run) or (run / runs.CONFIG).read_text(encoding="utf-8") != CONFIG):
        return ["config.yaml is gone or another"]
    if not run.is_dir():
        return []
    found = [] if not runs.is_run(run) else _description_faults(run, promised)
    found += _checkpoint_faults(run, promised.get("checkpoint", 0))
    for folder in (run, run / "checkpoints"):
        durable.sweep_staging(folder)
    found += _checkpoint_faults(run, promised.get("checkpoint", 0)) + _model_faults(run, promised.get("model", 0))
    left = [path.name for path in run.rglob(f"{durable.STAGING_PREFIX}*")]
    return found + [f"left behind: {name}" for name in left]


def _description_faults(run: Path, promised: dict[str, int]) -> list[str]:
    status = runs.describe(run).status  # raises where a folder is not readable
    found = [f"status {status} after the end"] if "finished" in promised and status != "finished" else []
    metrics = run / runs.METRICS
    steps = {line["step"] for line in durable.read_lines(metrics)} if metrics.is_file() else set()
    missing = set(range(1, promised.get("checkpoint", 0) + 1)) - steps
    return [*found, *(f"metrics of step {step} are gone" for step in sorted(missing))]


def _checkpoint_faults(run: Path, promised: int) -> list[str]:
    """The newest is at least the promised one, what is taken is right to the last bit, and the best is there."""
    said: list[str] = []
    newest = checkpoint.newest(run, lambda event: said.append(event.text) if isinstance(event, Warn) else None)
    step = int(newest.name.removeprefix("step-")) if newest else 0
    found = [f"the newest is {step}, promised was {promised} ({said})"] if step < promised else []
    whole = [folder for folder in checkpoint.all_of(run) if not durable.verify(folder)]
    found += [f"{folder.name} is damaged and accepted" for folder in whole if not _is_right(folder)]
    if promised >= BEST and checkpoint.folder_of(run, BEST) not in whole:
        found.append("the best checkpoint is gone")
    return found


def _is_right(folder: Path) -> bool:
    step = int(folder.name.removeprefix("step-"))
    return _equal(load_file(folder / checkpoint.WEIGHTS), tensors(step)) and _equal(
        load_file(folder / checkpoint.OPTIMIZER), optimizer_tensors(step)
    )


def _model_faults(run: Path, promised: int) -> list[str]:
    folder = run / "model"
    if not folder.is_dir():
        return ["model/ is gone"] if promised else []
    if bad := durable.verify(folder):
        return [f"model/ is damaged under its final name: {bad[0]}"]
    held = load_file(folder / "adapter_model.safetensors")
    allowed = [step for step in (LAST - 1, LAST) if step >= promised]
    return [] if any(_equal(held, tensors(step)) for step in allowed) else ["model/ holds older weights than promised"]


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())
