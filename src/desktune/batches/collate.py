"""Encoded rows → padded tensors.

Shapes: B rows, S source tokens, T target tokens (causal: tokens of the whole sequence).
Labels are padded with ``IGNORE``, never with the padding token, so that a padding token that is also EOS stays
trained where it is EOS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from desktune.families import Family
from desktune.rows import IGNORE, Encoded


@dataclass(frozen=True, slots=True)
class Shape:
    """What collation has to know of a model."""

    encoder_decoder: bool
    pad_id: int
    decoder_start_id: int | None = None
    starts_with_last_label: bool = False  # mBART: the language behind EOS


def shape_of(family: Family, tokenizer: PreTrainedTokenizerBase, model_config: Mapping[str, Any]) -> Shape:
    """Return what collation has to know of a model with this tokenizer and ``config.json``."""
    pad_id = tokenizer.pad_token_id
    start_id: Any = model_config.get("decoder_start_token_id")
    if family.decoder_start == "bos" and start_id is None:
        start_id = tokenizer.bos_token_id
    return Shape(
        family.encoder_decoder,
        pad_id if isinstance(pad_id, int) else 0,
        start_id,
        family.decoder_start == "last label",
    )


def collate(rows: Sequence[Encoded], shape: Shape, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return ``input_ids``, ``attention_mask`` and ``labels``; for encoder-decoders also ``decoder_input_ids``.

    All are int64 of shape [B, S] or [B, T], padded on the right.
    """
    inputs_BS = pad([row.input_ids for row in rows], shape.pad_id)
    labels_BT = pad([row.labels for row in rows], IGNORE)
    lengths_B = torch.tensor([len(row.input_ids) for row in rows])
    batch = {
        "input_ids": inputs_BS,
        "attention_mask": (torch.arange(inputs_BS.shape[1])[None, :] < lengths_B[:, None]).long(),
        "labels": labels_BT,
    }
    if shape.encoder_decoder:
        batch["decoder_input_ids"] = shift_right(labels_BT, shape)
    return {name: tensor.to(device) for name, tensor in batch.items()}


def shift_right(labels_BT: Tensor, shape: Shape) -> Tensor:
    """Return what the decoder reads: what starts it, then the labels without their last; padding for ``IGNORE``."""
    inputs_BT = torch.empty_like(labels_BT)
    inputs_BT[:, 1:] = labels_BT[:, :-1]
    if shape.starts_with_last_label:
        last_B1 = (labels_BT != IGNORE).sum(dim=1, keepdim=True) - 1
        inputs_BT[:, :1] = labels_BT.gather(1, last_B1)
    elif shape.decoder_start_id is not None:
        inputs_BT[:, 0] = shape.decoder_start_id
    else:
        raise ValueError("an encoder-decoder needs decoder_start_token_id in its config")
    return inputs_BT.masked_fill(inputs_BT == IGNORE, shape.pad_id)


def pad(sequences: Sequence[Sequence[int]], filler: int, *, left: bool = False) -> Tensor:
    """Return [B, longest] int64; ``left`` puts the filler first (causal generation)."""
    longest = max(len(ids) for ids in sequences)
    padded = [
        [*[filler] * (longest - len(ids)), *ids] if left else [*ids, *[filler] * (longest - len(ids))]
        for ids in sequences
    ]
    return torch.tensor(padded, dtype=torch.int64)
