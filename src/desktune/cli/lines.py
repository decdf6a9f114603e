"""How the text of an error looks: a first line that fits a terminal, and below it the whole of what was shortened."""

from __future__ import annotations

import re

MOST_CHARACTERS = 200  # of the first line, ``error: `` included
_LONG_WORD = re.compile(r"^[^\n:]{50,}(?=:\d|: )|\S{50,}")  # the place at the start may hold spaces
_KEPT_START, _KEPT_END = 12, 32  # of a long word: a path is told by its end, which has file and line
_TAIL = 80  # characters that a line keeps of its end, where the remedy stands


def laid_out(text: str, prefix: str) -> str:
    """Return a text with its prefix: long paths of its first line are shortened in the middle, then the line itself."""
    first, *rest = text.split("\n")
    most = MOST_CHARACTERS - len(prefix)
    short = first if len(first) <= most else _LONG_WORD.sub(_shortened, first)
    if len(short) > most:
        short = f"{short[: most - _TAIL - 3]} … {short[-_TAIL:]}"
    whole = [] if short == first else [f"  whole: {first}"]
    return "\n".join([prefix + short, *whole, *rest])


def numbered(faults: list[str]) -> list[str]:
    """Return faults of which the first says how many there are, when there are several."""
    return faults if len(faults) < 2 else [f"{faults[0]} (the first of {len(faults)} faults)", *faults[1:]]


def _shortened(found: re.Match[str]) -> str:
    word = found.group()
    return f"{word[:_KEPT_START]}…{word[-_KEPT_END:]}"
