"""desktune: fine-tune small language models on the computer you have.

``from desktune import load, train, evaluate, merge``: the functions of ``desktune.api`` and the config loader. They are
imported when they are asked for, so that ``import desktune`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "Config": "desktune.config.schema",
    "load": "desktune.config.load",
    "loads": "desktune.config.load",
    "prepare": "desktune.api",
    "train": "desktune.api",
    "evaluate": "desktune.api",
    "generate": "desktune.api",
    "generate_variants": "desktune.api",
    "Split": "desktune.generate.side_by_side",
    "chat": "desktune.api",
    "merge": "desktune.api",
}
__all__ = ["__version__", *_PLACES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'desktune' has no attribute {name!r}")
    if _PLACES[name] == "desktune.api":
        from desktune.hardware import prepare_environment

        prepare_environment()
    value: Any = getattr(import_module(_PLACES[name]), name)
    return value
