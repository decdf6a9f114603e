"""``data align``: documents in, pairs of sentences out, each with what speaks for it; gaps and doubtful pairs beside.

Documents are read several times: first pairs by lengths and look-alikes teach a lexicon, then all are aligned with it.
One pair of documents is held at a time. What comes out is what ``data clean`` writes and training reads.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import langcodes

from desktune import durable
from desktune.compat import installed
from desktune.data.align.documents import Two, Wanted, documents, inputs, matched
from desktune.data.align.dynamic import Bead, align
from desktune.data.align.evidence import Document, Embed, Evidence
from desktune.data.align.sentences import Split, splitter
from desktune.data.clean import lexicon
from desktune.data.clean.texts import Texts
from desktune.data.lines import text_pieces
from desktune.errors import DataError, UserError
from desktune.events import Decision, Emit, Progress, Table, Warn
from desktune.languages import primary

LEAST_PAIRS = 200  # fewer sure pairs teach no lexicon
MOST_PAIRS = 20_000  # more teach nothing new
MIN_SCORE = 0.3
_SCALES = {
    True: (0.3, 0.12),
    False: (0.0, 0.1),
}  # with and without a lexicon: nats a word where the score is 0.5, width


@dataclass(frozen=True)
class Outputs:
    """Where pairs go, and what is left out of them."""

    out: Path
    rejected: Path | None = None
    min_score: float = MIN_SCORE
    both_directions: bool = False
    features: bool = False


@dataclass
class Counts:
    """What became of the sentences: ``source`` and ``target`` count them, ``kinds`` groups by their kind."""

    documents: int = 0
    source: int = 0
    target: int = 0
    pairs: int = 0
    doubtful: int = 0
    gaps: int = 0
    written: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def table(self) -> Table:
        """Return the counts for people."""
        rows = [
            ("documents", self.documents), ("sentences of the source", self.source),
            ("sentences of the target", self.target), ("pairs", self.pairs), ("doubtful, left out", self.doubtful),
            ("sentences without counterpart", self.gaps), ("rows written", self.written),
        ]  # fmt: skip
        rows += [(f"  {kind}", count) for kind, count in self.kinds.most_common()]
        return Table("alignment", ("", ""), tuple((name, f"{count:,}") for name, count in rows))


@dataclass(frozen=True)
class Cut:
    """A publication cut into sentences."""

    pub_number: str
    source: Document
    target: Document


def align_files(
    wanted: Wanted, outputs: Outputs, emit: Emit, abbreviations: Path | None = None, embeddings: Path | None = None
) -> Counts:
    """Align documents into ``outputs.out``.

    Args:
        wanted: The documents.
        outputs: What is written where.
        emit: Where decisions, progress and the table go.
        abbreviations: A file with more words that never end a sentence, one per line.
        embeddings: Folder of a sentence-transformers model; skipped, and said, where the package is missing.

    Raises:
        UserError: documents that do not match, a language that is none, an output that is an input.
        DataError: a document that cannot be read.
        MissingExtra: pysbd or python-docx is needed and not installed.
    """
    _check(wanted, outputs)
    for path in matched(wanted)[1]:
        emit(Warn(f"{path}: no document of the other side has its number; it is left out"))
    cut = _cutter(wanted, abbreviations, emit)
    embed = _embedder(embeddings, emit)
    learnt = _learn(wanted, cut, embed, emit)
    counts = Counts()
    with contextlib.ExitStack() as stack:
        out, rejected = (
            _nowhere if path is None else stack.enter_context(durable.open_rows(path))
            for path in (outputs.out, outputs.rejected)
        )
        writer = _Writer(wanted, outputs, counts, out, rejected)
        for two in documents(wanted):
            writer.write(cut(two), learnt, embed)
            emit(Progress("aligning", counts.documents))
        if not counts.pairs:
            raise DataError(
                f"{wanted.source}: no pair of sentences has a score of {outputs.min_score}; lower --min-score"
            )
    emit(counts.table())
    return counts


def score_of(nats: float, words: float, *, lexicon: bool) -> float:
    """Return how sure a pair is, 0 to 1: the nats that speak for it per word, on a logistic curve."""
    middle, width = _SCALES[lexicon]
    return 1 / (1 + math.exp(min(50.0, -(nats / max(words, 1.0) - middle) / width)))


def _check(wanted: Wanted, outputs: Outputs) -> None:
    for code in (wanted.source_lang, wanted.target_lang):
        if not langcodes.tag_is_valid(code):
            raise UserError(f"{code}: no language code; codes are like en, fr or pt-BR")
    if primary(wanted.source_lang) == primary(wanted.target_lang):
        raise UserError(f"--target-lang {wanted.target_lang}: the same language as --source-lang {wanted.source_lang}")
    known = {file.resolve() for file in inputs(wanted)}
    for path in (outputs.out, outputs.rejected):
        if path is not None and path.resolve() in known:
            raise UserError(f"{path}: is an input too and would be overwritten; name another file")
        if path is not None and not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    if outputs.rejected is not None and outputs.rejected.resolve() == outputs.out.resolve():
        raise UserError("-o and --rejected name one file; give each its own")


def _cutter(wanted: Wanted, abbreviations: Path | None, emit: Emit) -> Callable[[Two], Cut]:
    words = [] if abbreviations is None else "".join(text_pieces(abbreviations, wanted.encoding)).splitlines()
    splits: list[Split] = []
    for code in (wanted.source_lang, wanted.target_lang):
        split, known = splitter(code, words)
        splits.append(split)
        if not known:
            emit(Warn(f"pysbd has no rules for sentences in {code}; those of English are taken"))

    def cut(two: Two) -> Cut:
        source, target = (Document(split(text)) for split, text in zip(splits, (two.source, two.target), strict=True))
        return Cut(two.pub_number, source, target)

    return cut


def _embedder(folder: Path | None, emit: Emit) -> Embed | None:
    if folder is None:
        return None
    if installed("sentence-transformers") is None:
        emit(Warn("embeddings are skipped: the package sentence-transformers is not installed"))
        return None
    from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]

    model = SentenceTransformer(str(folder))
    return lambda texts: model.encode(list(texts), normalize_embeddings=True).astype("float64")


def _learn(wanted: Wanted, cut: Callable[[Two], Cut], embed: Embed | None, emit: Emit) -> lexicon.Lexicon | None:
    """Return the lexicon of what a first pass is sure of, learnt anew from a second; None where that is too little."""
    known: lexicon.Lexicon | None = None
    for _ in range(2):
        sure: list[Texts] = []
        for two in documents(wanted):
            sure += _sure(cut(two), known, embed)
            emit(Progress("learning words", len(sure)))
            if len(sure) >= MOST_PAIRS:
                break
        if len(sure) < LEAST_PAIRS:
            text = f"{len(sure)} sure pairs are too few to learn words from ({LEAST_PAIRS})"
            emit(Decision("align", "lengths, numbers and words that look alike", text))
            return None
        known = lexicon.learn(sure)
    emit(Decision("align", "lengths, look-alikes and a lexicon", f"learnt from {len(sure):,} pairs of a first pass"))
    return known


def _sure(cut: Cut, known: lexicon.Lexicon | None, embed: Embed | None) -> Iterator[Texts]:
    """Yield pairs of one sentence each that stand between such pairs."""
    beads = align(Evidence(cut.source, cut.target, known, embed))
    kinds = ["1-1", *(bead.kind for bead in beads), "1-1"]
    for place, bead in enumerate(beads):
        if kinds[place : place + 3] == ["1-1"] * 3:
            pair = cut.source.sentences[bead.source_start], cut.target.sentences[bead.target_start]
            yield Texts(pair, (None, None), parallel=True)


@dataclass
class _Writer:
    """Writes the pairs of one pair of documents after the other."""

    wanted: Wanted
    outputs: Outputs
    counts: Counts
    out: Callable[[str], None]
    rejected: Callable[[str], None]

    def write(self, cut: Cut, known: lexicon.Lexicon | None, embed: Embed | None) -> None:
        """Align and write."""
        counts, evidence = self.counts, Evidence(cut.source, cut.target, known, embed)
        counts.documents += 1
        counts.source += len(cut.source)
        counts.target += len(cut.target)
        for bead in align(evidence):
            counts.kinds[bead.kind] += 1
            source = " ".join(cut.source.sentences[bead.source_start : bead.source_end])
            target = " ".join(cut.target.sentences[bead.target_start : bead.target_end])
            if not source or not target:
                counts.gaps += bead.source_end - bead.source_start + bead.target_end - bead.target_start
                self._reject(cut, bead, source or target, "no-counterpart")
                continue
            words = (len(source.split()) + len(target.split())) / 2
            score = score_of(evidence.nats(bead), words, lexicon=known is not None)
            if score < self.outputs.min_score:
                counts.doubtful += 1
                self._reject(cut, bead, f"{source} → {target}", "low-score", score)
            else:
                counts.pairs += 1
                self._pair(cut.pub_number, (source, target), score, bead.kind)

    def _pair(self, number: str, pair: tuple[str, str], score: float, kind: str) -> None:
        ways = [(pair, self.wanted.source_lang)]
        if self.outputs.both_directions:
            ways.append(((pair[1], pair[0]), self.wanted.target_lang))
        for (source, target), language in ways:
            row: dict[str, Any] = {"source": source, "target": target, "source_lang": language, "pub_number": number}
            if self.outputs.features:
                row |= {"score": round(score, 4), "type": kind}
            self.out(_line(row))
            self.counts.written += 1

    def _reject(self, cut: Cut, bead: Bead, text: str, reason: str, score: float | None = None) -> None:
        row = {"pub_number": cut.pub_number, "reason": reason, "type": bead.kind, "text": text}
        self.rejected(_line(row if score is None else {**row, "score": round(score, 4)}))


def _nowhere(line: str) -> None:
    """Take a line that nobody asked for."""


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)
