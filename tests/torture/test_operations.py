"""A kill before, after and in the middle of every operation of a run's life; an error in place of every one."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from desktune import durable, runs
from desktune.errors import DesktuneError, DiskFault, OutOfDisk, RunError
from desktune.torture.faults import ERRORS, KILLS, Fault, How
from tests.torture.script import LAST, faults, folder_of, live

STAYING = tuple(f"{durable.STAGING_PREFIX}{why}-" for why in ("removed", "old"))
EXPECTED: dict[str, type[DesktuneError]] = {"ENOSPC": OutOfDisk, "EIO": DiskFault, "EACCES": RunError}


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many operations the run has."""
    counting = Fault(10**9, "EIO")
    with durable.watch(counting):
        live(tmp_path_factory.mktemp("counted"))
    return counting.count


def killed(root: Path, fault: Fault) -> dict[str, int]:
    """Live in a process that the fault ends; returns what it had promised."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with durable.watch(fault):
            live(root, lambda what, step: os.write(writing, f"{what} {step}\n".encode()))
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as lines:
        promised = {what: int(step) for what, step in (line.split() for line in lines)}
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == -signal.SIGKILL, f"the run ended with {status} before operation {fault.number}"
    return promised


def survives(root: Path, promised: dict[str, int]) -> list[str]:
    """What is wrong with the folder now, and after a next run went on with it to the end."""
    found = faults(root, promised)
    live(root)
    found += faults(root, {"config": 0, "checkpoint": LAST, "model": LAST, "finished": LAST})
    return found


def kill_at(root: Path, number: int, how: How) -> list[str]:
    found = survives(root, killed(root, Fault(number, how)))
    shutil.rmtree(root)
    return [f"{how} operation {number}: {text}" for text in found]


def fail_at(root: Path, number: int, how: How, *, lasting: bool) -> list[str]:
    """Live with an error in the same process; the error has to be one of ours, or the work was not touched by it."""
    promised: dict[str, int] = {}
    fault = Fault(number, how, lasting=lasting)
    found = []
    try:
        with durable.watch(fault):
            live(root, promised.__setitem__)
    except EXPECTED[how.split()[0]]:
        pass
    else:
        removal = fault.hit is not None and fault.hit.kind in ("unlink", "rmdir")
        of_lock = fault.hit is not None and fault.hit.path.name == runs.LOCK
        found = [] if removal or of_lock else [f"no error of ours at {fault.hit}"]
    left = [path.name for path in root.rglob(f"{durable.STAGING_PREFIX}*") if not lasting]
    if fault.hit and fault.hit.kind == "sync_folder":  # whole folders stay until a sync of their rename succeeds
        left = [name for name in left if not name.startswith(STAYING)]
    left = [name for name in left if fault.hit and name not in str(fault.hit.path)]  # what could not be removed
    found += [f"left at once: {name}" for name in left] + survives(root, promised)
    shutil.rmtree(root)
    return [f"{how} at operation {number}: {text}" for text in found]


def test_kills_at_some_operations(operations: int, ram: Path) -> None:
    chance = random.Random(1)
    trials = [(chance.randrange(operations), KILLS[number % 3]) for number in range(36)]
    assert sum((kill_at(ram / "root", *trial) for trial in trials), []) == []


def test_errors_at_some_operations(operations: int, ram: Path) -> None:
    chance = random.Random(2)
    trials = [(chance.randrange(operations), ERRORS[number % 4], number % 8 > 3) for number in range(40)]
    found = sum((fail_at(ram / "root", at, how, lasting=stays) for at, how, stays in trials), [])
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("how", KILLS)
def test_a_kill_at_every_operation(how: How, operations: int, ram: Path) -> None:
    found = sum((kill_at(ram / "root", number, how) for number in range(operations)), [])
    print(f"{how} each of {operations} operations: {len(found)} faults")
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("how", ERRORS)
def test_an_error_at_every_operation(how: How, lasting: bool, operations: int, ram: Path) -> None:
    found = sum((fail_at(ram / "root", number, how, lasting=lasting) for number in range(operations)), [])
    print(f"{how}{' that stays' if lasting else ''} at each of {operations} operations: {len(found)} faults")
    assert found == []


def test_a_run_folder_that_was_begun_is_begun_again(ram: Path) -> None:
    """Killed before its config was written, a folder with a lock and a few files of ours is as good as new."""
    run = folder_of(ram)
    run.mkdir(parents=True)
    for name in (runs.LOCK, runs.REJECTED, runs.ENVIRONMENT):
        (run / name).write_text("", encoding="utf-8")
    runs.check_free(run)
    (run / "thesis.txt").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match=r"holds thesis.txt"):
        runs.check_free(run)
