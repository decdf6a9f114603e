"""Plain values → YAML in one line, so that ``tree.parse`` reads the same value back."""

from __future__ import annotations

import json
import re
from typing import Any

from desktune.config.tree import BadScalarError, scalar

_PLAIN = re.compile(r"[A-Za-z_/.~][A-Za-z0-9_/.@+~-]*(:[A-Za-z0-9_/.@+~-]+)*")


def to_yaml(value: Any) -> str:
    """Return a null, truth, number, text, list or mapping of such as YAML.

    Raises:
        TypeError: another kind of value.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_yaml(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(str(key))}: {to_yaml(one)}" for key, one in value.items()) + "}"
    raise TypeError(f"a config holds no {type(value).__name__}")


def _float(value: float) -> str:
    """Return the shortest spelling: ``3``, ``0.05``, ``2e-4``."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if abs(value) >= 1e-3:
        return repr(value)
    exact = next(text for text in (f"{value:.{digits}e}" for digits in range(18)) if float(text) == value)
    mantissa, exponent = exact.split("e")
    return f"{mantissa}e{int(exponent)}"


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and _is_word(value):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _is_word(value: str) -> bool:
    """Return whether the text, unquoted, would be read as itself and not as a number or null."""
    try:
        return isinstance(scalar(value), str)
    except BadScalarError:
        return False
