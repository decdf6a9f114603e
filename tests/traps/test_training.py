"""Resume and checkpoints: patience is remembered, half a checkpoint is never taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bundles import open_tiny, text_rows

from desktune.config.schema import AdapterSection, EvaluationSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.events import Event, Warn
from desktune.models.adapters import make_trainable
from desktune.train import checkpoint
from desktune.train.loop import Loop, Recipe, TrainingRows

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
