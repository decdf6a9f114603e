"""The figures of ``docs/proof.md``, asserted: three families in the quick suite, all of them in the slow one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bundles import FAMILIES
from tests.proof.measure import (
    FULL,
    LORA,
    against_reference,
    decay_apart,
    gradient_spread,
    gradient_spread_of_two,
    merged,
    saved_twice,
)
from tests.zoo import BUILDERS

from desktune.config.schema import AdapterSection

Zoo = Callable[[str], Path]
EVERY = [pytest.param(name, marks=[] if name in FAMILIES else pytest.mark.slow) for name in BUILDERS]


@pytest.mark.parametrize("adapter", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("name", EVERY)
def test_losses_and_weights_are_those_of_the_reference(name: str, adapter: AdapterSection, zoo: Zoo) -> None:
    found = against_reference(zoo(name), adapter)
    assert found.loss <= 1e-5
    assert found.weights <= 1e-3


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_other_schedules_and_sgd(schedule: str, zoo: Zoo) -> None:
    options = {"lr_scheduler_type": schedule, "optim": "sgd", "warmup_steps": 3, "learning_rate": 0.1}
    found = against_reference(zoo("marian"), FULL, label_smoothing_factor=0.1, **options)
    assert found.loss <= 1e-5
    assert found.weights <= 1e-3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("t5", {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 11}),  # an epoch's last step: 2 rows
        ("llama", {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 11}),
        ("t5", {"tokens_per_step": 150, "gradient_accumulation_steps": 3}),
        ("llama", {"label_smoothing_factor": 0.1}),
    ],
    ids=["short-step", "short-step-causal", "tokens", "smoothing-causal"],
)
def test_other_steps_and_losses(name: str, options: dict[str, Any], zoo: Zoo) -> None:
    found = against_reference(zoo(name), FULL, max_steps=9, **options)
    assert found.loss <= 1e-5
    assert found.weights <= 1e-3


@pytest.mark.parametrize("adapter", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("name", EVERY)
def test_the_same_weights_decay(name: str, adapter: AdapterSection, zoo: Zoo) -> None:
    assert decay_apart(zoo(name), adapter) == []


@pytest.mark.parametrize("name", EVERY)
def test_gradient_does_not_depend_on_how_it_is_cut(name: str, zoo: Zoo) -> None:
    assert gradient_spread(zoo(name)) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_gradient_of_two_processes_is_that_of_one(name: str, zoo: Zoo, tmp_path: Path) -> None:
    assert gradient_spread_of_two(zoo(name), tmp_path) <= 1e-6


@pytest.mark.parametrize("name", EVERY)
def test_merged_folder_in_plain_transformers(name: str, zoo: Zoo, tmp_path: Path) -> None:
    found = merged(zoo(name), tmp_path)
    assert found.logit <= 1e-5 * max(1.0, found.largest)
    assert found.greedy == 1.0


@pytest.mark.parametrize("name", EVERY)
def test_saved_twice_are_the_same_bytes(name: str, zoo: Zoo, tmp_path: Path) -> None:
    assert saved_twice(zoo(name), tmp_path)
