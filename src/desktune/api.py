"""The program on one page: what every verb does, as functions that take a config or a run folder and an ``emit``.

Nothing here prints. Each function resolves its config on this machine, hands sections to stages, and leaves folders
that are whole. What a run opens again (``session.py``) is checked to be what it was trained with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from desktune import durable, runs
from desktune.batches.collate import collate, shape_of
from desktune.config.schema import Config
from desktune.data.clean.scores import score_rows
from desktune.data.encoding import Encoder
from desktune.data.inspect import LOOKED_AT, row_table, tensor_table, trip_table
from desktune.data.prepare import Prepared, prepare_test
from desktune.data.prepare import prepare as prepare_rows
from desktune.data.show import render_row, sides
from desktune.data.survey import survey
from desktune.errors import ConfigError, DesktuneError, DiskFault, Diverged, OutOfDisk, RunError
from desktune.evaluate.metrics import names_for, score
from desktune.evaluate.report import Report
from desktune.evaluate.score import compare, evaluate_rows
from desktune.evaluate.smoke import smoke_test
from desktune.events import Decision, Emit, Note, Saved, Table, Warn, silent
from desktune.generate.chat import ALONE, Chat
from desktune.generate.decode import decode, decoding
from desktune.generate.decode import variants as named_variants
from desktune.generate.side_by_side import Asked, SideBySide, Split, keep, side_by_side
from desktune.generate.speakers import Models, Speaker
from desktune.generate.tongue import Tongue
from desktune.hardware import one_process
from desktune.models.adapters import is_adapter, make_trainable
from desktune.models.load import Bundle
from desktune.models.save import save_model
from desktune.plan import Plan, resolve
from desktune.report.data import DataReport
from desktune.rows import IGNORE, Encoded
from desktune.session import Session, describe_run, may_go_on, open_run, prepare_config
from desktune.ship.merge import MergeReport
from desktune.ship.merge import merge as merge_model
from desktune.track.fan import fan_out
from desktune.track.open import renderers
from desktune.train import checkpoint
from desktune.train.estimate import Estimate, try_steps
from desktune.train.estimate import estimate as estimate_cost
from desktune.train.joint import check as check_joint
from desktune.train.loop import Loop, Recipe, Result, TrainingRows
from desktune.train.processes import ONE, Processes
from desktune.train.processes import joined as joined
from desktune.train.reference import Reference
from desktune.train.space import check_space

SMOKE_ROWS = 4
SHOWN_ROWS = 3  # of a data report, token by token
_LIMIT_KEYS = ("max_source_length", "max_target_length", "max_length")


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


def data_report(config: Config, emit: Emit = silent, *, name: str = "data") -> DataReport:
    """Return all that can be seen of a config's rows before training; ``html()`` of it is a page.

    Rows are encoded once more without length limits and cleaning of repeats, so that what a limit cuts can be seen.
    """
    session = prepare_config(resolve(config, silent), emit)
    kit, prepared, limits = session.kit, session.prepared, _limits(session)
    whole = config.data.model_copy(update={**dict.fromkeys(_LIMIT_KEYS, 2**31 - 1), "validation": 0})
    uncut = prepare_rows(whole, kit, config.training.seed, None, silent).train
    splits = {"train": prepared.train, **({"validation": prepared.validation} if prepared.validation else {})}
    if config.data.test is not None:
        splits["test"] = prepare_test(config.data, kit, silent)
    rows = [prepared.train[index] for index in range(min(SHOWN_ROWS, len(prepared.train)))]
    report = DataReport(
        name=name,
        ledger=prepared.ledger,
        survey=survey(splits, uncut, limits, encoder_decoder=kit.family.encoder_decoder),
        rejects=prepared.rejected,
        samples={str(row.origin): sides(row, kit.tokenizer, kit.family) for row in rows},
        cost=estimate(config, silent, timed=True),
        cleaning=score_rows(config.data, Encoder(kit, config.data).tokens),
    )
    for text in report.findings():
        emit(Warn(text))
    emit(report.cost.table())
    return report


def estimate(config: Config, emit: Emit = silent, *, timed: bool = False) -> Estimate:
    """Return what a run of this config will cost here; emits it as a table.

    Args:
        config: A loaded config.
        emit: Where decisions, the ledger and the table go.
        timed: Load the model and try a few steps of the config's own rows for the time.
    """
    session = prepare_config(resolve(config, silent), emit)
    plan, rows = session.plan, session.prepared.train
    cost = estimate_cost(config, plan.located, rows, plan.token_budget, plan.placement.dtype.itemsize)
    if timed:
        bundle = make_trainable(session.base(), config.adapter, config.training.seed, silent)
        seconds = try_steps(bundle, rows, config.training, plan.token_budget)
        cost = replace(cost, seconds=seconds * cost.steps)
    emit(cost.table())
    return cost


def show_rows(config: Config, split: str, count: int, ids: bool, emit: Emit = silent) -> list[Text]:
    """Return rows as the model gets them, trained tokens and context told apart."""
    session = prepare_config(resolve(config, silent), emit)
    rows = session.rows(split)
    return [
        render_row(rows[index], session.kit.tokenizer, session.kit.family, ids)
        for index in range(min(count, len(rows)))
    ]


def inspect_rows(config: Config, split: str, count: int, emit: Emit = silent) -> list[Table]:
    """Return tables of a split: how texts survive the tokenizer, the tensors of a batch, and its rows decoded."""
    session = prepare_config(resolve(config, silent), emit)
    kit, rows = session.kit, session.rows(split)
    chosen = [rows[index] for index in range(min(count, len(rows)))]
    shape = shape_of(kit.family, kit.tokenizer, session.plan.located.config)
    fillers = {"input_ids": shape.pad_id, "labels": IGNORE, "decoder_input_ids": shape.pad_id, "attention_mask": 0}
    looked_at = [rows[index] for index in range(min(LOOKED_AT, len(rows)))]
    return [trip_table(looked_at, kit), tensor_table(collate(chosen, shape), fillers), row_table(chosen, kit)]


def train(
    config: Config,
    emit: Emit = silent,
    *,
    resume: bool = False,
    processes: Processes = ONE,
    claim: runs.Claim | None = None,
) -> Trained:
    """Train to a run folder with ``model/`` in it.

    Args:
        config: A loaded config.
        emit: Where events go, besides the run's own files.
        resume: Go on with the newest run of this config from its newest whole checkpoint.
        processes: Those that train together (``train.processes.joined``); one of them writes and emits.
        claim: The run folder, where the caller holds it already (``runs.claim``).

    Raises:
        RunError: the output folder is in use by something else.
        Locked: another process writes the run.
        Diverged, OutOfDisk, OutOfMemory, Stopped: as the names say; what was saved is whole.
        FailedElsewhere: one of these, raised on another of the processes.
    """
    if processes.world_size == 1:
        one_process()
    if resume and config.training.engine == "hf":
        raise ConfigError("training.engine: hf: the reference cannot be resumed; start it without --resume")
    emit = emit if processes.is_writer else silent
    done = None
    with contextlib.ExitStack() as held:
        with processes.together():
            if processes.is_writer:
                claim = claim or held.enter_context(runs.claim(config.output, config.model.name, resume=resume))
                done = _finished(claim, config, emit, resume=resume)
        done = processes.share(done)
        if done is not None:
            return Trained(Path(done["run"]), done["step"], done["metrics"])
        session = processes.in_turn(lambda: _opened(config, processes, emit))
        processes.same({"rows": session.prepared.fingerprint, "weights": session.plan.located.weights_hash})
        with processes.together():
            base = session.base()
            if processes.is_writer:
                _smoke(session, base, emit)
        run = Path(processes.share(str(claim.run if claim else "")))
        return _train_locked(session, base, Place(run, claim is not None and claim.fresh, processes), emit)


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
    languages: tuple[str | None, str | None] = (None, None),
) -> list[str]:
    """Answer texts with a run's model.

    Args:
        run: The run folder.
        texts: What is asked.
        emit: Progress.
        tuned: The tuned model, or (False) its base.
        settings: Go over ``generation:``.
        languages: Codes of source and target; needed where the training rows had several directions.

    Raises:
        UserError: several directions were trained and none is named.
    """
    session = open_run(run, emit, rows=False)
    direction = session.direction(*languages)
    prompts = session.prompts(texts, direction)
    bundle = session.tuned() if tuned else session.base()
    how = decoding(session.plan.config.generation, **(settings or {}))
    return decode(bundle, prompts, how, emit, targets=[direction[1]] * len(prompts))


def generate_variants(
    run: Path,
    texts: Sequence[str] | Split,
    emit: Emit = silent,
    *,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    models: Sequence[Speaker] = ("tuned",),
    languages: tuple[str | None, str | None] = (None, None),
) -> SideBySide:
    """Answer the same texts, or held-out rows (``Split``), under several named settings.

    The answers are kept in ``generations/`` of the run.

    Args:
        run: Run folder.
        texts: Texts, or a split, whose references are then measured against.
        emit: Where events go.
        variants: Name: settings over ``generation:``; the config's own variants when None.
        models: ``tuned``, ``base`` or both.
        languages: Codes of source and target, as for ``generate``.

    Raises:
        ConfigError: no variants at all, or a setting that does not hold.
    """
    held_out = isinstance(texts, Split)
    session = open_run(run, emit, rows=held_out)
    section = session.plan.config.generation
    hows = {name: decoding(section, **settings) for name, settings in (variants or {}).items()}
    hows = hows if variants is not None else named_variants(section)
    if not hows:
        raise ConfigError(f"{run}: its config has no generation.variants; name settings, e.g. --grid num_beams=1,4")
    asked = _held_out_asked(session, texts) if isinstance(texts, Split) else _asked(session, texts, languages)
    result = side_by_side(_models(session, models), asked, hows, models, emit)
    emit(Saved("answers", str(keep(result, run))))
    return result


def chat(run: Path, emit: Emit = silent) -> Chat:
    """Return a conversation with a run's model."""
    session = open_run(run, emit, rows=False)
    config = session.plan.config
    tongue = Tongue(session.directions if session.kit.languages else (), session.direction, session.conversation_prompt)
    talk = Chat(
        _models(session, ("base", "tuned")),
        tongue.encode,
        decoding(config.generation),
        named_variants(config.generation),
        config.data.fields,
        tongue,
    )
    if tongue.told:
        emit(Note(f"languages: {tongue.turn('')} (/lang changes them)"))
    if not talk.converses:
        emit(Note(ALONE))
    return talk


