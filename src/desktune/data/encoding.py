"""Rows as read → batches of ids, chunk by chunk: in this process, or on all cores where there are many rows.

The helpers are started by their own command and speak through pipes, not through ``multiprocessing``: its children
would import the main module anew, which on macOS runs a person's unguarded script twice. Chunks come back in order,
and a chunk is encoded in the same way wherever that happens.
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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

import pyarrow

from desktune.config.schema import DataSection
from desktune.data.encode import Kit, encode
from desktune.data.store import SCHEMA, batch_of
from desktune.data.template import compile_template, render
from desktune.errors import UserError
from desktune.hardware import machine
from desktune.rows import Encoded, Example, Reject, Rendered

CHUNK_ROWS = 2_048  # a multiple of encode.BATCH_ROWS, so that tokenizers see the same batches everywhere
MANY_ROWS = 20_000  # from here on helpers are worth their start of some seconds
MOST_HELPERS = 8
_HELPER_BYTES = 2 << 30  # memory of the machine for each helper; it takes about 0.3 GB itself
_COMMAND = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from desktune.data.encoding import help; help()"


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of some rows. ``special_text`` counts those that spelt a special token."""

    batch: pyarrow.RecordBatch
    rejects: list[Reject]
    special_text: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """What encodes a chunk."""

    kit: Kit
    section: DataSection

    def chunk(self, rows: Sequence[Example]) -> Chunk:
        """Render and encode rows. Raises DataError as ``encode`` does."""
        specials, template = self.kit.specials, compile_template(self.section.template)
        cleaned = [specials.clean_example(row) for row in rows]
        special = sum(one is not row for one, row in zip(cleaned, rows, strict=True))
        results = [render(row, template) for row in cleaned]
        rejects = [result for result in results if isinstance(result, Reject)]
        kept: list[Encoded] = []
        for row in encode((result for result in results if isinstance(result, Rendered)), self.kit, self.section):
            if isinstance(row, Reject):
                rejects.append(row)
            else:
                kept.append(row)
        return Chunk(batch_of(kept), rejects, special)

    def tokens(self, text: str) -> int:
        """Return how many tokens the tokenizer makes of a text."""
        return len(self.kit.tokenizer.tokenize(text))


def encode_chunks(
    rows: Iterator[Example], encoder: Encoder, helpers: int | None = None, many: int = MANY_ROWS
) -> Iterator[Chunk]:
    """Yield all rows encoded, in order.

    Args:
        rows: Rows as read.
        encoder: Tokenizer and settings.
        helpers: Processes; None: by the cores and the memory of this machine.
        many: Rows from which on helpers are started.

    Raises:
        DataError: as ``encode`` does.
    """
    count = helper_count() if helpers is None else helpers
    first = list(islice(rows, many)) if count > 1 else []
    chunks = _cut(chain(first, rows))
    packed = _packed(encoder) if count > 1 and len(first) >= many else None
    del first
    if packed is None:
        yield from map(encoder.chunk, chunks)
    else:
        with _Helpers(count, packed) as pool:
            yield from pool.map(chunks)


def helper_count() -> int:
    """Return how many processes may help on this machine."""
    here = machine(False)
    return max(1, min(here.cores, MOST_HELPERS, here.memory_bytes // _HELPER_BYTES))


def help() -> None:  # noqa: A001 - what a helper does
    """Encode chunks from the standard input until it ends. Runs in the helpers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    encoder: Encoder = _receive(sys.stdin.buffer)
    while (rows := _receive(sys.stdin.buffer)) is not None:
        try:
            chunk = encoder.chunk(rows)
            answer: Any = (chunk.batch.serialize().to_pybytes(), chunk.rejects, chunk.special_text)
        except UserError as error:
            answer = error
        _send(answers, pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _cut(rows: Iterable[Example]) -> Iterator[list[Example]]:
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _packed(encoder: Encoder) -> bytes | None:
    """Return the encoder as bytes, or None for a tokenizer that cannot be sent to another process."""
    try:
        return pickle.dumps(encoder, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None


class _Helpers:
    """Helper processes, each served by a thread of its own."""

    def __init__(self, count: int, packed: bytes) -> None:
        self._count, self._packed = count, packed
        self._processes: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> _Helpers:
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

    def map(self, chunks: Iterator[list[Example]]) -> Iterator[Chunk]:
        """Yield the chunks encoded, in order; two per helper are under way, so that none waits."""
        waiting: deque[Future[Chunk]] = deque()
        for rows in chunks:
            waiting.append(self._threads.submit(self._encode, rows))
            if len(waiting) > 2 * self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _encode(self, rows: list[Example]) -> Chunk:
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
            raise RuntimeError(f"a process that encodes rows ended (exit code {process.wait()})")
        data, rejects, special_text = answer
        return Chunk(pyarrow.ipc.read_record_batch(pyarrow.py_buffer(data), SCHEMA), rejects, special_text)


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
