"""Base weights that exist only as pickles (``pytorch_model.bin``) → safetensors, once, in a process of its own.

Many OPUS-MT, M2M100 and OPT repositories have nothing else. The child process reads them with ``weights_only`` (tensors
and containers, no code), has its network taken away, and writes safetensors; this process never opens a pickle.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from desktune import durable
from desktune.errors import ModelNotFound

CACHE_VARIABLE = "DESKTUNE_CACHE"
_SMALL_FILES = ("*.json", "*.model", "*.spm", "*.txt", "*.jinja")


def cache_folder() -> Path:
    """Return where converted weights are kept: ``$DESKTUNE_CACHE``, else ``~/.cache/desktune``."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "desktune")


def converted(folder: Path) -> Path:
    """Return a folder with the same model in safetensors, converting it on the first call.

    Raises:
        ModelNotFound: the weights hold more than tensors, or cannot be read.
    """
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    name = "-".join([folder.resolve().name[:40], *(durable.sha256(pickle)[:12] for pickle in pickles[:1])])
    final = cache_folder() / "converted" / name
    if final.is_dir() and not durable.verify(final):
        return final
    with durable.staging(final, replace=True) as staged:
        for pattern in _SMALL_FILES:
            for file in folder.glob(pattern):
                if not file.name.endswith(".index.json"):
                    durable.copy_file(file, staged / file.name)
        command = [sys.executable, "-m", "desktune.models.unpickle", str(staged / "model.safetensors")]
        done = subprocess.run([*command, *map(str, pickles)], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ModelNotFound(
                f"{folder}: its .bin weights were refused: {reason[0]}; look for a safetensors version of the model"
            )
    return final
