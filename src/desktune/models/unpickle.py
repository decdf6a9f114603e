"""The child process of ``models.convert``: ``python -m desktune.models.unpickle OUT.safetensors IN.bin ...``.

The only place where torch reads a pickle, with ``weights_only``: tensors and plain containers, all else is refused.
Sockets are refused too, as a second wall.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Convert ``arguments[1:]`` into the one file ``arguments[0]``; tensors that share memory are written apart."""
    sys.addaudithook(_no_network)
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for pickle in arguments[1:]:
        loaded = torch.load(pickle, map_location="cpu", weights_only=True)
        tensors.update(
            {name: value.clone().contiguous() for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        )
    save_file(tensors, arguments[0], metadata={"format": "pt"})


def _no_network(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"no network here: {event}")


if __name__ == "__main__":
    main(sys.argv[1:])
