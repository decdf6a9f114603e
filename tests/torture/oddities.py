"""``python -m tests.torture.oddities --trials 20``: clocks that jump, a laptop that sleeps, a folder that goes away.

A clock that jumps back and forth and a process that is stopped for a while must not change a bit of the run, and no
remaining time is ever negative. A run folder that is removed or moved in the middle ends the training with exit code 2.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.train.bench import Bench
from tests.train.forks import Child, fork, warm_up
from tests.train.loops import calls_of
from tests.train.same import differences

KIND = "seq2seq-lora"
JUMPS = (-86_400.0, -3_600.0, -1.0, 3_600.0, 10 * 365 * 86_400.0)  # seconds
MOST_SECONDS = 10.0


def jumping(bench: Bench, name: str, seed: int) -> Child:
    """Start a training whose clock is another one at every look."""
    place, real = random.Random(seed), time.time

    def work() -> int:
        from desktune.cli.main import run

        time.time = lambda: real() + place.choice(JUMPS)
        return run(bench.words(KIND, name))

    return fork(work, bench.folder / f"{name}.log", bench.folder)


def jump_trial(bench: Bench, straight: Path, seed: int) -> list[str]:
    """Return what differs in a training with such a clock."""
    child = jumping(bench, "jumps", seed)
    code = child.wait()
    wrong = [f"exit {code}: {child.said()[-800:]}"] if code else differences(bench.folder / "jumps", straight)
    shutil.rmtree(bench.folder / "jumps", ignore_errors=True)
    return wrong + re.findall(r"eta -.*", child.said())


def sleep_trial(bench: Bench, straight: Path, seed: int) -> list[str]:
    """Return what differs in a training that was stopped for two seconds somewhere."""
    child = bench.start(bench.words(KIND, "sleeps"), "sleeps")
    time.sleep(random.Random(seed).uniform(0.1, 1.0))
    child.kill(signal.SIGSTOP)
    time.sleep(2)
    child.kill(signal.SIGCONT)
    code = child.wait()
    wrong = [f"exit {code}: {child.said()[-800:]}"] if code else differences(bench.folder / "sleeps", straight)
    shutil.rmtree(bench.folder / "sleeps", ignore_errors=True)
    return wrong


def gone_trial(bench: Bench, moved: bool, step: int) -> list[str]:
    """Return what is wrong with the end of a training whose folder goes away at a step."""
    run = bench.folder / "gone"

    def leaves(count: int) -> None:
        if count == step and moved:
            run.rename(bench.folder / "elsewhere")
        elif count == step:
            shutil.rmtree(run)

    def work() -> int:
        from desktune.cli.main import run as desktune
        from desktune.train import loop

        with calls_of(loop, "learning_rate", leaves):
            return desktune(bench.words(KIND, "gone"))

    child = fork(work, bench.folder / "gone.log", bench.folder)
    code, seconds = child.wait(), time.monotonic() - child.started
    for folder in (run, bench.folder / "elsewhere"):
        shutil.rmtree(folder, ignore_errors=True)
    said = child.said()
    if code == 2 and "is gone" in said and "Traceback" not in said and seconds < MOST_SECONDS:
        return []
    return [f"{'moved' if moved else 'removed'} at step {step}: exit {code}: {said[-800:]}"]


def main() -> int:
    """Print the counts; 1 when a trial failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    trials = parser.parse_args().trials
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        straight, _ = bench.straight(KIND)
        found = {
            "clocks that jump": [jump_trial(bench, straight, seed) for seed in range(trials)],
            "sleeps of two seconds": [sleep_trial(bench, straight, seed) for seed in range(max(1, trials // 4))],
            "folders gone": [gone_trial(bench, moved, step) for moved in (False, True) for step in (1, 4, 8)],
        }
    for what, trials_of in found.items():
        print(f"{what}: {sum(not wrong for wrong in trials_of)}/{len(trials_of)} as wanted")
    failures = [text for trials_of in found.values() for wrong in trials_of for text in wrong]
    print("\n".join(failures))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