def merge(run: Path, emit: Emit = silent, *, replace: bool = False) -> MergeReport:
    """Write ``<name>_merged``: one plain model folder, proved to answer like base and adapter together."""
    session = open_run(run, emit)
    place = runs.Run(run)
    return merge_model(session.exact_base(), place.model, place.merged, session.proof_rows(), emit, replace=replace)


def held_out(run: Path, split: str = "validation") -> Sequence[Encoded]:
    """Return the encoded rows of a run that it was not trained on."""
    return open_run(run, silent).rows(split)


def _models(session: Session, which: Sequence[Speaker]) -> Models:
    """Load those of a run's models that will answer; an adapter brings its base along."""
    if "tuned" not in which:
        base = session.base()
        return Models(base, base)
    own_base = "base" in which and not is_adapter(session.model_folder())
    return Models(session.tuned(), session.base() if own_base else None)


def _asked(session: Session, texts: Sequence[str], languages: tuple[str | None, str | None]) -> Asked:
    direction = session.direction(*languages)
    return Asked(texts, session.prompts(texts, direction), targets=[direction[1]] * len(texts))


def _held_out_asked(session: Session, split: Split) -> Asked:
    """Return the first held-out rows with their references, and what measures answers against them."""
    all_rows = session.rows(split.name)
    rows = [all_rows[index] for index in range(min(split.count, len(all_rows)))]
    references, names = [row.completion for row in rows], names_for(session.plan.config.evaluation, session.plan.task)
    languages = {row.target_lang for row in rows}
    language = languages.pop() if len(languages) == 1 else None

    def judge(outputs: Sequence[str]) -> dict[str, float]:
        return {name: one.value for name, one in score(names, outputs, references, language).items()}

    prompts = [row.input_ids[: row.prompt_length] for row in rows]
    return Asked([row.prompt for row in rows], prompts, references, judge, [row.target_lang for row in rows])


