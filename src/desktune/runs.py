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
from desktune.diskerrors import gone
from desktune.errors import Locked, RunError, nearest

RUNS = Path("runs")
LATEST = "latest"
PREPARED = ".prepared"  # beside the run folders: encoded rows that any run of the same data reuses
PREPARED_NAME = 16  # letters of the rows' hash that name their folder
CONFIG, ENVIRONMENT, LEDGER, STATUS, LOCK = "config.yaml", "environment.json", "ledger.json", "status.json", ".lock"
REJECTED, METRICS, SAMPLES = "rejected.jsonl", "metrics.jsonl", "samples.jsonl"

Status = Literal["running", "finished", "stopped", "diverged"]

# Who only asks whether a run is running holds its lock for microseconds; a second try gets it.
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 5, 0.05
# What a start writes before the config, which comes last and makes the folder a run.
_BEGUN = re.compile(
    rf"{re.escape(LEDGER)}|{re.escape(REJECTED)}|{re.escape(ENVIRONMENT)}|{re.escape(durable.STAGING_PREFIX)}.*",
    re.DOTALL,
)
_MOST_NAME_BYTES = 80  # of 255, since a time, "_merged" and the name of a staging folder come with it
_held: dict[Path, int] = {}  # run folders that this process has locked, with the descriptors
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


@dataclass(frozen=True)
class Claim:
    """A run folder that this process holds for writing, and whether training begins in it."""

    run: Path
    fresh: bool


@contextlib.contextmanager
def claim(output: Place, model_name: str, *, resume: bool = False) -> Iterator[Claim]:
    """Hold the folder of a run while it is trained: ``output.dir``, else ``runs/<name>-<timestamp>``, or a run's own.

    It needs neither torch nor rows, so that of many starts all but one are refused in an instant. A folder in which
    nothing came to be is removed at the end.

    Raises:
        Locked: another process writes there now.
        RunError: ``output.dir`` exists and holds something; nothing is changed.
    """
    run = to_resume(output, model_name) if resume else None
    if run is not None:
        with lock(run):
            yield Claim(run, fresh=False)
        return
    with _new_run(output, model_name) as folder:
        yield Claim(folder, fresh=True)


@contextlib.contextmanager
def _new_run(output: Place, model_name: str) -> Iterator[Path]:
    if output.dir is None:
        folder = _unique(f"{_safe(output.name or model_name)}-{datetime.now():%Y%m%d-%H%M%S}")
    else:
        folder = Path(output.dir).expanduser()
        check_free(folder)
    new = output.dir is None or not folder.exists()
    durable.make_folder(folder)
    with lock(folder):
        check_free(folder, held=True)  # once more: a run may have begun, and even ended, before the lock was ours
        try:
            yield folder
        finally:
            _remove_unused(folder, new)


def _remove_unused(folder: Path, new: bool) -> None:
    """Remove a new folder that holds our lock file alone; ``lock`` sees that the file is another one by then."""
    if new and folder.is_dir() and [path.name for path in folder.iterdir()] == [LOCK]:
        durable.remove_folder(folder)


def check_free(folder: Path, *, held: bool = False) -> None:
    """Make sure that a new run may lie here; ``held`` says that its lock is ours. What a killed start left is no harm.

    Raises:
        Locked: another process writes a run there now.
        RunError: it is a file, another run, or a folder with something else in it.
    """
    harm = _harm(folder, held=held)
    if harm and not held and is_locked(folder):  # asked last: who asks holds the lock himself for a moment
        raise Locked(_locked_text(folder, _holder(folder)))
    if harm:
        raise RunError(f"output folder in use: {folder} {harm}")


