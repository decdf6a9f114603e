"""What the verbs share: a config with its rows, and a run that is opened again with the partners it was trained with.

A run folder knows the hashes of base weights, tokenizer and rows (``environment.json``). Opening it with anything else
is refused, and the text says what differs.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from desktune import compat, durable, runs
from desktune.config.load import dump, load
from desktune.config.resume import grown, refused
from desktune.config.schema import Config
from desktune.data.encode import Kit
from desktune.data.prepare import Prepared, prepare, prepare_test
from desktune.errors import DataError, ModelMismatch, RunError, UserError
from desktune.events import Emit, Note, silent
from desktune.languages import Direction
from desktune.models.adapters import attach, is_adapter
from desktune.models.load import Bundle, Located, Placement, load_base, load_tokenizer, weights_hash, write_language
from desktune.models.save import check_partner
from desktune.models.vocabulary import add_tokens
from desktune.plan import Plan, resolve, say_code
from desktune.rows import Encoded, Message
from desktune.train import checkpoint

MOST_PROOF_ROWS = 32


@dataclass(frozen=True)
class Session:
    """A resolved config, its tokenizer kit and its rows; models are loaded when they are asked for.

    ``directions`` are the pairs of languages that its training rows have.
    """

    plan: Plan
    kit: Kit
    _prepared: Prepared | None
    directions: tuple[Direction, ...] = ()
    run: Path | None = None

    @property
    def prepared(self) -> Prepared:
        """The encoded rows."""
        if self._prepared is None:
            raise RunError("this session was opened without rows")
        return self._prepared

    def rows(self, split: str) -> Sequence[Encoded]:
        """Return the rows of ``train``, ``validation`` or ``test``.

        Raises:
            DataError: there are none.
        """
        if split == "test":
            return prepare_test(self.plan.config.data, self.kit, silent)
        found = {"train": self.prepared.train, "validation": self.prepared.validation}.get(split)
        if not found:
            raise DataError(
                f"--split {split}: no such rows; allowed: train, validation (data.validation), test (data.test)"
            )
        return found

    def proof_rows(self) -> Sequence[Encoded]:
        """Return held-out rows for a proof, or training rows where nothing is held out."""
        rows = self.prepared.validation or self.prepared.train
        return [rows[index] for index in range(min(MOST_PROOF_ROWS, len(rows)))]

    def base(self) -> Bundle:
        """Load the untouched base."""
        return self._loaded(self.plan.located, self.plan.placement)

    def exact_base(self) -> Bundle:
        """Load the base in float32 on the CPU, where a proof is exact."""
        placement = Placement(torch.device("cpu"), torch.float32, self.plan.placement.attn_implementation)
        return self._loaded(self.plan.located, placement)

    def tuned(self) -> Bundle:
        """Load base and adapter, or the run's own full model.

        Raises:
            ModelMismatch: the adapter belongs to another base.
        """
        folder = self.model_folder()
        if is_adapter(folder):
            return attach(self.base(), folder)
        located = replace(self.plan.located, folder=folder, weights_hash=weights_hash(folder))
        return self._loaded(located, self.plan.placement)

    def model_folder(self) -> Path:
        """Return ``model/`` of the run. Raises RunError when training has not finished."""
        if self.run is None:
            raise RunError("a config has no trained model; name a run folder")
        folder = runs.Run(self.run).model
        if not folder.is_dir():
            raise RunError(f"{self.run}: no model/ yet; finish the training with desktune train {self.run} --resume")
        check_partner(folder, self.plan.located, self.kit.tokenizer_hash)
        return folder

    def prompts(self, texts: Sequence[str], direction: Direction = (None, None)) -> list[tuple[int, ...]]:
        """Return texts as the model reads them: template, special tokens, language tokens, ids."""
        return self.kit.encode_prompts(texts, self.plan.config.data, direction)

    def direction(self, source: str | None = None, target: str | None = None) -> Direction:
        """Return the codes for texts of these languages; what is not said is that of the training rows.

        Raises:
            ConfigError: a code that the tokenizer does not know.
            UserError: the training rows have several directions and none was named, or the model is not told any.
        """
        languages = self.kit.languages
        if languages is None:
            if source or target:
                raise UserError(f"--source-lang, --target-lang: {self.plan.located.name} is not told languages")
            return None, None
        wanted = (
            source and languages.resolve(source, "--source-lang"),
            target and languages.resolve(target, "--target-lang"),
        )
        fitting = [one for one in self.directions if all(a in (None, b) for a, b in zip(wanted, one, strict=True))]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting and wanted[1] and (wanted[0] or languages.in_source):
            return wanted  # a direction that was not trained, as the base knows it
        trained = ", ".join(f"{one or '?'} → {other}" for one, other in self.directions)
        raise UserError(f"which languages? Trained were {trained}; name them with --source-lang and --target-lang")

    def _loaded(self, located: Located, placement: Placement) -> Bundle:
        """Load weights; a run of one direction has it in its generation config and tokenizer, as they are saved."""
        bundle = load_base(located, self.kit.tokenizer, self.plan.task, placement)
        bundle = replace(bundle, tokenizer_hash=self.kit.tokenizer_hash)
        if bundle.languages is not None and len(self.directions) == 1:
            write_language(bundle.model, bundle.languages, self.directions[0][1])
            bundle.languages.tell(bundle.tokenizer, self.directions[0])
        return bundle

    def conversation_prompt(self, messages: Sequence[Message], direction: Direction = (None, None)) -> tuple[int, ...]:
        """Return a conversation as the ids after which the model answers."""
        return self.kit.encode_conversation(messages, self.plan.config.data, direction)


def prepare_config(plan: Plan, emit: Emit) -> Session:
    """Read, split, render and encode the rows of a config; reuses what was prepared before."""
    kit = _kit(plan)
    root = Path(plan.config.output.dir).expanduser().parent if plan.config.output.dir else runs.RUNS
    prepared = prepare(plan.config.data, kit, plan.config.training.seed, root / runs.PREPARED, emit)
    rows, training = len(prepared.train), plan.config.training
    of_a_step = training.per_device_train_batch_size * training.gradient_accumulation_steps
    if rows < of_a_step and training.tokens_per_step is None:
        emit(Note(f"{rows} rows are fewer than one step takes ({of_a_step}): every step is all of them"))
    return Session(plan, kit, prepared, prepared.train.directions)


def open_run(run: Path, emit: Emit, *, rows: bool = True) -> Session:
    """Open a run folder with the base, tokenizer and rows it was trained with.

    Raises:
        RunError: the folder is not a run.
        ModelMismatch: one of the three is another one now.
    """
    runs.check_run(run)
    place = runs.Run(run)
    environment = _described(place)
    known, directions = environment["identity"], tuple(tuple(one) for one in environment.get("directions", ()))
    plan = resolve(load(place.config, check_files=False).config, silent)
    say_code(plan.located, emit)
    kit = _kit(plan)
    if not rows:
        _same(run, "base weights", known["base"], plan.located.weights_hash)
        _same(run, "tokenizer", known["tokenizer"], kit.tokenizer_hash)
        return Session(plan, kit, None, directions, run)
    prepared = prepare(plan.config.data, kit, plan.config.training.seed, run.parent / runs.PREPARED, silent)
    session = Session(plan, kit, prepared, directions, run)
    _same_partners(run, known, session)
    return session


def describe_run(session: Session, run: Path, *, fresh: bool, processes: int = 1) -> list[str]:
    """Write what a run was trained with; on a resume, check it instead. Returns what is worth saying.

    Args:
        session: The resolved config and its rows.
        run: The run folder.
        fresh: Whether the run is new.
        processes: How many train; rows of a step are counted over all of them.

    Raises:
        ModelMismatch: a resumed run has another base, tokenizer or rows.
        RunError: a resumed run has another config where it counts.
    """
    place = runs.Run(run)
    if not fresh:
        known = _described(place)
        _same_partners(run, known["identity"], session)
        return _go_on(run, session, known, processes)
    durable.write_json(place.ledger, session.prepared.ledger.to_json())
    durable.write_rows(
        place.rejected, (json.dumps(row, ensure_ascii=False) for row in session.prepared.rejected_json())
    )
    durable.write_json(place.environment, _environment(session, processes))
    durable.write_text(place.config, dump(session.plan.config))
    _seal(place)
    return []


def may_go_on(run: Path, config: Config) -> bool:
    """Whether a finished run has more to train: more steps or epochs, or more patience than it was stopped with."""
    return bool(grown(load(runs.Run(run).config, check_files=False).config, config)) or _has_more_patience(run, config)


def _has_more_patience(run: Path, config: Config) -> bool:
    newest, patience = checkpoint.newest(run, silent), config.training.early_stopping_patience
    position = None if newest is None else checkpoint.position_of(newest)
    return position is not None and position.stopped_early and (patience or math.inf) > position.bad_evaluations


def _environment(session: Session, processes: int) -> dict[str, Any]:
    prepared = session.prepared
    return {
        "base": session.plan.located.name,
        "task": session.plan.task,
        "family": session.plan.located.family.name,
        "device": str(session.plan.placement.device),
        "processes": processes,
        "token_budget": session.plan.token_budget,
        "identity": {
            "base": session.plan.located.weights_hash,
            "tokenizer": session.kit.tokenizer_hash,
            "data": prepared.fingerprint,
            "rows": content_hash(prepared),
            "counts": [len(prepared.train), len(prepared.validation or ())],
        },
        "directions": session.directions,
        "versions": compat.versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _seal(place: runs.Run) -> None:
    """Keep the hashes of what describes a run, for ``desktune verify``."""
    durable.seal_files(place.folder, (place.config, place.environment, place.ledger, place.rejected))


def content_hash(prepared: Prepared) -> str:
    """Return the hash of all encoded rows in their order; it does not know from which files they came."""
    digest = hashlib.sha256()
    for rows in (prepared.train, prepared.validation):
        for batch in rows.batches if rows else ():
            for name in ("input_ids", "labels"):
                digest.update(batch[name].value_lengths().to_numpy(zero_copy_only=False).tobytes())
                digest.update(batch[name].flatten().to_numpy(zero_copy_only=False).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def _same_partners(run: Path, known: dict[str, Any], session: Session) -> None:
    """Refuse another base, tokenizer or rows; rows that only lie elsewhere are the same."""
    _same(run, "base weights", known["base"], session.plan.located.weights_hash)
    _same(run, "tokenizer", known["tokenizer"], session.kit.tokenizer_hash)
    prepared = session.prepared
    if known["data"] == prepared.fingerprint or known.get("rows") == content_hash(prepared):
        return
    then, now = known.get("counts"), [len(prepared.train), len(prepared.validation or ())]
    counts = "" if then is None else f"; trained and held out: {then[0]:,} + {then[1]:,} → {now[0]:,} + {now[1]:,} rows"
    _same(run, "rows", known["data"], prepared.fingerprint, counts)


ROWS_OF_A_STEP = ("per_device_train_batch_size", "gradient_accumulation_steps")  # times processes; may change together
_WHERE_BITS_HOLD = ("device", "processes", "token_budget", "python", "platform")


def _go_on(run: Path, session: Session, known: dict[str, Any], processes: int) -> list[str]:
    """Check the settings of a resume, and keep those that were allowed to change; returns what is worth saying."""
    place, now = runs.Run(run), session.plan.config
    before = load(place.config, check_files=False).config
    changed = refused(before, now) + _other_rows_of_a_step(before, now, known.get("processes", 1), processes)
    if changed:
        raise RunError(
            f"{run}: cannot go on with another config: {'; '.join(changed)}; take the old values, or start a new run "
            "without --resume (with another output.dir or output.name)"
        )
    longer = grown(before, now)
    kept = now.model_copy(update={"output": before.output})  # where a run lies is no setting of it
    here = json.loads(json.dumps(_environment(session, processes)))
    if longer:  # were it killed now, it must not be taken for finished with what it has
        info = runs.describe(run, held=True)
        runs.mark(run, "running", info.steps or 0, info.metrics)
    if before != kept or known != here or not (run / durable.MANIFEST).exists():
        _describe_again(place, kept, here)
    said = [f"longer than before: {'; '.join(longer)}; the schedule is that of the longer run from here on"]
    return (said if longer else []) + _elsewhere(known, here)


def _describe_again(place: runs.Run, config: Config, environment: dict[str, Any]) -> None:
    """Write what a resume changed; what it did not change keeps its hash, so that damage stays to be seen."""
    entries, lasting = durable.sealed(place.folder), (place.ledger, place.rejected)
    durable.remove_file(place.folder / durable.MANIFEST)  # a new one follows; meanwhile nothing is said to be damaged
    durable.write_json(place.environment, environment)
    durable.write_text(place.config, dump(config))
    new = [file for file in lasting if file.name not in entries and file.is_file()]  # a kill took the manifest
    durable.seal_files(place.folder, (place.config, place.environment, *new), known=entries)


def _other_rows_of_a_step(before: Config, now: Config, processes_before: int, processes: int) -> list[str]:
    rows_before, rows = (
        math.prod([count, *(one.training.model_dump()[key] for key in ROWS_OF_A_STEP)])
        for one, count in ((before, processes_before), (now, processes))
    )
    if rows == rows_before or now.training.tokens_per_step:
        return []
    keys = " x ".join(f"training.{key}" for key in ROWS_OF_A_STEP)
    return [
        f"rows of a step ({keys} x processes): {rows_before} on {processes_before} process(es) → {rows} on {processes}"
    ]


def _elsewhere(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say what the machine had else when the run began: equal bits are promised where all of it is the same."""
    changed = [f"{key} {then[key]} → {now[key]}" for key in _WHERE_BITS_HOLD if then.get(key, now[key]) != now[key]]
    old = then.get("versions", {})
    changed += [f"{name} {old.get(name)} → {new}" for name, new in now["versions"].items() if old.get(name) != new]
    return [f"the same bits are not promised: {', '.join(changed)}"] if changed else []


def _described(place: runs.Run) -> dict[str, Any]:
    """Return what a run was trained with. Raises RunError when its file is missing or damaged."""
    try:
        environment = json.loads(place.environment.read_text(encoding="utf-8"))
        if {"base", "tokenizer", "data"} <= environment["identity"].keys():
            return environment
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise RunError(
        f"{place.environment}: does not say what the run was trained with: it is missing or damaged; put the file "
        "back, or train anew"
    )


def _same(run: Path, what: str, known: str, found: str, more: str = "") -> None:
    if known != found:
        raise ModelMismatch(
            f"{run}: the {what} are not those it was trained with ({known[:12]} → {found[:12]}{more}); "
            "put the old ones back, or start a new run without --resume (with another output.dir or output.name)"
        )


def _kit(plan: Plan) -> Kit:
    tokenizer = load_tokenizer(plan.located)
    add_tokens(tokenizer, plan.config.adapter.new_tokens)
    return Kit.of(tokenizer, plan.located.family, plan.task)
