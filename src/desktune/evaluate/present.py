"""A report → tables for people: figures, groups, what went wrong, and the rows worth reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from desktune.evaluate import guard
from desktune.evaluate.bootstrap import Difference
from desktune.evaluate.groups import Part
from desktune.evaluate.metrics import LABELS
from desktune.evaluate.report import Report
from desktune.events import Emit, Note, Table, Warn

SHOWN_ROWS = 3
_SHOWN_CHARACTERS = 160
_PLAIN_LABELS = {name: label.partition(" (")[0] for name, label in LABELS.items()}


def present(report: Report, languages: int, emit: Emit) -> None:
    """Emit a report. ``languages``: how many target languages its rows are in."""
    emit(_figures(report))
    for name, reached in report.tuned.metrics.items():
        several = ": over all languages; see the directions" if languages > 1 and "|tok:" in reached.signature else ""
        emit(Note(f"{_PLAIN_LABELS[name]}: {reached.signature}{several}"))
    if report.bootstrap:
        samples = next(iter(report.bootstrap.values())).samples
        emit(Note(f"±, range and p: paired bootstrap over rows, {samples:,} resamples, 95 % (Koehn 2004)"))
    for title, word, parts in (
        ("File by file: base → tuned", "file", report.files),
        ("Language directions: base → tuned", "direction", report.directions),
        ("By length of the reference: base → tuned", "reference", report.lengths),
    ):
        if parts:
            average = {"macro average": report.macro_average} if word == "direction" and report.macro_average else {}
            emit(_groups_table(title, word, {**parts, **average}))
    _guards(report, emit)
    _rows(report, emit)


def _figures(report: Report) -> Table:
    base, tuned = report.base, report.tuned
    lines = [
        (name, f"{before:.{digits}f}", f"{after:.{digits}f}", f"{after - before:+.{digits}f}")
        for name, before, after, digits in (
            ("held-out loss (nats/token)", base.loss, tuned.loss, 4),
            ("perplexity", base.perplexity, tuned.perplexity, 2),
            ("bits per byte", base.bits_per_byte, tuned.bits_per_byte, 3),
        )
    ]
    lines += [
        (LABELS[name], *_sure(base.metrics[name].value, reached.value, report.bootstrap.get(name)))
        for name, reached in tuned.metrics.items()
    ]
    columns = ("", "base", "tuned", "difference", *(["p"] if report.bootstrap else []))
    rows = [(*line, *[""] * (len(columns) - len(line))) for line in lines]
    return Table(f"Base against tuned on {len(report.rows):,} rows", columns, tuple(rows))


def _sure(base: float, tuned: float, found: Difference | None) -> tuple[str, ...]:
    """Return the cells of a metric: ``34.1 ± 0.8``, the difference with its range, p."""
    if found is None:
        return f"{base:.1f}", f"{tuned:.1f}", f"{tuned - base:+.1f}"
    return (
        f"{base:.1f} ± {found.base.half:.1f}",
        f"{tuned:.1f} ± {found.tuned.half:.1f}",
        f"{tuned - base:+.1f} ({found.difference.low:+.1f} to {found.difference.high:+.1f})",
        f"{found.p_value:.3f}",
    )


def _groups_table(title: str, word: str, parts: Mapping[str, Part]) -> Table:
    names = list(next(iter(parts.values())).tuned)
    rows = [
        (group, f"{part.rows:,}", *(f"{part.base[name]:.1f} → {part.tuned[name]:.1f}" for name in names))
        for group, part in parts.items()
    ]
    return Table(title, (word, "rows", *(_PLAIN_LABELS[name] for name in names)), tuple(rows))


def _guards(report: Report, emit: Emit) -> None:
    """Say what went wrong in the answers; one line where nothing did."""
    base, tuned = report.base.guard, report.tuned.guard
    if base is None or tuned is None:
        return
    shown = [name for name in guard.LABELS if base.found[name] or tuned.found[name]]
    if not shown:
        emit(Note("no answer of either model is " + ", ".join(guard.LABELS.values())))
        return
    lines = tuple((guard.LABELS[name], *(_share(one, name) for one in (base, tuned))) for name in shown)
    emit(Table("Answers that went wrong", ("", "base", "tuned"), lines))
    for name in tuned.alarming:
        emit(Warn(tuned.warning(name, "the tuned model")))


def _share(guarded: guard.Guarded, name: str) -> str:
    judged = guarded.judged[name]
    return f"{guarded.found[name]:,} of {judged:,} ({100 * guarded.shares[name]:.1f} %)" if judged else "not judged"


def _rows(report: Report, emit: Emit) -> None:
    """Emit the best and worst rows, and those that gained and lost most."""
    if not report.tuned.outputs:
        return
    by_score = sorted(report.rows, key=lambda row: row["tuned_chrf"])
    by_gain = sorted(report.rows, key=lambda row: row["tuned_chrf"] - row["base_chrf"])
    lost = [row for row in by_gain if row["tuned_chrf"] < row["base_chrf"]]
    gained = [row for row in by_gain[::-1] if row["tuned_chrf"] > row["base_chrf"]]
    for title, rows in (
        ("Best rows", by_score[::-1]),
        ("Worst rows", by_score),
        ("Gained on the base", gained),
        ("Lost against the base", lost),
    ):
        if rows:
            emit(Table(title, ("row", "source", "reference", "base", "tuned"), _cells(rows[:SHOWN_ROWS])))


def _cells(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (row["origin"].rsplit("/", 1)[-1], *(_cut(row[key]) for key in ("source", "reference", "base", "tuned")))
        for row in rows
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
