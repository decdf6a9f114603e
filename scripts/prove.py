"""Write ``docs/proof.md``: every family against transformers and TRL.

python scripts/prove.py -o docs/proof.md     # about three minutes on one core
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from tests.bundles import FAMILIES
from tests.proof.measure import (
    FULL,
    LORA,
    against_reference,
    gradient_spread,
    gradient_spread_of_two,
    merged,
    saved_twice,
)
from tests.zoo import BUILDERS

from desktune import compat

PAGE = """# Proof

Written by `python scripts/prove.py`; the slow suite asserts the same figures (`tests/proof/test_proof.py`). Tiny models
with random weights (`tests/zoo`), float32, no dropout of any kind, the same 200 rows of text.
{versions}.

- **loss**: largest relative difference of a step's loss over 20 AdamW steps, ours against `training.engine: hf`:
  `transformers.Seq2SeqTrainer` with a loss function (it would multiply the gradient by the accumulation steps), or
  `trl.SFTTrainer` with its own. 4 rows x 2 accumulation steps, cosine schedule, weight decay, clipping. To hold: 1e-5.
  Marian's padding row, which we keep at zero, is kept so by the reference too (5e-4 and 5e-2 apart otherwise).
- **weights**: the difference of what the weights moved, relative: |dW - dW'| / |dW|. To hold: 1e-3.
- **gradient**: of one step over 64 rows, cut as 1 x 64, 4 x 16 or 8 x 8 rows and into micro-batches of three sizes:
  largest relative difference between the nine. To hold: 1e-6.
- **on two**: the same with nine more gradients from two processes (torchrun, gloo, DDP), for one family of each task.
- **merged**: the merged folder in plain transformers, in a fresh process, against base and adapter: largest difference
  of a logit (and the largest logit), and share of equal greedy texts. To hold: 1e-5 of the largest logit (or of 1).
- **twice**: base and adapter, save, load, save again: the same bytes.

| family | loss, all | loss, LoRA | weights, all | weights, LoRA | gradient | on two | merged: logit | greedy | twice |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{rows}
"""


def main() -> None:
    """Build every tiny model, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/proof.md"))
    parser.add_argument("--only", nargs="*", choices=list(BUILDERS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.only or BUILDERS:
            rows.append(row(name, BUILDERS[name](Path(scratch) / "models" / name), Path(scratch) / "work" / name))
            print(rows[-1], flush=True)
    libraries = ("torch", "transformers", "accelerate", "trl", "peft")
    named = ", ".join(f"{name} {compat.installed(name)}" for name in libraries)
    given.output.write_text(PAGE.format(rows="\n".join(rows), versions=named), encoding="utf-8")


def row(name: str, model: Path, work: Path) -> str:
    """Return one family's line of the table."""
    full, lora, spread = against_reference(model, FULL), against_reference(model, LORA), gradient_spread(model)
    found, twice = merged(model, work), saved_twice(model, work / "twice")
    cells = [
        name,
        *(f"{value:.1e}" for value in (full.loss, lora.loss, full.weights, lora.weights, spread)),
        f"{gradient_spread_of_two(model, work):.1e}" if name in FAMILIES else "",
        f"{found.logit:.1e} ({found.largest:.1f})",
        f"{found.greedy:.0%}",
        "yes" if twice else "NO",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
