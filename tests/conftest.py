"""Fixtures shared by all tests: tiny models, built once per session and shared by the workers."""

from __future__ import annotations

import os

os.environ.update({"HF_HUB_OFFLINE": "1", "DISABLE_SAFETENSORS_CONVERSION": "1", "TOKENIZERS_PARALLELISM": "false"})

from pathlib import Path

import pytest
from filelock import FileLock


def tiny(name: str, factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Build a tiny model, or take the one another worker built."""
    from tests.tiny import BUILDERS

    root = factory.getbasetemp() if worker_id == "master" else factory.getbasetemp().parent
    folder, done = root / f"tiny-{name}", root / f"tiny-{name}.done"
    with FileLock(str(root / f"tiny-{name}.lock")):
        if not done.exists():
            BUILDERS[name](folder)
            done.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two workers on two cores: one thread each."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A T5 with random weights."""
    return tiny("t5", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def tiny_marian(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A Marian with random weights."""
    return tiny("marian", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A Llama with random weights."""
    return tiny("llama", tmp_path_factory, worker_id)
