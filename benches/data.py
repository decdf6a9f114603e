"""Rows per second and peak memory of reading, and of the whole way to prepared rows, at several sizes.

    python benches/data.py [--rows 10000 100000] [--million] [--form jsonl|json|csv] [--helpers N] [--cleaning light]
                           [--repeat 3] [--stages read clean prepare]

Rows are short pairs made from a seed, encoded with the T5 starter's tokenizer. Each size runs in a process of its own,
so that its peak of resident memory is its own; helpers (processes that encode) are counted apart. Sizes take turns, and
the median of the repeats is printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = {
    "the": "le", "a": "une", "dog": "chien", "cat": "chatte", "house": "maison", "river": "rivière", "man": "homme",
    "woman": "femme", "red": "rouge", "old": "vieux", "sees": "voit", "opens": "ouvre", "near": "près", "two": "deux",
    "water": "eau", "and": "et", "with": "avec", "in": "dans",
}  # fmt: skip
STAGES = ("read", "clean", "prepare")


def main() -> None:
    """Print one line per size and stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--million", action="store_true", help="1,000,000 rows too")
    parser.add_argument("--form", choices=("jsonl", "json", "csv"), default="jsonl")
    parser.add_argument("--helpers", type=int, default=None, help="processes that encode; default: by the machine")
    parser.add_argument("--cleaning", default="none", help="preset of data.cleaning on the way to prepared rows")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=["read", "prepare"])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        stage, file = options.one.split(":", 1)
        print(json.dumps(measure(stage, Path(file), options.helpers, options.cleaning)))
        return
    sizes = [*options.rows, *([1_000_000] if options.million else [])]
    with tempfile.TemporaryDirectory() as folder:
        files = {rows: Path(folder) / f"{rows}.{options.form}" for rows in sizes}
        for rows, file in files.items():
            write(file, rows)
        rounds = [
            {(rows, stage): in_a_process(stage, files[rows], options) for rows in sizes for stage in options.stages}
            for _ in range(options.repeat)
        ]
    print(f"{'rows':>10}  {'stage':8}  {'rows/s':>9}  {'seconds':>8}  {'peak MiB':>9}  {'of a helper':>11}")
    for rows, stage in rounds[0]:
        seconds, peak, helper = (
            statistics.median(one[rows, stage][name] for one in rounds)
            for name in ("seconds", "peak_mib", "helper_mib")
        )
        print(f"{rows:>10,}  {stage:8}  {rows / seconds:>9,.0f}  {seconds:>8.1f}  {peak:>9,.0f}  {helper:>11,.0f}")


def write(file: Path, count: int) -> None:
    """Write pairs of 8 to 16 words."""
    rng = random.Random(1)
    chosen = (rng.choices(list(WORDS), k=rng.randint(8, 16)) for _ in range(count))
    pairs = ({"source": " ".join(words), "target": " ".join(map(WORDS.__getitem__, words))} for words in chosen)
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


def in_a_process(stage: str, file: Path, options: argparse.Namespace) -> dict[str, float]:
    """Measure one stage in a fresh process."""
    command = [sys.executable, __file__, "--one", f"{stage}:{file}", "--cleaning", options.cleaning]
    command += ["--helpers", str(options.helpers)] if options.helpers else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{file.stem:>10} {stage}: {found}", file=sys.stderr, flush=True)
    return found


def measure(stage: str, file: Path, helpers: int | None, preset: str) -> dict[str, float]:
    """Return seconds, and the peaks of this process and of its largest helper."""
    from transformers import AutoTokenizer

    from desktune.config.schema import DataSection
    from desktune.data import pool
    from desktune.data.clean.apply import apply
    from desktune.data.encode import Kit
    from desktune.data.prepare import prepare
    from desktune.data.read import read
    from desktune.events import silent
    from desktune.families import FAMILIES
    from desktune.hardware import prepare_environment
    from desktune.starters import folder as starter

    prepare_environment()
    kit = Kit.of(AutoTokenizer.from_pretrained(starter("starter:t5")), FAMILIES["t5"], "seq2seq")
    cleaning = {"preset": preset}
    section = DataSection(train=str(file), validation=0.05, source_lang="en", target_lang="fr", cleaning=cleaning)
    if helpers:
        pool.MOST_HELPERS = helpers
    start = time.perf_counter()
    if stage == "prepare":
        prepare(section, kit, 42, file.with_suffix(f".cache{os.getpid()}"), silent)
    else:
        rows = read(str(file), section, silent)
        for _ in apply(rows, section, "train", silent) if stage == "clean" else rows:
            pass
    peak, helper = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {"seconds": time.perf_counter() - start, "peak_mib": peak / unit, "helper_mib": helper / unit}


if __name__ == "__main__":
    main()
