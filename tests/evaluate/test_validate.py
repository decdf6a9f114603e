"""Validation inside training: what is measured, what is watched, and what counts as better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.bundles import open_tiny, text_rows

from desktune.config.measures import BEST_BY
from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.errors import ConfigError
from desktune.evaluate.guard import LABELS
from desktune.events import Event, Samples, Warn
from desktune.models.load import Bundle
from desktune.rows import Encoded
from desktune.track.words import metrics_text
from desktune.train.joint import Joint
from desktune.train.loop import Recipe
from desktune.train.validate import Validation, improves

FIGURES = {"eval_loss", "eval_perplexity", "eval_bits_per_byte"}


@pytest.fixture
def marian(tiny_marian: Path) -> Bundle:
    return open_tiny(tiny_marian)


def validation(bundle: Bundle, rows: list[Encoded], best: str = "eval_loss", **evaluation: int | bool) -> Validation:
    section = EvaluationSection.model_validate({"max_new_tokens": 12, **evaluation})
    recipe = Recipe(TrainingSection(metric_for_best_model=best), section, 4096, None)
    return Validation(bundle, rows, recipe, Joint(bundle.model))


@pytest.mark.parametrize(
    ("metric", "value", "best", "expected"),
    [
        ("eval_loss", 1.0, 2.0, True),
        ("eval_perplexity", 3.0, 2.0, False),
        ("eval_bits_per_byte", 0.5, 0.6, True),
        ("eval_ter", 40.0, 50.0, True),
        ("eval_ter", 60.0, 50.0, False),
        ("eval_rougeL", 60.0, 50.0, True),
        ("eval_bleu", 40.0, 50.0, False),
        ("eval_bleu", 40.0, None, True),
        ("eval_ter", float("nan"), None, False),
    ],
)
def test_what_is_better(metric: str, value: float, best: float | None, expected: bool) -> None:
    assert improves(metric, value, best) is expected


def test_the_loss_alone_is_watched_on_a_few_rows(marian: Bundle) -> None:
    events: list[Event] = []
    found = validation(marian, text_rows(marian), guard_samples=4).measure(7, events.append)
    assert set(found) >= FIGURES
    assert set(found) - FIGURES <= {f"eval_{name}" for name in LABELS}
    assert {"eval_empty", "eval_repeating"} <= set(found)
    assert all(0 <= found[name] <= 1 for name in set(found) - FIGURES)
    assert [(event.step, len(event.rows)) for event in events if isinstance(event, Samples)] == [(7, 3)]


@pytest.mark.parametrize("off", [{"guard_samples": 0}, {"predict_with_generate": False}])
def test_nothing_is_generated_where_it_is_off(off: dict[str, int | bool], marian: Bundle) -> None:
    events: list[Event] = []
    assert set(validation(marian, text_rows(marian), **off).measure(1, events.append)) == FIGURES
    assert events == []


@pytest.mark.parametrize("best", ["eval_ter", "eval_bleu"])
def test_a_generated_metric_brings_all_of_them(best: str, marian: Bundle) -> None:
    section = {"metrics": ["ter", "bleu"]}
    found = validation(marian, text_rows(marian), best, **section).measure(1, lambda event: None)
    assert {"eval_ter", "eval_bleu", "eval_repeating", *FIGURES} <= set(found)


def test_bits_per_byte_need_rows_that_were_not_cut(marian: Bundle) -> None:
    rows = [replace(row, truncated=True) for row in text_rows(marian)]
    found = validation(marian, rows, guard_samples=0).measure(1, lambda event: None)
    assert set(found) == {"eval_loss", "eval_perplexity"}
    with pytest.raises(ConfigError, match="cut to a length limit"):
        validation(marian, rows, "eval_bits_per_byte").measure(1, lambda event: None)


def test_every_best_metric_is_measured(marian: Bundle) -> None:
    rows = text_rows(marian)
    every = {"metrics": [name.removeprefix("eval_") for name in BEST_BY if name not in FIGURES]}
    assert set(BEST_BY) <= set(validation(marian, rows, "eval_chrf", **every).measure(1, lambda event: None))


def test_a_model_that_answers_wrongly_is_told_of_once(marian: Bundle) -> None:
    """A model that can say one word only; the second validation says nothing new."""
    word = marian.tokenizer(text_target="chien", add_special_tokens=False)["input_ids"][0]
    marian.model.final_logits_bias[0, word] = 1e4
    rows = text_rows(marian)
    measured, events = validation(marian, rows), []
    first = measured.measure(1, events.append)
    warned = [event.text for event in events if isinstance(event, Warn)]
    assert first["eval_repeating"] == 1.0
    assert [text for text in warned if "repeating themselves (100 %)" in text]
    measured.measure(2, events.append)
    assert [event.text for event in events if isinstance(event, Warn)] == warned


def test_the_terminal_leaves_out_what_did_not_go_wrong() -> None:
    wrong = {f"eval_{name}": 0.0 for name in LABELS}
    assert metrics_text({"eval_loss": 1.0, **wrong, "eval_exact_match": 0.0}) == "loss 1.0000  exact_match 0.0000"
    assert metrics_text({"eval_copied": 0.25}) == "copied 0.2500"
