from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import numpy as np
import pytest

from desktune.data.split import KEY, held_out
from desktune.errors import DataError
from desktune.events import Decision, Emit, silent


@dataclass(frozen=True)
class Row:
    key: str
    number: int


def split(data: list[Row], wanted: float | int, seed: int, emit: Emit = silent) -> tuple[list[Row], list[Row]]:
    keys = np.array([hashlib.sha256(row.key.encode()).digest() for row in data], KEY)
    held = held_out(keys, wanted, seed, emit)
    return [row for row, out in zip(data, held, strict=True) if not out], [
        row for row, out in zip(data, held, strict=True) if out
    ]


def rows(sizes: list[int], seed: int = 0) -> list[Row]:
    keys = [str(group) for group, size in enumerate(sizes) for _ in range(size)]
    random.Random(seed).shuffle(keys)
    return [Row(key, number) for number, key in enumerate(keys)]


@pytest.mark.parametrize("count", [2, 3, 5, 10, 11, 99, 1000])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.2, 0.5])
def test_shares_are_exact(count: int, share: float) -> None:
    train, held = split(rows([1] * count), share, 42)
    assert len(held) == max(round(share * count), 1)
    assert len(train) + len(held) == count


@pytest.mark.parametrize(
    ("sizes", "wanted", "found"),
    [
        ([1] * 20, 7, 7),
        ([5, 5, 5, 1], 6, 6),
        ([7, 4, 3], 7, 7),  # 7 or 4 + 3, whichever order comes
        ([6, 10, 15], 16, 16),
        ([4, 4, 4], 5, 4),  # nearest that can be
        ([9, 2], 1, 2),
        ([10] * 5, 1, 0),
        ([1] * 10, 0, 0),
    ],
)
def test_sizes_are_hit_where_groups_allow(sizes: list[int], wanted: int, found: int) -> None:
    for seed in range(10):
        said: list[object] = []
        train, held = split(rows(sizes, seed), wanted, seed, said.append)
        assert len(held) == found
        assert not {row.key for row in train} & {row.key for row in held}
        assert bool(said) == (found != wanted)
        assert all(isinstance(event, Decision) for event in said)


def test_many_random_splits_never_straddle() -> None:
    rng = random.Random(1)
    for seed in range(200):
        data = rows([rng.choice([1, 1, 1, 2, 3, 8]) for _ in range(rng.randint(2, 40))], seed)
        wanted = rng.randint(0, len(data) // 2)
        train, held = split(data, wanted, seed)
        assert not {row.key for row in train} & {row.key for row in held}
        assert sorted([*train, *held], key=lambda row: row.number) == data
        assert [row.number for row in train] == sorted(row.number for row in train)
        if sum(row.key not in {other.key for other in data if other is not row} for row in data) >= wanted:
            assert len(held) == wanted


def test_no_order_of_files_changes_the_split() -> None:
    data = rows([1] * 50)
    held = {row.key for row in split(data, 0.2, 7)[1]}
    assert {row.key for row in split(data[::-1], 0.2, 7)[1]} == held
    assert {row.key for row in split(data, 0.2, 8)[1]} != held


@pytest.mark.parametrize(("sizes", "wanted"), [([1] * 5, 5), ([1], 1), ([1] * 3, 10)])
def test_something_is_left_to_train_on(sizes: list[int], wanted: int) -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        split(rows(sizes), wanted, 0)
