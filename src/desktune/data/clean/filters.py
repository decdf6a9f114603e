"""The table of all filters: each scores a row, and accepts a score by its limit. The order is that of the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from desktune.compat import installed
from desktune.data.clean import embed, lengths, match, noise
from desktune.data.clean.language import detector, language, script
from desktune.data.clean.learn import Bounds, Learnt
from desktune.data.clean.texts import Scorer, Texts, worst
from desktune.errors import UserError
from desktune.events import Emit, Warn

Way = Literal["least", "most", "ratio"]
PARALLEL = frozenset({
    "copied", "length_ratio", "token_ratio", "numbers", "urls", "punctuation", "brackets", "truncated", "lexicon",
    "embedding",
})  # fmt: skip
_WAYS: dict[str, Way] = {
    "min_characters": "least", "max_characters": "most", "min_words": "least", "information": "least",
    "mojibake": "most", "ocr": "most", "repetition": "most", "references": "most", "dates": "most",
    "abstracts": "most", "copied": "most", "length_ratio": "ratio", "token_ratio": "ratio", "script": "least",
    "language": "least", "numbers": "least", "urls": "least", "punctuation": "least", "brackets": "most",
    "truncated": "least", "lexicon": "least", "embedding": "least",
}  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """One filter that is on: rows whose score lies outside its limit are dropped. ``limit`` is for people."""

    name: str
    score: Scorer
    bounds: Bounds
    limit: str
    drops: bool = True  # else it only scores

    def accept(self, score: float | None) -> bool:
        """Say whether a score is inside the limit; what cannot be judged is accepted."""
        return score is None or self.bounds[0] <= score <= self.bounds[1]


@dataclass(frozen=True)
class Means:
    """What filters need besides a row: a count of tokens, a folder of an embedding model."""

    count: Callable[[str], int] | None = None
    embedding_model: str | None = None


def build(limits: Mapping[str, object], learnt: Learnt, means: Means, emit: Emit) -> list[Filter]:
    """Return the filters that are on.

    Raises:
        MissingExtra: a package that a filter needs is not installed.
        UserError: a limit that needs something that was not given.
    """
    found, scorers = [], learnt.scorers
    for name, way in _WAYS.items():
        if limits[name] is False:
            continue
        score = scorers.get(name) or _scorer(name, means, emit)
        if score is not None:
            bounds = learnt.bounds.get(name) or _bounds(way, limits[name])
            found.append(Filter(name, score, bounds, _said(way, bounds)))
    return found


def _scorer(name: str, means: Means, emit: Emit) -> Scorer | None:
    """Return a filter's scorer, or None (said) where the corpus or the installation has nothing to score with."""
    plain: dict[str, Scorer] = {
        "min_characters": lengths.shortest, "max_characters": lengths.longest, "min_words": lengths.fewest_words,
        "length_ratio": lengths.ratio, "script": script, "numbers": match.numbers, "urls": match.urls,
        "punctuation": match.punctuation, "brackets": match.brackets,
        "information": worst(noise.letters, min), "ocr": worst(noise.ocr_faults, max),
        "repetition": worst(noise.repetition, max), "references": worst(noise.references, max),
        "dates": worst(noise.dates, max), "abstracts": worst(noise.abstract, max),
    }  # fmt: skip
    if name in plain:
        return plain[name]
    made: dict[str, Callable[[], Scorer | None]] = {
        "mojibake": lambda: worst(noise.breakage(), max),
        "copied": match.likeness,
        "language": lambda: language(detector()),
        "token_ratio": lambda: _tokens(means),
        "embedding": lambda: _embedding(means, emit),
    }
    return made.get(name, lambda: None)()


def _tokens(means: Means) -> Scorer:
    if means.count is None:
        raise UserError(
            "data.cleaning.filters.token_ratio: counts tokens; name a tokenizer (--tokenizer tokenizer.json)"
        )
    return lengths.token_ratio(means.count)


def _embedding(means: Means, emit: Emit) -> Scorer | None:
    if installed("sentence-transformers") is None:
        emit(Warn("cleaning: embedding is skipped: the package sentence-transformers is not installed"))
        return None
    if means.embedding_model is None:
        raise UserError("data.cleaning.filters.embedding: needs data.cleaning.embedding_model, a folder with the model")
    return embed.embedding(means.embedding_model)


def _bounds(way: Way, limit: object) -> Bounds:
    value = float(str(limit))
    if way == "ratio":
        ratio = max(value, 1 / value) if value > 0 else 1.0
        return 1 / ratio, ratio
    return (value, float("inf")) if way == "least" else (float("-inf"), value)


def _said(way: Way, bounds: Bounds) -> str:
    if way == "ratio":
        return f"{bounds[0]:.2f} to {bounds[1]:.2f}"
    return f"≥ {bounds[0]:g}" if way == "least" else f"≤ {bounds[1]:g}"


def applies(one: Filter, row: Texts) -> bool:
    """Say whether a filter has something to say of a row: those of two sides need two languages."""
    return row.parallel or one.name not in PARALLEL
