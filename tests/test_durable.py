"""Writes are whole or absent: staging, manifests, flipped bits, full disks, torn lines."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from desktune import durable
from desktune.errors import OutOfDisk, RunError


def fill(folder: Path) -> None:
    durable.write_text(folder / "a.txt", "eins")
    durable.make_folder(folder / "in")
    durable.write_json(folder / "in" / "b.json", {"x": 1})


def test_a_staged_folder_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with durable.staging(final) as staged:
        fill(staged)
        assert not final.exists()
    assert durable.verify(final) == []
    assert set(json.loads((final / durable.MANIFEST).read_text(encoding="utf-8"))["files"]) == {"a.txt", "in/b.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with durable.staging(tmp_path / "final") as staged:
            fill(staged)
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_gives_way_only_when_told(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with durable.staging(tmp_path / "final", replace=text == "new") as staged:
            durable.write_text(staged / "a.txt", text)
    with pytest.raises(RunError, match="exists already"), durable.staging(tmp_path / "final") as staged:
        fill(staged)
    assert (tmp_path / "final/a.txt").read_text(encoding="utf-8") == "new"


STAGES = """
import sys, time
from pathlib import Path
from desktune import durable
with durable.staging(Path(sys.argv[1])) as staged:
    (staged / "half.bin").write_bytes(b"x")
    print("in", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_swept_what_a_living_one_builds_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", STAGES, str(tmp_path / "other")], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with durable.staging(tmp_path / "first") as staged:
            fill(staged)
        assert len(list(tmp_path.glob(".staging-other-*/half.bin"))) == 1
    finally:
        process.kill()
        process.communicate()
    with durable.staging(tmp_path / "second") as staged:
        fill(staged)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "manifest"])
def test_every_damage_is_seen(damage: str, tmp_path: Path) -> None:
    with durable.staging(tmp_path / "final") as staged:
        fill(staged)
    file = tmp_path / "final/in/b.json"
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[3] ^= 1
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "gone":
        file.unlink()
    else:
        (tmp_path / "final" / durable.MANIFEST).write_text("{", encoding="utf-8")
    assert len(durable.verify(tmp_path / "final")) == 1


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.write_text(tmp_path / "a.txt", "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfDisk, match="no space left"):
        durable.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    durable.append_line(path, '{"step": 1}')
    durable.append_line(path, '{"step": 2}')
    path.write_bytes(path.read_bytes()[:-4])
    assert durable.read_lines(path) == [{"step": 1}]
    durable.keep_lines(path, lambda line: line["step"] < 1)
    assert path.read_bytes() == b""


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        durable.write_json(tmp_path / "a.json", {"loss": float("nan")})
