"""Many rejects in little memory: packed by the thousand, a twentieth of what as many objects would take."""

from __future__ import annotations

import json
import operator
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import overload

from desktune.rows import Origin, Reject

_PACK = 1_024
_OPEN_PACKS = 16


class Rejects(Sequence[Reject]):
    """Rejects in the order in which they were added; ``reasons`` counts them."""

    def __init__(self, rejects: Iterable[Reject] = ()) -> None:
        self.reasons: Counter[str] = Counter()
        self._packs: list[bytes] = []
        self._last: list[Reject] = []
        self._opened = lru_cache(maxsize=_OPEN_PACKS)(self._open)
        self.extend(rejects)

    def append(self, reject: Reject) -> None:
        """Add one."""
        self.reasons[reject.reason] += 1
        self._last.append(reject)
        if len(self._last) == _PACK:
            rows = [(one.origin.file, one.origin.line, one.reason, one.detail, one.excerpt) for one in self._last]
            self._packs.append(zlib.compress(json.dumps(rows).encode(), 1))
            self._last = []

    def extend(self, rejects: Iterable[Reject]) -> None:
        """Add several."""
        for reject in rejects:
            self.append(reject)

    def in_order(self) -> Rejects:
        """Return them by file and line, which is nearly the order in which they come."""
        places = [(one.origin.file, one.origin.line) for one in self]
        return Rejects(self[index] for index in sorted(range(len(self)), key=places.__getitem__))

    def __eq__(self, other: object) -> bool:
        """Say whether another sequence has the same rejects."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment] - it grows

    def __len__(self) -> int:
        return len(self._packs) * _PACK + len(self._last)

    def __iter__(self) -> Iterator[Reject]:
        for number in range(len(self._packs)):
            yield from self._open(number)
        yield from self._last

    @overload
    def __getitem__(self, index: int) -> Reject: ...
    @overload
    def __getitem__(self, index: slice) -> list[Reject]: ...
    def __getitem__(self, index: int | slice) -> Reject | list[Reject]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"reject {index} of {len(self)}")
        number, row = divmod(place, _PACK)
        return self._last[row] if number == len(self._packs) else self._opened(number)[row]

    def _open(self, number: int) -> list[Reject]:
        rows = json.loads(zlib.decompress(self._packs[number]))
        return [Reject(Origin(file, line), *texts) for file, line, *texts in rows]
