"""Run folders: where they lie, who writes in one, how far it came.

A run folder is known by its ``config.yaml``. ``status.json`` says how the training went, in words of ``Status``; a run
whose lock is held is running, whatever its file says, and one that says "running" without a lock was killed. The lock
is ``flock`` on ``.lock``: the system frees it when its holder dies, so that nothing is left to clean up by hand.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from desktune import durable
from desktune.errors import Locked, RunError, nearest

RUNS = Path("runs")
LATEST = "latest"
CONFIG, ENVIRONMENT, LEDGER, STATUS, LOCK = "config.yaml", "environment.json", "ledger.json", "status.json", ".lock"
REJECTED, METRICS, SAMPLES = "rejected.jsonl", "metrics.jsonl", "samples.jsonl"

Status = Literal["running", "finished", "stopped", "diverged"]

# Who only asks whether a run is running holds its lock for microseconds; a second try gets it.
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 5, 0.05
_MOST_NAME_BYTES = 80  # of 255, since a time, "_merged" and the name of a staging folder come with it
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP)


class Place(Protocol):
    """The part of a config that says where a run lies (its section ``output``)."""

    @property
    def dir(self) -> str | None:
        """The run folder itself, or None."""
        ...

    @property
    def name(self) -> str | None:
        """The run's name, or None."""
        ...


@dataclass(frozen=True)
class Run:
    """The places inside a run folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """The config as it was resolved."""
        return self.folder / CONFIG

    @property
    def environment(self) -> Path:
        """Versions, device, hashes."""
        return self.folder / ENVIRONMENT

    @property
    def ledger(self) -> Path:
        """Rows read, kept and rejected."""
        return self.folder / LEDGER

    @property
    def rejected(self) -> Path:
        """The rows that were not used, with their reason."""
        return self.folder / REJECTED

    @property
    def metrics(self) -> Path:
        """One line per log step and per validation."""
        return self.folder / METRICS

    @property
    def samples(self) -> Path:
        """Texts of a few rows at each validation."""
        return self.folder / SAMPLES

    @property
    def status(self) -> Path:
        """How the training went."""
        return self.folder / STATUS

    @property
    def model(self) -> Path:
        """The best adapter or model."""
        return self.folder / "model"

    @property
    def generations(self) -> Path:
        """What the model was asked to write."""
        return self.folder / "generations"

    @property
    def merged(self) -> Path:
        """The merged model; carries the run's name, since it is what travels."""
        return self.folder / f"{self.folder.resolve().name}_merged"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint of a step."""
        return self.folder / "checkpoints" / f"step-{step:06d}"


@dataclass(frozen=True)
class RunInfo:
    """One line about a run; what is not known is None."""

    folder: Path
    status: str  # a Status, or "killed"
    created: float  # seconds since 1970
    base: str | None = None
    task: str | None = None
    steps: int | None = None
    total_steps: int | None = None
    best_metric: str | None = None
    best_value: float | None = None
    last_eval_loss: float | None = None
    size_bytes: int = 0
    has_model: bool = False
    has_merged: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name


def new_run_folder(output: Place, model_name: str) -> Path:
    """Create the folder of a new run and return it: ``output.dir`` as it stands, else ``runs/<name>-<timestamp>``.

    Call it when all that can be wrong with a config has been found, and ``lock`` right after it.

    Raises:
        RunError: ``output.dir`` exists and holds something; nothing is changed.
        Locked: another process writes there now.
    """
    if output.dir is None:
        return _unique(f"{_safe(output.name or model_name)}-{datetime.now():%Y%m%d-%H%M%S}")
    folder = Path(output.dir).expanduser()
    check_free(folder)
    durable.make_folder(folder)
    return folder


def check_free(folder: Path) -> None:
    """Make sure that a new run may lie here.

    Raises:
        Locked: another process writes there now.
        RunError: it is a file, another run, or a folder with something else in it.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"output folder in use: {folder} is a file; name another one with output.dir")
    if is_locked(folder):
        raise Locked(_locked_text(folder, (folder / LOCK).read_text(encoding="utf-8", errors="replace")))
    if is_run(folder):
        raise RunError(
            f"output folder in use: {folder} holds a run ({describe(folder).status}); go on with it by "
            f"desktune train {folder} --resume, or name another folder with output.dir"
        )
    others = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
    if others:
        holds = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
        raise RunError(
            f"output folder in use: {folder} is not a run and holds {holds}; "
            "name a new or an empty folder with output.dir"
        )


def to_resume(output: Place, model_name: str) -> Path | None:
    """Return the run that ``--resume`` means: ``output.dir``, else the newest one of this name, else None."""
    if output.dir is not None:
        folder = Path(output.dir).expanduser()
        return folder if is_run(folder) else None
    pattern = re.compile(re.escape(_safe(output.name or model_name)) + r"-\d{8}-\d{6}(-\d+)?")
    return next((folder for folder in _run_folders(RUNS) if pattern.fullmatch(folder.name)), None)


