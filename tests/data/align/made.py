"""Documents whose alignment is known, made of parallel sentences with a share of noise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from desktune.data.align.dynamic import align
from desktune.data.align.evidence import Bead, Document, Evidence
from desktune.data.clean import lexicon
from desktune.data.clean.texts import Texts

Pair = tuple[str, str]


@dataclass
class Made:
    """A document on both sides, and its true groups (gaps are none)."""

    source: list[str] = field(default_factory=list)
    target: list[str] = field(default_factory=list)
    groups: set[Bead] = field(default_factory=set)

    def add(self, source: Sequence[str], target: Sequence[str]) -> None:
        starts = len(self.source), len(self.target)
        self.source += source
        self.target += target
        if source and target:
            self.groups.add(Bead(starts[0], len(self.source), starts[1], len(self.target)))


def made(pairs: Sequence[Pair], noise: float, seed: int) -> list[Made]:
    """Return documents of 40 to 100 sentences."""
    rng = random.Random(seed)
    documents, rest = [], list(pairs)
    while rest:
        size = rng.randint(40, 100)
        documents.append(_document(rest[:size], noise, rng))
        rest = rest[size:]
    return documents


def _document(pairs: list[Pair], noise: float, rng: random.Random) -> Made:
    """A quarter of the noise each: lost in the target, lost in the source, two in one, two that changed places."""
    found, index = Made(), 0
    while index < len(pairs):
        chance, (source, target) = rng.random() / noise, pairs[index]
        following = pairs[index + 1] if index + 1 < len(pairs) else None
        if chance < 0.25:
            found.add([source], [])
        elif chance < 0.5:
            found.add([], [target])
        elif chance < 0.75 and following is not None:
            if rng.random() < 0.5:
                found.add([f"{source} {following[0]}"], [target, following[1]])
            else:
                found.add([source, following[0]], [f"{target} {following[1]}"])
            index += 1
        elif chance < 1 and following is not None:
            found.add([source, following[0]], [following[1], target])
            index += 1
        else:
            found.add([source], [target])
        index += 1
    return found


def aligned(documents: Sequence[Made], known: lexicon.Lexicon | None) -> tuple[list[list[Bead]], lexicon.Lexicon]:
    """Return the groups of every document, and the lexicon that its 1-1 pairs teach."""
    found = [align(Evidence(Document(one.source), Document(one.target), known)) for one in documents]
    pairs = [
        Texts((one.source[bead.source_start], one.target[bead.target_start]), (None, None), parallel=True)
        for one, beads in zip(documents, found, strict=True)
        for bead in beads
        if bead.kind == "1-1"
    ]
    return found, lexicon.learn(pairs)


def measure(documents: Sequence[Made], found: Sequence[Sequence[Bead]]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of exact groups."""
    right = wrong = missed = 0
    for one, beads in zip(documents, found, strict=True):
        groups = {bead for bead in beads if not bead.kind.startswith("0") and not bead.kind.endswith("0")}
        right += len(groups & one.groups)
        wrong += len(groups - one.groups)
        missed += len(one.groups - groups)
    precision, recall = right / max(right + wrong, 1), right / max(right + missed, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)
