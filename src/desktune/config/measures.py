"""The figures a model is judged by: their names, which of them a task gets, which are better when lower."""

from __future__ import annotations

from typing import Literal, get_args

MetricName = Literal["bleu", "chrf", "ter", "rouge1", "rouge2", "rougeL", "exact_match"]

METRIC_NAMES: tuple[str, ...] = get_args(MetricName)
AUTO_METRICS: dict[str, tuple[str, ...]] = {
    "translation": ("bleu", "chrf", "exact_match"),
    "seq2seq": ("chrf", "rougeL", "exact_match"),
    "causal": ("chrf", "rougeL", "exact_match"),
}
OF_THE_LOSS = ("eval_loss", "eval_perplexity", "eval_bits_per_byte")  # measured without generating
BEST_BY = (*OF_THE_LOSS, *(f"eval_{name}" for name in METRIC_NAMES))
LOWER_IS_BETTER = frozenset({*OF_THE_LOSS, "eval_ter"})
