"""Which field of a row is which: by ``data.fields`` and ``data.format``, else by the names that data sets use.

Preference rows are recognised and refused: trained as plain pairs they would teach the rejected answers too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from desktune.config.sample import PAIRS
from desktune.config.schema import DataSection
from desktune.errors import DataError, nearest
from desktune.languages import matches
from desktune.rows import RowKind

_MESSAGES = ("messages", "conversations", "conversation")
_ANSWERS = {"alpaca": ("output", "response"), "prompt-completion": ("completion", "response")}
_ASKED = {"alpaca": "instruction", "prompt-completion": "prompt"}
_MATERIAL = ("input", "context")  # what an instruction is about, in a field of its own
_SIDE_FIELDS = ("source_lang", "target_lang", "id")


@dataclass(frozen=True, slots=True)
class Columns:
    """Our names → theirs. ``nested`` is the field that holds ``{code: text}`` of a translation, with both codes.

    ``material`` is a field that is put behind the source with a line end where it is filled (alpaca's ``input``).
    ``schema`` is the name of the form that was recognised.
    """

    kind: RowKind
    source: str = ""
    target: str = ""
    messages: str = ""
    text: str = ""
    source_lang: str | None = None
    target_lang: str | None = None
    id: str | None = None
    nested: str = ""
    material: str = ""
    schema: str = ""
    guessed: bool = False

    def __str__(self) -> str:
        if self.nested:
            return f"{self.nested}.{self.source} → {self.nested}.{self.target}"
        if self.kind == "pair":
            return f"{self.source}{' + ' if self.material else ''}{self.material} → {self.target}"
        return self.messages if self.kind == "messages" else self.text

    @property
    def used(self) -> tuple[str, ...]:
        """Their fields without which a row is nothing."""
        names = {"pair": (self.source, self.target), "messages": (self.messages,), "text": (self.text,)}
        return (self.nested,) if self.nested else names[self.kind]


def find_columns(place: str, rows: Sequence[Mapping[str, Any]], section: DataSection) -> Columns:
    """Return which field is which, from the first rows of a file.

    Raises:
        DataError: a field that the config names is in none of the rows, no field has a name that is known, or the
            rows are preferences.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    _check_named(place, section, names)
    found = _named(section, names)
    if found is None:
        _refuse_preferences(place, rows)
        found = _guess(rows, names, section)
    if found is None:
        wanted = "" if section.format == "auto" else f" of data.format: {section.format}"
        raise DataError(
            f"{place}: cannot tell which field is the source and which the target{wanted}; fields that exist: "
            f"{_listed(names)}; name them, e.g. data.fields: {{source: input, target: output}}"
        )
    missing = [name for name in found.used if name not in names]
    if missing:
        raise DataError(_missing_text(place, missing[0], names))
    return _with_sides(found, section, names)


def schema_of(row: Mapping[str, Any]) -> str:
    """Return the name of the form that one row has, an empty text for a form that is not known."""
    if "chosen" in row and "rejected" in row:
        return "preference"
    if "completion" in row and isinstance(row.get("label"), bool):
        return "preference (label)"
    if isinstance(row.get("translation"), Mapping):
        return "translation"
    talk = next((row[name] for name in _MESSAGES if isinstance(row.get(name), list)), None)
    if talk is not None:
        return "sharegpt" if talk and isinstance(talk[0], Mapping) and "from" in talk[0] else "messages"
    for schema, asked in _ASKED.items():
        if asked in row and "source" not in row and any(answer in row for answer in _ANSWERS[schema]):
            return schema
    if any(source in row and target in row for source, target, _ in PAIRS):
        return "pairs"
    return "text" if isinstance(row.get("text"), str) else ""


def _refuse_preferences(place: str, rows: Sequence[Mapping[str, Any]]) -> None:
    found = {schema_of(row) for row in rows}
    if "preference" in found:
        raise DataError(
            f"{place}: preference rows (chosen, rejected): preference training is not built yet; to train on the "
            "chosen answers alone, name them: data.fields: {source: prompt, target: chosen}"
        )
    if "preference (label)" in found:
        raise DataError(
            f"{place}: preference rows (completion with a label true or false): preference training is not built yet; "
            "take the rows that are labelled true, without the label"
        )


def _check_named(place: str, section: DataSection, names: Sequence[str]) -> None:
    for ours, theirs in section.fields.items():
        if theirs not in names:
            raise DataError(_missing_text(place, theirs, names) + f" (data.fields.{ours})")


def _missing_text(place: str, name: str, names: Sequence[str]) -> str:
    return f"{place}: no field {name!r} in its rows; fields that exist: {_listed(names)}{nearest(name, names)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) or "none"


def _named(section: DataSection, names: Sequence[str]) -> Columns | None:
    """Return the columns of a config that names at least one of them."""
    given = section.fields
    if "messages" in given:
        return Columns("messages", messages=given["messages"])
    if "source" in given or "target" in given:
        source = given.get("source") or _partner(given["target"], names, of_target=True)
        target = given.get("target") or _partner(given["source"], names, of_target=False)
        return Columns("pair", source=source, target=target)
    return Columns("text", text=given["text"]) if "text" in given else None


def _partner(name: str, names: Sequence[str], *, of_target: bool) -> str:
    """Return the field that usually goes with the one that was named; our own name where none does."""
    known = [(target, source) if of_target else (source, target) for source, target, _ in PAIRS]
    usual = [other for one, other in known if one == name and other in names]
    return usual[0] if usual else ("source" if of_target else "target")


def _guess(rows: Sequence[Mapping[str, Any]], names: Sequence[str], section: DataSection) -> Columns | None:
    wanted = section.format
    guesses = {
        "translation": _nested(rows, section),
        "messages": _messages(rows, _MESSAGES),
        "sharegpt": _messages(rows, _MESSAGES[1:]),
        "alpaca": _asked("alpaca", names),
        "pairs": _pair(names, section),
        "prompt-completion": _asked("prompt-completion", names),
        "text": _text(rows, names),
    }
    if wanted == "translation":
        return guesses["translation"] or guesses["pairs"]
    if wanted != "auto":
        return guesses[wanted]
    found = next((found for found in guesses.values() if found is not None), None)
    return found and replace(found, schema=next(filter(None, map(schema_of, rows)), found.schema))


def _with_sides(found: Columns, section: DataSection, names: Sequence[str]) -> Columns:
    """Add the fields of language and id: named ones, else those that bear our names."""
    sides = (section.fields.get(ours, ours if ours in names else None) for ours in _SIDE_FIELDS)
    source_lang, target_lang, identity = sides
    return replace(found, source_lang=source_lang, target_lang=target_lang, id=identity)


def _nested(rows: Sequence[Mapping[str, Any]], section: DataSection) -> Columns | None:
    sample = next((row["translation"] for row in rows if isinstance(row.get("translation"), dict)), None)
    if sample is None or len(sample) < 2:
        return None
    first, second, *_ = sample
    named = {
        side: _key_of(code, sample) for side, code in (("source", section.source_lang), ("target", section.target_lang))
    }
    source = named["source"] or (second if named["target"] == first else first)
    target = named["target"] or next(code for code in sample if code != source)
    return Columns("pair", source=source, target=target, nested="translation", schema="translation",
                   guessed=True)  # fmt: skip


def _key_of(code: str | None, sample: Mapping[str, Any]) -> str | None:
    """Return the key of a language: the same code, else one that means it (``en`` for ``en_XX``), else the code."""
    if code is None or code in sample:
        return code
    return next((key for key in sample if matches(key, code)), code)


def _messages(rows: Sequence[Mapping[str, Any]], known: Sequence[str]) -> Columns | None:
    for name in known:
        if any(isinstance(row.get(name), list) for row in rows):
            return Columns("messages", messages=name, schema="messages", guessed=True)
    return None


def _asked(schema: str, names: Sequence[str]) -> Columns | None:
    """Return an instruction (with its material) or a prompt, and the answer to it."""
    lower = {name.lower(): name for name in reversed(names)}
    answer = next((lower[name] for name in _ANSWERS[schema] if name in lower), None)
    if _ASKED[schema] not in lower or answer is None:
        return None
    material = next((lower[name] for name in _MATERIAL if name in lower), "") if schema == "alpaca" else ""
    return Columns("pair", source=lower[_ASKED[schema]], target=answer, material=material, schema=schema, guessed=True)


def _pair(names: Sequence[str], section: DataSection) -> Columns | None:
    lower = {name.lower(): name for name in reversed(names)}
    pairs = [(source, target) for source, target, _ in PAIRS]
    if section.source_lang and section.target_lang:
        pairs.append((section.source_lang.lower(), section.target_lang.lower()))
    for source, target in pairs:
        if source in lower and target in lower:
            return Columns("pair", source=lower[source], target=lower[target], schema="pairs", guessed=True)
    return None


def _text(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Columns | None:
    texts = [name for name in names if any(isinstance(row.get(name), str) for row in rows)]
    name = "text" if "text" in names else (texts[0] if len(texts) == 1 else "")
    return Columns("text", text=name, schema="text", guessed=True) if name else None
