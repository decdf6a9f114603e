"""What a data set is like, seen as a whole: lengths before any cut, repeats, leaks between splits, languages, scripts.

One pass over encoded rows; of texts only hashes and a few examples are held. Languages and scripts are looked at on a
sample that is spread evenly over the rows.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import py3langid

from desktune.data.store import EncodedSet
from desktune.rows import Encoded

BINS = 40
SHOWN = 8
_LOOKED_AT = 2_000  # rows whose languages and scripts are looked at
_JUDGED_LETTERS = 20  # below, an identifier guesses
_PRIVATE = {
    "e-mail addresses": re.compile(r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b", re.IGNORECASE),
    "keys or tokens": re.compile(
        r"\b(?:hf_|sk-|ghp_|github_pat_|xox[bap]-|AKIA|AIza)[\w-]{12,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    ),
}
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Histogram:
    """Counts of rows by a figure of them: ``edges`` has one value more than ``counts``.

    Rows below ``least`` and above ``most`` (None: no such limit) are cut or dropped.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    most: float | None = None
    least: float | None = None
    unit: str = "tokens"


@dataclass(frozen=True)
class Leak:
    """A training row whose text stands in another split too; ``what`` says how much of it."""

    what: str
    train: str
    other: str
    split: str
    text: str


@dataclass(frozen=True)
class Survey:
    """The facts of a data set."""

    rows: Mapping[str, int]  # split → rows; ``uncut``: those whose lengths are shown
    lengths: Mapping[str, Histogram]  # side → lengths of the training rows
    over_limit: Mapping[str, int]  # side → training rows over the limit
    repeated: int  # training rows that stand there before, the same to the letter
    nearly_repeated: int  # further ones that differ in case, punctuation or white space
    frequent: tuple[tuple[str, int], ...]  # targets that many rows share
    leak_counts: Mapping[str, int]
    leaks: tuple[Leak, ...]
    languages: Mapping[str, Mapping[str, int]]  # side → language → rows of the sample
    scripts: Mapping[str, Mapping[str, int]]
    looked_at: int
    private: Mapping[str, int]  # e-mail addresses and keys → training rows that hold one


def survey(
    splits: Mapping[str, EncodedSet], uncut: EncodedSet, limits: Mapping[str, int], *, encoder_decoder: bool
) -> Survey:
    """Return the facts of encoded rows.

    Args:
        splits: ``train`` and whatever is held out, as they are used.
        uncut: The training rows encoded without length limits, of which lengths are shown.
        limits: Side (``source`` and ``target``, or ``row``) → tokens that a row may have.
        encoder_decoder: Whether rows have two sides.
    """
    train = splits["train"]
    tokens = {"source": uncut.input_lengths, "target": uncut.label_lengths}
    lengths = tokens if encoder_decoder else {"row": uncut.input_lengths}
    held_out = {name: rows for name, rows in splits.items() if name != "train"}
    counts, leaks = _leaks(train, held_out)
    sample = [train[index] for index in _spread(len(train), _LOOKED_AT)]
    sides = {"source": [row.prompt for row in sample if row.prompt], "target": [row.completion for row in sample]}
    repeated, nearly = _repeats(train)
    return Survey(
        rows={**{name: len(rows) for name, rows in splits.items()}, "uncut": len(uncut)},
        lengths={side: _histogram(found, limits[side]) for side, found in lengths.items()},
        over_limit={side: int(np.count_nonzero(found > limits[side])) for side, found in lengths.items()},
        repeated=repeated,
        nearly_repeated=nearly,
        frequent=_frequent(train),
        leak_counts=counts,
        leaks=leaks,
        languages={side: _counted(_language(text) for text in texts) for side, texts in sides.items() if texts},
        scripts={side: _counted(_script(text) for text in texts) for side, texts in sides.items() if texts},
        looked_at=len(sample),
        private=_private(train),
    )


