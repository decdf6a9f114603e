"""The loss of a batch: *summed* over trained tokens, in nats and float32; who sums several batches divides once.

Shapes: B rows, T tokens, V vocabulary. The models' own ``labels=`` argument is not used: it averages per batch, which
weighs short batches too much, and it scales gradients with the accumulation steps in some families.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from desktune.rows import IGNORE


def summed_loss(model: Any, batch: dict[str, Tensor], smoothing: float = 0.0) -> Tensor:
    """Return the scalar float32 sum of the cross-entropy over the labels that are not ``IGNORE``.

    Args:
        model: Encoder-decoder or causal model, or a peft model around one.
        batch: From ``batches.collate``; ``decoder_input_ids`` tells an encoder-decoder.
        smoothing: Label smoothing as in torch's ``cross_entropy`` (Szegedy et al. 2016).
    """
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits_BTV = model(**inputs, use_cache=False).logits
    labels_BT = batch["labels"]
    if "decoder_input_ids" not in batch:  # causal: position t answers token t + 1
        logits_BTV, labels_BT = logits_BTV[:, :-1], labels_BT[:, 1:]
    return cross_entropy(
        logits_BTV.reshape(-1, logits_BTV.shape[-1]).float(),
        labels_BT.reshape(-1),
        ignore_index=IGNORE,
        reduction="sum",
        label_smoothing=smoothing,
    )


def trained_tokens(batch: dict[str, Tensor]) -> int:
    """Return how many labels of a batch count in ``summed_loss``."""
    labels_BT = batch["labels"]
    if "decoder_input_ids" not in batch:
        labels_BT = labels_BT[:, 1:]
    return int(torch.count_nonzero(labels_BT != IGNORE))
