"""Power cuts, simulated: from the operations of a real run, the disks that a cut at any moment may leave.

The model is as unkind as POSIX allows. A write is on disk for sure only once its file was synced, a name only once its
folder was synced. Of everything else any part may be there: nothing, all, all but up to three operations, or just up
to three of them (so that later ones overtake earlier ones); and data that is there may be whole, zeros, torn in the
middle with zeros behind or before, or cut off. What libraries wrote counts as unsynced until ``adopt`` syncs it.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desktune.disk import Operation

DATA = ("whole", "zeros", "hole", *(f"{how} {place}" for how in ("torn", "short") for place in (1, 2, 3)))
MIXTURES = 6  # data of each file in another state, per choice of operations
MOST_REORDERED = 3


@dataclass
class Effect:
    """One change of the disk: a name in a folder (``node`` is None: it goes), or bytes in a file."""

    node: int | None
    folder: int = 0
    name: str = ""
    old_name: str = ""  # of a rename: goes in the same moment
    offset: int = 0
    data: bytes | None = None
    at: int = 0  # index of the operation
    safe_from: int | None = None  # index of the operation after which it is on disk for sure


@dataclass
class Log:
    """An observer that keeps what a run did below ``root``, and when it promised what."""

    root: Path
    effects: list[Effect] = field(default_factory=list)
    promises: list[tuple[int, str, int]] = field(default_factory=list)
    count: int = 0
    _names: dict[tuple[int, str], int] = field(default_factory=dict)
    _folders: set[int] = field(default_factory=lambda: {0})
    _next: int = 1

    def __call__(self, operation: Operation, act: Callable[[], Any]) -> Any:
        result = act()
        if operation.path.is_relative_to(self.root):
            self._note(operation)
        self.count += 1
        return result

    def promise(self, what: str, step: int) -> None:
        self.promises.append((self.count, what, step))

    def promised(self, cut: int) -> dict[str, int]:
        """What was said to be done before the operation of that index."""
        return {what: step for count, what, step in self.promises if count <= cut}

    def is_folder(self, node: int) -> bool:
        return node in self._folders

    def _note(self, operation: Operation) -> None:
        path = operation.path
        if operation.kind in ("create", "mkdir"):
            self._link(path, folder=operation.kind == "mkdir")
        elif operation.kind == "adopt":
            self._adopt(path)
        elif operation.kind == "write":
            self._add(Effect(self._node(path), offset=operation.offset, data=operation.data))
        elif operation.kind == "sync":
            node = self._node(path)
            self._settle(lambda effect: effect.data is not None and effect.node == node)
        elif operation.kind == "sync_folder":
            self._sync_folder(path)
        elif operation.kind == "rename":
            self._rename(path, operation.target or path)
        else:
            folder = self._node(path.parent)
            if self._names.pop((folder, path.name), None) is not None:
                self._add(Effect(None, folder, path.name))

    def _adopt(self, path: Path) -> None:
        """A library's file: all of it, and the folders it lies in, as if written this moment and synced by nobody."""
        for parent in reversed([one for one in path.parents if one.is_relative_to(self.root) and one != self.root]):
            if self._find(parent) is None:
                self._link(parent, folder=True)
        node = self._find(path)
        if node is None:
            self._add(Effect(self._link(path, folder=False), data=path.read_bytes()))

    def _link(self, path: Path, *, folder: bool) -> int:
        parent = self._node(path.parent)
        if (known := self._names.get((parent, path.name))) is not None:
            return known  # opened again
        node, self._next = self._next, self._next + 1
        self._names[parent, path.name] = node
        if folder:
            self._folders.add(node)
        self._add(Effect(node, parent, path.name))
        return node

    def _rename(self, path: Path, target: Path) -> None:
        assert path.parent == target.parent, "a rename between folders is not modelled"
        folder = self._node(path.parent)
        node = self._names.pop((folder, path.name))
        self._names[folder, target.name] = node
        self._add(Effect(node, folder, target.name, path.name))

    def _sync_folder(self, path: Path) -> None:
        if self._find(path) is None:
            return  # above the root, whose own name is taken for safe
        folder = self._node(path)
        self._settle(lambda effect: effect.data is None and effect.folder == folder)
        reached = {0, *self._names.values()}  # what no name leads to any more cannot be found after a cut
        self._settle(lambda effect: effect.folder not in reached)

    def _settle(self, which: Callable[[Effect], bool]) -> None:
        for effect in self.effects:
            if effect.safe_from is None and which(effect):
                effect.safe_from = self.count

    def _add(self, effect: Effect) -> None:
        effect.at = self.count
        self.effects.append(effect)

    def _find(self, path: Path) -> int | None:
        node: int | None = 0
        if not path.is_relative_to(self.root):
            return None
        for part in path.relative_to(self.root).parts:
            node = None if node is None else self._names.get((node, part))
        return node

    def _node(self, path: Path) -> int:
        node = self._find(path)
        assert node is not None, f"{path}: written by something that went around durable.py"
        return node


