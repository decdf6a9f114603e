"""Rows as read → batches of ids, chunk by chunk: in this process, or on all cores where there are many rows.

To a helper rows go as JSON, its answer comes as JSON and Arrow, and the tokenizer goes as its own files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow

from desktune.config.schema import DataSection
from desktune.data.encode import Kit, encode
from desktune.data.store import SCHEMA, batch_of
from desktune.data.template import compile_template, render
from desktune.data.wire import Json, Wire
from desktune.families import Family
from desktune.rows import Encoded, Example, Reject, Rendered


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of some rows. ``special_text`` counts those that spelt a special token."""

    batch: pyarrow.RecordBatch
    rejects: list[Reject]
    special_text: int


class _ChunkWire:
    """A chunk as the length of its JSON, the JSON, and the Arrow batch."""

    _said: Json[tuple[list[Reject], int]] = Json(tuple[list[Reject], int])

    def out(self, value: Chunk) -> bytes:
        head = self._said.out((value.rejects, value.special_text))
        return len(head).to_bytes(8, "big") + head + value.batch.serialize().to_pybytes()

    def back(self, data: bytes) -> Chunk:
        end = 8 + int.from_bytes(data[:8], "big")
        batch = pyarrow.ipc.read_record_batch(pyarrow.py_buffer(data[end:]), SCHEMA)
        return Chunk(batch, *self._said.back(data[8:end]))


@dataclass(frozen=True, slots=True)
class Encoder:
    """What encodes a chunk (``pool.Worker``)."""

    rows: ClassVar[Wire[Any]] = Json(list[Example])
    answers: ClassVar[Wire[Any]] = _ChunkWire()

    kit: Kit
    section: DataSection

    def work(self, rows: Sequence[Example]) -> Chunk:
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

    def pack(self, folder: Path) -> Any:
        """Return settings and family, with the tokenizer in a folder; None for one that is another once loaded."""
        self.kit.tokenizer.save_pretrained(folder)
        said = {
            "tokenizer": type(self.kit.tokenizer).__name__,
            "family": dataclasses.asdict(self.kit.family),
            "task": self.kit.task,
            "section": self.section.model_dump_json(),
        }
        there = self.unpack(json.loads(json.dumps(said)), folder)
        return said if there.kit.tokenizer_hash == self.kit.tokenizer_hash else None

    @classmethod
    def unpack(cls, said: Any, folder: Path) -> Encoder:
        """Return the encoder; its tokenizer is loaded by its own class, since ``AutoTokenizer`` would import torch."""
        import transformers

        tokenizer = getattr(transformers, said["tokenizer"]).from_pretrained(str(folder), local_files_only=True)
        family: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said["family"].items()
        }
        kit = Kit.of(tokenizer, Family(**family), said["task"])
        return cls(kit, DataSection.model_validate_json(said["section"]))
