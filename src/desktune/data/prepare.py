"""``data:`` → encoded rows to train on and held out, with their ledger: the whole way of a row up to training.

Prepared rows are written once (Arrow, ledger, rejects, hashes) and taken again when files, settings, tokenizer and
seed are the same to the byte. What is damaged is made anew, and that is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from desktune import durable
from desktune.config.schema import DataSection, Paths
from desktune.data.clean.apply import apply
from desktune.data.encode import DATA_VERSION, Kit
from desktune.data.encoding import Encoder
from desktune.data.hub import set_hash
from desktune.data.ledger import Ledger, Source, source_counts, split_counts
from desktune.data.places import SetPlace, files_of, places_of
from desktune.data.pool import worked
from desktune.data.read import read
from desktune.data.rejects import Rejects
from desktune.data.remarks import Remarks
from desktune.data.split import held_out
from desktune.data.store import EncodedSet, Shelf, open_set, write_batches
from desktune.errors import DataError
from desktune.events import Decision, Emit, Event, Note, Progress, Warn
from desktune.rows import Example, Origin, Reject

_PROGRESS_ROWS = 5_000
_LEAKED = "in-validation"
_SHELVES = "shelves"


@dataclass(frozen=True)
class Prepared:
    """Encoded rows. ``fingerprint`` names everything they depend on; a run that resumes checks it."""

    train: EncodedSet
    validation: EncodedSet | None
    ledger: Ledger
    fingerprint: str
    rejected: Sequence[Reject]

    def rejected_json(self) -> Iterator[dict[str, Any]]:
        """Yield the rejects as lines of ``rejected.jsonl``."""
        return map(_reject_json, self.rejected)


@dataclass(frozen=True)
class _Batch:
    """What became of the rows behind one key of ``data:``."""

    read: int
    shelf: Shelf
    rejects: Rejects
    special_text: int
    remarks: Mapping[str, int]

    def counts(self) -> Source:
        kept = self.read - len(self.rejects)
        if kept != self.shelf.rows - self.rejects.reasons[_LEAKED]:
            raise RuntimeError(f"the ledger does not balance: {kept} rows kept of {self.shelf.rows} that were encoded")
        found = source_counts(self.read, kept, self.rejects.reasons, self.special_text)
        return replace(found, remarks=dict(self.remarks))


def prepare(section: DataSection, kit: Kit, seed: int, cache: Path | None, emit: Emit) -> Prepared:
    """Read, render, encode and split ``data.train`` and ``data.validation``; the ledger is emitted as tables.

    Args:
        section: The config's ``data:``.
        kit: Tokenizer and family.
        seed: Of the split.
        cache: Folder of prepared rows, one folder per fingerprint; None keeps them in memory.
        emit: Where decisions, warnings and the ledger go.

    Raises:
        DataError: the rows cannot be used; the text says which and why.
    """
    if section.train is None:
        raise DataError("data.train: missing; name a file of rows, e.g. data: {train: pairs.json}")
    check_languages(section, kit, emit)
    before = _stamps(section)
    fingerprint = fingerprint_of(section, kit, seed)
    folder = None if cache is None else cache / fingerprint[:16]
    prepared = None if folder is None else _reused(folder, fingerprint, emit)
    if prepared is None:
        job = _Job(section, kit, seed, fingerprint, before)
        prepared = job.build(None, emit) if folder is None else _stored(job, folder, emit)
    for table in prepared.ledger.tables():
        emit(table)
    return prepared


def prepare_test(section: DataSection, kit: Kit, emit: Emit) -> EncodedSet:
    """Read and encode ``data.test``. Raises DataError when there is none or none of its rows can be used."""
    if section.test is None:
        raise DataError("data.test: no test file is configured; name one, or use --split validation")
    batch = _encoded("test", section.test, Encoder(kit, section), None, emit)
    rows = EncodedSet(list(batch.shelf.batches()))
    counts = {"test": split_counts(rows, kit.ends, encoder_decoder=kit.family.encoder_decoder)}
    for table in Ledger({"test": batch.counts()}, counts).tables():
        emit(table)
    return rows


def check_languages(section: DataSection, kit: Kit, emit: Emit) -> None:
    """Say which codes of the tokenizer the config's languages are. Raises ConfigError for one that it does not know."""
    if kit.languages is None:
        return
    for key, said in (("data.source_lang", section.source_lang), ("data.target_lang", section.target_lang)):
        code = None if said is None or (kit.languages.in_source and "source" in key) else said
        found = code and kit.languages.resolve(code, key)
        if found != code:
            emit(Decision(key, str(found), f"the only code of {said!r} that {kit.family.name} has"))


