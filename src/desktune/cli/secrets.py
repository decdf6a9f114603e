"""Where secrets come from: the environment, a file ``.env`` in the working folder, or the system's keyring.

They are asked in this order; the command line never is. What stands there is read by everybody on the machine and
kept in the shell's history, and what stands in a config is copied into every run folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from desktune.errors import ConfigError
from desktune.redact import SHORTEST, is_secret, redact

ENV_FILE = Path(".env")
KEYRING = "desktune"  # the service under which the system's keyring holds secrets
KEPT = {"hub": "HF_TOKEN", "wandb": "WANDB_API_KEY"}  # what it may hold, by the words of ``desktune login``
_MOST_BYTES = 1 << 16
_SETTING = re.compile(r"--[\w-]+|(?!data\.)[a-z_]+(?:\.\w+)+")  # an option, or a key of a config; not a text
_COMMENT = re.compile(r"\s+#.*")
_ADVICE = "put secrets into the environment or into .env (HF_TOKEN=..., WANDB_API_KEY=...)"


def take_env_file(file: Path = ENV_FILE) -> None:
    """Put the secrets of a ``.env`` file into the environment; what is there already wins, and no other names count."""
    try:
        with open(file, "rb") as opened:
            text = opened.read(_MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return
    for line in text.splitlines():
        name, _, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        else:
            value = _COMMENT.sub("", value)
        if name.isidentifier() and is_secret(name) and value and "\0" not in value:
            os.environ.setdefault(name, value)


def usable_keyring() -> Any:
    """Return the module of the system's keyring, None where its package is not installed."""
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring

    return keyring


def take_keyring() -> None:
    """Put the secrets of the system's keyring into the environment; what is there already wins."""
    wanted = [name for name in KEPT.values() if name not in os.environ]
    keyring = usable_keyring() if wanted else None
    if keyring is None:
        return
    from keyring.errors import KeyringError

    with contextlib.suppress(KeyringError):
        for name in wanted:
            value = keyring.get_password(KEYRING, name)
            if value:
                os.environ[name] = value


def refuse_on_command_line(words: Sequence[str]) -> None:
    """Raise ConfigError when a word of the command line is a secret; the text does not repeat it."""
    for number, word in enumerate(words, start=1):
        key, _, value = word.partition("=")
        named = _SETTING.fullmatch(key) and is_secret(key.rpartition(".")[2].lstrip("-").replace("-", "_"))
        if redact(word) != word or (named and len(value) >= SHORTEST and value.isprintable() and " " not in value):
            raise ConfigError(f"word {number} of the command line is a secret, which every user of this machine can "
                              f"read there; {_ADVICE}")  # fmt: skip


def refuse_in_config(settings: Mapping[str, Any], source: str) -> None:
    """Raise ConfigError when a value of a config is a secret; the text does not repeat it."""
    for place, value in _texts(settings, ""):
        if redact(value) != value:
            raise ConfigError(f"{source}: {place}: holds a secret, which every run folder would keep; {_ADVICE}")


def _texts(value: Any, place: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(place, value)]
    if isinstance(value, Mapping):
        return [found for key, inner in value.items() for found in _texts(inner, f"{place}.{key}".lstrip("."))]
    if isinstance(value, list | tuple):
        return [found for inner in value for found in _texts(inner, place)]
    return []
