"""Two runs compared: weights, optimizer and position to the bit, metrics line by line without gap or repeat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from desktune import durable

TIMES = ("time", "tokens_per_second", "seconds_left", "memory_bytes", "crc")  # what a clock says, and the sum over it


def lines_of(run: Path) -> list[dict[str, Any]]:
    """Return the metrics of a run without what a clock says."""
    return [
        {name: value for name, value in line.items() if name not in TIMES}
        for line in durable.read_lines(run / "metrics.jsonl")
    ]


def samples_of(run: Path) -> list[dict[str, Any]]:
    """Return the samples of a run without what a clock says."""
    path = run / "samples.jsonl"
    lines = durable.read_lines(path) if path.exists() else []
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def differences(run: Path, other: Path) -> list[str]:
    """Return what differs between two finished runs; nothing when they are the same run."""
    found = []
    last = sorted((other / "checkpoints").glob("step-*"))[-1].name
    model = sorted(path.name for path in (other / "model").iterdir() if path.suffix == ".safetensors")
    for name in [
        *(f"model/{one}" for one in model),
        f"checkpoints/{last}/weights.safetensors",
        f"checkpoints/{last}/optimizer.safetensors",
    ]:
        mine = run / name
        if not mine.is_file() or mine.read_bytes() != (other / name).read_bytes():
            found.append(f"{name} differs")
    state = f"checkpoints/{last}/state.json"
    if not (run / state).is_file() or json.loads((run / state).read_text()) != json.loads((other / state).read_text()):
        found.append(f"{state} differs")
    for what, read in (("metrics", lines_of), ("samples", samples_of)):
        if read(run) != read(other):
            found.append(f"{what}.jsonl differs: {len(read(run))} and {len(read(other))} lines")
    return found + [fault for folder in (run / "checkpoints").glob("step-*") for fault in durable.verify(folder)]
