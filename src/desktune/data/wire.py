"""Values as bytes and back, for processes that speak to each other: JSON of declared types. Never a pickle.

The names of no classes travel but those of our own errors, so that bytes can only become what a type declares.
"""

from __future__ import annotations

import json
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from desktune.errors import ConfigError, DataError, UserError

T = TypeVar("T")
_ERRORS: dict[str, type[UserError]] = {error.__name__: error for error in (UserError, DataError, ConfigError)}


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


def error_out(error: UserError) -> bytes:
    """Return an error as JSON."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), UserError.__name__)
    return json.dumps([name, error.faults if isinstance(error, ConfigError) else [str(error)]]).encode("ascii")


def error_back(data: bytes) -> UserError:
    """Return the error that ``error_out`` was given."""
    name, texts = json.loads(data)
    return ConfigError(texts) if name == ConfigError.__name__ else _ERRORS[name]("\n".join(texts))
