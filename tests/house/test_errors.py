"""Every user error renders as one clear message with its own exit code."""

import inspect

import pytest

from desktune import errors
from desktune.errors import ConfigError, DesktuneError, FailedElsewhere, MissingExtra, Stopped, nearest

EXIT_CODES = {"Diverged": 3, "OutOfDisk": 4, "OutOfMemory": 5, "DiskFault": 74, "Locked": 75}
CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, DesktuneError) and one is not DesktuneError
]


def make(kind: type[DesktuneError]) -> DesktuneError:
    if kind is MissingExtra:
        return MissingExtra("wandb", "track", "report_to: wandb")
    if kind is FailedElsewhere:
        return FailedElsewhere(2)
    return Stopped("stopped by SIGTERM", 15) if kind is Stopped else kind("what: where; allowed: this")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_renders_with_its_exit_code(kind: type[DesktuneError]) -> None:
    error = make(kind)
    assert str(error).strip()
    assert error.exit_code == (143 if kind is Stopped else EXIT_CODES.get(kind.__name__, 2))


def test_the_tree_in_the_docstring_is_complete() -> None:
    assert [kind.__name__ for kind in CLASSES if f" {kind.__name__} " not in (errors.__doc__ or "")] == []


def test_all_faults_of_a_config_at_once() -> None:
    assert str(ConfigError(["a.yaml:1: x", "a.yaml:2: y"])) == "a.yaml:1: x\na.yaml:2: y"


def test_missing_extra_says_the_command() -> None:
    assert "pip install 'desktune[track]'" in str(make(MissingExtra))


def test_nearest() -> None:
    assert nearest("lerning_rate", ["learning_rate", "loss"]) == "; did you mean 'learning_rate'?"
    assert nearest("zzz", ["learning_rate"]) == ""
