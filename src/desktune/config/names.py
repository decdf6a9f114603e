"""Spelled keys → the settings of the schema: every key is known, in its section, given once, and built.

A ``Draft`` holds what one source gave: the file, or the overrides of the command line. Faults of names are collected in
it; values are judged later (``load.py``, ``rules.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from desktune.config import describe
from desktune.config.aliases import ALIASES, DOTTED_LATER, NOT_BUILT, NOTHING, SECTION_WORDS, VALUES, WARMUP, Alias
from desktune.config.emit import to_yaml
from desktune.config.faults import Fault, Path, Place, shown
from desktune.config.tree import Document
from desktune.errors import nearest

VARIANTS = ("generation", "variants")
_MOST_LISTED = 8


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of a known key, where it was given, and how the key was spelled there.

    ``inner`` says which entries of a mapping an override put into it; the others keep their place in the file.
    """

    value: Any
    place: Place
    spelled: Path
    inner: tuple[tuple[Path, Place], ...] = ()


@dataclass
class Draft:
    """The settings of one source by the path of the schema."""

    settings: dict[Path, Setting] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fault(self, place: Place, path: Path, text: str) -> None:
        """Keep a fault."""
        self.faults.append(Fault(place, path, text))


def from_document(document: Document) -> Draft:
    """Return the settings of a file. Keys whose value the parser refused are left out: they are faults already."""
    draft = Draft(faults=list(document.faults))
    refused = {fault.path[:2] for fault in document.faults}
    for name, value in document.tree.items():
        place = document.places[(name,)]
        if name not in describe.sections():
            if (name,) not in refused:
                put(draft, (name,), value, place)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if (name, key) not in refused:
                    put(draft, (name, key), inner, document.places[(name, key)])
        elif value is not None:
            put(draft, (name,), value, place)
    return draft


def put(draft: Draft, spelled: Path, value: Any, place: Place) -> None:
    """Add one key to a draft under its name in the schema, or a fault that says what is wrong with it."""
    if spelled in describe.known_keys():
        put_setting(draft, spelled, Setting(value, place, spelled))
    elif spelled == ("model",) and not isinstance(value, str):
        draft.fault(place, spelled, _section_wanted("model", value))
    elif (alias := alias_of(spelled, value)) is not None:
        _put_alias(draft, alias, value, place, spelled)
    elif spelled[0] in describe.sections() and len(spelled) == 1:
        draft.fault(place, spelled, _section_wanted(spelled[0], value))
    else:
        draft.fault(place, spelled, unknown(spelled))


def put_setting(draft: Draft, path: Path, setting: Setting) -> bool:
    """Put a setting unless its key was given already or its value is not built; returns whether it was put."""
    dotted = ".".join(path)
    before = draft.settings.get(path)
    if before is not None and before.place.rank == 0:
        later = max(before, setting, key=lambda one: one.place)
        first = min(before, setting, key=lambda one: one.place)
        draft.fault(
            later.place,
            later.spelled,
            f"sets {dotted}, as {'.'.join(first.spelled)} does ({first.place.text}); keep one",
        )
        return False
    ours = _our_value(VALUES.get(dotted, {}), setting.value)
    if ours is not NOTHING:
        draft.notes.append(f"{dotted}: {setting.value} read as {to_yaml(ours)}")
        setting = replace(setting, value=ours)
    if path == VARIANTS and isinstance(setting.value, dict):
        setting = replace(setting, value=_variants_in_our_words(draft, setting))
    missing = _not_built(dotted, setting.value)
    if missing is not None:
        known = f"{shown(missing)} is known, but not built yet in this version"
        draft.fault(setting.place, setting.spelled, f"{known}; allowed: {describe.allowed(path)}")
        draft.settings.pop(path, None)
        return False
    draft.settings[path] = setting
    return True


def alias_of(spelled: Path, value: Any = None) -> Alias | None:
    """Return what another tool's spelling stands for, or None when it is no such spelling."""
    dotted = ".".join(spelled)
    if dotted == WARMUP:
        ratio = isinstance(value, float) and value < 1
        return Alias(("training", "warmup_ratio" if ratio else "warmup_steps"))
    return ALIASES.get(dotted)


def generation_key(word: str) -> str:
    """Return the key of ``generation:`` that a word stands for: with its section or without, ours or other tools'."""
    name = word.strip().removeprefix("generation.")
    alias = ALIASES.get(f"generation.{name}")
    return alias.path[-1] if alias is not None else name


