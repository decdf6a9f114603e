"""Power cuts at every moment of a run's life: nothing that was said to be saved is lost, nothing damaged is taken."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.torture.amounts import amount
from tests.torture.power import Log, disks
from tests.torture.script import faults, live

from desktune import disk, durable
from desktune.disk import Operation


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


@pytest.mark.parametrize("forgotten", ["sync_file", "sync_folder", "_sync_appended"])
def test_a_forgotten_sync_is_seen(forgotten: str, ram: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation has teeth: without one of the syncs it finds faults."""
    place = durable if forgotten.startswith("_") else disk
    monkeypatch.setattr(place, forgotten, lambda *path: None)
    log = lived(ram / "real")
    monkeypatch.undo()
    durable._appended.clear()
    assert cut(log, ram / "cut", 3, seed=5, most_faults=1)[1] != []


@pytest.mark.slow
def test_many_power_cuts(log: Log, ram: Path) -> None:
    count, found = cut(log, ram / "cut", amount(150, of=0.15), seed=6)
    print(f"power cuts: {count:,} different disks, {len(found)} faults")
    assert found == []
    assert count >= amount(10_000, of=0.15)
