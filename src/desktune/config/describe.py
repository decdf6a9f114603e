"""What each key allows, in words, out of the schema: for faults, the reference page and the form of the web page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from desktune.config.faults import Path
from desktune.config.schema import Config

_PLURALS = {
    "text": "texts",
    "number": "numbers",
    "whole number": "whole numbers",
}


@cache
def sections() -> dict[str, type[BaseModel]]:
    """Return the sections by name."""
    hints = get_type_hints(Config)
    return {name: hints[name] for name in Config.model_fields if is_section(hints[name])}


def is_section(annotation: Any) -> bool:
    """Return whether a field's type is a section with keys of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


@cache
def known_keys() -> dict[Path, FieldInfo]:
    """Return every setting by its path: ``("task",)``, ``("model", "name")`` ... in the order of the schema."""
    return dict(_walk())


def _walk() -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in Config.model_fields.items():
        section = sections().get(name)
        if section is None:
            yield (name,), field
        else:
            yield from (((name, key), inner) for key, inner in section.model_fields.items())


@cache
def allowed(path: Path) -> str:
    """Return what a key allows: ``a whole number from 1`` ... Raises KeyError for an unknown path."""
    model = Config if len(path) == 1 else sections()[path[0]]
    return _words(get_type_hints(model, include_extras=True)[path[-1]])


def takes(path: Path, kind: type) -> bool:
    """Return whether a value of this plain type (``dict``, ``list``, ``str`` ...) is among what a key allows."""
    model = Config if len(path) == 1 else sections()[path[0]]
    return kind in set(_plain_types(get_type_hints(model)[path[-1]]))


def choices(path: Path) -> tuple[str, ...]:
    """Return the words that a key allows literally, or nothing."""
    model = Config if len(path) == 1 else sections()[path[0]]
    return tuple(value for value in _literals(get_type_hints(model)[path[-1]]) if isinstance(value, str))


def _plain_types(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _plain_types(one)
    elif origin is Literal:
        yield from {type(value) for value in get_args(annotation)}
    else:
        yield origin or annotation


def _literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for one in get_args(annotation):
            yield from _literals(one)


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        return _either([word for one in arguments for word in _literal_words(one) or [_words(one)]])
    if origin is Literal:
        return _either(_literal_words(annotation))
    if origin is list:
        return f"a list of {_plural(arguments[0])}"
    if origin is dict:
        return "a mapping {name: {key: value}}" if get_origin(arguments[1]) is dict else "a mapping {name: value}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}[annotation]


def _literal_words(annotation: Any) -> list[str]:
    """Return the choices of a Literal as written in YAML; nothing for other types."""
    values = get_args(annotation) if get_origin(annotation) is Literal else ()
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]


def _plural(annotation: Any) -> str:
    words = _words(annotation).removeprefix("a ")
    return _PLURALS.get(words, f"these: {words}")


def _bounded(kind: type, metadata: tuple[Any, ...]) -> str:
    words = [_words(kind)]
    for one in metadata:
        for bound in one.metadata if isinstance(one, FieldInfo) else [one]:
            words += _bound(bound)
    return " ".join(words)


def _bound(bound: Any) -> list[str]:
    match bound:
        case Ge(ge=value):
            return [f"from {_number(value)}"]
        case Gt(gt=value):
            return [f"over {_number(value)}"]
        case Le(le=value):
            return [f"to {_number(value)}"]
        case Lt(lt=value):
            return [f"to under {_number(value)}"]
        case _:
            return []


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _either(words: list[str]) -> str:
    flat = list(dict.fromkeys(words))
    return flat[0] if len(flat) == 1 else ", ".join(flat[:-1]) + " or " + flat[-1]
