"""What a run will need on disk is known before it starts, and told from what is free."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from desktune.config.schema import TrainingSection
from desktune.errors import OutOfDisk
from desktune.events import silent
from desktune.train import checkpoint
from desktune.train.checkpoint import Position, Snapshot, named_trained
from desktune.train.optim import build_optimizer
from desktune.train.space import check_space, checkpoint_bytes, needed_bytes

Usage = namedtuple("Usage", "total used free")


def stepped(section: TrainingSection) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Sequential(torch.nn.Embedding(300, 64), torch.nn.Linear(64, 300))
    model[0].weight.requires_grad_(False)
    optimizer = build_optimizer(named_trained(model), section)
    model(torch.arange(4)).sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.mark.parametrize(
    ("optim", "arguments"),
    [("adamw", {}), ("adamw", {"amsgrad": True}), ("adafactor", {}), ("sgd", {}), ("sgd", {"momentum": 0.9})],
)
def test_a_checkpoint_has_the_size_that_was_foretold(optim: Any, arguments: dict, tmp_path: Path) -> None:
    section = TrainingSection(optim=optim, optim_args=arguments)
    model, optimizer = stepped(section)
    foretold = checkpoint_bytes(named_trained(model), section)
    folder = checkpoint.save(tmp_path, Snapshot.of(model, optimizer), Position(step=1), silent)
    found = sum(file.stat().st_size for file in folder.iterdir())
    assert found == pytest.approx(foretold, rel=0.03, abs=1500)


def test_what_is_there_already_is_not_asked_for_again(tmp_path: Path) -> None:
    section = TrainingSection(save_total_limit=2)
    model, optimizer = stepped(section)
    before = needed_bytes(model, section, tmp_path)
    folder = checkpoint.save(tmp_path, Snapshot.of(model, optimizer), Position(step=1), silent)
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert needed_bytes(model, section, tmp_path) == before - size


def test_a_full_disk_is_told_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = TrainingSection()
    model, _ = stepped(section)
    wanted = needed_bytes(model, section, tmp_path)
    for free, fits in ((wanted, True), (wanted - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(10**12, 0, free))
        if fits:
            check_space(model, section, tmp_path)
            continue
        with pytest.raises(OutOfDisk, match=r"save_total_limit\) needs 1[67] MiB, 1[67] MiB are free") as caught:
            check_space(model, section, tmp_path)
        assert caught.value.exit_code == 4
