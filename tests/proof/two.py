"""Started by torchrun: the gradient of one step over 64 rows on several processes, cut nine ways; the first one saves.

python -m torch.distributed.run --standalone --nproc_per_node 2 -m tests.proof.two MODEL OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tests.proof.measure import nine_gradients

from desktune.train.processes import joined


def main() -> None:
    """Measure and save."""
    torch.set_num_threads(1)
    with joined() as processes:
        found = nine_gradients(Path(sys.argv[1]), processes)
        if processes.is_writer:
            torch.save(found, sys.argv[2])


if __name__ == "__main__":
    main()