def is_folder(path: Path) -> bool:
    """Whether a folder is there; of a name that no file can have, False (``Path.is_dir`` raises for a long one)."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_run(folder: Path) -> bool:
    """Whether a folder is a run."""
    return (folder / CONFIG).is_file()


@contextlib.contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold the run's folder for writing.

    Raises:
        Locked: another process holds it; the text names its pid.
        RunError: the file system has no locks.
    """
    descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _take(descriptor, run):
            raise Locked(_locked_text(run, os.pread(descriptor, 200, 0).decode("utf-8", "replace")))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # frees the lock; the file stays, since removing it would let two in


def is_locked(run: Path) -> bool:
    """Whether some process writes this run now."""
    try:
        descriptor = os.open(run / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, shared=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def mark(
    run: Path, status: Status, step: int, metrics: Mapping[str, float], facts: Mapping[str, Any] | None = None
) -> None:
    """Write how the run stands; ``facts`` (base, task, total_steps, best_metric, best_value …) add to earlier ones."""
    known = _read_json(run / STATUS).get("facts", {})
    finite = {name: value for name, value in metrics.items() if abs(value) < float("inf")}
    said = {"status": status, "step": step, "time": round(time.time(), 3), "metrics": finite}
    durable.write_json(run / STATUS, {**said, "facts": {**known, **(facts or {})}})


def describe(run: Path) -> RunInfo:
    """Return the facts of a run from its JSON files. Raises RunError when the folder is not a run."""
    check_run(run)
    said = _read_json(run / STATUS)
    environment = _read_json(run / ENVIRONMENT)
    metrics, facts = said.get("metrics", {}), said.get("facts", {})
    return RunInfo(
        folder=run,
        status=_status(run, said.get("status")),
        created=(run / CONFIG).stat().st_mtime,
        base=facts.get("base", environment.get("base")),
        task=facts.get("task", environment.get("task")),
        steps=said.get("step"),
        total_steps=facts.get("total_steps"),
        best_metric=facts.get("best_metric"),
        best_value=facts.get("best_value"),
        last_eval_loss=metrics.get("eval_loss"),
        size_bytes=_size(run),
        has_model=Run(run).model.is_dir(),
        has_merged=Run(run).merged.is_dir(),
        metrics=metrics,
    )


def list_runs(root: Path = RUNS) -> list[RunInfo]:
    """Return the runs directly below ``root``, newest first."""
    return [describe(folder) for folder in _run_folders(root)]


def resolve(text: str) -> Path:
    """Return the run that a person means: a run folder, a name under ``runs/``, or ``latest``.

    Raises:
        RunError: there is none; the text names the runs that exist.
    """
    if text == LATEST:
        newest = next(_run_folders(RUNS), None)
        if newest is None:
            raise RunError(f"{RUNS}/: no run here yet; start one with desktune train CFG")
        return newest
    for folder in (Path(text).expanduser(), RUNS / text):
        if is_folder(folder):
            check_run(folder)
            return folder
    names = [folder.name for folder in _run_folders(RUNS)]
    known = f"runs here: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else f"no runs in {RUNS}/ yet"
    raise RunError(f"{text}: no such run{nearest(text, names)}; {known}")


def check_run(folder: Path) -> None:
    """Raise RunError, saying what is missing, when a folder is not a run."""
    if not is_run(folder):
        raise RunError(f"{folder}: not a run folder: {CONFIG} is missing; desktune runs lists the runs there are")


def _unique(name: str) -> Path:
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        with contextlib.suppress(FileExistsError):
            durable.claim_folder(RUNS / (name + suffix))
            return RUNS / (name + suffix)
    raise RunError(f"{RUNS / name}: a thousand runs of this second exist")


def _safe(model_name: str) -> str:
    """``google/flan-t5-base`` → ``flan-t5-base``; ``starter:t5`` → ``starter-t5``; never a path, never hidden."""
    last = model_name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]
    name = re.sub(r"[^\w.-]+", "-", last).strip("-.").encode("utf-8", "ignore")[:_MOST_NAME_BYTES]
    return name.decode("utf-8", "ignore").rstrip("-.") or "run"


def _run_folders(root: Path) -> Iterator[Path]:
    folders = [folder for folder in root.iterdir() if is_run(folder)] if root.is_dir() else []
    return iter(sorted(folders, key=lambda folder: ((folder / CONFIG).stat().st_mtime, folder.name), reverse=True))


def _take(descriptor: int, run: Path) -> bool:
    for attempt in range(_LOCK_TRIES):
        if attempt:
            time.sleep(_LOCK_PAUSE_SECONDS)
        try:
            if _try_lock(descriptor, shared=False):
                return True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise RunError(f"{run}: this file system has no locks; name another disk with output.dir") from error
    return False


def _try_lock(descriptor: int, *, shared: bool) -> bool:
    import fcntl  # not on Windows, where reading configs and runs still works

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_text(run: Path, holder: str) -> str:
    """``holder`` is what the lock file holds: pid and host."""
    pid, _, host = holder.strip().partition(" ")
    who = f"process {pid}" if pid else "another process"
    where = f" on {host}" if host and host != socket.gethostname() else ""
    return f"{run}: in use by {who}{where}; wait for it, or stop it and go on with --resume"


def _status(run: Path, said: str | None) -> str:
    if is_locked(run):
        return "running"
    return "killed" if said in (None, "running") else said


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a run that is being written loses files while we look
            total += path.stat().st_size if path.is_file() else 0
    return total
