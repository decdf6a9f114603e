"""The tree of user errors: whatever a person can cause and mend.

::

    DesktuneError                 never raised itself
    ├── UserError                 exit 2: one clear message, no trace
    │   ├── ConfigError           a key, its value, or the file it stands in
    │   ├── DataError             a file or a row; carries file:line where there is one
    │   ├── ModelNotFound         a model name that leads nowhere
    │   ├── ModelMismatch         a partner of another identity (base, tokenizer, data)
    │   ├── AdapterError          target modules that match nothing, an adapter that does not fit
    │   ├── RunError              a run folder that is missing, in use, unfinished or damaged
    │   ├── MergeMismatch         the merged model does not answer like the adapter
    │   └── MissingExtra          an optional package; says the pip command
    ├── Diverged                  exit 3: the loss is no longer a number
    ├── OutOfDisk                 exit 4
    ├── DiskFault                 exit 74: the disk itself fails (sysexits' EX_IOERR)
    ├── OutOfMemory               exit 5
    ├── Locked                    exit 75: another process writes this run
    ├── Stopped                   exit 128 + signal: a signal ended the work at a safe point
    └── FailedElsewhere           exit code of another process of the same training, which says why

The text of an error says what happened, where (file:line or key), what is allowed and what to do next.
The command line prints it without a trace and exits with ``exit_code``; every other exception is our own fault,
keeps its trace and exits with 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class DesktuneError(Exception):
    """Base of all errors that carry their own exit code."""

    exit_code = 1


class UserError(DesktuneError):
    """A person can mend this."""

    exit_code = 2


class ConfigError(UserError):
    """One or several faults of a config, each with its place."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class DataError(UserError):
    """A data file or a row cannot be used."""


class ModelNotFound(UserError):
    """A model name leads nowhere."""


class ModelMismatch(UserError):
    """Two things that do not belong together: an adapter and its base, a run and its data."""


class AdapterError(UserError):
    """An adapter cannot be put on this model."""


class RunError(UserError):
    """A run folder is missing, in use, unfinished or damaged."""


class MergeMismatch(UserError):
    """The merged model does not answer like base and adapter together."""


class MissingExtra(UserError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}: pip install 'desktune[{extra}]'")


class Diverged(DesktuneError):
    """Training went to a loss or gradient that is not a number."""

    exit_code = 3


class OutOfDisk(DesktuneError):
    """No space is left where a file had to be written."""

    exit_code = 4


class DiskFault(DesktuneError):
    """The disk fails where a file had to be written."""

    exit_code = 74


class OutOfMemory(DesktuneError):
    """Even the smallest micro-batch does not fit."""

    exit_code = 5


class Locked(DesktuneError):
    """Another process writes this run folder."""

    exit_code = 75


class Stopped(DesktuneError):
    """A signal asked to stop; the work is saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class FailedElsewhere(DesktuneError):
    """Another process of this training failed and says why; this one leaves quietly with the same code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("another process of this training failed; its message says why")
        self.exit_code = exit_code


def nearest(name: str, known: Sequence[str], most: int = 1, cutoff: float = 0.6) -> str:
    """Return ``; did you mean 'x'?`` for the known name nearest to ``name``, or an empty string."""
    same = [one for one in known if one != name and one.casefold() == name.casefold()]
    close = same or get_close_matches(name, [one for one in known if one != name], n=most, cutoff=cutoff)
    return "; did you mean " + " or ".join(repr(one) for one in close) + "?" if close else ""