def _harm(folder: Path, *, held: bool) -> str | None:
    if not folder.exists():
        return None
    if not folder.is_dir():
        return "is a file; name another one with output.dir"
    if is_run(folder):
        return (
            f"holds a run ({describe(folder, held=held).status}); go on with it by desktune train {folder} --resume, "
            "or name another folder with output.dir"
        )
    # What another start left may be gone by now.
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(name for name in names - {LOCK} if LOCK not in names or not _BEGUN.fullmatch(name))
    if not others:
        return None
    holds = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
    return f"is not a run and holds {holds}; name a new or an empty folder with output.dir"


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
    descriptor = _open_lock(run)
    _held[run.absolute()] = descriptor
    try:
        durable.write_lock(descriptor, run / LOCK, f"{os.getpid()} {socket.gethostname()}\n")
        yield
    finally:
        del _held[run.absolute()]
        os.close(descriptor)  # frees the lock; the file stays, since the folder is a run


def check_held(run: Path) -> None:
    """Make sure that a run folder locked by this process is still the one that it locked.

    Raises:
        RunError: somebody moved or removed it; another run may lie there now.
    """
    descriptor = _held.get(run.absolute())
    if descriptor is not None and not _is_same_file(descriptor, run / LOCK):
        raise gone(run)


def _open_lock(run: Path) -> int:
    """Return a descriptor that holds the lock of the file that lies there *now*, not of one that was removed."""
    while True:
        try:
            descriptor = durable.open_lock(run / LOCK)
        except FileNotFoundError:  # the folder of a start that was refused is gone again
            durable.make_folder(run)
            continue
        try:
            if not _take(descriptor, run):
                raise Locked(_locked_text(run, os.pread(descriptor, 200, 0).decode("utf-8", "replace")))
            if _is_same_file(descriptor, run / LOCK):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


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
    check_held(run)
    known = _read_json(run / STATUS).get("facts", {})
    finite = {name: value for name, value in metrics.items() if abs(value) < float("inf")}
    said = {"status": status, "step": step, "time": round(time.time(), 3), "metrics": finite}
    durable.write_text(run / STATUS, durable.checked_line({**said, "facts": {**known, **(facts or {})}}) + "\n")


def describe(run: Path, *, held: bool = False) -> RunInfo:
    """Return the facts of a run from its JSON files; ``held`` says that its lock is ours.

    Raises:
        RunError: the folder is not a run.
    """
    check_run(run)
    said = _read_json(run / STATUS)
    environment = _read_json(run / ENVIRONMENT)
    metrics, facts = said.get("metrics", {}), said.get("facts", {})
    return RunInfo(
        folder=run,
        status=_status(run, said.get("status"), held),
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


def prepared_rows(run: Path) -> Path | None:
    """Return the folder of the encoded rows that a run was trained on, None where it is gone (it can be made anew)."""
    identity = _read_json(run / ENVIRONMENT).get("identity", {})
    folder = run.parent / PREPARED / str(identity.get("data", ""))[:PREPARED_NAME]
    return folder if "data" in identity and folder.is_dir() else None


def faults(run: Path) -> list[str]:
    """Return what is wrong with the files of a run that change while it lives: its lines and its status."""
    if not (run / durable.MANIFEST).is_file():
        return []  # of a desktune whose lines had no checksums
    place = Run(run)
    files = [file for file in (place.metrics, place.samples, place.status) if file.is_file()]
    return [fault for file in files for fault in durable.line_faults(file)]


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


def _holder(run: Path) -> str:
    with contextlib.suppress(OSError):
        return (run / LOCK).read_text(encoding="utf-8", errors="replace")
    return ""


def _locked_text(run: Path, holder: str) -> str:
    """``holder`` is what the lock file holds: pid and host."""
    pid, _, host = holder.strip().partition(" ")
    who = f"process {pid}" if pid else "another process"
    where = f" on {host}" if host and host != socket.gethostname() else ""
    return f"{run}: in use by {who}{where}; wait for it, or stop it and go on with --resume"


def _status(run: Path, said: str | None, held: bool) -> str:
    if not held and is_locked(run):
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
