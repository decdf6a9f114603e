"""Held-out rows → scores, base beside tuned, best and worst rows; and a first look at the base before training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from desktune.config.schema import EvaluationSection, GenerationSection
from desktune.evaluate.heldout import HeldOut, heldout_loss
from desktune.evaluate.metrics import LABELS, Score, names_for, score, sentence_chrf
from desktune.events import Emit, Note, Table, silent
from desktune.generate.decode import decode, decoding
from desktune.models.load import Bundle
from desktune.rows import Encoded, Task

SHOWN_ROWS = 3
_SHOWN_CHARACTERS = 160


@dataclass(frozen=True)
class Scores:
    """What a model reached on rows."""

    loss: float  # nats per trained token
    tokens: int
    metrics: Mapping[str, Score]
    outputs: Sequence[str]  # one per row; none where nothing was generated

    @property
    def empty(self) -> int:
        """Outputs without a word."""
        return sum(not output for output in self.outputs)


@dataclass(frozen=True)
class Part:
    """The metrics of the rows of one file."""

    rows: int
    base: Mapping[str, float]
    tuned: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """Base against tuned on the same rows."""

    base: Scores
    tuned: Scores
    rows: tuple[Mapping[str, Any], ...]  # every row: where it stands, texts, sentence scores
    files: Mapping[str, Part]  # where rows come from several files: what was reached on each of them

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "rows_measured": len(self.rows),
            "base": _plain(self.base),
            "tuned": _plain(self.tuned),
            "files": {name: asdict(part) for name, part in self.files.items()},
            "rows": list(self.rows),
        }


def evaluate_rows(
    bundle: Bundle, rows: Sequence[Encoded], section: EvaluationSection, batch_rows: int, emit: Emit = silent
) -> Scores:
    """Measure a model on rows: loss, and with ``predict_with_generate`` the metrics of greedy outputs."""
    held_out = heldout_loss(bundle, rows, batch_rows, emit)
    if not section.predict_with_generate:
        return Scores(held_out.loss, held_out.tokens, {}, ())
    return score_outputs(bundle.task, rows, answers(bundle, rows, section, emit), section, held_out)


def answers(bundle: Bundle, rows: Sequence[Encoded], section: EvaluationSection, emit: Emit = silent) -> list[str]:
    """Return what a model answers to rows, greedily."""
    how = decoding(GenerationSection(num_beams=1, max_new_tokens=section.max_new_tokens))
    prompts, targets = [row.input_ids[: row.prompt_length] for row in rows], [row.target_lang for row in rows]
    return decode(bundle, prompts, how, emit, targets=targets)


def score_outputs(
    task: Task, rows: Sequence[Encoded], outputs: list[str], section: EvaluationSection, held_out: HeldOut
) -> Scores:
    """Return the metrics of outputs for rows, beside their loss."""
    languages = {row.target_lang for row in rows}
    metrics = score(
        names_for(section, task),
        outputs,
        [row.completion for row in rows],
        languages.pop() if len(languages) == 1 else None,
    )
    return Scores(held_out.loss, held_out.tokens, metrics, outputs)


def compare(base: Scores, tuned: Scores, rows: Sequence[Encoded], emit: Emit = silent) -> Report:
    """Set base and tuned side by side and show where the tuned model is best, worst, and gained or lost most."""
    lines = [("held-out loss (nats/token)", f"{base.loss:.4f}", f"{tuned.loss:.4f}", f"{tuned.loss - base.loss:+.4f}")]
    for name, reached in tuned.metrics.items():
        before = base.metrics[name].value
        lines.append((LABELS[name], f"{before:.1f}", f"{reached.value:.1f}", f"{reached.value - before:+.1f}"))
    if tuned.outputs:
        lines.append(("empty outputs", str(base.empty), str(tuned.empty), f"{tuned.empty - base.empty:+d}"))
    emit(Table(f"Base against tuned on {len(rows):,} rows", ("", "base", "tuned", "difference"), tuple(lines)))
    for name, reached in tuned.metrics.items():
        emit(Note(f"{LABELS[name]}: {reached.signature}"))
    if not tuned.outputs:
        return Report(base, tuned, tuple(_texts(row) for row in rows), {})
    texts = tuple(_row(row, one, two) for row, one, two in zip(rows, base.outputs, tuned.outputs, strict=True))
    report = Report(base, tuned, texts, _by_file(base, tuned, rows))
    if report.files:
        emit(_files_table(report.files))
    _show(report, emit)
    return report


def smoke_test(bundle: Bundle, rows: Sequence[Encoded]) -> list[str]:
    """Return what is suspicious about an untouched base on a few rows: gibberish weights, empty answers."""
    found = heldout_loss(bundle, rows, len(rows))
    guessing = math.log(bundle.model.config.get_text_config().vocab_size)
    warnings = []
    if not math.isfinite(found.loss):
        warnings.append(
            f"the untouched base has a loss of {found.loss} on validation rows: its weights or precision are wrong"
        )
    elif found.loss > guessing + 1:
        warnings.append(
            f"the untouched base has a loss of {found.loss:.1f} on validation rows, worse than guessing "
            f"({guessing:.1f}): a wrong tokenizer, weights that were not loaded, or rows of another kind"
        )
    outputs = decode(
        bundle,
        [row.input_ids[: row.prompt_length] for row in rows],
        decoding(GenerationSection(num_beams=1, max_new_tokens=32)),
        targets=[row.target_lang for row in rows],
    )
    if not any(outputs):
        warnings.append("the untouched base answers validation rows with nothing at all")
    return warnings


def _by_file(base: Scores, tuned: Scores, rows: Sequence[Encoded]) -> dict[str, Part]:
    """Return the metrics file by file: what was gained on one may have been lost on another."""
    files = sorted({row.origin.file for row in rows})
    parts = {}
    for file in files if len(files) > 1 else ():
        chosen = [index for index, row in enumerate(rows) if row.origin.file == file]
        references = [rows[index].completion for index in chosen]
        reached = []
        for scores in (base, tuned):
            found = score(list(scores.metrics), [scores.outputs[index] for index in chosen], references)
            reached.append({name: one.value for name, one in found.items()})
        parts[_place(file)] = Part(len(chosen), reached[0], reached[1])
    return parts


def _files_table(files: Mapping[str, Part]) -> Table:
    names = list(next(iter(files.values())).tuned)
    rows = [
        (file, str(part.rows), *(f"{part.base[name]:.1f} → {part.tuned[name]:.1f}" for name in names))
        for file, part in files.items()
    ]
    return Table("File by file: base → tuned", ("file", "rows", *(LABELS[name] for name in names)), tuple(rows))


def _texts(row: Encoded) -> dict[str, Any]:
    return {"origin": str(row.origin), "source": row.prompt, "reference": row.completion}


def _row(row: Encoded, base: str, tuned: str) -> dict[str, Any]:
    return {
        **_texts(row),
        "base": base,
        "tuned": tuned,
        "base_chrf": round(sentence_chrf(base, row.completion), 2),
        "tuned_chrf": round(sentence_chrf(tuned, row.completion), 2),
    }


def _show(report: Report, emit: Emit) -> None:
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
            cells = tuple(
                (_place(row["origin"]), *(_cut(row[key]) for key in ("source", "reference", "base", "tuned")))
                for row in rows[:SHOWN_ROWS]
            )
            emit(Table(title, ("row", "source", "reference", "base", "tuned"), cells))


def _place(origin: str) -> str:
    """Return file and line without the folders."""
    return origin.rsplit("/", 1)[-1]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _plain(scores: Scores) -> dict[str, Any]:
    metrics = {name: asdict(value) for name, value in scores.metrics.items()}
    return {
        "loss": scores.loss if math.isfinite(scores.loss) else None,  # JSON has no NaN
        "tokens": scores.tokens,
        "metrics": metrics,
        "empty_outputs": scores.empty if scores.outputs else None,
    }
