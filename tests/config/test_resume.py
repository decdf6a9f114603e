"""Every setting has a class for resuming, and the classes do what they say."""

from __future__ import annotations

from typing import Any

import pytest

from desktune.config.describe import known_keys
from desktune.config.resume import CLASSES, grown, refused
from desktune.config.schema import Config


def changed(path: tuple[str, ...], value: Any) -> Config:
    """Return the defaults with one other value; whether it is allowed does not matter here."""
    base = Config()
    if len(path) == 1:
        return base.model_copy(update={path[0]: value})
    section = base.__dict__[path[0]].model_copy(update={path[1]: value})
    return base.model_copy(update={path[0]: section})


def test_every_setting_has_one_class_and_no_class_names_what_is_not_there() -> None:
    assert set(CLASSES) == set(known_keys())
    assert len(CLASSES) > 80


@pytest.mark.parametrize("path", [path for path, kind in CLASSES.items() if kind == "locked"], ids=".".join)
def test_a_locked_setting_is_refused_with_both_values(path: tuple[str, ...]) -> None:
    said = refused(Config(), changed(path, "another"))
    assert len(said) == 1
    assert said[0].startswith(f"{'.'.join(path)}: ")
    assert said[0].endswith("→ 'another'")


@pytest.mark.parametrize(
    "path", [path for path, kind in CLASSES.items() if kind in ("free", "by content")], ids=".".join
)
def test_a_free_setting_is_not(path: tuple[str, ...]) -> None:
    assert refused(Config(), changed(path, "another")) == []


def test_a_run_may_grow_and_never_shrink() -> None:
    path = ("training", "num_train_epochs")
    assert refused(changed(path, 3), changed(path, 5)) == []
    assert grown(changed(path, 3), changed(path, 5)) == ["training.num_train_epochs: 3 → 5"]
    assert refused(changed(path, 5), changed(path, 3)) == ["training.num_train_epochs: 5 → 3 (may grow only)"]
    steps = ("training", "max_steps")
    assert refused(changed(steps, None), changed(steps, 10)) == ["training.max_steps: None → 10 (may grow only)"]
