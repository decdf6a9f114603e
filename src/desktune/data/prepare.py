"""``data:`` → encoded rows to train on and held out, with their ledger: the whole way of a row up to training.

Prepared rows are written once (Arrow, ledger, rejects, hashes) and taken again when files, settings, tokenizer and
seed are the same to the byte. What is damaged is made anew, and that is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from desktune import durable
from desktune.config.schema import DataSection, Paths
from desktune.data.clean.apply import apply
from desktune.data.encode import DATA_VERSION, Kit, encode
from desktune.data.ledger import Ledger, Source, source_counts, split_counts
from desktune.data.places import files_of
from desktune.data.read import read
from desktune.data.specials import Specials
from desktune.data.split import split
from desktune.data.store import EncodedSet, open_set, write
from desktune.data.template import compile_template, render
from desktune.errors import DataError
from desktune.events import Decision, Emit, Event, Note, Progress, Warn
from desktune.rows import Encoded, Origin, Reject, Rendered

_PROGRESS_ROWS = 5_000


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
    rows: list[Encoded]
    rejects: list[Reject]
    special_text: int

    def counts(self) -> Source:
        return source_counts(self.read, len(self.rows), self.rejects, self.special_text)


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
        prepared = _build(section, kit, seed, fingerprint, emit)
        if _stamps(section) != before:
            raise DataError("a data file changed while it was read; start again when it is complete")
        if folder is not None:
            prepared = _stored(prepared, folder)
    for table in prepared.ledger.tables():
        emit(table)
    return prepared


def prepare_test(section: DataSection, kit: Kit, emit: Emit) -> EncodedSet:
    """Read and encode ``data.test``. Raises DataError when there is none or none of its rows can be used."""
    if section.test is None:
        raise DataError("data.test: no test file is configured; name one, or use --split validation")
    batch = _encoded("test", section.test, section, kit, emit)
    rows = EncodedSet.from_rows(batch.rows)
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
        "tokenizer": kit.tokenizer_hash,
        "family": kit.family.name,
        "task": kit.task,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def _files(section: DataSection) -> list[Path]:
    files = files_of(section.train) if section.train is not None else []
    return files if isinstance(section.validation, int | float) else [*files, *files_of(section.validation)]


def _stamps(section: DataSection) -> list[tuple[int, int]]:
    found = [file.stat() for file in _files(section)]
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]


def _build(section: DataSection, kit: Kit, seed: int, fingerprint: str, emit: Emit) -> Prepared:
    said: list[str] = []
    speak = _recording(emit, said)
    if kit.task == "causal" and kit.tokenizer.chat_template:
        speak(
            Decision(
                "data.template", "chat template", "the tokenizer has one: a pair becomes a user's turn and an answer"
            )
        )
    batch = _encoded("train", section.train or [], section, kit, speak)
    sources = {"train": batch}
    if isinstance(section.validation, int | float):
        train, held = split(batch.rows, section.validation, seed, speak)
    else:
        sources["validation"] = _encoded("validation", section.validation, section, kit, speak)
        held = sources["validation"].rows
        sources["train"] = batch = _without_leak(batch, {row.key for row in held}, speak)
        train = batch.rows
    splits = {"train": EncodedSet.from_rows(train), **({"validation": EncodedSet.from_rows(held)} if held else {})}
    _warn_of_specials(sources, speak)
    encoder_decoder = kit.family.encoder_decoder
    ledger = Ledger(
        {name: source.counts() for name, source in sources.items()},
        {name: split_counts(rows, kit.ends, encoder_decoder=encoder_decoder) for name, rows in splits.items()},
        tuple(said),
    )
    rejected = [reject for source in sources.values() for reject in source.rejects]
    return Prepared(splits["train"], splits.get("validation"), ledger, fingerprint, rejected)


def _recording(emit: Emit, said: list[str]) -> Emit:
    """Return an ``Emit`` that also keeps what was decided or warned of, for the ledger."""

    def speak(event: Event) -> None:
        if isinstance(event, Decision):
            said.append(f"{event.key}: {event.value} ({event.reason})")
        elif isinstance(event, Warn):
            said.append(event.text)
        emit(event)

    return speak


def _encoded(key: str, paths: Paths, section: DataSection, kit: Kit, emit: Emit) -> _Batch:
    """Take the rows of one key of ``data:`` all the way to ids. Raises DataError when none is left."""
    rejects: list[Reject] = []
    counts = {"read": 0, "special": 0}
    cleaned = apply(read(paths, section, emit), section, key, emit, lambda text: len(kit.tokenizer.tokenize(text)))
    rendered = _rendered(cleaned, section, kit.specials, rejects, counts)
    rows: list[Encoded] = []
    for row in encode(rendered, kit, section):
        if isinstance(row, Reject):
            rejects.append(row)
        else:
            rows.append(row)
            if len(rows) % _PROGRESS_ROWS == 0:
                emit(Progress(f"data.{key}", len(rows)))
    rejects.sort(key=lambda reject: (reject.origin.file, reject.origin.line))
    if not rows:
        first = rejects[0]
        raise DataError(
            f"data.{key}: none of its {counts['read']:,} rows can be used; "
            f"the first, {first.origin}: {first.reason}: {first.detail}"
        )
    return _Batch(counts["read"], rows, rejects, counts["special"])


def _rendered(
    rows: Iterator[Any], section: DataSection, specials: Specials, rejects: list[Reject], counts: dict[str, int]
) -> Iterator[Rendered]:
    """Yield the rows that were read as text; rejects go into ``rejects``, and rows are counted."""
    template = compile_template(section.template)
    for row in rows:
        counts["read"] += 1
        if isinstance(row, Reject):
            rejects.append(row)
            continue
        cleaned = specials.clean_example(row)
        counts["special"] += cleaned is not row
        result = render(cleaned, template)
        if isinstance(result, Reject):
            rejects.append(result)
        else:
            yield result


def _without_leak(batch: _Batch, held_out: set[str], emit: Emit) -> _Batch:
    """Leave out the training rows that are held out too. Raises DataError when nothing is left to train on."""
    leaked = [
        Reject(row.origin, "in-validation", "the same row is held out", row.prompt[:200])
        for row in batch.rows
        if row.key in held_out
    ]
    if not leaked:
        return batch
    rows = [row for row in batch.rows if row.key not in held_out]
    if not rows:
        raise DataError("data.validation: holds every row of data.train; hold other rows out")
    emit(
        Warn(
            f"{len(leaked):,} rows of data.train stand in data.validation too and are not trained on "
            f"(first: {leaked[0].origin})"
        )
    )
    return _Batch(batch.read, rows, [*batch.rejects, *leaked], batch.special_text)


def _warn_of_specials(sources: Mapping[str, _Batch], emit: Emit) -> None:
    count = sum(source.special_text for source in sources.values())
    if count:
        emit(Warn(f"{count:,} rows spell a special token of the tokenizer; a space in it makes it plain text"))


def _stored(prepared: Prepared, folder: Path) -> Prepared:
    """Write prepared rows and return them mapped from the file. Raises OutOfDisk."""
    with durable.staging(folder, replace=True) as staged:
        for name, rows in (("train", prepared.train), ("validation", prepared.validation)):
            if rows is not None:
                write(rows, staged / f"{name}.arrow")
        lines = (json.dumps(row, ensure_ascii=False) for row in prepared.rejected_json())
        durable.write_rows(staged / "rejected.jsonl", lines)
        durable.write_json(staged / "ledger.json", {"fingerprint": prepared.fingerprint, **prepared.ledger.to_json()})
    return _opened(folder)


def _opened(folder: Path) -> Prepared:
    known = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))
    validation = folder / "validation.arrow"
    rejected = [
        Reject(Origin(line["file"], line["line"]), line["reason"], line["detail"], line["excerpt"])
        for line in durable.read_lines(folder / "rejected.jsonl")
    ]
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
