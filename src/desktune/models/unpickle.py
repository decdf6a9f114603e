"""The child process of ``models.convert``: ``python -m desktune.models.unpickle OUT.safetensors IN.bin ...``.

The only place where torch reads a pickle, with ``weights_only``: tensors and plain containers, all else is refused.
Sockets and other programs are refused too, as a second wall, and so is what unpacks to more than its file.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_WALLS = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
          "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")  # fmt: skip
_MOST_SHARING = 4  # tied weights stand in a file once and have two or three names


def main(arguments: Sequence[str]) -> None:
    """Convert ``arguments[1:]`` into the one file ``arguments[0]``; tensors that share memory are written apart."""
    import torch
    from safetensors.torch import save_file

    sys.addaudithook(_wall)
    tensors: dict[str, torch.Tensor] = {}
    for name in arguments[1:]:
        pickle = Path(name)
        _check_archive(pickle)
        loaded = torch.load(pickle, map_location="cpu", weights_only=True)
        if not isinstance(loaded, dict):
            raise TypeError(f"{pickle.name} holds {type(loaded).__name__}, not weights by name")
        found = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        _check_sizes(found, _MOST_SHARING * pickle.stat().st_size)
        tensors.update({name: value.clone().contiguous() for name, value in found.items()})
    save_file(tensors, arguments[0], metadata={"format": "pt"})


def _check_archive(pickle: Path) -> None:
    if zipfile.is_zipfile(pickle):
        with zipfile.ZipFile(pickle) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > pickle.stat().st_size:
            raise ValueError(f"{pickle.name} unpacks to {unpacked:,} bytes, more than it has")


def _check_sizes(tensors: dict[str, torch.Tensor], most_bytes: int) -> None:
    """Refuse tensors that say they are larger than what was stored of them."""
    sizes = {name: value.numel() * value.element_size() for name, value in tensors.items()}
    for name, value in tensors.items():
        if value.is_sparse or value.is_quantized or sizes[name] > value.untyped_storage().nbytes():
            raise ValueError(f"{name} is no plain tensor")
    if sum(sizes.values()) > most_bytes:
        raise ValueError(f"its tensors have {sum(sizes.values()):,} bytes, far more than its file")


def _wall(event: str, arguments: tuple) -> None:
    if event in _WALLS:
        raise RuntimeError(f"not here: {event}")


if __name__ == "__main__":
    main(sys.argv[1:])
