"""Data sets of the Hugging Face library ``datasets`` → raw rows: a folder of ``save_to_disk``, or a name of the Hub.

Rows come one by one (from a mapped file, or streamed), so that a set of any size takes little memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from desktune import durable
from desktune.compat import require
from desktune.data.places import SetPlace, files_of
from desktune.data.raw import Raw
from desktune.errors import DataError, nearest
from desktune.events import Decision, Emit
from desktune.rows import Origin, Reject

_ASKED = "train"


def set_rows(place: SetPlace, emit: Emit) -> Iterator[Raw | Reject]:
    """Yield the rows of one split; without ``:split`` of ``train``, else of the first one, said through ``emit``.

    Raises:
        DataError: no such set or split.
        MissingExtra: ``datasets`` is not installed.
    """
    found = _opened(place)
    split, rows = _split(place, found, emit)
    name = f"{place.name}:{split}" if split else place.name
    number = 0
    try:
        for number, values in enumerate(rows, start=1):
            yield Raw(Origin(name, number), values)
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: cannot be read after {number:,} rows: {error}") from error
    if not number:
        raise DataError(f"{name}: no rows in it")


def set_hash(place: SetPlace) -> str:
    """Return what changes when the rows change: a hash over the folder's files, or what the Hub's builder says."""
    if place.folder is not None:
        hashes = [durable.sha256(file) for file in files_of(str(place))]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()
    require("datasets", "hf", f"{place}: reading a data set of the Hub")
    import datasets

    with _readable(place):
        builder = datasets.load_dataset_builder(place.name)
    return f"{builder.info.version} {builder.hash}"


def _opened(place: SetPlace) -> Any:
    require("datasets", "hf", f"{place}: reading a data set of the library datasets")
    import datasets

    with _readable(place):
        if place.folder is not None:
            return datasets.load_from_disk(str(place.folder))
        return datasets.load_dataset(place.name, streaming=True)


class _readable:  # noqa: N801 - reads as a word: with _readable(place)
    """Turn what ``datasets`` raises for a set that is not there, or damaged, into DataError."""

    def __init__(self, place: SetPlace) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | ValueError | RuntimeError):
            what = "the saved data set" if self._place.folder else "no file here, and the data set of that name"
            said = (str(error) or type(error).__name__).splitlines()[0][:300]
            raise DataError(
                f"{self._place}: {what} cannot be opened: {said}; allowed: a file, a folder that save_to_disk wrote, "
                "or a name of the Hub (user/name:split)"
            ) from error


def _split(place: SetPlace, found: Any, emit: Emit) -> tuple[str, Any]:
    """Return (name, rows) of the split that is meant."""
    if not isinstance(found, dict):
        named = str(found.split or "")
        if place.split not in (None, named):
            raise DataError(f"{place}: a saved data set without splits; name the folder alone: {place.name}")
        return named if place.split else "", found
    names = [str(name) for name in found]
    if place.split is not None:
        if place.split not in names:
            raise DataError(f"{place}: no such split; allowed: {', '.join(names)}{nearest(place.split, names)}")
        return place.split, found[place.split]
    split = _ASKED if _ASKED in names else names[0]
    others = ", ".join(name for name in names if name != split)
    emit(Decision("data.train", f"{place.name}:{split}", f"no split is named; others: {others or 'none'}"))
    return split, found[split]
