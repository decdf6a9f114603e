"""What a filter sees of a row: its sides with their languages. Words and lower-cased forms are made once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from desktune.rows import Example

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Texts:
    """The texts of one row: source and target of a pair, one text, or the turns of a conversation."""

    sides: tuple[str, ...]
    langs: tuple[str | None, ...]
    parallel: bool  # two sides that say the same in two languages

    @cached_property
    def split(self) -> tuple[list[str], ...]:
        """Words between white space, per side."""
        return tuple(side.split() for side in self.sides)

    @cached_property
    def words(self) -> tuple[list[str], ...]:
        """Runs of letters in lower case, per side."""
        return tuple(_WORD.findall(side.lower()) for side in self.sides)


Scorer = Callable[[Texts], float | None]


def texts_of(row: Example, langs: tuple[str | None, str | None], *, parallel: bool) -> Texts:
    """Return what filters see of a row; ``langs`` are those of source (or text) and target."""
    if row.kind == "pair":
        return Texts((row.source, row.target), langs, parallel)
    if row.kind == "text":
        return Texts((row.text,), langs[:1], False)
    return Texts(tuple(turn.content for turn in row.messages), (None,) * len(row.messages), False)


def with_sides(row: Example, sides: tuple[str, ...]) -> Example:
    """Return a row with changed texts; the fields that held the old ones hold the new ones."""
    old = texts_of(row, (None, None), parallel=False).sides
    if old == sides:
        return row
    turned = dict(zip(old, sides, strict=True))
    fields = tuple((name, turned.get(value, value)) for name, value in row.fields)
    if row.kind == "pair":
        return replace(row, source=sides[0], target=sides[1], fields=fields)
    if row.kind == "text":
        return replace(row, text=sides[0], fields=fields)
    turns = tuple(replace(turn, content=side) for turn, side in zip(row.messages, sides, strict=True))
    return replace(row, messages=turns)


def worst(score: Callable[[str], float], pick: Callable[..., float]) -> Scorer:
    """Return a scorer of rows out of one of texts: the worst side counts (``max`` where much is bad)."""
    return lambda row: pick(map(score, row.sides), default=0.0)
