"""The program on one page: what every verb does, as functions that take a config or a run folder and an ``emit``.

Nothing here prints. Each function resolves its config on this machine, hands sections to stages, and leaves folders
that are whole. What a run opens again (``session.py``) is checked to be what it was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from desktune import durable, runs
from desktune.config.schema import Config
from desktune.data.prepare import Prepared
from desktune.data.show import render_row
from desktune.errors import DesktuneError, Diverged
from desktune.evaluate.report import Report
from desktune.evaluate.score import compare, evaluate_rows
from desktune.evaluate.smoke import smoke_test
from desktune.events import Decision, Emit, Note, Saved, Warn, silent
from desktune.generate.chat import Chat, Models
from desktune.generate.decode import decode, decoding
from desktune.hardware import one_process
from desktune.models.adapters import is_adapter, make_trainable
from desktune.models.load import Bundle, load_base
from desktune.models.save import save_model
from desktune.plan import Plan, resolve
from desktune.rows import Encoded
from desktune.session import Session, open_run, prepare_config, write_description
from desktune.ship.merge import MergeReport
from desktune.ship.merge import merge as merge_model
from desktune.track.fan import fan_out
from desktune.track.open import renderers
from desktune.train import checkpoint
from desktune.train.loop import Loop, Recipe, Result, TrainingRows

SMOKE_ROWS = 4


@dataclass(frozen=True)
class Trained:
    """A finished run. ``metrics`` are those of the last validation."""

    run: Path
    step: int
    metrics: Mapping[str, float]


def plan(config: Config, emit: Emit = silent) -> Plan:
    """Resolve every "auto" of a config on this machine, said through ``emit``."""
    return resolve(config, emit)


def prepare(config: Config, emit: Emit = silent) -> Prepared:
    """Read, split, render and encode the rows of a config, or reuse what was prepared before; emits the ledger."""
    return prepare_config(resolve(config, silent), emit).prepared


def show_rows(config: Config, split: str, count: int, ids: bool, emit: Emit = silent) -> list[Text]:
    """Return rows as the model gets them, trained tokens and context told apart."""
    session = prepare_config(resolve(config, silent), emit)
    rows = session.rows(split)
    return [
        render_row(rows[index], session.kit.tokenizer, session.kit.family, ids)
        for index in range(min(count, len(rows)))
    ]


def train(config: Config, emit: Emit = silent, *, resume: bool = False) -> Trained:
    """Train to a run folder with ``model/`` in it.

    Args:
        config: A loaded config.
        emit: Where events go, besides the run's own files.
        resume: Go on with the newest run of this config from its newest whole checkpoint.

    Raises:
        RunError: the output folder is in use by something else.
        Locked: another process writes the run.
        Diverged, OutOfDisk, OutOfMemory, Stopped: as the names say; what was saved is whole.
    """
    one_process()
    run = runs.to_resume(config.output, config.model.name) if resume else None
    if resume and run is None:
        emit(Note("--resume: no run of this config is there yet; starting fresh"))
    if run is not None and runs.describe(run).status == "finished":
        info = runs.describe(run)
        emit(Note(f"{run} is finished at step {info.steps}; nothing to resume"))
        return Trained(run, info.steps or 0, info.metrics)
    if run is None and config.output.dir is not None:
        runs.check_free(Path(config.output.dir).expanduser())
    resolved = resolve(config, emit)
    session = prepare_config(resolved, emit)
    base = load_base(resolved.located, session.kit.tokenizer, resolved.task, resolved.placement)
    _smoke(session, base, emit)
    fresh = run is None
    run = run or runs.new_run_folder(config.output, config.model.name)
    with runs.lock(run):
        return _train_locked(session, base, run, emit, fresh=fresh)


def evaluate(run: Path, emit: Emit = silent, *, split: str = "validation") -> Report:
    """Measure a run's base and tuned model on held-out rows, with the settings of its config.

    Raises:
        ModelMismatch: base, tokenizer or data are not those of the run.
        DataError: the split has no rows.
    """
    session = open_run(run, emit)
    rows = session.rows(split)
    config = session.plan.config
    batch_rows = config.training.per_device_eval_batch_size
    emit(Note(f"{len(rows):,} {split} rows: base model"))
    base = evaluate_rows(session.base(), rows, config.evaluation, batch_rows, emit)
    emit(Note(f"{len(rows):,} {split} rows: tuned model"))
    tuned = evaluate_rows(session.tuned(), rows, config.evaluation, batch_rows, emit)
    report = compare(base, tuned, rows, emit, bootstrap_samples=config.evaluation.bootstrap_samples)
    target = run / f"evaluation-{split}.json"
    durable.write_json(target, report.to_json())
    emit(Saved("evaluation", str(target)))
    return report


def generate(
    run: Path,
    texts: Sequence[str],
    emit: Emit = silent,
    *,
    tuned: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> list[str]:
    """Answer texts with a run's model (``tuned=False``: with its base). ``settings`` go over ``generation:``."""
    session = open_run(run, emit, rows=False)
    prompts = session.prompts(texts)
    bundle = session.tuned() if tuned else session.base()
    return decode(bundle, prompts, decoding(session.plan.config.generation, **(settings or {})), emit)


