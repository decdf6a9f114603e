"""Encoded rows as one Arrow file that is memory-mapped: training reads rows from disk and holds none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow
from numpy.typing import NDArray

from desktune.errors import DataError
from desktune.rows import IGNORE, Encoded, Origin

_IDS = pyarrow.large_list(pyarrow.int32())
_SCHEMA = pyarrow.schema(
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


class EncodedSet(Sequence[Encoded]):
    """Encoded rows, in memory or mapped from a file; row i is made when it is asked for."""

    def __init__(self, batch: pyarrow.RecordBatch) -> None:
        self.batch = batch
        self._inputs, self._labels = _Lists(batch["input_ids"]), _Lists(batch["labels"])

    @classmethod
    def from_rows(cls, rows: Iterable[Encoded]) -> EncodedSet:
        """Return a set in memory."""
        columns: list[list[object]] = [[] for _ in _SCHEMA]
        for row in rows:
            values = (
                row.origin.file, row.origin.line, row.input_ids, row.labels, row.prompt_length,
                row.prompt, row.completion, row.source_lang, row.target_lang, row.key, row.truncated,
            )  # fmt: skip
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
        return cls(pyarrow.RecordBatch.from_arrays(arrays, schema=_SCHEMA))

    def __len__(self) -> int:
        return self.batch.num_rows

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
        cells = {name: self.batch[name][row].as_py() for name in _SCHEMA.names if name not in ("input_ids", "labels")}
        origin = Origin(cells.pop("file"), cells.pop("line"))
        return Encoded(origin=origin, input_ids=self._inputs.row(row), labels=self._labels.row(row), **cells)

    @cached_property
    def input_lengths(self) -> Lengths:
        """Tokens of the source (causal: of the whole row), per row."""
        return self._inputs.lengths

    @cached_property
    def label_lengths(self) -> Lengths:
        """Tokens of the target (causal: of the whole row), per row."""
        return self._labels.lengths

    @cached_property
    def trained_tokens(self) -> Lengths:
        """Labels that count in the loss, per row."""
        counted = np.concatenate(([0], np.cumsum(self._labels.values != IGNORE, dtype=np.int64)))
        return counted[self._labels.offsets[1:]] - counted[self._labels.offsets[:-1]]

    @cached_property
    def directions(self) -> tuple[tuple[str | None, str | None], ...]:
        """The pairs of source and target language that occur, in a fixed order."""
        columns = (self.batch[name].to_pylist() for name in ("source_lang", "target_lang"))
        return tuple(sorted(set(zip(*columns, strict=True)), key=str))

    @cached_property
    def last_labels(self) -> NDArray[np.int32]:
        """The last trained label of each row."""
        trained = np.flatnonzero(self._labels.values != IGNORE)
        ends = np.searchsorted(trained, self._labels.offsets[1:]) - 1
        return self._labels.values[trained[ends]] if len(self) else np.empty(0, np.int32)


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


def write(rows: EncodedSet, path: Path) -> None:
    """Write a set as one Arrow file into a staging folder (``durable.staging`` hashes and syncs it)."""
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_batch(rows.batch)


def open_set(path: Path) -> EncodedSet:
    """Map a set that ``write`` wrote.

    Raises:
        DataError: the file is not one.
    """
    try:
        reader = pyarrow.ipc.open_file(pyarrow.memory_map(str(path)))
        if reader.schema != _SCHEMA or reader.num_record_batches != 1:
            raise DataError(f"{path}: prepared rows of another version; remove the folder and prepare again")
        return EncodedSet(reader.get_batch(0))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: prepared rows that cannot be read ({error}); remove the folder and prepare again"
        ) from error
