"""``python -m tests.torture.resume --trials 200``: kill -9 at random times; the resumed run is the straight one.

Trials for {full, LoRA} x {seq2seq, causal} (``--trials`` of each), in forked children of one warmed-up process. Every
trial kills a training at a random time of its life (a third of them also the resumed one), resumes it, and compares
weights, optimizer, position, metrics and samples with a run that was never stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from desktune.events import Event
from desktune.train import checkpoint, loop, validate
from tests.train.bench import Bench
from tests.train.forks import warm_up
from tests.train.loops import (
    ADAPTERS,
    FAMILIES,
    OPTIMIZERS,
    SCHEDULES,
    Killed,
    bundle_of,
    calls_of,
    figures,
    make_loop,
    same_tensors,
)
from tests.train.same import differences

PLACES = ("accumulation", "evaluation", "save")


@dataclass
class Counts:
    """What came of the trials of one kind."""

    trials: int = 0
    same: int = 0
    killed: int = 0  # kills that hit a running process
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.same}/{self.trials} resume to the same bits ({self.killed} kills of running processes)"


def trial(bench: Bench, kind: str, place: random.Random, straight: tuple[Path, float], counts: Counts) -> None:
    """Kill one training, once or twice, and resume it; a first kill that comes too late is tried again."""
    name = f"killed-{kind}"
    run = bench.folder / name
    kills, killed = [], False
    while not killed:
        shutil.rmtree(run, ignore_errors=True)
        kills = [place.uniform(0.0, straight[1])]
        killed = _killed(bench, bench.words(kind, name), name, kills[0])
    counts.trials += 1
    counts.killed += 1
    more = ["--resume"]
    if place.random() < 1 / 3:
        kills.append(place.uniform(0.0, straight[1]))
        counts.killed += _killed(bench, bench.words(kind, name, *more), name, kills[1])
    child = bench.start(bench.words(kind, name, *more), name)
    code = child.wait()
    wrong = [f"exit {code}: {child.said()[-1500:]}"] if code else differences(run, straight[0])
    counts.same += not wrong
    if wrong:
        counts.failures.append(f"{kind}, killed after {kills}: {wrong}")


def _killed(bench: Bench, words: list[str], name: str, seconds: float) -> bool:
    """Start a training and kill it after some seconds; returns whether it still ran."""
    child = bench.start(words, name)
    time.sleep(seconds)
    child.kill(signal.SIGKILL)
    return child.wait() == -signal.SIGKILL


def run_trials(folder: Path, trials: int, kinds: list[str], seed: int = 0) -> dict[str, Counts]:
    """Return the counts of every kind."""
    warm_up()
    bench, found = Bench(folder), {}
    for kind in kinds:
        place, counts = random.Random(f"{seed}{kind}"), Counts()
        straight = bench.straight(kind)
        for _ in range(trials):
            trial(bench, kind, place, straight, counts)
            if counts.trials % 25 == 0 or counts.failures:
                print(f"  {kind}: {counts}", file=sys.stderr, flush=True)
        found[kind] = counts
    return found


def matrix_trial(model: Path, folder: Path, case: tuple[str, str, str], at: str) -> bool:
    """Train; end another run of the same in the middle (``at``) and go on: is it the same run?

    Args:
        model: A tiny model.
        folder: An empty folder.
        case: Adapter, optimizer and schedule.
        at: ``accumulation`` (inside a step that ends in the next epoch), ``evaluation``, or ``save``.
    """
    adapter, optimizer, schedule = case
    settings = {"optim": optimizer, "lr_scheduler_type": schedule}
    if optimizer == "sgd":
        settings |= {"optim_args": {"momentum": 0.9}}
    straight: list[Event] = []
    make_loop(bundle_of(model, adapter), folder / "straight", straight, **settings).run()
    killed: list[Event] = []
    broken = make_loop(bundle_of(model, adapter), folder / "killed", killed, **settings)
    number = [0]

    def ends(_: int) -> None:
        number[0] += at != "accumulation" or (broken.position.step == 4 and broken.model.training)
        if number[0] == {"accumulation": 2, "evaluation": 3, "save": 4}[at]:
            raise Killed

    places = {
        "accumulation": (loop, "summed_loss"),
        "evaluation": (validate, "heldout_loss"),
        "save": (checkpoint, "save_file"),
    }
    with contextlib.suppress(Killed), calls_of(*places[at], ends):
        broken.run()
    newest = checkpoint.newest(folder / "killed", lambda event: None)
    if newest is None or broken.position.step == 8:
        return False  # it did not end in the middle
    step = int(newest.name.removeprefix("step-"))
    kept = [line for line in figures(killed) if line[0] <= step]
    again: list[Event] = []
    torch.manual_seed(12345)  # nothing may depend on what was drawn before
    second = make_loop(bundle_of(model, adapter), folder / "killed", again, **settings)
    second.resume(newest)
    second.run()
    same = same_tensors(folder / "killed", folder / "straight", 8)
    return same and kept + figures(again) == figures(straight)


def every_step(model: Path, folder: Path, adapter: str, steps: int = 40) -> int:
    """Resume a run from each of its steps; returns how many end with the bits and the log of the straight run."""
    settings = {"max_steps": steps, "save_steps": 1, "save_total_limit": steps, "eval_steps": 7, "logging_steps": 3}
    straight: list[Event] = []
    make_loop(bundle_of(model, adapter), folder / "straight", straight, **settings).run()
    same = 0
    for step in range(1, steps + 1):
        again: list[Event] = []
        second = make_loop(bundle_of(model, adapter), folder / "again", again, **{**settings, "save_strategy": "no"})
        second.resume(checkpoint.folder_of(folder / "straight", step))
        second.run()
        later = [line for line in figures(straight) if line[0] > step]
        same += same_tensors(folder / "again", folder / "straight", steps) and figures(again) == later
        shutil.rmtree(folder / "again")
    return same


def main() -> int:
    """Print the counts; 1 when a trial failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--kinds", default="seq2seq-lora,seq2seq-full,causal-lora,causal-full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills-only", action="store_true")
    asked = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in asked.kinds.split(",") if asked.trials else ():
            began = time.monotonic()
            counts = run_trials(Path(folder), asked.trials, [kind], asked.seed)[kind]
            print(f"SIGKILL {kind}: {counts}, {time.monotonic() - began:.0f} s", flush=True)
            for text in counts.failures:
                print(f"  {text}", flush=True)
            failed += len(counts.failures)
        if not asked.kills_only:
            failed += _matrix(Path(folder))  # after the last fork: from here on this process trains itself
    return int(failed > 0)


def _matrix(folder: Path) -> int:
    """Print how much of the matrix, and of a run of forty steps, goes on with the same bits; return the failures."""
    bench, failed, count = Bench(folder), 0, 0
    for task, *case, at in itertools.product(FAMILIES, ADAPTERS, OPTIMIZERS, SCHEDULES, PLACES):
        place = folder / "matrix" / str(count)
        same = matrix_trial(bench.model(FAMILIES[task]), place, (case[0], case[1], case[2]), at)
        shutil.rmtree(place)
        failed, count = failed + (not same), count + 1
        if not same:
            print(f"  {task} {case} {at}: not the same", flush=True)
    print(f"matrix (task x weights x optimizer x schedule x place): {count - failed}/{count}", flush=True)
    for task, adapter in itertools.product(FAMILIES, ADAPTERS):
        same = every_step(bench.model(FAMILIES[task]), folder / f"steps-{task}-{adapter}", adapter)
        print(f"resume at every step, {task} {adapter}: {same}/40", flush=True)
        failed += 40 - same
    return failed


if __name__ == "__main__":
    sys.exit(main())
