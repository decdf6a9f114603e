"""One row mended, scored and judged by itself: what can be done on any core, and in any order.

What was seen before (duplicates) is not asked here; ``apply.py`` does that with the verdicts in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from desktune.config.cleaning import PRESETS, Cleaning, Limit, resolved
from desktune.data.clean.filters import Filter, Means, applies, build
from desktune.data.clean.language import detector
from desktune.data.clean.learn import Langs, Learnt, languages
from desktune.data.clean.learn import limits as learn
from desktune.data.clean.lexicon import Lexicon
from desktune.data.clean.mend import Change, changes_of
from desktune.data.clean.texts import Texts, texts_of, with_sides
from desktune.data.encoding import Encoder
from desktune.data.wire import Json, Wire
from desktune.events import Decision, Emit, silent
from desktune.languages import primary
from desktune.rows import Example, Reject

_EXCERPT = 200


@dataclass(frozen=True)
class Verdict:
    """A row as mended, its scores, and the filter that did not accept it (with why).

    ``langs`` are its sides', ``changed`` the mends that changed it; ``harder``: dropped by the limits, kept by the
    relaxed ones.
    """

    row: Example
    langs: tuple[str | None, str | None]
    scores: Mapping[str, float | None]
    dropped: str | None = None
    detail: str = ""
    harder: bool = False
    changed: tuple[str, ...] = ()

    def reject(self) -> Reject:
        """Return the row as a reject."""
        excerpt = (self.row.text or f"{self.row.source} → {self.row.target}")[:_EXCERPT]
        return Reject(self.row.origin, f"clean:{self.dropped}", self.detail, excerpt)


@dataclass(frozen=True)
class Setup:
    """What to clean with: the settings, a count of tokens, whether all scores are wanted, and relaxed settings."""

    cleaning: Cleaning
    count: Callable[[str], int] | None = None
    features: bool = False
    relaxed: Cleaning | None = None

    @property
    def limits(self) -> dict[str, Limit]:
        """The limit of every filter."""
        return resolved(self.cleaning)

    @property
    def means(self) -> Means:
        """What filters need besides a row."""
        return Means(self.count, self.cleaning.embedding_model)


def mended(row: Example, changes: Mapping[str, Change]) -> tuple[Example, tuple[str, ...]]:
    """Return a row with its texts mended, and the names of the mends that changed them."""
    sides, names = texts_of(row, (None, None), parallel=False).sides, []
    for name, change in changes.items():
        turned = tuple(map(change, sides))
        if turned != sides:
            names.append(name)
        sides = turned
    return with_sides(row, sides), tuple(names)


class Judge:
    """Mends and judges rows by what a sample of them taught (``pool.Worker``)."""

    rows: ClassVar[Wire[Any]] = Json(list[Example | Reject])
    answers: ClassVar[Wire[Any]] = Json(list[Verdict | Reject])

    def __init__(self, setup: Setup, langs: Langs, learnt: Learnt, emit: Emit = silent) -> None:
        self._setup, self._langs, self._learnt = setup, langs, learnt
        limits, features = setup.limits, setup.features
        self._changes = changes_of(limits)
        found = build(_scored(limits, features=features), learnt, setup.means, emit)
        self.filters = [replace(one, drops=limits[one.name] is not False) for one in found]
        relaxed = setup.relaxed
        self._relaxed = [] if relaxed is None else build(resolved(relaxed), learnt, setup.means, silent)

    @classmethod
    def taught(cls, setup: Setup, sample: Sequence[Example], emit: Emit) -> Judge:
        """Return a judge that knows the sample's languages, what ``auto`` means for it, and its words; all is said."""
        limits = setup.limits
        changes = changes_of(limits)
        rows = [mended(row, changes)[0] for row in sample]
        langs: Langs = {}
        of = f"of the first {len(rows):,} rows"
        if any(row.kind == "pair" for row in rows) or any(limits[name] is not False for name in ("language", "script")):
            langs = languages(rows, detector())
            for said, guess in langs.items():
                pair = " → ".join(code for code in (said or guess[0] or "unclear", guess[1]) if code)
                emit(Decision("data.cleaning", pair, f"where rows do not say their languages, {of}"))
        texts = [_texts(row, langs) for row in rows]
        learnt = learn(texts, _scored(limits, features=setup.features), setup.count)
        for name, text in learnt.said.items():
            if limits[name] is not False:
                emit(Decision(f"data.cleaning.filters.{name}", text, f"auto: {of}"))
        return cls(setup, langs, learnt, emit)

    def pack(self, folder: Path) -> Any:
        """Return settings and what was learnt as values for JSON; None where a count of tokens cannot travel."""
        setup, learnt = self._setup, self._learnt
        counter = getattr(setup.count, "__self__", None) if self._counts else None
        if self._counts and not isinstance(counter, Encoder):
            return None
        encoder = None if counter is None else counter.pack(folder)
        if self._counts and encoder is None:
            return None
        return {
            "cleaning": setup.cleaning.model_dump_json(),
            "relaxed": None if setup.relaxed is None else setup.relaxed.model_dump_json(),
            "features": setup.features,
            "encoder": encoder,
            "langs": list(self._langs.items()),
            "bounds": learnt.bounds,
            "ratio": learnt.ratio,
            "lexicon": None if learnt.lexicon is None else learnt.lexicon.pack(folder),
        }

    @classmethod
    def unpack(cls, said: Any, folder: Path) -> Judge:
        """Return the judge that ``pack`` was asked for; its filters, which are functions, are made anew."""
        relaxed = None if said["relaxed"] is None else Cleaning.model_validate_json(said["relaxed"])
        count = None if said["encoder"] is None else Encoder.unpack(said["encoder"], folder).tokens
        setup = Setup(Cleaning.model_validate_json(said["cleaning"]), count, said["features"], relaxed)
        words = said["lexicon"]
        learnt = Learnt(
            {name: (low, high) for name, (low, high) in said["bounds"].items()},
            ratio=said["ratio"],
            lexicon=None if words is None else Lexicon.unpack(words, folder),
        )
        return cls(setup, {one: (source, target) for one, (source, target) in said["langs"]}, learnt)

    @property
    def _counts(self) -> bool:
        """Whether tokens are counted."""
        return any(one.name == "token_ratio" for one in (*self.filters, *self._relaxed))

    def work(self, rows: Sequence[Example | Reject]) -> list[Verdict | Reject]:
        """Return a verdict for every row; what was rejected before passes."""
        return [row if isinstance(row, Reject) else self.verdict(row) for row in rows]

    def verdict(self, row: Example) -> Verdict:
        """Mend and judge a row."""
        row, changed = mended(row, self._changes)
        texts, langs = _texts(row, self._langs), _languages(row, self._langs)
        if not all(side.strip() for side in texts.sides) and row.kind != "messages":
            return Verdict(row, langs, {}, "empty", "nothing is left of a side", changed=changed)
        scores: dict[str, float | None] = {}
        failed: Filter | None = None
        for one in self.filters:
            if not applies(one, texts):
                continue
            score = scores[one.name] = one.score(texts)
            if failed is None and one.drops and not one.accept(score):
                failed = one
                if not self._setup.features:
                    break
        if failed is None:
            return Verdict(row, langs, scores, changed=changed)
        detail = f"score {scores[failed.name]:.3g}, limit {failed.limit}"
        harder = bool(self._relaxed) and self._passes_relaxed(texts)
        return Verdict(row, langs, scores, failed.name, detail, harder, changed)

    def _passes_relaxed(self, texts: Texts) -> bool:
        return all(one.accept(one.score(texts)) for one in self._relaxed if applies(one, texts))


def _scored(limits: Mapping[str, Limit], *, features: bool) -> dict[str, Limit]:
    """Return the limits of the filters that score: with ``features`` those that are off too, by the strict ones."""
    return {name: PRESETS[name][1] if limit is False and features else limit for name, limit in limits.items()}


def _languages(row: Example, langs: Langs) -> tuple[str | None, str | None]:
    guess = langs.get(row.source_lang, (None, None))
    return row.source_lang or guess[0], row.target_lang or guess[1]


def _texts(row: Example, langs: Langs) -> Texts:
    """Return what filters see of a row."""
    both = _languages(row, langs)
    same = None not in both and primary(both[0] or "") == primary(both[1] or "")
    return texts_of(row, both, parallel=row.kind == "pair" and not same)
