"""The four kinds of trial: killed at any moment, the disk refuses, a file is damaged, stopped and gone on with.

Each ends a training in its own way, checks what lies on the disk, goes on with ``--resume`` in a new process, and
compares with the run that was never disturbed: weights, optimizer and losses, bit by bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from desktune import durable, runs
from desktune.config.schema import Config
from desktune.errors import RunError
from desktune.events import Event, Warn, silent
from desktune.torture.child import Ended, Job, make, work
from desktune.torture.faults import DAMAGES, ERRORS, KILLS, Fault, damage, restore
from desktune.torture.model import KINDS, STEPS, build, config_of
from desktune.train import checkpoint

FLIPS_AT_ONCE = 100
_CLOSED = ("EACCES", "EIO")
_OURS = (0, 2, 4, 74)  # exit codes with which a refused write may end a training


@dataclass
class Whole:
    """A run that was never disturbed, of one task and method."""

    task: str
    adapter: str
    run: Path
    operations: int = 0
    seconds: float = 0.0
    result: dict[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return f"{self.task} {'all weights' if self.adapter == 'none' else self.adapter}"


@dataclass
class Bench:
    """The folder of all trials, the device, chance, and the undisturbed runs to compare with."""

    folder: Path
    device: str
    chance: random.Random
    wholes: list[Whole] = field(default_factory=list)
    exact: bool = True  # whether two undisturbed runs are equal on this device
    _count: int = 0

    def prepare(self, clock: Callable[[], float], tasks: Iterable[str] = tuple(KINDS)) -> None:
        """Build models and rows, and train each task and method undisturbed (one of them twice).

        Raises:
            RunError: not even that works.
        """
        for task in tasks:
            _must(make(build, task, self.folder), f"building the {task} model")
            for adapter in ("lora", "none"):
                self.wholes.append(self._undisturbed(Whole(task, adapter, self._new_run()), clock))
        first = self.wholes[0]
        again = self._undisturbed(Whole(first.task, first.adapter, self._new_run()), clock)
        self.exact = again.result == first.result
        durable.remove_folder(again.run)

    def kill(self) -> list[str]:
        """SIGKILL at an operation on the disk, or at any time."""
        whole, run = self._pick()
        if self.chance.random() < 0.5:
            fault = Fault(self.chance.randrange(whole.operations), self.chance.choice(KILLS))
            how, job = f"{fault.how} operation {fault.number}", Job(self._config(whole, run), fault=fault)
            ended = work(job)
        else:
            seconds = self.chance.uniform(0, whole.seconds)
            how, ended = f"kill after {seconds:.2f} s", work(Job(self._config(whole, run)), seconds)
        found = [] if ended.code in (-9, 0) else [f"left with {ended.code}: {ended.said}"]
        return self._judged(how, whole, run, found)

    def refuse(self) -> list[str]:
        """The disk is full, broken or closed from an operation on, or for one operation, or for long files."""
        whole, run = self._pick()
        if self.chance.random() < 0.2:
            largest = self.chance.choice((0, 100, 1000, 4096, 8192))
            how, job = f"no file over {largest} bytes", Job(self._config(whole, run), largest_file=largest)
        else:
            kind, stays = self.chance.choice(ERRORS), self.chance.random() < 0.5
            fault = Fault(self.chance.randrange(whole.operations), kind, lasting=stays)
            how = f"{kind} at operation {fault.number}{' and after' if stays else ''}"
            job = Job(self._config(whole, run), fault=fault)
        ended = work(job)
        found = [] if ended.code in _OURS else [f"left with {ended.code}: {ended.said}"]
        return self._judged(how, whole, run, found)

    def stop(self) -> list[str]:
        """SIGTERM after a step; every other time the checkpoint that it left is damaged before going on."""
        whole, run = self._pick()
        step = self.chance.randint(1, STEPS - 1)
        ended = work(Job(self._config(whole, run), stop_at=step))
        found = [] if ended.code == 143 else [f"left with {ended.code} instead of 143: {ended.said}"]
        how, folder = f"SIGTERM at step {step}", checkpoint.folder_of(run, step)
        if not folder.is_dir():
            return [f"{whole.name}: {how}: {text}" for text in (*found, "no checkpoint of the step")]
        if self.chance.random() < 0.5:
            return self._judged(how, whole, run, found)
        files = [file for file in sorted(folder.iterdir()) if file.stat().st_size]
        how = f"{how}, {damage(self.chance.choice(files), self.chance.choice(DAMAGES), self.chance)}"
        return self._judged(how, whole, run, found, damaged=folder)

    def flip(self) -> list[str]:
        """Many damages of the newest checkpoint, one at a time: each is seen and the one before is taken."""
        whole = self.chance.choice(self.wholes)
        *_, before, newest = checkpoint.all_of(whole.run)
        files = [file for file in sorted(newest.iterdir()) if file.stat().st_size]
        found = []
        for _ in range(FLIPS_AT_ONCE):
            file = self.chance.choice(files)
            data = file.read_bytes()
            how = damage(file, self.chance.choice(DAMAGES), self.chance)
            said: list[Event] = []
            taken = checkpoint.newest(whole.run, said.append)
            if taken != before or not any(isinstance(event, Warn) for event in said):
                found.append(f"{whole.name}: {how}: {taken} was taken instead of {before.name}")
            restore(file, data)
        return found

    def _judged(self, how: str, whole: Whole, run: Path, found: list[str], damaged: Path | None = None) -> list[str]:
        """Check a disturbed run folder, go on with it to the end, compare, and remove it."""
        steps = [folder for folder in checkpoint.all_of(run) if folder != damaged]
        found += [fault for folder in steps for fault in durable.verify(folder)]
        found += durable.verify(run / "model") if (run / "model").is_dir() else []
        ended = work(Job(self._config(whole, run), resume=True))
        if ended.code:
            found.append(f"--resume left with {ended.code}: {ended.said}")
        else:
            found += self._differences(whole, run)
            if how.startswith(_CLOSED):  # what could not be removed just then goes with the next training here
                durable.sweep_staging(run / "checkpoints")
            found += [f"left behind: {left.name}" for left in run.rglob(f"{durable.STAGING_PREFIX}*")]
        if not found:
            durable.remove_folder(run)
        return [f"{whole.name}: {how}: {text}" for text in found]

    def _differences(self, whole: Whole, run: Path) -> list[str]:
        now = result_of(run)
        if not self.exact:
            return [] if now["steps"] == whole.result["steps"] else ["the metrics have gaps or repeats"]
        return [f"{what} differ from the undisturbed run" for what in now if now[what] != whole.result[what]]

    def _undisturbed(self, whole: Whole, clock: Callable[[], float]) -> Whole:
        began = clock()
        ended = _must(work(Job(self._config(whole, whole.run))), f"an undisturbed training ({whole.name})")
        whole.operations, whole.seconds = ended.operations, clock() - began
        whole.result = result_of(whole.run)
        return whole

    def _pick(self) -> tuple[Whole, Path]:
        return self.chance.choice(self.wholes), self._new_run()

    def _new_run(self) -> Path:
        self._count += 1
        return self.folder / f"run-{self._count:05d}"

    def _config(self, whole: Whole, run: Path) -> Config:
        return config_of(whole.task, whole.adapter, self.folder, run, self.device)


def result_of(run: Path) -> dict[str, object]:
    """Return what two runs are compared by."""
    newest = checkpoint.newest(run, silent)
    lines = durable.read_lines(run / runs.METRICS) if (run / runs.METRICS).is_file() else []
    steps = [(line["step"], line["loss"]) for line in lines if line["kind"] == "step"]
    weights = sorted((run / "model").glob("*.safetensors"))
    return {
        "weights": [durable.sha256(file) for file in weights],
        "optimizer": newest and durable.sha256(newest / checkpoint.OPTIMIZER),
        "losses": steps,
        "steps": [step for step, _ in steps],
    }


def _must(ended: Ended, what: str) -> Ended:
    if ended.code:
        raise RunError(f"{what} fails on this machine without any fault of ours put in: {ended.said}")
    return ended
