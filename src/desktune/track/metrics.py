"""``metrics.jsonl`` and ``samples.jsonl``: one JSON line per log step, validation and sample, in every run.

A figure that is not finite becomes ``null`` and its name stands in ``not_finite``, since JSON has no NaN. After a
resume the files go on without a gap or a repeat: what came after the checkpoint is dropped first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from desktune import durable
from desktune.events import Emit, Evaluated, Event, Samples, Step

METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"


def file_metrics(run: Path, resume_step: int) -> Emit:
    """Return an ``Emit`` that writes a run's two files, after dropping what comes after ``resume_step``."""
    for name in (METRICS, SAMPLES):
        if (run / name).exists():
            durable.keep_lines(run / name, lambda line: _step_of(line) <= resume_step)

    def emit(event: Event) -> None:
        match event:
            case Step():
                durable.append_line(run / METRICS, line_of("step", asdict(event)))
            case Evaluated():
                figures = {"step": event.step, **event.metrics, "best": event.best}
                durable.append_line(run / METRICS, line_of("eval", figures))
            case Samples():
                for source, reference, output in event.rows:
                    sample = {"step": event.step, "source": source, "reference": reference, "output": output}
                    durable.append_line(run / SAMPLES, line_of("sample", sample))
            case _:
                pass

    return emit


def line_of(kind: str, values: Mapping[str, Any]) -> str:
    """Return one line: kind, time (seconds since 1970), the values that are known, which of them were not finite."""
    bad = [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
    finite = {name: None if name in bad else value for name, value in values.items() if value is not None}
    line = {"kind": kind, "time": round(time.time(), 3), **finite, **({"not_finite": bad} if bad else {})}
    return durable.checked_line(line)


def _step_of(line: Any) -> float:
    """The step of a line; a line of something else is not ours and goes."""
    return line.get("step", math.inf) if isinstance(line, dict) else math.inf
