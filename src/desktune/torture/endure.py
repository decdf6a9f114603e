"""``desktune torture``: trials of all kinds in turn on the user's own disk and device, until the time is over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from desktune import durable
from desktune.events import Emit, Note, Table, Warn
from desktune.torture.trials import FLIPS_AT_ONCE, Bench

_SAY_EVERY_SECONDS = 5.0
_MOST_SHOWN = 20


@dataclass
class Tally:
    """Trials of one kind and what failed in them."""

    what: str
    trials: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What all trials found."""

    tallies: dict[str, Tally]
    seconds: float

    @property
    def failures(self) -> list[str]:
        """What failed, of all kinds."""
        return [text for tally in self.tallies.values() for text in tally.failures]

    def counts(self) -> str:
        """One line: trials by kind, and failures."""
        said = " · ".join(f"{kind} {tally.trials:,}" for kind, tally in self.tallies.items())
        return f"{said} · failed {len(self.failures):,}"

    def table(self) -> Table:
        """The final table."""
        rows = [
            (kind, tally.what, f"{tally.trials:,}", f"{len(tally.failures):,}") for kind, tally in self.tallies.items()
        ]
        return Table(f"Torture for {self.seconds:.0f} s", ("kind", "what", "trials", "failed"), tuple(rows))


def endure(folder: Path, minutes: float, device: str, emit: Emit, *, seed: int | None = None) -> Report:
    """Torture trainings below a folder and remove all traces of them.

    Args:
        folder: An existing folder or a new one, on the disk that is meant.
        minutes: How long; a trial that has begun is ended.
        device: ``model.device``.
        emit: Counts now and then, every failure, the table.
        seed: Of the trials' chance; None takes a new one, which is said.

    Raises:
        RunError: the folder cannot be written, or training does not work here at all.
    """
    began = time.monotonic()
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    place = folder.resolve() / f"{durable.STAGING_PREFIX}torture-{time.time_ns():x}"
    durable.claim_folder(place)
    try:
        emit(Note(f"torture of {folder.resolve()} on {device}, {minutes:g} min, seed {seed}; nothing of it will stay"))
        bench = Bench(place, device, random.Random(seed))
        bench.prepare(time.monotonic)
        if not bench.exact:
            emit(Warn(f"two equal trainings on {device} differ in their last bits: only the course is compared"))
        report = _trials(bench, began, minutes * 60, emit)
    finally:
        durable.remove_folder(place)
    emit(report.table())
    return report


def _trials(bench: Bench, began: float, seconds: float, emit: Emit) -> Report:
    kinds: dict[str, tuple[Tally, Callable[[], list[str]], int]] = {
        "kill": (Tally("SIGKILL at any moment, then --resume: the same bits"), bench.kill, 1),
        "flip": (Tally("flipped bits, cut and zeroed files: seen, the one before taken"), bench.flip, FLIPS_AT_ONCE),
        "disk": (Tally("full, broken or closed disk: a clear error, then --resume: the same bits"), bench.refuse, 1),
        "resume": (
            Tally("SIGTERM after a step, its checkpoint damaged or not, then --resume: the same bits"),
            bench.stop,
            1,
        ),
    }
    report, said = Report({kind: tally for kind, (tally, _, _) in kinds.items()}, 0.0), time.monotonic()
    while True:
        for tally, trial, count in kinds.values():
            found = trial()
            tally.trials += count
            tally.failures += found
            for text in found[:_MOST_SHOWN]:
                emit(Warn(text))
            if time.monotonic() - said > _SAY_EVERY_SECONDS:
                said = time.monotonic()
                emit(Note(f"{said - began:.0f} s: {report.counts()}"))
        report.seconds = time.monotonic() - began
        if report.seconds >= seconds:
            return report
