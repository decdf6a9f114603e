"""Values as bytes and back, for processes that speak to each other: JSON of declared types. Never a pickle.

The names of no classes travel but those of our own errors, so that bytes can only become what a type declares.
"""

from __future__ import annotations

import json
import traceback
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from desktune.errors import ConfigError, DataError, OutOfMemory, UserError
from desktune.redact import redact

T = TypeVar("T")
_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (UserError, DataError, ConfigError, OutOfMemory, OSError, MemoryError)
}


class Wire(Protocol[T]):
    """What turns values of one type into bytes and back."""

    def out(self, value: T) -> bytes:
        """Return the bytes of a value."""
        ...

    def back(self, data: bytes) -> T:
        """Return the value that ``out`` was given."""
        ...


class Json(Generic[T]):
    """Values of a type that pydantic knows (dataclasses, unions, lists), as ASCII; a lone surrogate survives."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def out(self, value: T) -> bytes:
        """Return the bytes of a value."""
        return json.dumps(self._adapter.dump_python(value)).encode("ascii")

    def back(self, data: bytes) -> T:
        """Return the value that ``out`` was given. Raises ValueError for other bytes."""
        return self._adapter.validate_python(json.loads(data))


def error_out(error: Exception) -> bytes:
    """Return an error as JSON: one of ours as it is, one of the system with its number, any other with its trace."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), RuntimeError.__name__)
    if isinstance(error, ConfigError):
        said: list[Any] = error.faults
    elif name == OSError.__name__ and isinstance(error, OSError):
        said = [error.errno, error.strerror, None if error.filename is None else str(error.filename)]
    elif name == RuntimeError.__name__:
        said = [redact("".join(traceback.format_exception(error)))]
    else:
        said = [str(error)]
    return json.dumps([name, said]).encode("ascii")


def error_back(data: bytes) -> Exception:
    """Return the error that ``error_out`` was given."""
    name, said = json.loads(data)
    if name == ConfigError.__name__:
        return ConfigError(said)
    return _ERRORS.get(name, RuntimeError)(*said)
