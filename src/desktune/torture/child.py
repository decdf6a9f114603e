"""Processes that train and may be ended: each trial's training runs in its own, and leaves with the exit code of ours.

On Linux they are forked from a server that has imported torch once (and never used a device); elsewhere they start
from nothing, since the libraries of macOS do not survive a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tqdm import tqdm

from desktune import durable
from desktune.config.schema import Config
from desktune.errors import DesktuneError
from desktune.events import Event, Step
from desktune.torture.faults import Fault

_LONGEST_SECONDS = 120  # of a training of a second or two


@dataclass(frozen=True)
class Job:
    """One training in its own process, and what is to befall it."""

    config: Config
    resume: bool = False
    fault: Fault | None = None
    stop_at: int | None = None  # the step after which SIGTERM comes
    largest_file: int | None = None  # bytes; the system refuses more


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal), how many disk operations it took, its last words."""

    code: int
    operations: int = 0
    said: str = ""


def work(job: Job, kill_after: float | None = None) -> Ended:
    """Do a job in a process of its own, killed after some seconds where ``kill_after`` says so."""
    return _in_process(_train, job, kill_after)


def make(function: Callable[..., None], *arguments: Any) -> Ended:
    """Call a function in a process of its own, so that this one never uses torch."""
    return _in_process(_call, (function, arguments), None)


def _in_process(target: Callable[..., None], given: Any, kill_after: float | None) -> Ended:
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(["desktune.torture.warm"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(given, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        process.join(_LONGEST_SECONDS if kill_after is None else kill_after)
        hangs = process.is_alive() and kill_after is None
    finally:  # also where the user has had enough
        process.kill()
        process.join()
    operations, said = _received(ours)
    return Ended(1 if hangs else int(process.exitcode or 0), operations, "it hangs" if hangs else said)


def _received(pipe: Connection) -> tuple[int, str]:
    try:
        return pipe.recv()
    except EOFError:  # killed before it could say anything
        return 0, ""
    finally:
        pipe.close()


def _train(job: Job, pipe: Connection) -> None:
    """The whole life of a process that trains."""
    counting = job.fault or Fault(sys.maxsize, "EIO")

    def train() -> None:
        from desktune import api

        _limit(job.largest_file)
        with durable.watch(counting):
            api.train(job.config, _stopping(job.stop_at), resume=job.resume)

    _leave(train, pipe, counting)


def _call(given: tuple[Callable[..., None], tuple[Any, ...]], pipe: Connection) -> None:
    function, arguments = given
    _leave(lambda: function(*arguments), pipe, Fault(sys.maxsize, "EIO"))


def _leave(function: Callable[[], None], pipe: Connection, counting: Fault) -> None:
    """Call a function and end this process; whatever is raised, the parent hears of it."""
    _hush()
    tqdm.set_lock(threading.RLock())  # its own is a semaphore that a killed process leaves to the system
    code, said = 1, ""
    try:
        function()
        code = 0
    except DesktuneError as error:
        code, said = error.exit_code, f"{type(error).__name__}: {error}"
    finally:
        pipe.send((counting.count, said or (traceback.format_exc(limit=-4) if code else "")))
        os._exit(code)


def _hush() -> None:
    """Bars and warnings of libraries would stand between the counts; errors travel through the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _stopping(step: int | None) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        if isinstance(event, Step) and event.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return emit


def _limit(largest_file: int | None) -> None:
    """Let the system refuse longer files, as a full disk refuses them: in the middle of a library's write."""
    if largest_file is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
