"""What several verbs need: words of the command line → a config or a run; the console; api with quiet libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from desktune import runs
from desktune.cli.secrets import refuse_in_config, take_keyring
from desktune.errors import UserError

if TYPE_CHECKING:
    from types import ModuleType

    from desktune.config.load import Loaded
    from desktune.track.console import Renderer

CONFIG_HELP = "Config file or run folder, then key=value settings; without one ./desktune.yaml, else ./config.yaml."
RUN_HELP = "Run folder, its name below runs/, or latest."
_CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


def split_words(words: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """Tell the config (or run) from ``key=value`` settings, which may come first."""
    place: str | None = None
    settings: list[str] = []
    for word in words or ():
        if "=" in word and not _exists(word):
            settings.append(word)
        elif place is None:
            place = word
        else:
            raise UserError(f"{word}: one config or run is enough ({place}); settings are written key=value")
    return place, settings


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # longer than any name, or with a zero byte
        return False


def load_config(words: Sequence[str] | None) -> Loaded:
    """Load the config that the words name, with their settings; its notes go to stderr.

    Raises:
        ConfigError: faults in the file or in the settings, or no file.
        RunError: the place is no run folder either.
    """
    place, settings = split_words(words)
    return load_place(place, settings)


def load_place(place: str | None, settings: Sequence[str]) -> Loaded:
    """Load a config file, the config of a run, or (None) the one of this folder."""
    from desktune.config.load import default_path, load

    loaded = load(default_path(Path()) if place is None else config_path(place), list(settings))
    refuse_in_config(loaded.config.model_dump(), loaded.source)
    for note in loaded.notes:
        sys.stderr.write(f"note: {note}\n")
    return loaded


def config_path(place: str) -> Path:
    """Return a config file: the file itself, or that of the run which the word names."""
    path = Path(place).expanduser()
    if path.is_file() or path.suffix in _CONFIG_SUFFIXES:
        return path
    return runs.Run(runs.resolve(place)).config


def installed(package: str) -> str:
    """Return the version of a package, or an empty string."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def console(stream: TextIO | None = None) -> Renderer:
    """Return the renderer of events (on stdout when None)."""
    from desktune.track.console import open_console

    return open_console(stream)


def load_api() -> ModuleType:
    """Import ``desktune.api`` (torch, transformers: seconds) in a prepared environment, with quiet libraries."""
    from desktune.hardware import prepare_environment

    _check_process()
    take_keyring()
    prepare_environment()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    from desktune import api

    _quiet_libraries()
    return api


def print_to_nobody() -> None:
    """Let standard output go nowhere: its reader has gone (``desktune runs | head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_process() -> None:
    """Say what torch or transformers would fail on while they are imported. Raises UserError."""
    if sys.flags.optimize > 1:
        raise UserError("PYTHONOPTIMIZE=2 (python -OO) takes away texts that transformers needs; unset it")
    try:
        Path.cwd()
    except OSError as error:
        raise UserError(f"the working folder is gone ({error.strerror}); go to another one and start again") from error


def _quiet_libraries() -> None:
    """Warnings of transformers and the hub talk to programmers; ours go through events. Downloads still show a bar."""
    import logging
    import warnings

    for name in ("transformers", "peft", "huggingface_hub", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=rf"{name}(\..*)?$")
    if "transformers" in sys.modules:
        from huggingface_hub.utils import enable_progress_bars
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        if sys.stderr.isatty():
            enable_progress_bars()
