"""Write ``docs/families.md``: what desktune knows of each family, and a whole run of each on 200 rows.

python scripts/family_runs.py -o docs/families.md     # about four minutes on one core
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from tests.proof.family_run import ROWS, FamilyRun, family_run
from tests.zoo import BUILDERS

from desktune import compat
from desktune.families import FAMILIES, Family

PAGE = """# Families

Written by `python scripts/family_runs.py`. The first table is `src/desktune/families.py`; any other model works through
its AutoModel class, with what was inferred said aloud.

| model_type | name | decoder starts with | languages | head | fp16 | export |
| --- | --- | --- | --- | --- | --- | --- |
{families}

## A whole run of each on {rows} rows

Tiny models with random weights (`tests/zoo`), all weights trained for 250 steps on word-by-word translations, 20 rows
held out; evaluated, merged with proof, and the merged folder asked by plain transformers in a fresh process. So small a
model learns little in 250 steps: what counts is that the loss falls, that all answer alike, and in which language.
{versions}.

| family | loss, base → tuned | chrF++ | merge proof | plain transformers = ours | in the right language |
| --- | --- | --- | --- | --- | --- |
{runs}
"""


def main() -> None:
    """Build every tiny model, run it, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/families.md"))
    parser.add_argument("--only", nargs="*", choices=list(BUILDERS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        runs = []
        for name in given.only or BUILDERS:
            base = BUILDERS[name](Path(scratch) / "models" / name)
            runs.append(family_run(name, base, Path(scratch) / "runs" / name))
            print(runs[-1], flush=True)
    given.output.write_text(page(runs), encoding="utf-8")


def page(runs: list[FamilyRun]) -> str:
    """Return the page."""
    versions = compat.versions()
    return PAGE.format(
        families="\n".join(_table_row(key, family) for key, family in FAMILIES.items()),
        rows=ROWS,
        versions=", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "peft")),
        runs="\n".join(_run_row(one) for one in runs),
    )


def _table_row(key: str, family: Family) -> str:
    start = {"config": "its config's token", "bos": "BOS", "last label": "the target language"}[family.decoder_start]
    told = {
        "none": "",
        "both": f"in both texts, `{family.language_token}`",
        "source": f"before the source, `{family.language_token}`",
    }[family.languages].replace("|", "\\|")
    head = ", ".join(
        word
        for word, there in (("d_model^-0.5 (v1.0)", family.scaled_head), ("+ final_logits_bias", family.logits_bias))
        if there
    )
    start = start if family.encoder_decoder else ""
    exports = ", ".join(family.export)
    return f"| {key} | {family.name} | {start} | {told} | {head} | {'yes' if family.fp16 else 'no'} | {exports} |"


def _run_row(run: FamilyRun) -> str:
    right = ", ".join(f"{direction} {share:.0%}" for direction, share in run.right_language.items())
    return (
        f"| {run.family} | {run.loss[0]:.2f} → {run.loss[1]:.2f} | {run.chrf[0]:.1f} → {run.chrf[1]:.1f} "
        f"| {run.equal_texts} of {run.proof_rows} texts | {run.plain_equal:.0%} | {right} |"
    )


if __name__ == "__main__":
    main()
