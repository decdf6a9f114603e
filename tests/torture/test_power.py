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
from tests.torture.power import Log, disks
from tests.torture.script import faults, live


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return lived(tmp_path / "real")


def lived(root: Path) -> Log:
    root.mkdir()
    log = Log(root)
    with durable.watch(log):
        live(root, log.promise)
    return log


def without_syncs(operation: Operation, act: Callable[[], Any]) -> Any:
    """Reading a disk again and again needs no medium: the sweep's own syncs would take most of the time."""
    return None if operation.kind.startswith("sync") else act()


def cut(log: Log, folder: Path, per_cut: int, seed: int) -> tuple[int, list[str]]:
    """Make the disks of every cut and read them; returns how many there were and what was wrong with them."""
    found, count = [], 0
    with durable.watch(without_syncs):
        for count, one in enumerate(disks(log, random.Random(seed), per_cut), start=1):
            folder.mkdir()
            one.write(folder)
            found += [f"cut {one.cut}: {text}" for text in faults(folder, log.promised(one.cut))]
            shutil.rmtree(folder)
    return count, found


def test_the_whole_run_is_logged(log: Log, tmp_path: Path) -> None:
    """The last disk with everything on it is the real folder: no write went around the seam."""
    *_, last = [disk for disk in disks(log, random.Random(0), 1) if disk.cut == log.count]
    real = {path.relative_to(log.root).as_posix(): path for path in log.root.rglob("*")}
    assert {name for name, path in real.items() if path.is_file()} == set(last.files)
    assert {name for name, path in real.items() if path.is_dir()} == set(last.folders)
    assert all(real[name].read_bytes() == data for name, data in last.files.items())


def test_power_cuts(log: Log, tmp_path: Path) -> None:
    count, found = cut(log, tmp_path / "cut", 4, seed=5)
    assert found == []
    assert count >= 500


@pytest.mark.parametrize("forgotten", ["sync_file", "sync_folder", "_sync_appended"])
def test_a_forgotten_sync_is_seen(forgotten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation has teeth: without one of the syncs it finds faults."""
    place = durable if forgotten.startswith("_") else disk
    monkeypatch.setattr(place, forgotten, lambda *path: None)
    log = lived(tmp_path / "real")
    monkeypatch.undo()
    assert cut(log, tmp_path / "cut", 3, seed=5)[1] != []


@pytest.mark.slow
def test_ten_thousand_power_cuts(log: Log, tmp_path: Path) -> None:
    count, found = cut(log, tmp_path / "cut", 100, seed=6)
    print(f"power cuts: {count:,} disks, {len(found)} faults")
    assert found == []
    assert count >= 10_000
