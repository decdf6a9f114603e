"""Faults put into a process or into files: what ends a write in the middle, and what damages it afterwards.

``Fault`` is an observer of ``durable.watch``. ``damage`` writes past ``durable.py``, which is the point of it.
"""

from __future__ import annotations

import errno
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from desktune.disk import Operation

How = Literal["kill before", "kill after", "kill half", "ENOSPC", "ENOSPC half", "EIO", "EACCES"]
KILLS: tuple[How, ...] = ("kill before", "kill after", "kill half")
ERRORS: tuple[How, ...] = ("ENOSPC", "ENOSPC half", "EIO", "EACCES")
Damage = Literal["bit", "cut", "zeros"]
DAMAGES: tuple[Damage, ...] = ("bit", "cut", "zeros")

_CODES = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
_REMOVALS = ("unlink", "rmdir")  # a full disk still lets things go


@dataclass
class Fault:
    """Takes operations until the ``number``-th (from 0), where the fault comes; with ``lasting`` it stays."""

    number: int
    how: How
    lasting: bool = False
    count: int = 0
    hit: Operation | None = None

    def __call__(self, operation: Operation, act: Callable[[], Any]) -> Any:
        """Take the operation, fail in its place, or end the process."""
        number, self.count = self.count, self.count + 1
        if number < self.number or (number > self.number and not self.lasting):
            return act()
        self.hit = self.hit or operation
        return self._kill(operation, act) if self.how.startswith("kill") else self._fail(operation, act)

    def _kill(self, operation: Operation, act: Callable[[], Any]) -> None:
        if self.how == "kill after":
            act()
        elif self.how == "kill half":
            _write_half(operation)
        os.kill(os.getpid(), signal.SIGKILL)

    def _fail(self, operation: Operation, act: Callable[[], Any]) -> Any:
        code = _CODES[self.how.split()[0]]
        if code == errno.ENOSPC and operation.kind in _REMOVALS:
            return act()
        if self.how.endswith("half"):
            _write_half(operation)
        raise OSError(code, os.strerror(code), str(operation.path))


def damage(file: Path, how: Damage, chance: random.Random) -> str:
    """Damage a file that is not empty in one way; returns what was done, in words."""
    data = bytearray(file.read_bytes())
    place = chance.randrange(len(data))
    if how == "bit":
        bit = chance.randrange(8)
        data[place] ^= 1 << bit
        said = f"bit {bit} of byte {place} flipped"
    elif how == "cut":
        del data[place:]
        said = f"cut to {place} bytes"
    else:
        end = min(len(data), place + chance.choice((1, 512, 4096)))
        before = bytes(data)
        data[place:end] = bytes(end - place)
        if data == before:  # zeros already: a bit instead
            data[place] ^= 1
        said = f"bytes {place} to {end} zeroed"
    restore(file, bytes(data))
    return f"{file.name}: {said}"


def restore(file: Path, data: bytes) -> None:
    """Write a file's bytes in place, synced by nobody."""
    with open(file, "wb") as out:
        out.write(data)


def _write_half(operation: Operation) -> None:
    if operation.kind == "write" and operation.descriptor is not None:
        os.write(operation.descriptor, operation.data[: len(operation.data) // 2])
