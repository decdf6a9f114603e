"""What was measured of one model, and of base beside tuned, as figures and as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from desktune.evaluate.bootstrap import Difference
from desktune.evaluate.groups import Part, average
from desktune.evaluate.guard import Guarded
from desktune.evaluate.metrics import Score


@dataclass(frozen=True)
class Scores:
    """What a model reached on rows."""

    loss: float  # nats per trained token
    tokens: int
    metrics: Mapping[str, Score]
    outputs: Sequence[str]  # one per row; none where nothing was generated
    bits_per_byte: float = math.nan
    guard: Guarded | None = None  # what went wrong in the outputs

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return math.exp(min(self.loss, 700.0))

    @property
    def empty(self) -> int:
        """Outputs without a word."""
        return sum(not output for output in self.outputs)


@dataclass(frozen=True)
class Report:
    """Base against tuned on the same rows. Groups are empty where there is only one."""

    base: Scores
    tuned: Scores
    rows: tuple[Mapping[str, Any], ...]  # every row: where it stands, texts, sentence scores
    files: Mapping[str, Part] = field(default_factory=dict)
    directions: Mapping[str, Part] = field(default_factory=dict)
    lengths: Mapping[str, Part] = field(default_factory=dict)
    bootstrap: Mapping[str, Difference] = field(default_factory=dict)  # by metric

    @property
    def macro_average(self) -> Part | None:
        """The mean over language directions, each with the same weight."""
        return average(self.directions) if self.directions else None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        groups = {"files": self.files, "directions": self.directions, "lengths": self.lengths}
        return {
            "rows_measured": len(self.rows),
            "base": _plain(self.base),
            "tuned": _plain(self.tuned),
            "bootstrap": {name: asdict(found) for name, found in self.bootstrap.items()},
            **{kind: {name: asdict(part) for name, part in parts.items()} for kind, parts in groups.items()},
            "macro_average": asdict(self.macro_average) if self.macro_average else None,
            "rows": list(self.rows),
        }


def _plain(scores: Scores) -> dict[str, Any]:
    return {
        "loss": _number(scores.loss),
        "perplexity": _number(scores.perplexity),
        "bits_per_byte": _number(scores.bits_per_byte),
        "tokens": scores.tokens,
        "metrics": {name: asdict(value) for name, value in scores.metrics.items()},
        "empty_outputs": scores.empty if scores.outputs else None,
        "guard": _guard(scores.guard) if scores.guard else None,
    }


def _guard(guarded: Guarded) -> dict[str, Any]:
    return {
        name: {"judged": judged, "found": guarded.found[name], "share": guarded.shares.get(name)}
        for name, judged in guarded.judged.items()
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
