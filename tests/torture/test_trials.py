"""The trials that fork their own processes, each in a fresh one: a share in the slow suite, all in ``make torture``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.amounts import WHOLE, amount
from tests.train.bench import KINDS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def trials(module: str, *words: object) -> None:
    """Run the trials of a module; they print their counts, and leave with 1 when one failed."""
    command = [sys.executable, "-m", f"tests.torture.{module}", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("translation")])
def test_kills_at_random_times(kind: str) -> None:
    trials("resume", "--trials", amount(200, of=0.05), "--kinds", kind, "--kills-only")


@pytest.mark.skipif(not WHOLE, reason="tests/train/test_resume.py has a share of it")
def test_the_whole_matrix_and_every_step() -> None:
    trials("resume", "--trials", 0)


def test_signals_in_every_phase() -> None:
    trials("signals", "--trials", amount(100, of=0.16), "--resume-every", 4)


@pytest.mark.skipif(not WHOLE, reason="tests/train/test_honesty.py has all of it")
def test_numbers_and_memory() -> None:
    trials("numbers")


def test_clocks_sleeps_and_folders_that_go() -> None:
    trials("oddities", "--trials", amount(20, of=0.2))


def test_many_starts() -> None:
    trials("starts", "--starts", 50, "--races", amount(20, of=0.1))
