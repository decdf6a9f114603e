"""The ledger of rows: what was read, what became of it, and what the model will see of it.

It balances, or it is our fault: rows read = rows kept + rows rejected, for every reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from desktune.data.store import EncodedSet, Lengths
from desktune.events import Table

_PERCENTILES = (5, 50, 95, 99)
OVERLONG = ("overlong", "overlong-source", "overlong-target")


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of the files behind one key of ``data:``.

    ``special_text`` counts rows that spelt a special token, ``remarks`` rows that hold what is worth a look.
    """

    read: int
    kept: int
    rejected: Mapping[str, int]
    special_text: int = 0
    remarks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """What one split holds. ``lengths`` are tokens by side: p5, p50, p95, p99 and max."""

    rows: int
    duplicates: int
    lengths: Mapping[str, Mapping[str, int]]
    truncated: int
    tokens: int
    trained_tokens: int
    eos_rows: int
    untrained_rows: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sources by key of ``data:``, splits by name, and every decision that was said on the way."""

    sources: Mapping[str, Source]
    splits: Mapping[str, Split]
    decisions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Ledger:
        """Return the ledger that ``to_json`` gave."""
        sources = {name: Source(**source) for name, source in value["sources"].items()}
        splits = {name: Split(**split) for name, split in value["splits"].items()}
        return cls(sources, splits, tuple(value["decisions"]))

    def tables(self) -> list[Table]:
        """Return the ledger for people: rows by reason, then tokens by split."""
        return [self._row_table(), self._token_table()]

    def _row_table(self) -> Table:
        names = tuple(self.sources)
        reasons = sorted({reason for source in self.sources.values() for reason in source.rejected})
        sources = [self.sources[name] for name in names]
        rows = [("read", *(f"{source.read:,}" for source in sources))]
        rows += [(f"− {reason}", *(f"{source.rejected.get(reason, 0):,}" for source in sources)) for reason in reasons]
        rows += [
            ("= kept", *(f"{source.kept:,}" for source in sources)),
            (
                "dropped as too long",
                *(_share(sum(source.rejected.get(name, 0) for name in OVERLONG), source.read) for source in sources),
            ),
            ("spelt a special token", *(f"{source.special_text:,}" for source in sources)),
        ]
        remarks = sorted({remark for source in sources for remark in source.remarks})
        rows += [(f"with {one}", *(f"{source.remarks.get(one, 0):,}" for source in sources)) for one in remarks]
        return Table("rows", ("", *(f"data.{name}" for name in names)), tuple(rows))

    def _token_table(self) -> Table:
        splits = list(self.splits.values())
        sides = list(splits[0].lengths) if splits else []
        rows = [
            ("rows", *(f"{split.rows:,}" for split in splits)),
            ("of them repeated", *(f"{split.duplicates:,}" for split in splits)),
        ]
        rows += [
            (f"tokens of {side}: p5 · p50 · p95 · p99 · max", *(_lengths_text(split.lengths[side]) for split in splits))
            for side in sides
        ]
        rows += [
            ("cut to the limit", *(_share(split.truncated, split.rows) for split in splits)),
            (
                "trained tokens",
                *(f"{split.trained_tokens:,} ({_share(split.trained_tokens, split.tokens)})" for split in splits),
            ),
            ("labels end in EOS", *(f"{split.eos_rows:,}/{split.rows:,}" for split in splits)),
            ("without a trained token", *(f"{split.untrained_rows:,}" for split in splits)),
        ]
        return Table("tokens", ("", *self.splits), tuple(rows))


def source_counts(read: int, kept: int, reasons: Counter[str], special_text: int) -> Source:
    """Return the counts of one source. Raises RuntimeError, our own fault, when they do not balance."""
    if read != kept + reasons.total():
        raise RuntimeError(f"the ledger does not balance: {read} rows read, {kept} kept, {dict(reasons)} rejected")
    return Source(read, kept, dict(sorted(reasons.items())), special_text)


def split_counts(rows: EncodedSet, ends: Sequence[int], *, encoder_decoder: bool) -> Split:
    """Return what one split holds."""
    sides = (
        {"source": rows.input_lengths, "target": rows.label_lengths} if encoder_decoder else {"row": rows.input_lengths}
    )
    trained = rows.trained_tokens
    return Split(
        rows=len(rows),
        duplicates=len(rows) - len(np.unique(rows.keys)),
        lengths={side: _percentiles(lengths) for side, lengths in sides.items()},
        truncated=rows.truncated_rows,
        tokens=int(sum(lengths.sum() for lengths in sides.values())),
        trained_tokens=int(trained.sum()),
        eos_rows=int(np.count_nonzero(np.isin(rows.last_labels, ends))),
        untrained_rows=int(np.count_nonzero(trained == 0)),
    )


def _percentiles(lengths: Lengths) -> dict[str, int]:
    if not len(lengths):
        return {**{f"p{share}": 0 for share in _PERCENTILES}, "max": 0}
    found = np.percentile(lengths, _PERCENTILES, method="higher")
    return {
        **{f"p{share}": int(value) for share, value in zip(_PERCENTILES, found, strict=True)},
        "max": int(lengths.max()),
    }


def _lengths_text(lengths: Mapping[str, int]) -> str:
    return " · ".join(f"{value:,}" for value in lengths.values())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
