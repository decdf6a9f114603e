"""Held-out loss and base against tuned, on real tiny models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.bundles import FAMILIES, open_tiny, text_rows

from desktune.config.schema import EvaluationSection
from desktune.evaluate.heldout import heldout_loss
from desktune.evaluate.score import Scores, compare, evaluate_rows, smoke_test
from desktune.events import Event, Table
from desktune.models.load import Bundle


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_does_not_depend_on_batches(family: str, tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders[family])
    rows = text_rows(bundle)
    losses = [heldout_loss(bundle, rows, batch_rows).loss for batch_rows in (1, 3, len(rows))]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_the_models_own_weighed_by_tokens(family: str, tiny_folders: dict[str, Path]) -> None:
    """Against the loss that transformers' model classes compute, one unpadded row at a time."""
    bundle = open_tiny(tiny_folders[family])
    rows = text_rows(bundle)
    total, tokens = 0.0, 0
    for row in rows:
        with torch.no_grad():
            out = bundle.model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels]))
        total += out.loss.item() * row.trained_tokens
        tokens += row.trained_tokens
    found = heldout_loss(bundle, rows, 4)
    assert found.tokens == tokens
    assert found.loss == pytest.approx(total / tokens, rel=1e-5)


def test_training_is_not_disturbed(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["t5"])
    bundle.model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    evaluate_rows(bundle, text_rows(bundle), EvaluationSection(max_new_tokens=5), 2)
    assert bundle.model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_compare_shows_both_and_the_rows(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["marian"])
    rows = text_rows(bundle)
    base = evaluate_rows(bundle, rows, EvaluationSection(max_new_tokens=5), 4)
    tuned = Scores(0.5, base.tokens, base.metrics, [row.completion for row in rows])
    events: list[Event] = []
    report = compare(base, tuned, rows, events.append)
    titles = [event.title for event in events if isinstance(event, Table)]
    assert titles[0] == f"Base against tuned on {len(rows)} rows"
    assert {"Best rows", "Worst rows"} <= set(titles)
    values = report.to_json()
    assert values["tuned"]["loss"] == 0.5
    assert [row["tuned_chrf"] for row in values["rows"]] == [100.0] * len(rows)
    assert values["base"]["metrics"]["bleu"]["signature"].startswith("nrefs:1")


def test_smoke_test_is_quiet_on_a_usable_model_and_loud_on_gibberish(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["t5"])
    rows = text_rows(bundle)
    assert not [text for text in smoke_test(bundle, rows) if "loss" in text]
    assert any("worse than guessing" in text for text in smoke_test(scrambled(bundle), rows))
    with torch.no_grad():
        next(bundle.model.parameters()).fill_(float("nan"))
    assert any("precision" in text for text in smoke_test(bundle, rows))


def scrambled(bundle: Bundle) -> Bundle:
    with torch.no_grad():
        for parameter in bundle.model.parameters():
            parameter.mul_(6)
    return replace(bundle)
