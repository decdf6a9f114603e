"""Order of rows: a pure function, each row once per epoch, like lengths together, micro-batches within their budget."""

import numpy as np
import pytest

from desktune.batches.order import Order, StepSize, epoch_steps, micro_batches


def lengths_of(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, 80, size=rows)


@pytest.mark.parametrize(
    "size", [StepSize(8), StepSize(1), StepSize(64), StepSize(8, tokens=500), StepSize(8, tokens=1)]
)
@pytest.mark.parametrize("rows", [1, 7, 8, 500, 1003])
def test_every_row_once_per_epoch(size: StepSize, rows: int) -> None:
    steps = epoch_steps(lengths_of(rows), 42, 0, size)
    assert sorted(np.concatenate(steps).tolist()) == list(range(rows))
    assert all(len(step) for step in steps)


def test_pure_and_different_by_epoch_and_seed() -> None:
    lengths = lengths_of(300)
    order = [epoch_steps(lengths, seed, epoch, StepSize(8)) for seed, epoch in [(1, 0), (1, 0), (1, 1), (2, 0)]]
    flat = [np.concatenate(steps).tolist() for steps in order]
    assert flat[0] == flat[1]
    assert flat[0] != flat[2] != flat[3] != flat[0]


def test_like_lengths_stand_together() -> None:
    lengths = lengths_of(2000)
    spread = [np.ptp(lengths[step]) for step in epoch_steps(lengths, 42, 0, StepSize(8))]
    at_random = [np.ptp(lengths[step]) for step in np.random.default_rng(1).permutation(2000).reshape(-1, 8)]
    assert np.mean(spread) < np.mean(at_random) / 5


def test_tokens_per_step_are_a_ceiling() -> None:
    lengths = lengths_of(400)
    steps = epoch_steps(lengths, 42, 0, StepSize(8, tokens=600))
    assert max(lengths[step].sum() for step in steps) <= 600
    assert np.mean([lengths[step].sum() for step in steps]) > 450


@pytest.mark.parametrize("size", [StepSize(8), StepSize(8, tokens=300)])
def test_order_gives_any_step_directly(size: StepSize) -> None:
    lengths = lengths_of(101)
    order = Order(lengths, 7, size)
    all_steps = [(epoch, step.tolist()) for epoch in range(4) for step in epoch_steps(lengths, 7, epoch, size)]
    total = order.steps_in(4)
    assert total == len(all_steps)
    for number in np.random.default_rng(0).permutation(total):
        fresh = Order(lengths, 7, size)  # as a resumed process would
        epoch, rows = fresh.rows_of(int(number))
        assert (epoch, rows.tolist()) == all_steps[number]


def test_epochs_in_fractions() -> None:
    order = Order(lengths_of(100), 7, StepSize(8))
    assert [order.steps_in(epochs) for epochs in (0.01, 0.5, 1, 1.5, 3)] == [1, 7, 13, 20, 39]
    assert order.epoch_at(13) == 1.0
    assert order.ends_epoch(26)
    assert not order.ends_epoch(25)


@pytest.mark.parametrize("budget", [1, 50, 200, 1000, 20_000])
def test_micro_batches_hold_the_budget(budget: int) -> None:
    inputs, labels = lengths_of(64, 1), lengths_of(64, 2)
    step = np.arange(64)
    batches = micro_batches(step, inputs, labels, budget)
    assert sorted(row for rows in batches for row in rows) == step.tolist()
    for rows in batches:
        padded = len(rows) * int(inputs[rows].max() + labels[rows].max())
        assert padded <= budget or len(rows) == 1
    if budget == 20_000:
        assert len(batches) == 1
