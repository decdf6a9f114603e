"""``python -m tests.torture.signals --trials 100``: SIGTERM, SIGINT and SIGHUP in every phase of a training.

A forked child gets the signal exactly when it enters a phase. It must leave with 143, 130 or 129 within five seconds,
with its newest checkpoint at the last step it finished (or with nothing, when no step was done), and the resumed run
must be the one that was never stopped (``--resume-every`` n-th trial).
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from desktune import durable, runs
from desktune.train import checkpoint
from tests.train.bench import Bench
from tests.train.forks import Child, fork, warm_up
from tests.train.loops import calls_of
from tests.train.same import differences

PHASES = {  # where: module, the name through which it is called, which call, whether a step is done by then
    "resolving": ("desktune.api", "resolve", 1, False),
    "preparing": ("desktune.session", "prepare", 1, False),
    "loading": ("desktune.session", "load_base", 1, False),
    "adapting": ("desktune.api", "make_trainable", 1, False),
    "describing": ("desktune.api", "describe_run", 1, False),
    "first step": ("desktune.train.loop", "collate", 1, True),
    "accumulating": ("desktune.train.loop", "summed_loss", 6, True),
    "stepping": ("desktune.train.loop", "learning_rate", 3, True),
    "logging": ("desktune.train.loop", "Step", 1, True),
    "measuring": ("desktune.train.validate", "heldout_loss", 1, True),
    "answering": ("desktune.generate.decode", "_answer", 1, True),
    "saving weights": ("desktune.train.checkpoint", "save_file", 3, True),
    "saving state": ("desktune.train.checkpoint", "asdict", 2, True),
    "last step": ("desktune.train.loop", "learning_rate", 8, True),
    "last evaluation": ("desktune.train.validate", "heldout_loss", 2, True),
    "saving the model": ("desktune.api", "save_model", 1, True),
}
SIGNALS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


def start_signalled(bench: Bench, name: str, phase: str, number: int, *more: str) -> Child:
    """Start a training that gets a signal when it enters a phase; the time of it goes to a file."""
    module, function, call, _ = PHASES[phase]
    words = bench.words("seq2seq-lora", name, *more)
    sent = bench.folder / f"{name}.sent"
    sent.unlink(missing_ok=True)

    def signalled(count: int) -> None:
        if count == call:
            sent.write_text(str(time.monotonic()))
            os.kill(os.getpid(), number)

    def work() -> int:
        from desktune.cli.main import run

        with calls_of(importlib.import_module(module), function, signalled):
            return run(words)

    return fork(work, bench.folder / f"{name}.log", bench.folder)


def signalled_trial(bench: Bench, phase: str, number: int, straight: Path | None) -> tuple[str, float]:
    """Return what went wrong in one trial (nothing when all is well), and the seconds from the signal to the end."""
    name = "signalled"
    run = bench.folder / name
    shutil.rmtree(run, ignore_errors=True)
    child = start_signalled(bench, name, phase, number)
    code = child.wait()
    sent = bench.folder / f"{name}.sent"
    if not sent.exists():
        return f"never came to {phase}: {child.said()[-800:]}", 0.0
    seconds = time.monotonic() - float(sent.read_text())
    wrong = _left_badly(run, code, SIGNALS[signal.Signals(number)], PHASES[phase][3])
    if not wrong and seconds > 5:
        wrong = f"took {seconds:.1f} s"
    if not wrong and straight is not None:
        again = fork_train(bench, name)
        code = again.wait()
        found = differences(run, straight) if code == 0 else [f"exit {code}: {again.said()[-800:]}"]
        wrong = "; ".join(found)
    return (f"{wrong}\n{child.said()[-800:]}" if wrong else ""), seconds


def fork_train(bench: Bench, name: str) -> Child:
    """Resume the run of that name."""
    return bench.start(bench.words("seq2seq-lora", name, "--resume"), f"{name}-again")


def _left_badly(run: Path, code: int, expected: int, stepped: bool) -> str:
    if code != expected:
        return f"exit {code} instead of {expected}"
    kept = checkpoint.all_of(run) if run.is_dir() else []
    faults = [fault for folder in kept for fault in durable.verify(folder)]
    if faults:
        return faults[0]
    if not stepped:
        return "a checkpoint without a step" if kept else ""
    done = runs.describe(run).steps
    newest = int(kept[-1].name.removeprefix("step-")) if kept else None
    finished = runs.describe(run).status == "killed"  # after the last step, while the model was written
    if newest != done and not (finished and newest == 8):
        return f"step {done} was done, {newest} is saved"
    return ""


def second_leaves_at_once(bench: Bench) -> float:
    """Send Ctrl-C twice into a step that would take a minute; return the seconds from the second one to the end."""

    def work() -> int:
        from desktune.cli.main import run
        from desktune.train import loop

        with calls_of(loop, "summed_loss", lambda count: time.sleep(60 if count == 3 else 0)):
            return run(bench.words("seq2seq-lora", "twice"))

    shutil.rmtree(bench.folder / "twice", ignore_errors=True)
    child = fork(work, bench.folder / "twice.log", bench.folder)
    while "steps:" not in (child.said() if child.log.exists() else ""):
        time.sleep(0.05)
    time.sleep(0.5)
    child.kill(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    child.kill(signal.SIGINT)
    code = child.wait(70)
    if code != 130:
        raise RuntimeError(f"exit {code}: {child.said()[-800:]}")
    return time.monotonic() - began


def main() -> int:
    """Print the counts; 1 when a trial failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--resume-every", type=int, default=5)
    asked = parser.parse_args()
    warm_up()
    failures, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        straight, _ = bench.straight("seq2seq-lora")
        cases = itertools.islice(itertools.cycle(itertools.product(SIGNALS, PHASES)), asked.trials)
        for count, (number, phase) in enumerate(cases):
            compared = straight if count % asked.resume_every == 0 else None
            wrong, seconds = signalled_trial(bench, phase, number, compared)
            slowest = max(slowest, seconds)
            failures += [f"{signal.Signals(number).name} while {phase}: {wrong}"] if wrong else []
        twice = second_leaves_at_once(bench)
    good = asked.trials - len(failures)
    print(f"signals: {good}/{asked.trials} saved with the right exit code, slowest {slowest:.1f} s")
    print(f"second Ctrl-C: gone after {twice:.2f} s")
    print("\n".join(failures))
    return int(bool(failures) or twice > 1)


if __name__ == "__main__":
    sys.exit(main())