@dataclass(frozen=True)
class Place:
    """The run folder of a training and who works on it. Only the writer knows whether it is ``fresh``."""

    run: Path
    fresh: bool
    processes: Processes


def _finished(claim: runs.Claim, config: Config, emit: Emit, *, resume: bool) -> dict[str, Any] | None:
    """Return what there is to say of a run that is finished, None where there is something to train."""
    if resume and claim.fresh:
        emit(Note("--resume: no run of this config is there yet; starting fresh"))
    if claim.fresh:
        return None
    info = runs.describe(claim.run, held=True)
    if info.status != "finished" or not info.has_model or may_go_on(claim.run, config):
        return None
    emit(Note(f"{claim.run} is finished at step {info.steps}; nothing to resume"))
    return {"run": str(claim.run), "step": info.steps or 0, "metrics": dict(info.metrics)}


def _opened(config: Config, processes: Processes, emit: Emit) -> Session:
    """Resolve a config and prepare its rows, once it is known that the processes can train with it."""
    resolved = resolve(config, emit)
    check_joint(config.training, resolved.placement.device, resolved.autocast_dtype, processes)
    if processes.world_size > 1:
        how = "fsdp: each holds a share of it" if config.training.distributed == "fsdp" else "ddp: each holds all of it"
        emit(Decision("processes", str(processes.world_size), how))
    elif config.training.distributed != "auto":
        emit(Note(f"training.distributed: {config.training.distributed} means nothing with one process"))
    return prepare_config(resolved, emit)


