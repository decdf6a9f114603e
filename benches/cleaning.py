"""Precision and recall of cleaning: real pairs, a known share of them damaged in fifteen ways; rows per second.

    python benches/cleaning.py DATA.en DATA.fr [--rows 5000] [--share 0.3]

Run from the project's root: the damage is that of the tests. "Found" are rows dropped or mended to what they had been.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.data.clean.corrupt import Row, corrupt, measured

from desktune.config.schema import DataSection
from desktune.data.clean.apply import apply
from desktune.events import Table, silent
from desktune.rows import Example, Origin, Reject


def clean(rows: list[Row], preset: str, show: bool) -> tuple[dict[int, tuple[str, str]], float, dict[int, str]]:
    """Return the rows that are kept, seconds, and the reason of each other row."""
    examples = (
        Example(Origin("rows", index), "pair", *row.pair, source_lang="en", target_lang="fr")
        for index, row in enumerate(rows)
    )
    section = DataSection(cleaning={"preset": preset})
    kept, reasons = {}, {}
    start = time.perf_counter()
    for row in apply(examples, section, "train", say if show else silent):
        if isinstance(row, Reject):
            reasons[row.origin.line] = row.reason.removeprefix("clean:")
        else:
            kept[row.origin.line] = (row.source, row.target)
    return kept, time.perf_counter() - start, reasons


def say(event: object) -> None:
    """Print what was learnt and the table of filters."""
    if isinstance(event, Table):
        for cells in event.rows:
            print("   ", *(f"{cell:>16}" for cell in cells))
    else:
        print("   ", event)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lost", type=int, default=0, help="print so many sound rows that were lost")
    options = parser.parse_args()
    sides = [path.read_text(encoding="utf-8").splitlines()[: options.rows] for path in (options.source, options.target)]
    rows = corrupt(list(zip(*sides, strict=True)), options.share, options.seed)
    for preset in ("light", "strict"):
        kept, seconds, reasons = clean(rows, preset, show=True)
        found, precision, lost = measured(rows, kept)
        print(f"\n{preset}: {len(rows):,} rows, {len(rows) / seconds:,.0f} rows/s, precision {precision:.3f}, "
              f"sound rows lost {lost} ({lost / len(rows):.1%})")  # fmt: skip
        whole = sum(one.rows for one in found.values())
        print(f"recall of all kinds {sum(one.dropped + one.mended for one in found.values()) / whole:.3f}")
        for name, one in found.items():
            why = Counter(reasons[index] for index, row in enumerate(rows) if row.kind == name and index in reasons)
            said = ", ".join(f"{reason} {count}" for reason, count in why.most_common(4))
            print(
                f"  {name:22}{one.rows:5} rows  recall {one.recall:.2f}",
                f" (dropped {one.dropped}, mended {one.mended})  {said}",
            )
        print(
            "  lost, by filter:",
            dict(Counter(reasons[i] for i, row in enumerate(rows) if row.kind is None and i in reasons)),
        )
        for index in [i for i, row in enumerate(rows) if row.kind is None and i in reasons][: options.lost]:
            print("   ", reasons[index], rows[index].pair)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
