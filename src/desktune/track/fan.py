"""Several renderers as one."""

from __future__ import annotations

from desktune.events import Emit, Event


def fan_out(*emits: Emit) -> Emit:
    """Return an ``Emit`` that hands every event to all of ``emits``, in their order."""

    def emit(event: Event) -> None:
        for one in emits:
            one(event)

    return emit