@dataclass(frozen=True)
class Disk:
    """What a cut left: files with their bytes and folders, by path below the root; ``cut`` is the operation's index."""

    cut: int
    files: dict[str, bytes]
    folders: frozenset[str]

    @property
    def key(self) -> bytes:
        digest = hashlib.sha256(repr(sorted(self.folders)).encode())
        for name, data in sorted(self.files.items()):
            digest.update(f"{name}:{len(data)}:".encode() + data)
        return digest.digest()

    def write(self, root: Path) -> None:
        """Make it real below an empty folder."""
        for name in sorted(self.folders):
            (root / name).mkdir()
        for name, data in self.files.items():
            (root / name).write_bytes(data)


def disks(log: Log, chance: random.Random, per_cut: int) -> Iterator[Disk]:
    """Yield the disks of every cut, at most ``per_cut`` of them each, seeded; none twice with the same promises."""
    seen: set[tuple[bytes, str]] = set()
    for cut in reversed(range(log.count + 1)):
        before = [effect for effect in log.effects if effect.at < cut]
        open_ones = [index for index, one in enumerate(before) if one.safe_from is None or one.safe_from >= cut]
        choices, made = list(_choices(open_ones, before, chance)), 0
        first, others = choices[:2], choices[2:]
        chance.shuffle(others)
        for lost, data in [*first, *others[: 4 * per_cut]]:
            disk = _disk(log, before, cut, lost, data)
            key = (disk.key, str(log.promised(cut)))
            if key not in seen and made < per_cut:
                seen.add(key)
                made += 1
                yield disk


def _choices(
    open_ones: list[int], before: list[Effect], chance: random.Random
) -> Iterator[tuple[frozenset[int], dict[int, str]]]:
    """Yield (effects that are lost, how data that is not synced looks). The plain ones come first."""
    everything = frozenset(open_ones)
    written = [index for index in open_ones if before[index].data is not None]
    yield everything, {}
    for how in DATA:
        yield frozenset(), dict.fromkeys(written, how)
    few = [
        set(some) for count in range(1, MOST_REORDERED + 1) for some in itertools.combinations(open_ones[-14:], count)
    ]
    looks = [dict.fromkeys(written, how) for how in DATA]
    for some in few:
        mixed = [{index: chance.choice(DATA) for index in written} for _ in range(MIXTURES)]
        for look in (*looks, *mixed):
            yield frozenset(some), look  # these few are lost
            yield everything - some, look  # these few alone overtook the others


def _disk(log: Log, before: list[Effect], cut: int, lost: frozenset[int], data: dict[int, str]) -> Disk:
    names: dict[int, dict[str, int]] = {}
    contents: dict[int, bytes] = {}
    for index, effect in enumerate(before):
        if index in lost:
            continue
        if effect.data is not None and effect.node is not None:
            held = contents.get(effect.node, b"").ljust(effect.offset, b"\0")
            new = _as(data.get(index, "whole"), effect.data)
            contents[effect.node] = held[: effect.offset] + new + held[effect.offset + len(effect.data) :]
            continue
        folder = names.setdefault(effect.folder, {})
        folder.pop(effect.old_name, None)
        if effect.node is None:
            folder.pop(effect.name, None)
        else:
            folder[effect.name] = effect.node
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    todo = [("", 0)]
    while todo:
        place, node = todo.pop()
        for name, inner in names.get(node, {}).items():
            if log.is_folder(inner):
                folders.add(place + name)
                todo.append((f"{place}{name}/", inner))
            else:
                files[place + name] = contents.get(inner, b"")
    return Disk(cut, files, frozenset(folders))


def _as(how: str, data: bytes) -> bytes:
    """Data as a cut may leave it; ``torn`` and ``short`` have a place in quarters."""
    if how in ("whole", "zeros", "hole"):
        half = len(data) // 2
        return {"whole": data, "zeros": bytes(len(data)), "hole": bytes(half) + data[half:]}[how]
    kind, _, place = how.partition(" ")
    kept = data[: len(data) * int(place) // 4]
    return kept.ljust(len(data), b"\0") if kind == "torn" else kept