def _histogram(lengths: np.ndarray, limit: int) -> Histogram:
    longest = max(int(lengths.max(initial=1)), 1)
    edges = np.unique(np.linspace(0, longest, min(BINS, longest) + 1).astype(int))
    counts, _ = np.histogram(lengths, bins=edges)
    return Histogram(tuple(map(int, edges)), tuple(map(int, counts)), most=limit)


def _repeats(rows: EncodedSet) -> tuple[int, int]:
    same, alike, repeated, nearly = set[bytes](), set[bytes](), 0, 0
    for row in rows:
        exact, near = _hash(row.prompt, row.completion), _hash(_plain(row.prompt), _plain(row.completion))
        repeated += exact in same
        nearly += near in alike and exact not in same
        same.add(exact)
        alike.add(near)
    return repeated, nearly


def _private(rows: EncodedSet) -> dict[str, int]:
    """Count the rows that hold what should not be in a model: a tuned one says it again."""
    found = Counter(
        what for row in rows for what, pattern in _PRIVATE.items() if pattern.search(f"{row.prompt}\n{row.completion}")
    )
    return dict(found)


def _frequent(rows: EncodedSet) -> tuple[tuple[str, int], ...]:
    """Return targets that more than one row has, the most frequent first."""
    counts = Counter(_hash(row.completion) for row in rows)
    most = {key: count for key, count in counts.most_common(SHOWN) if count > 1}
    found: dict[str, int] = {}
    for row in rows:
        if len(found) == len(most):
            break
        key = _hash(row.completion)
        if key in most:
            found[row.completion] = most[key]
    return tuple(sorted(found.items(), key=lambda item: -item[1]))


def _leaks(train: EncodedSet, held_out: Mapping[str, EncodedSet]) -> tuple[dict[str, int], tuple[Leak, ...]]:
    """Find training rows whose text is held out too, as much of it as ``_KINDS`` says."""
    counts: Counter[str] = Counter()
    leaks: list[Leak] = []
    for split, rows in held_out.items():
        places: list[dict[bytes, str]] = [{} for _ in _KINDS]
        for row in rows:
            for known, key in zip(places, _keys(row), strict=True):
                known.setdefault(key, str(row.origin))
        for row in train:
            found = zip(_KINDS, places, _keys(row), strict=True)
            hit = next(((what, known[key]) for what, known, key in found if key in known), None)
            if hit is not None:
                counts[f"{hit[0]}, also in {split}"] += 1
                leaks.append(Leak(hit[0], str(row.origin), hit[1], split, row.prompt or row.completion))
    return dict(counts), tuple(sorted(leaks, key=lambda leak: _KINDS.index(leak.what))[:SHOWN])


_KINDS = ("the same row", "the same but for case and punctuation", "the same source")


def _keys(row: Encoded) -> tuple[bytes, bytes, bytes]:
    """Return a row's hash for each of ``_KINDS``; plain text has no source, and its whole text stands for it."""
    source, target = _plain(row.prompt), _plain(row.completion)
    return _hash(row.prompt, row.completion), _hash(source, target), _hash(source or target)


def _spread(count: int, most: int) -> Sequence[int]:
    return range(count) if count <= most else [int(index) for index in np.linspace(0, count - 1, most)]


def _counted(found: Iterator[str]) -> dict[str, int]:
    return dict(Counter(found).most_common())


def _language(text: str) -> str:
    letters = sum(sign.isalpha() for sign in text)
    return py3langid.classify(text)[0] if letters >= _JUDGED_LETTERS else "too short to tell"


def _script(text: str) -> str:
    """Return the script of most letters, by the first word of their Unicode names."""
    names = Counter(unicodedata.name(sign, "UNKNOWN").split()[0].lower() for sign in text if sign.isalpha())
    return names.most_common(1)[0][0] if names else "no letters"


def _plain(text: str) -> str:
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _hash(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
