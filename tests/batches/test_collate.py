"""Padded tensors: labels never padded with the padding token, decoder inputs as transformers makes them."""

import torch

from desktune.batches.collate import Shape, collate, pad, shift_right
from desktune.rows import IGNORE, Encoded, Origin


def row(inputs: list[int], labels: list[int]) -> Encoded:
    return Encoded(Origin("x", 1), tuple(inputs), tuple(labels), len(inputs), "", "")


def test_encoder_decoder_batch() -> None:
    batch = collate([row([5, 6, 1], [7, 1]), row([5, 1], [8, 9, 1])], Shape(True, pad_id=0, decoder_start_id=2))
    assert batch["input_ids"].tolist() == [[5, 6, 1], [5, 1, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[7, 1, IGNORE], [8, 9, 1]]
    assert batch["decoder_input_ids"].tolist() == [[2, 7, 1], [2, 8, 9]]


def test_pad_that_is_eos_stays_trained_where_it_is_eos() -> None:
    batch = collate([row([4, 1], [IGNORE, 1]), row([4, 4, 1], [IGNORE, 4, 1])], Shape(False, pad_id=1))
    assert batch["labels"].tolist() == [[IGNORE, 1, IGNORE], [IGNORE, 4, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert "decoder_input_ids" not in batch


def test_real_pad_token_inside_the_text_is_attended() -> None:
    batch = collate([row([0, 5], [0, 5])], Shape(False, pad_id=0))
    assert batch["attention_mask"].tolist() == [[1, 1]]


def test_shift_right_equals_transformers() -> None:
    from transformers.models.marian.modeling_marian import shift_tokens_right

    labels = torch.tensor([[5, 6, 7, IGNORE], [5, IGNORE, IGNORE, IGNORE]])
    ours = shift_right(labels, Shape(True, pad_id=9, decoder_start_id=9))
    assert ours.tolist() == shift_tokens_right(labels, 9, 9).tolist()


def test_pad_left() -> None:
    assert pad([[1], [2, 3]], 0, left=True).tolist() == [[0, 1], [2, 3]]
