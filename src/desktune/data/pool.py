"""Work on chunks of rows, in this process or in helper processes, one per core; answers come back in order.

The helpers are started by their own command and speak through pipes, not through ``multiprocessing``: its children
would import the main module anew, which on macOS runs a person's unguarded script twice. What they say is JSON and what
a worker says of itself (``Worker``), never a pickle. A chunk is worked on in the same way wherever that happens.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, Protocol, Self, TypeVar

from desktune.data.wire import Wire, error_back, error_out
from desktune.errors import OutOfMemory
from desktune.hardware import machine

CHUNK_ROWS = 2_048  # a multiple of encode.BATCH_ROWS, so that tokenizers see the same batches everywhere
MANY_ROWS = 20_000  # from here on helpers are worth their start of some seconds
MOST_HELPERS = 8
_HELPER_BYTES = 2 << 30  # memory of the machine for each helper; it takes about 0.3 GB itself
_COMMAND = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from desktune.data.pool import help; help()"
_ANSWER, _ERROR = b"=", b"!"  # the first byte of what a helper says

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)


class Worker(Protocol[Row, Answer_co]):
    """What works on a chunk, and how it, rows and answers travel to another process."""

    rows: ClassVar[Wire[Any]]
    answers: ClassVar[Wire[Any]]

    def work(self, rows: list[Row]) -> Answer_co:
        """Return the answer for a chunk of rows."""
        ...

    def pack(self, folder: Path) -> Any:
        """Return the worker as values for JSON, with what it needs as files in a folder; None: it cannot travel.

        Raises:
            OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError: it cannot travel either.
        """
        ...

    @classmethod
    def unpack(cls, said: Any, folder: Path) -> Self:
        """Return the worker that ``pack`` was asked for."""
        ...


def worked(
    rows: Iterator[Row], worker: Worker[Row, Answer], helpers: int | None = None, many: int = MANY_ROWS
) -> Iterator[Answer]:
    """Yield the answers for all rows, chunk by chunk, in order.

    Args:
        rows: All rows.
        worker: What works on them.
        helpers: Processes; None: by the cores and the memory of this machine.
        many: Rows from which on helpers are started.

    Raises:
        UserError: as the worker does.
    """
    count = helper_count() if helpers is None else helpers
    first = list(islice(rows, many)) if count > 1 else []
    wanted = count > 1 and len(first) >= many
    chunks = _cut(first, rows)
    del first
    with contextlib.ExitStack() as held:
        packed = _packed(worker, held) if wanted else None
        if packed is None:
            yield from map(worker.work, chunks)
        else:
            yield from held.enter_context(_Helpers(count, worker, packed)).map(chunks)


def helper_count() -> int:
    """Return how many processes may help on this machine."""
    here = machine(False)
    return max(1, min(here.cores, MOST_HELPERS, here.memory_bytes // _HELPER_BYTES))


def help() -> None:  # noqa: A001 - what a helper does
    """Work on chunks from the standard input until it ends. Runs in the helpers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    said = json.loads(_receive(sys.stdin.buffer) or b"")
    kind: type[Worker[Any, Any]] = getattr(importlib.import_module(said["module"]), said["class"])
    worker = kind.unpack(said["worker"], Path(said["folder"]))
    while (rows := _receive(sys.stdin.buffer)) is not None:
        try:
            _send(answers, _ANSWER + kind.answers.out(worker.work(kind.rows.back(rows))))
        except Exception as error:  # noqa: BLE001 - the process that asked raises it
            _send(answers, _ERROR + error_out(error))


def _cut(first: list[Row], rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield chunks of the first rows, which are let go on the way, and of the rest."""
    first.reverse()
    rest = iter(rows)
    while first:
        chunk = [first.pop() for _ in range(min(CHUNK_ROWS, len(first)))]
        yield [*chunk, *islice(rest, CHUNK_ROWS - len(chunk))]
    while chunk := list(islice(rest, CHUNK_ROWS)):
        yield chunk


def _packed(worker: Worker[Any, Any], held: contextlib.ExitStack) -> bytes | None:
    """Return the worker as bytes, its files in a folder that ``held`` removes again; None: it cannot travel."""
    try:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="desktune-")))
        said = worker.pack(folder)
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError):
        return None
    kind = type(worker)
    whole = {"module": kind.__module__, "class": kind.__name__, "worker": said, "folder": str(folder)}
    return None if said is None else json.dumps(whole).encode("ascii")


class _Helpers(Generic[Row, Answer]):
    """Helper processes, each served by a thread of its own."""

    def __init__(self, count: int, worker: Worker[Row, Answer], packed: bytes) -> None:
        self._count, self._worker, self._packed = count, worker, packed
        self._processes: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._told: set[int] = set()  # processes that have the worker
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> _Helpers[Row, Answer]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, "-P", "-c", _COMMAND, json.dumps(sys.path)]
        for _ in range(self._count):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
            )
            self._processes.append(process)
            self._free.put(process)
        return self

    def __exit__(self, *error: object) -> None:
        failed = error[0] is not None
        if failed:
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):  # one that was killed
                _pipe(process.stdin).close()
            process.wait()
            _pipe(process.stdout).close()

    def map(self, chunks: Iterator[list[Row]]) -> Iterator[Answer]:
        """Yield the answers in order; two chunks per helper are under way, so that none waits."""
        waiting: deque[Future[Answer]] = deque()
        for rows in chunks:
            waiting.append(self._threads.submit(self._ask, rows))
            if len(waiting) > 2 * self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _ask(self, rows: list[Row]) -> Answer:
        process = self._free.get()
        said: bytes | None = None
        try:
            if process.pid not in self._told:  # by the thread that asks first, so that all start side by side
                self._told.add(process.pid)
                _send(_pipe(process.stdin), self._packed)
            _send(_pipe(process.stdin), self._worker.rows.out(rows))
            said = _receive(_pipe(process.stdout))
        except BrokenPipeError:  # it ended; what it had to say is on the standard error
            pass
        finally:
            self._free.put(process)
        if said is None:
            code = process.wait()
            if code == -signal.SIGKILL:
                raise OutOfMemory("a process that works on rows was killed, for lack of memory most likely; free some")
            raise RuntimeError(f"a process that works on rows ended (exit code {code})")
        if said[:1] == _ERROR:
            raise error_back(said[1:])
        return self._worker.answers.back(said[1:])


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("a helper was started without pipes")
    return stream


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "big"))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """Return the next message, or None at the end."""
    length = int.from_bytes(stream.read(8), "big")
    data = stream.read(length) if length else b""
    return data if data and len(data) == length else None
