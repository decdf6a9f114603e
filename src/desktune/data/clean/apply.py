"""The stage: rows in, cleaned rows and rejects out, in order. Text is mended, then scored, then compared with before.

A row is judged by one filter after the other and leaves at the first that does not accept it; its reject says which,
with score and limit. At the end a table says what each filter did. Memory is flat: a sample of rows at the start, a
database on disk for duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from desktune.config.cleaning import PRESETS, Cleaning, parse_cleaning, resolved
from desktune.config.schema import DataSection
from desktune.data.clean.duplicates import Earlier, Seen, folded
from desktune.data.clean.filters import Filter, Means, applies, build
from desktune.data.clean.language import Detect, detector
from desktune.data.clean.learn import SAMPLE_ROWS, Langs, languages, limits
from desktune.data.clean.mend import Change, changes_of
from desktune.data.clean.texts import Texts, texts_of, with_sides
from desktune.data.read import read
from desktune.events import Decision, Emit, Progress, Table, silent
from desktune.languages import primary
from desktune.rows import Example, Reject

_PROGRESS_ROWS = 20_000
_EXCERPT = 200


@dataclass(frozen=True)
class Verdict:
    """A row as mended, its scores, and the filter that did not accept it (with why). ``langs`` are its sides'."""

    row: Example
    langs: tuple[str | None, str | None]
    scores: Mapping[str, float | None]
    dropped: str | None = None
    detail: str = ""
    harder: bool = False  # dropped by the limits, kept by the relaxed ones

    def reject(self) -> Reject:
        """Return the row as a reject."""
        excerpt = (self.row.text or f"{self.row.source} → {self.row.target}")[:_EXCERPT]
        return Reject(self.row.origin, f"clean:{self.dropped}", self.detail, excerpt)


@dataclass
class Tally:
    """What every filter did."""

    rows: int = 0
    kept: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Setup:
    """What to clean with: the settings, what filters need, whether all scores are wanted, and relaxed settings."""

    cleaning: Cleaning
    means: Means
    features: bool = False
    relaxed: Cleaning | None = None


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
    cleaner = Cleaner(Setup(cleaning, Means(_once(), count, cleaning.embedding_model)), emit)
    if not isinstance(section.validation, int | float):
        cleaner.remember(read(section.validation, section, silent))
    for verdict in cleaner.verdicts(rows):
        if isinstance(verdict, Reject):
            yield verdict
        else:
            yield verdict.row if verdict.dropped is None else verdict.reject()
    emit(cleaner.table("cleaning of data.train"))


def _once() -> Callable[[], Detect]:
    """Return the language detector, loaded when it is first asked for."""
    made: list[Detect] = []

    def get() -> Detect:
        if not made:
            made.append(detector())
        return made[0]

    return get


def means_of(count: Callable[[str], int] | None = None, embedding_model: str | None = None) -> Means:
    """Return what filters need besides a row."""
    return Means(_once(), count, embedding_model)


