"""Encoded rows under the glass: the tensors of a batch, and what is left of a text on its way to ids and back.

A tokenizer may lose signs (unknown ones, line ends and runs of spaces in T5 and Marian): what does not come back, the
model never saw.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from desktune.data.encode import Kit
from desktune.events import Table
from desktune.rows import IGNORE, Encoded

LOOKED_AT = 2_000
_MOST_LOST = 10


@dataclass(frozen=True)
class RoundTrip:
    """One side of one row: its text, and what its ids say."""

    side: str
    text: str
    back: str

    @property
    def same(self) -> bool:
        """Whether nothing was lost."""
        return self.text == self.back

    def difference(self) -> str:
        """Return the text with what was lost as ``[-…-]`` and what came instead as ``{+…+}``."""
        parts = []
        for kind, a, b, c, d in difflib.SequenceMatcher(None, self.text, self.back, autojunk=False).get_opcodes():
            lost, new = self.text[a:b], self.back[c:d]
            parts.append(lost if kind == "equal" else (f"[-{lost}-]" if lost else "") + (f"{{+{new}+}}" if new else ""))
        return "".join(parts).replace("\n", "⏎").replace("\t", "⇥")

    def lost(self) -> str:
        """Return the signs that did not come back."""
        matcher = difflib.SequenceMatcher(None, self.text, self.back, autojunk=False)
        return "".join(self.text[a:b] for kind, a, b, _, _ in matcher.get_opcodes() if kind != "equal")


def round_trips(row: Encoded, kit: Kit) -> Iterator[RoundTrip]:
    """Yield the sides of a row as its ids say them, without special tokens.

    A causal row has one side to compare, what is trained; a conversation has none, since its template adds text.
    """
    tokenizer = kit.tokenizer
    if kit.family.encoder_decoder:
        source = _decoded(tokenizer, row.input_ids, source=True)
        prefix = kit.languages.prefix(row.target_lang) if kit.languages else ""
        yield RoundTrip("source", row.prompt, source.removeprefix(prefix.strip()).strip())
        yield RoundTrip("target", row.completion, _decoded(tokenizer, row.labels))
    elif not tokenizer.chat_template or not row.prompt:
        labels = [label for label in row.labels if label != IGNORE]
        first = row.input_ids[0] if not row.prompt else None  # text is trained from its second token on
        opening = [] if first is None or first in tokenizer.all_special_ids else [first]
        yield RoundTrip("target", row.completion, _decoded(tokenizer, [*opening, *labels]))


def trip_table(rows: Sequence[Encoded], kit: Kit) -> Table:
    """Return, by side, how many rows come back whole, their share of unknown tokens, and which signs are lost."""
    trips = [(trip, row) for row in rows for trip in round_trips(row, kit)]
    unknown = kit.tokenizer.unk_token_id
    cells = []
    for side in dict.fromkeys(trip.side for trip, _ in trips):
        found = [trip for trip, _ in trips if trip.side == side]
        ids = [index for trip, row in trips if trip.side == side for index in _ids(row, side)]
        lost = Counter(sign for trip in found if not trip.same for sign in trip.lost())
        shown = " ".join(f"{_visible(sign)} {count:,}" for sign, count in lost.most_common(_MOST_LOST))
        whole = sum(trip.same for trip in found)
        share = f"{sum(index == unknown for index in ids) / max(1, len(ids)):.2%}"
        cells.append((side, f"{whole:,} of {len(found):,}", share, shown))
    return Table(
        "Text → ids → text", ("side", "come back whole", "unknown tokens", "signs that are lost"), tuple(cells)
    )


def tensor_table(batch: Mapping[str, Tensor], fillers: Mapping[str, int]) -> Table:
    """Return shape, type, range and padding of the tensors of a batch.

    Args:
        batch: From ``batches.collate``.
        fillers: Tensor → the value that fills it up.
    """
    cells = []
    for name, tensor in batch.items():
        filler = fillers.get(name)
        padding = "" if filler is None else f"{(tensor == filler).float().mean():.1%} are {filler}"
        kind = str(tensor.dtype).removeprefix("torch.")
        cells.append((name, " × ".join(map(str, tensor.shape)), kind, f"{tensor.min()} … {tensor.max()}", padding))
    return Table("Tensors of one batch", ("name", "shape", "type", "values", "filled up"), tuple(cells))


def row_table(rows: Iterable[Encoded], kit: Kit) -> Table:
    """Return rows decoded, and what was lost of each."""
    cells = [
        (str(row.origin), trip.side, trip.back, "same" if trip.same else trip.difference())
        for row in rows
        for trip in round_trips(row, kit)
    ]
    return Table("Rows, decoded from their ids", ("row", "side", "decoded", "against the text"), tuple(cells))


def _ids(row: Encoded, side: str) -> Sequence[int]:
    return row.input_ids if side == "source" else [label for label in row.labels if label != IGNORE]


def _decoded(tokenizer: Any, ids: Sequence[int], *, source: bool = False) -> str:
    options = {"use_source_tokenizer": True} if source and type(tokenizer).__name__ == "MarianTokenizer" else {}
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False, **options)
    return text.strip() if source else text


def _visible(sign: str) -> str:
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(sign, sign)
