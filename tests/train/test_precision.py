"""bfloat16 on the CPU: adapters stay float32 over a bfloat16 base, full weights stay float32 under autocast."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.bundles import FAMILIES, open_tiny, text_rows

from desktune.config.schema import AdapterSection, EvaluationSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.events import Event, Step
from desktune.models.adapters import make_trainable
from desktune.models.load import Placement, load_base
from desktune.train import checkpoint
from desktune.train.loop import Loop, Recipe, TrainingRows


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["lora", "none"])
def test_bfloat16_trains_float32_weights(family: str, kind: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    plain = open_tiny(tiny_folders[family])
    weights = torch.bfloat16 if kind == "lora" else torch.float32
    bundle = load_base(plain.located, plain.tokenizer, plain.task, Placement(torch.device("cpu"), weights))
    bundle = make_trainable(bundle, AdapterSection(type=kind, r=4), 1, lambda event: None)
    assert {parameter.dtype for _, parameter in checkpoint.named_trained(bundle.model)} == {torch.float32}
    rows = TrainingRows(EncodedSet.from_rows(text_rows(plain)), EncodedSet.from_rows(text_rows(plain)[:2]))
    section = TrainingSection(max_steps=30, learning_rate=2e-2, eval_steps=15, save_steps=30, logging_steps=5)
    events: list[Event] = []
    Loop(bundle, rows, Recipe(section, EvaluationSection(), 4096, torch.bfloat16), tmp_path, events.append).run()
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert losses[-1] < losses[0] - 0.05
    saved = load_file(checkpoint.folder_of(tmp_path, 30) / checkpoint.WEIGHTS)
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
