"""Pickles that make a folder when they are read, in the dialects that scanners of pickles were fooled with."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path

import numpy
import torch

from tests.corpus.build import archive


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


class State:
    """Calls a function through its state."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return dict, (), None, None, iter([("a", self.call)])


def forged(canary: Path) -> dict[str, bytes]:
    """Return the forged files by name; ``canary`` is the folder that any of them makes when its code runs."""
    path = str(canary)
    mkdir = Call(os.mkdir, path)
    source = f"__import__('os').mkdir({path!r})"
    calls = {
        "mkdir": mkdir,
        "eval": Call(eval, source),
        "exec": Call(exec, source),
        "touch": Call(Path.mkdir, canary),
        "popen": Call(os.popen, f"mkdir {path}"),
        "system": Call(os.system, f"mkdir {path}"),
        "in-a-list": [1, {"a": (2, mkdir)}],
        "in-a-state": State(mkdir),
        "among-weights": {"shared.weight": mkdir, "encoder.weight": 1},
        "tensor-storage": {"weight": torch.zeros(2), "hook": mkdir},
    }
    files = {
        f"{name}-protocol-{protocol}": pickle.dumps(call, protocol)
        for name, call in calls.items()
        for protocol in (0, 2, 4)
    }
    for protocol in (1, 3, 5):
        files[f"mkdir-protocol-{protocol}"] = pickle.dumps(mkdir, protocol)
    files["optimized"] = pickletools.optimize(pickle.dumps(mkdir))
    quoted = path.encode()
    files["inst"] = b"(S'" + quoted + b"'\niposix\nmkdir\n."
    files["obj"] = b"(cposix\nmkdir\nS'" + quoted + b"'\no."
    files["global-reduce"] = b"cposix\nmkdir\n(S'" + quoted + b"'\ntR."
    files["stack-global"] = b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93(\x8c" + bytes([len(quoted)]) + quoted + b"tR."
    files["nested-getattr"] = b"cbuiltins\ngetattr\n(cposix\nsys\nS'modules'\ntR."
    files["two-in-one"] = pickle.dumps({}) + pickle.dumps(mkdir)
    files["torn"] = pickle.dumps(mkdir) + b"\x80\x04"
    files["after-garbage"] = b"\x00" * 64 + pickle.dumps(mkdir)
    files["torch-zip"] = _saved(calls["among-weights"])
    files["torch-legacy"] = _saved(calls["among-weights"], _use_new_zipfile_serialization=False)
    files["torch-zip-bad-crc"] = _saved(mkdir).replace(b"mkdir", b"mkdir", 1)[:-30] + b"\x00" * 30
    files["zip-deflated"] = archive({"archive/data.pkl": pickle.dumps(mkdir), "archive/version": b"3\n"})
    files["torchscript"] = archive({"code/__torch__.py": source.encode(), "constants.pkl": pickle.dumps(mkdir)})
    files["numpy-object"] = _array(numpy.array([mkdir], dtype=object))
    files["numpy-archive"] = archive({"a.npy": _array(numpy.array([mkdir], dtype=object))})
    files["gzip"] = gzip.compress(pickle.dumps(mkdir))
    files["bzip2"] = bz2.compress(pickle.dumps(mkdir))
    files["7z"] = b"7z\xbc\xaf\x27\x1c" + pickle.dumps(mkdir)
    files["behind-a-header"] = struct.pack("<Q", 2) + b"{}" + pickle.dumps(mkdir)
    files["yaml"] = f"!!python/object/apply:os.mkdir [{path!r}]".encode()
    files["json"] = (
        '{"__reduce__": ["posix.mkdir", ["' + path + '"]], "py/reduce": [{"py/function": "os.mkdir"}]}'
    ).encode()
    return files


def _saved(value: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def _array(values: numpy.ndarray) -> bytes:
    file = io.BytesIO()
    numpy.save(file, values, allow_pickle=True)
    return file.getvalue()