def fingerprint_of(section: DataSection, kit: Kit, seed: int) -> str:
    """Return one hash over file contents, settings, tokenizer, task and seed. Raises DataError for a missing file."""
    content = {
        "version": DATA_VERSION,
        "section": section.model_dump(mode="json", exclude={"test"}),
        "files": [[str(file), durable.sha256(file)] for file in _files(section)],
        "sets": [[str(place), set_hash(place)] for place in _sets(section)],
        "tokenizer": kit.tokenizer_hash,
        "family": kit.family.name,
        "task": kit.task,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def _files(section: DataSection) -> list[Path]:
    return [file for paths in _paths(section) for file in files_of(paths)]


def _sets(section: DataSection) -> list[SetPlace]:
    """Return the data sets of the Hub, which are no files here."""
    places = [place for paths in _paths(section) for place in places_of(paths)]
    return [place for place in places if isinstance(place, SetPlace) and place.folder is None]


def _paths(section: DataSection) -> Iterator[Paths]:
    if section.train is not None:
        yield section.train
    if not isinstance(section.validation, int | float):
        yield section.validation


def _stamps(section: DataSection) -> list[tuple[int, int]]:
    found = [file.stat() for file in _files(section)]
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]


@dataclass(frozen=True)
class _Job:
    """Everything that prepared rows depend on."""

    section: DataSection
    kit: Kit
    seed: int
    fingerprint: str
    stamps: list[tuple[int, int]]

    def build(self, staged: Path | None, emit: Emit) -> Prepared:
        """Make the rows, in files of a staging folder or in memory. Raises DataError."""
        said: list[str] = []
        speak = _recording(emit, said)
        if self.kit.task == "causal" and self.kit.tokenizer.chat_template:
            why = "the tokenizer has one: a pair becomes a user's turn and an answer"
            speak(Decision("data.template", "chat template", why))
        sources, chosen = self._split(None if staged is None else staged / _SHELVES, speak)
        splits = {name: _set(batches, staged and staged / f"{name}.arrow") for name, batches in chosen.items()}
        splits = {name: rows for name, rows in splits.items() if len(rows)}
        _warn_of_specials(sources, speak)
        if _stamps(self.section) != self.stamps:
            raise DataError("a data file changed while it was read; start again when it is complete")
        encoder_decoder, ends = self.kit.family.encoder_decoder, self.kit.ends
        ledger = Ledger(
            {name: source.counts() for name, source in sources.items()},
            {name: split_counts(rows, ends, encoder_decoder=encoder_decoder) for name, rows in splits.items()},
            tuple(said),
        )
        rejected = Rejects(reject for source in sources.values() for reject in source.rejects)
        return Prepared(splits["train"], splits.get("validation"), ledger, self.fingerprint, rejected)

    def _split(
        self, shelves: Path | None, emit: Emit
    ) -> tuple[dict[str, _Batch], dict[str, Iterator[pyarrow.RecordBatch]]]:
        """Read and encode all rows; returns what was read by key of ``data:``, and what each split will hold."""
        section, encoder = self.section, Encoder(self.kit, self.section)
        batch = _encoded("train", section.train or [], encoder, shelves, emit)
        if isinstance(section.validation, int | float):
            held = held_out(batch.shelf.keys, section.validation, self.seed, emit)
            if section.validation and not held.any():
                raise DataError(
                    f"data.validation: {section.validation:g} of {len(held):,} rows (equal ones stay together) holds "
                    "nothing out; add rows, or set data.validation: 0"
                )
            chosen = {"train": batch.shelf.chosen(~held)}
            if held.any():
                chosen["validation"] = batch.shelf.chosen(held)
            return {"train": batch}, chosen
        other = _encoded("validation", section.validation, encoder, shelves, emit)
        leaked = np.isin(batch.shelf.keys, other.shelf.keys)
        if leaked.any():
            batch = _without_leak(batch, leaked, emit)
        return (
            {"train": batch, "validation": other},
            {"train": batch.shelf.chosen(~leaked), "validation": other.shelf.batches()},
        )


def _set(batches: Iterator[pyarrow.RecordBatch], path: Path | None) -> EncodedSet:
    """Return batches as a set: mapped from the file that they are written to, or in memory."""
    if path is None:
        return EncodedSet(list(batches))
    write_batches(batches, path)
    return open_set(path)


def _recording(emit: Emit, said: list[str]) -> Emit:
    """Return an ``Emit`` that also keeps what was decided or warned of, for the ledger."""

    def speak(event: Event) -> None:
        if isinstance(event, Decision):
            said.append(f"{event.key}: {event.value} ({event.reason})")
        elif isinstance(event, Warn):
            said.append(event.text)
        emit(event)

    return speak


