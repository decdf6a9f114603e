"""Scores of texts against references, each with the signature that says how it was computed (sacrebleu, Post 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF

from desktune.config.schema import EvaluationSection
from desktune.rows import Task

_BLEU_TOKENIZERS = {  # scripts without spaces; all else is cut by sacrebleu's default, 13a
    **dict.fromkeys(("zh", "zho", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya"), "char"),
}


@dataclass(frozen=True)
class Score:
    """A value between 0 and 100; higher is better."""

    value: float
    signature: str


def _bleu(outputs: Sequence[str], references: Sequence[str], target_lang: str | None = None) -> Score:
    language = (target_lang or "").replace("-", "_").partition("_")[0].lower()
    metric = BLEU(tokenize=_BLEU_TOKENIZERS.get(language))
    value = metric.corpus_score(list(outputs), [list(references)]).score
    return Score(value, str(metric.get_signature()))


def _chrf(outputs: Sequence[str], references: Sequence[str], _: str | None = None) -> Score:
    metric = CHRF(word_order=2)
    value = metric.corpus_score(list(outputs), [list(references)]).score
    return Score(value, str(metric.get_signature()))


def _exact_match(outputs: Sequence[str], references: Sequence[str], _: str | None = None) -> Score:
    hits = sum(one.strip() == other.strip() for one, other in zip(outputs, references, strict=True))
    return Score(100.0 * hits / max(1, len(references)), "exact|strip:both")


Metric = Callable[..., Score]  # outputs, references, and the code of the language they are in

METRICS: dict[str, Metric] = {
    "bleu": _bleu,
    "chrf": _chrf,
    "exact_match": _exact_match,
}
LABELS = {"bleu": "BLEU", "chrf": "chrF++", "exact_match": "exact match %"}


def names_for(section: EvaluationSection, task: Task) -> list[str]:
    """Return the metrics of a task."""
    if section.metrics != "auto":
        return list(section.metrics)
    return ["bleu", "chrf", "exact_match"] if task == "translation" else ["chrf", "exact_match"]


def score(
    names: Sequence[str], outputs: Sequence[str], references: Sequence[str], target_lang: str | None = None
) -> dict[str, Score]:
    """Return every metric of ``names`` over a whole set; ``target_lang`` chooses how BLEU cuts words."""
    return {name: METRICS[name](outputs, references, target_lang) for name in names}


def sentence_chrf(output: str, reference: str) -> float:
    """Return chrF++ of one text, for best and worst rows."""
    return CHRF(word_order=2).sentence_score(output, [reference]).score
