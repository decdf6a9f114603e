"""Scores of texts against references, each with the signature that says how it was computed.

A metric turns a corpus into one row of sufficient statistics per text; the score is a function of their sum. So a part
of the corpus, a resample of it (``bootstrap.py``) and the whole are computed alike and no text is read twice.

BLEU, chrF++ and TER are sacrebleu's (Post 2018), to the last digit of its command. ROUGE is rouge-score's F1, averaged
over texts. English words are cut and stemmed by that package; it knows no letter but a to z, so that for every other
language it is given words of letters of any script (one sign each where a script has no spaces), unstemmed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics import BLEU, CHRF, TER

from desktune.config.measures import AUTO_METRICS
from desktune.config.schema import EvaluationSection
from desktune.evaluate.languages import WITHOUT_SPACES, primary
from desktune.rows import Task

_BLEU_TOKENIZERS = {  # scripts without spaces; all else is cut by sacrebleu's default, 13a
    **dict.fromkeys(("zh", "zho", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya"), "char"),
}
LABELS = {
    "bleu": "BLEU",
    "chrf": "chrF++",
    "ter": "TER (lower is better)",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "exact_match": "exact match %",
}


@dataclass(frozen=True)
class Score:
    """A value, most often between 0 and 100 (TER can pass it), and how it was computed."""

    value: float
    signature: str
    lower_is_better: bool = False


@dataclass(frozen=True)
class Statistics:
    """What a metric keeps of texts, [texts, figures] in float64, and how their sum becomes the score."""

    per_text: NDArray[np.float64]
    of_sum: Callable[[NDArray[np.float64]], float]
    signature: str
    lower_is_better: bool = False

    def score(self, rows: Sequence[int] | None = None) -> Score:
        """Return the score of all texts or of some."""
        chosen_NK = self.per_text if rows is None else self.per_text[list(rows)]
        return Score(float(self.of_sum(chosen_NK.sum(axis=0))), self.signature, self.lower_is_better)


def statistics(
    name: str, outputs: Sequence[str], references: Sequence[str], target_lang: str | None = None
) -> Statistics:
    """Return what a metric keeps of texts; ``target_lang`` chooses how they are cut into words."""
    return METRICS[name](outputs, references, target_lang)


def names_for(section: EvaluationSection, task: Task) -> list[str]:
    """Return the metrics of a task."""
    return list(AUTO_METRICS[task] if section.metrics == "auto" else section.metrics)


def score(
    names: Sequence[str], outputs: Sequence[str], references: Sequence[str], target_lang: str | None = None
) -> dict[str, Score]:
    """Return every metric of ``names`` over a whole set; ``target_lang`` chooses how texts are cut into words."""
    return {name: statistics(name, outputs, references, target_lang).score() for name in names}


def sentence_chrf(output: str, reference: str) -> float:
    """Return chrF++ of one text, for best and worst rows."""
    return CHRF(word_order=2).sentence_score(output, [reference]).score


def _bleu(outputs: Sequence[str], references: Sequence[str], target_lang: str | None) -> Statistics:
    language = (target_lang or "").replace("-", "_").partition("_")[0].lower()
    return _sacrebleu(BLEU(tokenize=_BLEU_TOKENIZERS.get(language)), outputs, references)


def _chrf(outputs: Sequence[str], references: Sequence[str], _: str | None) -> Statistics:
    return _sacrebleu(CHRF(word_order=2), outputs, references)


def _ter(outputs: Sequence[str], references: Sequence[str], _: str | None) -> Statistics:
    return _sacrebleu(TER(), outputs, references, lower_is_better=True)


def _sacrebleu(
    metric: Any, outputs: Sequence[str], references: Sequence[str], *, lower_is_better: bool = False
) -> Statistics:
    """Ask sacrebleu for its statistics: its own significance tests call the same two methods, no public name does."""
    found = metric._extract_corpus_statistics(list(outputs), [list(references)])
    return Statistics(
        np.asarray(found, dtype=np.float64),
        lambda sum_K: metric._compute_score_from_stats(sum_K.tolist()).score,
        str(metric.get_signature()),
        lower_is_better,
    )


def _rouge(kind: str) -> Callable[[Sequence[str], Sequence[str], str | None], Statistics]:
    def measure(outputs: Sequence[str], references: Sequence[str], target_lang: str | None) -> Statistics:
        english = primary(target_lang) == "en"
        scorer = RougeScorer([kind], use_stemmer=english, tokenizer=None if english else _Words())
        pairs = zip(outputs, references, strict=True)
        shares = [scorer.score(reference, output)[kind].fmeasure for output, reference in pairs]
        options = "tok:rouge|stem:porter" if english else "tok:letters|stem:no"
        return _mean(shares, f"{kind}|f1|{options}|rouge-score:{version('rouge-score')}")

    return measure


def _exact_match(outputs: Sequence[str], references: Sequence[str], _: str | None) -> Statistics:
    hits = [float(one.strip() == other.strip()) for one, other in zip(outputs, references, strict=True)]
    return _mean(hits, "exact|strip:both")


def _mean(shares: Sequence[float], signature: str) -> Statistics:
    per_text = np.column_stack([np.asarray(shares, dtype=np.float64), np.ones(len(shares))])
    return Statistics(per_text, lambda sum_K: 100.0 * sum_K[0] / max(1.0, sum_K[1]), signature)


class _Words(Tokenizer):
    """Words of letters, digits and marks in lower case; ``rouge-score`` calls this in place of its own cutter."""

    def tokenize(self, text: str) -> list[str]:
        """Cut a text into words."""
        signs: list[str] = []
        for sign in text.lower():
            kept = sign if unicodedata.category(sign)[0] in "LNM" else " "
            signs.append(f" {kept} " if WITHOUT_SPACES.match(sign) else kept)
        return "".join(signs).split()


Metric = Callable[[Sequence[str], Sequence[str], str | None], Statistics]

METRICS: dict[str, Metric] = {
    "bleu": _bleu,
    "chrf": _chrf,
    "ter": _ter,
    "rouge1": _rouge("rouge1"),
    "rouge2": _rouge("rouge2"),
    "rougeL": _rouge("rougeL"),
    "exact_match": _exact_match,
}
