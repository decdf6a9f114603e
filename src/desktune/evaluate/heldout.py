"""The loss on held-out rows: summed over trained tokens, divided once; it does not depend on how rows are batched."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from desktune.batches.collate import collate, shape_of
from desktune.events import Emit, Progress, silent
from desktune.models.load import Bundle
from desktune.objective.loss import summed_loss, trained_tokens
from desktune.rows import Encoded


@dataclass(frozen=True)
class HeldOut:
    """Mean loss in nats per trained token."""

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return math.exp(min(self.loss, 700.0))


def heldout_loss(
    bundle: Bundle,
    rows: Sequence[Encoded],
    batch_rows: int,
    emit: Emit = silent,
    autocast_dtype: torch.dtype | None = None,
) -> HeldOut:
    """Measure the loss of a model on rows, leaving its mode and every random state as they were."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids) + len(rows[index].labels))
    shape, total, tokens = shape_of(bundle.family, bundle.tokenizer, bundle.located.config), 0.0, 0
    precision = (
        contextlib.nullcontext() if autocast_dtype is None else torch.autocast(bundle.device.type, dtype=autocast_dtype)
    )
    with evaluating(bundle.model), precision:
        for start in range(0, len(order), batch_rows):
            batch = collate([rows[index] for index in order[start : start + batch_rows]], shape, bundle.device)
            total += summed_loss(bundle.model, batch).item()
            tokens += trained_tokens(batch)
            emit(Progress("measuring the loss", min(start + batch_rows, len(order)), len(order)))
    return HeldOut(total / max(1, tokens), tokens)


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode without gradients, and back."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)
