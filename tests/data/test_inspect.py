"""What a tokenizer loses is shown; what it keeps comes back on every kind of tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bundles import open_tiny, text_rows
from tests.zoo import BUILDERS

from desktune.batches.collate import collate, shape_of
from desktune.config.schema import DataSection
from desktune.data.encode import Kit, encode
from desktune.data.inspect import round_trips, tensor_table, trip_table
from desktune.rows import IGNORE, Encoded, Origin, Rendered

Zoo = Callable[[str], Path]


def kit_of(folder: Path) -> tuple[Kit, list[Encoded]]:
    bundle = open_tiny(folder)
    return Kit.of(bundle.tokenizer, bundle.family, bundle.task), text_rows(bundle)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in ("llama", "qwen3")])
def test_known_texts_come_back(name: str, zoo: Zoo) -> None:
    kit, rows = kit_of(zoo(name))
    trips = [trip for row in rows for trip in round_trips(row, kit)]
    assert trips
    assert [trip.difference() for trip in trips if not trip.same] == []


def test_lost_signs_are_shown(zoo: Zoo) -> None:
    kit, _ = kit_of(zoo("t5"))
    row = Rendered(Origin("rows", 1), "pair", "the dog\n sees €", "le chien")
    (encoded,) = encode([row], kit, DataSection())
    assert isinstance(encoded, Encoded)
    source, target = round_trips(encoded, kit)
    assert target.same
    assert not source.same
    assert {"⏎" in source.difference(), "€" in source.difference()} == {True}
    (cells, _) = trip_table([encoded], kit).rows
    assert cells[1] == "0 of 1"
    assert float(cells[2].rstrip("%")) > 0
    assert "⏎ 1" in cells[3]


def test_tensors_of_a_batch(zoo: Zoo) -> None:
    bundle = open_tiny(zoo("t5"))
    batch = collate(text_rows(bundle)[:2], shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
    table = tensor_table(batch, {"labels": IGNORE})
    shapes = {row[0]: row[1] for row in table.rows}
    assert shapes["input_ids"] == " × ".join(map(str, batch["input_ids"].shape))
    share = (batch["labels"] == IGNORE).float().mean()
    assert next(row for row in table.rows if row[0] == "labels")[4] == f"{share:.1%} are -100"
