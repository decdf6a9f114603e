"""Held-out rows → scores of a model; base beside tuned, as figures, by groups of rows, and row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from desktune.config.schema import EvaluationSection, GenerationSection
from desktune.evaluate.bootstrap import paired
from desktune.evaluate.groups import Pair, by_direction, by_file, by_length, languages
from desktune.evaluate.guard import guard
from desktune.evaluate.heldout import HeldOut, heldout_loss
from desktune.evaluate.metrics import names_for, score, sentence_chrf, statistics
from desktune.evaluate.present import present
from desktune.evaluate.report import Report, Scores
from desktune.events import Emit, silent
from desktune.generate.decode import decode, decoding
from desktune.models.load import Bundle
from desktune.rows import Encoded


def evaluate_rows(
    bundle: Bundle, rows: Sequence[Encoded], section: EvaluationSection, batch_rows: int, emit: Emit = silent
) -> Scores:
    """Measure a model on rows: loss, and with ``predict_with_generate`` the metrics of greedy outputs."""
    held_out = heldout_loss(bundle, rows, batch_rows, emit)
    if not section.predict_with_generate:
        return Scores(held_out.loss, int(held_out.tokens), {}, (), held_out.bits_per_byte)
    outputs = greedy(bundle, rows, section.max_new_tokens, emit)
    return score_outputs(bundle, rows, outputs, section, held_out)


def score_outputs(
    bundle: Bundle, rows: Sequence[Encoded], outputs: list[str], section: EvaluationSection, held_out: HeldOut
) -> Scores:
    """Return the metrics of outputs for rows and what the guard saw in them, beside their loss."""
    metrics = score(names_for(section, bundle.task), outputs, [row.completion for row in rows], one_language(rows))
    watched = guard(bundle, rows, outputs, section.max_new_tokens)
    return Scores(held_out.loss, int(held_out.tokens), metrics, outputs, held_out.bits_per_byte, watched)


def greedy(bundle: Bundle, rows: Sequence[Encoded], max_new_tokens: int, emit: Emit = silent) -> list[str]:
    """Return a model's likeliest answer to every row, word by word."""
    how = decoding(GenerationSection(num_beams=1, max_new_tokens=max_new_tokens))
    prompts, targets = [row.input_ids[: row.prompt_length] for row in rows], [row.target_lang for row in rows]
    return decode(bundle, prompts, how, emit, targets=targets)


def compare(
    base: Scores,
    tuned: Scores,
    rows: Sequence[Encoded],
    emit: Emit = silent,
    *,
    bootstrap_samples: int = 1000,
) -> Report:
    """Set base and tuned side by side, say how sure the differences are, and where the tuned model won and lost."""
    if not tuned.outputs:
        report = Report(base, tuned, tuple(_texts(row) for row in rows))
    else:
        report = _with_texts(base, tuned, rows, bootstrap_samples)
    present(report, len(languages(rows)), emit)
    return report


def one_language(rows: Sequence[Encoded]) -> str | None:
    """Return the language that all references are in, None where there are several or none is named."""
    codes = {row.target_lang for row in rows}
    return codes.pop() if len(codes) == 1 else None


def _with_texts(base: Scores, tuned: Scores, rows: Sequence[Encoded], samples: int) -> Report:
    pair = Pair(base.outputs, tuned.outputs, rows)
    references = [row.completion for row in rows]
    measured = {
        name: (
            statistics(name, base.outputs, references, one_language(rows)),
            statistics(name, tuned.outputs, references, one_language(rows)),
        )
        for name in tuned.metrics
    }
    found = {name: paired(*both, samples) for name, both in measured.items()}
    return Report(
        base,
        tuned,
        tuple(_row(index, row, base, tuned) for index, row in enumerate(rows)),
        by_file(pair, measured),
        by_direction(pair, measured),
        by_length(pair, measured),
        {name: one for name, one in found.items() if one is not None},
    )


def _texts(row: Encoded) -> dict[str, Any]:
    return {"origin": str(row.origin), "source": row.prompt, "reference": row.completion}


def _row(index: int, row: Encoded, base: Scores, tuned: Scores) -> dict[str, Any]:
    before, after = base.outputs[index], tuned.outputs[index]
    flags = {
        f"{name}_flags": [kind for kind, places in scores.guard.rows.items() if index in places]
        for name, scores in (("base", base), ("tuned", tuned))
        if scores.guard
    }
    return {
        **_texts(row),
        "base": before,
        "tuned": after,
        "base_chrf": round(sentence_chrf(before, row.completion), 2),
        "tuned_chrf": round(sentence_chrf(after, row.completion), 2),
        **{name: kinds for name, kinds in flags.items() if kinds},
    }