def chat(run: Path, emit: Emit = silent) -> Chat:
    """Return a conversation with a run's model."""
    session = open_run(run, emit, rows=False)
    base = None if is_adapter(runs.Run(run).model) else session.base()
    return Chat(Models(session.tuned(), base), session.conversation_prompt, decoding(session.plan.config.generation))


def merge(run: Path, emit: Emit = silent, *, replace: bool = False) -> MergeReport:
    """Write ``<name>_merged``: one plain model folder, proved to answer like base and adapter together."""
    session = open_run(run, emit)
    place = runs.Run(run)
    return merge_model(session.exact_base(), place.model, place.merged, session.proof_rows(), emit, replace=replace)


def held_out(run: Path, split: str = "validation") -> Sequence[Encoded]:
    """Return the encoded rows of a run that it was not trained on."""
    return open_run(run, silent).rows(split)


def _train_locked(session: Session, base: Bundle, run: Path, emit: Emit, *, fresh: bool) -> Trained:
    """Train while holding the run's lock; the run's own files get every event too."""
    config = session.plan.config
    durable.sweep_staging(run)
    durable.sweep_staging(run / "checkpoints")
    newest = None if fresh else checkpoint.newest(run, emit)
    write_description(session, run, fresh=fresh)
    trackers = renderers(config.tracking, run, int(newest.name.removeprefix("step-")) if newest else 0)
    both = fan_out(emit, *trackers)
    bundle = make_trainable(base, config.adapter, config.training.seed, both)
    durable.need_space(run, _checkpoint_bytes(bundle, config), "a run with its checkpoints")
    rows = TrainingRows(session.prepared.train, session.prepared.validation)
    loop = Loop(
        bundle,
        rows,
        Recipe(config.training, config.evaluation, session.plan.token_budget, session.plan.autocast_dtype),
        run,
        both,
    )
    if newest is not None:
        loop.resume(newest)
    elif not fresh:
        emit(Note(f"--resume: {run} has no whole checkpoint; starting it again from step 0"))
    facts = {"base": config.model.name, "task": session.plan.task, "total_steps": loop.total_steps}
    runs.mark(run, "running", loop.position.step, {}, facts)
    try:
        result = loop.run()
        _finish(bundle, run, result, session, both)
    except DesktuneError as error:
        how = "diverged" if isinstance(error, Diverged) else "stopped"
        runs.mark(run, how, loop.position.step, loop.position.metrics)
        raise
    finally:
        trackers.close()
    return Trained(run, result.position.step, result.position.metrics)


def _finish(bundle: Bundle, run: Path, result: Result, session: Session, emit: Emit) -> None:
    """Put the best weights into ``model/`` and mark the run as finished."""
    section, position, place = session.plan.config.training, result.position, runs.Run(run)
    step, reason = position.step, "the last weights"
    if section.load_best_model_at_end and position.best_step is not None:
        step, reason = position.best_step, f"best {section.metric_for_best_model}: {position.best_value:.4f}"
    if step != position.step:
        checkpoint.restore_weights(place.checkpoint(step), bundle.model)
    emit(Decision("model/", f"step {step}", reason))
    with durable.staging(place.model, replace=True) as staged:
        save_model(bundle, staged)
    facts = {"best_metric": section.metric_for_best_model, "best_value": position.best_value}
    runs.mark(run, "finished", position.step, position.metrics, facts)
    emit(Saved("model", str(place.model), step))


def _smoke(session: Session, base: Bundle, emit: Emit) -> None:
    """Try the untouched base on a few held-out rows before hours are spent."""
    rows = session.prepared.validation
    if session.plan.config.evaluation.smoke_test and rows:
        for text in smoke_test(base, [rows[index] for index in range(min(SMOKE_ROWS, len(rows)))]):
            emit(Warn(text))


def _checkpoint_bytes(bundle: Bundle, config: Config) -> int:
    """Return what the kept checkpoints and ``model/`` will need: float32 weights and two moments each."""
    trained = sum(parameter.numel() for _, parameter in checkpoint.named_trained(bundle.model))
    return 4 * trained * (3 * (config.training.save_total_limit + 2) + 1)
