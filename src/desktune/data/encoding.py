"""Rows as read → batches of ids, chunk by chunk: in this process, or on all cores where there are many rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow

from desktune.config.schema import DataSection
from desktune.data.encode import Kit, encode
from desktune.data.store import batch_of
from desktune.data.template import compile_template, render
from desktune.rows import Encoded, Example, Reject, Rendered


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of some rows. ``special_text`` counts those that spelt a special token."""

    batch: pyarrow.RecordBatch
    rejects: list[Reject]
    special_text: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """What encodes a chunk (``pool.Worker``)."""

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
