"""Packed rejects are the list of them: order, places, counts; and they take little memory."""

from __future__ import annotations

import tracemalloc

import pytest

from desktune.data.rejects import Rejects
from desktune.rows import Origin, Reject


def some(count: int) -> list[Reject]:
    return [
        Reject(
            Origin("b" if n % 3 else "a", count - n),
            ("short", "long")[n % 2],
            f"détail {n}",
            "é\ud800" if n == 5 else "x",
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 5000])
def test_they_are_a_sequence(count: int) -> None:
    plain, packed = some(count), Rejects(some(count))
    assert list(packed) == plain
    assert len(packed) == count
    assert packed[:3] == plain[:3]
    assert packed[-2:] == plain[-2:]
    if count:
        assert (packed[0], packed[-1], packed[count // 2]) == (plain[0], plain[-1], plain[count // 2])
    with pytest.raises(IndexError):
        packed[count]
    assert packed.reasons == {name: n for name, n in {"short": (count + 1) // 2, "long": count // 2}.items() if n}
    assert list(packed.in_order()) == sorted(plain, key=lambda one: (one.origin.file, one.origin.line))


def test_they_take_little_memory() -> None:
    """A hundred bytes each; objects take some 700."""
    text = "A man in a red shirt stands before a house and reads the paper. "
    tracemalloc.start()
    packed = Rejects(
        Reject(Origin("rows.jsonl", n), "clean:lexicon", f"score {n / 7:.3f}, limit 0.5", text * 3)
        for n in range(50_000)
    )
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(packed) == 50_000
    assert size < 100 * 50_000
