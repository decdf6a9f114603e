"""A data set as one page: what was read, how long it is, what leaks, languages, what is trained, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from desktune.data.clean.scores import NEAR, CleaningScores
from desktune.data.ledger import Ledger
from desktune.data.survey import Survey
from desktune.report.page import counts, event_table, grid, histogram, note, page, section, table, tokens
from desktune.rows import Reject
from desktune.train.estimate import Estimate

_SHOWN_OF_A_REASON = 4
_SHOWN_CHARACTERS = 160
_CONSTANT = 0.5  # share of rows with one target from which it is said
_OTHER_SCRIPT = 0.2

Cells = Mapping[str, Sequence[tuple[str, str, str]]]


@dataclass(frozen=True)
class DataReport:
    """What the page shows. ``samples`` are rows as the model gets them: origin → side → tokens."""

    name: str
    ledger: Ledger
    survey: Survey
    rejects: Sequence[Reject]
    samples: Mapping[str, Cells]
    cost: Estimate
    cleaning: CleaningScores

    def html(self) -> str:
        """Return the page."""
        return page(
            f"Data report: {self.name}",
            [
                section("Rows", *map(event_table, self.ledger.tables()), *self._decisions()),
                section("Rows that are not used", *self._rejected()),
                section("Lengths before any cut", *self._lengths()),
                section("Leaks between splits", *self._leaks()),
                section("Repeats", *self._repeats()),
                section("Filters of cleaning", *self._filters()),
                section("Languages and scripts", *self._languages()),
                section(
                    "What the model gets", note("Trained tokens are green, special tokens framed."), *self._samples()
                ),
                section("Cost on this machine", event_table(self.cost.table())),
            ],
        )

    def findings(self) -> list[str]:
        """Return what a person should look at, for the terminal."""
        found = [
            f"{side}: {count:,} of {self.survey.rows['uncut']:,} rows are over the limit of "
            f"{self.survey.lengths[side].most:,} tokens"
            for side, count in self.survey.over_limit.items()
            if count
        ]
        found += [f"leak: {count:,} training rows: {what}" for what, count in self.survey.leak_counts.items()]
        if self.survey.repeated or self.survey.nearly_repeated:
            found.append(
                f"repeats: {self.survey.repeated:,} training rows stand there twice, "
                f"{self.survey.nearly_repeated:,} more differ in case or punctuation only"
            )
        return [*found, *self._oddities()]

    def _oddities(self) -> list[str]:
        """Return what is seldom meant: one target for many rows, a side in two scripts, what is private."""
        survey, found = self.survey, []
        if survey.frequent and survey.frequent[0][1] > _CONSTANT * survey.rows["train"]:
            text, count = survey.frequent[0]
            found.append(f"one target for {count:,} of {survey.rows['train']:,} training rows: {_cut(text)}")
        for side, scripts in survey.scripts.items():
            most, *others = scripts.items()
            if sum(count for _, count in others) >= _OTHER_SCRIPT * survey.looked_at:
                found.append(
                    f"{side}: written in several scripts ({most[0]} {most[1]:,}, {others[0][0]} {others[0][1]:,})"
                )
        found += [f"{count:,} training rows hold {what}" for what, count in survey.private.items()]
        return found

    def _decisions(self) -> list[str]:
        return [note(text) for text in self.ledger.decisions]

    def _rejected(self) -> list[str]:
        if not self.rejects:
            return [note("Every row that was read is used.")]
        shown = [one for one, nth in _numbered(self.rejects) if nth <= _SHOWN_OF_A_REASON]
        rows = [(str(one.origin), one.reason, _cut(one.detail), _cut(one.excerpt)) for one in shown]
        rest = len(self.rejects) - len(rows)
        more = [note(f"and {rest:,} more: desktune data prepare keeps them in rejected.jsonl")] if rest else []
        return [table(("place", "reason", "detail", "row"), rows), *more]

    def _lengths(self) -> list[str]:
        figures = [histogram(f"tokens of {side}", found) for side, found in self.survey.lengths.items()]
        over = [
            note(f"{side}: {count:,} of {self.survey.rows['uncut']:,} rows are over the limit", warn=count > 0)
            for side, count in self.survey.over_limit.items()
        ]
        return [*figures, *over]

    def _leaks(self) -> list[str]:
        if not self.survey.leak_counts:
            others = [
                f"{name} ({rows:,} rows)" for name, rows in self.survey.rows.items() if name not in ("train", "uncut")
            ]
            return [note(f"None between train and {', '.join(others)}." if others else "Nothing is held out.")]
        rows = [(leak.what, leak.train, leak.other, _cut(leak.text)) for leak in self.survey.leaks]
        return [
            counts("training rows", self.survey.leak_counts),
            note("Examples", warn=True),
            table(("what is the same", "in train", "held out", "text"), rows),
        ]

    def _repeats(self) -> list[str]:
        survey = self.survey
        lines = [
            note(f"{survey.repeated:,} training rows stand there before, the same to the letter."),
            note(f"{survey.nearly_repeated:,} more differ in case, punctuation or white space only."),
        ]
        near = self.cleaning.near
        lines.append(
            note(
                f"{self.cleaning.nearly:,} of the first {self.cleaning.rows:,} rows as read are nearly equal to an "
                f"earlier one (MinHash, likeness {NEAR} or more)."
            )
        )
        if near:
            rows = [(one.place, one.earlier, f"{one.likeness:.2f}", _cut(one.text)) for one in near]
            lines.append(table(("place", "like", "likeness", "text"), rows))
        lines += [note(f"{count:,} training rows hold {what}.", warn=True) for what, count in survey.private.items()]
        if survey.frequent:
            rows = [(_cut(text), f"{count:,}") for text, count in survey.frequent]
            lines += [table(("most frequent targets", "rows"), rows)]
        return lines

    def _filters(self) -> list[str]:
        found = self.cleaning
        if not found.filters:
            return [note(found.missing or "No filter has something to score here.")]
        rows = [
            (one.name, one.limit, "drops" if one.drops else "off", f"{one.scored:,}", f"{one.outside:,}")
            for one in found.filters
        ]
        figures = [histogram(one.name, one.histogram) for one in found.filters if one.histogram]
        return [
            note(
                f"Scores of the first {found.rows:,} rows as read. Limits of filters that are off are those of strict "
                "(data.cleaning); outside are rows that the limit would drop."
            ),
            table(("filter", "limit", "now", "rows scored", "outside"), rows),
            grid(figures),
        ]

    def _languages(self) -> list[str]:
        parts = [note(f"Judged on {self.survey.looked_at:,} training rows, spread evenly.")]
        for side in self.survey.languages:
            parts.append(counts(f"language of {side}", self.survey.languages[side]))
            parts.append(counts(f"script of {side}", self.survey.scripts[side]))
        return parts

    def _samples(self) -> list[str]:
        return [
            part
            for origin, sides in self.samples.items()
            for part in (note(origin), *(note(side) + tokens(cells) for side, cells in sides.items()))
        ]


def _numbered(rejects: Sequence[Reject]) -> Iterator[tuple[Reject, int]]:
    """Yield rejects with their number among those of the same reason."""
    seen: Counter[str] = Counter()
    for one in rejects:
        seen[one.reason] += 1
        yield one, seen[one.reason]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
