"""A config file and overrides → one frozen ``Config``, or every fault at once. Static: no torch, no model, no network.

text ─▶ tree (``tree.py``) ─▶ known names (``names.py``) ─▶ overrides on top ─▶ the schema ─▶ rules between keys
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from desktune.config import describe
from desktune.config.emit import to_yaml
from desktune.config.faults import Fault, Path, Place, file_place, raise_all, shown
from desktune.config.names import Draft, Setting, alias_of, from_document, merge_overrides
from desktune.config.overrides import from_overrides
from desktune.config.rules import EXCLUSIVE, RULES, Facts, notes, unused
from desktune.config.rules_data import DATA_RULES, files_are_there, with_languages
from desktune.config.schema import Config
from desktune.config.tree import MOST_BYTES, BadScalarError, decode, parse, scalar
from desktune.errors import ConfigError, nearest

DEFAULT_NAMES = ("desktune.yaml", "config.yaml", "config.yml")


@dataclass(frozen=True)
class Loaded:
    """A config that holds, what was read into it, and where it came from."""

    config: Config
    notes: tuple[str, ...]
    source: str


def load(path: File, overrides: Sequence[str] = (), *, check_files: bool = True) -> Loaded:
    """Load a YAML or JSON config.

    Args:
        path: The file.
        overrides: ``section.key=value`` texts; they win over the file.
        check_files: Whether the data files have to be there (a run folder outlives its data).

    Raises:
        ConfigError: all faults at once, one line each, with file:line.
    """
    source = str(path)
    try:
        if not path.is_file():
            what = "is a folder; name the file in it" if path.is_dir() else "no such config file"
            raise ConfigError(f"{source}: {what}; desktune init DATA writes one")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source}: cannot be read: {error}") from error
    return loads(decode(data, source), source, overrides, check_files=check_files)


def loads(text: str, source: str, overrides: Sequence[str] = (), *, check_files: bool = True) -> Loaded:
    """Load a config from its text; ``source`` names it in faults. Raises ConfigError as ``load`` does."""
    document = parse(text, source)
    file = from_document(document)
    commanded = from_overrides(overrides, file.settings)
    gone = _give_way(file, commanded)
    draft = merge_overrides(file, commanded)
    config, wrong = _validate(draft.settings)
    faults = [*draft.faults, *(_wrong(path, draft.settings[path]) for path in sorted(wrong))]
    given = {path: one for path, one in draft.settings.items() if one.value is not None and path not in wrong}
    facts = Facts(config, given)
    finder = _Finder(source, document.places, draft)
    faulty = {_ours(fault.path[:2]) for fault in faults} | wrong
    for rule in (*RULES, *DATA_RULES, *([files_are_there] if check_files else [])):
        for path, text_found in rule(facts):
            if faulty.isdisjoint((path[:1], path[:2])):
                faults.append(finder.fault(path, text_found))
    raise_all(faults)
    config, read = with_languages(config)
    return Loaded(config, tuple(dict.fromkeys([*draft.notes, *gone, *read, *notes(facts)])), source)


def dump(config: Config) -> str:
    """Return YAML that ``load`` reads back to an equal config.

    Keys that say nothing beside the others (epochs when ``max_steps`` is given) are comments: both would contradict.
    """
    quiet = unused(config)
    lines = []
    for name, value in config.model_dump().items():
        if name not in describe.sections():
            lines.append(f"{name}: {to_yaml(value)}")
            continue
        lines.append(f"{name}:")
        for key, inner in value.items():
            why = quiet.get((name, key))
            lines.append(f"  {key}: {to_yaml(inner)}" if why is None else f"  # {key}: unused, {why}")
    return "\n".join(lines) + "\n"


def default_path(folder: File) -> File:
    """Return the config that a verb takes when none is named.

    Raises:
        ConfigError: the folder has none.
    """
    for name in DEFAULT_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(
        f"no config here ({', '.join(DEFAULT_NAMES)} in {folder}); name one, or write one: desktune init DATA"
    )


class _Finder:
    """Turns a path of the schema into a place: the key as it was spelled, else its section, else the file."""

    def __init__(self, source: str, places: Mapping[Path, Place], draft: Draft) -> None:
        self._source, self._places, self._settings = source, places, draft.settings

    def fault(self, path: Path, text: str) -> Fault:
        setting = self._settings.get(path[:2])
        spelled = (*setting.spelled, *path[2:]) if setting is not None else path
        if setting is not None and setting.place.rank:
            return Fault(self._of_override(setting, path), spelled, text)
        return Fault(self._in_file(spelled) or file_place(self._source), spelled, text)

    def _of_override(self, setting: Setting, path: Path) -> Place:
        """An override that put one entry into a mapping has not written the others."""
        own = next((place for inner, place in setting.inner[::-1] if path[: len(inner)] == inner), None)
        untouched = self._in_file(path) if setting.inner else None
        return own or untouched or setting.place

    def _in_file(self, spelled: Path) -> Place | None:
        lengths = range(len(spelled), 0, -1)
        return next((self._places[spelled[:length]] for length in lengths if spelled[:length] in self._places), None)


def _ours(spelled: Path) -> Path:
    alias = alias_of(spelled)
    return alias.path if alias is not None else spelled


def _give_way(file: Draft, commanded: Draft) -> list[str]:
    """Drop settings of the file that an override excludes (``max_steps=10`` over the file's epochs); say which."""
    gone = []
    for pair in EXCLUSIVE:
        for winner, loser in (pair, pair[::-1]):
            won, lost = commanded.settings.get(winner), file.settings.get(loser)
            if won is None or won.value is None or lost is None or lost.value is None or loser in commanded.settings:
                continue
            del file.settings[loser]
            gone.append(f"{'.'.join(lost.spelled)} ({lost.place.text}) gives way to {won.place.text}")
    return gone


def _validate(settings: Mapping[Path, Setting]) -> tuple[Config, set[Path]]:
    """Return the config of all settings that hold by themselves, and the paths of those that do not."""
    wrong: set[Path] = set()
    try:
        return Config.model_validate(_nested(settings, wrong)), wrong
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            place = tuple(str(part) for part in one["loc"])
            wrong.add(place[:2] if place[0] in describe.sections() else place[:1])
    return Config.model_validate(_nested(settings, wrong)), wrong


def _nested(settings: Mapping[Path, Setting], without: set[Path]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, setting in settings.items():
        if path in without:
            continue
        target = tree if len(path) == 1 else tree.setdefault(path[0], {})
        target[path[-1]] = setting.value
    return tree


def _wrong(path: Path, setting: Setting) -> Fault:
    """Return the fault of a value that its key does not allow, with the way out where it is known."""
    text = f"found {shown(setting.value)}; allowed: {describe.allowed(path)}"
    return Fault(setting.place, setting.spelled, text + _remedy(path, setting.value))


def _remedy(path: Path, value: Any) -> str:
    if isinstance(value, str):
        close = nearest(value, describe.choices(path))
        number = value.replace("_", "").strip()
        is_number = not close and not describe.takes(path, str) and isinstance(_word(number), int | float)
        return f"; write {number} without quotes or underscores" if is_number else close
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and value.is_integer() and describe.takes(path, int):
            return f"; write {int(value)}"
        if describe.takes(path, str) and not describe.choices(path) and not describe.takes(path, float):
            return f'; write "{value}" for a text'
    return ""


def _word(text: str) -> Any:
    try:
        return scalar(text)
    except BadScalarError:
        return text
