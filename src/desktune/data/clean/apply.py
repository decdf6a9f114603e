"""The stage: rows in, cleaned rows and rejects out, in order. Text is mended, then scored, then compared with before.

A row is judged by one filter after the other and leaves at the first that does not accept it; its reject says which,
with score and limit. At the end a table says what each filter did. Memory is flat: a sample of rows at the start, a
database on disk for duplicates. Many rows are judged on all cores; only duplicates are looked for one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from desktune.config.cleaning import parse_cleaning, resolved
from desktune.config.schema import DataSection
from desktune.data.clean.duplicates import Earlier, Seen, folded
from desktune.data.clean.filters import Filter
from desktune.data.clean.judge import Judge, Setup, Verdict, mended
from desktune.data.clean.learn import SAMPLE_ROWS
from desktune.data.clean.mend import changes_of
from desktune.data.clean.texts import texts_of
from desktune.data.pool import MANY_ROWS, worked
from desktune.data.read import read
from desktune.events import Emit, Progress, Table, silent
from desktune.languages import primary
from desktune.rows import Example, Reject

_PROGRESS_ROWS = 20_000


@dataclass
class Tally:
    """What every filter did."""

    rows: int = 0
    kept: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def apply(
    rows: Iterator[Example | Reject],
    section: DataSection,
    key: str,
    emit: Emit,
    count: Callable[[str], int] | None = None,
) -> Iterator[Example | Reject]:
    """Clean the rows of ``data.train`` by ``data.cleaning``; without settings they pass untouched. Rejects pass.

    Rows of files that are held out pass untouched too: dropping the hard ones would flatter every score. Training
    rows that repeat one of ``data.validation`` (its own files) are duplicates.

    Args:
        rows: As read.
        section: The config's ``data:``.
        key: Of ``data:`` that the rows are from.
        emit: Where what was learnt and the table go.
        count: Tokens of a text, for ``token_ratio``.

    Raises:
        ConfigError: ``data.cleaning`` has faults.
        MissingExtra: a package that a filter needs is not installed.
    """
    cleaning = parse_cleaning(section.cleaning)
    if key != "train" or not any(resolved(cleaning).values()):
        yield from rows
        return
    cleaner = Cleaner(Setup(cleaning, count), emit)
    if not isinstance(section.validation, int | float):
        cleaner.remember(read(section.validation, section, silent))
    for verdict in cleaner.verdicts(rows):
        if isinstance(verdict, Reject):
            yield verdict
        else:
            yield verdict.row if verdict.dropped is None else verdict.reject()
    emit(cleaner.table("cleaning of data.train"))


class Cleaner:
    """Judges rows; keeps what was seen and what every filter did."""

    def __init__(self, setup: Setup, emit: Emit, helpers: int | None = None, many: int = MANY_ROWS) -> None:
        self.tally = Tally()
        self.limits = setup.limits
        self.filters: list[Filter] = []
        self.seen = Seen()
        self._setup, self._emit, self._helpers, self._many = setup, emit, helpers, many

    def remember(self, rows: Iterable[Example | Reject]) -> None:
        """Take the rows of a held-out file as seen."""
        changes = changes_of(self.limits)
        for row in rows:
            if isinstance(row, Example):
                one, _ = mended(row, changes)
                self._add(one, _folded(one))

    def verdicts(self, rows: Iterator[Example | Reject]) -> Iterator[Verdict | Reject]:
        """Yield a verdict for every row; what was rejected before passes."""
        try:
            first = list(islice(rows, SAMPLE_ROWS))
            judge = Judge.taught(self._setup, [row for row in first if isinstance(row, Example)], self._emit)
            self.filters = judge.filters
            for verdicts in worked(chain(first, rows), judge, self._helpers, self._many):
                yield from map(self._heard, verdicts)
        finally:
            self.seen.close()

    def new(self, row: Example, text: str) -> bool:
        """Say whether a row that was not read (a turned one) is new, and take it as seen."""
        if self._repeats(row, text) is not None:
            return False
        self._add(row, text)
        return True

    def table(self, title: str) -> Table:
        """Return what every filter did."""
        tally = self.tally
        rows = [
            (name, f"{tally.rows:,}", f"changed {tally.changed[name]:,}", _share(tally.changed[name], tally.rows), "")
            for name in changes_of(self.limits)
        ]
        if tally.dropped["empty"]:
            rows.append(self._line("empty", tally.rows, ""))
        rows += [
            self._line(one.name, tally.scored[one.name], one.limit if one.drops else "off") for one in self.filters
        ]
        if self._on("duplicates"):
            rows.append(self._line("duplicates", tally.scored["duplicates"], "first kept"))
        if self._on("near_duplicates"):
            limit = f"< {self.limits['near_duplicates']}"
            rows.append(self._line("near_duplicates", tally.scored["near_duplicates"], limit))
        lost = tally.rows - tally.kept
        rows.append(("all", f"{tally.rows:,}", f"{lost:,}", _share(lost, tally.rows), f"kept {tally.kept:,}"))
        return Table(title, ("filter", "scored", "dropped", "share", "limit"), tuple(rows))

    def _line(self, name: str, scored: int, limit: str) -> tuple[str, str, str, str, str]:
        dropped = self.tally.dropped[name]
        return name, f"{scored:,}", f"{dropped:,}", _share(dropped, self.tally.rows), limit

    def _on(self, name: str) -> bool:
        return self.limits[name] is not False

    def _heard(self, verdict: Verdict | Reject) -> Verdict | Reject:
        """Count a verdict, and compare what no filter dropped with the rows before."""
        if isinstance(verdict, Reject):
            return verdict
        tally, row = self.tally, verdict.row
        tally.rows += 1
        if tally.rows % _PROGRESS_ROWS == 0:
            self._emit(Progress("cleaning", tally.rows))
        tally.changed.update(verdict.changed)
        tally.scored.update(name for name, score in verdict.scores.items() if score is not None)
        if verdict.dropped is not None:
            tally.dropped[verdict.dropped] += 1
            return replace(verdict, harder=self.new(row, _folded(row))) if verdict.harder else verdict
        repeated = self._repeats(row, _folded(row))
        if repeated is not None:
            name, earlier = repeated
            tally.dropped[name] += 1
            return replace(verdict, dropped=name, detail=f"likeness {earlier.likeness:.2f} with {earlier.place}")
        self._add(row, _folded(row))
        tally.kept += 1
        return verdict

    def _repeats(self, row: Example, text: str) -> tuple[str, Earlier] | None:
        """Return which filter finds an earlier row, and that row."""
        if self._on("duplicates"):
            self.tally.scored["duplicates"] += 1
            if (equal := self.seen.equal(text)) is not None:
                return "duplicates", equal
        if self._on("near_duplicates"):
            self.tally.scored["near_duplicates"] += 1
            near = self.seen.nearest(text, self._direction(row))
            if near is not None and near.likeness >= float(str(self.limits["near_duplicates"])):
                return "near_duplicates", near
        return None

    def _add(self, row: Example, text: str) -> None:
        if self._on("duplicates") or self._on("near_duplicates"):
            self.seen.add(text, row.origin, self._direction(row) if self._on("near_duplicates") else None)

    def _direction(self, row: Example) -> str:
        return primary(row.source_lang or "")


def _folded(row: Example) -> str:
    return folded(texts_of(row, (None, None), parallel=False).sides)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
