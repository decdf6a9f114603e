"""Rules about ``data:``: files that are there, a template that can be filled, languages that fit. Static: stat only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from desktune.config.cleaning import cleaning_faults
from desktune.config.faults import Path, excerpt_free, shown
from desktune.config.files import expand, file_fault, named, real
from desktune.config.rules import Facts, Found, Rule
from desktune.config.schema import Config, DataSection
from desktune.errors import nearest

OUR_FIELDS = ("source", "target", "text", "messages", "source_lang", "target_lang", "id")
PLAIN_SIDES = {"source", "target"}  # keys of a line-parallel pair that name no language
_PIECE = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


def train_given(facts: Facts) -> Iterator[Found]:
    """There is something to train on."""
    if facts.config.data.train is None:
        yield ("data", "train"), "missing; name a file of rows, e.g. data: {train: pairs.json}"


def pairs_have_two_sides(facts: Facts) -> Iterator[Found]:
    """A line-parallel pair has two sides, the same in every split."""
    data = facts.config.data
    sides = set(data.train) if isinstance(data.train, dict) else None
    for key, value in _splits(data):
        if not isinstance(value, dict):
            continue
        if len(value) != 2:
            yield (
                ("data", key),
                f"found {len(value)} sides ({', '.join(value)}); allowed: two, e.g. {{en: {key}.en, fr: {key}.fr}}",
            )
        elif sides is not None and set(value) != sides:
            yield (
                ("data", key),
                f"has the sides {', '.join(value)}; allowed: those of data.train, {', '.join(sorted(sides))}",
            )


def languages_fit(facts: Facts) -> Iterator[Found]:
    """Language codes that are given are sides of the pair."""
    data = facts.config.data
    sides = _sides(data)
    if not sides:
        return
    for key in ("source_lang", "target_lang"):
        code = data.model_dump()[key]
        if code is not None and code not in sides:
            yield ("data", key), f"found {shown(code)}; allowed with this data.train: {' or '.join(sides)}"
    if data.source_lang is not None and data.source_lang == data.target_lang:
        yield ("data", "target_lang"), f"the same as source_lang ({data.source_lang}); name another"


def directions_are_named(facts: Facts) -> Iterator[Found]:
    """Both directions of a pair of languages need the pair, and rows that say which way they go."""
    data = facts.config.data
    if not data.both_directions:
        return
    if isinstance(data.train, dict):
        yield ("data", "both_directions"), "a line-parallel pair goes one way only; write rows with a source_lang each"
        return
    for key in ("source_lang", "target_lang"):
        if data.model_dump()[key] is None:
            yield ("data", key), "found nothing; data.both_directions needs both languages, e.g. en and fr"


def template_is_whole(facts: Facts) -> Iterator[Found]:
    """``{name}`` names a field, ``{{`` and ``}}`` are braces; nothing else of ``str.format`` exists here."""
    template = facts.config.data.template
    pieces = [piece for piece in _PIECE.finditer(template) if piece.group() not in ("{{", "}}")]
    for piece in pieces:
        fault = _piece_fault(piece.group(), piece.start() + 1)
        if fault:
            yield ("data", "template"), fault
    if not pieces:
        why = "the model would read the same text for every row"
        yield ("data", "template"), f"found {shown(template)}; allowed: a text with at least one {{field}}, else {why}"


def fields_are_ours(facts: Facts) -> Iterator[Found]:
    """``fields`` maps our names to theirs."""
    for ours, theirs in facts.config.data.fields.items():
        path = ("data", "fields", ours)
        if ours not in OUR_FIELDS:
            turned = (
                f"; fields maps ours to theirs: write {theirs}: {ours}"
                if theirs in OUR_FIELDS
                else nearest(ours, OUR_FIELDS)
            )
            yield path, f"unknown field{turned}; allowed: {', '.join(OUR_FIELDS)}"
        elif not theirs:
            yield path, "empty; name the field of your rows"


def answers_are_trained(facts: Facts) -> Iterator[Found]:
    """Whatever else of a conversation is trained, an answer is: it is what generation is asked for."""
    train_on = facts.config.data.train_on
    if isinstance(train_on, list) and not {"assistant", "last"} & set(train_on):
        yield ("data", "train_on"), f"found {shown(train_on)}; allowed: a list with assistant or last in it"


def encoding_exists(facts: Facts) -> Iterator[Found]:
    """The encoding is one that Python knows."""
    encoding = facts.config.data.encoding
    try:
        "a".encode(encoding)
    except (LookupError, ValueError):
        yield (
            ("data", "encoding"),
            f"found {shown(encoding)}; allowed: utf-8, latin-1, cp1252, utf-16 … (a codec of Python)",
        )


def cleaning_is_known(facts: Facts) -> Iterator[Found]:
    """Filters exist and have limits that they take."""
    for path, text in cleaning_faults(facts.config.data.cleaning):
        yield ("data", "cleaning", *path), text


def files_are_there(facts: Facts) -> Iterator[Found]:
    """Every data file is a readable file with something in it, and no file is both trained on and held out."""
    train = {real(name) for _, text in _files("train", facts.config.data.train) for name in expand(text)}
    for key, value in _splits(facts.config.data):
        if isinstance(value, list) and not value:
            yield ("data", key), "an empty list; name at least one file"
        for path, text in _files(key, value):
            names = expand(text)
            faults = [fault for fault in map(file_fault, names) if fault is not None]
            if not names:
                faults = [f"{named(text)}: the pattern matches no file; mend it, or name a file"]
            elif not faults and key != "train" and train.intersection(map(real, names)):
                faults = [f"{named(text)}: is trained on too (data.train); hold other rows out"]
            yield from ((path, fault) for fault in faults)


DATA_RULES: tuple[Rule, ...] = (
    train_given,
    pairs_have_two_sides,
    languages_fit,
    directions_are_named,
    template_is_whole,
    fields_are_ours,
    answers_are_trained,
    encoding_exists,
    cleaning_is_known,
)


def with_languages(config: Config) -> tuple[Config, list[str]]:
    """Return the config with the sides of a line-parallel pair as its languages, and what was read out of it."""
    data, sides = config.data, _sides(config.data)
    if len(sides) != 2 or (data.source_lang is not None and data.target_lang is not None):
        return config, []
    first, second = sides
    turned = data.source_lang == second or data.target_lang == first
    source, target = (second, first) if turned else (first, second)
    note = f"data.train: read as source_lang {source}, target_lang {target}, from the sides of the pair"
    section = data.model_copy(update={"source_lang": source, "target_lang": target})
    return config.model_copy(update={"data": section}), [note]


def _piece_fault(piece: str, column: int) -> str | None:
    """Return what is wrong with ``{...}`` or a lonely brace at a character of the template."""
    if piece in ("{", "}"):
        what = "is not closed" if piece == "{" else "closes nothing"
        return f"the brace at character {column} {what}; write a literal brace twice: {piece * 2}"
    if not piece[1:-1].strip():
        return f"{{}} at character {column} names no field; write {{source}}"
    if re.search(r"[.!:\[\]]", piece):
        return f"{excerpt_free(piece)} at character {column}: only a plain field name may stand in braces"
    return None


def _splits(data: DataSection) -> Iterator[tuple[str, object]]:
    yield from (("train", data.train), ("validation", data.validation), ("test", data.test))


def _files(key: str, value: object) -> Iterator[tuple[Path, str]]:
    """Yield every file of a split with its place; a share or a number of rows has none."""
    if isinstance(value, str):
        yield ("data", key), value
    elif isinstance(value, list):
        yield from ((("data", key, str(index)), str(one)) for index, one in enumerate(value))
    elif isinstance(value, dict):
        yield from ((("data", key, str(side)), str(one)) for side, one in value.items())


def _sides(data: DataSection) -> tuple[str, ...]:
    """Return the languages of a line-parallel pair, or nothing."""
    pair = isinstance(data.train, dict) and len(data.train) == 2 and set(data.train) != PLAIN_SIDES
    return tuple(data.train) if pair and isinstance(data.train, dict) else ()
