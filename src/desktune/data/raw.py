"""What the readers of files yield: a row as the file has it, before anybody judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desktune.rows import Origin

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Raw:
    """One row as the file has it."""

    origin: Origin
    values: Row
