"""Trials take place in memory where the system has such a disk: they are about order, not about the medium."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """An empty folder whose syncs cost nothing, or ``tmp_path`` where there is none."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="desktune-torture-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)
