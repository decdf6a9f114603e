"""Held-out loss and base against tuned, on real tiny models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.bundles import FAMILIES, open_tiny, text_rows

from desktune.config.schema import EvaluationSection
from desktune.evaluate.heldout import heldout_loss
from desktune.evaluate.metrics import Score
from desktune.evaluate.report import Scores
from desktune.evaluate.score import compare, evaluate_rows
from desktune.evaluate.smoke import smoke_test
from desktune.events import Event, Table
from desktune.models.load import Bundle
from desktune.rows import Origin


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


def test_several_files_are_compared_one_by_one(tiny_folders: dict[str, Path]) -> None:
    """What one domain gained may be lost on the other: the whole hides it, the files show it."""
    bundle = open_tiny(tiny_folders["t5"])
    rows = [
        replace(row, origin=Origin(f"data/{'new' if number < 2 else 'old'}.jsonl", number + 1))
        for number, row in enumerate(text_rows(bundle))
    ]
    right, wrong = [row.completion for row in rows], ["x"] * len(rows)
    metrics = {"exact_match": Score(0.0, "exact")}
    base = Scores(1.0, 10, metrics, [*wrong[:2], *right[2:]])
    tuned = Scores(1.0, 10, metrics, [*right[:2], *wrong[2:]])
    report = compare(base, tuned, rows)
    assert {name: (part.rows, part.base, part.tuned) for name, part in report.files.items()} == {
        "new.jsonl": (2, {"exact_match": 0.0}, {"exact_match": 100.0}),
        "old.jsonl": (3, {"exact_match": 100.0}, {"exact_match": 0.0}),
    }


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


def test_without_generation_nothing_is_said_of_texts(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["marian"])
    rows = text_rows(bundle)
    scores = evaluate_rows(bundle, rows, EvaluationSection(predict_with_generate=False), 4)
    events: list[Event] = []
    values = compare(scores, scores, rows, events.append).to_json()
    assert [[line[0] for line in event.rows] for event in events if isinstance(event, Table)] == [
        ["held-out loss (nats/token)", "perplexity", "bits per byte"]
    ]
    assert values["tuned"]["empty_outputs"] is None
    assert values["rows"][0].keys() == {"origin", "source", "reference"}


def test_rows_that_gained_and_lost_are_shown(tiny_folders: dict[str, Path]) -> None:
    rows = text_rows(open_tiny(tiny_folders["t5"]))
    right, wrong = [row.completion for row in rows], ["x"] * len(rows)
    base = Scores(2.0, 9, {}, [*right[:1], *wrong[1:]])
    tuned = Scores(1.0, 9, {}, [*wrong[:1], *right[1:]])
    events: list[Event] = []
    compare(base, tuned, rows, events.append)
    shown = {event.title: [line[0] for line in event.rows] for event in events if isinstance(event, Table)}
    assert shown["Lost against the base"] == ["pairs:1"]
    assert len(shown["Gained on the base"]) == 3
    assert "pairs:1" not in shown["Gained on the base"]


def test_a_loss_that_is_no_number_is_still_a_report(tiny_folders: dict[str, Path]) -> None:
    rows = text_rows(open_tiny(tiny_folders["t5"]))
    sick = Scores(float("nan"), 9, {}, [""] * len(rows))
    assert json.loads(json.dumps(compare(sick, sick, rows).to_json(), allow_nan=False))["base"]["loss"] is None


def test_smoke_test_needs_no_vocab_size_at_the_top_of_the_config(tiny_folders: dict[str, Path]) -> None:
    """Models whose text part is one of several keep it deeper."""
    bundle = open_tiny(tiny_folders["llama"])
    deeper = {name: value for name, value in bundle.located.config.items() if name != "vocab_size"}
    bundle = replace(bundle, located=replace(bundle.located, config=deeper))
    assert not [text for text in smoke_test(bundle, text_rows(bundle)) if "loss" in text]


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
