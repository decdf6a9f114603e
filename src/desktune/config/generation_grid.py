"""``--grid num_beams=1,4 --grid length_penalty=0.8,1.2`` → named combinations that can be decoded.

Of combinations that would decode alike (a length penalty without beams) one is kept; what cannot hold is left out. Both
are said. A grid key that never does anything is refused: its columns would all be equal.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from desktune.config import describe
from desktune.config.emit import to_yaml
from desktune.config.faults import Place, shown
from desktune.config.names import generation_key
from desktune.config.rules_generation import SETTINGS, contradictions, idle, laid_over
from desktune.config.schema import GenerationSection
from desktune.config.tree import parse_value
from desktune.errors import ConfigError, nearest

MOST_COMBINATIONS = 64
_COMMAS = re.compile(r""",(?![^\[{]*[\]}])(?=(?:[^"']*["'][^"']*["'])*[^"']*$)""")  # not in brackets, not in quotes


@dataclass(frozen=True)
class Grid:
    """Combinations by name (``num_beams=4 length_penalty=0.8``), and what was left out."""

    combinations: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def generation_grid(section: GenerationSection, words: Sequence[str]) -> Grid:
    """Return the combinations of several ``key=a,b``.

    Raises:
        ConfigError: a word that is no ``key=a,b``, an unknown key, a wrong value, a key that does nothing in any
            combination, more than 64 combinations, or none that can hold.
    """
    axes: dict[str, list[Any]] = {}
    for word in words:
        key, values = _axis(word)
        if key in axes:
            raise ConfigError(f"--grid {word}: {key} has its values already; write them in one --grid {key}=a,b")
        axes[key] = values
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_COMBINATIONS:
        sizes = " x ".join(f"{len(values)} {key}" for key, values in axes.items())
        raise ConfigError(f"--grid: {sizes} are {count:,} combinations; at most {MOST_COMBINATIONS}; leave values out")
    return _combined(section, axes)


def name_of(settings: Mapping[str, Any]) -> str:
    """Return settings as the name of their combination."""
    return " ".join(f"{key}={to_yaml(value)}" for key, value in settings.items())


def _axis(word: str) -> tuple[str, list[Any]]:
    name, equals, text = word.partition("=")
    key = generation_key(name)
    if not equals or not text.strip():
        raise ConfigError(f"--grid {word}: write it key=a,b, e.g. --grid num_beams=1,4")
    if key not in SETTINGS:
        near = nearest(key, SETTINGS) or f"; allowed: {', '.join(SETTINGS)}"
        raise ConfigError(f"--grid {name.strip()}: unknown setting of generation{near}")
    values: list[Any] = []
    for part in _COMMAS.split(text):
        value = _value(key, part.strip())
        if not any(value is one or (value == one and type(value) is type(one)) for one in values):
            values.append(value)
    return key, values


def _value(key: str, text: str) -> Any:
    allowed = describe.allowed(("generation", key))
    if not text:
        raise ConfigError(f"--grid {key}: a value is missing between the commas; allowed: {allowed}")
    value, faults = parse_value(text, ("generation", key), Place(1, 0, f"--grid {key}"))
    if faults:
        raise ConfigError([str(fault) for fault in faults])
    try:
        GenerationSection.model_validate({key: value})
    except ValidationError as error:
        raise ConfigError(f"--grid {key}: found {shown(value)}; allowed: {allowed}") from error
    return value


def _combined(section: GenerationSection, axes: Mapping[str, Sequence[Any]]) -> Grid:
    found: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    reasons: dict[str, str] = {}
    impossible = ""
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        laid = laid_over(section, settings)
        impossible = next((f"{key}: {text}" for key, text in contradictions(laid)), "")
        if impossible:
            notes.append(f"--grid {name_of(settings)}: left out; {impossible}")
            continue
        for keys, why in idle(laid, settings):
            notes += [f"--grid {key}: without effect while {why}; such combinations are asked once" for key in keys]
            reasons.update(dict.fromkeys(keys, why))
            settings = {key: value for key, value in settings.items() if key not in keys}
        found.setdefault(name_of(settings), settings)
    if not found:
        raise ConfigError(f"--grid: no combination can hold; the last one: {impossible}")
    for key, why in reasons.items():
        if not any(key in settings for settings in found.values()):
            raise ConfigError(f"--grid {key}: without effect while {why}; set that too, with --set or --grid")
    return Grid(found, tuple(dict.fromkeys(notes)))
