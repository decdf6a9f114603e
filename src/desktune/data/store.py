"""Encoded rows as one Arrow file that is memory-mapped: training reads rows from disk and holds none of them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow
from numpy.typing import NDArray

from desktune.data.split import KEY
from desktune.errors import DataError
from desktune.rows import IGNORE, Encoded, Origin

_IDS = pyarrow.large_list(pyarrow.int32())
SCHEMA = pyarrow.schema(
    [
        ("file", pyarrow.large_string()),
        ("line", pyarrow.int64()),
        ("input_ids", _IDS),
        ("labels", _IDS),
        ("prompt_length", pyarrow.int32()),
        ("prompt", pyarrow.large_string()),
        ("completion", pyarrow.large_string()),
        ("source_lang", pyarrow.large_string()),
        ("target_lang", pyarrow.large_string()),
        ("key", pyarrow.large_string()),
        ("truncated", pyarrow.bool_()),
    ]
)
Lengths = NDArray[np.int64]


def batch_of(rows: Iterable[Encoded]) -> pyarrow.RecordBatch:
    """Return rows as one batch of columns."""
    columns: list[list[object]] = [[] for _ in SCHEMA]
    for row in rows:
        values = (
            row.origin.file, row.origin.line, row.input_ids, row.labels, row.prompt_length,
            row.prompt, row.completion, row.source_lang, row.target_lang, row.key, row.truncated,
        )  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def keys_of(batch: pyarrow.RecordBatch) -> NDArray[np.bytes_]:
    """Return the content hashes of a batch, 32 bytes each."""
    return np.array([bytes.fromhex(key) for key in batch["key"].to_pylist()], KEY)


class EncodedSet(Sequence[Encoded]):
    """Encoded rows, in memory or mapped from a file; row i is made when it is asked for."""

    def __init__(self, batches: Sequence[pyarrow.RecordBatch]) -> None:
        self.batches = list(batches)
        self._inputs = [_Lists(batch["input_ids"]) for batch in self.batches]
        self._labels = [_Lists(batch["labels"]) for batch in self.batches]
        self._starts = list(accumulate((batch.num_rows for batch in self.batches), initial=0))

    @classmethod
    def from_rows(cls, rows: Iterable[Encoded]) -> EncodedSet:
        """Return a set in memory."""
        return cls([batch_of(rows)])

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> Encoded: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...
    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        at = bisect.bisect_right(self._starts, row) - 1
        batch, row = self.batches[at], row - self._starts[at]
        cells = {name: batch[name][row].as_py() for name in SCHEMA.names if name not in ("input_ids", "labels")}
        origin = Origin(cells.pop("file"), cells.pop("line"))
        return Encoded(origin=origin, input_ids=self._inputs[at].row(row), labels=self._labels[at].row(row), **cells)

    @cached_property
    def input_lengths(self) -> Lengths:
        """Tokens of the source (causal: of the whole row), per row."""
        return _joined([lists.lengths for lists in self._inputs], np.int64)

    @cached_property
    def label_lengths(self) -> Lengths:
        """Tokens of the target (causal: of the whole row), per row."""
        return _joined([lists.lengths for lists in self._labels], np.int64)

    @cached_property
    def trained_tokens(self) -> Lengths:
        """Labels that count in the loss, per row."""
        return _joined([lists.trained() for lists in self._labels], np.int64)

    @cached_property
    def directions(self) -> tuple[tuple[str | None, str | None], ...]:
        """The pairs of source and target language that occur, in a fixed order."""
        found: set[tuple[str | None, str | None]] = set()
        for batch in self.batches:
            found.update(zip(*(batch[name].to_pylist() for name in ("source_lang", "target_lang")), strict=True))
        return tuple(sorted(found, key=str))

    @cached_property
    def last_labels(self) -> NDArray[np.int32]:
        """The last trained label of each row."""
        return _joined([lists.last_trained() for lists in self._labels], np.int32)

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """The content hash of each row."""
        return _joined([keys_of(batch) for batch in self.batches], KEY)

    @property
    def truncated_rows(self) -> int:
        """Rows that were cut to a limit."""
        columns = (batch["truncated"].to_numpy(zero_copy_only=False) for batch in self.batches)
        return int(sum(np.count_nonzero(column) for column in columns))


def _joined(parts: Sequence[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


class _Lists:
    """A column of lists as two flat arrays without copying them."""

    def __init__(self, column: pyarrow.LargeListArray) -> None:
        self.offsets = np.asarray(column.offsets, dtype=np.int64)
        self.values = column.values.to_numpy(zero_copy_only=False)

    @property
    def lengths(self) -> Lengths:
        return np.diff(self.offsets)

    def row(self, index: int) -> tuple[int, ...]:
        return tuple(self.values[self.offsets[index] : self.offsets[index + 1]].tolist())

    def trained(self) -> Lengths:
        counted = np.concatenate(([0], np.cumsum(self.values != IGNORE, dtype=np.int64)))
        return counted[self.offsets[1:]] - counted[self.offsets[:-1]]

    def last_trained(self) -> NDArray[np.int32]:
        trained = np.flatnonzero(self.values != IGNORE)
        ends = np.searchsorted(trained, self.offsets[1:]) - 1
        return self.values[trained[ends]] if len(self.lengths) else np.empty(0, np.int32)


class Shelf:
    """Batches of rows that were encoded, kept until it is known where each row goes: in a file, or in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._held, self.rows = path, [], 0
        self._keys: list[NDArray[np.bytes_]] = []
        self._writer = None if path is None else pyarrow.ipc.new_file(str(path), SCHEMA)

    def add(self, batch: pyarrow.RecordBatch) -> None:
        """Put a batch behind the others."""
        if not batch.num_rows:
            return
        self.rows += batch.num_rows
        self._keys.append(keys_of(batch))
        if self._writer is None:
            self._held.append(batch)
        else:
            self._writer.write_batch(batch)

    def close(self) -> None:
        """End writing. A shelf is read after that."""
        if self._writer is not None:
            self._writer.close()

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """The content hash of every row."""
        return _joined(self._keys, KEY)

    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        """Yield the batches again."""
        if self._path is None:
            yield from self._held
            return
        with pyarrow.OSFile(str(self._path)) as file:  # read, not mapped: mapped pages would count as memory
            reader = pyarrow.ipc.open_file(file)
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))

    def chosen(self, mask: NDArray[np.bool_]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows where ``mask`` is true."""
        start = 0
        for batch in self.batches():
            part = mask[start : start + batch.num_rows]
            start += batch.num_rows
            if part.any():
                yield batch if part.all() else batch.filter(pyarrow.array(part))


def write_batches(batches: Iterable[pyarrow.RecordBatch], path: Path) -> None:
    """Write batches as one Arrow file into a staging folder (``durable.staging`` hashes and syncs it)."""
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)


def open_set(path: Path) -> EncodedSet:
    """Map a set that ``write`` wrote.

    Raises:
        DataError: the file is not one.
    """
    try:
        reader = pyarrow.ipc.open_file(pyarrow.memory_map(str(path)))
        if reader.schema != SCHEMA:
            raise DataError(f"{path}: prepared rows of another version; remove the folder and prepare again")
        return EncodedSet([reader.get_batch(index) for index in range(reader.num_record_batches)])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: prepared rows that cannot be read ({error}); remove the folder and prepare again"
        ) from error
