"""Rows as read → batches of ids, chunk by chunk: in this process, or on all cores where there are many rows.

The helpers are started by their own command and speak through pipes, not through ``multiprocessing``: its children
would import the main module anew, which on macOS runs a person's unguarded script twice. What they say is JSON and
Arrow (``wire.py``), and the tokenizer goes as its own files: nothing here is a pickle. Chunks come back in order, and a
chunk is encoded in the same way wherever that happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

import pyarrow

from desktune.config.schema import DataSection
from desktune.data.encode import Kit, encode
from desktune.data.store import SCHEMA, batch_of
from desktune.data.template import compile_template, render
from desktune.data.wire import Answer, answer_in, answer_out, kit_in, kit_out, rows_in, rows_out
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
    wanted = count > 1 and len(first) >= many
    del first
    with contextlib.ExitStack() as held:
        packed = _packed(encoder, held) if wanted else None
        if packed is None:
            yield from map(encoder.chunk, chunks)
        else:
            yield from held.enter_context(_Helpers(count, packed)).map(chunks)


def helper_count() -> int:
    """Return how many processes may help on this machine."""
    here = machine(False)
    return max(1, min(here.cores, MOST_HELPERS, here.memory_bytes // _HELPER_BYTES))


def help() -> None:  # noqa: A001 - what a helper does
    """Encode chunks from the standard input until it ends. Runs in the helpers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    encoder = _unpacked(_receive(sys.stdin.buffer) or b"")
    while (rows := _receive(sys.stdin.buffer)) is not None:
        try:
            chunk = encoder.chunk(rows_in(rows))
            answer = Answer(chunk.rejects, chunk.special_text, None, chunk.batch.serialize().to_pybytes())
        except UserError as error:
            answer = Answer(error=error)
        _send(answers, answer_out(answer))


def _cut(rows: Iterable[Example]) -> Iterator[list[Example]]:
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _packed(encoder: Encoder, held: contextlib.ExitStack) -> bytes | None:
    """Return the encoder as JSON and its tokenizer in a folder that ``held`` removes again.

    None for a tokenizer that is another one once it was saved and loaded, or where no such folder can be.
    """
    try:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="desktune-")))
        encoder.kit.tokenizer.save_pretrained(folder)
        packed = json.dumps({"kit": kit_out(encoder.kit, folder), "section": encoder.section.model_dump_json()})
        same = _unpacked(packed.encode("utf-8")).kit.tokenizer_hash == encoder.kit.tokenizer_hash
    except (OSError, ValueError, TypeError, AttributeError, NotImplementedError):
        return None
    return packed.encode("utf-8") if same else None


def _unpacked(packed: bytes) -> Encoder:
    said = json.loads(packed)
    return Encoder(kit_in(said["kit"]), DataSection.model_validate_json(said["section"]))


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
        said: bytes | None = None
        try:
            _send(_pipe(process.stdin), rows_out(rows))
            said = _receive(_pipe(process.stdout))
        except BrokenPipeError:  # it ended; what it had to say is on the standard error
            pass
        finally:
            self._free.put(process)
        if said is None:
            raise RuntimeError(f"a process that encodes rows ended (exit code {process.wait()})")
        answer = answer_in(said)
        if answer.error is not None:
            raise answer.error
        batch = pyarrow.ipc.read_record_batch(pyarrow.py_buffer(answer.batch), SCHEMA)
        return Chunk(batch, answer.rejects, answer.special_text)


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
