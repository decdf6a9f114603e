"""Power cuts at every moment of a run's life: nothing that was said to be saved is lost, nothing damaged is taken."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from desktune import disk, durable
from desktune.disk import Operation
from tests.torture.amounts import amount
from tests.torture.power import Log, disks
from tests.torture.script import faults, live


@pytest.fixture
def log(ram: Path) -> Log:
    return lived(ram / "real")


def lived(root: Path) -> Log:
    root.mkdir()
    log = Log(root)
    with durable.watch(log):
        live(root, log.promise)
    return log


def without_syncs(operation: Operation, act: Callable[[], Any]) -> Any:
    """Reading a disk again and again needs no medium: the sweep's own syncs would take most of the time."""
    return None if operation.kind.startswith("sync") else act()


def cut(log: Log, folder: Path, per_cut: int, seed: int, most_faults: int = 20) -> tuple[int, list[str]]:
    """Make the disks of every cut and read them; returns how many there were and what was wrong with them."""
    found: list[str] = []
    count = 0
    with durable.watch(without_syncs):
        for one in disks(log, random.Random(seed), per_cut):
            count += 1
            folder.mkdir()
            one.write(folder)
            found += [f"cut {one.cut}: {text}" for text in faults(folder, log.promised(one.cut))]
            shutil.rmtree(folder)
            if len(found) >= most_faults:
                break
    return count, found


def test_the_whole_run_is_logged(log: Log, ram: Path) -> None:
    """The last disk with everything on it is the real folder: no write went around the seam."""
    *_, last = [disk for disk in disks(log, random.Random(0), 2) if disk.cut == log.count]
    real = {path.relative_to(log.root).as_posix(): path for path in log.root.rglob("*")}
    assert {name for name, path in real.items() if path.is_file()} == set(last.files)
    assert {name for name, path in real.items() if path.is_dir()} == set(last.folders)
    assert all(real[name].read_bytes() == data for name, data in last.files.items())


def test_power_cuts(log: Log, ram: Path) -> None:
    count, found = cut(log, ram / "cut", 3, seed=5)
    assert found == []
    assert count >= 450


def make_unsynced(path: Path) -> None:
    for one in reversed([one for one in (path, *path.parents) if not one.exists()]):
        disk.make(one)


def promote_hastily(staged: Path, final: Path) -> None:
    aside = final.with_name(f"{durable.STAGING_PREFIX}old-{final.name}-12345678")
    if final.exists():
        disk.rename(final, aside)
    disk.rename(staged, final)
    disk.remove_tree(aside)
    disk.sync_folder(final.parent)


def nothing(*path: Path) -> None:
    pass


MISTAKES: dict[str, tuple[Any, str, Callable[..., None]]] = {
    "no file is synced": (disk, "sync_file", nothing),
    "no folder is synced": (disk, "sync_folder", nothing),
    "lines are not synced": (durable, "_sync_appended", nothing),
    "new folders are not synced": (durable, "make_folder", make_unsynced),
    "the old folder goes too soon": (durable, "_promote", promote_hastily),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake: str, ram: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation has teeth: without one of the syncs it finds faults."""
    monkeypatch.setattr(*MISTAKES[mistake])
    log = lived(ram / "real")
    monkeypatch.undo()
    durable._appended.clear()
    assert cut(log, ram / "cut", 12, seed=5, most_faults=1)[1] != []


@pytest.mark.slow
def test_many_power_cuts(log: Log, ram: Path) -> None:
    count, found = cut(log, ram / "cut", amount(300, of=0.1), seed=6)
    print(f"power cuts: {count:,} different disks, {len(found)} faults")
    assert found == []
    assert count >= amount(10_000, of=0.15)
