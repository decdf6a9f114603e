"""``section.key=value`` of the command line → settings, by the same parser and the same names as the file."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from desktune.config import describe
from desktune.config.faults import Fault, Path, Place, excerpt_free
from desktune.config.names import VARIANTS, Draft, Setting, alias_of, generation_key, put, put_setting, unknown
from desktune.config.tree import parse_value
from desktune.errors import ConfigError


def from_overrides(overrides: Sequence[str], below: Mapping[Path, Setting]) -> Draft:
    """Return the settings of the command line; of two overrides of one key the later wins.

    Args:
        overrides: Texts like ``training.learning_rate=1e-4`` or ``generation.variants.short.max_new_tokens=20``.
        below: The settings of the file, which an override of one entry of a mapping is put into.

    A fault of syntax is a fault among the others: nothing is raised here.
    """
    draft = Draft()
    for index, text in enumerate(overrides):
        place = Place(1, index, f"override {excerpt_free(text)}")
        name, equals, value_text = text.partition("=")
        path = tuple(part.strip() for part in name.split("."))
        if not equals or not all(path):
            draft.fault(place, (), "an override is section.key=value, e.g. training.learning_rate=1e-4")
        elif not value_text.strip():
            draft.fault(place, path, "no value after '='; write null, '' or a value")
        else:
            _put_override(draft, path, value_text.strip(), place, below)
    return draft


def _put_override(draft: Draft, path: Path, text: str, place: Place, below: Mapping[Path, Setting]) -> None:
    value, faults = _value(path, text, place)
    if faults:
        draft.faults += faults
        return
    leaf = path if path in describe.known_keys() or len(path) < 3 else path[:2]
    if leaf == path:
        put(draft, path, value, place)
        return
    alias = alias_of(leaf)
    leaf = alias.path if alias is not None else leaf
    if leaf not in describe.known_keys():
        draft.fault(place, leaf, unknown(leaf))
    elif not describe.takes(leaf, dict):
        draft.fault(place, path, f"{'.'.join(leaf)} has no keys below it; allowed: {describe.allowed(leaf)}")
    else:
        given = draft.settings.get(leaf) or below.get(leaf)
        inner = (*(given.inner if given else ()), ((*leaf, *path[2:]), place))
        entry = (path[2], generation_key(path[3])) if leaf == VARIANTS and len(path) == 4 else path[2:]
        merged = _with(given.value if given else {}, entry, value)
        put_setting(draft, leaf, Setting(merged, place, leaf, inner))


def _value(path: Path, text: str, place: Place) -> tuple[Any, list[Fault]]:
    """Parse a value; where only text is allowed, ``{source}`` is a text and not a mapping."""
    alias = alias_of(path)
    leaf = alias.path if alias is not None else path
    only_text = (
        leaf in describe.known_keys()
        and describe.takes(leaf, str)
        and not describe.takes(leaf, dict)
        and not describe.choices(leaf)
    )
    try:
        value, faults = parse_value(text, path, place)
    except ConfigError as error:
        if only_text and text[0] not in "'\"":
            return text, []
        reason = str(error).removeprefix(f"{place.text}: ")
        return None, [Fault(place, path, reason)]
    return (text, []) if only_text and isinstance(value, dict) else (value, faults)


def _with(mapping: Any, path: Path, value: Any) -> dict[str, Any]:
    """Return a copy of a mapping with one entry, however deep, set."""
    result = copy.deepcopy(mapping) if isinstance(mapping, dict) else {}
    if len(path) == 1:
        result[path[0]] = value
    else:
        result[path[0]] = _with(result.get(path[0]), path[1:], value)
    return result
