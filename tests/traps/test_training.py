"""Resume and checkpoints: patience is remembered, half a checkpoint is never taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch.distributed as dist
from tests.bundles import open_tiny, text_rows
from torch.distributed.tensor import DTensor

from desktune.config.schema import AdapterSection, EvaluationSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.events import Event, Warn
from desktune.models.adapters import make_trainable
from desktune.train import checkpoint
from desktune.train.joint import Joint, join
from desktune.train.loop import Loop, Recipe, TrainingRows
from desktune.train.processes import Processes
from desktune.train.validate import Validation

Zoo = Callable[[str], Path]


def make_loop(zoo: Zoo, run: Path, **training: object) -> Loop:
    bundle = make_trainable(open_tiny(zoo("t5")), AdapterSection(type="none"), 1, lambda event: None)
    rows = EncodedSet.from_rows(text_rows(bundle))
    section = TrainingSection(**{"save_strategy": "steps", "save_steps": 1, "eval_steps": 1, **training})
    recipe = Recipe(section, EvaluationSection(), 4096, None)
    return Loop(bundle, TrainingRows(rows, rows), recipe, run, lambda event: None)


def test_patience_is_remembered_on_resume(zoo: Zoo, tmp_path: Path) -> None:
    """X20: stopped one bad validation before the end of its patience, a run ends where it would have ended."""
    options = {"learning_rate": 0.5, "warmup_ratio": 0.0, "lr_scheduler_type": "constant", "max_steps": 90,
               "early_stopping_patience": 4, "save_total_limit": 90}  # fmt: skip
    straight = make_loop(zoo, tmp_path / "a", **options).run()
    assert straight.position.stopped_early
    last = straight.position.step
    assert last < 90
    again = make_loop(zoo, tmp_path / "b", **options)
    again.resume(checkpoint.folder_of(tmp_path / "a", last - 1))
    assert again.position.bad_evaluations == 3
    assert again.run().position.step == last


@pytest.mark.parametrize("count", [1, 7, 8, 21])
@pytest.mark.parametrize("processes", [2, 3, 8])
def test_every_row_is_validated_by_one_process(count: int, processes: int, zoo: Zoo) -> None:
    """X11: rows are shared out as they are; none is repeated so that all have as many."""
    bundle = open_tiny(zoo("t5"))
    rows = (text_rows(bundle) * 5)[:count]
    recipe = Recipe(TrainingSection(), EvaluationSection(), 4096, None)
    shares = [
        Validation(bundle, rows, recipe, Joint(bundle.model, Processes(rank, rank, processes)))._mine(rows)
        for rank in range(processes)
    ]
    assert sorted(index for share in shares for index in share) == list(range(count))


def test_fsdp_shards(zoo: Zoo) -> None:
    """X22: on a CPU too each process holds a share of every weight (no second process runs here)."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    model = make_trainable(open_tiny(zoo("t5")), AdapterSection(type="none"), 1, lambda event: None).model
    total = sum(one.numel() for one in model.parameters())
    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        joint = join(model, Processes(0, 0, 2), "fsdp", unused=False)
        parameters = list(joint.forward.parameters())
        assert all(isinstance(one, DTensor) for one in parameters)
        assert 0.5 <= sum(one.to_local().numel() for one in parameters) / total < 0.55
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("file", [checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.STATE])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_half_a_checkpoint_is_passed_over(file: str, damage: str, zoo: Zoo, tmp_path: Path) -> None:
    """X21: the newest whole one is taken, and the damaged one is named."""
    make_loop(zoo, tmp_path, max_steps=2, eval_strategy="no").run()
    path = checkpoint.folder_of(tmp_path, 2) / file
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    events: list[Event] = []
    assert checkpoint.newest(tmp_path, events.append) == checkpoint.folder_of(tmp_path, 1)
    assert any(isinstance(event, Warn) and "step-000002 is damaged" in event.text for event in events)
