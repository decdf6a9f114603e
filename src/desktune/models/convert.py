"""Base weights that exist only as pickles (``pytorch_model.bin``) → safetensors, once, in a process of its own.

Many OPUS-MT, M2M100 and OPT repositories have nothing else. The child process reads them with ``weights_only`` (tensors
and containers, no code), has its network taken away, and writes safetensors; this process never opens a pickle.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from desktune import durable
from desktune.errors import ModelNotFound
from desktune.redact import is_secret

CACHE_VARIABLE = "DESKTUNE_CACHE"
_SMALL_FILES = ("*.json", "*.model", "*.spm", "*.txt", "*.jinja")


def cache_folder() -> Path:
    """Return where converted weights are kept: ``$DESKTUNE_CACHE``, else ``~/.cache/desktune``."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "desktune")


def converted(folder: Path, code: Sequence[str] = ()) -> Path:
    """Return a folder with the same model in safetensors, converting it on the first call.

    Args:
        folder: With the weights.
        code: Its Python files that are trusted, and go with it.

    Raises:
        ModelNotFound: the weights hold more than tensors, or cannot be read.
    """
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    small = sorted(file for pattern in _SMALL_FILES for file in folder.glob(pattern))
    small = [file for file in small if not file.name.endswith(".index.json")]
    small += [folder / name for name in code]
    final = cache_folder() / "converted" / f"{folder.resolve().name[:40]}-{_hash_of([*pickles, *small])}"
    if final.is_dir() and not durable.verify(final):
        return final
    durable.need_space(final, sum(pickle.stat().st_size for pickle in pickles), f"{folder} as safetensors")
    with durable.staging(final, replace=True) as staged:
        for file in small:
            target = staged / file.relative_to(folder)
            durable.make_folder(target.parent)
            durable.copy_file(file, target)
        command = [sys.executable, "-P", "-m", "desktune.models.unpickle", str(staged / "model.safetensors")]
        done = subprocess.run(
            [*command, *(str(pickle.resolve()) for pickle in pickles)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=_environment(),
        )
        if done.returncode or not (staged / "model.safetensors").is_file():
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ModelNotFound(
                f"{folder}: its .bin weights were refused: {reason[0]}; look for a safetensors version of the model"
            )
    return final


def _hash_of(files: Sequence[Path]) -> str:
    """Return a name for these files: a change in any of them is another conversion."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}:{durable.sha256(file)}\n".encode())
    return digest.hexdigest()[:16]


def _environment() -> dict[str, str]:
    """Return the environment without what opens doors: the child reads files of strangers and needs no secrets."""
    kept = {name: value for name, value in os.environ.items() if not is_secret(name)}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))), "HF_HUB_OFFLINE": "1"}