def unknown(spelled: Path) -> str:
    """Return the text of an unknown key: where it belongs, or the nearest name, or all of its section."""
    key = spelled[-1]
    homes = [path for path in describe.known_keys() if path[-1] == key]
    if homes:
        own = [f"{path[0]}:" for path in homes if len(path) == 2]
        return f"unknown key here; belongs to {_either(own or ['the top level'])}"
    moved = sorted({alias.path for name, alias in ALIASES.items() if name.rpartition(".")[2] == key})
    if moved:
        return f"unknown key here; belongs to {moved[0][0]}:, as {moved[0][-1]}"
    if len(spelled) == 1:
        return _unknown_at_top(key)
    own = [path[-1] for path in describe.known_keys() if path[0] == spelled[0] and len(path) == 2]
    aliases = [name.rpartition(".")[2] for name in ALIASES if name.startswith(f"{spelled[0]}.")]
    close = nearest(key, own) or nearest(key, aliases)
    return "unknown key" + (close or _elsewhere(key) or f"; allowed: {listed(own)}")


def merge_overrides(file: Draft, commanded: Draft) -> Draft:
    """Return both drafts as one; an override wins."""
    return Draft(
        {**file.settings, **commanded.settings},
        [*file.faults, *commanded.faults],
        [*file.notes, *commanded.notes],
    )


def _put_alias(draft: Draft, alias: Alias, value: Any, place: Place, spelled: Path) -> None:
    dotted, ours = ".".join(spelled), ".".join(alias.path)
    try:
        converted = alias.convert(value) if alias.convert is not None else value
    except ValueError as error:
        draft.fault(place, spelled, f"found {shown(value)}; allowed: {error}")
        return
    if converted is NOTHING:
        draft.notes.append(f"{dotted}: {shown(value)} sets nothing here ({ours} decides)")
        return
    if put_setting(draft, alias.path, Setting(converted, place, spelled)):
        as_value = "" if converted is value else f" {to_yaml(converted)}"
        short = alias.path[-1]
        draft.notes.append(f"{dotted}: read as {short if spelled[:-1] == alias.path[:-1] else ours}{as_value}")


def _variants_in_our_words(draft: Draft, setting: Setting) -> dict[Any, Any]:
    """Return variants whose keys are ours; another tool's spelling gets its note, and two of one key are a fault."""
    found: dict[Any, Any] = {}
    for name, variant in setting.value.items():
        if not isinstance(variant, dict):
            found[name] = variant
            continue
        settings: dict[Any, Any] = {}
        for key, value in variant.items():
            ours = generation_key(key) if isinstance(key, str) else key
            where = ".".join((*VARIANTS, str(name), str(key)))
            if ours in settings:
                spelled = (*VARIANTS, str(name), str(key))
                draft.fault(setting.place, spelled, f"sets {ours}, which another key of the variant does; keep one")
            elif ours != key:
                draft.notes.append(f"{where}: read as {ours}")
            settings[ours] = value
        found[name] = settings
    return found


def _our_value(values: Mapping[str, Any], value: Any) -> Any:
    return values.get(value, NOTHING) if isinstance(value, str) else NOTHING


def _not_built(dotted: str, value: Any) -> Any:
    """Return the value, or the element of a list, that a later version has; else None."""
    for one in value if isinstance(value, list) else [value]:
        known = any(one is later or (isinstance(one, str) and one == later) for later in NOT_BUILT.get(dotted, ()))
        own_class = dotted in DOTTED_LATER and isinstance(one, str) and "." in one.strip(".")
        if known or own_class:
            return one
    return None


def _section_wanted(name: str, value: Any) -> str:
    own = [path[-1] for path in describe.known_keys() if path[0] == name]
    return f"found {shown(value)}; {name} is a section: put keys below it ({', '.join(own[:4])} …)"


def _unknown_at_top(key: str) -> str:
    tops = [*describe.sections(), *(path[0] for path in describe.known_keys() if len(path) == 1)]
    if key in SECTION_WORDS:
        return f"unknown section; did you mean {SECTION_WORDS[key]!r}?"
    close = nearest(key, tops)
    return "unknown key" + (close or _elsewhere(key) or f"; allowed: {', '.join(sorted(tops))}")


def _elsewhere(key: str) -> str:
    """Return the nearest name of any section."""
    homes = {path[-1]: path[0] for path in describe.known_keys() if len(path) == 2}
    close = nearest(key, list(homes))
    name = close.split("'")[1] if close else ""
    return f"; did you mean {name!r} of {homes[name]}:?" if name else ""


def listed(names: Sequence[str]) -> str:
    """Return names as a list that fits a line."""
    rest = f" and {len(names) - _MOST_LISTED} more (desktune schema)" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + rest


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
