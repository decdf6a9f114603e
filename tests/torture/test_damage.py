"""Damaged checkpoints: every flipped bit, cut and zeroed file is seen, and the one before is taken and said."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from desktune import durable
from desktune.events import Event, Warn, silent
from desktune.torture.faults import DAMAGES, damage, restore
from desktune.train import checkpoint
from desktune.train.checkpoint import Position, Snapshot
from tests.torture.amounts import amount
from tests.torture.script import BEST, LAST, folder_of, live, optimizer_tensors, tensors


@pytest.fixture
def run(ram: Path) -> Path:
    live(ram)
    return folder_of(ram)


def taken(run: Path) -> tuple[Path | None, list[str]]:
    said: list[Event] = []
    folder = checkpoint.newest(run, said.append)
    return folder, [event.text for event in said if isinstance(event, Warn)]


def unseen(run: Path, count: int, seed: int) -> list[str]:
    """Damage the newest checkpoint and ``model/`` one at a time; return what was not noticed."""
    chance, found = random.Random(seed), []
    newest, before, model = checkpoint.folder_of(run, LAST), checkpoint.folder_of(run, LAST - 1), run / "model"
    files = sorted((*newest.iterdir(), *model.iterdir()))
    for _ in range(count):
        file = chance.choice(files)
        data = file.read_bytes()
        how = damage(file, chance.choice(DAMAGES), chance)
        assert file.read_bytes() != data
        if file.parent == model:
            found += [] if durable.verify(model) else [how]
        else:
            folder, said = taken(run)
            found += [] if folder == before and len(said) == 1 and newest.name in said[0] else [how]
        restore(file, data)
    assert taken(run) == (newest, [])
    return found


def test_some_hundred_damages(run: Path) -> None:
    assert unseen(run, 300, seed=3) == []


def test_every_bit_of_the_manifest(run: Path) -> None:
    """The list of hashes guards itself: no bit of it can change without being seen."""
    manifest = checkpoint.folder_of(run, LAST) / durable.MANIFEST
    data = manifest.read_bytes()
    whole = []
    for bit in range(0, 8 * len(data), 3):  # 3 and 8 share no divisor: every bit of some byte, every byte
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        restore(manifest, bytes(changed))
        whole += [] if durable.verify(manifest.parent) else [bit]
    assert whole == []


def test_cuts_at_every_hundredth(run: Path) -> None:
    newest = checkpoint.folder_of(run, LAST)
    whole = []
    for file in sorted(newest.iterdir()):
        data = file.read_bytes()
        for length in sorted({len(data) * share // 100 for share in range(100)} | {len(data) - 1}):
            restore(file, data[:length])
            whole += [] if durable.verify(newest) else [f"{file.name} cut to {length}"]
        restore(file, data)
    assert whole == []


def test_a_manifest_of_before_is_still_read(run: Path) -> None:
    """Version 1 had no hash of itself; checkpoints of that version stay good."""
    folder = checkpoint.folder_of(run, LAST)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": durable.sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != durable.MANIFEST
    }
    durable.write_json(folder / durable.MANIFEST, {"version": 1, "files": files})
    assert durable.verify(folder) == []
    durable.write_json(folder / durable.MANIFEST, {"version": 3, "files": files})
    assert len(durable.verify(folder)) == 1


@pytest.mark.parametrize("text", ["", "[]", '"x"', "1", "{}", '{"files": 3, "version": 1}', "\x00" * 40])
def test_other_manifests_are_faults(text: str, run: Path) -> None:
    manifest = checkpoint.folder_of(run, LAST) / durable.MANIFEST
    manifest.write_text(text, encoding="utf-8")
    assert len(durable.verify(manifest.parent)) == 1


def test_retention_never_keeps_a_damaged_one_for_a_good_one(run: Path) -> None:
    """Gone on from an older checkpoint and stopped before the damaged one's step, one good checkpoint is left."""
    newest, before = checkpoint.folder_of(run, LAST), checkpoint.folder_of(run, LAST - 1)
    damage(newest / checkpoint.WEIGHTS, "bit", random.Random(0))
    damage(before / checkpoint.WEIGHTS, "bit", random.Random(0))
    left = checkpoint.newest(run, silent)
    assert left == checkpoint.folder_of(run, BEST)
    checkpoint.set_aside_newer(run, left, silent)
    folder = checkpoint.save(run, Snapshot(tensors(2), optimizer_tensors(2)), Position(step=2), silent)
    checkpoint.prune(run, 1, None)
    assert checkpoint.newest(run, silent) == folder
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        f"{durable.DAMAGED_PREFIX}{before.name}",
        f"{durable.DAMAGED_PREFIX}{newest.name}",
        folder.name,
    ]


@pytest.mark.slow
def test_thousands_of_damages(run: Path) -> None:
    count = amount(6000, of=0.5)
    found = unseen(run, count, seed=4)
    print(f"damages: {count:,}, {len(found)} not seen")
    assert found == []
