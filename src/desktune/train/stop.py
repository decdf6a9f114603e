"""Signals: finish the step, write a checkpoint, leave with the signal's exit code. A second one leaves at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class StopRequest:
    """Holds the signal that asked to stop, once one came."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; restore what the system does of itself, so that the next one leaves at once."""
        self.signal = self.signal or signal.Signals(number)
        for one in _numbers():
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)


@contextlib.contextmanager
def listening() -> Iterator[StopRequest]:
    """Yield a StopRequest that signals fill while the block runs (only in the main thread; else it stays empty)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in _numbers()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    """Return the signals that ask to stop, but those that whoever started us has ignored (nohup)."""
    known = [signal.Signals[name] for name in _SIGNALS if name in signal.Signals.__members__]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]