def _train_locked(session: Session, base: Bundle, place: Place, emit: Emit) -> Trained:
    """Train while the writer holds the run's lock; the run's own files get every event too."""
    plan, processes, run = session.plan, place.processes, place.run
    with contextlib.ExitStack() as closing:
        with processes.together():
            newest, emit = _ready(session, place, emit, closing) if processes.is_writer else (None, silent)
            bundle = make_trainable(base, plan.config.adapter, plan.config.training.seed, emit)
            if processes.is_writer:
                check_space(bundle.model, plan.config.training, run)
        newest = processes.share(str(newest) if newest else None)
        budget = -int(processes.largest(-plan.token_budget))  # the smallest of all, since all cut a step alike
        recipe = Recipe(plan.config.training, plan.config.evaluation, budget, plan.autocast_dtype, processes)
        rows = TrainingRows(session.prepared.train, session.prepared.validation)
        loop = _engine(bundle, rows, recipe, run, emit)
        if newest is not None and isinstance(loop, Loop):
            loop.resume(Path(newest))
        return _run_marked(loop, session, place, emit)


def _engine(bundle: Bundle, rows: TrainingRows, recipe: Recipe, run: Path, emit: Emit) -> Loop | Reference:
    if recipe.training.engine == "hf":
        return Reference(bundle, rows, recipe, emit)
    return Loop(bundle, rows, recipe, run, emit)


