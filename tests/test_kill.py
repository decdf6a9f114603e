"""A real process, really killed: the resumed run ends with the bits of one that was never stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desktune import durable

ROWS = '{"input": "the dog sees a cat %d", "output": "le chien voit un chat"}\n'
SETTINGS = (
    "training.max_steps=40 training.eval_steps=10 training.save_steps=5 training.logging_steps=1 "
    "training.per_device_train_batch_size=4 evaluation.smoke_test=false"
)


def train(folder: Path, output: str, *more: str) -> subprocess.Popen:
    (folder / "rows.jsonl").write_text("".join(ROWS % number for number in range(30)), encoding="utf-8")
    (folder / "desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    words = ["train", "desktune.yaml", *SETTINGS.split(), f"output.dir={output}", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "desktune", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen) -> None:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("family", ["t5", "llama"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_ends_with_the_same_bits(
    family: str, number: signal.Signals, tiny_folders: dict[str, Path], tmp_path: Path
) -> None:
    model = f"model.name={tiny_folders[family]}"
    finish(train(tmp_path, "straight", model))
    process = train(tmp_path, "killed", model)
    checkpoints = tmp_path / "killed/checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.Random(f"{family}{number}").random() * 0.15)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert all(durable.verify(folder) == [] for folder in checkpoints.glob("step-*"))
    finish(train(tmp_path, "killed", model, "--resume"))
    for name in ("model/adapter_model.safetensors", "checkpoints/step-000040/optimizer.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    losses = [
        [
            (line["step"], line["loss"])
            for line in durable.read_lines(tmp_path / run / "metrics.jsonl")
            if line["kind"] == "step"
        ]
        for run in ("straight", "killed")
    ]
    assert losses[0] == losses[1]
    assert [step for step, _ in losses[1]] == list(range(1, 41))
