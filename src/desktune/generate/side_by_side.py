"""Several settings on the same texts: every answer, and per setting what can be said of its answers.

Texts of a setting are decoded together, as ``decode`` does; the seconds of one answer are its share of that time by
its tokens.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from desktune import durable
from desktune.events import Emit, Note, Table, silent
from desktune.generate.decode import Decoding, decode
from desktune.generate.speakers import Models, Speaker
from desktune.models.load import Bundle

GENERATIONS = "generations"
_REPEATED_WORDS = 3  # the n of repeated n-grams

Judge = Callable[[Sequence[str]], Mapping[str, float]]  # outputs, in the order of the texts → metric: value


@dataclass(frozen=True)
class Split:
    """The first ``count`` rows of a run's held-out rows, in place of texts."""

    name: str = "validation"
    count: int = 50


@dataclass(frozen=True)
class Asked:
    """Texts, the same as token ids, and where they are known the references."""

    texts: Sequence[str]
    prompts: Sequence[Sequence[int]]
    references: Sequence[str] = ()
    judge: Judge | None = None
    targets: Sequence[str | None] = ()  # languages of the answers


@dataclass(frozen=True)
class Answer:
    """One text under one setting."""

    source: str
    variant: str
    settings: Mapping[str, Any]
    model: Speaker
    output: str
    seconds: float
    tokens: int
    reference: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the reference only where there is one."""
        known = {"reference": self.reference} if self.reference is not None else {}
        return {
            "source": self.source,
            "variant": self.variant,
            "settings": dict(self.settings),
            "model": self.model,
            "output": self.output,
            "seconds": round(self.seconds, 4),
            "tokens": self.tokens,
            **known,
        }


@dataclass(frozen=True)
class Summary:
    """What the answers of one setting have in common. Shares are 0 to 1."""

    variant: str
    model: Speaker
    answers: int
    mean_tokens: float
    empty: float
    repeated: float  # of all sequences of three words, those that the same answer had said already
    distinct: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SideBySide:
    """Answers, in the order of the settings and within one of the texts; and a summary of each setting."""

    answers: tuple[Answer, ...]
    summaries: tuple[Summary, ...]

    def by_text(self) -> Iterator[tuple[str, list[Answer]]]:
        """Yield each text with all its answers, in the order of the settings."""
        texts = self.summaries[0].answers if self.summaries else 0
        for number in range(texts):
            answers = list(self.answers[number::texts])
            yield answers[0].source, answers

    def json_lines(self) -> Iterator[str]:
        """Yield every answer as a line of JSON."""
        return (json.dumps(answer.to_json(), ensure_ascii=False) for answer in self.answers)


def side_by_side(
    models: Models,
    asked: Asked,
    variants: Mapping[str, Decoding],
    which: Sequence[Speaker] = ("tuned",),
    emit: Emit = silent,
) -> SideBySide:
    """Ask each model of ``which`` every text under every setting."""
    answers: list[Answer] = []
    summaries: list[Summary] = []
    for model in which:
        with models.asking(model) as bundle:
            for number, (name, how) in enumerate(variants.items(), 1):
                emit(Note(f"{model} model, setting {number} of {len(variants)}: {name}"))
                found = _answers(bundle, model, asked, (name, how), emit)
                answers += found
                summaries.append(_summary(found, asked.judge))
    return SideBySide(tuple(answers), tuple(summaries))


def keep(result: SideBySide, run: Path) -> Path:
    """Write the answers into ``generations/`` of a run and return the file."""
    folder = run / GENERATIONS
    durable.make_folder(folder)
    stem = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
    durable.write_rows(folder / f"{stem}.jsonl", result.json_lines())
    return folder / f"{stem}.jsonl"


def table(result: SideBySide, labels: Mapping[str, str]) -> Table:
    """Return the summaries as a table; ``labels`` are the metrics' names for people."""
    metrics = list(result.summaries[0].metrics) if result.summaries else []
    both = len({summary.model for summary in result.summaries}) > 1
    head = ("setting", *(["model"] if both else []), "tokens", "empty", "repeated", "distinct", "seconds")
    rows = tuple(
        (
            one.variant,
            *([one.model] if both else []),
            f"{one.mean_tokens:.1f}",
            f"{one.empty:.0%}",
            f"{one.repeated:.1%}",
            f"{one.distinct:,}",
            f"{one.seconds:.2f}",
            *(f"{one.metrics[name]:.1f}" for name in metrics),
        )
        for one in result.summaries
    )
    count = result.summaries[0].answers if result.summaries else 0
    title = f"Settings side by side on {count:,} text{'s' if count != 1 else ''} (tokens: mean of an answer)"
    return Table(title, (*head, *(labels.get(name, name) for name in metrics)), rows)


def repeated_share(text: str) -> float:
    """Return the share of a text's three-word sequences that came before in it."""
    words = text.split()
    runs = [tuple(words[start : start + _REPEATED_WORDS]) for start in range(len(words) - _REPEATED_WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _answers(bundle: Bundle, model: Speaker, asked: Asked, variant: tuple[str, Decoding], emit: Emit) -> list[Answer]:
    name, how = variant
    started = time.perf_counter()
    outputs = decode(bundle, asked.prompts, how, emit, targets=asked.targets)
    seconds = time.perf_counter() - started
    tokens = [_length(bundle, output) for output in outputs]
    total = sum(tokens) + len(tokens)  # the end of an answer is a token too
    references = asked.references or [None] * len(outputs)
    return [
        Answer(text, name, how.settings, model, output, seconds * (length + 1) / total, length, reference)
        for text, output, length, reference in zip(asked.texts, outputs, tokens, references, strict=True)
    ]


def _length(bundle: Bundle, output: str) -> int:
    if not output:
        return 0
    side: dict[str, Any] = {"text_target": output} if bundle.family.encoder_decoder else {"text": output}
    return len(bundle.tokenizer(**side, add_special_tokens=False, verbose=False)["input_ids"])


def _summary(answers: Sequence[Answer], judge: Judge | None) -> Summary:
    outputs, count = [answer.output for answer in answers], max(1, len(answers))
    return Summary(
        answers[0].variant,
        answers[0].model,
        len(answers),
        sum(answer.tokens for answer in answers) / count,
        sum(not output for output in outputs) / count,
        sum(map(repeated_share, outputs)) / count,
        len(set(outputs)),
        sum(answer.seconds for answer in answers),
        dict(judge(outputs)) if judge is not None else {},
    )
