"""Rows in groups (file, language direction, length of the reference): what one gained another may have lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from desktune.evaluate.metrics import Score, Statistics, statistics
from desktune.rows import Encoded

BY_LANGUAGE = ("bleu", "rouge1", "rouge2", "rougeL")  # these cut words by the language they are told
FEWEST_FOR_LENGTHS = 16  # four rows in each quarter

Measured = Mapping[str, tuple[Statistics, Statistics]]  # by metric: base and tuned, over all rows


@dataclass(frozen=True)
class Pair:
    """Outputs of base and tuned for the same rows."""

    base: Sequence[str]
    tuned: Sequence[str]
    rows: Sequence[Encoded]


@dataclass(frozen=True)
class Part:
    """The metrics of the rows of one group, and how they were computed."""

    rows: int
    base: Mapping[str, float]
    tuned: Mapping[str, float]
    signatures: Mapping[str, str]


def by_file(pair: Pair, measured: Measured) -> dict[str, Part]:
    """Return the metrics file by file."""
    groups = _grouped([row.origin.file for row in pair.rows])
    short = {file: file.rsplit("/", 1)[-1] for file in groups}
    names = short if len(set(short.values())) == len(short) else {file: file for file in groups}
    return {names[file]: _part(chosen, measured) for file, chosen in groups.items()}


def by_direction(pair: Pair, measured: Measured) -> dict[str, Part]:
    """Return the metrics per language direction, words cut as the target language wants it."""
    groups = _grouped([direction(row) for row in pair.rows])
    return {name: _part(chosen, _cut_again(pair, chosen, measured)) for name, chosen in groups.items()}


def by_length(pair: Pair, measured: Measured) -> dict[str, Part]:
    """Return the metrics per quarter of the rows, from the shortest references to the longest (in tokens)."""
    tokens_N = np.array([row.trained_tokens for row in pair.rows])
    if len(tokens_N) < FEWEST_FOR_LENGTHS:
        return {}
    quarters_N = np.searchsorted(np.unique(np.quantile(tokens_N, (0.25, 0.5, 0.75))), tokens_N)
    names = {}
    for quarter in np.unique(quarters_N):
        members = tokens_N[quarters_N == quarter]
        names[quarter] = f"{members.min()} to {members.max()} tokens"
    order = {name: place for place, name in enumerate(names.values())}
    groups = _grouped([names[quarter] for quarter in quarters_N])
    return {name: _part(groups[name], measured) for name in sorted(groups, key=lambda name: order[name])}


def average(parts: Mapping[str, Part]) -> Part:
    """Return the mean over groups, each with the same weight."""
    names = list(next(iter(parts.values())).tuned)
    return Part(
        sum(part.rows for part in parts.values()),
        {name: sum(part.base[name] for part in parts.values()) / len(parts) for name in names},
        {name: sum(part.tuned[name] for part in parts.values()) / len(parts) for name in names},
        dict.fromkeys(names, f"mean of {len(parts)} groups"),
    )


def direction(row: Encoded) -> str:
    """Return ``en → fr``."""
    return f"{row.source_lang or '?'} → {row.target_lang or '?'}"


def languages(rows: Sequence[Encoded]) -> set[str]:
    """Return the target languages that rows name."""
    return {row.target_lang for row in rows if row.target_lang}


def _grouped(keys: Sequence[str]) -> dict[str, list[int]]:
    """Return places by key, in the order of the keys; nothing where there is only one."""
    groups: dict[str, list[int]] = {key: [] for key in sorted(set(keys))}
    for place, key in enumerate(keys):
        groups[key].append(place)
    return groups if len(groups) > 1 else {}


def _part(chosen: Sequence[int], measured: Measured) -> Part:
    scores: dict[str, tuple[Score, Score]] = {
        name: (base.score(chosen), tuned.score(chosen)) for name, (base, tuned) in measured.items()
    }
    return Part(
        len(chosen),
        {name: base.value for name, (base, _) in scores.items()},
        {name: tuned.value for name, (_, tuned) in scores.items()},
        {name: tuned.signature for name, (_, tuned) in scores.items()},
    )


def _cut_again(pair: Pair, chosen: Sequence[int], measured: Measured) -> Measured:
    """Return the statistics of all rows, where it matters with words cut for the language of the chosen ones."""
    language = pair.rows[chosen[0]].target_lang
    references = [row.completion for row in pair.rows]
    return {
        name: (
            statistics(name, pair.base, references, language),
            statistics(name, pair.tuned, references, language),
        )
        if name in BY_LANGUAGE
        else both
        for name, both in measured.items()
    }
