"""Precision, recall and F1 of ``data align`` on documents whose alignment is known, at three levels of noise.

    python benches/align.py SENTENCES.en SENTENCES.fr [--rows 5000] [--skip 0]

Run from the project's root: the documents are made as those of the tests, 40 to 100 sentences each, of which a share is
missing on one side, two in one, or two that changed places. A group counts as found when both its sides are exact.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.data.align.made import aligned, made, measure

LEVELS = (0.02, 0.1, 0.25)


def main() -> None:
    """Print one line per level and round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--skip", type=int, default=0)
    options = parser.parse_args()
    sides = [
        path.read_text(encoding="utf-8").splitlines()[options.skip :][: options.rows]
        for path in (options.source, options.target)
    ]
    print(f"{'noise':>6}  {'with':24}  {'precision':>9}  {'recall':>6}  {'F1':>6}  {'sentences/s':>11}")
    for noise in LEVELS:
        documents = made(list(zip(*sides, strict=True)), noise, seed=3)
        lexicon = None
        for name in ("lengths, look-alikes", "and a lexicon", "and a better lexicon"):
            start = time.perf_counter()
            found, lexicon_next = aligned(documents, lexicon)
            seconds = time.perf_counter() - start
            precision, recall, f1 = measure(documents, found)
            speed = sum(len(one.source) for one in documents) / seconds
            print(f"{noise:>6.0%}  {name:24}  {precision:>9.3f}  {recall:>6.3f}  {f1:>6.3f}  {speed:>11,.0f}")
            lexicon = lexicon_next


if __name__ == "__main__":
    main()