def _encoded(key: str, paths: Paths, encoder: Encoder, shelves: Path | None, emit: Emit) -> _Batch:
    """Take the rows of one key of ``data:`` all the way to ids. Raises DataError when none is left."""
    rejects = Rejects()
    special, said = 0, 0
    cleaned = apply(read(paths, encoder.section, emit), encoder.section, key, emit, encoder.tokens)
    remarks = Remarks(encoder.section)
    counted = _Counted(cleaned, rejects, remarks)
    if shelves is not None:
        durable.make_folder(shelves)
    shelf = Shelf(None if shelves is None else shelves / f"{key}.arrow")
    for chunk in worked(iter(counted), encoder):
        shelf.add(chunk.batch)
        rejects.extend(chunk.rejects)
        special += chunk.special_text
        if shelf.rows - said >= _PROGRESS_ROWS:
            said = shelf.rows
            emit(Progress(f"data.{key}", said))
    shelf.close()
    rejects = rejects.in_order()
    if not shelf.rows:
        first = rejects[0]
        raise DataError(
            f"data.{key}: none of its {counted.rows:,} rows can be used; "
            f"the first, {first.origin}: {first.reason}: {first.detail}"
        )
    remarks.tell(key, emit)
    return _Batch(counted.rows, shelf, rejects, special, remarks.counts)


class _Counted:
    """The rows that were read and looked at, without the rejects among them, which are kept apart."""

    def __init__(self, rows: Iterator[Example | Reject], rejects: Rejects, remarks: Remarks) -> None:
        self.rows, self._source, self._rejects, self._remarks = 0, rows, rejects, remarks

    def __iter__(self) -> Iterator[Example]:
        for row in self._source:
            self.rows += 1
            if isinstance(row, Reject):
                self._rejects.append(row)
            else:
                self._remarks.see(row)
                yield row


def _without_leak(batch: _Batch, leaked: NDArray[np.bool_], emit: Emit) -> _Batch:
    """Count the training rows that are held out too as rejects. Raises DataError when nothing is left to train on."""
    if leaked.all():
        raise DataError("data.validation: holds every row of data.train; hold other rows out")
    rejects = Rejects(
        Reject(Origin(file, line), _LEAKED, "the same row is held out", prompt[:200])
        for part in batch.shelf.chosen(leaked)
        for file, line, prompt in zip(*(part[name].to_pylist() for name in ("file", "line", "prompt")), strict=True)
    )
    emit(
        Warn(
            f"{len(rejects):,} rows of data.train stand in data.validation too and are not trained on "
            f"(first: {rejects[0].origin})"
        )
    )
    return replace(batch, rejects=Rejects(chain(batch.rejects, rejects)))


def _warn_of_specials(sources: Mapping[str, _Batch], emit: Emit) -> None:
    count = sum(source.special_text for source in sources.values())
    if count:
        emit(Warn(f"{count:,} rows spell a special token of the tokenizer; a space in it makes it plain text"))


def _stored(job: _Job, folder: Path, emit: Emit) -> Prepared:
    """Make prepared rows in a folder and return them mapped from it. Raises DataError, OutOfDisk."""
    with durable.staging(folder, replace=True) as staged, durable.disk_errors(staged):
        prepared = job.build(staged, emit)
        durable.remove_folder(staged / _SHELVES)
        lines = (json.dumps(row, ensure_ascii=False) for row in prepared.rejected_json())
        durable.write_rows(staged / "rejected.jsonl", lines)
        durable.write_json(staged / "ledger.json", {"fingerprint": prepared.fingerprint, **prepared.ledger.to_json()})
    return _opened(folder)


def _opened(folder: Path) -> Prepared:
    known = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))
    validation = folder / "validation.arrow"
    with (folder / "rejected.jsonl").open(encoding="utf-8") as file:
        rejected = Rejects(
            Reject(Origin(line["file"], line["line"]), line["reason"], line["detail"], line["excerpt"])
            for line in map(json.loads, file)
        )
    held_out = open_set(validation) if validation.is_file() else None
    return Prepared(open_set(folder / "train.arrow"), held_out, Ledger.from_json(known), known["fingerprint"], rejected)


def _reused(folder: Path, fingerprint: str, emit: Emit) -> Prepared | None:
    """Return the rows that were prepared before, or None (said) when they are damaged."""
    if not folder.is_dir():
        return None
    faults = durable.verify(folder)
    if not faults:
        prepared = _opened(folder)
        if prepared.fingerprint == fingerprint:
            held_out = 0 if prepared.validation is None else len(prepared.validation)
            emit(
                Note(
                    f"prepared rows in {folder} are those of these files and settings: "
                    f"{len(prepared.train):,} to train on, {held_out:,} held out"
                )
            )
            return prepared
        faults = ["made of other files or settings"]
    emit(Warn(f"{folder}: prepared rows are damaged and are made anew ({faults[0]})"))
    return None


def _reject_json(reject: Reject) -> dict[str, Any]:
    flat = asdict(reject)
    return {**flat.pop("origin"), **flat}
