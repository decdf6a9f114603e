"""Rows of like length together against random rows: the same rows, the same model, trained tokens per CPU-second.

    python benches/order.py DATA.en DATA.fr [--rows 2000] [--rounds 3]

Both arms run in turn in this process on one thread; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from desktune.batches.collate import Shape, collate
from desktune.batches.order import StepSize, epoch_steps
from desktune.config.schema import ModelSection
from desktune.models.load import Placement, load_base, load_tokenizer, locate
from desktune.objective.loss import summed_loss
from desktune.rows import Encoded, Origin

ROWS_PER_STEP = 16


def main() -> None:
    """Print tokens/s of both arms and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    located = locate(ModelSection(name="starter:marian-en-fr"))
    tokenizer = load_tokenizer(located)
    bundle = load_base(located, tokenizer, "translation", Placement(torch.device("cpu"), torch.float32))
    lines = zip(
        options.source.read_text("utf-8").splitlines(), options.target.read_text("utf-8").splitlines(), strict=True
    )
    rows = [encode(tokenizer, *pair) for _, pair in zip(range(options.rows), lines, strict=False)]
    lengths = np.array([len(row.input_ids) + len(row.labels) for row in rows])
    grouped = epoch_steps(lengths, 1, 0, StepSize(ROWS_PER_STEP))
    shuffled = np.array_split(np.random.default_rng(1).permutation(len(rows)), len(grouped))
    shape = Shape(True, tokenizer.pad_token_id, located.config["decoder_start_token_id"])
    speeds: dict[str, list[float]] = {"random": [], "grouped": []}
    for _ in range(options.rounds):
        for name, steps in (("random", shuffled), ("grouped", grouped)):
            speeds[name].append(speed(bundle.model, rows, steps, shape))
    for name, values in speeds.items():
        rounds = ", ".join(f"{value:.0f}" for value in values)
        print(f"{name:8} {statistics.median(values):8.0f} tokens per CPU-second (rounds: {rounds})")
    print(f"ratio    {statistics.median(speeds['grouped']) / statistics.median(speeds['random']):8.2f}")


def encode(tokenizer: object, source: str, target: str) -> Encoded:
    """Return a pair as token ids."""
    ids = tokenizer(source, text_target=target)  # type: ignore[operator]
    return Encoded(
        Origin("bench", 1), tuple(ids["input_ids"]), tuple(ids["labels"]), len(ids["input_ids"]), source, target
    )


def speed(model: torch.nn.Module, rows: list[Encoded], steps: list[np.ndarray], shape: Shape) -> float:
    """Return source and target tokens (without padding) per CPU-second of forward and backward over all steps."""
    started, tokens = time.process_time(), 0
    for step in steps:
        chosen = [rows[index] for index in step]
        loss = summed_loss(model, collate(chosen, shape))
        loss.backward()
        model.zero_grad()
        tokens += sum(len(row.input_ids) + len(row.labels) for row in chosen)
    return tokens / (time.process_time() - started)


if __name__ == "__main__":
    main()
