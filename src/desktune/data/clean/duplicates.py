"""Rows that were seen before, equal or nearly so, with flat memory: keys lie in a temporary database on disk.

Equal: a hash of the folded text. Nearly: MinHash (Broder 1997) over 5-letter pieces, 32 values in 8 bands of 4; rows
that share a band are compared by their true Jaccard likeness, so a band only costs time, never a wrong reject. Two
rows of likeness 0.8 share a band with probability 0.985. SQLite keeps a fixed cache and spills the rest; it removes
its file itself. datasketch would keep 1.9 KiB a row in memory.
"""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from desktune.rows import Origin

PIECE = (
    5  # letters; Jaccard over 5-letter pieces is usual for short texts (Leskovec et al., Mining of Massive Datasets, 3)
)
_BANDS, _BAND_ROWS = 8, 4
_CACHE_KIB = 65_536
_COMMIT_ROWS = 10_000
_FACTORS, _ADDENDS = (
    np.random.default_rng(7).integers(1, 2**63, size=(_BANDS * _BAND_ROWS, 1), dtype=np.uint64) | np.uint64(1),
    np.random.default_rng(8).integers(0, 2**63, size=(_BANDS * _BAND_ROWS, 1), dtype=np.uint64),
)
_POWERS = np.array([31**power for power in range(PIECE)], dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The row that a row repeats, and how like it is."""

    likeness: float
    place: str


class Seen:
    """Every row that was kept so far, and those of held-out files."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)  # a private file that disappears with the connection
        self._base.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._base.execute("PRAGMA journal_mode=OFF")
        self._base.execute("PRAGMA synchronous=OFF")
        self._base.execute("CREATE TABLE exact (key INTEGER PRIMARY KEY, place TEXT)")
        self._base.execute("CREATE TABLE band (key INTEGER PRIMARY KEY, row INTEGER)")
        self._base.execute("CREATE TABLE text (row INTEGER PRIMARY KEY, place TEXT, packed BLOB)")
        self._base.execute("BEGIN")
        self._rows = 0

    def close(self) -> None:
        """Remove the database."""
        self._base.close()

    def equal(self, text: str) -> Earlier | None:
        """Return an earlier row with the same folded text."""
        found = self._base.execute("SELECT place FROM exact WHERE key=?", (_key(text.encode()),)).fetchone()
        return None if found is None else Earlier(1.0, found[0])

    def nearest(self, text: str, direction: str) -> Earlier | None:
        """Return the most like of the earlier rows that share a band; rows of another direction are none."""
        candidates = {
            found[0]
            for key in _band_keys(text, direction)
            if (found := self._base.execute("SELECT row FROM band WHERE key=?", (key,)).fetchone()) is not None
        }
        pieces = _pieces(text)
        best: Earlier | None = None
        for row in candidates:
            place, packed = self._base.execute("SELECT place, packed FROM text WHERE row=?", (row,)).fetchone()
            other = _pieces(zlib.decompress(packed).decode())
            likeness = len(pieces & other) / len(pieces | other)
            if best is None or likeness > best.likeness:
                best = Earlier(likeness, place)
        return best

    def add(self, text: str, origin: Origin, near: str | None) -> None:
        """Remember a row, for nearly equal ones by its direction too; the first one stays where two have one key."""
        self._base.execute("INSERT OR IGNORE INTO exact VALUES (?, ?)", (_key(text.encode()), str(origin)))
        self._rows += 1
        if near is not None:
            packed = zlib.compress(text.encode(), 1)
            self._base.execute("INSERT INTO text VALUES (?, ?, ?)", (self._rows, str(origin), packed))
            keys = ((key, self._rows) for key in _band_keys(text, near))
            self._base.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", keys)
        if self._rows % _COMMIT_ROWS == 0:
            self._base.execute("COMMIT")
            self._base.execute("BEGIN")


def folded(sides: tuple[str, ...]) -> str:
    """Return what two equal rows have in common: case, width, spaces and final signs do not count."""
    sign = "\x1f"
    return sign.join(" ".join(unicodedata.normalize("NFKC", side).casefold().split()).rstrip(" .!?…") for side in sides)


def _key(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def _pieces(text: str) -> set[str]:
    return {text[start : start + PIECE] for start in range(max(1, len(text) - PIECE + 1))}


@lru_cache(maxsize=4)  # a row is looked up, then added
def _band_keys(text: str, direction: str) -> tuple[int, ...]:
    letters = np.frombuffer(text.ljust(PIECE).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(letters, PIECE)
    hashes = np.unique((windows * _POWERS).sum(axis=1, dtype=np.uint64))
    values = ((hashes * _FACTORS + _ADDENDS) >> np.uint64(16)).min(axis=1)
    bands = enumerate(values.reshape(_BANDS, _BAND_ROWS))
    return tuple(_key(f"{number} {direction} ".encode() + band.tobytes()) for number, band in bands)
