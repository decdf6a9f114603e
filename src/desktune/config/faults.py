"""One fault of a config: where it stands, which key, what is wrong. Collected, sorted by place, raised together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from desktune.errors import ConfigError

Path = tuple[str, ...]  # ("training", "learning_rate"); positions in lists are digits

_LONGEST_EXCERPT = 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, or an override of the command line. ``rank`` 0 is the file, so that it sorts first."""

    rank: int
    line: int
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One line of a ``ConfigError``."""

    place: Place
    path: Path
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place.text, excerpt_free(".".join(self.path)), self.text) if part)


def file_place(source: str, line: int = 0) -> Place:
    """Return a place in a file; line 0 means the file as a whole."""
    return Place(0, line, f"{source}:{line}" if line else source)


def raise_all(faults: Iterable[Fault]) -> None:
    """Raise one ConfigError with all faults in the order of the file, or do nothing when there are none."""
    ordered = sorted(set(faults))
    if ordered:
        raise ConfigError([str(fault) for fault in ordered])


def shown(value: object) -> str:
    """Return a value as a person wrote it, with its kind, cut to a readable length, without control characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {_cut(ascii(value) if not value.isprintable() else repr(value))}"
    kind = {dict: "the mapping ", list: "the list "}.get(type(value), "")
    return kind + _cut(repr(value))


def excerpt_free(text: str) -> str:
    """Return a key path fit for a terminal: printable and short."""
    return _cut(text if text.isprintable() else ascii(text)[1:-1])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 2] + " …"
