"""One row mended, scored and judged by itself: what can be done on any core, and in any order.

What was seen before (duplicates) is not asked here; ``apply.py`` does that with the verdicts in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from desktune.config.cleaning import PRESETS, Cleaning, Limit, resolved
from desktune.data.clean.filters import Filter, Means, applies, build
from desktune.data.clean.language import detector
from desktune.data.clean.learn import Langs, languages, limits
from desktune.data.clean.mend import Change, changes_of
from desktune.data.clean.texts import Texts, texts_of, with_sides
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
    """Mends and judges rows by what a sample of them taught: languages, limits that are ``auto``, a lexicon."""

    def __init__(self, setup: Setup, sample: Sequence[Example], emit: Emit) -> None:
        self._limits = setup.limits
        self._changes = changes_of(self._limits)
        self._features = setup.features
        self._langs: Langs = {}
        rows = [mended(row, self._changes)[0] for row in sample]
        if any(row.kind == "pair" for row in rows) or self._on("language") or self._on("script"):
            self._langs = languages(rows, detector())
            for said, guess in self._langs.items():
                pair = " → ".join(code for code in (said or guess[0] or "unclear", guess[1]) if code)
                emit(Decision("data.cleaning", pair, f"where rows do not say their languages, {_of(sample)}"))
        wanted = dict(self._limits)
        if setup.features:
            wanted = {name: PRESETS[name][1] if limit is False else limit for name, limit in wanted.items()}
        learnt = limits([self.texts(row) for row in rows], wanted, setup.count)
        for name, text in learnt.said.items():
            if self._on(name):
                emit(Decision(f"data.cleaning.filters.{name}", text, f"auto: {_of(sample)}"))
        found = build(wanted, learnt, setup.means, emit)
        self.filters = [replace(one, drops=self._on(one.name)) for one in found]
        relaxed = setup.relaxed
        self._relaxed = [] if relaxed is None else build(resolved(relaxed), learnt, setup.means, silent)

    def texts(self, row: Example) -> Texts:
        """Return what filters see of a row."""
        langs = self._languages_of(row)
        same = None not in langs and primary(langs[0] or "") == primary(langs[1] or "")
        return texts_of(row, langs, parallel=row.kind == "pair" and not same)

    def verdict(self, row: Example) -> Verdict:
        """Mend and judge a row."""
        row, changed = mended(row, self._changes)
        texts, langs = self.texts(row), self._languages_of(row)
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
                if not self._features:
                    break
        if failed is None:
            return Verdict(row, langs, scores, changed=changed)
        detail = f"score {scores[failed.name]:.3g}, limit {failed.limit}"
        harder = bool(self._relaxed) and self._passes_relaxed(texts)
        return Verdict(row, langs, scores, failed.name, detail, harder, changed)

    def _passes_relaxed(self, texts: Texts) -> bool:
        return all(one.accept(one.score(texts)) for one in self._relaxed if applies(one, texts))

    def _on(self, name: str) -> bool:
        return self._limits[name] is not False

    def _languages_of(self, row: Example) -> tuple[str | None, str | None]:
        guess = self._langs.get(row.source_lang, (None, None))
        return row.source_lang or guess[0], row.target_lang or guess[1]


class Judging:
    """A judge at work; sent to another process, it learns there from the same sample (``pool.Worker``)."""

    def __init__(self, setup: Setup, sample: Sequence[Example], judge: Judge | None = None) -> None:
        self._setup, self._sample, self._judge = setup, sample, judge

    def __reduce__(self) -> tuple[type[Judging], tuple[Setup, Sequence[Example]]]:
        """Leave the judge behind: its scorers are functions that cannot be sent."""
        return Judging, (self._setup, self._sample)

    def work(self, rows: Sequence[Example | Reject]) -> list[Verdict | Reject]:
        """Return a verdict for every row; what was rejected before passes."""
        self._judge = self._judge or Judge(self._setup, self._sample, silent)
        return [row if isinstance(row, Reject) else self._judge.verdict(row) for row in rows]


def _of(sample: Sequence[Example]) -> str:
    return f"of the first {len(sample):,} rows"
