"""``desktune torture`` itself: a short one finds nothing and leaves nothing; what fails is counted and said."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desktune.events import Event, Table, Warn, silent
from desktune.torture.child import Job, work
from desktune.torture.endure import endure
from desktune.torture.faults import Fault
from desktune.torture.model import config_of
from desktune.torture.trials import Bench
from desktune.train import checkpoint
from tests.torture.amounts import WHOLE, amount


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("bench"), "cpu", random.Random(11))
    made.prepare(time.monotonic, tasks=("seq2seq",))
    return made


def test_one_of_each_kind(bench: Bench) -> None:
    assert bench.exact
    assert [fault for trial in (bench.kill, bench.refuse, bench.stop, bench.flip) for fault in trial()] == []


def test_a_trial_that_fails_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints that are taken without a look at their hashes are found out."""
    monkeypatch.setattr(checkpoint.durable, "verify", lambda folder: [])
    found = bench.flip()
    assert len(found) == 100
    assert "was taken instead of step-000010" in found[0]


def test_an_error_keeps_its_words(bench: Bench) -> None:
    whole = bench.wholes[0]
    config = config_of(whole.task, whole.adapter, bench.folder, bench.folder / "full", "cpu")
    ended = work(Job(config, fault=Fault(whole.operations // 2, "ENOSPC", lasting=True)))
    assert ended.code == 4
    assert "no space left on the disk" in ended.said


@pytest.mark.slow
def test_the_verb(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "desktune", "torture", str(tmp_path), "--minutes", "0", "--device", "cpu"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing failed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_there_is_not(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "desktune", "torture", str(tmp_path), "--device", "tpu"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "allowed: auto, cpu, cuda, mps" in done.stderr


def test_failures_are_said_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "prepare", lambda self, clock: None)
    for kind in ("kill", "refuse", "stop", "flip"):
        monkeypatch.setattr(Bench, kind, lambda self, kind=kind: [f"{kind} broke"] if kind == "stop" else [])
    events: list[Event] = []
    report = endure(tmp_path, 0, "cpu", events.append, seed=1)
    assert report.failures == ["stop broke"]
    assert [event.text for event in events if isinstance(event, Warn)] == ["stop broke"]
    (table,) = [event for event in events if isinstance(event, Table)]
    assert [(kind, failed) for kind, _, _, failed in table.rows if failed != "0"] == [("resume", "1")]


@pytest.mark.slow
def test_minutes_of_torture(tmp_path: Path) -> None:
    minutes = amount(15, of=1) if WHOLE else 0.7
    report = endure(tmp_path, minutes, "cpu", silent, seed=5)
    print(f"torture: {report.counts()}")
    assert report.failures == []
