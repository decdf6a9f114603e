"""Bits per byte: the loss of whole rows over the bytes of what is trained."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bundles import FAMILIES, PAIRS, open_tiny, text_rows

from desktune.evaluate.heldout import heldout_loss
from desktune.rows import IGNORE


@pytest.mark.parametrize("family", FAMILIES)
def test_bits_per_byte_are_those_of_the_references(family: str, tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders[family])
    found = heldout_loss(bundle, text_rows(bundle), 2)
    size = sum(len(target.encode()) for _, target in PAIRS)
    assert found.bits_per_byte == pytest.approx(found.loss * found.tokens / math.log(2) / size)
    assert found.perplexity == pytest.approx(math.exp(found.loss))


def test_rows_that_were_cut_count_in_the_loss_alone(tiny_t5: Path) -> None:
    bundle = open_tiny(tiny_t5)
    rows = text_rows(bundle)
    cut = [replace(row, truncated=place > 1) for place, row in enumerate(rows)]
    found, whole = heldout_loss(bundle, cut, 2), heldout_loss(bundle, rows[:2], 2)
    assert found.bits_per_byte == pytest.approx(whole.bits_per_byte)
    assert found.loss == pytest.approx(heldout_loss(bundle, rows, 2).loss)
    assert math.isnan(heldout_loss(bundle, cut[2:], 2).bits_per_byte)


def test_several_answers_count_the_bytes_of_all_of_them(tiny_llama: Path) -> None:
    """``completion`` holds the first answer only."""
    bundle = open_tiny(tiny_llama)
    ids = [bundle.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("my house", "two men", "a cat")]
    inputs = [token for part in ids for token in part]
    labels = [*ids[0], *[IGNORE] * len(ids[1]), *ids[2]]
    row = replace(
        text_rows(bundle)[0],
        input_ids=(bundle.tokenizer.eos_token_id, *inputs),
        labels=(IGNORE, *labels),
        completion="my house",
    )
    found = heldout_loss(bundle, [row], 1)
    size = len("my house") + len("a cat")
    assert found.bits_per_byte == pytest.approx(found.loss * found.tokens / math.log(2) / size)
