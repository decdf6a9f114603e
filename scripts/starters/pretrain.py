"""Pretraining of a tiny model on generated text: batches of like length, AdamW, warm-up and cosine, one thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

Row = tuple[list[int], list[int]]  # encoder-decoder: source, labels; causal: ids, labels (-100: context)


@dataclass(frozen=True)
class Training:
    """How long and how fast."""

    steps: int  # the learning rate's plan
    rate: float = 1.5e-3
    warmup: int = 400
    batch_tokens: int = 3000
    weight_decay: float = 0.01
    stop: int | None = None  # end before the plan does


def pretrain(
    model: torch.nn.Module,
    rows: Iterator[list[Row]],
    collate: Callable[[Sequence[Row]], dict],
    training: Training,
    report: Callable[[int, float], None],
) -> float:
    """Train for ``training.steps``; ``rows`` yields chunks of encoded rows without end. Returns minutes."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.rate, betas=(0.9, 0.98), weight_decay=training.weight_decay
    )
    batches = batches_of(rows, training.batch_tokens)
    started, running = time.monotonic(), 0.0
    model.train()
    for step in range(training.stop or training.steps):
        for group in optimizer.param_groups:
            group["lr"] = training.rate * factor(step, training)
        batch = collate(next(batches))
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits
        if "decoder_input_ids" not in batch:
            logits, labels = logits[:, :-1], labels[:, 1:]
        loss = cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running += loss.item()
        if (step + 1) % 250 == 0:
            print(
                f"step {step + 1} loss {running / 250:.4f} minutes {(time.monotonic() - started) / 60:.1f}", flush=True
            )
            running = 0.0
        if (step + 1) % 2500 == 0 and step + 1 < training.steps:
            model.eval()
            report(step + 1, (time.monotonic() - started) / 60)
            model.train()
    model.eval()
    return (time.monotonic() - started) / 60


def factor(step: int, training: Training) -> float:
    if step < training.warmup:
        return (step + 1) / training.warmup
    progress = (step - training.warmup) / max(1, training.steps - training.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def batches_of(chunks: Iterator[list[Row]], tokens: int) -> Iterator[list[Row]]:
    generator = torch.Generator().manual_seed(1)
    for chunk in chunks:
        rows = sorted(chunk, key=lambda row: len(row[0]) + len(row[1]))
        batches, batch, longest = [], [], 0
        for row in rows:
            longest = max(longest, len(row[0]) + len(row[1]))
            if batch and longest * (len(batch) + 1) > tokens:
                batches.append(batch)
                batch, longest = [], len(row[0]) + len(row[1])
            batch.append(row)
        batches.append(batch)
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[index]
