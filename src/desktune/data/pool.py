"""Work on chunks of rows, in this process or in helper processes, one per core; answers come back in order.

The helpers are started by their own command and speak through pipes, not through ``multiprocessing``: its children
would import the main module anew, which on macOS runs a person's unguarded script twice. A chunk is worked on in the
same way wherever that happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import IO, Any, Generic, Protocol, TypeVar

from desktune.errors import UserError
from desktune.hardware import machine

CHUNK_ROWS = 2_048  # a multiple of encode.BATCH_ROWS, so that tokenizers see the same batches everywhere
MANY_ROWS = 20_000  # from here on helpers are worth their start of some seconds
MOST_HELPERS = 8
_HELPER_BYTES = 2 << 30  # memory of the machine for each helper; it takes about 0.3 GB itself
_COMMAND = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from desktune.data.pool import help; help()"

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)


class Worker(Protocol[Row, Answer_co]):
    """What works on a chunk; it can be sent to another process by pickle, or all work is done in this one."""

    def work(self, rows: list[Row]) -> Answer_co:
        """Return the answer for a chunk of rows."""
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
    packed = _packed(worker) if count > 1 and len(first) >= many else None
    chunks = _cut(first, rows)
    del first
    if packed is None:
        yield from map(worker.work, chunks)
    else:
        with _Helpers[Row, Answer](count, packed) as pool:
            yield from pool.map(chunks)


def helper_count() -> int:
    """Return how many processes may help on this machine."""
    here = machine(False)
    return max(1, min(here.cores, MOST_HELPERS, here.memory_bytes // _HELPER_BYTES))


def help() -> None:  # noqa: A001 - what a helper does
    """Work on chunks from the standard input until it ends. Runs in the helpers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    worker: Worker[Any, Any] = _receive(sys.stdin.buffer)
    while (rows := _receive(sys.stdin.buffer)) is not None:
        try:
            answer: Any = worker.work(rows)
        except UserError as error:
            answer = error
        _send(answers, pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _cut(first: list[Row], rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield chunks of the first rows, which are let go on the way, and of the rest."""
    first.reverse()
    rest = iter(rows)
    while first:
        chunk = [first.pop() for _ in range(min(CHUNK_ROWS, len(first)))]
        yield [*chunk, *islice(rest, CHUNK_ROWS - len(chunk))]
    while chunk := list(islice(rest, CHUNK_ROWS)):
        yield chunk


def _packed(worker: Any) -> bytes | None:
    """Return the worker as bytes, or None for one that cannot be sent (a tokenizer that is no file)."""
    try:
        return pickle.dumps(worker, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None


class _Helpers(Generic[Row, Answer]):
    """Helper processes, each served by a thread of its own."""

    def __init__(self, count: int, packed: bytes) -> None:
        self._count, self._packed = count, packed
        self._processes: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> _Helpers[Row, Answer]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, "-c", _COMMAND, json.dumps(sys.path)]
        for _ in range(self._count):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
            )
            self._processes.append(process)
            self._free.put(process)
            _send(_pipe(process.stdin), self._packed)
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
        answer: Any = None
        try:
            _send(_pipe(process.stdin), pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))
            answer = _receive(_pipe(process.stdout))
        except BrokenPipeError:  # it ended; what it had to say is on the standard error
            pass
        finally:
            self._free.put(process)
        if isinstance(answer, UserError):
            raise answer
        if answer is None:
            raise RuntimeError(f"a process that works on rows ended (exit code {process.wait()})")
        return answer


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("a helper was started without pipes")
    return stream


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "big"))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    """Return the next value, or None at the end. Both ends are processes of ours: no foreign pickle comes here."""
    length = int.from_bytes(stream.read(8), "big")
    data = stream.read(length) if length else b""
    return pickle.loads(data) if data and len(data) == length else None