def _ready(session: Session, place: Place, emit: Emit, closing: contextlib.ExitStack) -> tuple[Path | None, Emit]:
    """Make the run folder ready; return the checkpoint to go on from, and an emit that writes the run's files too."""
    run = place.run
    durable.sweep_staging(run)
    durable.sweep_staging(run / "checkpoints")
    newest = None if place.fresh else checkpoint.newest(run, emit)
    checkpoint.set_aside_newer(run, newest, emit)
    if newest is None and not place.fresh:
        emit(Note(f"--resume: {run} has no whole checkpoint; starting it again from step 0"))
    for text in describe_run(session, run, fresh=place.fresh, processes=place.processes.world_size):
        emit(Note(text))
    step = int(newest.name.removeprefix("step-")) if newest else 0
    trackers = renderers(session.plan.config.tracking, run, step)
    closing.callback(trackers.close)
    return newest, fan_out(emit, *trackers)


def _run_marked(loop: Loop | Reference, session: Session, place: Place, emit: Emit) -> Trained:
    """Run the loop, write ``model/``, and keep the run's status; the writer alone touches files."""
    run, writes = place.run, place.processes.is_writer
    facts = {"base": session.plan.config.model.name, "task": session.plan.task, "total_steps": loop.total_steps}
    if writes:
        runs.mark(run, "running", loop.position.step, {}, facts)
    try:
        result = loop.run()
        with place.processes.together():
            if writes:
                _finish(_bundle_to_save(loop, session), run, result, session, emit)
    except DesktuneError as error:
        if writes:
            how = "diverged" if isinstance(error, Diverged) else "stopped"
            with contextlib.suppress(OutOfDisk, DiskFault, RunError):  # the first error says more
                runs.mark(run, how, loop.position.step, loop.position.metrics)
        raise
    return Trained(run, result.position.step, result.position.metrics)


def _bundle_to_save(loop: Loop | Reference, session: Session) -> Bundle:
    """Return a whole model: where its weights are sharded, a new one, which the last checkpoint fills."""
    if isinstance(loop, Reference) or not loop.joint.sharded:
        return loop.bundle
    section = session.plan.config
    bundle = make_trainable(session.exact_base(), section.adapter, section.training.seed, silent)
    checkpoint.restore_weights(runs.Run(loop.run_folder).checkpoint(loop.position.step), bundle.model)
    return bundle


def _finish(bundle: Bundle, run: Path, result: Result, session: Session, emit: Emit) -> None:
    """Put the best weights into ``model/`` and mark the run as finished."""
    section, position, place = session.plan.config.training, result.position, runs.Run(run)
    step, reason = position.step, "the last weights"
    if section.load_best_model_at_end and position.best_step is not None:
        step, reason = position.best_step, f"best {section.metric_for_best_model}: {position.best_value:.4f}"
    if step != position.step and (faults := durable.verify(place.checkpoint(step))):
        emit(Warn(f"the best checkpoint is damaged, model/ gets the last weights: {faults[0]}"))
        step, reason = position.step, "the last weights"
    if step != position.step:
        checkpoint.restore_weights(place.checkpoint(step), bundle.model)
    emit(Decision("model/", f"step {step}", reason))
    with durable.staging(place.model, replace=True) as staged:
        save_model(bundle, staged)
    durable.sweep_staging(run / "checkpoints")  # what could not be removed earlier
    facts = {"best_metric": section.metric_for_best_model, "best_value": position.best_value}
    runs.mark(run, "finished", position.step, position.metrics, facts)
    emit(Saved("model", str(place.model), step))


def _limits(session: Session) -> dict[str, int]:
    section = session.plan.config.data
    if session.kit.family.encoder_decoder:
        return {"source": section.max_source_length, "target": section.max_target_length}
    return {"row": section.max_length}


def _smoke(session: Session, base: Bundle, emit: Emit) -> None:
    """Try the untouched base on a few held-out rows before hours are spent."""
    rows = session.prepared.validation
    if session.plan.config.evaluation.smoke_test and rows:
        for text in smoke_test(base, [rows[index] for index in range(min(SMOKE_ROWS, len(rows)))]):
            emit(Warn(text))
