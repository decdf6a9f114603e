"""A run that ends anywhere and goes on is the run that never ended: to the bit, without a gap or repeat in its log."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.torture.resume import PLACES, every_step, matrix_trial
from tests.train.loops import ADAPTERS, FAMILIES, OPTIMIZERS, SCHEDULES

SQUARE = [  # every task with every optimizer, schedule and place; both kinds of weights
    (
        task,
        ("lora", "full")[(row + column) % 2],
        OPTIMIZERS[column],
        SCHEDULES[(row + column) % 3],
        PLACES[column - row],
    )
    for row, task in enumerate(FAMILIES)
    for column in range(3)
]


@pytest.mark.parametrize(("task", "adapter", "optimizer", "schedule", "at"), SQUARE)
def test_goes_on_where_it_ended(
    task: str, adapter: str, optimizer: str, schedule: str, at: str, tiny_folders: dict[str, Path], tmp_path: Path
) -> None:
    assert matrix_trial(tiny_folders[FAMILIES[task]], tmp_path, (adapter, optimizer, schedule), at)


@pytest.mark.slow
@pytest.mark.parametrize("task", FAMILIES)
def test_the_whole_matrix(task: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    cases = list(itertools.product(ADAPTERS, OPTIMIZERS, SCHEDULES))
    for number, case in enumerate(cases):
        place = tmp_path / str(number)
        assert matrix_trial(tiny_folders[FAMILIES[task]], place, case, PLACES[number % 3]), case


@pytest.mark.slow
@pytest.mark.parametrize(("task", "adapter"), [("seq2seq", "lora"), ("causal", "full")])
def test_every_one_of_forty_steps(task: str, adapter: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    assert every_step(tiny_folders[FAMILIES[task]], tmp_path, adapter) == 40