class Cleaner:
    """Mends and judges rows; keeps what was seen and what every filter did."""

    def __init__(self, setup: Setup, emit: Emit) -> None:
        self.tally = Tally()
        self.limits = resolved(setup.cleaning)
        self._setup, self._emit = setup, emit
        self._changes: Mapping[str, Change] = changes_of(self.limits)
        self._langs: Langs = {}
        self.filters: list[Filter] = []
        self._relaxed: list[Filter] = []
        self._filter_limits: dict[str, str] = {}
        self.seen = Seen()

    def remember(self, rows: Iterable[Example | Reject]) -> None:
        """Take the rows of a held-out file as seen."""
        for row in rows:
            if isinstance(row, Example):
                mended = self._mended(row, None)
                sides = texts_of(mended, (None, None), parallel=False).sides
                self._add(mended, folded(sides))

    def verdicts(self, rows: Iterator[Example | Reject]) -> Iterator[Verdict | Reject]:
        """Yield a verdict for every row; what was rejected before passes."""
        mended = (row if isinstance(row, Reject) else self._mended(row, self.tally) for row in rows)
        try:
            sample = list(islice(mended, SAMPLE_ROWS))
            self._learn([row for row in sample if isinstance(row, Example)])
            for row in chain(sample, mended):
                if isinstance(row, Reject):
                    yield row
                    continue
                self.tally.rows += 1
                if self.tally.rows % _PROGRESS_ROWS == 0:
                    self._emit(Progress("cleaning", self.tally.rows))
                yield self._judge(row)
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
            (name, f"{tally.rows:,}", f"changed {count:,}", _share(count, tally.rows), "")
            for name, count in ((name, tally.changed[name]) for name in self._changes)
        ]
        if tally.dropped["empty"]:
            rows.append(("empty", f"{tally.rows:,}", f"{tally.dropped['empty']:,}",
                         _share(tally.dropped["empty"], tally.rows), ""))  # fmt: skip
        rows += [
            (
                name,
                f"{tally.scored[name]:,}",
                f"{tally.dropped[name]:,}",
                _share(tally.dropped[name], tally.rows),
                limit,
            )
            for name, limit in self._filter_limits.items()
        ]
        lost = tally.rows - tally.kept
        rows.append(("all", f"{tally.rows:,}", f"{lost:,}", _share(lost, tally.rows), f"kept {tally.kept:,}"))
        return Table(title, ("filter", "scored", "dropped", "share", "limit"), tuple(rows))

    def _mended(self, row: Example, tally: Tally | None) -> Example:
        sides = texts_of(row, (None, None), parallel=False).sides
        for name, change in self._changes.items():
            turned = tuple(map(change, sides))
            if tally is not None:
                tally.changed[name] += turned != sides
            sides = turned
        return with_sides(row, sides)

    def _learn(self, sample: list[Example]) -> None:
        """Find the languages, then the limits and the lexicon of the corpus, and say each."""
        if any(row.kind == "pair" for row in sample) or self._on("language") or self._on("script"):
            self._langs = languages(sample, self._setup.means.detect())
            for said, guess in self._langs.items():
                pair = " → ".join(code for code in (said or guess[0] or "unclear", guess[1]) if code)
                self._emit(Decision("data.cleaning", pair, f"where rows do not say their languages, {_of(sample)}"))
        wanted = dict(self.limits)
        if self._setup.features:
            wanted = {name: PRESETS[name][1] if limit is False else limit for name, limit in wanted.items()}
        texts = [self._texts(row) for row in sample]
        learnt = limits(texts, wanted, self._setup.means.count)
        for name, text in learnt.said.items():
            if self._on(name):
                self._emit(Decision(f"data.cleaning.filters.{name}", text, f"auto: {_of(sample)}"))
        found = build(wanted, learnt, self._setup.means, self._emit)
        self.filters = [replace(one, drops=self._on(one.name)) for one in found]
        if self._setup.relaxed is not None:
            self._relaxed = build(resolved(self._setup.relaxed), learnt, self._setup.means, silent)
        self._filter_limits = {one.name: one.limit if one.drops else "off" for one in self.filters}
        for name in ("duplicates", "near_duplicates"):
            if self._on(name):
                self._filter_limits[name] = f"< {self.limits[name]}" if name == "near_duplicates" else "first kept"

    def _on(self, name: str) -> bool:
        return self.limits[name] is not False

    def _languages_of(self, row: Example) -> tuple[str | None, str | None]:
        guess = self._langs.get(row.source_lang, (None, None))
        return row.source_lang or guess[0], row.target_lang or guess[1]

    def _texts(self, row: Example) -> Texts:
        langs = self._languages_of(row)
        same = None not in langs and primary(langs[0] or "") == primary(langs[1] or "")
        return texts_of(row, langs, parallel=row.kind == "pair" and not same)

    def _judge(self, row: Example) -> Verdict:
        texts = self._texts(row)
        langs = self._languages_of(row)
        if not all(side.strip() for side in texts.sides) and row.kind != "messages":
            self.tally.dropped["empty"] += 1
            return Verdict(row, langs, {}, "empty", "nothing is left of a side")
        scores: dict[str, float | None] = {}
        failed: Filter | None = None
        for one in self.filters:
            if not applies(one, texts):
                continue
            score = scores[one.name] = one.score(texts)
            self.tally.scored[one.name] += score is not None
            if failed is None and one.drops and not one.accept(score):
                failed = one
                if not self._setup.features:
                    break
        if failed is not None:
            return self._dropped(row, langs, scores, failed)
        return self._compared(row, langs, scores, folded(texts.sides))

    def _dropped(self, row: Example, langs: Any, scores: dict[str, float | None], failed: Filter) -> Verdict:
        self.tally.dropped[failed.name] += 1
        detail = f"score {scores[failed.name]:.3g}, limit {failed.limit}"
        harder = bool(self._relaxed) and self._passes_relaxed(row)
        return Verdict(row, langs, scores, failed.name, detail, harder)

    def _passes_relaxed(self, row: Example) -> bool:
        texts = self._texts(row)
        if not all(one.accept(one.score(texts)) for one in self._relaxed if applies(one, texts)):
            return False
        return self.new(row, folded(texts.sides))

    def _compared(self, row: Example, langs: Any, scores: dict[str, float | None], text: str) -> Verdict:
        repeated = self._repeats(row, text)
        if repeated is not None:
            name, earlier = repeated
            self.tally.dropped[name] += 1
            return Verdict(row, langs, scores, name, f"likeness {earlier.likeness:.2f} with {earlier.place}")
        self._add(row, text)
        self.tally.kept += 1
        return Verdict(row, langs, scores)

    def _repeats(self, row: Example, text: str) -> tuple[str, Earlier] | None:
        """Return which filter finds an earlier row, and that row."""
        if self._on("duplicates") and self.limits["duplicates"]:
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


def _of(sample: list[Example]) -> str:
    return f"of the first {len(sample):,} rows"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
