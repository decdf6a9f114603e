"""Rows per second and peak memory of reading, and of the whole way to prepared rows, at several sizes.

    python benches/data.py [--rows 10000 100000] [--million] [--form jsonl|json|csv] [--helpers N]

Rows are short pairs made from a seed, encoded with the T5 starter's tokenizer. Each size runs in a process of its own,
so that its peak of resident memory is its own; helpers (processes that encode) are counted apart.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = [
    "the",
    "a",
    "dog",
    "cat",
    "house",
    "river",
    "man",
    "woman",
    "red",
    "old",
    "sees",
    "opens",
    "near",
    "two",
    "water",
]


def main() -> None:
    """Print one line per size and stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--million", action="store_true", help="1,000,000 rows too")
    parser.add_argument("--form", choices=("jsonl", "json", "csv"), default="jsonl")
    parser.add_argument("--helpers", type=int, default=None, help="processes that encode; default: by the machine")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        stage, file = options.one.split(":", 1)
        print(json.dumps(measure(stage, Path(file), options.helpers)))
        return
    print(f"{'rows':>10}  {'stage':8}  {'rows/s':>9}  {'seconds':>8}  {'peak MiB':>9}  {'of a helper':>11}")
    for rows in [*options.rows, *([1_000_000] if options.million else [])]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"rows.{options.form}"
            write(file, rows)
            for stage in ("read", "prepare"):
                found = in_a_process(stage, file, options.helpers)
                print(
                    f"{rows:>10,}  {stage:8}  {rows / found['seconds']:>9,.0f}  {found['seconds']:>8.1f}"
                    f"  {found['peak_mib']:>9,.0f}  {found['helper_mib']:>11,.0f}",
                    flush=True,
                )


def write(file: Path, count: int) -> None:
    """Write pairs of 8 to 16 words."""
    rng = random.Random(1)
    texts = (" ".join(rng.choices(WORDS, k=rng.randint(8, 16))) for _ in range(2 * count))
    pairs = ({"source": source, "target": target} for source, target in zip(texts, texts, strict=True))
    with file.open("w", encoding="utf-8", newline="") as sink:
        if file.suffix == ".csv":
            writer = csv.DictWriter(sink, ("source", "target"))
            writer.writeheader()
            writer.writerows(pairs)
        elif file.suffix == ".json":
            sink.write("[")
            sink.writelines(("," if index else "") + json.dumps(pair) for index, pair in enumerate(pairs))
            sink.write("]")
        else:
            sink.writelines(json.dumps(pair) + "\n" for pair in pairs)


def in_a_process(stage: str, file: Path, helpers: int | None) -> dict[str, float]:
    """Measure one stage in a fresh process."""
    command = [sys.executable, __file__, "--one", f"{stage}:{file}"]
    command += ["--helpers", str(helpers)] if helpers else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(stage: str, file: Path, helpers: int | None) -> dict[str, float]:
    """Return seconds, and the peaks of this process and of its largest helper."""
    from transformers import AutoTokenizer

    from desktune.config.schema import DataSection
    from desktune.data import encoding
    from desktune.data.encode import Kit
    from desktune.data.prepare import prepare
    from desktune.data.read import read
    from desktune.events import silent
    from desktune.families import FAMILIES
    from desktune.hardware import prepare_environment
    from desktune.starters import folder as starter

    prepare_environment()
    kit = Kit.of(AutoTokenizer.from_pretrained(starter("starter:t5")), FAMILIES["t5"], "seq2seq")
    section = DataSection(train=str(file), validation=0.05)
    if helpers:
        encoding.MOST_HELPERS = helpers
    start = time.perf_counter()
    if stage == "read":
        for _ in read(str(file), section, silent):
            pass
    else:
        prepare(section, kit, 42, file.parent / "cache", silent)
    peak, helper = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {"seconds": time.perf_counter() - start, "peak_mib": peak / unit, "helper_mib": helper / unit}


if __name__ == "__main__":
    main()
