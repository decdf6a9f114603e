"""Events as plain lines: what a log file, a pipe and a dumb terminal see, and what the live terminal colours.

Texts come from data files and models; no control character of theirs reaches a terminal (an ESC could rename its window
or rewrite what was printed before).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from desktune.events import Decision, Evaluated, Event, Note, Progress, Samples, Saved, Step, Table, Warn
from desktune.redact import redact

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all of category Cc but tab and newline
_MOST_SAMPLE_CHARACTERS = 300
_WRONG = ("wrong_language", "copied", "empty", "repeating", "hit_limit")  # the classes of evaluate.guard


def clean(text: str) -> str:
    """Return the text without control characters and secrets; tabs and line ends stay."""
    return redact(_CONTROLS.sub("", text))


def visible(text: str) -> str:
    """Return the text with a mark in place of each control character, so that positions in it stay."""
    return _CONTROLS.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return the text without control characters, on one line."""
    return clean(re.sub(r"\s*[\r\n\t]+\s*", " ", text))


def lines_of(event: Event) -> list[str]:
    """Return an event as the lines that a log file gets."""
    match event:
        case Note() | Warn():
            return clean(event.text).splitlines()
        case Decision():
            return [decision_line(event)]
        case Step():
            return [step_line(event)]
        case Evaluated():
            return [evaluated_line(event)]
        case Saved():
            return [saved_line(event)]
        case Samples():
            return sample_lines(event)
        case Table():
            return ["", *table_lines(event), ""]
        case Progress():
            return [progress_line(event)]


def step_line(event: Step) -> str:
    """``step 20/300  loss 2.3416  lr 1.8e-04  1,234 tok/s  512 MiB  eta 1:23  eval 2.10``."""
    width = len(str(event.total_steps))
    parts = [
        f"step {event.step:>{width}}/{event.total_steps}",
        f"loss {event.loss:.4f}",
        f"lr {event.learning_rate:.1e}",
        f"{event.tokens_per_second:,.0f} tok/s",
        bytes_text(event.memory_bytes),
        f"eta {clock(event.seconds_left)}",
    ]
    if event.last_eval_loss is not None:
        parts.append(f"eval {event.last_eval_loss:.4f}")
    return "  ".join(parts)


def evaluated_line(event: Evaluated) -> str:
    """``eval at step 50  loss 2.1034  bleu 12.31  (best so far)``."""
    best = "  (best so far)" if event.best else ""
    return f"eval at step {event.step}  {metrics_text(event.metrics)}{best}"


def metrics_text(metrics: Mapping[str, float]) -> str:
    """``loss 2.1034  bleu 12.31``: without the prefix ``eval_``, and without shares of wrong answers that are 0."""
    shown = {name.removeprefix("eval_"): value for name, value in metrics.items()}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items() if value != 0 or name not in _WRONG)


def decision_line(event: Decision) -> str:
    """``device: cpu (no CUDA or MPS device found)``."""
    return one_line(f"{event.key}: {event.value} ({event.reason})" if event.reason else f"{event.key}: {event.value}")


def saved_line(event: Saved) -> str:
    """``saved checkpoint: runs/t5/checkpoints/step-000050``."""
    return one_line(f"saved {event.what}: {event.path}")


def progress_line(event: Progress) -> str:
    """``encode: 1,000/20,000 rows``."""
    total = "" if event.total is None else f"/{event.total:,}"
    return one_line(f"{event.stage}: {event.done:,}{total} {event.unit}")


def sample_lines(event: Samples) -> list[str]:
    """Each row as three lines: source, reference, output."""
    lines = [f"samples at step {event.step}"]
    for source, reference, output in event.rows:
        named = (("source", source), ("reference", reference), ("output", output))
        lines += [f"  {name:<9}  {_short(text)}" for name, text in named]
    return lines


def table_lines(event: Table) -> list[str]:
    """The table in aligned columns; columns of numbers stand to the right."""
    rows = [[one_line(cell) for cell in row] for row in (event.columns, *event.rows)]
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    right = [numeric(column) for column in zip(*rows[1:], strict=True)] or [False] * len(widths)
    lines = [_padded(row, widths, right) for row in rows]
    return [one_line(event.title), lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def numeric(cells: Sequence[str]) -> bool:
    """Whether a column holds figures only (or nothing)."""
    return all(re.fullmatch(r"[-+]?[\d.,]*\s?%?|-|nan", cell) for cell in cells)


def cell_width(text: str) -> int:
    """Columns that a text takes in a terminal: wide East Asian characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def clock(seconds: float) -> str:
    """``1:23`` or ``2:03:04``."""
    if seconds != seconds or seconds == float("inf"):
        return "?"
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def bytes_text(count: float) -> str:
    """``512 MiB`` or ``12.3 GiB``."""
    if count < 2**20:
        return f"{count / 2**10:.0f} KiB"
    return f"{count / 2**20:,.0f} MiB" if count < 10 * 2**30 else f"{count / 2**30:,.1f} GiB"


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _MOST_SAMPLE_CHARACTERS else line[:_MOST_SAMPLE_CHARACTERS] + " …"


def _padded(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for cell, width, to_the_right in zip(row, widths, right, strict=True):
        space = " " * (width - cell_width(cell))
        cells.append(space + cell if to_the_right else cell + space)
    return "  ".join(cells).rstrip()
