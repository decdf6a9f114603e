"""Known damage for clean pairs: every kind of it, a seeded share of the rows, and which row got which.

A kind turns (source, target, another row's pair, random) into the damaged pair, or None where the row cannot have it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]
Kind = Callable[[Pair, Pair, random.Random], Pair | None]
GERMAN = (
    "Ein Mann in einem roten Hemd steht auf der Straße und wartet.", "Zwei Kinder spielen mit einem Ball im Garten.",
    "Die Frau liest ein Buch neben dem alten Haus am Fluss.", "Drei Hunde laufen schnell über die grüne Wiese.",
    "Ein Junge springt im Sommer fröhlich in das kalte Wasser.",
)  # fmt: skip
SITES = ("river", "harbour", "museum", "library", "station")
OCR = str.maketrans({"l": "1", "o": "0", "m": "rn", "e": "c"})


@dataclass(frozen=True)
class Row:
    """One row of the damaged corpus; ``kind`` is None for a sound one, ``whole`` is the pair before the damage."""

    pair: Pair
    kind: str | None
    whole: Pair


def swapped(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    return (pair[0], other[1]) if other[1] != pair[1] else None


def wrong_language(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    return pair[0], " ".join([rng.choice(GERMAN), *(rng.choice(GERMAN).split()[:3] if len(pair[0]) > 70 else [])])


def both_in_one_language(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    return (pair[1], other[1]) if other[1] != pair[1] else None


def truncated(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    words = pair[1].split()
    return (pair[0], " ".join(words[: round(len(words) * rng.uniform(0.3, 0.65))])) if len(words) > 4 else None


def copied(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    return pair[0], pair[0]


def ocr(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    """Digits for letters, words broken into letters, spaced apostrophes: on about two of five words."""
    words = []
    for word in pair[1].split():
        chance = rng.random()
        inside = word[:1] + word[1:-1].translate(OCR) + word[-1:]
        words.append(" ".join(word) if chance < 0.15 and len(word) > 3 else inside if chance < 0.45 else word)
    text = re.sub(r"(\w)'(\w)", r"\1 ' \2", " ".join(words))
    return (pair[0], text) if text != pair[1] else None


def other_number(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    source, target = (re.findall(r"\d+", side) for side in pair)
    if not source or source != target:
        return None
    wanted = str(int(target[0][:9]) + rng.randint(3, 60))
    return pair[0], pair[1].replace(target[0], wanted, 1)


def duplicate(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    return other


def near_duplicate(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    """Another row with one word more on each side."""
    if min(map(len, other)) < 40:
        return None
    return "So " + other[0][0].lower() + other[0][1:], "Donc " + other[1][0].lower() + other[1][1:]


def empty(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    return pair[0], rng.choice((".", "-", "\u200b", "…"))


def mojibake(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    """UTF-8 read as Windows-1252, as exporting programs do it: it can be mended."""
    try:
        text = pair[1].encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:
        return None
    return (pair[0], text) if text != pair[1] else None


def lost_letters(pair: Pair, other: Pair, rng: random.Random) -> Pair | None:
    """Accents became U+FFFD: it cannot be mended."""
    text = re.sub("[à-ÿ]", "\ufffd", pair[1])
    return (pair[0], text) if text != pair[1] else None


def repeated(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    words = pair[1].split()
    return pair[0], " ".join([*words[:3], *(words[1:3] * 8)])


def reference(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    number = rng.randint(1, 40)
    return f"Table {number}. Smith et al. (1998), p. 12", f"Tableau {number}. Smith et al. (1998), p. 12"


def broken_address(pair: Pair, other: Pair, rng: random.Random) -> Pair:
    return f"{pair[0]} www.{rng.choice(SITES)}.org", f"{pair[1]} www.{rng.choice(SITES)}.net"


KINDS: dict[str, Kind] = {
    one.__name__: one
    for one in (
        swapped, wrong_language, both_in_one_language, truncated, copied, ocr, other_number, duplicate, near_duplicate,
        empty, mojibake, lost_letters, repeated, reference, broken_address,
    )
}  # fmt: skip

SCARCE_FIRST = sorted(KINDS, key=["other_number", "mojibake", "lost_letters"].__contains__, reverse=True)


def corrupt(pairs: Sequence[Pair], share: float, seed: int) -> list[Row]:
    """Return the pairs with ``share`` of them damaged, each kind as often as the others where the rows allow it.

    Duplicates repeat a row that stands before them and is sound, so that which of two is dropped is no matter of luck.
    """
    rng = random.Random(seed)
    late = range(len(pairs) // 20, len(pairs))
    numbered = [index for index in late if other_number(pairs[index], pairs[index], rng)]
    doomed = set(rng.sample(numbered, min(len(numbered), round(share * len(pairs) / len(KINDS)))))
    doomed |= set(rng.sample(sorted(set(late) - doomed), round(share * len(pairs)) - len(doomed)))
    rows = [Row(pair, None, pair) for pair in pairs]
    sound = sorted(set(range(len(pairs))) - doomed)
    doomed = rng.sample(sorted(doomed), len(doomed))
    for name in SCARCE_FIRST:
        for index in (index for index in doomed if rows[index].kind is None):
            if sum(row.kind == name for row in rows) * len(KINDS) >= len(doomed):
                break
            earlier = [one for one in sound[:400] if one < index]
            other = pairs[rng.choice(earlier if "duplicate" in name else sound)]
            damaged = KINDS[name](pairs[index], other, rng)
            if damaged is not None:
                rows[index] = Row(damaged, name, other if "duplicate" in name else pairs[index])
    return rows


@dataclass(frozen=True)
class Found:
    """Of one kind: how many rows there were, how many were dropped, and how many were mended to what they had been."""

    rows: int
    dropped: int
    mended: int

    @property
    def recall(self) -> float:
        return (self.dropped + self.mended) / self.rows if self.rows else 1.0


def measured(rows: Sequence[Row], kept: dict[int, Pair]) -> tuple[dict[str, Found], float, int]:
    """Return what became of every kind, the precision of rejection, and how many sound rows were lost.

    ``kept`` maps the index of a row that was kept to its pair as it came out.
    """
    found = {}
    for name in KINDS:
        indices = [index for index, row in enumerate(rows) if row.kind == name]
        mended = sum(kept.get(index) == rows[index].whole and rows[index].pair != rows[index].whole
                     for index in indices if "duplicate" not in name)  # fmt: skip
        found[name] = Found(len(indices), sum(index not in kept for index in indices), mended)
    lost = sum(row.kind is None and index not in kept for index, row in enumerate(rows))
    dropped = len(rows) - len(kept)
    return found, (dropped - lost) / dropped if dropped else 1.0, lost
