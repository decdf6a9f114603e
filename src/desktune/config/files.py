"""Names in ``data:`` → files: a file, a pattern, a folder, or a data set of ``datasets``. Opens nothing.

A folder stands for its files of one kind, sorted. A name like ``user/name`` that is nothing on this disk is a data set
of the Hub; a folder that ``save_to_disk`` wrote is one too. ``:train`` behind such a name is the split.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from pathlib import Path as File

from desktune.config.faults import shown
from desktune.errors import nearest

KINDS: dict[str, tuple[str, ...]] = {
    "JSON": (".json", ".jsonl", ".ndjson"),
    "tables": (".csv", ".tsv", ".tab"),
    "Parquet": (".parquet",),
    "Arrow": (".arrow",),
    "text": (".txt",),
    "TMX": (".tmx",),
    "XLIFF": (".xlf", ".xliff", ".mxliff", ".sdlxliff"),
    "Word": (".docx",),
}
PACKED = (".gz", ".zst", ".bz2")
_SUFFIXES = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes}
_WILD = re.compile(r"[*?\[]")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_SPLIT = re.compile(r"(.*[^:]):(\w[\w.-]*)", re.DOTALL)
_MOST_NEIGHBOURS = 2_000
_LONGEST_NAME = 200


def suffix_of(name: str) -> str:
    """Return the suffix that says what a file holds: ``.csv`` of ``rows.csv.gz``."""
    plain = File(name)
    return (plain.with_suffix("") if plain.suffix.lower() in PACKED else plain).suffix.lower()


def set_name(text: str) -> tuple[str, str | None] | None:
    """Return (folder or Hub name, split or None) of a name that means a data set of ``datasets``, else None."""
    if "\0" in text or os.path.isfile(_file(text)):  # noqa: PTH113 - a bad name is no file
        return None
    cut = _SPLIT.fullmatch(text)
    for name, split in ((text, None), *([cut.groups()] if cut else [])):
        if _is_saved_set(_file(name)) or _is_hub_name(name):
            return name, split
    return None


def expand(text: str) -> list[str]:
    """Return the files of a pattern like ``rows/*.jsonl`` or of a folder, sorted; any other name as it is."""
    if not text.strip() or "\0" in text or set_name(text) is not None:
        return [text]
    plain = str(_file(text))
    if os.path.isdir(plain):  # noqa: PTH112
        found = folder_files(plain)
        return found if isinstance(found, list) else [text]
    if not _WILD.search(text) or os.path.lexists(plain):
        return [text]
    return sorted(name for name in glob.glob(plain, recursive=True) if not File(name).is_dir())  # noqa: PTH207


def folder_files(folder: str) -> list[str] | str:
    """Return the files of rows in a folder, or what is wrong with it. Hidden files and other kinds are passed over."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name[0] not in "._" and entry.is_file())
    except OSError as error:
        return f"{named(folder)}: {(error.strerror or 'not a folder').lower()}; name another one"
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(_SUFFIXES.get(suffix_of(name), ""), []).append(name)
    kinds.pop("", None)
    if len(kinds) == 1:
        (found,) = kinds.values()
        return [os.path.join(folder, name) for name in found]  # noqa: PTH118 - ./ stays as it was written
    if not kinds:
        return f"{named(folder)}: a folder without files of rows; allowed: {', '.join(_SUFFIXES)} (also .gz, .zst)"
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in kinds.items())
    example = f"{folder.rstrip(os.sep)}/*{File(next(iter(kinds.values()))[0]).suffix}"
    return f"{named(folder)}: a folder with several kinds of files ({counts}); name one, e.g. {named(example)}"


def file_fault(text: str) -> str | None:
    """Return what is wrong with a data file, or None. Opens nothing: a pipe or a device must not hang a check."""
    file = _file(text) if text.strip() else File("\0")
    if text.strip() and set_name(text) is not None:
        return None
    try:
        found = file.stat()
    except ValueError:
        return f"found {shown(text)}; allowed: the name of a file"
    except FileNotFoundError:
        if file.is_symlink():
            return (
                f"{named(text)}: a link to {named(str(file.readlink()))}, which is not there; name a file that exists"
            )
        return f"{named(text)}: no such file{_hint(file, text)}"
    except OSError as error:
        return f"{named(text)}: {(error.strerror or 'not a file').lower()}; name another file"
    if stat.S_ISDIR(found.st_mode):
        files = folder_files(str(file))
        return files if isinstance(files, str) else None
    if not stat.S_ISREG(found.st_mode):
        return f"{named(text)}: not a regular file (a device, pipe or socket); copy its rows into one"
    if found.st_size == 0:
        return f"{named(text)}: an empty file; name a file with rows"
    return (
        None if os.access(file, os.R_OK) else f"{named(text)}: not readable by you; give yourself the right to read it"
    )


def real(text: str) -> str:
    """Return the one true name of a file."""
    return os.path.realpath(_file(text)) if "\0" not in text else text


def named(text: str) -> str:
    """Return a file name for a message: whole, since a person has to find it, but printable."""
    name = text if text.isprintable() else ascii(text)
    return name if len(name) <= _LONGEST_NAME else f"{name[:40]} … {name[40 - _LONGEST_NAME :]}"


def _is_saved_set(folder: File) -> bool:
    def holds(name: str) -> bool:
        return os.path.isfile(folder / name)  # noqa: PTH113 - a name that is too long is no file

    return holds("dataset_dict.json") or (holds("dataset_info.json") and holds("state.json"))


def _is_hub_name(name: str) -> bool:
    """Say whether a name can only be the Hub's: two words, nothing of it on this disk, no suffix of a file of rows."""
    if not _HUB_NAME.fullmatch(name) or File(name).suffix.lower() in (*_SUFFIXES, *PACKED):
        return False
    return not os.path.lexists(name) and not os.path.isdir(File(name).parent)  # noqa: PTH112


def _file(text: str) -> File:
    try:
        return File(text).expanduser()
    except RuntimeError:  # ~name of nobody
        return File(text)


def _hint(file: File, text: str) -> str:
    try:
        with os.scandir(file.parent) as entries:
            near = [entry.name for entry, _ in zip(entries, range(_MOST_NEIGHBOURS), strict=False)]
    except OSError:
        return f"; the folder {named(str(file.parent))} is not there either; name a file that exists"
    return nearest(file.name, near) or "; name a file that exists"
