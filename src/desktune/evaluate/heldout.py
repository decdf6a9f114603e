"""The loss on held-out rows: summed over trained tokens, divided once; it does not depend on how rows are batched."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from desktune.batches.collate import collate, shape_of
from desktune.batches.fitting import in_fitting_parts
from desktune.events import Emit, Progress, silent
from desktune.models.load import Bundle
from desktune.objective.loss import summed_loss, trained_tokens
from desktune.rows import IGNORE, Encoded


@dataclass(frozen=True)
class HeldOut:
    """Sums over rows, which several processes add up: ``nats`` of the loss over ``tokens`` that are trained.

    ``bits_per_byte`` is comparable between models whose tokenizers differ: the summed loss in bits over the UTF-8 bytes
    of what is trained. These are the bytes of the reference; of a causal row with one answer the bytes of that answer,
    of plain text all of it; of a row with several answers the bytes that the trained tokens decode to, without special
    tokens. The token that ends an answer adds loss and no byte. Rows that were cut to a length limit count in neither,
    since their bytes were cut too (``whole_nats`` and ``whole_bytes`` are without them). NaN where nothing is left.
    """

    nats: float
    tokens: float
    whole_nats: float = 0.0
    whole_bytes: float = 0

    @property
    def loss(self) -> float:
        """Nats per trained token."""
        return self.nats / max(1, self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of the references."""
        return self.whole_nats / math.log(2) / self.whole_bytes if self.whole_bytes else math.nan

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
    order = sorted(rows, key=lambda row: (row.truncated, len(row.input_ids) + len(row.labels)))
    shape = shape_of(bundle.family, bundle.tokenizer, bundle.located.config)
    sums, tokens, done = {False: 0.0, True: 0.0}, 0, 0  # by whether the rows were cut
    precision = (
        contextlib.nullcontext() if autocast_dtype is None else torch.autocast(bundle.device.type, dtype=autocast_dtype)
    )
    with evaluating(bundle.model), precision:
        for cut, chosen in _batches(order, batch_rows):

            def measure(part: Sequence[Encoded]) -> tuple[float, int]:
                batch = collate(part, shape, bundle.device)
                return summed_loss(bundle.model, batch).item(), trained_tokens(batch)

            for nats, trained in in_fitting_parts(chosen, measure, emit):
                sums[cut] += nats
                tokens += trained
            done += len(chosen)
            emit(Progress("measuring the loss", done, len(order)))
    size = sum(_trained_bytes(bundle, row) for row in order if not row.truncated)
    return HeldOut(sum(sums.values()), tokens, sums[False], size)


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


def _batches(order: Sequence[Encoded], batch_rows: int) -> Iterator[tuple[bool, list[Encoded]]]:
    """Yield batches of whole rows, then of rows that were cut."""
    for cut, group in groupby(order, key=lambda row: row.truncated):
        members = list(group)
        for start in range(0, len(members), batch_rows):
            yield cut, members[start : start + batch_rows]


def _trained_bytes(bundle: Bundle, row: Encoded) -> int:
    answers = [[label for _, label in run] for trained, run in _runs(row.labels) if trained]
    if len(answers) <= 1:
        return len(row.completion.encode())
    texts = [bundle.tokenizer.decode(answer, skip_special_tokens=True) for answer in answers]
    return sum(len(str(text).encode()) for text in texts)


def _runs(labels: Sequence[int]) -> Iterator[tuple[bool, Iterator[tuple[int, int]]]]:
    yield from groupby(enumerate(labels), key=lambda place: place[1] != IGNORE)
