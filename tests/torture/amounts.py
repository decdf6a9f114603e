"""How much of a long trial is run: all of it by ``make torture``, a share by ``make test-slow``."""

from __future__ import annotations

import os

WHOLE = os.environ.get("DESKTUNE_TORTURE") == "whole"


def amount(whole: int, *, of: float) -> int:
    """Return ``whole``, or the share ``of`` it outside ``make torture``."""
    return whole if WHOLE else int(whole * of)
