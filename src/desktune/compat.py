"""Versions of the libraries that this program stands on, without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from desktune.errors import MissingExtra

LIBRARIES = (
    "desktune",
    "torch",
    "transformers",
    "peft",
    "safetensors",
    "tokenizers",
    "sentencepiece",
    "sacremoses",
    "pyarrow",
    "sacrebleu",
    "numpy",
    "pydantic",
    "jinja2",
)


def installed(package: str) -> str | None:
    """Return the version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of what a run depends on."""
    return {name: found for name in LIBRARIES if (found := installed(name)) is not None}


def require(package: str, extra: str, purpose: str) -> None:
    """Make sure that an optional package is there.

    Raises:
        MissingExtra: it is not; the text holds the pip command.
    """
    if installed(package) is None:
        raise MissingExtra(package, extra, purpose)
