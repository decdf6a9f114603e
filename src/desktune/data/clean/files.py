"""``data clean``: files in, one file of cleaned rows out, with what was dropped and a harder test set beside it.

Pairs come out as ``{"source", "target", "source_lang", "pub_number"}`` and nothing else, which training reads as is;
a key whose value is not known is left out. Everything streams; the files are whole or not there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desktune import durable
from desktune.config.cleaning import Cleaning
from desktune.config.schema import DataSection, Paths
from desktune.data.clean.apply import Cleaner
from desktune.data.clean.duplicates import folded
from desktune.data.clean.judge import Setup, Verdict
from desktune.data.places import files_of
from desktune.data.read import read
from desktune.errors import DataError, UserError
from desktune.events import Emit, Table, silent
from desktune.languages import primary
from desktune.rows import Example, Message, Reject

Add = Callable[[str], None]
_IDS = ("pub_number", "id")


@dataclass(frozen=True)
class Places:
    """The files of one ``data clean``: rows, what is written, and rows that must not come again."""

    inputs: Paths
    out: Path
    rejected: Path | None = None
    holdout: Path | None = None
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """How to clean: settings, the reader's ``data:`` section, scores as columns, both directions, a count of tokens."""

    cleaning: Cleaning
    reading: DataSection
    features: bool = False
    both_directions: bool = False
    count: Callable[[str], int] | None = None


@dataclass
class Counts:
    """Rows of one ``data clean``; ``read`` is ``kept`` + ``dropped`` + ``unreadable``."""

    read: int = 0
    kept: int = 0
    dropped: int = 0
    unreadable: int = 0
    written: int = 0
    harder: int = 0


def clean_files(places: Places, wish: Wish, emit: Emit) -> Counts:
    """Clean rows into ``places.out``; the table of filters is emitted.

    Raises:
        UserError: an output is an input, or settings do not go together.
        DataError: a file cannot be read.
        MissingExtra: a package that a filter needs is not installed.
    """
    _check(places, wish)
    light = Cleaning(preset="light", embedding_model=wish.cleaning.embedding_model)
    relaxed = None if places.holdout is None else light
    setup = Setup(wish.cleaning, wish.count, wish.features, relaxed)
    cleaner = Cleaner(setup, emit)
    for name in places.against:
        cleaner.remember(read(name, wish.reading, silent))
    counts = Counts()
    with contextlib.ExitStack() as stack:
        files = (places.out, places.rejected, places.holdout)
        out, rejected, holdout = (
            _nowhere if path is None else stack.enter_context(durable.open_rows(path)) for path in files
        )
        for verdict in cleaner.verdicts(read(places.inputs, wish.reading, emit)):
            counts.read += 1
            if isinstance(verdict, Reject):
                counts.unreadable += 1
                rejected(_line(_rejected(verdict, {})))
            elif verdict.dropped is not None:
                _write_dropped(verdict, counts, rejected, holdout)
            else:
                counts.kept += 1
                for row in _outputs(verdict, cleaner, wish):
                    counts.written += 1
                    out(_line(row))
        if not counts.kept:
            raise DataError(f"cleaning leaves none of the {counts.read:,} rows; choose --preset light or --set limits")
    emit(cleaner.table("cleaning"))
    emit(_balance(counts))
    return counts


def _check(places: Places, wish: Wish) -> None:
    inputs = {
        file.resolve(): file for names in (places.inputs, list(places.against)) if names for file in files_of(names)
    }
    outputs = [path for path in (places.out, places.rejected, places.holdout) if path is not None]
    for path in outputs:
        if path.resolve() in inputs:
            raise UserError(f"{path}: is an input too and would be overwritten; name another file")
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UserError("-o, --rejected and --holdout name one file twice; give each its own")
    if places.holdout is not None and wish.cleaning.preset != "strict":
        raise UserError("--holdout: holds what strict limits drop and light ones keep; add --preset strict")


def _nowhere(line: str) -> None:
    """Take a line that nobody asked for."""


def _write_dropped(verdict: Verdict, counts: Counts, rejected: Add, holdout: Add) -> None:
    counts.dropped += 1
    rejected(_line(_rejected(verdict.reject(), _plain(verdict))))
    if verdict.harder:
        counts.harder += 1
        holdout(_line(_plain(verdict)))


def _rejected(reject: Reject, row: dict[str, Any]) -> dict[str, Any]:
    place = {"file": reject.origin.file, "line": reject.origin.line, "reason": reject.reason, "detail": reject.detail}
    return {**place, **(row or {"excerpt": reject.excerpt})}


def _outputs(verdict: Verdict, cleaner: Cleaner, wish: Wish) -> Iterator[dict[str, Any]]:
    """Yield a row as it is written, and turned round where both directions are wanted and it is new."""
    scores = {name: None if score is None else round(score, 4) for name, score in verdict.scores.items()}
    extra = scores if wish.features else {}
    yield {**_plain(verdict), **extra}
    row, (source_lang, target_lang) = verdict.row, verdict.langs
    if wish.both_directions and row.kind == "pair":
        turned = replace(row, source=row.target, target=row.source, source_lang=target_lang, target_lang=source_lang)
        if cleaner.new(turned, folded((turned.source, turned.target))):
            yield {**_plain(replace(verdict, row=turned, langs=(target_lang, source_lang))), **extra}


def _plain(verdict: Verdict) -> dict[str, Any]:
    """Return a row as training reads it."""
    row = verdict.row
    if row.kind == "text":
        return {"text": row.text}
    if row.kind == "messages":
        turns = [_turn(turn) for turn in row.messages]
        return {"messages": turns, **({"tools": json.loads(row.tools)} if row.tools else {})}
    plain = {"source": row.source, "target": row.target}
    code = row.source_lang or verdict.langs[0]
    known = {"source_lang": primary(code or "") or code, "pub_number": _number(row)}
    return {**plain, **{name: value for name, value in known.items() if value}}


def _turn(turn: Message) -> dict[str, Any]:
    extra = json.loads(turn.extra) if turn.extra else {}
    weight = {} if turn.trained is None else {"weight": int(turn.trained)}
    return {"role": turn.role, "content": turn.content, **extra, **weight}


def _number(row: Example) -> str | None:
    fields = dict(row.fields)
    return next((fields[name] for name in _IDS if name in fields), row.id)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _balance(counts: Counts) -> Table:
    rows = [("read", counts.read), ("− unreadable", counts.unreadable), ("− dropped", counts.dropped),
            ("= kept", counts.kept), ("written", counts.written), ("held out as harder", counts.harder)]  # fmt: skip
    return Table("rows", ("", "rows"), tuple((name, f"{number:,}") for name, number in rows))
