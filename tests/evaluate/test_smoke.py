"""The first look at a base: quiet on all starters with their own sample data, loud on models that are broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.bundles import open_tiny, text_rows

from desktune import starters
from desktune.config.schema import Config
from desktune.evaluate.smoke import smoke_test
from desktune.events import silent
from desktune.models.load import Bundle, load_base
from desktune.plan import resolve
from desktune.rows import Encoded
from desktune.session import prepare_config

EN_FR = {"source_lang": "en", "target_lang": "fr"}
FR_EN = {"source_lang": "fr", "target_lang": "en"}


def starter(model: str, task: str, samples: list[str], extra: dict[str, str]) -> tuple[Bundle, list[Encoded]]:
    data = {"train": [str(starters.sample(one)) for one in samples], "validation": 16, **extra}
    plan = resolve(Config.model_validate({"task": task, "model": {"name": model}, "data": data}), silent)
    session = prepare_config(plan, silent)
    rows = session.prepared.validation
    assert rows is not None
    base = load_base(plan.located, session.kit.tokenizer, plan.task, plan.placement)
    return base, [rows[index] for index in range(len(rows))]


@pytest.mark.parametrize(
    ("model", "task", "samples", "extra"),
    [
        ("starter:marian-en-fr", "translation", ["marine", "everyday"], EN_FR),
        ("starter:marian-fr-en", "translation", ["marine", "everyday"], FR_EN),
        ("starter:t5", "seq2seq", ["dreams"], {}),
        ("starter:t5", "seq2seq", ["chores"], {}),
        ("starter:llama", "causal", ["answers"], {}),
        ("starter:llama", "causal", ["talks"], {}),
    ],
)
def test_no_false_alarm_on_the_starters(
    model: str, task: str, samples: list[str], extra: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four rows at a time, as training does it. T5 and Llama are worse than guessing on a domain new to them."""
    monkeypatch.chdir(tmp_path)
    base, rows = starter(model, task, samples, extra)
    assert [smoke_test(base, rows[start : start + 4]) for start in range(0, len(rows), 4)] == [[]] * 4


def test_a_translator_of_the_other_direction_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told that its rows are French to English, and says French."""
    monkeypatch.chdir(tmp_path)
    base, rows = starter("starter:marian-en-fr", "translation", ["everyday"], EN_FR)
    swapped = [replace(row, completion=row.prompt, target_lang="en") for row in rows if len(row.completion) > 40][:3]
    assert len(swapped) == 3
    assert any("not in data.target_lang 'en'" in text for text in smoke_test(base, swapped))


def test_permuted_token_ids_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tokenizer of another model does."""
    monkeypatch.chdir(tmp_path)
    base, rows = starter("starter:llama", "causal", ["talks"], {})
    size = base.model.config.vocab_size
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0)).tolist()
    other = [
        replace(
            row,
            input_ids=tuple(order[token] for token in row.input_ids),
            labels=tuple(label if label < 0 else order[label] for label in row.labels),
        )
        for row in rows[:4]
    ]
    assert any("worse than guessing" in text for text in smoke_test(base, other))


@pytest.mark.parametrize("family", ["t5", "marian", "llama"])
def test_random_weights_are_found(family: str, tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders[family])
    assert smoke_test(bundle, text_rows(bundle))
